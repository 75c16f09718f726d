"""`course validate`: what the grader will find in a notebook, told before it is handed in."""

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

Exit code 0 where all is written and right, else 1."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `course validate` to the command line."""
    parser = subparsers.add_parser(
        "validate",
        help="what the grader will find in your notebook, before you hand it in",
        description="Read saved notebooks as the grader will, and say what it finds. " + PUBLIC,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a notebook of yours")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `course validate` and return its exit code: 0 where all is written and right."""
    from lib.grading.judging.grader import Grader

    ready = True
    with Grader(None) as grader:
        for number, path in enumerate(arguments.files):
            try:
                report = examine(path.expanduser(), grader)
            except CourseError as error:  # the other files are looked at all the same
                print(readable(f"course: {error}"), file=sys.stderr)
                ready = False
                continue
            print("\n" * (number > 0) + str(report), flush=True)
            ready = ready and report.ready
    return 0 if ready else 1
