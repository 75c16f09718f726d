"""The graded exercises of a release and their points, and the notebooks that contain them."""

import ast
import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lib import NOTEBOOKS
from lib.errors import CourseError, UsageError
from lib.grading.assignment.definition import sources
from lib.grading.assignment.questions import question_hash
from lib.lectures.companions import beside
from lib.lectures.edition import exercise_of, is_check, is_written, name_exercises, student_edition
from lib.lectures.notebooks import tags, text_of
from lib.names import nearest

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from lib.exercises import Exercise

SEED_NAME = "student_seed"
_SEED_MARK = "@@student seed@@"  # placeholder for the number; not valid Python


@dataclass(frozen=True)
class Graded:
    """A notebook of a release: its text with a placeholder for the seed, and the points of each exercise in it."""

    name: str
    template: str
    points: dict[str, int | float]  # 0 for practice
    written: dict[str, "WrittenAnswer"] = field(default_factory=dict)  # graded by a person
    shows: dict[str, bytes | None] = field(default_factory=dict)  # the files beside it, None for a missing one

    def text(self, seed: int) -> str:
        """The notebook for release, with this seed in its parameters."""
        return self.template.replace(_SEED_MARK, str(seed))


@dataclass(frozen=True)
class WrittenAnswer:
    """A written answer, as its cell describes it; `definition` is the SHA-256 of the question."""

    title: str
    slides: tuple[str, ...]
    definition: str


def checks(notebook: "NotebookNode", name: str) -> "dict[str, NotebookNode]":
    """The check cells of a notebook by exercise id; raises CourseError as `graded_cells` does."""
    return {id: cell for id, cell in graded_cells(notebook, name).items() if is_check(cell)}


def graded_cells(notebook: "NotebookNode", name: str) -> "dict[str, NotebookNode]":
    """The check cells and the written answers of a notebook by exercise id.

    Raises CourseError if such a cell names no exercise, or an exercise has two of them.
    """
    found: dict[str, NotebookNode] = {}
    for cell in notebook.cells:
        if not (is_check(cell) or is_written(cell)):
            continue
        id = exercise_of(cell)
        if not re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*", str(id)):
            raise CourseError(f"{name}, cell {cell.id}: graded, but its metadata do not name an exercise: {id!r}")
        if id in found:
            raise CourseError(f"{name}, cell {cell.id}: {id} has another graded cell, {found[id].id}")
        found[id] = cell
    return found


def read_points(pairs: list[str]) -> dict[str, int | float]:
    """The points of `--points id=5 …`. Raises UsageError unless each is a positive number, given once.

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
    """The points of each exercise: those in `points` or its usual ones, and 0 if it is not in `exercises` (None: all).

    `in_notebooks` has the exercises of the chosen notebooks with their usual points. Raises UsageError for an
    exercise that does not exist or is in another notebook, and for points of one that is not graded.
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
    from lib.exercises.engine import registry

    if id in registry.RETIRED:
        return registry.UnknownExercise(id, known).message
    if id in all_exercises():
        theirs = ", ".join(known) or "none"
        return f"the exercise {id} is in none of the chosen notebooks; they have {theirs}"
    return f"there is no exercise {id!r}; {nearest(id, [*known, *all_exercises()])}"


def prepare(notebook: "NotebookNode", name: str, points: dict[str, int | float], folder: Path = NOTEBOOKS) -> Graded:
    """The student edition of `notebook`, where exercises with points are graded and the rest is practice; what it shows
    lies in `folder`.

    A check that is not graded remains a locked cell without points, a written answer ordinary text. Raises CourseError
    for a faulty notebook, or one without a cell of parameters, which must contain the seed.
    """
    edition = student_edition(notebook, name)
    cells = graded_cells(edition, name)
    mine = {id: points[id] for id in cells}
    where = {id: f"{name}, cell {cell.id}" for id, cell in cells.items()}
    written = {id: cell for id, cell in cells.items() if is_written(cell)}
    described = {id: _describe(cell, where[id]) for id, cell in written.items()}
    name_exercises(edition, name, mine, written)
    for id, cell in cells.items():
        if id in written and not mine[id] > 0:
            del cell.metadata["nbgrader"]  # nbgrader refuses Markdown that is an answer and not graded
            continue
        marks = cell.metadata["nbgrader"]
        if id not in written:
            if mine[id] != marks.get("points", 0):
                cell.source = with_points(cell.source, id, mine[id], where[id])
            marks["locked"] = True
            cell.metadata["deletable"] = cell.metadata["editable"] = False
        marks.pop("points", None)
        marks |= {"grade": True, "points": mine[id]} if mine[id] > 0 else {"grade": False}
    _make_gap(edition, name)
    return Graded(name, text_of(edition), mine, described, beside(folder / name, edition))


