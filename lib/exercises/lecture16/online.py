"""Exercises of notebook 16: the online softmax, which never sees all scores at once."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case

Part = tuple[float, float, Tensor]
"""Largest score m, sum of exp(s - m), and the values weighted with the same exponentials."""


# --- online.log_sum_exp -----------------------------------------------------------------------------------------------
def log_sum_exp(chunks: Sequence[Sequence[float]]) -> float:
    """log of the sum of exp over all numbers of all chunks, one chunk at a time (Milakov and Gimelshein 2018)."""
    largest, total = -math.inf, 0.0
    for chunk in chunks:
        new = max(largest, *chunk)
        total = total * math.exp(largest - new) + sum(math.exp(score - new) for score in chunk)
        largest = new
    return largest + math.log(total)


def _streams(generator):
    drawn = (3 * torch.randn(12, generator=generator)).tolist()
    return [
        case("two chunks", [[1.0, 2.0], [3.0, 0.5]]),
        case("the largest score first", [[5.0, 1.0], [0.0, 2.0], [1.5]]),
        case("twelve numbers in chunks of four", [drawn[:4], drawn[4:8], drawn[8:]]),
        case("one chunk of one", [[-2.5]]),
        case("scores of a thousand", [[1000.0, 999.0], [1001.0]]),
        case("very negative scores", [[-1000.0], [-1002.0, -1001.0]]),
    ]


def _of(scores):
    top = max(scores)
    return top + math.log(sum(math.exp(score - top) for score in scores))


def _never_rescaled(chunks):
    largest, total = -math.inf, 0.0
    for chunk in chunks:
        largest = max(largest, *chunk)
        total += sum(math.exp(score - largest) for score in chunk)
    return largest + math.log(total)


def _rescaled_the_wrong_way(chunks):
    largest, total = chunks[0][0], 0.0
    for chunk in chunks:
        new = max(largest, *chunk)
        total = total * math.exp(min(new - largest, 700)) + sum(math.exp(score - new) for score in chunk)
        largest = new
    return largest + math.log(total)


LOG_SUM_EXP = Exercise(
    id="online.log_sum_exp",
    slides=("W13", "T48"),
    points=3,
    minutes=12,
    title="A running log-sum-exp",
    reference=log_sum_exp,
    cases=_streams,
    accepts=(
        lambda chunks: _of([_of(chunk) for chunk in chunks]),
        lambda chunks: torch.logsumexp(
            torch.tensor([s for chunk in chunks for s in chunk], dtype=torch.float64), 0
        ).item(),
    ),
    withheld=("lib.kernels.softmax.logsumexp",),
    misconceptions=(
        Misconception(
            "never_rescaled",
            _never_rescaled,
            "At a larger score, the sum so far still refers to the old maximum: multiply it by exp(old − new).",
        ),
        Misconception(
            "rescaled_the_wrong_way",
            _rescaled_the_wrong_way,
            "You multiply the old sum by exp(new − old), which enlarges it. It must shrink: exp(old − new) ≤ 1.",
        ),
        Misconception(
            "sum_of_chunks",
            lambda chunks: sum(_of(chunk) for chunk in chunks),
            "You add the log-sum-exps of the chunks. Sums of exponentials can be added; their logarithms cannot.",
        ),
        Misconception(
            "last_chunk",
            lambda chunks: _of(chunks[-1]),
            "Your result depends only on the last chunk: keep the sum of the earlier chunks.",
        ),
        Misconception(
            "maximum",
            lambda chunks: max(max(chunk) for chunk in chunks),
            "That is the maximum. The logarithm of the sum of exp(score − maximum) is missing.",
        ),
        Misconception(
            "maximum_forgotten",
            lambda chunks: _of([s for chunk in chunks for s in chunk]) - max(max(chunk) for chunk in chunks),
            "You subtracted the maximum before the exponential and did not add it again at the end.",
        ),
        Misconception(
            "mean",
            lambda chunks: _of([s for chunk in chunks for s in chunk]) - math.log(sum(map(len, chunks))),
            "You divide by the number of scores: the exercise asks for a sum, not a mean.",
        ),
    ),
    hints=(
        "Keep two numbers: the largest score so far and the sum of exp(score − largest).",
        "new = max(largest, *chunk); total = total · exp(largest − new) + Σ exp(score − new). Begin with −inf and 0.",
    ),
)


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
    def draw(n, m, shift=0.0):
        scores, values = torch.randn(n + m, generator=generator), torch.randn(n + m, 3, generator=generator)
        scores[n:] += shift
        return _part(scores[:n], values[:n]), _part(scores[n:], values[n:])

    return [
        case("four scores and three", *draw(4, 3)),
        case("the second part has the larger score", *draw(3, 3, 4.0)),
        case("the first part has the larger score", *draw(3, 5, -4.0)),
        case("the first part is empty", *draw(0, 4)),
        case("maxima a thousand apart", *draw(2, 2, 1000.0)),
    ]


def _scaled(one, other, a, b):
    return max(one[0], other[0]), a * one[1] + b * other[1], a * one[2] + b * other[2]


def _factor(part, other):
    return math.exp(part[0] - max(part[0], other[0]))


MERGE = Exercise(
    id="online.merge",
    slides=("C20", "T48"),
    points=4,
    minutes=15,
    title="Merging two parts of an attention row",
    reference=merge,
    cases=_parts,
    accepts=(lambda one, other: list(_scaled(one, other, _factor(one, other), _factor(other, one))),),
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
            "already_divided",
            lambda one, other: (*merge(one, other)[:2], merge(one, other)[2] / merge(one, other)[1]),
            "You divide too early. Merge the parts without dividing; divide by the sum once, at the very end.",
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

EXERCISES = (LOG_SUM_EXP, MERGE)
