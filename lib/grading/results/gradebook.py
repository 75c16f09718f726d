"""The gradebook: the exercises, their results and the points that follow. Nothing is executed here."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from lib.errors import CourseError
from lib.grading.assignment.graded import total
from lib.grading.assignment.item import Item
from lib.grading.assignment.roster import folder_name
from lib.grading.intake.found import NotTaken

FORMAT = 1  # of grades.json

COLUMNS = ("student", "notebook", "exercise", "points", "status")
_FORMULA = tuple("=+-@＝＋－＠")  # a spreadsheet treats a cell that begins with one of these as a formula
_LONGEST = 120  # bytes of a file name that is made from a student's


@dataclass(frozen=True)
class Gradebook:
    """The results of a class: one per existing submission, by (student, notebook)."""

    items: tuple[Item, ...]
    students: tuple[str, ...]  # sorted, including those without any submission
    results: Mapping[tuple[str, str], dict]
    manual: Mapping[tuple[str, str], int | float] = field(default_factory=dict)  # by (student, exercise)
    not_taken: tuple[NotTaken, ...] = ()  # files that were handed in and are not graded

    @cached_property
    def _entries(self) -> dict[tuple[str, str, str], dict]:
        return {(*key, entry["id"]): entry for key, result in self.results.items() for entry in result["exercises"]}

    def entry(self, student: str, item: Item) -> dict | None:
        """The result's entry for one exercise; None if there is no submission, or no entry in it."""
        return self._entries.get((student, item.notebook, item.exercise))

    def status(self, student: str, item: Item) -> str:
        """The status in one or two words: "right", "wrong", "not submitted" …"""
        entry = self.entry(student, item)
        if entry:
            return entry["status"]
        result = self.results.get((student, item.notebook))
        if result is None:
            return "not submitted"
        return "unreadable" if result["problem"] else "missing"

    def awaits(self, student: str, item: Item) -> bool:
        """Whether this written answer has not been graded by a person yet."""
        ungraded = item.manual and (student, item.exercise) not in self.manual
        return ungraded and self.status(student, item) == "manual"

    def points(self, student: str, item: Item) -> int | float:
        """Full points for a right answer, a person's points for a written one (0 until graded), else 0."""
        if item.manual:
            return self.manual.get((student, item.exercise), 0)
        return item.points if self.status(student, item) == "right" else 0

    def total(self, student: str) -> int | float:
        """A student's points on all exercises together."""
        return total({item.exercise: self.points(student, item) for item in self.items})

    @property
    def out_of(self) -> int | float:
        """The maximum number of points."""
        return total({item.exercise: item.points for item in self.items})


def page_name(student: str) -> str:
    """The name of a student's page in `students/`, without suffix: the student's name if it is a valid file name, else
    its valid part with a hash, so that two students never share a page.

    >>> page_name("ada lovelace"), page_name("../ada")
    ('ada lovelace', 'ada 60088279')
    """
    try:
        if folder_name(student, "") == student:
            return student
    except CourseError:
        pass
    safe = re.sub(r"\W", " ", student).encode("utf-8", "ignore")[:_LONGEST].decode("utf-8", "ignore")
    digest = hashlib.sha256(student.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe} {digest}".strip()


def grades_csv(book: Gradebook) -> str:
    """One row per student and exercise, in the order of students; points that are not known yet are an empty cell.

    A cell that a spreadsheet would treat as a formula begins with an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for student in book.students:
        for item in book.items:
            points = "" if book.awaits(student, item) else book.points(student, item)
            names = [defused(name) for name in (student, item.notebook, item.exercise)]
            writer.writerow([*names, points, book.status(student, item)])
    return text.getvalue()


def defused(cell: str) -> str:
    """One line of text, with an apostrophe in front if it begins like a formula.

    >>> defused("=1+1"), defused("ada\\nlovelace")
    ("'=1+1", 'ada lovelace')
    """
    line = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", cell)
    return f"'{line}" if line.lstrip().startswith(_FORMULA) else line


def grades_json(book: Gradebook) -> str:
    """Every detail of every result, with the points of each exercise."""
    students = {
        student: {
            "points": book.total(student),
            "exercises": [_detail(book, student, item) for item in book.items],
            "submissions": _submissions(book, student),
        }
        for student in book.students
    }
    left = [vars(each) for each in book.not_taken]
    whole = {"format": FORMAT, "out_of": book.out_of, "students": students, "not_taken": left}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _detail(book: Gradebook, student: str, item: Item) -> dict:
    points = None if book.awaits(student, item) else book.points(student, item)
    asked = {"notebook": item.notebook, "exercise": item.exercise, "points": points, "out_of": item.points}
    entry = {key: value for key, value in (book.entry(student, item) or {}).items() if key != "id"}
    return asked | {"status": book.status(student, item)} | entry


def _submissions(book: Gradebook, student: str) -> list[dict]:
    """The graded files: each result without its exercises."""
    kept = ("notebook", "file", "sha256", "problem", "notes")
    notebooks = dict.fromkeys(item.notebook for item in book.items)
    found = (book.results.get((student, notebook)) for notebook in notebooks)
    return [{key: result[key] for key in kept} for result in found if result]
