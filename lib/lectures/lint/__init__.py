"""Check notebooks against the rules of the course: one finding per problem."""

from pathlib import Path
from typing import TYPE_CHECKING

from lib import NOTEBOOKS
from lib.errors import CourseError
from lib.lectures import notebooks
from lib.lectures.lint import code, exercises, outputs, plumbing, structure, teaching
from lib.lectures.lint.finding import Finding

if TYPE_CHECKING:
    from nbformat import NotebookNode


_MODULES = (structure, code, outputs, exercises, plumbing, teaching)
RULES = {name: rule for module in _MODULES for name, rule in module.RULES.items()}
"""The rules by name: functions from a notebook to pairs of (cell id, message)."""

IN_FOLDER = {"linked-file"}
"""Rules that also get the folder in which the notebook lies."""

WARNINGS = {"cell-count"}
"""Rules whose findings are only warnings."""


def lint_file(path: Path) -> list[Finding]:
    """The findings of one file; a file that is not a notebook gives one finding."""
    try:
        notebook = notebooks.load(path)
    except CourseError as error:
        return [Finding(path.stem, "-", "readable", str(error))]
    return lint(notebook, path.stem, path.parent)


def lint(notebook: "NotebookNode", name: str, folder: Path = NOTEBOOKS) -> list[Finding]:
    """The findings of one notebook that lies in `folder`, rule by rule."""
    return [
        Finding(name, cell, rule, message, warning=rule in WARNINGS)
        for rule, check in RULES.items()
        for cell, message in (check(notebook, folder) if rule in IN_FOLDER else check(notebook))
    ]
