"""The course's own source, to hold answers against: known answers to an exercise, and functions of `lib`."""

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
from lib.grading.worker import statements
from lib.grading.worker.shape import shape_of
from lib.grading.reports.similarity import Runs, runs_of, similarity

if TYPE_CHECKING:
    from lib.grading.assignment.item import Item

LEAST_TOKENS = 40  # of a function of the library: below, anyone may write the same
TELLING_TOKENS = 100  # from here on nobody does by chance; below, lines have to be the same word for word
TELLING_LINES = 0.8
_NO_ANSWERS = ("course", "plots")  # rooms of `lib` without anything that an exercise asks for
LIKE_OURS = 0.9  # share of common runs from which on an answer is ours


@dataclass(frozen=True)
class Ours:
    """A function of the library."""

    name: str  # "lib/objectives/mlm.py: mlm_loss"
    runs: Runs
    tokens: int
    lines: tuple[str, ...]  # of its body, after the docstring, without indentation


@dataclass(frozen=True)
class Copied:
    """A function of the library that an answer is like."""

    name: str
    similarity: float
    same_lines: int  # lines of the function that stand in the answer word for word …
    lines: int  # … of so many


def copied_from(shape: Sequence[str], source: str) -> Copied | None:
    """The function of the library whose syntax an answer has, names aside; None where there is none.

    A short one counts only where most of its lines stand there word for word. Of several it is the one with
    the largest share of such lines.
    """
    runs = runs_of(shape)
    lines = Counter(_lines(source))
    found = []
    for ours in _candidates(runs):
        alike = similarity(runs, ours.runs)
        same = (Counter(ours.lines) & lines).total()
        if alike >= LIKE_OURS and (
            ours.tokens >= TELLING_TOKENS or same >= TELLING_LINES * max(3, len(ours.lines))
        ):
            found.append(Copied(ours.name, alike, same, len(ours.lines)))
    return max(
        found, key=lambda each: (each.same_lines / each.lines, each.similarity, each.name), default=None
    )


def _candidates(runs: Runs) -> list[Ours]:
    """The functions that may be like an answer.

    Who shares nine runs in ten has one of any tenth and one more: of those in the fewest functions.
    """
    functions, index = _library()
    needed = len(runs) - int(LIKE_OURS * len(runs)) + 1
    rarest = sorted(runs, key=lambda run: (len(index.get(run, ())), run))[:needed]
    return [
        functions[number] for number in sorted({number for run in rarest for number in index.get(run, ())})
    ]


def _lines(source: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, source.splitlines())))


@cache
def _library() -> tuple[list[Ours], dict[tuple, list[int]]]:
    """The functions of `lib` that are long enough, and which of them hold a run."""
    paths = sorted((ROOT / "lib").rglob("*.py"))
    asked = [path for path in paths if path.relative_to(ROOT).parts[1] not in _NO_ANSWERS]
    functions = [ours for path in asked for ours in _functions(path)]
    index: dict[tuple, list[int]] = {}
    for number, ours in enumerate(functions):
        for run in ours.runs:
            index.setdefault(run, []).append(number)
    return functions, index


def _functions(path: Path) -> Iterator[Ours]:
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
                yield Ours(name, runs_of(shape), len(shape), _lines(body))


@cache
def known_shapes(item: "Item") -> tuple[tuple[str, ...], ...]:
    """The shapes of answers to an exercise that are nobody's own, as far as they are functions with a source:
    the solution of its notebook, the reference, accepted variants and misconceptions."""
    from lib.exercises import get

    found = list(_in_notebook(item))
    try:
        exercise = get(item.exercise)
    except KeyError:  # of another version of the course
        return tuple(found)
    mistakes = (mistake.answer for mistake in exercise.misconceptions)
    for answer in (exercise.reference, *exercise.accepts, *mistakes):
        found += _of_function(answer)
    return tuple(found)


def _in_notebook(item: "Item") -> Iterator[tuple[str, ...]]:
    from lib.grading.worker.cells import find_answer, parse_cells
    from lib.grading.judging.grader import answer_names
    from lib.lectures.notebooks import load
    from lib.lectures.renamed import present_name

    name = item.notebook.removesuffix(".ipynb")
    path = NOTEBOOKS / f"{present_name(name)}.ipynb"
    if path.parent == NOTEBOOKS and path.is_file():
        code = [cell.source for cell in load(path).cells if cell.cell_type == "code"]
        cells = [{"number": i, "source": source, "exercise": ""} for i, source in enumerate(code)]
        answer = find_answer(parse_cells(cells), item.exercise, answer_names().get(item.exercise, ""))
        if answer:
            yield tuple(answer.shape)


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
