"""The report on a whole class, for its instructor: points, exercises, misconceptions, near-identical answers.

It names students, so it is for the instructor only. Like a student's page it is one file without scripts.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.grading.reports.item_analysis import ItemAnalysis, analyse
from lib.grading.reports.own_source import Copied, copied_from, known_shapes
from lib.grading.reports.pages import SIGNS, render
from lib.grading.reports.similarity import Group, groups, pieces_of

if TYPE_CHECKING:
    from markupsafe import Markup

    from lib.grading.assignment.item import Item
    from lib.grading.results.gradebook import Gradebook

MAX_PICTURED = 12  # mistakes in the picture; the tables have all
_ELSEWHERE = ("right", "wrong", "manual", "unreadable", "not submitted")  # statuses reported in other sections
_ANSWERED = ("right", "wrong", "time up", "crashed")


@dataclass(frozen=True)
class Points:
    """The distribution of points among the students who handed in something."""

    students: int
    mean: float
    quartiles: tuple[float, float, float]
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    picture: "Markup"


@dataclass(frozen=True)
class Alike:
    """A group of students with nearly the same answer to one exercise, and its statuses."""

    item: "Item"
    group: Group
    statuses: tuple[str, ...]
    same_text: bool  # character for character


def class_page(book: "Gradebook") -> str:
    """The report as HTML; the same gradebook gives the same text."""
    analyses = tuple(analyse(book, item) for item in book.items)
    handed_in = _handed_in(book)
    return render(
        "class.html",
        book=book,
        handed_in=handed_in,
        absent=tuple(student for student in book.students if student not in set(handed_in)),
        awaited=sum(book.awaits(student, item) for item in book.items for student in book.students),
        points=_points(book, handed_in),
        analyses=analyses,
        statuses=tuple(status for status in SIGNS if any(status in each.counts for each in analyses)),
        outcomes=_outcomes(analyses) if book.students else None,
        mistakes=_mistakes(analyses),
        alike=tuple(_alike(book)),
        copied=tuple(_copied(book)),
        unread=tuple(result for result in _results(book) if result["problem"]),
        noted=tuple(result for result in _results(book) if result["notes"]),
        without=tuple(_without_answer(book)),
    )


def _handed_in(book: "Gradebook") -> tuple[str, ...]:
    some = {student for student, _ in book.results}
    return tuple(student for student in book.students if student in some)


def _results(book: "Gradebook") -> Iterator[dict]:
    notebooks = tuple(dict.fromkeys(item.notebook for item in book.items))
    for student in book.students:
        found = (book.results.get((student, notebook)) for notebook in notebooks)
        yield from (result for result in found if result)


def _points(book: "Gradebook", students: Sequence[str]) -> Points | None:
    """The distribution of points; None if nobody handed in anything, or nothing has points."""
    if not students or not book.out_of > 0:
        return None
    totals = [float(book.total(student)) for student in students]
    edges = _edges(book.out_of)
    counts = [0] * (len(edges) - 1)
    for points in totals:
        counts[_bin(points, edges)] += 1
    quartiles = statistics.quantiles(totals, n=4, method="inclusive") if len(totals) > 1 else totals * 3
    from lib.grading.reports.pictures import histogram

    picture = histogram(edges, counts, book.out_of)
    return Points(len(totals), statistics.fmean(totals), tuple(quartiles), edges, tuple(counts), picture)


def _edges(out_of: int | float) -> tuple[float, ...]:
    """The edges of the histogram's bins, from 0 to all points or a little more, in at most twelve round steps."""
    steps = (base * 10.0**power for power in range(-6, 7) for base in (1, 2, 2.5, 5))
    step = next(step for step in steps if out_of <= 12 * step)
    bins = math.ceil(out_of / step - 1e-9)
    return tuple(step * number for number in range(bins + 1))


def _bin(points: float, edges: Sequence[float]) -> int:
    """The number of the bin; a bin includes its left edge, the last bin both edges."""
    return max(0, min(sum(points >= edge - 1e-9 for edge in edges) - 1, len(edges) - 2))


def _outcomes(analyses: Sequence[ItemAnalysis]) -> "Markup | None":
    from lib.grading.reports.pictures import outcomes

    names = [each.item.exercise for each in analyses]
    return outcomes(names, [each.counts for each in analyses]) if names else None


def _mistakes(analyses: Sequence[ItemAnalysis]) -> "Markup | None":
    """A picture of the most frequent known mistakes of all exercises; None if there are none."""
    from lib.grading.reports.pictures import mistakes

    made = [(each.item, mistake) for each in analyses for mistake in each.mistakes if mistake.name]
    made.sort(key=lambda pair: (-len(pair[1].students), pair[0].exercise, pair[1].name))
    shown = made[:MAX_PICTURED]
    names = [f"{item.exercise}: {mistake.name}" for item, mistake in shown]
    return mistakes(names, [len(mistake.students) for _, mistake in shown]) if shown else None


def _answers(book: "Gradebook", item: "Item") -> dict[str, dict]:
    """The entry of each student who wrote an answer that can be compared."""
    entries = ((student, book.entry(student, item)) for student in book.students)
    return {s: e for s, e in entries if e and e["status"] in _ANSWERED and e.get("shape")}


def _alike(book: "Gradebook") -> Iterator[Alike]:
    for item in book.items:
        entries = _answers(book, item)
        if len(entries) > 1:
            shapes = {student: pieces_of(each["shape"], _helper_shapes(each)) for student, each in entries.items()}
            for group in groups(shapes, known_shapes(item)):
                texts = {_text(entries[student]) for student in group.students}
                statuses = tuple(sorted({entries[student]["status"] for student in group.students}))
                yield Alike(item, group, statuses, len(texts) == 1)


def _helpers(entry: dict) -> list[dict]:
    """The functions that an answer calls, without those that answer other exercises: these are compared there."""
    from lib.grading.judging.grader import answer_names

    others = set(answer_names().values())
    return [each for each in entry.get("helpers", ()) if each["name"] not in others]


def _helper_shapes(entry: dict) -> list[list[str]]:
    return [each["shape"] for each in _helpers(entry)]


def _text(entry: dict) -> tuple[str, ...]:
    return (entry.get("answer", ""), *(each["source"] for each in _helpers(entry)))


def _copied(book: "Gradebook") -> "Iterator[tuple[Item, str, Copied]]":
    for item in book.items:
        for student, entry in _answers(book, item).items():
            shapes = pieces_of(entry["shape"], _helper_shapes(entry))
            texts = _text(entry)
            sources = [*texts, "\n".join(texts)] if len(texts) > 1 else texts
            found = (copied_from(*piece) for piece in zip(shapes, sources, strict=True))
            if first := next(filter(None, found), None):
                yield item, student, first


def _without_answer(book: "Gradebook") -> "Iterator[tuple[Item, str, tuple[str, ...]]]":
    """For each exercise and status without an answer that could be checked, the students."""
    for item in book.items:
        who: dict[str, list[str]] = {}
        for student in book.students:
            who.setdefault(book.status(student, item), []).append(student)
        for status in sorted(who.keys() - set(_ELSEWHERE)):
            yield item, status, tuple(who[status])
