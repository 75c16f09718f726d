"""Which function recomputes which claim: functions register themselves under the claim's id."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Measured:
    """A recomputed value, and further measurements in words."""

    value: object  # a bool, a number, a string, or a tuple of these
    detail: str = ""


_RECOMPUTE: dict[str, Callable[[], object]] = {}


def recompute(claim_id: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Register a function without arguments as the recomputation of one claim.

    The function returns a bool, a number, a string, or a tuple of these, wrapped in `Measured` to add a detail.
    Raises ValueError if the claim already has a function.
    """

    def register(function: Callable[[], object]) -> Callable[[], object]:
        if claim_id in _RECOMPUTE:
            raise ValueError(f"claim_id {claim_id!r} has two functions that recompute it")
        _RECOMPUTE[claim_id] = function
        return function

    return register


@cache
def recomputations() -> dict[str, Callable[[], object]]:
    """All registered functions by claim id; the first call imports the modules of `lib.slides.recomputed`."""
    package = importlib.import_module("lib.slides.recomputed")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(_RECOMPUTE)
