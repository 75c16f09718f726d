"""An exercise of `glue`: how far claimed probabilities are from what comes true."""

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case

EXERCISES = ()


# --- glue.calibration_error -------------------------------------------------------------------------------------------
def calibration_error(confidence, right, bins):
    """The expected calibration error with equally wide bins ((k - 1) / K, k / K]."""
    total = 0.0
    for k in range(bins):
        inside = (confidence * bins).ceil().clamp(min=1) == k + 1
        if inside.any():
            gap = right[inside].double().mean() - confidence[inside].double().mean()
            total += gap.abs().item() * int(inside.sum())
    return total / len(confidence)


def _by_sums(confidence, right, bins):
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64)
    gaps.index_add_(0, place, right.double() - confidence.double())
    return (gaps.abs().sum() / len(confidence)).item()


def _binned(*, weight=lambda n, N: n / N, gap=lambda a, c: abs(a - c), place=None, middle=False, empty=0.0):
    """An answer with other weights, gaps or bins."""

    def answer(confidence, right, bins):
        total, N = 0.0, len(confidence)
        places = ((confidence * bins).ceil().long().clamp(1, bins) - 1) if place is None else place(confidence, bins)
        for k in range(bins):
            inside = places == k
            n = int(inside.sum())
            if not n:
                total += empty * weight(1, bins)
                continue
            claimed = (k + 0.5) / bins if middle else confidence[inside].double().mean().item()
            total += weight(n, N) * gap(right[inside].double().mean().item(), claimed)
        return total

    return answer


def _largest(confidence, right, bins):
    gaps = []
    for k in range(bins):
        inside = (confidence * bins).ceil().clamp(min=1) == k + 1
        if inside.any():
            gaps.append(abs(right[inside].double().mean().item() - confidence[inside].double().mean().item()))
    return max(gaps)


def _mean_of_full_bins(confidence, right, bins):
    gaps = []
    for k in range(bins):
        inside = (confidence * bins).ceil().clamp(min=1) == k + 1
        if inside.any():
            gaps.append(abs(right[inside].double().mean().item() - confidence[inside].double().mean().item()))
    return sum(gaps) / len(gaps)


def _nan(confidence, right, bins):
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    total = 0.0
    for k in range(bins):
        gap = right[place == k].double().mean() - confidence[place == k].double().mean()
        total += (gap.abs() * (place == k).double().mean()).item()
    return total


def _equal_counts(confidence, right, bins):
    order = confidence.argsort()
    parts = [part for part in order.tensor_split(bins) if len(part)]
    gaps = [abs(right[p].double().mean().item() - confidence[p].double().mean().item()) * len(p) for p in parts]
    return sum(gaps) / len(confidence)


def _left_closed(confidence, bins):
    return (confidence * bins).floor().long().clamp(max=bins - 1)


def _one_lost(confidence, bins):
    return (confidence * bins).floor().long()


def _zero_lost(confidence, bins):
    return (confidence * bins).ceil().long() - 1


def _from_half(confidence, bins):
    return (((confidence - 0.5) * 2 * bins).ceil().long().clamp(1, bins)) - 1


def _cases(generator):
    confidence = 0.5 + 0.5 * torch.rand(300, generator=generator, dtype=torch.float64)
    right = torch.rand(300, generator=generator, dtype=torch.float64) < 0.4 + 0.4 * confidence
    return [
        case("one bin, sure and half right", torch.tensor([0.9, 0.9, 0.9, 0.9]), torch.tensor([1, 1, 0, 0]).bool(), 1),
        case("two bins of different size", torch.tensor([0.3, 0.9, 0.8, 0.95, 0.7]), torch.tensor([1, 1, 0, 1, 1]).bool(), 2),
        case("too sure in one bin, too modest in another", torch.tensor([0.65, 0.65, 0.95, 0.95]),
             torch.tensor([1, 1, 0, 1]).bool(), 10),
        case("on the edge between two bins", torch.tensor([0.25, 0.5, 0.75, 0.5]), torch.tensor([1, 0, 0, 1]).bool(), 4),
        case("an edge between unequal bins", torch.tensor([0.5, 0.9, 0.3]), torch.tensor([1, 0, 0]).bool(), 2),
        case("0 and 1", torch.tensor([0.0, 1.0, 1.0, 0.1]), torch.tensor([1, 1, 0, 0]).bool(), 5),
        case("one prediction", torch.tensor([0.8]), torch.tensor([True]), 10),
        case("perfectly calibrated", torch.tensor([0.75, 0.75, 0.75, 0.75]), torch.tensor([1, 1, 1, 0]).bool(), 8),
        case("three hundred", confidence, right, 10),
        case("more bins than predictions", torch.tensor([0.62, 0.97, 0.55]), torch.tensor([0, 1, 1]).bool(), 50),
    ]  # fmt: skip


