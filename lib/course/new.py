"""`course new`: begin an exercise or a lecture with everything that a linter wants."""

import argparse
from pathlib import Path

from lib import ROOT

EXAMPLES = """examples:
  course new exercise words.count --lecture 04                a module, and its cells before the summary
  course new exercise words.count --lecture 04 --after rates-notice --slides C08 W11 --points 3 --minutes 12
  course new lecture 05_bert_fine_tuning

What is written runs as it is; FILL IN marks what is yours, and `course lint` names what is left of it."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `course new` to the command line."""
    parser = subparsers.add_parser(
        "new",
        help="for authors: begin an exercise or a lecture",
        description="Begin an exercise or a lecture with everything that a linter wants. Nothing is overwritten.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="what", metavar="exercise|lecture", required=True)
    exercise = kinds.add_parser("exercise", help="a module in lib/exercises, and three cells")
    exercise.add_argument("id", metavar="ID", help="like words.count: the module, a dot, the name of the function")
    exercise.add_argument("--lecture", required=True, metavar="NN", help="04 or 04_mlm_masking")
    exercise.add_argument("--after", default="", metavar="CELL", help="the id of a cell; default: before the summary")
    exercise.add_argument("--slides", nargs="+", default=[], metavar="SLIDE", help="that it belongs to, like C08")
    exercise.add_argument("--points", type=int, default=2, metavar="N", help="1 to 10; default: 2")
    exercise.add_argument("--minutes", type=int, default=10, metavar="N", help="1 to 40; default: 10")
    exercise.set_defaults(make=_exercise)
    lecture = kinds.add_parser("lecture", help="a notebook in the order that every lecture has")
    lecture.add_argument("name", metavar="NN_name", help="like 05_bert_fine_tuning")
    lecture.set_defaults(make=_lecture)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out `course new` and return its exit code."""
    return arguments.make(arguments)


def _exercise(arguments: argparse.Namespace) -> int:
    from lib.lectures.new.exercise import new_exercise

    given = {name: getattr(arguments, name) for name in ("after", "slides", "points", "minutes")}
    module, notebook = new_exercise(arguments.id, arguments.lecture, **given)
    number = notebook.name[:2]
    print(f"written   {_shown(module)}")
    print(f"changed   {_shown(notebook)}: three cells that begin with {arguments.id.replace('.', '-')}")
    print(f"Next: fill in what says FILL IN; course report --exercises {arguments.id}; course refresh {number}; "
          f"course lint {number}")  # fmt: skip
    return 0


def _lecture(arguments: argparse.Namespace) -> int:
    from lib.lectures.new.lecture import new_lecture

    path = new_lecture(arguments.name)
    number = path.name[:2]
    print(f"written   {_shown(path)}")
    print(f"Next: fill in what says FILL IN; course new exercise ID --lecture {number}; course refresh {number}; "
          f"course lint {number}")  # fmt: skip
    return 0


def _shown(path: Path) -> Path:
    return path.relative_to(ROOT)
