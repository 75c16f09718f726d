"""One exercise of an assignment."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One exercise of the assignment, as it is graded."""

    notebook: str  # file name in the release
    exercise: str  # id
    title: str
    slides: tuple[str, ...]
    points: int | float  # at most
    manual: bool = False  # a written answer: a person gives the points
