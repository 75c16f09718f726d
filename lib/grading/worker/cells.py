"""The code cells of a submission: parse them, find an answer, execute what an answer may need.

All of this happens in a disposable process, on untrusted text: a faulty cell may affect only itself. Only imports,
definitions and constants are executed, in the order of the file.
"""

import ast
import linecache
import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lib.exercises.engine.limits import TimeUp  # imported here, as lib.exercises is closed before the first cell runs
from lib.exercises.engine.values import steady
from lib.grading.worker import statements
from lib.grading.worker.magics import OTHER_LANGUAGES, foreign_magic, plain_python
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
            problems.append({"cell": number, "what": _say(error)})
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
            for name in statements.names_changed(statement):
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


def run_cells(
    reading: Reading,
    namespace: dict[str, Any],
    *,
    answer: Answer,
    value: bool,
    before: Callable[[int], None],
    skip: Collection[int],
) -> list[dict[str, Any]]:
    """Execute imports, definitions and constants of all cells in `namespace`; return what failed.

    In the answer's cell every statement that binds its name is executed too, and with `value` all statements. The
    value of the name after that cell is put into `namespace` at the end; if the cell did not bind it, the name is
    missing. `before` is called with the number of each cell; cells in `skip` are left out. Raises only a watchdog's
    TimeUp, and what `before` raises.
    """
    namespace |= {"__name__": "__main__", "get_ipython": _NoShell, "display": _show_nothing}
    execution = _Execution(reading, namespace, answer, value)
    for cell in reading.cells:
        if cell.number in skip:
            for statement in cell.statements:
                execution.leave_out(statement)
            continue
        before(cell.number)
        execution.run(cell)
    namespace.pop(answer.name, None)
    namespace |= execution.captured
    return execution.problems


class _Execution:
    def __init__(self, reading: Reading, namespace: dict[str, Any], answer: Answer, value: bool) -> None:
        self.imported, self.namespace, self.answer, self.value = reading.imported, namespace, answer, value
        self.problems: list[dict[str, Any]] = []
        self.missing: set[str] = set()  # names that a statement that was not executed binds or changes
        self.captured: dict[str, Any] = {}
        self.flags = 0  # of `from __future__ import …`, which apply to all later cells

    def leave_out(self, statement: ast.stmt) -> None:
        is_import = isinstance(statement, ast.Import | ast.ImportFrom)
        self.missing |= statements.names_changed(statement) - set(() if is_import else self.imported)

    def run(self, cell: Cell) -> None:
        lines = [f"{line}\n" for line in cell.lines]
        linecache.cache[cell.filename] = (sum(map(len, lines)), None, lines, cell.filename)
        bound, whole = False, True
        for statement in cell.statements:
            if not self._is_wanted(cell, statement):
                self.leave_out(statement)
                whole = False
            elif failed := self._run_one(cell, statement):
                self.leave_out(statement)
                if not self._is_expected(cell, statement, whole):
                    self.problems.append({"cell": cell.number, "what": failed})
            else:
                self.missing -= statements.names_changed(statement)
                bound |= self._is_asked_for(cell, statement)
        if bound and self.answer.name in self.namespace:
            self.captured = {self.answer.name: self.namespace[self.answer.name]}

    def _is_asked_for(self, cell: Cell, statement: ast.stmt) -> bool:
        return cell.number == self.answer.cell and bool(statements.bindings(statement, self.answer.name))

    def _is_wanted(self, cell: Cell, statement: ast.stmt) -> bool:
        if self._is_asked_for(cell, statement) or (self.value and cell.number == self.answer.cell):
            return True
        if not statements.is_executed(statement, self.imported):
            return False
        return not statements.names_read(statement) & self.missing

    def _is_expected(self, cell: Cell, statement: ast.stmt, whole: bool) -> bool:
        """Whether a failure is caused by our omissions: a constant from left-out code, or a plot next to a value."""
        if cell.number == self.answer.cell:
            return self.value and isinstance(statement, ast.Expr | ast.Assert)
        return not whole and isinstance(statement, ast.Assign | ast.AnnAssign)

    def _run_one(self, cell: Cell, statement: ast.stmt) -> str:
        """Execute one statement; return what it raised, or ""."""
        try:
            module = ast.Module([statement], type_ignores=[])
            code = compile(module, cell.filename, "exec", flags=self.flags, dont_inherit=True)
            exec(code, self.namespace)
            self.flags |= _future_flags(statement)
        except TimeUp:
            raise
        except BaseException as error:  # also SystemExit, which ends only this statement
            return _say(error, cell.filename)
        return ""


def _future_flags(statement: ast.stmt) -> int:
    import __future__

    if not (isinstance(statement, ast.ImportFrom) and statement.module == "__future__"):
        return 0
    flags = 0
    for alias in statement.names:
        flags |= getattr(__future__, alias.name).compiler_flag
    return flags


def _say(error: BaseException, filename: str = "") -> str:
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


class _NoShell:
    """A replacement of IPython's shell whose methods do nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _show_nothing


def _show_nothing(*args: Any, **kwargs: Any) -> None:
    """A replacement of `display` and of the shell's methods, which does nothing."""
