"""An exercise of lecture 01: softmax, for scores of any size."""

import math

import torch

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.kernels import softmax


def _softmax_cases(generator):
    rows = torch.randn(3, 4, generator=generator) * 3
    return [
        case("the example above", torch.tensor([[1.0, 2.0, 8.0]])),
        case("several rows", rows),
        case("as many rows as scores", torch.tensor([[1.0, 2.0, 3.0], [3.0, 3.0, -1.0], [0.0, -2.0, 2.0]])),
        case("scores around a thousand", torch.tensor([[1e3, 1e3 - 1.0, 0.0]])),
        case("large scores, far apart", torch.tensor([[2e3, 100.0, 1e3]])),
        case("rows of very different size", torch.tensor([[1e3, 1e3 + 1.0], [-1e3, -1e3 + 1.0]])),
        case("all scores far below 0", torch.tensor([[-3e3, -3e3 - 1.0, -3e3 + 1.0]])),
        case("a masked score (minus infinity)", torch.tensor([[0.0, -math.inf, 1.0]])),
        case("a masked score among large ones", torch.tensor([[-math.inf, 3e3, 3e3 - 2.0]])),
        case("one score", torch.tensor([[5.0]])),
        case("one score far below the others", torch.tensor([[2.0, -3e3, 1.0]])),
        case("a masked score, and the others far below 0", torch.tensor([[-math.inf, -4e3, -4e3 - 1.0]])),
    ]


def _plain_softmax(z):
    return z.exp() / z.exp().sum(dim=-1, keepdim=True)


def _over_batch(z):
    return torch.softmax(z, dim=0)


def _over_everything(z):
    e = (z - z.max()).exp()
    return e / e.sum()


def _global_shift(z):
    e = (z - z.max()).exp()
    return e / e.sum(dim=-1, keepdim=True)


def _mean_shift(z):
    e = (z - z.mean(dim=-1, keepdim=True)).exp()
    return e / e.sum(dim=-1, keepdim=True)


def _clamped(z):
    return _plain_softmax(z.clamp(-80, 80))


def _shifted_by(shift):
    """An answer that subtracts `shift(z)` instead of each row's maximum."""

    def answer(z):
        e = (z - shift(z)).exp()
        return e / e.sum(dim=-1, keepdim=True)

    return answer


def _unnormalised(z):
    return (z - z.amax(dim=-1, keepdim=True)).exp()


def _infinity_replaced(z):
    return torch.softmax(z.masked_fill(z == -math.inf, -1e3), dim=-1)


def _sum_detached(z):
    e = (z - z.amax(dim=-1, keepdim=True)).exp()
    return e / e.sum(dim=-1, keepdim=True).detach()


def _divided_by_mean(z):
    e = (z - z.amax(dim=-1, keepdim=True)).exp()
    return e / e.mean(dim=-1, keepdim=True)


def _without_exp(z):
    return z / z.sum(dim=-1, keepdim=True)


