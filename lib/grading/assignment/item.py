"""One exercise of an assignment."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One graded exercise of an assignment."""

    notebook: str  # file name in the release
    exercise: str  # id
    title: str
    slides: tuple[str, ...]
    points: int | float  # the maximum
    manual: bool = False  # a written answer: a person gives the points
