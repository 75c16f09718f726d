"""What a student edition has that its lecture has not, and the cells that this needs: the rest runs as it
does there."""

import ast
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

from nbformat import NotebookNode

from lib.grading.worker import statements
from lib.grading.worker.magics import plain_python
from lib.grading.worker.needed import Statement


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def differing(lecture: NotebookNode, edition: NotebookNode) -> list[NotebookNode]:
    """The cells of the edition that are not in the lecture, or otherwise: stubs, what may fail, the last one."""
    known = {cell.id: (cell.source, cell.metadata.get("tags")) for cell in code_cells(lecture)}
    return [cell for cell in code_cells(edition) if known.get(cell.id) != (cell.source, cell.metadata.get("tags"))]


def names_read(cell: NotebookNode) -> set[str]:
    """All names that a cell reads anywhere, also in the functions that it defines."""
    nodes = ast.walk(ast.parse(plain_python(cell.source)))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def names_changed(cell: NotebookNode) -> set[str]:
    """The names that a cell may bind, or whose objects it may change."""
    body = ast.parse(plain_python(cell.source)).body
    calls = [node.value for each in body for node in ast.walk(each) if isinstance(node, ast.Expr)]  # sizes.append(3)
    return {statements.owner(call.func) for call in calls if isinstance(call, ast.Call)}.union(
        *(Statement(each, {}).stored for each in body)
    )


def with_what_they_need(cells: list[NotebookNode], edition: NotebookNode) -> list[NotebookNode]:
    """These cells and all before them that bind or change what they read, in the order of the notebook."""
    chosen, needed = [], set()
    for cell in reversed(code_cells(edition)):
        if cell in cells or names_changed(cell) & needed:
            chosen.append(cell)
            needed |= names_read(cell)
    return chosen[::-1]


def import_what_it_imports(notebook: NotebookNode) -> None:
    """Load the modules of a notebook here, so that processes forked from this one need not load them again."""
    for node in (node for cell in code_cells(notebook) for node in ast.walk(ast.parse(plain_python(cell.source)))):
        if isinstance(node, ast.ImportFrom):
            import_module(node.module)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                import_module(alias.name)
    import_module("torch._dynamo")  # which the first optimizer loads


def failures(cells: Iterable[NotebookNode], folder: Path) -> dict[str, str]:
    """Execute cells as a kernel does, on after an error, in a process forked from this one; the exceptions by cell id.

    A kernel of its own would need some five seconds to load torch and what else a lecture imports.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(_failures, [(cell.id, cell.source) for cell in cells], str(folder)).result()


def _failures(cells: list[tuple[str, str]], folder: str) -> dict[str, str]:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    os.chdir(folder)
    config = Config({"HistoryManager": {"enabled": False}})
    found = {}
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        shell = InteractiveShell.instance(config=config)
        for id, source in cells:
            result = shell.run_cell(source)
            if error := result.error_before_exec or result.error_in_exec:
                found[id] = f"{type(error).__name__}: {error}"
    return found
