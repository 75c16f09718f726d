"""`course student`: student editions in `work/`."""

import argparse
from pathlib import Path

from lib import ROOT
from lib.lectures.notebooks import select
from lib.lectures.renamed import left_alone
from lib.lectures.work_folder import write_editions

EXAMPLES = """examples:
  course student                every notebook, into work/
  course student 04 06          two of them
  course student --out ~/llm    into another folder

A notebook that you changed (or ran and saved) is never overwritten, nor is one under a lecture's former name. One that
you only opened counts as unchanged, even if Jupyter has saved it. The drawings and explorables of the notebooks lie
beside them, in figures/ and explorables/; a file of yours there stays as it is."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `course student` to the command line."""
    parser = subparsers.add_parser(
        "student",
        help="write the student editions (stubs for solutions) into work/",
        description="Write student editions: solutions replaced by stubs, outputs cleared.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="04 or 04_mlm_masking; default: all")
    parser.add_argument("--out", type=Path, default=ROOT / "work", metavar="DIR", help="default: work/")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `course student` and return its exit code."""
    out = arguments.out.expanduser()
    for written in write_editions(select(arguments.notebooks), out):
        if written.path.suffix == ".ipynb" or written.action != "unchanged":
            print(written)
    for line in left_alone(out):
        print(line)
    return 0
