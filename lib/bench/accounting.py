"""Time limits of the accounting room: a fit of 240 runs from 100 starts, and the counts of every preset."""

from time import perf_counter

import numpy as np

from lib.accounting import chinchilla_loss, fit_loss_surface, parameter_breakdown
from lib.bench.rows import BenchRow
from lib.models import PRESETS

RUNS, STARTS = 240, 100
FIT_LIMIT, COUNT_LIMIT = 10.0, 1.0  # seconds


def rows(threads: int) -> list[BenchRow]:
    """Two times compared with their limits, in seconds, as there is no peer for them."""
    N, D, loss = synthetic_runs(RUNS)
    return [
        _against(f"surface fit, {RUNS} runs, {STARTS} starts", FIT_LIMIT, threads,
                 lambda: fit_loss_surface(N, D, loss, starts=STARTS)),
        _against(f"parameters of all {len(PRESETS)} presets", COUNT_LIMIT, threads,
                 lambda: [parameter_breakdown(config) for config in PRESETS.values()]),
    ]  # fmt: skip


def synthetic_runs(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Synthetic runs on Hoffmann et al.'s surface with 1 % noise: parameters, tokens and losses, each (count,)."""
    draw = np.random.default_rng(seed)
    N, D = 10 ** draw.uniform(7, 10, count), 10 ** draw.uniform(9, 12, count)
    return N, D, chinchilla_loss(N, D) * np.exp(draw.normal(0, 0.01, count))


def _against(name: str, limit: float, threads: int, call) -> BenchRow:
    start = perf_counter()
    call()
    seconds = perf_counter() - start
    return BenchRow(f"{name}, ours / limit", seconds, limit, 1.0, "s", threads)
