"""Check notebooks against the rules of the course: one finding per problem."""

from pathlib import Path
from typing import TYPE_CHECKING

from lib.errors import CourseError
from lib.lectures import notebooks
from lib.lectures.lint import code, exercises, outputs, structure
from lib.lectures.lint.finding import Finding

if TYPE_CHECKING:
    from nbformat import NotebookNode


RULES = {name: rule for module in (structure, code, outputs, exercises) for name, rule in module.RULES.items()}
"""The rules by name: functions from a notebook to pairs of (cell id, message)."""

WARNINGS = {"cell-count"}
"""Rules whose findings are only warnings."""


def lint_file(path: Path) -> list[Finding]:
    """The findings of one file; a file that is not a notebook gives one finding."""
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
