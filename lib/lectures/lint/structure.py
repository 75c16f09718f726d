"""Lint rules for the structure of a notebook: title, headings, ids, parameters, metadata."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lib.lectures.lint.second_edition import EDITION, is_second
from lib.lectures.notebooks import tags

if TYPE_CHECKING:
    from nbformat import NotebookNode

Findings = Iterator[tuple[str, str]]

_MADE_BY_JUPYTER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){0,3}(-[0-9a-f]{12})?")
_CELL_METADATA = {"tags", "nbgrader", "course", "slideshow", "jupyter"}
_NOTEBOOK_METADATA = {"kernelspec", "language_info", "course"}


def headings(notebook: "NotebookNode") -> Iterator[tuple[str, int, str]]:
    """(cell id, level, text) of every Markdown heading outside code fences."""
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        fenced = False
        for line in cell.source.splitlines():
            if line.lstrip().startswith(("```", "~~~")):
                fenced = not fenced
            match = re.match(r"(#{1,6})\s+(.*)", line)
            if match and not fenced:
                yield cell.id, len(match[1]), match[2]


def title(notebook: "NotebookNode") -> Findings:
    """The first cell is Markdown and contains the only H1."""
    ones = [(cell, text) for cell, level, text in headings(notebook) if level == 1]
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        yield (
            (first.id if first else "-"),
            "the first cell must be Markdown that begins with '# ' and the title",
        )
    for cell, text in ones[1:]:
        yield cell, f"a second H1: {text!r}"


def heading_order(notebook: "NotebookNode") -> Findings:
    """A heading is at most one level below the previous one."""
    before = 0
    for cell, level, text in headings(notebook):
        if before and level > before + 1:
            yield cell, f"H{level} {text!r} follows an H{before}"
        before = level


def cell_id(notebook: "NotebookNode") -> Findings:
    """Cell ids are unique and readable (not the hexadecimal ids that Jupyter generates)."""
    for name, count in Counter(cell.id for cell in notebook.cells).items():
        if count > 1:
            yield name, f"{count} cells have this id"
        if _MADE_BY_JUPYTER.fullmatch(name):
            yield name, "the id is not readable: name it after what the cell does"


def cell_count(notebook: "NotebookNode") -> Findings:
    """A lecture of the first edition has 20 to 45 cells (a warning)."""
    if not is_second(notebook) and not 20 <= len(notebook.cells) <= 45:
        yield "-", f"{len(notebook.cells)} cells, a lecture should have 20 to 45"


def parameters(notebook: "NotebookNode") -> Findings:
    """Exactly one code cell is tagged `parameters`."""
    tagged = [cell for cell in notebook.cells if "parameters" in tags(cell)]
    if len(tagged) != 1:
        yield "-", f"{len(tagged)} cells are tagged 'parameters', exactly one must be"
    elif tagged[0].cell_type != "code":
        yield tagged[0].id, "the 'parameters' cell must be a code cell"


def metadata(notebook: "NotebookNode") -> Findings:
    """Metadata names the kernel and contains nothing that depends on a machine or a run."""
    for key in sorted(set(notebook.metadata) - _NOTEBOOK_METADATA - {"widgets"}):  # widgets have their own rule
        yield "-", f"notebook metadata {key!r} (course refresh removes it)"
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "-", "the kernel must be 'python3'"
    if set(notebook.metadata.get("language_info", {})) - {"name"}:
        yield "-", "language_info contains more than the name (course refresh removes it)"
    if notebook.metadata.get("course", {"edition": EDITION}) != {"edition": EDITION}:
        yield "-", f"notebook metadata course must be {{'edition': {EDITION}}}, got {notebook.metadata['course']}"
    for cell in notebook.cells:
        for key in sorted(set(cell.metadata) - _CELL_METADATA):
            yield cell.id, f"cell metadata {key!r}"
        if cell.metadata.get("jupyter", {"source_hidden": True}) != {"source_hidden": True}:
            yield cell.id, f"cell metadata jupyter must be {{'source_hidden': true}}, got {cell.metadata['jupyter']}"


RULES = {
    "title": title,
    "heading-order": heading_order,
    "cell-id": cell_id,
    "cell-count": cell_count,
    "parameters": parameters,
    "metadata": metadata,
}
