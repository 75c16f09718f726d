"""`course grade`: grade a folder of submissions in parallel, and write grades and pages."""

import argparse
from dataclasses import fields
from pathlib import Path

from lib.grading.grade import Options, Work, grade_folder
from lib.grading.work import grade_file

EXAMPLES = """examples:
  course grade handed_in --out grades --release assignment1   the exercises, roster and points of a release
  course grade handed_in --out grades                  continue, or grade what is new or changed
  course grade resubmitted --out grades                grade these; the other results and pages stay
  course grade handed_in --out grades --remove-missing   remove whoever is not in the folder any more
  course grade handed_in --out grades --regrade        grade everything again
  course grade handed_in --out grades --jobs 2         two submissions at a time
  course grade handed_in --out grades --scheduler tcp://host:8786   on a Dask cluster (in a network you trust)

A submission is in the folder of its student (handed_in/ada/04_mlm_masking.ipynb), or its name contains the student
(handed_in/ada_04_mlm_masking.ipynb). Zip archives are read. To change points without grading again, use course regrade-points."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `course grade` to the command line."""
    parser = subparsers.add_parser(
        "grade",
        help="grade a folder of submissions, without trusting them",
        description="Grade a folder of submissions: grades.csv, a page per student, a class report.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("submissions", type=Path, metavar="SUBMISSIONS", help="a folder, with a folder per student")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--release", type=Path, metavar="DIR", help="the assignment's release, or its manifest.json")
    parser.add_argument("--jobs", type=int, help="how many at a time (default: as cores and memory allow)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="grade on this Dask cluster")
    parser.add_argument("--regrade", action="store_true", help="grade everything again")
    parser.add_argument(
        "--remove-missing",
        action="store_true",
        help="remove results and pages of what is not in SUBMISSIONS (kept else)",
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="the secret key (~/.config/llm-course/grading.key)")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace, work: Work = grade_file) -> int:
    """Run `course grade` and return its exit code: 1 if our own error left something ungraded."""
    options = {field.name: getattr(arguments, field.name) for field in fields(Options)}
    return 1 if grade_folder(Options(**options), work) else 0
