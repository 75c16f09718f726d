"""What the seed decides in a lecture: the cells to run for another seed, what they measure, and the table of it.

Code cells tagged `seeds` belong to it, and the `parameters` cell, which has a `seed`. The metadata of such a cell may
name expressions, which are evaluated once it has run, unseen by readers:

    "course": {"measured": {"leak.causal": "loss_of(honest, tokens, right)"}}

A table has a row for each seed: `seed`, `cells` (a hash of what was run), what was measured, `seconds` (of CPU).
"""

import ast
import copy
import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from lib import DATA
from lib.errors import CourseError
from lib.lectures import notebooks
from lib.lectures.execution import Execution, Job, execute

if TYPE_CHECKING:
    from nbformat import NotebookNode

TAG = "seeds"
KEY = ("seed", "cells")
BUDGET_SECONDS = 600.0
"""What the seeds of a lecture may take of CPU, all together."""

_MEASURED = "application/vnd.course.measured+json"


@dataclass(frozen=True)
class SeededCells:
    """The parameters and the cells tagged `seeds` of one lecture, in their order."""

    name: str  # of the lecture
    folder: str  # in which they run
    notebook: dict  # these cells alone
    measured: Mapping[str, Mapping[str, str]]  # cell id -> name -> expression

    @property
    def names(self) -> list[str]:
        """What is measured, in the order of the table's columns."""
        return [name for expressions in self.measured.values() for name in expressions]

    @cached_property
    def hash(self) -> str:
        """12 hexadecimal digits of the SHA-256 of all sources and expressions."""
        cells = [[cell["id"], cell["source"], self.measured.get(cell["id"], {})] for cell in self.notebook["cells"]]
        return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:12]

    @property
    def file(self) -> Path:
        """Where the table of a lecture lies: data/experiments/seeds_NN.csv."""
        number = self.name[:2] if self.name[:2].isdigit() else self.name
        return DATA / "experiments" / f"seeds_{number}.csv"

    def run(self, seed: int, timeout: float = BUDGET_SECONDS) -> dict[str, str]:
        """Run the cells with this seed in a process of their own, without network; what was measured, and `seconds`.

        Raises CourseError with the seed, the cell and its error if one fails.
        """
        recording = copy.deepcopy(self.notebook)
        for cell in recording["cells"]:
            cell["source"] += _recorder(self.measured.get(cell["id"], {}))
        execution = execute(Job(self.name, recording, self.folder, {"seed": seed}, timeout))
        if not execution.ok:
            raise CourseError(f"seed {seed}: cell {execution.cell or '?'}: {_last_line(execution)}")
        assert execution.notebook is not None, "it is complete"
        found: dict[str, str] = {}
        for output in (output for cell in execution.notebook["cells"] for output in cell.get("outputs", ())):
            found |= output.get("data", {}).get(_MEASURED, {})
        return {name: found[name] for name in (*self.names, "seconds")}


def _recorder(expressions: Mapping[str, str]) -> str:
    """The lines that evaluate and record, behind the source of a cell; empty if nothing is measured there."""
    if not expressions:
        return ""
    values = ", ".join(f"{name!r}: ({expression})" for name, expression in expressions.items())
    return f"\n\n__import__({__name__!r}, fromlist=['record']).record({{{values}}})"


def record(values: Mapping[str, Any]) -> None:
    """Called in the kernel: leave the values, and the seconds of CPU so far, in the outputs of the cell.

    Raises TypeError for a value that is neither True, False nor one number.
    """
    from IPython.display import display

    found = {name: as_text(name, value) for name, value in values.items()}
    display({_MEASURED: found | {"seconds": f"{time.process_time():.1f}"}}, raw=True)


def as_text(name: str, value: Any) -> str:
    """A measured value as it stands in a table: True, False, or a number of 6 digits.

    Tensors and arrays of one element count as that element. Raises TypeError for anything else.

    >>> as_text("loss", 2.0794415), as_text("found", 8), as_text("exploded", True)
    ('2.07944', '8', 'True')
    """
    if hasattr(value, "item"):
        with suppress(ValueError, RuntimeError):  # more than one element
            value = value.item()
    if not isinstance(value, bool | int | float):
        kind = type(value).__name__
        raise TypeError(f"measured {name!r} must be one number, True or False, got {kind}: {str(value)[:60]}")
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def seeded_cells(notebook: "NotebookNode", path: Path) -> SeededCells | None:
    """What the seed decides in the lecture of this file, or None if no cell is tagged `seeds`.

    Raises CourseError for a lecture without a parameter `seed`, for a malformed entry of what is measured, and where
    nothing is.
    """
    name = path.stem
    tagged = {cell.id for cell in notebook.cells if TAG in notebooks.tags(cell)}
    measured = {cell.id: _expressions(cell, name) for cell in notebook.cells if "measured" in _course(cell)}
    if wrong := [id for id in measured if id not in tagged]:
        raise CourseError(f"{name}, cell {wrong[0]}: `course.measured` in a cell that is not tagged `{TAG}`")
    if not tagged:
        return None
    if "seed" not in notebooks.parameters(notebook):
        raise CourseError(f"{name} has cells tagged `{TAG}`, and no parameter `seed`")
    names = [each for expressions in measured.values() for each in expressions]
    if not names or len(set(names)) < len(names):
        twice = sorted({each for each in names if names.count(each) > 1})
        raise CourseError(f"{name}: {', '.join(twice) + ' is measured twice' if twice else 'nothing is measured'}")
    kept = [cell for cell in notebook.cells if cell.id in tagged or "parameters" in notebooks.tags(cell)]
    part = json.loads(json.dumps(notebook | {"cells": kept}))
    for cell in part["cells"]:
        cell["outputs"], cell["execution_count"] = [], None
    return SeededCells(name, str(path.resolve().parent), part, measured)


