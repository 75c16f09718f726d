"""Executing what an answer needs of its notebook, so that names have the values of a fresh run at the answer.

What an answer needs is a part of a fresh run (see `needed`), executed in the order of the file up to the answer. A faulty
cell may affect only itself.
"""

import ast
import builtins
import linecache
import random
import time
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import torch

from lib.exercises.engine.limits import TimeUp, call_limited
from lib.grading.worker import statements
from lib.grading.worker.cells import Answer, Cell, Reading, say
from lib.grading.worker.needed import Statement, needed
from lib.grading.worker.statements import DEFINITION


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
            return say(error, cell.filename)
        return ""


def _future_flags(statement: ast.stmt) -> int:
    import __future__

    if not (isinstance(statement, ast.ImportFrom) and statement.module == "__future__"):
        return 0
    flags = 0
    for alias in statement.names:
        flags |= getattr(__future__, alias.name).compiler_flag
    return flags


class _NoShell:
    """A replacement of IPython's shell whose methods do nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _show_nothing


def _show_nothing(*args: Any, **kwargs: Any) -> None:
    """A replacement of `display` and of the shell's methods, which does nothing."""
