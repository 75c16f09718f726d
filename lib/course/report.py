"""`course report --exercises`: the kill table, which wrong answers each exercise catches and recognises."""

import argparse
import csv
import io
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from lib.errors import CourseError, UsageError
from lib.files import atomic_write
from lib.names import nearest

if TYPE_CHECKING:
    from lib.exercises import Exercise

EXAMPLES = """examples:
  course report --exercises                    the kill table of every exercise
  course report --exercises mlm                the exercises of one module
  course report --exercises --out kills.csv    as CSV (or .md: a Markdown table)

The exit code is 1 if a right answer fails, or a misconception passes or is not recognised."""


@dataclass(frozen=True)
class KillRow:
    """One exercise: how many of its right answers pass, and how many of its mistakes get their own hint."""

    exercise: str
    slides: str
    points: int
    minutes: int
    accepted: str  # "3/3": the reference and the accepted variants
    killed: str  # "6/6": misconceptions that fail with their own hint
    problems: str  # empty if there are none


def kill_row(exercise: "Exercise") -> KillRow:
    """Run all known answers to one exercise: right answers and mistakes."""
    from lib.exercises import assess

    right = [assess(exercise, answer) for answer in (exercise.reference, *exercise.accepts)]
    wrong = [(m, assess(exercise, m.answer)) for m in exercise.misconceptions]
    problems = [f"right answer {i} fails" for i, found in enumerate(right) if not found.passed]
    for mistake, found in wrong:
        if found.passed:
            problems.append(f"{mistake.name!r} passes")
        elif found.misconception is not mistake:
            taken = found.misconception.name if found.misconception else "nothing known"
            problems.append(f"{mistake.name!r} is taken for {taken!r}")
    killed = sum(not found.passed and found.misconception is mistake for mistake, found in wrong)
    return KillRow(
        exercise.id, " ".join(exercise.slides), exercise.points, exercise.minutes,
        f"{sum(found.passed for found in right)}/{len(right)}", f"{killed}/{len(wrong)}", "; ".join(problems),
    )  # fmt: skip


def table(rows: list[KillRow], form: str) -> str:
    """The rows as text for a terminal ("text"), as CSV ("csv") or as a Markdown table ("md")."""
    names = [field.name for field in fields(KillRow)]
    cells = [[str(getattr(row, name)) for name in names] for row in rows]
    if form == "csv":
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows([names, *cells])
        return file.getvalue()
    if form == "md":
        lines = [names, ["---"] * len(names), *([cell.replace("|", "\\|") for cell in row] for row in cells)]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)
    widths = [max(len(line[i]) for line in [names, *cells]) for i in range(len(names))]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths)] for line in [names, *cells])
    return "".join("  ".join(line).rstrip() + "\n" for line in padded)


def kill_table(only: list[str]) -> list[KillRow]:
    """The rows of all exercises, or of those whose id or module is in `only`. Raises UsageError for an unknown one."""
    from lib.exercises import Exercise, all_exercises

    exercises = all_exercises()
    known: dict[str, list[Exercise]] = {}
    for id, exercise in exercises.items():
        known[id] = [exercise]
        known.setdefault(id.split(".")[0], []).append(exercise)
    for name in only:
        if name not in known:
            raise UsageError(f"unknown exercise {name!r}: {nearest(name, list(known))}")
    chosen = [exercise for name in only for exercise in known[name]] if only else list(exercises.values())
    return [kill_row(exercise) for exercise in dict.fromkeys(chosen)]


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `course report` to the command line."""
    parser = subparsers.add_parser(
        "report",
        help="print which wrong answers the exercises catch",
        description="Print the kill table: for each exercise, how many known wrong answers it catches.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--exercises", nargs="*", metavar="ID", required=True, help="exercise ids or modules; default: all"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write to FILE (.csv or .md) instead of printing")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Run `course report`; return 1 if an exercise has problems."""
    out = arguments.out
    if out is not None and out.suffix not in (".csv", ".md"):
        raise UsageError(f"--out must end in .csv or .md, got {out}")
    rows = kill_table(arguments.exercises)
    if not rows:
        raise CourseError("there are no exercises yet")
    if out is None:
        sys.stdout.write(table(rows, "text"))
    else:
        with atomic_write(out) as file:
            file.write(table(rows, out.suffix[1:]))
        print(f"{len(rows)} exercises: {out}")
    return 1 if any(row.problems for row in rows) else 0
