"""Hold notebooks against the rules of the house: one finding for each place."""

from pathlib import Path
from typing import TYPE_CHECKING

from lib.errors import CourseError
from lib.lectures import notebooks
from lib.lectures.lint import code, exercises, outputs, structure
from lib.lectures.lint.finding import Finding

if TYPE_CHECKING:
    from nbformat import NotebookNode


RULES = {name: rule for module in (structure, code, outputs, exercises) for name, rule in module.RULES.items()}
"""Each rule's name and its function from a notebook to pairs of (cell id, message)."""

WARNINGS = {"cell-count"}
"""Rules that advise and do not fail."""


def lint_file(path: Path) -> list[Finding]:
    """The findings of one file; a file that is no notebook is one finding."""
    try:
        notebook = notebooks.load(path)
    except CourseError as error:
        return [Finding(path.stem, "-", "readable", str(error))]
    return lint(notebook, path.stem)


def lint(notebook: "NotebookNode", name: str) -> list[Finding]:
    """The findings of one notebook, rule by rule."""
    return [
        Finding(name, cell, rule, message, warning=rule in WARNINGS)
        for rule, check in RULES.items()
        for cell, message in check(notebook)
    ]
