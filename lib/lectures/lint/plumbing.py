"""Lint rules of the second edition for code: a reader sees the mechanism, and not what draws and tabulates it."""

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lib.lectures.lint.code import tree_of
from lib.lectures.lint.second_edition import HIDDEN, Findings, second_edition, visible
from lib.lectures.notebooks import tags

if TYPE_CHECKING:
    from nbformat import NotebookNode

_PACKAGES = ("matplotlib", "pandas", "seaborn", "plotly")
_OWNERS = ("plt", "pd")
_CALLS = ("figure", "subplots", "plot", "DataFrame")


@second_edition
def hidden_cell(notebook: "NotebookNode") -> Findings:
    """A hidden cell is hidden everywhere: `source_hidden` for JupyterLab and the tag `hide-input` for pages, or none."""
    for cell in notebook.cells:
        in_lab = cell.metadata.get("jupyter", {}).get("source_hidden") is True
        on_pages = HIDDEN in tags(cell)
        if in_lab != on_pages:
            has, lacks = f"the tag {HIDDEN!r}", "metadata jupyter.source_hidden"
            has, lacks = (lacks, has) if in_lab else (has, lacks)
            yield cell.id, f"hidden in one place only: it has {has}, but not {lacks}"


@second_edition
def plumbing(notebook: "NotebookNode") -> Findings:
    """No visible code cell plots or builds tables; it calls show(…) with a function of lib.plots."""
    for cell in visible(notebook, "code"):
        found = dict.fromkeys(_plumbing_of(cell.source))
        if found:
            yield cell.id, f"{', '.join(found)}: move it to lib.plots, or into a hidden cell"


def _plumbing_of(source: str) -> Iterator[str]:
    if magic := re.search(r"(?m)^\s*%matplotlib\b", source):
        yield magic[0].strip()
    for node in ast.walk(tree_of(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (f"import of {name}" for name in _imported(node) if name in _PACKAGES)
        elif isinstance(node, ast.Name) and node.id in _OWNERS:
            yield f"{node.id}."
        elif isinstance(node, ast.Call) and _called(node.func) in _CALLS:
            yield f"{_called(node.func)}("


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    return (name.split(".")[0] for name in names)


def _called(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


RULES = {
    "hidden-cell": hidden_cell,
    "plumbing": plumbing,
}