def with_points(source: str, id: str, points: int | float, where: str) -> str:
    """The source of a check cell, changed so that its check gives and shows these points.

    Raises CourseError, with `where`, unless there is exactly one call of `check` for this exercise.

    >>> with_points('check("mlm.loss", my_loss)', "mlm.loss", 5, "here")
    'check("mlm.loss", my_loss, points=5)'
    """
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError as error:
        raise CourseError(f"{where}: the check is not valid Python ({error.msg})") from None
    calls = [node for node in nodes if isinstance(node, ast.Call) and _checks(node, id)]
    if len(calls) != 1:
        raise CourseError(f"{where}: its points are changed, so it must call check({id!r}, answer) once")
    lines = source.encode().split(b"\n")  # columns of the syntax tree are bytes
    line, end = calls[0].end_lineno - 1, calls[0].end_col_offset - 1
    before = b"\n".join([*lines[:line], lines[line][:end]]).rstrip()
    comma = b"" if before.endswith(b",") else b","
    lines[line] = lines[line][:end] + comma + f" points={points}".encode() + lines[line][end:]
    return b"\n".join(lines).decode()


def _checks(call: ast.Call, id: str) -> bool:
    plain = [ast.unparse(argument) for argument in call.args[:1]]
    named = isinstance(call.func, ast.Name) and call.func.id == "check"
    return named and plain == [repr(id)] and len(call.args) == 2 and not call.keywords


def _describe(cell: "NotebookNode", where: str) -> WrittenAnswer:
    """A written answer, with the title and slides from its cell's metadata."""
    from lib.exercises import all_exercises

    told = cell.metadata["course"]
    title, slides = told.get("title", ""), told.get("slides", [])
    texts = [title, *slides] if isinstance(slides, list) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise CourseError(f"{where}: the title must be text, and the slides a list of texts")
    if told["exercise"] in all_exercises():
        raise CourseError(f"{where}: {told['exercise']} has an automatic check, so it cannot be a written answer")
    return WrittenAnswer(title, tuple(slides), question_hash(told["exercise"], title, cell.source))


def _make_gap(edition: "NotebookNode", name: str) -> None:
    """Put the line of the seed at the end of the parameters, in place of a default that is already there."""
    for cell in edition.cells:
        if "parameters" in tags(cell):
            kept = [line for line in cell.source.split("\n") if not re.match(rf"{SEED_NAME}\b", line)]
            cell.source = "\n".join([*kept, f"{SEED_NAME} = {_SEED_MARK}  # of this copy: please do not change it"])
            return
    raise CourseError(f"{name} has no cell tagged 'parameters' for the seed")


def definition_hash(exercise: "Exercise") -> str:
    """SHA-256 of an exercise's question: its texts, and the sources of its cases, of `decide` and of their helpers.

    The reference and the other right answers are excluded, even where `decide` calls them. So the hash changes when
    the question does, and does not reveal whether an answer is right.
    """
    asked = [exercise.id, exercise.title, exercise.slides, exercise.seconds, repr(exercise.tolerance)]
    asking = [function for function in (exercise.cases, exercise.decide) if function]
    parts = sources(asking, without=(exercise.reference, *exercise.accepts))
    return hashlib.sha256(json.dumps([*asked, *parts]).encode()).hexdigest()


def total(points: dict[str, int | float]) -> int | float:
    """The sum of points, as an int if it is whole.

    >>> total({"a.b": 2, "a.c": 0.5, "a.d": 0.5})
    3
    """
    summed = math.fsum(points.values())
    return int(summed) if summed.is_integer() else summed
