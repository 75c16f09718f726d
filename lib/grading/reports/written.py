"""The written answers of a class beside the rubric of each question, for the person who gives the points.

It names students and has the model answers, so it is for the instructor only. Like a student's page it is one file
without scripts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.grading.assignment.questions import Question, own_words
from lib.grading.reports.pages import render

if TYPE_CHECKING:
    from lib.grading.assignment.item import Item
    from lib.grading.results.gradebook import Gradebook


@dataclass(frozen=True)
class Answer:
    """What one student has written, and the points so far."""

    student: str
    text: str
    points: str  # as shown


@dataclass(frozen=True)
class Answers:
    """A question with its model answer (None: no lecture has it), and what was answered."""

    item: "Item"
    question: Question | None
    answers: tuple[Answer, ...]
    nothing: tuple[str, ...]  # students who wrote nothing, or handed in nothing


def written_page(book: "Gradebook", questions: Mapping[str, Question]) -> str:
    """The page as HTML, "" where there is no such question; the same gradebook gives the same text."""
    parts = tuple(_answers(book, item, questions.get(item.exercise)) for item in book.items if item.manual)
    return render("written.html", parts=parts) if parts else ""


def _answers(book: "Gradebook", item: "Item", question: Question | None) -> Answers:
    written = tuple(_written(book, item, question))
    some = {answer.student for answer in written}
    return Answers(item, question, written, tuple(student for student in book.students if student not in some))


def _written(book: "Gradebook", item: "Item", question: Question | None) -> Iterator[Answer]:
    for student in book.students:
        if book.status(student, item) == "manual":
            text = own_words((book.entry(student, item) or {}).get("answer", ""), question)
            given = "not yet" if book.awaits(student, item) else f"{book.points(student, item):g}"
            yield Answer(student, text, f"{given} of {item.points:g}")
