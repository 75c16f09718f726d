"""The bootstrap: how far an estimate would move, had other runs of the same kind been measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from lib import checks
from lib.accounting.arrays import Numbers
from lib.progress import progress as bar

FAILURES = 0.1  # share of resamples that may be unfit before the intervals would say nothing


@dataclass(frozen=True)
class Bootstrap:
    """An estimate of P numbers with a percentile interval for each."""

    estimate: Float[np.ndarray, "P"]  # from all runs
    low: Float[np.ndarray, "P"]
    high: Float[np.ndarray, "P"]
    draws: Float[np.ndarray, "S P"]  # the estimates from resampled runs
    confidence: float
    failures: int  # resamples that could not be fitted and were drawn again

    def contains(self, values: Numbers) -> list[bool]:
        """Whether each interval contains the value at its place.

        >>> bootstrap(np.mean, [[1.0, 2.0, 3.0, 4.0]]).contains([2.5])
        [True]
        """
        values = np.atleast_1d(np.asarray(values, dtype=np.float64))
        checks.shape("values", values, *self.estimate.shape)
        return ((self.low <= values) & (values <= self.high)).tolist()


def bootstrap(
    fit_function: Callable[..., Numbers], data: Sequence[Numbers], *, samples: int = 200, seed: int = 0,
    confidence: float = 0.95, progress: bool = False,
) -> Bootstrap:  # fmt: skip
    """Percentile intervals of whatever `fit_function(*data)` estimates, from runs drawn with replacement.

    `data` are equally long columns; a run is one row of all of them, so that seeds of one setting are drawn
    apart. `fit_function` gets the columns of as many drawn rows and returns a number or a row of numbers; a
    ValueError from it (all N drawn alike) counts as a failure and the rows are drawn again. The percentile
    interval is simple and invariant under monotone transforms; with few runs (below about 20) it is too
    narrow.

    Raises ValueError for no columns or ones that differ in length, fewer than two samples, a confidence
    outside (0, 1), an estimate that is not finite, or if more than a tenth of the resamples fail.

    >>> drawn = bootstrap(lambda x: x.mean(), [np.arange(100.0)], samples=500)
    >>> float(drawn.estimate[0]), bool(40 < drawn.low[0] < 49.5 < drawn.high[0] < 60)
    (49.5, True)
    """
    checks.share("confidence", confidence, "(0, 1)")
    checks.whole("samples", samples, 2)
    arrays = _table(data)
    estimate = _numbers(fit_function(*arrays))
    generator, draws, failures = np.random.default_rng(seed), [], 0
    for _ in bar(range(samples), description="resampling", disable=not progress):
        while (drawn := _resampled(fit_function, arrays, generator)) is None:
            failures += 1
            if failures > FAILURES * samples:
                raise ValueError(f"fit_function failed on {failures} of {failures + len(draws)} resamples")
        draws.append(drawn)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return Bootstrap(estimate, low, high, np.array(draws), confidence, failures)


def share_by_group(
    hits: Numbers, counts: Numbers, groups: Numbers, *, samples: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """sum(hits) / sum(counts) in per cent, with a 95 % interval for which whole groups are drawn (a cluster bootstrap).

    `hits` and `counts` have a number for each case, `groups` the group of each, say its article: cases of one article
    are alike, and an interval over cases would be too narrow. With few groups (below about 20) so is this one.
    Raises ValueError for columns that differ in length, or where nothing is counted.

    >>> share_by_group([1, 1, 0, 0], [1, 1, 1, 1], [7, 7, 8, 8])
    (50.0, 0.0, 100.0)
    """
    *columns, names = _table([hits, counts, groups])
    _, number = np.unique(names, return_inverse=True)
    sums = [np.bincount(number, column) for column in columns]
    if not sums[1].any():
        raise ValueError("counts must not all be 0")
    with np.errstate(invalid="ignore"):  # 0 / 0 in a resample is drawn again
        drawn = bootstrap(lambda hit, count: 100 * hit.sum() / count.sum(), sums, samples=samples, seed=seed)
    return float(drawn.estimate[0]), float(drawn.low[0]), float(drawn.high[0])


def _table(data: Sequence[Numbers]) -> list[np.ndarray]:
    arrays = [np.asarray(column) for column in data]
    lengths = [array.shape[:1] for array in arrays]
    if not arrays or len(set(lengths)) > 1 or lengths[0] in ((), (0,)):
        raise ValueError(f"data must be columns of one length, at least 1, got lengths {lengths}")
    return arrays


def _resampled(
    fit_function: Callable[..., Numbers], arrays: list[np.ndarray], generator: np.random.Generator
) -> Float[np.ndarray, "P"] | None:
    """The estimate from as many rows, drawn with replacement; None where they cannot be fitted."""
    rows = generator.integers(len(arrays[0]), size=len(arrays[0]))
    try:
        return _numbers(fit_function(*(array[rows] for array in arrays)))
    except ValueError:
        return None


def _numbers(estimate: Numbers) -> Float[np.ndarray, "P"]:
    """The estimate as an array. Raises ValueError where it is no row of finite numbers."""
    row = np.atleast_1d(np.asarray(estimate, dtype=np.float64))
    if row.ndim != 1 or not np.isfinite(row).all():
        raise ValueError(f"fit_function must return a row of finite numbers, got {row}")
    return row
