"""Lint rules for exercises: a solution cell, the check cell after it, and the metadata that nbgrader reads."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lib import ROOT
from lib.lectures.edition import BEGIN, END, TEXT_BEGIN, TEXT_END, exercise_of, is_check, is_written
from lib.lectures.new import PLACEHOLDER

if TYPE_CHECKING:
    from nbformat import NotebookNode

Findings = Iterator[tuple[str, str]]

_FLAGS = ("grade", "solution", "locked", "task")
MISCONCEPTIONS = 5
"""How many mistakes an exercise knows at least."""

_KEYS = {*_FLAGS, "schema_version", "grade_id", "points", "cell_type", "checksum"}


def nbgrader(notebook: "NotebookNode") -> Findings:
    """nbgrader's metadata are valid in its schema 3, and every grade_id is unique."""
    marked = [(cell, cell.metadata["nbgrader"]) for cell in notebook.cells if "nbgrader" in cell.metadata]
    for cell, meta in marked:
        for problem in _schema_problems(meta):
            yield cell.id, problem
    counts = Counter(meta.get("grade_id") for _, meta in marked)
    for cell, meta in marked:
        if counts[meta.get("grade_id")] > 1:
            yield cell.id, f"grade_id {meta.get('grade_id')!r} is used {counts[meta.get('grade_id')]} times"


def _schema_problems(meta: dict) -> Iterator[str]:
    if meta.get("schema_version") != 3:
        yield f"schema_version must be 3, got {meta.get('schema_version')!r}"
    for flag in _FLAGS:
        if not isinstance(meta.get(flag), bool):
            yield f"{flag!r} must be true or false, got {meta.get(flag)!r}"
    if not re.fullmatch(r"[A-Za-z0-9_-]+", str(meta.get("grade_id", ""))):
        yield f"grade_id must be letters, digits, '_' and '-', got {meta.get('grade_id')!r}"
    points = meta.get("points")
    if meta.get("grade") is True and (isinstance(points, bool) or not isinstance(points, int | float) or points < 0):
        yield f"a graded cell needs points of at least 0, got {points!r}"
    if set(meta) - _KEYS:
        yield f"unknown keys {sorted(set(meta) - _KEYS)}"


def solution(notebook: "NotebookNode") -> Findings:
    """Solution markers come in pairs, only in solution cells, and every solution cell has them."""
    for cell in notebook.cells:
        begin, end = (BEGIN, END) if cell.cell_type == "code" else (TEXT_BEGIN, TEXT_END)
        marks = [line.strip() for line in cell.source.splitlines() if line.strip() in (begin, end)]
        is_solution = cell.metadata.get("nbgrader", {}).get("solution") is True
        if is_solution and marks != [begin, end]:
            yield cell.id, f"a solution cell needs one '{begin}' and then one '{end}', got {marks}"
        if marks and not is_solution:
            yield cell.id, "solution markers in a cell that is not a solution for nbgrader: the solution would leak"


def exercise(notebook: "NotebookNode") -> Findings:
    """The code cell after a solution is its check, with matching ids, and every check follows a solution.

    A written answer needs no check, since a person reads it.
    """
    for cell in filter(is_written, notebook.cells):
        for problem in _name_problems(cell):
            yield cell.id, problem
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and not is_written(cell)]
    for cell, following in zip(code, [*code[1:], None], strict=True):
        if cell.metadata.get("nbgrader", {}).get("solution") is True:
            for problem in _pair_problems(cell, following):
                yield cell.id, problem
    for before, cell in zip([None, *code], code, strict=False):
        alone = before is None or before.metadata.get("nbgrader", {}).get("solution") is not True
        if is_check(cell) and alone:
            yield cell.id, "a check cell must follow its solution cell"


def _name_problems(answer: "NotebookNode") -> Iterator[str]:
    name = exercise_of(answer)
    if not name:
        yield "a solution cell must name its exercise: metadata course.exercise"
    elif answer.metadata["nbgrader"].get("grade_id") != name.replace(".", "-"):
        expected, found = name.replace(".", "-"), answer.metadata["nbgrader"].get("grade_id")
        yield f"grade_id must be {expected!r}, got {found!r}"


def _pair_problems(answer: "NotebookNode", check: "NotebookNode | None") -> Iterator[str]:
    yield from _name_problems(answer)
    name = exercise_of(answer)
    if not name:
        return
    grade_id = name.replace(".", "-")
    if check is None or check.metadata.get("nbgrader", {}).get("grade") is not True:
        yield f"no check cell follows (graded, with check({name!r}, …))"
        return
    if check.metadata.get("course", {}).get("exercise") != name:
        other = check.metadata.get("course", {}).get("exercise")
        yield f"the check cell {check.id} is for {other!r}, not {name!r}"
    if check.metadata["nbgrader"].get("grade_id") != f"{grade_id}-check":
        yield f"the check cell's grade_id must be '{grade_id}-check'"
    if not re.search(rf"\bcheck\(\s*[\"']{re.escape(name)}[\"']", check.source):
        yield f"the check cell {check.id} does not call check({name!r}, …)"


def misconceptions(notebook: "NotebookNode") -> Findings:
    """Every exercise is one of lib's, with a title, a hint and at least five misconceptions."""
    for cell, id in _answers(notebook):
        for problem in _missing(id):
            yield cell.id, problem


def _missing(id: str) -> Iterator[str]:
    from lib.exercises.engine import registry

    try:
        exercise = registry.get(id)
    except Exception as error:  # there is none, or its module cannot be imported
        yield str(error) if isinstance(error, KeyError) else f"{id}: {type(error).__name__}: {error}"
        return
    if len(exercise.misconceptions) < MISCONCEPTIONS:
        yield f"{id} knows {len(exercise.misconceptions)} misconceptions, at least {MISCONCEPTIONS} are asked"
    for name in ("title", "hints"):
        if not getattr(exercise, name):
            yield f"{id} has no {name}"


def placeholder(notebook: "NotebookNode") -> Findings:
    """Nothing that `course new` wrote is left to fill in, neither in a cell nor in the module of an exercise."""
    for cell in notebook.cells:
        for line in (*cell.source.splitlines(), str(cell.metadata.get("course", {}).get("title", ""))):
            if PLACEHOLDER in line:
                yield cell.id, line.strip()
    homes = {_module_file(id): cell.id for cell, id in _answers(notebook)}
    for home, cell in homes.items():
        for number, line in enumerate(home.read_text(encoding="utf-8").splitlines() if home else (), start=1):
            if home and PLACEHOLDER in line:
                yield cell, f"{home.relative_to(ROOT)}:{number}: {line.strip()}"


def _answers(notebook: "NotebookNode") -> Iterator[tuple["NotebookNode", str]]:
    """The solution cells that a program grades, each with its exercise."""
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution") and not is_written(cell) and exercise_of(cell):
            yield cell, exercise_of(cell)


def _module_file(id: str) -> Path | None:
    from lib.exercises.engine import registry

    module = registry.modules().get(id.split(".")[0])
    return ROOT / f"{module.replace('.', '/')}.py" if module else None


RULES = {
    "nbgrader": nbgrader,
    "solution": solution,
    "exercise": exercise,
    "misconceptions": misconceptions,
    "placeholder": placeholder,
}
