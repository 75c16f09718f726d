"""Exercise of notebook 17: the online softmax, which never sees all scores at once."""

import math

import torch
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case

Part = tuple[float, float, Tensor]
"""Largest score m, sum of exp(s - m), and the values weighted with the same exponentials."""


# --- online.merge -----------------------------------------------------------------------------------------------------
def merge(one: Part, other: Part) -> Part:
    """Two parts as one: the common maximum, the rescaled sums and values (Dao et al. 2022, section 3.1)."""
    largest = max(one[0], other[0])
    a, b = (math.exp(part[0] - largest) for part in (one, other))
    return largest, a * one[1] + b * other[1], a * one[2] + b * other[2]


def _part(scores: Tensor, values: Tensor) -> Part:
    if not len(scores):
        return -math.inf, 0.0, torch.zeros(values.shape[1])
    largest = scores.max().item()
    weights = torch.exp(scores - largest)
    return largest, weights.sum().item(), weights @ values


def _parts(generator):
    def draw(n, m, shift=0.0, K=3):
        scores, values = torch.randn(n + m, generator=generator), torch.randn(n + m, K, generator=generator)
        scores[n:] += shift
        return _part(scores[:n], values[:n]), _part(scores[n:], values[n:])

    full, nothing = _part(torch.tensor([0.5, 1.5]), torch.eye(2)), torch.zeros(2)
    return [
        case("four scores and three", *draw(4, 3)),
        case("the second part has the larger score", *draw(3, 3, 4.0)),
        case("the first part has the larger score", *draw(3, 5, -4.0)),
        case("the first part is empty", *draw(0, 4)),
        case("maxima a thousand apart", *draw(2, 2, 1000.0)),
        case("maxima a thousand apart, the first one larger", *draw(2, 3, -1000.0)),
        case("the second part is empty", *draw(3, 0)),
        case("one value for each score", *draw(2, 4, K=1)),
        case("equal maxima", full, (1.5, 2.25, torch.tensor([1.0, -2.0]))),
        case("the first part's values cancel", (2.0, 1.5, nothing), full),
        case("the second part's values cancel", full, (1.0, 2.5, nothing)),
        case("both maxima above a thousand", (1001.5, 1.5, torch.tensor([0.5, 3.0])), (1000.0, 2.25, full[2])),
        case("both maxima at minus three billion", (-3e9, 1.5, full[2]), (-3e9, 2.25, torch.tensor([0.5, 3.0]))),
        case("large values far below", (0.0, 2.0, torch.tensor([1e12, -3e12])), (24.0, 1.25, full[2])),
    ]


def _scaled(one, other, a, b):
    return max(one[0], other[0]), a * one[1] + b * other[1], a * one[2] + b * other[2]


def _factor(part, other):
    return math.exp(part[0] - max(part[0], other[0]))


def _lower_one_rescaled(one, other):
    if -math.inf in (one[0], other[0]):
        return max(one, other, key=lambda part: part[0])
    high, low = (one, other) if one[0] >= other[0] else (other, one)
    return _scaled(high, low, 1.0, math.exp(low[0] - high[0]))


def _empty_by_values(one, other):
    return other if not one[2].any() else one if not other[2].any() else merge(one, other)


def _sign_turned(one, other):
    largest = max(one[0], other[0])
    return _scaled(one, other, math.exp(largest - one[0]), math.exp(largest - other[0]))


def _both_times(factor, one, other):
    return _scaled(one, other, factor, factor)


def _to(m, one, other):
    """Both parts brought to m, which need not be the larger maximum."""
    return m, *_scaled(one, other, math.exp(one[0] - m), math.exp(other[0] - m))[1:]


def _no_maximum(one, other):
    a, b, common = math.exp(one[0]), math.exp(other[0]), math.exp(max(one[0], other[0]))
    return _scaled(one, other, a / common, b / common)


def _ties_lost(one, other):
    return one if one[0] == other[0] else merge(one, other)


def _to_the_first(one, other):
    factor = math.exp(other[0] - one[0])
    return one[0], one[1] + factor * other[1], one[2] + factor * other[2]


