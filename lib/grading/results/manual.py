"""manual.csv: the written answers, and the points that a person gives for them.

The file belongs to that person: everything that was filled in is kept, whatever spreadsheet program saved it, and
so are additional columns.
"""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lib.errors import CourseError
from lib.grading.assignment.item import Item
from lib.grading.assignment.questions import Question, own_words
from lib.grading.results.gradebook import Gradebook, defused
from lib.names import nearest

MANUAL = "manual.csv"
COLUMNS = ("student", "notebook", "exercise", "points", "out of", "answer")
EXCERPT = 1000  # characters of an answer


@dataclass(frozen=True)
class Filled:
    """The points and rows that a person filled in, by (student, exercise)."""

    points: dict[tuple[str, str], int | float] = field(default_factory=dict)
    rows: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)


def read_manual(path: Path, items: Sequence[Item], students: Sequence[str]) -> Filled:
    """What is filled in so far; empty if there is no file.

    Raises CourseError, with the line, if the file is not such a table, points are not a number from 0 to the maximum
    of the exercise, the student or exercise is unknown, or a row is repeated.
    """
    if not path.exists():
        return Filled()
    asked = {item.exercise: item for item in items if item.manual}
    names = {defused(student): student for student in students}
    filled = Filled()
    for line, row in _rows(path):
        where = f"{path}, line {line}"
        if not any(text.strip() for text in filled_in(row)):
            continue  # an empty row, perhaps of a student who has left
        student, exercise = names.get(row["student"]), row["exercise"]
        if student is None:
            raise CourseError(f"{where}: no student {row['student']!r}; {nearest(row['student'], names)}")
        if exercise not in asked:
            raise CourseError(f"{where}: {exercise!r} is not a written answer here; {nearest(exercise, asked)}")
        if (student, exercise) in filled.rows:
            raise CourseError(f"{where}: {exercise} of {student} already has a line above")
        filled.rows[student, exercise] = row
        if row["points"].strip():
            filled.points[student, exercise] = _points(row["points"].strip(), asked[exercise], where)
    return filled


def filled_in(row: dict[str, str]) -> list[str]:
    """The cells of a row that a person fills in: the points, and additional columns."""
    return [text for column, text in row.items() if column == "points" or column not in COLUMNS]


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows with their line numbers. Columns may be separated by semicolons, as some spreadsheets write them."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        delimiter = ";" if ";" in text.split("\n")[0] else ","
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="", strict=True)
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CourseError(f"{path} cannot be read as a CSV file: {error}") from None
    for column in ("student", "exercise", "points"):
        if column not in (reader.fieldnames or ()):
            raise CourseError(f"{path} needs a column {column!r}; {nearest(column, reader.fieldnames or ())}")
    for line, row in rows:
        if None in row:
            raise CourseError(f"{path}, line {line}: more fields than columns; put quotes around a comma")
    return rows


def _points(text: str, item: Item, where: str) -> int | float:
    number = text.replace(",", ".")  # some spreadsheets write a decimal comma
    points = float(number) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", number, re.ASCII) else math.nan
    if not 0 <= points <= item.points:
        raise CourseError(f"{where}: points must be a number from 0 to {item.points}, got {text!r}")
    return int(points) if points.is_integer() else points


def manual_csv(book: Gradebook, filled: Filled, questions: Mapping[str, Question] | None = None) -> str:
    """The table of all written answers, with what is filled in; "" if there are none.

    An answer stands there without its question, where `questions` has that.
    """
    written = {
        (student, item.exercise): _row(book, student, item, (questions or {}).get(item.exercise))
        for student in book.students
        for item in book.items
        if item.manual and (book.status(student, item) == "manual" or (student, item.exercise) in filled.rows)
    }
    if not written:
        return ""
    own = dict.fromkeys(column for row in filled.rows.values() for column in row if column not in COLUMNS)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *own], restval="", lineterminator="\n")
    writer.writeheader()
    for key, row in written.items():
        kept = {column: filled.rows.get(key, {}).get(column, "") for column in ("points", *own)}
        writer.writerow(row | kept)
    return text.getvalue()


def _row(book: Gradebook, student: str, item: Item, question: Question | None) -> dict[str, str | int | float]:
    answer = own_words((book.entry(student, item) or {}).get("answer", ""), question)
    return {
        "student": defused(student),
        "notebook": defused(item.notebook),
        "exercise": defused(item.exercise),
        "out of": item.points,
        "answer": defused(answer if len(answer) <= EXCERPT else answer[: EXCERPT - 1] + "…"),
    }
