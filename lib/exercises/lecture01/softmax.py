"""Exercises of notebook 01: softmax and the arg max that it approaches."""

import math

import torch

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.kernels import argmax_onehot, softmax


# --- softmax.softmax ----------------------------------------------------------------------------------------
def _softmax_cases(generator):
    rows = torch.randn(3, 4, generator=generator) * 3
    return [
        case("the slide's example", torch.tensor([[1.0, 2.0, 8.0]])),
        case("several rows", rows),
        case("as many rows as scores", torch.tensor([[1.0, 2.0, 3.0], [3.0, 3.0, -1.0], [0.0, -2.0, 2.0]])),
        case("scores around a thousand", torch.tensor([[1e3, 1e3 - 1.0, 0.0]])),
        case("large scores, far apart", torch.tensor([[2e3, 100.0, 1e3]])),
        case("rows of very different size", torch.tensor([[1e3, 1e3 + 1.0], [-1e3, -1e3 + 1.0]])),
        case("all scores far below 0", torch.tensor([[-3e3, -3e3 - 1.0, -3e3 + 1.0]])),
        case("a masked score (minus infinity)", torch.tensor([[0.0, -math.inf, 1.0]])),
        case("a masked score among large ones", torch.tensor([[-math.inf, 3e3, 3e3 - 2.0]])),
        case("one score", torch.tensor([[5.0]])),
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


def _unnormalised(z):
    return (z - z.amax(dim=-1, keepdim=True)).exp()


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
            "You subtract the mean. The largest score may be hundreds above it, where exp overflows, and −∞ makes the mean "
            "infinite: subtract the row's maximum.",
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
            "no_exponential",
            _without_exp,
            "You divide the scores themselves by their sum. Scores may be negative; exp makes them positive.",
        ),
        Misconception(
            "log_softmax",
            lambda z: torch.log_softmax(z, dim=-1),
            "These are log-probabilities (all ≤ 0). The slide asks for the probabilities.",
        ),
        Misconception("detached", lambda z: torch.softmax(z, dim=-1).detach(), DETACHED),
    ),
    hints=(
        "softmax(z) = softmax(z − c) for any number c. Which c keeps every exponential at or below 1?",
        "Subtract z.amax(dim=-1, keepdim=True), take exp, divide by the sum over dim=-1 (keepdim=True).",
    ),
)


# --- softmax.argmax_onehot ----------------------------------------------------------------------------------
def _argmax_cases(generator):
    low = 2**-10
    high = torch.nextafter(torch.tensor(low), torch.tensor(1.0)).item()  # the next float32, 1e-10 above
    return [
        case("the slide's first example", torch.tensor([1.0, 2.0, 8.0])),
        case("the slide's second example, a tie", torch.tensor([0.0, 3.0, 3.0])),
        case("all equal", torch.tensor([2.0, 2.0, 2.0, 2.0])),
        case("a tie of negative scores", torch.tensor([-2.0, -5.0, -2.0])),
        case("a tie of zeros", torch.tensor([0.0, -1.0, 0.0, 0.0])),
        case("a batch with a tie in one row", torch.tensor([[1.0, 5.0, 5.0], [7.0, 0.0, -1.0]])),
        case("as many rows as scores", torch.tensor([[4.0, 4.0, 1.0], [9.0, 5.0, 2.0], [0.0, 8.0, 8.0]])),
        case("nearly equal", torch.tensor([low, high])),
        case("a batch with one row nearly equal", torch.tensor([[high, low, low], [1.0, 2.0, 2.0]])),
        case("negative scores", -torch.randperm(5, generator=generator)[:4] - 1.0),
    ]


def _first_winner(z):
    return torch.nn.functional.one_hot(z.argmax(dim=-1), z.shape[-1]).float()


ARGMAX = Exercise(
    id="softmax.argmax_onehot",
    slides=("W13",),
    points=2,
    minutes=8,
    title="The arg max that softmax approaches",
    reference=lambda z: argmax_onehot(z),
    cases=_argmax_cases,
    accepts=(
        lambda z: torch.softmax((z.double() - z.double().amax(-1, keepdim=True)) * 1e12, dim=-1),
        lambda z: (z == z.amax(-1, keepdim=True)) / (z == z.amax(-1, keepdim=True)).sum(-1, keepdim=True),
    ),
    withheld=(
        "lib.generation.warpers.keep_top_k",
        "lib.generation.warpers.warp",
        "lib.generation.warpers.keep_top_p",
        "lib.generation.warpers.scale_temperature",
    ),
    misconceptions=(
        Misconception(
            "first_winner_takes_all",
            _first_winner,
            "In a tie you give everything to the first winner, as torch.argmax does. The slide shares: (0, 0.5, 0.5).",
        ),
        Misconception(
            "winners_not_shared",
            lambda z: (z == z.amax(dim=-1, keepdim=True)).float(),
            "In a tie each winner gets 1, so the row sums to 2. The winners must share the 1.",
        ),
        Misconception(
            "an_index",
            lambda z: z.argmax(dim=-1),
            "That is the index of the largest score. What softmax approaches is a vector with one entry per score.",
        ),
        Misconception(
            "largest_of_the_batch",
            lambda z: (z == z.max()).float() / (z == z.max()).sum(),
            "You look for one maximum in the whole batch: every row has its own.",
        ),
        Misconception(
            "a_row_without_a_winner",
            lambda z: (z == z.max()).float() / (z == z.max()).sum(dim=-1, keepdim=True),
            "z.max() is the largest score of the whole batch, and a row that does not have it becomes 0/0. Every row has "
            "its own maximum.",
        ),
        Misconception(
            "down_the_columns",
            lambda z: (z == z.amax(dim=0)) / (z == z.amax(dim=0)).sum(dim=0),
            "You look for the largest of each column. Each row is one vector: work along the last dimension.",
        ),
        Misconception(
            "nearly_equal_shared",
            lambda z: torch.softmax(z / 0.01, dim=-1),
            "Scores that only nearly equal the largest one share with it: a cold softmax, or a comparison with a tolerance. "
            "Only exactly equal scores share: compare with ==.",
        ),
        Misconception(
            "plain_softmax",
            lambda z: torch.softmax(z, dim=-1),
            "This is softmax at temperature 1: smooth, with every entry above 0. The exercise asks for its limit for T "
            "→ 0.",
        ),
        Misconception(
            "values_instead_of_shares",
            lambda z: torch.where(z == z.amax(dim=-1, keepdim=True), z, 0.0),
            "You keep the largest score itself. The winner gets 1, whatever its score.",
        ),
    ),
    hints=(
        "Mark the winners first: z == z.amax(dim=-1, keepdim=True).",
        "Then divide by the number of winners in each row.",
    ),
)

EXERCISES = (SOFTMAX, ARGMAX)
