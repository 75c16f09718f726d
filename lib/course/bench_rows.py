"""One line of `course bench`: what was measured, ours, theirs, and what the ratio should be."""

from dataclasses import dataclass


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
