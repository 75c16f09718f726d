"""What a test tries: some of it by day, all the rest at night, with `pytest -m nightly`."""

from collections.abc import Iterable
from typing import Any

import pytest


def by_day(first: int, values: Iterable[Any]) -> list[Any]:
    """The `first` of these values for every run, those that follow with the mark `nightly`; for `parametrize`."""
    values = list(values)
    return values[:first] + [pytest.param(*_several(value), marks=pytest.mark.nightly) for value in values[first:]]


def _several(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