MERGE = Exercise(
    id="online.merge",
    slides=("C20", "T48"),
    points=4,
    minutes=15,
    title="Merging two parts of an attention row",
    reference=merge,
    cases=_parts,
    accepts=(
        lambda one, other: list(_scaled(one, other, _factor(one, other), _factor(other, one))),
        _lower_one_rescaled,
    ),
    misconceptions=(
        Misconception(
            "no_rescaling",
            lambda one, other: _scaled(one, other, 1.0, 1.0),
            "Each part was computed with its own maximum. First rescale both to the common one: times exp(own − "
            "common).",
        ),
        Misconception(
            "values_not_rescaled",
            lambda one, other: (*merge(one, other)[:2], one[2] + other[2]),
            "You rescale the sums but not the values. Both contain the same exponentials.",
        ),
        Misconception(
            "sums_not_rescaled",
            lambda one, other: (merge(one, other)[0], one[1] + other[1], merge(one, other)[2]),
            "You rescale the values but not the sums, so their quotient is not an average.",
        ),
        Misconception(
            "smaller_maximum",
            lambda one, other: (min(one[0], other[0]), *merge(one, other)[1:]),
            "The new maximum is the larger of the two.",
        ),
        Misconception(
            "first_only_rescaled",
            lambda one, other: _scaled(one, other, _factor(one, other), 1.0),
            "You rescale only the first part. That is right only if the second part has the larger score.",
        ),
        Misconception(
            "sign_turned",
            _sign_turned,
            "You rescale with exp(common − own), which enlarges and may overflow. The factor is at most 1.",
        ),
        Misconception(
            "to_the_first_maximum",
            _to_the_first,
            "You bring everything to the first part's maximum. If the second is larger, its exponentials overflow: use "
            "the larger.",
        ),
        Misconception(
            "empty_by_values",
            _empty_by_values,
            "Values that add up to 0 do not make a part empty: its sum still counts. What has only an empty part?",
        ),
        Misconception(
            "values_times_sums",
            lambda one, other: (
                *merge(one, other)[:2],
                _scaled(one, other, one[1] * _factor(one, other), other[1] * _factor(other, one))[2],
            ),
            "You multiply the values by their sums too. They have not been divided by them: only rescale.",
        ),
        Misconception(
            "already_divided",
            lambda one, other: (*merge(one, other)[:2], merge(one, other)[2] / merge(one, other)[1]),
            "You divide too early. Merge the parts without dividing; divide by the sum once, at the very end.",
        ),
        Misconception(
            "to_the_smaller_maximum",
            lambda one, other: _to(min(one[0], other[0]), one, other),
            "You bring both parts to the smaller maximum, where the other's exponentials overflow: use the larger.",
        ),
        Misconception(
            "to_another_reference",
            lambda one, other: _to(float(torch.logaddexp(*torch.tensor([one[0], other[0]]).double())), one, other),
            "Sum and values fit your m, but m must be the largest score: max(m1, m2), not a log-sum-exp.",
        ),
        Misconception(
            "at_least_zero",
            lambda one, other: _to(max(one[0], other[0], 0.0), one, other),
            "Your maximum is never below 0. If all scores are far below, every exponential is 0: take the larger of the two.",
        ),
        Misconception(
            "no_maximum",
            _no_maximum,
            "You take exponentials of the maxima themselves, which overflow, or are all 0. First subtract the common one.",
        ),
        Misconception(
            "one_factor",
            lambda one, other: _both_times(min(_factor(one, other), _factor(other, one)), one, other),
            "You multiply both parts by the same factor. Each has its own, and that of the larger maximum is 1.",
        ),
        Misconception(
            "sums_forgotten",
            lambda one, other: (
                merge(one, other)[0],
                _factor(one, other) + _factor(other, one),
                merge(one, other)[2],
            ),
            "You add the two factors alone. Each of them multiplies its part's own sum.",
        ),
        Misconception(
            "ties_lost",
            _ties_lost,
            "Where the two maxima are equal you drop a part. Both count in full, with the factor 1.",
        ),
        Misconception(
            "factors_swapped",
            lambda one, other: _scaled(one, other, _factor(other, one), _factor(one, other)),
            "Your two factors are swapped: each part is multiplied by exp(its own maximum − the common one).",
        ),
    ),
    hints=(
        "largest = max(m1, m2); the factors are exp(m1 − largest) and exp(m2 − largest), one of which is 1.",
        "Sum and values of a part are multiplied by the same factor, then added.",
    ),
)

EXERCISES = (MERGE,)