def _course(cell: "NotebookNode") -> dict:
    return cell.metadata.get("course", {})


def _expressions(cell: "NotebookNode", name: str) -> dict[str, str]:
    """What a cell's metadata say is measured there. Raises CourseError if they are malformed."""
    found, where = _course(cell)["measured"], f"{name}, cell {cell.id}: `course.measured`"
    if not isinstance(found, dict) or not found or not all(isinstance(each, str) for each in found.values()):
        raise CourseError(f'{where} must be names with expressions, such as {{"leak.loss": "losses[-1]"}}, got {found}')
    for each, expression in found.items():
        if each in (*KEY, "seconds") or not each.replace(".", "_").isidentifier():
            raise CourseError(f"{where}: {each!r} is no name for a column, such as leak.loss")
        try:
            ast.parse(expression, mode="eval")
        except SyntaxError as error:
            raise CourseError(f"{where}: {each!r} is not an expression ({error.msg}): {expression}") from None
    return dict(found)


def _last_line(execution: Execution) -> str:
    lines = execution.traceback.strip().splitlines()
    return lines[-1] if lines and execution.verdict[:1].isupper() else execution.verdict


@dataclass(frozen=True)
class _Run:
    """A row to come, as `lib.training.sweeps` wants it."""

    seed: int
    cells: str


def run_seeds(cells: SeededCells, seeds: Sequence[int], file: Path, executor: Executor) -> list[dict[str, str]]:
    """Run every seed that has no row in `file` yet, append a row as each ends, and return the rows of all of them.

    `executor` must be one of threads. Raises CourseError for a damaged table, one that was made from other cells and,
    at the end, if some seeds failed: then the rows of the others are in the table.
    """
    from lib.training.sweeps import SweepError, sweep

    failed: dict[int, str] = {}

    def one(run: _Run) -> dict[str, str]:
        try:
            return cells.run(run.seed)
        except CourseError as error:
            failed[run.seed] = str(error)
            raise

    if stale := other_cells(table(file), cells):
        raise CourseError(f"{file.name} {stale}: remove it, or write elsewhere with --out")
    try:
        runs = [_Run(seed, cells.hash) for seed in seeds]
        return sweep(runs, one, file, executor, description=f"seeds of {cells.name}")
    except SweepError as error:
        told = "\n  ".join(failed[seed] for seed in sorted(failed)) or str(error)
        raise CourseError(f"{cells.name}: {len(failed)} of {len(seeds)} seeds failed\n  {told}") from None
    except ValueError as error:
        raise CourseError(str(error)) from None


def table(file: Path) -> list[dict[str, str]]:
    """The rows of a table in the order of their seeds; none if there is no file. Raises CourseError if it is damaged."""
    from lib.training.sweeps import read_rows

    try:
        rows = read_rows(file, KEY)
    except ValueError as error:
        raise CourseError(str(error)) from None
    for row in rows:
        values = [value for name, value in row.items() if name not in KEY and value not in ("True", "False")]
        try:
            _ = int(row["seed"]), row["seconds"], [float(value) for value in values]
        except (ValueError, KeyError):
            what = f"{file.name}: the row of seed {row['seed']!r} has no seconds, or something that is no number"
            raise CourseError(f"{what}; remove it, and the seed is run again") from None
    return sorted(rows, key=lambda row: int(row["seed"]))


def other_cells(rows: Sequence[Mapping[str, str]], cells: SeededCells) -> str:
    """What is wrong if rows were made from other cells than these; empty if none was."""
    others = sum(row["cells"] != cells.hash for row in rows)
    return f"has {others} rows of other cells than {cells.name} has now" if others else ""


def summary(rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """A line for each measured name: the share of a yes or no; else minimum, median and maximum.

    >>> rows = [{"seed": "0", "cells": "c", "falls": "True", "loss": "2.0", "seconds": "1"},
    ...         {"seed": "1", "cells": "c", "falls": "False", "loss": "inf", "seconds": "1"}]
    >>> print(*summary(rows), sep="\\n")
    falls  in 1 of 2
    loss   min 2, median inf, max inf
    """
    names = [name for name in rows[0] if name not in (*KEY, "seconds")]
    for name in names:
        values = [row[name] for row in rows]
        if {*values} <= {"True", "False"}:
            told = f"in {values.count('True')} of {len(values)}"
        else:
            numbers = sorted((float(value) for value in values), key=lambda x: (math.isnan(x), x))  # nan: the last
            told = f"min {numbers[0]:.4g}, median {median(numbers):.4g}, max {numbers[-1]:.4g}"
        yield f"{name:{max(map(len, names))}}  {told}"
