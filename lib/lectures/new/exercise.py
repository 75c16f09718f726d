"""`course new exercise`: a module that knows five mistakes, and its cells in the notebook of a lecture."""

import keyword
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lib import NOTEBOOKS, ROOT
from lib.errors import CourseError, UsageError
from lib.lectures.edition import exercise_of
from lib.lectures.new import PLACEHOLDER, templates
from lib.lectures.new.files import write_all
from lib.lectures.notebooks import all_notebooks, load, parse, select, text_of
from lib.names import nearest

if TYPE_CHECKING:
    from nbformat import NotebookNode

EXERCISES = ROOT / "lib" / "exercises"
_MEANT_ALREADY = ("case", "torch")  # in the module


def new_exercise(
    id: str,
    lecture: str,
    *,
    after: str = "",
    slides: Sequence[str] = (),
    points: int = 2,
    minutes: int = 10,
    notebooks: Path = NOTEBOOKS,
    exercises: Path = EXERCISES,
) -> tuple[Path, Path]:
    """Write the exercise `id` into the lecture (a number or a name); return its module and its notebook.

    The cells go behind the cell `after`, or before the summary. Raises CourseError, and changes nothing, for an id
    that cannot be one or is taken, for an unknown lecture, cell or slide, and where a file is there.
    """
    path = _lecture(lecture, notebooks)
    module = exercises / f"lecture{path.name[:2]}" / f"{id.split('.')[0]}.py"
    _check_id(id, module, notebooks)
    _check_settings(slides, points, minutes)
    words = _words(id, path.name[:2], slides, points, minutes)
    before = path.read_text(encoding="utf-8")
    notebook = parse(before, path.name)
    _insert(notebook, _cells(words, points), after, path.name)
    new = {module: templates.MODULE.substitute(words)}
    package = module.parent / "__init__.py"
    write_all(new if package.exists() else {package: "", **new}, (path, before, text_of(notebook)))
    return module, path


def _lecture(name: str, notebooks: Path) -> Path:
    (path,) = select([name], notebooks)
    if path not in all_notebooks(notebooks):
        raise UsageError(f"--lecture takes a lecture of the course, like 04, got the file {name}")
    return path


def _check_id(id: str, module: Path, notebooks: Path) -> None:
    from lib.exercises.engine import registry
    from lib.exercises.engine.exercise import ID

    if not ID.fullmatch(id) or any(keyword.iskeyword(part) for part in id.split(".")):
        raise UsageError(f"an id is two names in small letters, like mlm.mask_tokens, got {id!r}")
    prefix, name = id.split(".")
    if name in _MEANT_ALREADY:
        raise UsageError(f"{name!r} means something else in the module of an exercise: find another name")
    if id in registry.RETIRED:
        raise CourseError(f"{id} is the id of an exercise that is retired; ids are never given again")
    taken = [path.name for path in all_notebooks(notebooks) for cell in load(path).cells if exercise_of(cell) == id]
    if taken or id in registry.all_exercises():
        raise CourseError(f"there is an exercise {id} already{f', in {taken[0]}' if taken else ''}")
    home = registry.modules().get(prefix, "").rpartition(".")[0].rpartition(".")[2]
    if home and home != module.parent.name:
        raise CourseError(f"ids that begin with '{prefix}.' belong to {home}: choose another first half")
    if module.exists():
        raise CourseError(f"{module} is there, and nothing is overwritten: choose another first half")


def _check_settings(slides: Sequence[str], points: int, minutes: int) -> None:
    from lib.slides.decks import check_slide

    for slide in slides:
        try:
            check_slide(slide)
        except ValueError as error:
            raise UsageError(f"--slides: {error}") from None
    for name, value, most in (("points", points, 10), ("minutes", minutes, 40)):
        if not 1 <= value <= most:
            raise UsageError(f"--{name} must be from 1 to {most}, got {value}")


def _words(id: str, number: str, slides: Sequence[str], points: int, minutes: int) -> dict[str, str]:
    """What the templates are filled with."""
    prefix, name = id.split(".")
    listed = ", ".join(slides) or PLACEHOLDER
    names = [f'"{slide}"' for slide in slides or ["C01"]]
    return {
        "id": id,
        "name": name,
        "constant": name.upper(),
        "number": number,
        "line": "-" * (110 - len(id)),
        "slides": f"slide{'s' * (len(slides) > 1)} {listed}",
        "slide_list": ", ".join(names) + "," * (len(names) == 1),
        "slides_note": "" if slides else f"  # {PLACEHOLDER}: the slides it belongs to",
        "points": str(points),
        "minutes": str(minutes),
        "points_words": f"{points} point{'s' * (points > 1)}",
        "minutes_words": f"{minutes} minute{'s' * (minutes > 1)}",
    }


def _cells(words: dict[str, str], points: int) -> "list[NotebookNode]":
    from nbformat.v4 import new_code_cell, new_markdown_cell

    id, grade_id = words["id"], words["id"].replace(".", "-")
    course = {"exercise": id}
    solution = {"grade": False, "grade_id": grade_id, "locked": False, "solution": True}
    check = {"grade": True, "grade_id": f"{grade_id}-check", "locked": True, "solution": False, "points": points}
    common = {"schema_version": 3, "task": False}
    task = templates.TASK.substitute(words | {"slides": words["slides"].replace("slide", "Slide", 1)})
    return [
        new_markdown_cell(task, id=f"{grade_id}-task"),
        new_code_cell(
            templates.SOLUTION.substitute(words),
            id=f"{grade_id}-solution",
            metadata={"course": course, "nbgrader": solution | common},
        ),
        new_code_cell(
            templates.CHECK.substitute(words),
            id=f"{grade_id}-check",
            metadata={"course": course, "nbgrader": check | common},
        ),
    ]


def _insert(notebook: "NotebookNode", cells: "list[NotebookNode]", after: str, name: str) -> None:
    """Put the cells behind the cell `after`, without one before the summary, or else at the end."""
    ids = [cell.id for cell in notebook.cells]
    for cell in cells:
        if cell.id in ids:
            raise CourseError(f"{name} has a cell {cell.id} already")
    if after and after not in ids:
        raise UsageError(f"{name} has no cell {after!r}: {nearest(after, ids)}")
    summaries = [
        number
        for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "markdown" and "## Summary" in cell.source.splitlines()
    ]
    at = ids.index(after) + 1 if after else (summaries or [len(ids)])[-1]
    notebook.cells[at:at] = cells
