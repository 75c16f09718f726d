"""The course's own source, to compare answers with: known answers to an exercise, and functions of `lib`."""

import ast
import inspect
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib import NOTEBOOKS, ROOT
from lib.grading.reports.similarity import Runs, runs_of, similarity
from lib.grading.worker import statements
from lib.grading.worker.shape import is_function, shape_of

if TYPE_CHECKING:
    from lib.grading.assignment.item import Item
    from lib.grading.worker.cells import Reading

LEAST_TOKENS = 40  # of a library function: a shorter one may be written by chance
TELLING_TOKENS = 100  # from this length on it is no coincidence; below, lines must be identical as well
TELLING_LINES = 0.8
_NO_ANSWERS = ("course", "plots")  # rooms of `lib` without answers to exercises
LIKE_OURS = 0.9  # share of common runs from which on an answer counts as copied


@dataclass(frozen=True)
class LibraryFunction:
    """A function of the library."""

    name: str  # "lib/objectives/mlm.py: mlm_loss"
    runs: Runs
    tokens: int
    lines: tuple[str, ...]  # of its body, after the docstring, without indentation


@dataclass(frozen=True)
class Copied:
    """A library function that an answer resembles."""

    name: str
    similarity: float
    same_lines: int  # lines of the function that are identical in the answer
    lines: int  # lines of the function


def copied_from(shape: Sequence[str], source: str) -> Copied | None:
    """The library function with the same syntax as an answer, ignoring names; None if there is none.

    A short function counts only if most of its lines are identical in the answer. Of several functions, the result is
    the one with the largest share of identical lines.
    """
    runs = runs_of(shape)
    lines = Counter(_lines(source))
    found = []
    for ours in _candidates(runs):
        alike = similarity(runs, ours.runs)
        same = (Counter(ours.lines) & lines).total()
        if alike >= LIKE_OURS and (ours.tokens >= TELLING_TOKENS or same >= TELLING_LINES * max(3, len(ours.lines))):
            found.append(Copied(ours.name, alike, same, len(ours.lines)))
    return max(found, key=lambda each: (each.same_lines / each.lines, each.similarity, each.name), default=None)


def _candidates(runs: Runs) -> list[LibraryFunction]:
    """The functions that may resemble an answer.

    A function that shares at least nine tenths of the answer's runs contains at least one of any tenth plus one of
    them. So it is enough to look up the rarest runs.
    """
    functions, index = _library()
    needed = len(runs) - int(LIKE_OURS * len(runs)) + 1
    rarest = sorted(runs, key=lambda run: (len(index.get(run, ())), run))[:needed]
    return [functions[number] for number in sorted({number for run in rarest for number in index.get(run, ())})]


def _lines(source: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, source.splitlines())))


@cache
def _library() -> tuple[list[LibraryFunction], dict[tuple, list[int]]]:
    """The functions of `lib` that are long enough, and an index from runs to the functions that contain them."""
    paths = sorted((ROOT / "lib").rglob("*.py"))
    asked = [path for path in paths if path.relative_to(ROOT).parts[1] not in _NO_ANSWERS]
    functions = [ours for path in asked for ours in _functions(path)]
    index: dict[tuple, list[int]] = {}
    for number, ours in enumerate(functions):
        for run in ours.runs:
            index.setdefault(run, []).append(number)
    return functions, index


def _functions(path: Path) -> Iterator[LibraryFunction]:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    imported = statements.import_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            shape = shape_of(node, imported)
            if len(shape) >= LEAST_TOKENS:
                name = f"{path.relative_to(ROOT).as_posix()}: {node.name}"
                first = node.body[1 if ast.get_docstring(node) and len(node.body) > 1 else 0]
                body = "\n".join(source.splitlines()[first.lineno - 1 : node.end_lineno])
                yield LibraryFunction(name, runs_of(shape), len(shape), _lines(body))


@cache
def known_shapes(item: "Item") -> tuple[tuple[str, ...], ...]:
    """The shapes of an exercise's published answers, as far as they are functions with a source: the solution in
    its notebook, all functions that the notebook defines, the reference, accepted variants and misconceptions."""
    from lib.exercises import get

    found = [*_in_notebook(item), *_given(item)]
    try:
        exercise = get(item.exercise)
    except KeyError:  # of another version of the course
        return tuple(found)
    mistakes = (mistake.answer for mistake in exercise.misconceptions)
    for answer in (exercise.reference, *exercise.accepts, *mistakes):
        found += _of_function(answer)
    return tuple(found)


def _in_notebook(item: "Item") -> Iterator[tuple[str, ...]]:
    from lib.grading.judging.grader import answer_names
    from lib.grading.worker.cells import find_answer

    answer = find_answer(_reading(item), item.exercise, answer_names().get(item.exercise, ""))
    if answer:
        yield tuple(answer.shape)


def _given(item: "Item") -> Iterator[tuple[str, ...]]:
    """The functions of the notebook, which every student's answer may call."""
    reading = _reading(item)
    for cell in reading.cells:
        yield from (tuple(shape_of(each, reading.imported)) for each in cell.statements if is_function(each))


def _reading(item: "Item") -> "Reading":
    """The cells of the notebook in which an exercise is asked; none if this version of the course does not have it."""
    from lib.grading.worker.cells import parse_cells
    from lib.lectures.notebooks import load
    from lib.lectures.renamed import present_name

    path = NOTEBOOKS / f"{present_name(item.notebook.removesuffix('.ipynb'))}.ipynb"
    there = path.parent == NOTEBOOKS and path.is_file()
    code = [cell.source for cell in load(path).cells if cell.cell_type == "code"] if there else []
    return parse_cells([{"number": i, "source": source, "exercise": ""} for i, source in enumerate(code)])


def _of_function(answer: Any) -> Iterator[tuple[str, ...]]:
    function: Callable = inspect.unwrap(answer.func if isinstance(answer, partial) else answer)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        imported = statements.import_names(ast.parse(inspect.getsource(inspect.getmodule(function))))
    except (OSError, TypeError, SyntaxError):  # a builtin, or a lambda in the middle of a line
        return
    for node in tree.body[:1]:
        if isinstance(node, ast.FunctionDef):
            yield tuple(shape_of(node, imported))
