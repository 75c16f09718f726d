"""The student edition of a notebook: stubs in place of solutions, no outputs, checks that may fail.

    def f(x):                       def f(x):
        ### BEGIN SOLUTION     →        raise NotImplementedError("write your answer here")
        return x + 1
        ### END SOLUTION

A block that is not indented consists of whole definitions and assignments. A definition keeps its first line
and docstring and gets the same stub; `year = 2018` becomes `year = ...`, which a check reports as "not written
yet".

A written answer, which a person grades, is a cell whose nbgrader metadata say both graded and solution. In a
Markdown cell the model answer is between `<!-- BEGIN SOLUTION -->` and `<!-- END SOLUTION -->`.
"""

import ast
import copy
import hashlib
from typing import TYPE_CHECKING, Any

from lib import NOT_WRITTEN
from lib.errors import CourseError

if TYPE_CHECKING:
    from nbformat import NotebookNode

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
TEXT_BEGIN, TEXT_END = "<!-- BEGIN SOLUTION -->", "<!-- END SOLUTION -->"
PROMPT = "*Write your answer here.*"
STUB = f'raise NotImplementedError("{NOT_WRITTEN}")'
STUB_VALUE = f"...  # {NOT_WRITTEN}"
MAY_FAIL = "raises-exception"

BEFORE = """## Before you hand in

{rules}

Save this notebook (Ctrl+S; on a Mac ⌘S) and run the cell below. It opens the saved file as the grader will,
and reports what it finds. Its cases are those of the checks above; the grader runs these and others of the same kind."""


def student_edition(notebook: "NotebookNode", name: str, file: str = "") -> "NotebookNode":
    """A copy of `notebook` for students, with final cells that check it; `notebook` is not changed.

    `name` is the lecture's file name; `file` that of the edition, if it is written under another.

    All outputs are removed, since a picture or table further down could show what a solution computes.
    Raises CourseError, with `name` and the cell, for solution blocks that are nested, not closed, or missing in a
    cell whose metadata say that it is a solution.
    """
    from lib.lectures.allowed import rules_for

    edition = copy.deepcopy(notebook)
    edition.metadata.pop("widgets", None)
    for number, cell in enumerate(edition.cells, start=1):
        where = f"{name}, cell {number} ({cell.get('id', 'without id')})"
        is_code = cell.cell_type == "code"
        markers = (BEGIN, END) if is_code else (TEXT_BEGIN, TEXT_END)
        blocks = solution_blocks(cell.source, where, markers)
        if cell.metadata.get("nbgrader", {}).get("solution") and not blocks:
            raise CourseError(f"{where}: marked as a solution, but without '{markers[0]}' and '{markers[1]}'")
        if is_code:
            _empty_code(cell, blocks, where)
        elif blocks:
            _empty_text(cell, blocks, where)
    exercises = [cell for cell in edition.cells if exercise_of(cell) and (is_check(cell) or is_written(cell))]
    if exercises:
        points = {exercise_of(cell): cell.metadata.nbgrader.get("points", 0) for cell in exercises}
        written = {exercise_of(cell): cell for cell in exercises if is_written(cell)}
        name_exercises(edition, name, points, written)
        rules = rules_for([id for id in points if id not in written])
        edition.cells += _last_cells(file or name, rules, {cell.get("id") for cell in edition.cells})
    return edition


def _empty_code(cell: "NotebookNode", blocks: list[tuple[int, int]], where: str) -> None:
    cell.source = _with_stubs(cell.source, blocks, where)
    cell.outputs, cell.execution_count = [], None
    if is_check(cell) or any(line == STUB for line in cell.source.split("\n")):
        cell.metadata.tags = [*(t for t in cell.metadata.get("tags", []) if t != MAY_FAIL), MAY_FAIL]


def _empty_text(cell: "NotebookNode", blocks: list[tuple[int, int]], where: str) -> None:
    """Keep the question; remove the model answer and the attachments that only it shows."""
    if cell.cell_type != "markdown" or not is_written(cell):
        raise CourseError(f"{where}: a solution in a {cell.cell_type} cell that is not a written answer")
    lines = cell.source.split("\n")
    for first, last in reversed(blocks):
        lines[first : last + 1] = [PROMPT]
    cell.source = "\n".join(lines)
    shown = {name: data for name, data in cell.pop("attachments", {}).items() if name in cell.source}
    if shown:
        cell.attachments = shown


def is_check(cell: "NotebookNode") -> bool:
    """Whether a cell checks an answer: it is graded and contains no answer itself."""
    marks = cell.metadata.get("nbgrader", {})
    return bool(marks.get("grade")) and not marks.get("solution")


