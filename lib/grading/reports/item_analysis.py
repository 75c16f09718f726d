"""Item analysis of a class's results: difficulty, discrimination and mistakes of each exercise."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lib.grading.assignment.item import Item
    from lib.grading.results.gradebook import Gradebook

_NOT_SEEN = ("not submitted", "unreadable")
UNRECOGNISED = ""


@dataclass(frozen=True)
class Mistake:
    """Students with the same known mistake in one exercise; wrong answers without a known mistake come last."""

    name: str  # empty: not recognised
    hint: str
    students: tuple[str, ...]
    share: float  # of the students whose answer could be read


@dataclass(frozen=True)
class ItemAnalysis:
    """One exercise over the whole class."""

    item: "Item"
    counts: dict[str, int]  # students by status
    seen: int  # students whose file could be read
    difficulty: float | None  # mean share of the points among them; None if there are none
    discrimination: float | None
    undefined: str  # why there is no discrimination; empty if there is one
    mistakes: tuple[Mistake, ...]


def analyse(book: "Gradebook", item: "Item") -> ItemAnalysis:
    """Difficulty, discrimination and mistakes of one exercise.

    Difficulty is the mean share of the points, among students whose file could be read and whose points are known.
    Discrimination is the correlation of this share with the points on everything else (corrected item-total
    correlation, point-biserial where answers are right or wrong).
    """
    statuses = {student: book.status(student, item) for student in book.students}
    seen = [student for student, status in statuses.items() if status not in _NOT_SEEN]
    marked = [student for student in seen if not book.awaits(student, item)]
    scores = [score(book, student, item) for student in marked]
    others = [_elsewhere(book, student, item) for student in marked]
    discrimination, undefined = correlation(scores, others)
    return ItemAnalysis(
        item,
        dict(Counter(statuses.values())),
        len(seen),
        math.fsum(scores) / len(scores) if scores else None,
        discrimination,
        undefined,
        _mistakes(book, item, seen),
    )


def score(book: "Gradebook", student: str, item: "Item") -> float:
    """The share of an exercise's points that a student has; for practice without points, 1 if it is right, else 0."""
    if item.points > 0:
        return book.points(student, item) / item.points
    return float(book.status(student, item) == "right")


def _elsewhere(book: "Gradebook", student: str, item: "Item") -> float:
    """The points on all other exercises."""
    return math.fsum(book.points(student, other) for other in book.items if other != item)


def correlation(scores: Sequence[int | float], others: Sequence[int | float]) -> tuple[float | None, str]:
    """Pearson's correlation of two lists, or None and the reason why there is none.

    >>> correlation([0, 0, 1, 1], [1, 2, 3, 4])
    (0.8944271909999159, '')
    >>> correlation([1, 1, 1], [1, 2, 3])
    (None, 'all students have full points')

    Raises ValueError for lists of different lengths.
    """
    if len(scores) != len(others):
        raise ValueError(f"scores and others must have the same length, got {len(scores)} and {len(others)}")
    if len(scores) < 3:
        return None, "fewer than three students"
    if len(set(scores)) == 1:
        alike = {0: "all students have 0 points", 1: "all students have full points"}
        return None, alike.get(scores[0], "all students have the same points")
    if len(set(others)) == 1:
        return None, "all students have the same points elsewhere"
    x, y = _centred(scores), _centred(others)
    together = math.fsum(a * b for a, b in zip(x, y))
    return together / math.sqrt(math.fsum(a * a for a in x) * math.fsum(b * b for b in y)), ""


def _centred(values: Sequence[int | float]) -> list[float]:
    mean = math.fsum(values) / len(values)
    return [value - mean for value in values]


def _mistakes(book: "Gradebook", item: "Item", seen: Sequence[str]) -> tuple[Mistake, ...]:
    """The known mistakes of an exercise, the most frequent first; then wrong answers without a known mistake."""
    who: dict[str, list[str]] = {}
    hints: dict[str, str] = {}
    for student in seen:
        entry = book.entry(student, item) or {}
        if entry.get("status") == "wrong" or entry.get("misconception"):
            name = entry.get("misconception", "") or UNRECOGNISED
            who.setdefault(name, []).append(student)
            hints.setdefault(name, entry.get("hint", ""))
    ordered = sorted(who, key=lambda name: (name == UNRECOGNISED, -len(who[name]), name))
    return tuple(Mistake(name, hints[name], tuple(who[name]), len(who[name]) / len(seen)) for name in ordered)
