"""The questions that a person grades: what is asked, the model answer with its rubric, and a student's own words."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lib import NOTEBOOKS
from lib.errors import CourseError
from lib.grading.assignment.item import Item
from lib.lectures.edition import BEGIN, END, PROMPT, TEXT_BEGIN, TEXT_END, exercise_of, is_written
from lib.lectures.notebooks import load


@dataclass(frozen=True)
class Question:
    """A question as its lecture has it: the text before the place of the answer, and the model answer with its rubric."""

    asked: str
    model: str


def questions(items: Iterable[Item], folder: Path | None = None) -> dict[str, Question]:
    """The questions among `items` by exercise, from the lectures (in `folder`); without those that these do not have."""
    found: dict[str, Question] = {}
    manual = [item for item in items if item.manual]
    for name in dict.fromkeys(item.notebook for item in manual):
        try:
            cells = load((folder or NOTEBOOKS) / name).cells
        except CourseError:  # a notebook of the instructor's own, or of another version of the course
            continue
        wanted = {item.exercise for item in manual if item.notebook == name}
        for cell in cells:
            if is_written(cell) and exercise_of(cell) in wanted:
                begin, end = (BEGIN, END) if cell.cell_type == "code" else (TEXT_BEGIN, TEXT_END)
                asked, _, rest = cell.source.partition(begin)
                found[exercise_of(cell)] = Question(asked, rest.partition(end)[0].strip())
    return found


def own_words(text: str, question: Question | None) -> str:
    """What a student has written, without the question above it where that was left as it is.

    >>> own_words("### Why?\\n*Write your answer here.*\\nBecause.", Question("### Why?\\n", "A model."))
    'Because.'
    """
    asked = question.asked if question else ""
    return text.removeprefix(asked).replace(PROMPT, "").strip()


def question_hash(id: str, title: str, source: str) -> str:
    """The SHA-256 of a question: its id, its title, and its cell in the student edition, before anything is written."""
    return hashlib.sha256(f"{id}\n{title}\n{source}".encode(errors="replace")).hexdigest()