CALIBRATION_ERROR = Exercise(
    id="glue.calibration_error",
    slides=("C13",),
    points=4,
    minutes=15,
    title="The expected calibration error",
    reference=calibration_error,
    cases=_cases,
    accepts=(_by_sums, _binned()),
    withheld=(
        "lib.evaluation.calibration.reliability",
        "lib.evaluation.calibration.Reliability",
        "lib.evaluation.calibration._placed",
    ),
    misconceptions=(
        Misconception(
            "every_bin_the_same",
            _mean_of_full_bins,
            "You give every bin the same weight. A bin with twice the predictions counts twice.",
        ),
        Misconception(
            "divided_by_bins",
            _binned(weight=lambda n, N: 1.0),
            "You add up the gaps of the bins. Each counts by its share of the predictions.",
        ),
        Misconception(
            "largest_gap",
            _largest,
            "This is the largest gap. Asked is the mean, each bin by its share of the predictions.",
        ),
        Misconception(
            "signed",
            _binned(gap=lambda a, c: a - c),
            "Gaps of opposite sign cancel. Take the absolute value in each bin.",
        ),
        Misconception(
            "signed_the_other_way",
            _binned(gap=lambda a, c: c - a),
            "Gaps of opposite sign cancel in your sum of confidence minus accuracy. Take the absolute value in each bin.",
        ),
        Misconception(
            "squared", _binned(gap=lambda a, c: (a - c) ** 2), "You square the gaps. Asked is their absolute value."
        ),
        Misconception(
            "middle_of_the_bin",
            _binned(middle=True),
            "You compare with the middle of the bin. Take the mean confidence of the predictions that fell into it.",
        ),
        Misconception(
            "without_bins",
            lambda confidence, right, bins: abs(right.double().mean().item() - confidence.double().mean().item()),
            "You compare two overall means. Too sure here and too modest there cancel; that is what the bins are for.",
        ),
        Misconception(
            "each_prediction",
            lambda confidence, right, bins: (right.double() - confidence.double()).abs().mean().item(),
            "You compare each prediction with 0 or 1. Average within a bin first: 0.75 is right if three of four come true.",
        ),
        Misconception(
            "brier",
            lambda confidence, right, bins: (right.double() - confidence.double()).square().mean().item(),
            "This is the Brier score, the mean squared distance from 0 or 1. Average within a bin first.",
        ),
        Misconception(
            "empty_is_nan", _nan, "The mean of an empty bin is NaN, and spoils the sum. An empty bin counts 0."
        ),
        Misconception(
            "equally_full_bins",
            _equal_counts,
            "Your bins have equally many predictions. Here they are equally wide.",
        ),
        Misconception(
            "left_closed",
            _binned(place=_left_closed),
            "A confidence on the edge k/K belongs to the bin *below* it: ((k−1)/K, k/K].",
        ),
        Misconception(
            "one_falls_out",
            _binned(place=_one_lost),
            "A confidence of exactly 1 falls out of your bins (or on an edge into the upper one). The last bin includes 1.",
        ),
        Misconception(
            "zero_falls_out",
            _binned(place=_zero_lost),
            "A confidence of exactly 0 falls out of your bins. The first bin includes 0.",
        ),
        Misconception(
            "bins_from_half",
            _binned(place=_from_half),
            "Your bins divide the range from 0.5 to 1. They divide 0 to 1: with more classes, confidence can be lower.",
        ),
        Misconception(
            "per_cent",
            lambda confidence, right, bins: 100 * _by_sums(confidence, right, bins),
            "This is in per cent. Asked is a number between 0 and 1.",
        ),
        Misconception(
            "tensor_of_gaps",
            lambda confidence, right, bins: (right.double() - confidence.double()).abs(),
            "You return a number for each prediction. Asked is one number.",
        ),
        Misconception(
            "accuracy",
            lambda confidence, right, bins: right.double().mean().item(),
            "This is the accuracy. The calibration error compares it with what was claimed.",
        ),
    ),
    hints=(
        "Go through the bins one by one: which predictions have (k−1)/K < confidence ≤ k/K?",
        "For each bin that is not empty: |share that came true − mean confidence|, times its share of all predictions.",
    ),
)