def is_written(cell: "NotebookNode") -> bool:
    """Whether a cell is a written answer: it is graded and contains the answer itself, for a person to read."""
    marks = cell.metadata.get("nbgrader", {})
    return bool(marks.get("grade") and marks.get("solution"))


def exercise_of(cell: "NotebookNode") -> str:
    """The exercise that a cell's metadata name, or ""."""
    return cell.metadata.get("course", {}).get("exercise", "")


def name_exercises(
    edition: "NotebookNode", name: str, points: dict[str, int | float], written: "dict[str, NotebookNode]"
) -> None:
    """Record in an edition's metadata its file name and each exercise with its points, for `course validate`.

    With this, `course validate` knows the exercises even if the file was renamed or a cell was lost. `written` are
    the cells that a person grades; their hash shows whether anything has been written.
    """
    asked: list[dict[str, Any]] = []
    for id, worth in points.items():
        asked.append({"exercise": id, "points": worth})
        if cell := written.get(id):
            asked[-1] |= {"manual": True, "empty": hashlib.sha256(cell.source.encode()).hexdigest()}
    edition.metadata["course"] = {**edition.metadata.get("course", {}), "notebook": name, "asked": asked}


def _last_cells(name: str, rules: str, taken: set[str]) -> list["NotebookNode"]:
    from nbformat.v4 import new_code_cell, new_markdown_cell

    id = "before-you-hand-in"
    while {id, f"{id}-run"} & taken:
        id += "-again"
    return [
        new_markdown_cell(BEFORE.format(rules=rules), id=id),
        new_code_cell(f'from lib.course.validate import validate\n\nvalidate("{name}")', id=f"{id}-run"),
    ]


def solution_blocks(source: str, where: str, markers: tuple[str, str] = (BEGIN, END)) -> list[tuple[int, int]]:
    """The lines (first, last) of the solutions of a cell, `markers` included. Raises CourseError for unmatched
    markers.

    >>> solution_blocks("### BEGIN SOLUTION\\nx = 1\\n### END SOLUTION", "here")
    [(0, 2)]
    """
    blocks, begun = [], None
    begin, end = markers
    for number, line in enumerate(source.split("\n")):
        if line.strip() == begin:
            if begun is not None:
                raise CourseError(f"{where}: line {number + 1} begins a solution inside another solution")
            begun = number
        elif line.strip() == end:
            if begun is None:
                raise CourseError(f"{where}: line {number + 1} says '{end}', but no solution has begun")
            blocks.append((begun, number))
            begun = None
        elif "BEGIN SOLUTION" in line.upper() or "END SOLUTION" in line.upper():  # nbgrader would accept these
            raise CourseError(f"{where}: line {number + 1} is not exactly '{begin}' or '{end}': {line!r}")
    if begun is not None:
        raise CourseError(f"{where}: the solution that begins in line {begun + 1} has no '{end}'")
    return blocks


def _with_stubs(source: str, blocks: list[tuple[int, int]], where: str) -> str:
    lines = source.split("\n")
    for first, last in reversed(blocks):  # from the bottom, so that the line numbers above stay valid
        marker = lines[first]
        indent = marker[: len(marker) - len(marker.lstrip())]
        body = "\n".join(lines[first + 1 : last])
        lines[first : last + 1] = [indent + STUB] if indent else _outer_stub(body, where)
    return "\n".join(lines)


def _outer_stub(body: str, where: str) -> list[str]:
    """The stub of a block of whole statements: each definition without its body, each assigned name without its
    value."""
    try:
        statements = ast.parse(body).body
    except SyntaxError as error:
        raise CourseError(f"{where}: the solution is not valid Python ({error.msg})") from None
    stub: list[str] = []
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            stub += _definition_stub(statement)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
            stub += [f"{name} = {STUB_VALUE}" for name in names]
    return list(dict.fromkeys(stub)) or [STUB]


def _definition_stub(statement: ast.FunctionDef | ast.ClassDef) -> list[str]:
    statement = copy.deepcopy(statement)
    words = ast.get_docstring(statement, clean=False)
    kept = [ast.Expr(ast.Constant(words))] if words is not None else []
    statement.body = [*kept, *ast.parse(STUB if isinstance(statement, ast.FunctionDef) else "...").body]
    text = ast.unparse(ast.fix_missing_locations(statement))
    return text.replace(ast.unparse(ast.parse(STUB)), STUB).split("\n")
