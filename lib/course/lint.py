"""`course lint`: hold notebooks against the rules of the house; one line for each finding."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lib.course import lint_code, lint_exercises, lint_outputs, lint_structure, notebooks
from lib.course.errors import CourseError
from lib.course.finding import Finding

if TYPE_CHECKING:
    from nbformat import NotebookNode

RULES = {
    name: rule
    for module in (lint_structure, lint_code, lint_outputs, lint_exercises)
    for name, rule in module.RULES.items()
}
"""Each rule's name and its function from a notebook to pairs of (cell id, message)."""

WARNINGS = {"cell-count"}
"""Rules that advise and do not fail."""


def add_parser(subparsers) -> None:
    """`course lint`."""
    parser = subparsers.add_parser(
        "lint",
        help="hold notebooks against the rules of the house",
        description="Check the structure, the code, the stored outputs and the exercises of notebooks.",
        epilog="rules:\n  "
        + "\n  ".join(f"{name:18} {rule.__doc__.splitlines()[0]}" for name, rule in RULES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "notebooks", nargs="*", metavar="NOTEBOOK", help="a number, a name or a file; default: all"
    )
    parser.set_defaults(func=run_lint)


def run_lint(arguments: argparse.Namespace) -> int:
    """Print the findings of the chosen notebooks; 1 if one of them is more than a warning."""
    paths = notebooks.select(arguments.notebooks)
    findings = [finding for path in paths for finding in lint_file(path)]
    for finding in findings:
        print(finding)
    errors = sum(not finding.warning for finding in findings)
    print(f"{len(paths)} notebooks, {errors} errors, {len(findings) - errors} warnings")
    return 1 if errors else 0


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
