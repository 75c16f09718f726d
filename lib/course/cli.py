"""The command line `course`: one subcommand per module, each of which adds its own parser.

Exit codes: 0 success, 1 something failed (a notebook, a lint finding), 2 the command was wrong, 130 interrupted. The
modules import heavy packages inside their functions, so that `course --help` is fast.
"""

import argparse
import errno
import signal
import sys
from importlib import import_module

from lib import __version__
from lib.errors import CourseError

COMMANDS = {
    "run": "run",
    "student": "student",
    "validate": "validate",
    "release": "release",
    "grade": "grade",
    "regrade-points": "regrade",
    "walls": "walls",
    "new": "new",
    "lint": "lint",
    "refresh": "refresh",
    "prepare": "prepare",
    "bench": "bench",
    "train": "train",
    "sweep": "sweep",
    "seeds": "seeds",
    "measure": "measure",
    "audit": "audit",
    "slides": "slides",
    "report": "report",
    "offline": "offline",
}
"""The commands, in the order of the help, with the module of this room whose `add_parser(subparsers)` adds each."""

_ELSEWHERE = "; --out writes elsewhere, COURSE_CACHE keeps caches elsewhere, TMPDIR temporary files"

ADVICE = {
    errno.ENOSPC: "; free some space" + _ELSEWHERE,
    errno.EDQUOT: "; free some space" + _ELSEWHERE,
    errno.EROFS: _ELSEWHERE,
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
}
"""What the user may do about a refusal of the system."""

EXAMPLES = """examples:
  course run                              execute every notebook, network blocked, into build/
  course run 04 -p steps 20               one notebook, with a parameter changed
  course run --jobs 2 --timeout 300       two at a time, five minutes each at most
  course run --scheduler tcp://host:8786  the same work on a Dask cluster
  course student                          write the student editions into work/
  course validate work/04_mlm*.ipynb      what the grader will find in your notebook
  course release 04 --out assignment1     write an assignment: exercises, points, seeds
  course grade handed_in --out grades     grade submissions, without trusting them
  course new exercise words.count --lecture 03   begin an exercise, with all that a linter wants
  course lint                             check the notebooks against the rules of the course
  course refresh 04                       execute again and store the outputs
  course seeds 01                         run what the seed decides in a lecture with 30 seeds
  course measure lead-rouge --bigbench bigbench-1.0.0.tar.gz   on a set that the course may not ship
  course audit                            recompute the numbers on the slides
  course slides --slide C08               which section of which lecture tells a slide

`course COMMAND --help` describes one command."""


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser with every subcommand, or `only` one, without importing the others."""
    parser = argparse.ArgumentParser(
        prog="course",
        description="An executable course on large language models: run it, check it, teach with it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command, module in COMMANDS.items():
        if only in (None, command):
            import_module(f"lib.course.{module}").add_parser(subparsers)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand and return the exit code; a `CourseError` or an `OSError` becomes one line on stderr."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = build_parser(only=argv[0] if argv and argv[0] in COMMANDS else None).parse_args(argv)
    # A plain `kill` must clean up like Ctrl-C: stop children and leave no partial files. Ctrl-C is set as well,
    # because it is ignored when a script starts us in the background.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return arguments.func(arguments)
    except CourseError as error:
        print(f"course: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("course: interrupted; no partial files were left", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `course lint | head`
        sys.stderr.close()
        return 1
    except OSError as error:  # wherever it was: what a full disk or a read-only checkout does is no defect of ours
        print(f"course: {_told(error)}", file=sys.stderr)
        return 1


def _told(error: OSError) -> str:
    """What the system refused, where, and what can be done, in one line."""
    where = f"{error.filename}: " if error.filename is not None else ""
    what = error.strerror or str(error)
    return where + what + ADVICE.get(error.errno or 0, "")
