"""`course release`: write an assignment, with its exercises, points and seeds."""

import argparse
from pathlib import Path

from lib.errors import UsageError
from lib.grading.assignment.graded import read_points, total
from lib.grading.assignment.release import graded_notebooks, write_release
from lib.grading.assignment.roster import read_roster
from lib.lectures.notebooks import select

EXAMPLES = """examples:
  course release 04 12 --out assignment1
  course release 04 --out a1 --exercises mlm.loss mlm.mask_tokens --points mlm.loss=5
  course release 04 12 --out a1 --seed 7 --roster roster.csv   a folder, with its own seed, for each student

Exercises that are not chosen remain as practice, with their checks, for 0 points."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `course release` to the command line."""
    parser = subparsers.add_parser(
        "release",
        help="write an assignment: student editions with chosen exercises, points and seeds",
        description="Write the student editions of an assignment, a manifest and a README.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("notebooks", nargs="+", metavar="NOTEBOOK", help="04 or 04_mlm_masking")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--exercises", nargs="+", action="extend", metavar="ID", help="exercises to grade; default: all"
    )
    parser.add_argument("--points", nargs="+", action="extend", default=[], metavar="ID=POINTS")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the release; default: 0")
    parser.add_argument("--roster", type=Path, metavar="CSV", help="CSV file with a column 'student'")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Run `course release` and return its exit code."""
    if arguments.seed < 0:
        raise UsageError(f"--seed must not be negative, got {arguments.seed}")
    points = read_points(arguments.points)
    paths = select(arguments.notebooks)
    out = arguments.out.expanduser()
    if out.resolve() in {path.resolve().parent for path in paths}:
        raise UsageError(f"{out} contains the notebooks with solutions; choose another folder with --out")
    students = read_roster(arguments.roster) if arguments.roster else []
    notebooks = graded_notebooks(paths, arguments.exercises, points)
    new = write_release(out, notebooks, students, arguments.seed)
    copies = f", {len(students)} students" if students else ""
    worth = total({id: worth for notebook in notebooks for id, worth in notebook.points.items()})
    print(f"{out}: {len(notebooks)} notebooks{copies}, {worth} points, {new} files written")
    return 0
