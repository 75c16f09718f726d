"""`course seeds`: run what the seed decides in a lecture with many seeds, and keep a table of what comes out."""

import argparse
from pathlib import Path

from lib.errors import CourseError, UsageError
from lib.lectures import notebooks, seeded
from lib.lectures.execution import open_executor

EXAMPLES = """examples:
  course seeds 01                      the seeds from 0 to 29 that are missing in data/experiments/seeds_01.csv
  course seeds 01 --table              what that table says: shares, minimum, median, maximum
  course seeds 01 --seeds 5 --first 100 --out build/trial.csv

Code cells tagged `seeds` are run, after the parameters, in a fresh process for each seed and without network. What is
measured stands in the metadata of such a cell, as names with expressions that are evaluated once it has run:
  "course": {"measured": {"leak.causal": "loss_of(honest, tokens, right)"}}
A row is appended as each seed ends. After an interruption, a second call runs what is missing. An assertion that does
not hold, or another error, costs its seed's row alone, and is told at the end with its seed and its cell."""
LARGEST = 2**32 - 1  # numpy takes no larger seed


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `course seeds` to the command line."""
    parser = subparsers.add_parser(
        "seeds",
        help="run the training cells of a lecture with 30 seeds",
        description="Run what the seed decides in a lecture with many seeds, and keep a table of what was measured.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("notebook", metavar="NOTEBOOK", help="a number, a name or a file")
    parser.add_argument("--seeds", type=int, default=30, metavar="N", help="how many seeds (30)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them (0)")
    parser.add_argument("--jobs", type=int, help="how many at a time (default: as cores and memory allow)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the table (data/experiments/seeds_NN.csv)")
    parser.add_argument("--table", action="store_true", help="only print what the table says")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Run what is missing, or nothing with --table; print the summary. Return 0 if all seeds have a row."""
    if arguments.seeds < 1:
        raise UsageError(f"--seeds must be at least 1, got {arguments.seeds}")
    if not 0 <= arguments.first <= LARGEST + 1 - arguments.seeds:
        last = arguments.first + arguments.seeds - 1
        raise UsageError(f"seeds must be from 0 to {LARGEST}, got {arguments.first} to {last}")
    path = notebooks.select([arguments.notebook])[0]
    cells = seeded.seeded_cells(notebooks.load(path), path)
    if cells is None:
        raise CourseError(f"{path.stem} has no cell that is tagged `{seeded.TAG}` (`course seeds --help` says more)")
    file = arguments.out or cells.file
    if arguments.table:
        return _show_table(file, cells)
    with open_executor(arguments.jobs) as executor:
        seeds = range(arguments.first, arguments.first + arguments.seeds)
        rows = seeded.run_seeds(cells, seeds, file, executor)
    _show(file, rows)
    return 0


def _show_table(file: Path, cells: seeded.SeededCells) -> int:
    rows = seeded.table(file)
    if not rows:
        raise CourseError(f"there is no table {file.name} yet: `course seeds {cells.name[:2]}` makes it")
    _show(file, rows)
    if stale := seeded.other_cells(rows, cells):
        raise CourseError(f"{file.name} {stale}: remove it, and run `course seeds` again")
    return 0


def _show(file: Path, rows: list[dict[str, str]]) -> None:
    seconds = sum(float(row["seconds"]) for row in rows)
    print(
        f"{file.name}: {len(rows)} seeds, from {rows[0]['seed']} to {rows[-1]['seed']}; {seconds / 60:.1f} minutes of CPU"
    )
    print(*(f"  {line}" for line in seeded.summary(rows)), sep="\n")
    if seconds > seeded.BUDGET_SECONDS:
        print(f"a lecture's seeds may take {seeded.BUDGET_SECONDS / 60:.0f} minutes in all")
