"""Which exercises of a release are graded, for how many points, and what its notebooks say of that."""

import hashlib
import inspect
import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.course.edition import is_check, student_edition
from lib.course.errors import CourseError, UsageError
from lib.course.notebooks import tags, text_of
from lib.names import nearest

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from lib.exercises import Exercise

SEED_NAME = "student_seed"
_SEED_MARK = "@@student seed@@"  # stands in the text where the number comes; no Python


@dataclass(frozen=True)
class Graded:
    """A notebook of a release: its text with a gap for the seed, and the points of each exercise in it."""

    name: str
    template: str
    points: dict[str, int | float]  # 0 for one that is there for practice

    def text(self, seed: int) -> str:
        """The notebook as it is released, with this seed in its parameters."""
        return self.template.replace(_SEED_MARK, str(seed))


def checks(notebook: "NotebookNode", name: str) -> "dict[str, NotebookNode]":
    """The check cells of a notebook by exercise id.

    Raises CourseError where one names no exercise, or an exercise is checked twice.
    """
    found: dict[str, NotebookNode] = {}
    for cell in filter(is_check, notebook.cells):
        id = cell.metadata.get("course", {}).get("exercise")
        if not id:
            raise CourseError(f"{name}, cell {cell.id}: graded, but its metadata name no exercise")
        if id in found:
            raise CourseError(f"{name}, cell {cell.id}: {id} has another check cell, {found[id].id}")
        found[id] = cell
    return found


def read_points(pairs: list[str]) -> dict[str, int | float]:
    """The points of `--points id=5 …`; UsageError unless each is a positive number, given once.

    >>> read_points(["mlm.loss=5", "chain.terms=0.5"])
    {'mlm.loss': 5, 'chain.terms': 0.5}
    """
    points: dict[str, int | float] = {}
    for pair in pairs:
        id, equals, text = pair.partition("=")
        if not (id and equals):
            raise UsageError(f"--points takes id=points, like mlm.loss=5, got {pair!r}")
        if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text, re.ASCII) or not float(text) > 0:
            raise UsageError(f"the points of {id} must be a positive number, got {text!r}")
        if id in points:
            raise UsageError(f"--points names {id} twice")
        points[id] = int(float(text)) if float(text).is_integer() else float(text)
    return points


def choose(
    in_notebooks: dict[str, int | float], exercises: list[str] | None, points: dict[str, int | float]
) -> dict[str, int | float]:
    """The points of each exercise: 0 unless it is among `exercises` (None: all), those of `points` if given.

    `in_notebooks` holds the exercises of the chosen notebooks with their usual points. Raises UsageError
    for an exercise that does not exist or stands elsewhere, and for points of one that is not graded.
    """
    chosen = list(in_notebooks) if exercises is None else exercises
    for id in [*chosen, *points]:
        if id not in in_notebooks:
            raise UsageError(_why_not(id, list(in_notebooks)))
    for id in points:
        if id not in chosen:
            raise UsageError(f"--points names {id}, which is not among the graded --exercises")
    return {id: points.get(id, usual) if id in chosen else 0 for id, usual in in_notebooks.items()}


def _why_not(id: str, known: list[str]) -> str:
    from lib.exercises import all_exercises

    if id in all_exercises():
        theirs = ", ".join(known) or "none"
        return f"the exercise {id} is in none of the chosen notebooks; theirs are {theirs}"
    return f"there is no exercise {id!r}; {nearest(id, [*known, *all_exercises()])}"


def prepare(notebook: "NotebookNode", name: str, points: dict[str, int | float]) -> Graded:
    """The student edition of `notebook` in which what has points is graded and the rest is practice.

    A check that is not graded stays a locked cell without points. Raises CourseError for a notebook at
    fault, or one without a cell of parameters, in which the seed belongs.
    """
    edition = student_edition(notebook, name)
    mine = {}
    for id, cell in checks(edition, name).items():
        mine[id] = points[id]
        marks = cell.metadata["nbgrader"]
        marks.update(grade=points[id] > 0, locked=True)
        usual = marks.pop("points", None)
        if points[id] not in (0, usual):
            # nbgrader takes the number that a cell shows, here the usual points, for its score
            cell.source = cell.source.rstrip().removesuffix(";") + ";"
        if points[id] > 0:
            marks["points"] = points[id]
        cell.metadata["deletable"] = cell.metadata["editable"] = False
    _make_gap(edition, name)
    return Graded(name, text_of(edition), mine)


def _make_gap(edition: "NotebookNode", name: str) -> None:
    """Put the line of the seed at the end of the parameters; a default that is there already gives way."""
    for cell in edition.cells:
        if "parameters" in tags(cell):
            kept = [line for line in cell.source.split("\n") if not re.match(rf"{SEED_NAME}\b", line)]
            cell.source = "\n".join([*kept, f"{SEED_NAME} = {_SEED_MARK}  # of this copy: please leave it"])
            return
    raise CourseError(f"{name} has no cell tagged 'parameters', in which the seed belongs")


def definition_hash(exercise: "Exercise") -> str:
    """SHA-256 of what an exercise asks and of the source of its cases and judge; the reference stays out.

    So it changes when the question does, and tells nobody whether an answer is right.
    """
    sources = [f and inspect.getsource(f) for f in (exercise.cases, exercise.judge)]
    asked = [exercise.id, exercise.title, exercise.slides, exercise.seconds, repr(exercise.tolerance)]
    return hashlib.sha256(json.dumps([*asked, *sources]).encode()).hexdigest()


def total(points: dict[str, int | float]) -> int | float:
    """The sum of points, an integer where it is one.

    >>> total({"a.b": 2, "a.c": 0.5, "a.d": 0.5})
    3
    """
    summed = math.fsum(points.values())
    return int(summed) if summed.is_integer() else summed
