"""Exercise of notebook 17: the least time of attention in tiles, from its operations and its bytes."""

import math

import torch

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- traffic.least_seconds ----------------------------------------------------------------------------------------------
def least_seconds(T: int, d_k: int, rows: int, peak: float, bandwidth: float) -> float:
    """max(operations / peak, bytes / bandwidth) of one head in tiles of `rows` queries (Williams et al. 2009)."""
    blocks = -(-T // rows)
    numbers = 2 * T * d_k + blocks * 2 * T * d_k
    return max(4 * T**2 * d_k / peak, 2 * numbers / bandwidth)


def _machines(generator):
    def draw(low, high):
        return int(torch.randint(low, high, (1,), generator=generator))

    A100, cpu = (312e12, 2e12), (50e9, 20e9)
    return [
        case("waits for arithmetic", 4096, 64, 512, *A100),
        case("waits for memory", 4096, 64, 64, *A100),
        case("a CPU", 1024, 64, 128, *cpu),
        case("waits for memory, the last block not full", 1000, 32, 64, *A100),
        case("waits for memory, six queries in the last block", 1030, 64, 64, *A100),
        case("intensity a little below the balance", 1000, 64, 125, 111.9e12, 1e12),
        case("intensity a little above the balance", 1000, 64, 125, 111.05e12, 1e12),
        case("one block holds all queries", 128, 64, 128, 1e15, 1e12),
        case("a block larger than the text", 100, 64, 128, 1e15, 1e12),
        case("a query at a time", 64, 16, 1, 1e12, 1e11),
        case("one token", 1, 8, 4, 1e12, 1e9),
        case(
            "a random machine",
            draw(500, 5000),
            32 * draw(1, 5),
            16 * draw(1, 9),
            1e12 * draw(100, 900),
            1e12 * draw(1, 5),
        ),
    ]


def _wrong(*, blocks=None, numbers=None, size=2, operations=4, join=max):
    """An answer with one thing wrong."""

    def answer(T, d_k, rows, peak, bandwidth):
        count = (blocks or (lambda T, rows: math.ceil(T / rows)))(T, rows)
        moved = (numbers or (lambda T, d_k, count, rows: 2 * T * d_k + count * 2 * T * d_k))(T, d_k, count, rows)
        return join(operations * T**2 * d_k / peak, size * moved / bandwidth)

    return answer


def _rate(T, d_k, rows, peak, bandwidth):
    return 4 * T**2 * d_k / least_seconds(T, d_k, rows, peak, bandwidth)


def _full_blocks(T, d_k, rows, peak, bandwidth):
    return least_seconds(-(-T // rows) * rows, d_k, rows, peak, bandwidth)


def _causal_pairs(T, d_k, rows, peak, bandwidth):
    return max(2 * T * (T + 1) * d_k / peak, 4 * T * d_k * (1 + -(-T // rows)) / bandwidth)


LEAST_SECONDS = Exercise(
    id="traffic.least_seconds",
    slides=("C20",),
    points=4,
    minutes=15,
    title="The least time of attention in tiles",
    reference=least_seconds,
    cases=_machines,
    tolerance=Tolerance(atol=0.0),  # seconds may be very few
    accepts=(
        lambda T, d_k, rows, peak, bandwidth: max(
            4 * T * T * d_k / peak, sum(4 * T * d_k for _ in range(0, T, rows)) / bandwidth + 4 * T * d_k / bandwidth
        ),
        lambda T, d_k, rows, peak, bandwidth: (
            4 * T * d_k * sorted([T / peak, (1 + (T + rows - 1) // rows) / bandwidth])[-1]
        ),
    ),
    misconceptions=(
        Misconception(
            "added",
            _wrong(join=lambda a, b: a + b),
            "You add the two times. Computing and moving may overlap, so the lower bound is the longer of the two.",
        ),
        Misconception(
            "shorter",
            _wrong(join=min),
            "You take the shorter of the two times. The computation cannot end before the slower of its two parts has.",
        ),
        Misconception(
            "only_operations",
            _wrong(join=lambda a, b: a),
            "Only the operations count in your answer. What if the memory is the limit?",
        ),
        Misconception(
            "only_bytes",
            _wrong(join=lambda a, b: b),
            "Only the bytes count in your answer. What if the arithmetic is the limit?",
        ),
        Misconception(
            "numbers_for_bytes",
            _wrong(size=1),
            "You count numbers. Each of them has 2 bytes here.",
        ),
        Misconception(
            "four_bytes",
            _wrong(size=4),
            "You count 4 bytes per number. Here it is 2.",
        ),
        Misconception(
            "keys_and_values_once",
            _wrong(numbers=lambda T, d_k, count, rows: 4 * T * d_k),
            "You read K and V once. Every block of queries reads all of them again.",
        ),
        Misconception(
            "only_keys",
            _wrong(numbers=lambda T, d_k, count, rows: 2 * T * d_k + count * T * d_k),
            "Each block reads K and V: that is 2 T d_k numbers, not T d_k.",
        ),
        Misconception(
            "one_of_them_once",
            _wrong(numbers=lambda T, d_k, count, rows: 3 * T * d_k + count * T * d_k),
            "You read one of K and V only once. Each block reads both.",
        ),
        Misconception(
            "queries_every_time",
            _wrong(numbers=lambda T, d_k, count, rows: count * 4 * T * d_k),
            "You move all of Q and O for every block. Over all blocks together, each row of Q and of O moves once.",
        ),
        Misconception(
            "without_q_and_o",
            _wrong(numbers=lambda T, d_k, count, rows: count * 2 * T * d_k),
            "Q is read and O is written as well, T d_k numbers each.",
        ),
        Misconception(
            "result_not_written",
            _wrong(numbers=lambda T, d_k, count, rows: T * d_k + count * 2 * T * d_k),
            "One of Q and O is missing: Q is read, and O is written, T d_k numbers each.",
        ),
        Misconception(
            "scores_stored",
            _wrong(numbers=lambda T, d_k, count, rows: 4 * T * T + 4 * T * d_k),
            "This is what the plain way moves. In tiles no scores cross to slow memory.",
        ),
        Misconception(
            "scores_too",
            _wrong(numbers=lambda T, d_k, count, rows: (2 + 2 * count) * T * d_k + T * T),
            "You add the scores. In tiles they never cross to slow memory.",
        ),
        Misconception(
            "scores_too_both_ways",
            _wrong(numbers=lambda T, d_k, count, rows: (2 + 2 * count) * T * d_k + 2 * T * T),
            "You add scores that are written and read. In tiles they never leave fast memory.",
        ),
        Misconception(
            "rounded_down",
            _wrong(blocks=lambda T, rows: T // rows),
            "You round the number of blocks down. A last block that is not full reads K and V too.",
        ),
        Misconception(
            "rounded_to_nearest",
            _wrong(blocks=lambda T, rows: round(T / rows)),
            "You round the number of blocks to the nearest. Even a last block of a few queries reads K and V: round up.",
        ),
        Misconception(
            "rounded_down_to_one",
            _wrong(blocks=lambda T, rows: max(1, T // rows)),
            "You round the number of blocks down, though not to 0. A last block that is not full reads K and V too.",
        ),
        Misconception(
            "last_as_full",
            _full_blocks,
            "You count the last block as if it were full. Only its queries are there: T rows of Q, K, V and O, and T² pairs.",
        ),
        Misconception(
            "fractions_of_blocks",
            _wrong(blocks=lambda T, rows: T / rows),
            "Your number of blocks is a fraction. A last block that is not full reads all of K and V: round up.",
        ),
        Misconception(
            "one_block_too_many",
            _wrong(blocks=lambda T, rows: T // rows + 1),
            "Where the blocks are all full you count one too many: round up instead of adding one.",
        ),
        Misconception(
            "rows_for_blocks",
            _wrong(blocks=lambda T, rows: rows),
            "You multiply by the rows of a block. How many blocks are there?",
        ),
        Misconception(
            "half_the_operations",
            _wrong(operations=2),
            "You count half of the operations. A multiplication and an addition, in two matrix products, make 4 T² d_k.",
        ),
        Misconception(
            "causal_pairs",
            _causal_pairs,
            "You count the pairs that a causal mask leaves. Here is no mask: all T² of them.",
        ),
        Misconception(
            "a_rate",
            _rate,
            "Your number is operations per second. Asked for are the seconds.",
        ),
        Misconception(
            "limits_swapped",
            lambda T, d_k, rows, peak, bandwidth: least_seconds(T, d_k, rows, bandwidth, peak),
            "You divide the operations by the bandwidth, or the bytes by the peak: swap them.",
        ),
        Misconception(
            "milliseconds",
            lambda *all: 1000 * least_seconds(*all),
            "Your times are a thousand times too long: seconds are asked for.",
        ),
    ),
    hints=(
        "Work out two times first: one from the operations and the peak, one from the bytes and the bandwidth.",
        "How many blocks of queries are there if the last may be smaller? Each reads how many numbers of K and V?",
        "Do not forget what is moved only once, and that you are asked for bytes.",
    ),
)

EXERCISES = (LEAST_SECONDS,)
