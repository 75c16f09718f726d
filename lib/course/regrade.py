"""`course regrade-points`: change the points of graded exercises, without running submissions again."""

import argparse
from dataclasses import replace
from pathlib import Path

from lib.errors import CourseError
from lib.grading.assignment.asked import Assignment, of_release
from lib.grading.assignment.graded import read_points
from lib.grading.reports.publish import publish
from lib.grading.results.earlier import kept_pages
from lib.grading.results.store import Store

EXAMPLES = """examples:
  course regrade-points grades --points mlm.loss=5    another number of points for one exercise
  course regrade-points grades --release assignment1  the current points of the release
  course regrade-points grades                        read the points in grades/manual.csv"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `course regrade-points` to the command line."""
    parser = subparsers.add_parser(
        "regrade-points",
        help="change points, or read those of written answers, without grading again",
        description="Write grades and pages again with other points, without running submissions.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder that `course grade` wrote")
    parser.add_argument("--points", nargs="+", action="extend", default=[], metavar="ID=POINTS")
    parser.add_argument("--release", type=Path, metavar="DIR", help="use the points of this release (or manifest.json)")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Run `course regrade-points` and return its exit code."""
    points = read_points(arguments.points)
    store = Store(arguments.out)
    if store.read_record() is None:
        raise CourseError(f"{arguments.out} contains no grading; `course grade SUBMISSIONS --out DIR` makes one")
    with store.held():
        record = store.read_record()  # again: another grading may have ended since
        assert record is not None
        assignment = record.assignment
        if arguments.release:
            assignment = _as_released(assignment, of_release(arguments.release))
        record = replace(record, assignment=assignment.with_points(points))
        for line in kept_pages(publish(store, record), removed=False):
            print(line)
        store.write_record(record)
    print(f"{len(record.submissions)} submissions, {len(record.assignment.items)} exercises: grades.csv, class.html")
    return 0


def _as_released(graded: Assignment, release: Assignment) -> Assignment:
    """The release's assignment, with its points and roster. Raises CourseError if it has ungraded exercises."""
    known = {(item.notebook, item.exercise) for item in graded.items}
    new = [item.exercise for item in release.items if (item.notebook, item.exercise) not in known]
    if new:
        raise CourseError(f"the release contains ungraded exercises: {', '.join(new)}; run `course grade` first")
    return release
