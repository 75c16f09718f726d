"""`course lint`: check notebooks against the rules of the course; one line per finding."""

import argparse

from lib.lectures import notebooks
from lib.lectures.lint import RULES, lint_file


def add_parser(subparsers) -> None:
    """Add `course lint` to the command line."""
    parser = subparsers.add_parser(
        "lint",
        help="check notebooks against the rules of the course",
        description="Check the structure, the code, the stored outputs and the exercises of notebooks.",
        epilog="rules:\n  " + "\n  ".join(f"{name:18} {rule.__doc__.splitlines()[0]}" for name, rule in RULES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="a number, a name or a file; default: all")
    parser.set_defaults(func=run_lint)


def run_lint(arguments: argparse.Namespace) -> int:
    """Print the findings of the chosen notebooks; return 1 if one is more than a warning."""
    paths = notebooks.select(arguments.notebooks)
    findings = [finding for path in paths for finding in lint_file(path)]
    for finding in findings:
        print(finding)
    errors = sum(not finding.warning for finding in findings)
    print(f"{len(paths)} notebooks, {errors} errors, {len(findings) - errors} warnings")
    return 1 if errors else 0
