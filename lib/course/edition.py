"""The student edition of a notebook: stubs where the solutions were, no outputs, checks that may fail.

    def f(x):                       def f(x):
        ### BEGIN SOLUTION     →        raise NotImplementedError("write your answer here")
        return x + 1
        ### END SOLUTION

A block that is not indented holds whole definitions and assignments. A definition keeps its first line and
gets the same stub; `year = 2018` becomes `year = ...`, which a check knows as "not written yet".
"""

import ast
import copy
from typing import TYPE_CHECKING

from lib.course.errors import CourseError

if TYPE_CHECKING:
    from nbformat import NotebookNode

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
STUB = 'raise NotImplementedError("write your answer here")'
MAY_FAIL = "raises-exception"


def student_edition(notebook: "NotebookNode", name: str) -> "NotebookNode":
    """A copy of `notebook` for students; what it was made from is left as it is.

    Outputs go from all cells: a picture or table further down could show what a solution computes.
    Raises CourseError, with `name` and the cell, for blocks that are nested, not closed, or missing where
    the metadata names a solution: one that cannot be found cannot be taken out.
    """
    edition = copy.deepcopy(notebook)
    edition.metadata.pop("widgets", None)
    for number, cell in enumerate(edition.cells, start=1):
        where = f"{name}, cell {number} ({cell.get('id', 'without id')})"
        blocks = solution_blocks(cell.source, where)
        if cell.cell_type != "code":
            if blocks:
                raise CourseError(f"{where}: a solution in a {cell.cell_type} cell; stubs are code")
            continue
        if cell.metadata.get("nbgrader", {}).get("solution") and not blocks:
            raise CourseError(f"{where}: marked as a solution, but without '{BEGIN}' and '{END}'")
        cell.source = _with_stubs(cell.source, blocks, where)
        cell.outputs, cell.execution_count = [], None
        if is_check(cell) or any(line == STUB for line in cell.source.split("\n")):
            cell.metadata.tags = [*(t for t in cell.metadata.get("tags", []) if t != MAY_FAIL), MAY_FAIL]
    return edition


def is_check(cell: "NotebookNode") -> bool:
    """Whether a cell checks an answer: it is graded, and holds no answer itself."""
    marks = cell.metadata.get("nbgrader", {})
    return bool(marks.get("grade")) and not marks.get("solution")


def solution_blocks(source: str, where: str) -> list[tuple[int, int]]:
    """The lines (first, last) of the solutions of a cell, markers included. Raises CourseError for broken
    pairs.

    >>> solution_blocks("### BEGIN SOLUTION\\nx = 1\\n### END SOLUTION", "here")
    [(0, 2)]
    """
    blocks, begun = [], None
    for number, line in enumerate(source.split("\n")):
        if line.strip() == BEGIN:
            if begun is not None:
                raise CourseError(f"{where}: line {number + 1} begins a solution inside a solution")
            begun = number
        elif line.strip() == END:
            if begun is None:
                raise CourseError(f"{where}: line {number + 1} says '{END}', and no solution has begun")
            blocks.append((begun, number))
            begun = None
        elif BEGIN in line.upper() or END in line.upper():
            raise CourseError(f"{where}: line {number + 1} is not exactly '{BEGIN}' or '{END}': {line!r}")
    if begun is not None:
        raise CourseError(f"{where}: the solution that begins in line {begun + 1} has no '{END}'")
    return blocks


def _with_stubs(source: str, blocks: list[tuple[int, int]], where: str) -> str:
    lines = source.split("\n")
    for first, last in reversed(blocks):  # from below, so that the numbers above stay true
        marker = lines[first]
        indent = marker[: len(marker) - len(marker.lstrip())]
        body = "\n".join(lines[first + 1 : last])
        lines[first : last + 1] = [indent + STUB] if indent else _outer_stub(body, where)
    return "\n".join(lines)


def _outer_stub(body: str, where: str) -> list[str]:
    """The stub of a block of whole statements: each definition and each assigned name, without what it
    holds."""
    try:
        statements = ast.parse(body).body
    except SyntaxError as error:
        raise CourseError(f"{where}: the solution is no Python ({error.msg})") from None
    stub: list[str] = []
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            stub += _definition_stub(statement)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
            stub += [f"{name} = ...  # write your answer here" for name in names]
    return list(dict.fromkeys(stub)) or [STUB]


def _definition_stub(statement: ast.FunctionDef | ast.ClassDef) -> list[str]:
    statement = copy.deepcopy(statement)
    words = ast.get_docstring(statement, clean=False)
    kept = [ast.Expr(ast.Constant(words))] if words is not None else []
    statement.body = [*kept, *ast.parse(STUB if isinstance(statement, ast.FunctionDef) else "...").body]
    text = ast.unparse(ast.fix_missing_locations(statement))
    return text.replace(ast.unparse(ast.parse(STUB)), STUB).split("\n")
