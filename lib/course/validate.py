"""`course validate`: show what the grader will find in a notebook, before it is handed in."""

import argparse
import sys
from pathlib import Path

from lib.errors import CourseError
from lib.grading.intake.file_names import readable
from lib.grading.validate import PUBLIC, examine, validate

__all__ = ["add_parser", "run", "validate"]  # the last cell of each student edition calls it

EXAMPLES = """examples:
  course validate 04_mlm_masking.ipynb         one notebook, as it was last saved
  course validate ~/assignment1/*.ipynb        several

The exit code is 0 if everything is written and right, else 1."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `course validate` to the command line."""
    parser = subparsers.add_parser(
        "validate",
        help="what the grader will find in your notebook, before you hand it in",
        description="Read saved notebooks as the grader will, and show what it finds. " + PUBLIC,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="one of your notebooks")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Run `course validate` and return its exit code: 0 if everything is written and right."""
    from lib.grading.judging.grader import Grader

    ready = True
    with Grader(None) as grader:
        for number, path in enumerate(arguments.files):
            try:
                report = examine(path.expanduser(), grader)
            except CourseError as error:  # the other files are still examined
                print(readable(f"course: {error}"), file=sys.stderr)
                ready = False
                continue
            print("\n" * (number > 0) + str(report), flush=True)
            ready = ready and report.ready
    return 0 if ready else 1
