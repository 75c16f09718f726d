"""The code cells of a submission: parse them, find an answer, execute what the answer needs.

All of this happens in a disposable process, on untrusted text: a faulty cell may affect only itself. What an answer
needs is a part of a fresh run (see `needed`), executed in the order of the file up to the answer.
"""

import ast
import builtins
import linecache
import random
import re
import time
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lib.exercises.engine.limits import TimeUp, call_limited  # now, as lib.exercises is closed before the first cell
from lib.exercises.engine.values import steady
from lib.grading.worker import statements
from lib.grading.worker.magics import plain_python
from lib.grading.worker.needed import Statement, needed
from lib.grading.worker.shape import shape_of
from lib.grading.worker.statements import DEFINITION

_SOURCE_LIMIT = 20_000  # characters of an answer that are kept for the report
_WORDS_LIMIT = 300  # characters of an exception's message


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
            return Answer(cell.number, name, source, bool(written), shape_of(binding, reading.imported))
    return None


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
    before: Callable[[int], None],
    skip: Collection[int],
    seconds: float | int = 10,
) -> dict[str, Any]:
    """Execute in `namespace` what the answer needs of the notebook, in order, up to the end of the answer's cell.

    So names have the values that they have in a fresh run when the answer is reached; what comes later changes
    nothing. Only names that are then missing are taken from later cells. If the answer was not bound, its name is
    missing. Returns {"left_out": [{"cell", "what"}, …], "below": {name: cell, …}}: what failed, and the names that
    were taken from below. `before` is called with the number of each cell in which something is executed; cells in
    `skip` are left out. The statements above the answer's cell have `seconds` together, each of another cell at
    most what is left. Raises only what `before` raises.
    """
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    namespace |= {"__name__": "__main__", "get_ipython": _NoShell, "display": _show_nothing}
    execution = _Execution(reading, namespace, answer, before, skip, seconds)
    last = max(n for n, (cell, _) in enumerate(execution.all) if cell.number == answer.cell)
    above = [statement for _, statement in execution.all[: last + 1]]
    roots = {n for n in range(last + 1) if execution.is_root(n)}
    chosen = needed(above, roots)
    execution.run(chosen)
    below = execution.run_below(chosen, last + 1)
    if not execution.bound:
        namespace.pop(answer.name, None)
    return {"left_out": execution.problems, "below": below}


class _Execution:
    def __init__(
        self,
        reading: Reading,
        namespace: dict[str, Any],
        answer: Answer,
        before: Callable[[int], None],
        skip: Collection[int],
        seconds: float | int,
    ) -> None:
        self.namespace, self.answer, self.before, self.skip = namespace, answer, before, skip
        nodes = [(cell, node) for cell in reading.cells for node in cell.statements]
        functions = {
            d.name for _, node in nodes for d in statements.walk(node, DEFINITION) if isinstance(d, DEFINITION)
        }
        self.all = [(cell, Statement(node, reading.imported, functions)) for cell, node in nodes]
        self.deadline = time.monotonic() + seconds
        self.problems: list[dict[str, Any]] = []
        self.missing: set[str] = set()  # names that a statement that was left out binds or changes
        self.at = 0  # the number of the cell that is executed
        self.bound = False
        self.flags = 0  # of `from __future__ import …`, which apply to all later cells

    def is_root(self, number: int) -> bool:
        """Whether this statement of the answer's cell binds or changes the answer."""
        cell, statement = self.all[number]
        return cell.number == self.answer.cell and self.answer.name in statement.changed

    def run(self, chosen: Collection[int]) -> None:
        """Execute these statements in order."""
        for number in sorted(chosen):
            cell, statement = self.all[number]
            if cell.number in self.skip:
                self._leave_out(cell, statement, "this cell was left out")
            elif self._waits(number):
                self.missing |= statement.stored
            elif failed := self._run_one(cell, statement.node):
                self._leave_out(cell, statement, failed)
            else:
                self.missing -= statement.stored
                self.bound |= self.is_root(number) and bool(statements.bindings(statement.node, self.answer.name))

    def _waits(self, number: int) -> bool:
        """Whether a statement reads what was left out; the answer itself is tried in any case."""
        return not self.is_root(number) and not self.missing.isdisjoint(statements.names_read(self.all[number][1].node))

    def _leave_out(self, cell: Cell, statement: Statement, why: str) -> None:
        self.missing |= statement.stored
        self.problems.append({"cell": cell.number, "what": why})

    def run_below(self, chosen: Collection[int], first: int) -> dict[str, int]:
        """Take names that are still missing from the statements after the answer's cell that bind them; say which."""
        wanted = set().union(*(self.all[number][1].reads for number in chosen))
        below: dict[str, int] = {}
        while True:
            lacking = wanted - self.namespace.keys() - self.missing - vars(builtins).keys()
            binding = [n for n in range(first, len(self.all)) if self._only_binds(n, lacking)]
            if not binding:
                return below
            self.run(binding)
            for number in binding:
                cell, statement = self.all[number]
                below |= dict.fromkeys(sorted(statement.stored & lacking & self.namespace.keys()), cell.number)
                wanted |= statement.reads
                self.missing |= statement.stored - self.namespace.keys()

    def _only_binds(self, number: int, names: set[str]) -> bool:
        cell, statement = self.all[number]
        is_binding = isinstance(statement.node, (*DEFINITION, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign))
        fresh = statement.stored.isdisjoint(self.namespace.keys()) and cell.number not in self.skip
        return is_binding and fresh and not names.isdisjoint(statement.stored)

    def _run_one(self, cell: Cell, statement: ast.stmt) -> str:
        """Execute one statement; return what it raised, or ""."""
        if cell.number != self.at:
            self.at = cell.number
            self.before(cell.number)
            lines = [f"{line}\n" for line in cell.lines]
            linecache.cache[cell.filename] = (sum(map(len, lines)), None, lines, cell.filename)
        try:
            code = compile(
                ast.Module([statement], type_ignores=[]), cell.filename, "exec", flags=self.flags, dont_inherit=True
            )
            if cell.number == self.answer.cell:  # if this does not end, the answer's time is up, says the server
                exec(code, self.namespace)
            else:
                call_limited(lambda: exec(code, self.namespace), max(self.deadline - time.monotonic(), 0.1))
            self.flags |= _future_flags(statement)
        except TimeUp:
            return "it did not finish in time"
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
