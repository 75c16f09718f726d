"""One line of `course bench`: what was measured, ours, theirs, and what the ratio should be."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter


@dataclass(frozen=True)
class BenchRow:
    """A measurement of ours beside a named peer's, in the same unit and from the same run.

    >>> BenchRow("time", ours=1.0, theirs=2.0, ratio=0.5, target=1.0, unit="s", threads=1).met
    True
    """

    name: str  # what was measured, and against whom
    ours: float  # in `unit`
    theirs: float  # in `unit`
    ratio: float  # the number that is held against the target
    target: float  # the ratio to reach
    unit: str  # of `ours` and `theirs`
    threads: int  # that PyTorch used
    higher_is_better: bool = False  # a speed-up is to be high, a share of time or memory low

    @property
    def met(self) -> bool:
        """Whether the ratio reaches its target."""
        return self.ratio >= self.target if self.higher_is_better else self.ratio <= self.target


def speed_row(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], *, target: float, threads: int, repeats: int
) -> BenchRow:
    """How many times as fast `ours` is as `theirs`: medians of `repeats` runs in turns, in milliseconds.

    The two alternate, so that a busy moment slows both; a first run of each, which pays for what is loaded late, is
    not counted. Raises ValueError for fewer than one repeat.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    times: dict[Callable, list[float]] = {ours: [], theirs: []}
    for call in times:
        call()
    for _ in range(repeats):
        for call, taken in times.items():
            start = perf_counter()
            call()
            taken.append((perf_counter() - start) * 1e3)
    our_time, their_time = (median(taken) for taken in times.values())
    return BenchRow(name, our_time, their_time, their_time / our_time, target, "ms", threads, higher_is_better=True)
