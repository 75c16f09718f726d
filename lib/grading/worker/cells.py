"""The code cells of a submission: parse them and find an answer.

All of this happens in a disposable process, on untrusted text: a faulty cell may affect only itself.
"""

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lib.exercises.engine.limits import TimeUp  # now, as lib.exercises is closed before the first cell
from lib.exercises.engine.values import steady
from lib.grading.worker import statements
from lib.grading.worker.magics import OTHER_LANGUAGES, foreign_magic, plain_python
from lib.grading.worker.needed import Statement
from lib.grading.worker.shape import LENGTH, helpers_of, is_function, shape_of

_SOURCE_LIMIT = 20_000  # characters of an answer that are kept for the report
_HELPER_LIMIT = 5_000  # … and of a function that it uses
_WORDS_LIMIT = 300  # characters of an exception's message

MAGIC = "cell magic {} at its top, with which the grader does not run it as Python"


@dataclass(frozen=True, eq=False)
class Cell:
    """A code cell that is valid Python."""

    number: int  # among all cells of the file, from 1
    exercise: str  # the id in its metadata, or ""
    lines: tuple[str, ...]
    statements: tuple[ast.stmt, ...]

    @property
    def filename(self) -> str:
        return f"cell {self.number}"


@dataclass(frozen=True, eq=False)
class Reading:
    """The cells that could be parsed, and {"cell", "what"} for each that could not."""

    cells: tuple[Cell, ...]
    problems: list[dict[str, Any]]
    imported: dict[str, str]  # full name of each imported name, over all cells


@dataclass(frozen=True)
class Answer:
    """The location and the source of an answer, as plain data."""

    cell: int
    name: str
    source: str  # only its definition, at most 20,000 characters
    written: bool  # False: the stub of the student edition
    shape: list[str]  # see shape.shape_of
    helpers: list[dict[str, Any]]  # own functions that it uses: {"name", "source", "shape"}


def parse_cells(cells: Sequence[Mapping[str, Any]]) -> Reading:
    """Parse code cells, each {"number", "source", "exercise"}; one that is not valid Python is listed as a problem.

    >>> parse_cells([{"number": 3, "source": "def f(:", "exercise": ""}]).problems
    [{'cell': 3, 'what': 'SyntaxError: invalid syntax (line 1)'}]
    """
    read, problems, imported = [], [], {}
    for cell in cells:
        number, source = cell["number"], cell["source"]
        try:
            tree, text = _parse(source)
        except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
            problems.append({"cell": number, "what": say(error)})
            continue
        magic = foreign_magic(source)
        if magic and (cell["exercise"] or magic.removeprefix("%%") not in OTHER_LANGUAGES):
            problems.append({"cell": number, "what": MAGIC.format(magic)})
        imported |= statements.import_names(tree)
        read.append(Cell(number, cell["exercise"], tuple(text.split("\n")), tuple(tree.body)))
    return Reading(tuple(read), problems, imported)


def _parse(source: str) -> tuple[ast.Module, str]:
    source = re.sub(r"\r\n?", "\n", source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about invalid escape sequences in strings
        try:
            return ast.parse(source), source
        except SyntaxError:
            plain = plain_python(source)
            return ast.parse(plain), plain


def find_answer(reading: Reading, id: str, name: str) -> Answer | None:
    """The answer to the exercise `id`, which must be called `name`; None if no cell binds that name.

    The first choice is the cell whose metadata name the exercise, if an answer is written there; then the last cell
    with a written answer; then a stub. So ids may be missing, repeated or mixed up.
    """
    found = [(cell, binding) for cell in reading.cells if (binding := _last_binding(cell, name))]
    written = [(cell, binding) for cell, binding in found if not statements.is_stub(binding)]
    for choice in ([one for one in written if one[0].exercise == id], written, found):
        if choice:
            cell, binding = choice[-1]
            source = _source_of(cell, binding)
            helpers = _helpers(reading, binding)
            return Answer(cell.number, name, source, bool(written), shape_of(binding, reading.imported), helpers)
    return None


def _helpers(reading: Reading, binding: ast.stmt) -> list[dict[str, Any]]:
    """The student's own functions and classes that an answer uses, for comparing answers with what they call."""
    defined: dict[str, tuple[Cell, ast.stmt]] = {}
    for cell in reading.cells:
        for statement in cell.statements:
            for name in Statement(statement, reading.imported).stored:
                for each in filter(is_function, statements.bindings(statement, name)):
                    defined[name] = (cell, each)
    listed, room = [], LENGTH
    for name in helpers_of(binding, {name: statement for name, (_, statement) in defined.items()}):
        shape = shape_of(defined[name][1], reading.imported)[:room]
        room -= len(shape)
        listed.append({"name": name, "source": _source_of(*defined[name])[:_HELPER_LIMIT], "shape": shape})
    return listed


def _last_binding(cell: Cell, name: str) -> ast.stmt | None:
    found = [binding for statement in cell.statements for binding in statements.bindings(statement, name)]
    return found[-1] if found else None


def _source_of(cell: Cell, binding: ast.stmt) -> str:
    decorators = getattr(binding, "decorator_list", [])
    first = min([binding.lineno, *(decorator.lineno for decorator in decorators)])
    lines = cell.lines[first - 1 : binding.end_lineno]
    return "\n".join(lines)[:_SOURCE_LIMIT].encode("utf-8", "replace").decode()


def say(error: BaseException, filename: str = "") -> str:
    """An exception in one line, with the last line of the cell in its traceback."""
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        words = " ".join(steady(f"{type(error).__name__}: {message}").split())
        words = words[:_WORDS_LIMIT].removesuffix(":")
        line = error.lineno if isinstance(error, SyntaxError) else _line(error, filename)
        text = f"{words} (line {line})" if line else words
        return text.encode("utf-8", "replace").decode()
    except TimeUp:
        raise
    except BaseException:  # an exception class of the student whose message raises another
        return "an exception that cannot be shown"


def _line(error: BaseException, filename: str) -> int:
    line, trace = 0, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
