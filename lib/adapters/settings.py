"""What a LoRA adapter is: its rank, its scale, and the matrices that it goes to."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

from lib import checks
from lib.names import nearest


@dataclass(frozen=True)
class LoraSettings:
    """Where low-rank changes go and how large they are.

    `rank_pattern` and `alpha_pattern` are peft's: another rank or alpha for some of the targets, by a regular
    expression for the name, or for the end of it after a dot; the first that fits counts.
    Raises ValueError or TypeError for a field that makes no sense.

    >>> LoraSettings(rank=0)
    Traceback (most recent call last):
    ValueError: rank must be at least 1, got 0
    """

    rank: int = 8  # r: columns of B, rows of A
    alpha: float | int = 16.0  # ΔW = α/r · BA, so that the learning rate need not change with r
    targets: tuple[str, ...] = ("q", "v")  # names or patterns, see `select_targets`
    rslora: bool = False  # α/√r instead (Kalajdzievski 2023): keeps the size of the change at high ranks
    dropout: float = 0.0  # share of the inputs of A that is dropped in train()
    rank_pattern: Mapping[str, int] = field(default_factory=dict, hash=False)  # {"down": 4}
    alpha_pattern: Mapping[str, float | int] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rank", checks.whole("rank", self.rank))
        object.__setattr__(self, "targets", tuple(checks.strings("targets", self.targets)))
        checks.positive("alpha", self.alpha)
        checks.instance("rslora", self.rslora, bool)
        checks.share("dropout", self.dropout, "[0, 1)")
        if not self.targets or not all(self.targets):
            raise ValueError(f"targets must hold at least one pattern and no empty one, got {self.targets!r}")
        for name, check in (("rank_pattern", checks.whole), ("alpha_pattern", checks.positive)):
            given = checks.instance(name, getattr(self, name), Mapping)
            read = {_pattern(name, key): check(f"{name}[{key!r}]", value) for key, value in given.items()}
            object.__setattr__(self, name, read)

    @property
    def scale(self) -> float:
        """s in ΔW = s BA, where no pattern says otherwise.

        >>> LoraSettings(rank=4, alpha=8).scale, LoraSettings(rank=4, alpha=8, rslora=True).scale
        (2.0, 4.0)
        """
        return self.scale_of("")

    def rank_of(self, target: str) -> int:
        """The rank for the target of this name.

        >>> LoraSettings(rank=4, rank_pattern={"down": 2}).rank_of("blocks.0.feed_forward.down")
        2
        """
        return _first(self.rank_pattern, target, self.rank)

    def scale_of(self, target: str) -> float:
        """s in ΔW = s BA of the target of this name."""
        rank = self.rank_of(target)
        return _first(self.alpha_pattern, target, self.alpha) / (sqrt(rank) if self.rslora else rank)

    def require_patterns(self, targets: Iterable[str]) -> None:
        """Raise ValueError for a rank or alpha pattern that fits none of these targets."""
        known = list(targets)
        for name in ("rank_pattern", "alpha_pattern"):
            for key in getattr(self, name):
                if not any(_fits(key, target) for target in known):
                    raise ValueError(f"{name}: {key!r} fits none of the targets; {nearest(key, known, most=3)}")


def _fits(pattern: str, target: str) -> bool:
    return re.match(rf"(.*\.)?({pattern})$", target) is not None


def _first(patterns: Mapping[str, Any], target: str, default: Any) -> Any:
    return next((value for key, value in patterns.items() if _fits(key, target)), default)


def _pattern(name: str, key: object) -> str:
    checks.strings(name, [key])
    try:
        re.compile(f"({key})$")
    except re.error as error:
        raise ValueError(f"{name} must have regular expressions for keys, got {key!r}: {error}") from None
    return key