SOFTMAX = Exercise(
    id="softmax.softmax",
    slides=("W13",),
    points=3,
    minutes=10,
    title="A softmax that survives large scores",
    reference=lambda z: softmax(z),
    cases=_softmax_cases,
    gradient=("z",),
    tolerance=Tolerance(rtol=1e-3),  # z − logsumexp(z) is right too, but has a rounding error of 1e-4 where z is 1000
    accepts=(
        lambda z: (z - z.logsumexp(dim=-1, keepdim=True)).exp(),
        lambda z: torch.stack([torch.softmax(row, dim=0) for row in z]),
    ),
    withheld=(
        "lib.kernels.attention.attention_weights",
        "lib.kernels.softmax.log_softmax",
        "lib.kernels.softmax.logsumexp",
        "lib.kernels.triton.triton_softmax",
        "lib.kernels.triton._Softmax",
        "lib.kernels.triton_launch.launch",
    ),
    misconceptions=(
        Misconception(
            "no_shift",
            _plain_softmax,
            "exp(1000) is infinite, and infinity over infinity is NaN. Adding a constant to all scores of a row does "
            "not change its softmax: subtract the row's maximum first.",
        ),
        Misconception(
            "over_the_batch",
            _over_batch,
            "Your columns sum to 1, not your rows: each row is one distribution, so sum over the last dimension.",
        ),
        Misconception(
            "over_everything",
            _over_everything,
            "All numbers together sum to 1, but each row should sum to 1. Sum with dim=-1 and keepdim=True.",
        ),
        Misconception(
            "shift_by_the_largest_of_all_rows",
            _global_shift,
            "You subtract one maximum from all rows. A row far below it underflows to 0/0: each row needs its own "
            "maximum, amax(dim=-1, keepdim=True).",
        ),
        Misconception(
            "shift_by_the_mean",
            _mean_shift,
            "What you subtract (the mean, or the smallest score?) may lie hundreds below the largest score, where exp "
            "overflows, and −∞ makes it infinite. Only one score of the row is safe: the largest.",
        ),
        Misconception(
            "shift_by_the_largest_size",
            _shifted_by(lambda z: z.masked_fill(z == -math.inf, 0).abs().amax(dim=-1, keepdim=True)),
            "You subtract the largest absolute value. In a row of negative scores that lies thousands above the "
            "largest score, and all exponentials become 0: 0/0. Subtract the largest score, with its sign.",
        ),
        Misconception(
            "shift_only_downwards",
            _shifted_by(lambda z: z.amax(dim=-1, keepdim=True).clamp(min=0)),
            "You do not shift a row whose scores are all below 0. Then every exponential becomes 0, and 0/0 is NaN: "
            "subtract the row's largest score, whatever its sign.",
        ),
        Misconception(
            "shift_by_a_constant",
            _shifted_by(lambda z: 1000.0),
            "You subtract the same constant everywhere. It saves rows of one size only: each row needs its own "
            "largest score.",
        ),
        Misconception(
            "clamped_below",
            lambda z: torch.softmax(z.clamp(min=-100), dim=-1),
            "You lift small scores, −∞ among them, to a limit. In a row whose scores all lie below the limit they "
            "become equal. exp(−∞) is 0 and needs no help.",
        ),
        Misconception(
            "clamped",
            _clamped,
            "You cut large scores off, so that all scores beyond the limit become equal. Subtracting the row's maximum "
            "keeps their differences.",
        ),
        Misconception(
            "not_normalised",
            _unnormalised,
            "The largest entry of every row is 1 and the rows do not sum to 1: the division by the sum is missing.",
        ),
        Misconception(
            "infinity_replaced",
            _infinity_replaced,
            "You put an ordinary number in the place of −∞, and in a row whose other scores lie below it that score wins. −∞ "
            "needs no care: exp(−∞) is 0.",
        ),
        Misconception(
            "sum_detached",
            _sum_detached,
            "The weights are right, but you cut the sum off from the scores. A larger score also makes the sum larger, and "
            "the gradient has to know.",
        ),
        Misconception(
            "divided_by_the_mean",
            _divided_by_mean,
            "Each row sums to the number of its scores: you divide by the mean of the exponentials instead of their sum.",
        ),
        Misconception(
            "powers_of_two",
            lambda z: torch.softmax(z * math.log(2), dim=-1),
            "You take powers of 2. Softmax takes e to the power of each score: exp(z).",
        ),
        Misconception(
            "no_exponential",
            _without_exp,
            "You divide the scores themselves by their sum. Scores may be negative; exp makes them positive.",
        ),
        Misconception(
            "log_softmax",
            lambda z: torch.log_softmax(z, dim=-1),
            "These are logarithms of the weights (all ≤ 0). The exercise asks for the weights.",
        ),
        Misconception("detached", lambda z: torch.softmax(z, dim=-1).detach(), DETACHED),
    ),
    hints=(
        "softmax(z) = softmax(z − c) for any number c. Which c keeps every exponential at or below 1?",
        "The largest score of its own row. Find it for all rows at once; what does keepdim=True change about its shape?",
        "Then no exponential is above 1, the largest is exactly 1, and their sum is never 0. Divide each row by its own sum.",
    ),
)

EXERCISES = (SOFTMAX,)
