"""Which of the three eras of slides N21, N32 and N46 a model's size belongs to."""

from __future__ import annotations

from functools import cache

from lib.slides.sizes import SizeRange, parse_range
from lib.slides.tables import load_table


@cache
def era_ranges() -> dict[str, SizeRange]:
    """The range of model sizes (parameters) of each era, in the order of the slides.

    >>> list(era_ranges())
    ['Specialized DL', 'Transfer DL', 'LLMs']
    """
    return {row.era: parse_range(row.model_size) for row in load_table("eras").itertuples()}


def classify_era(parameters: int | float) -> str | None:
    """The era whose printed range contains this number of parameters, or None, as the ranges leave gaps.

    Raises ValueError unless `parameters` is positive and finite.

    >>> classify_era(110e6), classify_era(1.5e9)
    ('Transfer DL', None)
    """
    if not 0 < parameters < float("inf"):
        raise ValueError(f"parameters must be a positive number, got {parameters!r}")
    return next((era for era, sizes in era_ranges().items() if parameters in sizes), None)
