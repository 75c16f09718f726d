"""A running log-sum-exp: an exercise of `online`."""

import math
from collections.abc import Sequence

import torch

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case


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
        case("the largest in the middle", [[0.5, -1.0], [2.0, 4.0, 3.0], [1.0]]),
        case("first far below, then far above", [[-5000.0, -4999.0], [5000.0, 4999.0]]),
        case("first far above, then far below", [[5000.0, 4999.0], [-5000.0]]),
        case("equal scores", [[2.0, 2.0], [2.0]]),
        case("one chunk of very negative scores", [[-3000.0, -3000.5]]),
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


def _one_by_one(chunks):
    total = -math.inf
    for score in (score for chunk in chunks for score in chunk):
        high, low = max(total, score), min(total, score)
        total = high + math.log1p(math.exp(low - high))
    return total


def _never_below_zero(chunks):
    largest, total = 0.0, 0.0
    for chunk in chunks:
        new = max(largest, *chunk)
        total = total * math.exp(largest - new) + sum(math.exp(score - new) for score in chunk)
        largest = new
    return largest + math.log(total)


def _first_maximum(chunks):
    largest = max(chunks[0])
    return largest + math.log(sum(math.exp(score - largest) for chunk in chunks for score in chunk))


LOG_SUM_EXP = Exercise(
    id="online.log_sum_exp",
    slides=("W13", "T48"),
    points=3,
    minutes=12,
    title="A running log-sum-exp",
    reference=log_sum_exp,
    cases=_streams,
    tolerance=Tolerance(rtol=1e-6, atol=1e-5),  # of float32, with scores in the thousands
    accepts=(
        lambda chunks: _of([_of(chunk) for chunk in chunks]),
        lambda chunks: torch.logsumexp(
            torch.tensor([s for chunk in chunks for s in chunk], dtype=torch.float64), 0
        ).item(),
        _one_by_one,
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
            "no_maximum",
            lambda chunks: math.log(sum(math.exp(score) for chunk in chunks for score in chunk)),
            "exp(1000) is no float any more, and exp(−1000) is 0: subtract the largest score before the exponential.",
        ),
        Misconception(
            "no_maximum_in_torch",
            lambda chunks: torch.tensor([s for chunk in chunks for s in chunk]).exp().sum().log().item(),
            "exp(1000) is infinite and exp(−1000) is 0: subtract the largest score first, and add it again at the end.",
        ),
        Misconception(
            "begins_at_zero",
            _never_below_zero,
            "Your maximum begins at 0. If all scores are far below, every exponential is 0: what is below all scores?",
        ),
        Misconception(
            "first_maximum_kept",
            _first_maximum,
            "You keep the first chunk's maximum. A later score may lie far above it, and its exponential overflows.",
        ),
        Misconception(
            "base_two",
            lambda chunks: _of([s for chunk in chunks for s in chunk]) / math.log(2),
            "This is the logarithm to base 2. The exercise asks for the natural one, the inverse of exp.",
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
