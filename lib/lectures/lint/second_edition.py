"""Which rules hold for the second edition alone, and what these have in common.

A lecture follows the second edition once its metadata say `"course": {"edition": 2}`.
"""

import functools
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from lib.lectures.notebooks import tags

if TYPE_CHECKING:
    from nbformat import NotebookNode

Findings = Iterator[tuple[str, str]]

EDITION = 2
HIDDEN = "hide-input"
"""The tag with which nbconvert and the site hide a cell's source; in JupyterLab `source_hidden` does."""


def is_second(notebook: "NotebookNode") -> bool:
    """Whether a notebook's metadata say that it follows the second edition."""
    course = notebook.metadata.get("course")
    return isinstance(course, dict) and course.get("edition") == EDITION


def second_edition(rule: Callable[..., Findings]) -> Callable[..., Findings]:
    """`rule`, which finds nothing in a lecture of the first edition."""

    @functools.wraps(rule)
    def held(notebook: "NotebookNode", *more: Any) -> Findings:
        if is_second(notebook):
            yield from rule(notebook, *more)

    return held


def is_hidden(cell: "NotebookNode") -> bool:
    """Whether readers do not see a cell's source, in JupyterLab or on a page."""
    return bool(cell.metadata.get("jupyter", {}).get("source_hidden")) or HIDDEN in tags(cell)


def visible(notebook: "NotebookNode", kind: str) -> "Iterator[NotebookNode]":
    """The cells of a kind ("code", "markdown") whose source readers see."""
    return (cell for cell in notebook.cells if cell.cell_type == kind and not is_hidden(cell))


def without_links(text: str) -> str:
    """Markdown without the addresses of its links, and without addresses in plain text.

    >>> without_links("see [BERT](https://aclanthology.org/N19-1423) or https://example.org/N19")
    'see [BERT] or '
    """
    return re.sub(r"https?://\S+", "", re.sub(r"(?<=\])\([^)\s]*\)", "", text))
