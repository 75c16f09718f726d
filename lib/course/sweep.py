"""`course sweep`: train again the models of the lecture on scaling laws, on this machine or on a Dask cluster."""

import argparse
import os
from pathlib import Path

from lib import DATA
from lib.errors import CourseError, UsageError
from lib.lectures.execution import open_executor
from lib.lectures.processes import processes
from lib.names import nearest

EXAMPLES = """examples:
  course sweep scaling                        what is missing in data/sweeps/scaling.csv
  course sweep scaling --out elsewhere.csv    all of it again, into another file
  course sweep scaling --jobs 2 --first 10    the ten longest runs, two at a time
  course sweep scaling --profile gpu          the larger grid, where there is a GPU
  course sweep scaling --scheduler tcp://host:8786   on a Dask cluster (the workers need this repository)
  course sweep scaling_choices                what is missing in data/sweeps/scaling_choices.csv"""
SWEEPS = ("scaling", "scaling_choices")


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add `course sweep` to the command line."""
    parser = subparsers.add_parser(
        "sweep",
        help="train the grid of small decoders that the scaling laws are fitted to",
        description="Train a grid of small models in parallel, and append one row per finished run. After an "
        "interruption, a second call runs what is missing.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help=", ".join(SWEEPS))
    parser.add_argument("--profile", choices=("cpu", "gpu"), default="cpu", help="which grid of scaling (cpu)")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N runs of the grid, the longest")
    parser.add_argument("--last", type=int, metavar="N", help="only the last N runs of the grid, the shortest")
    parser.add_argument("--out", type=Path, help="the table (data/sweeps/NAME.csv)")
    parser.add_argument("--jobs", type=int, help="runs at a time (default: one per core; one on a GPU)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="run on this Dask cluster, such as tcp://host:8786")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Run what is missing; return 0 if every run of the grid is in the table."""
    from lib.training.scaling import scaling_grid, train_point
    from lib.training.scaling_choices import choices_grid, train_choice
    from lib.training.sweeps import SweepError, sweep

    if args.name not in SWEEPS:
        raise UsageError(f"unknown sweep {args.name!r}; {nearest(args.name, list(SWEEPS))}")
    for name in ("first", "last", "jobs"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise UsageError(f"--{name} must be at least 1, got {getattr(args, name)}")
    if args.name != "scaling" and args.profile != "cpu":
        raise UsageError(f"--profile {args.profile} is for the sweep scaling; {args.name} has one grid")
    points, run = (
        (scaling_grid(args.profile), train_point) if args.name == "scaling" else (choices_grid(), train_choice)
    )
    points = points[: args.first][-args.last if args.last else None :]
    file = args.out or DATA / "sweeps" / f"{args.name}.csv"
    jobs = args.jobs or (os.cpu_count() or 1 if args.profile == "cpu" else 1)
    try:
        with processes(jobs) if args.scheduler is None else open_executor(scheduler=args.scheduler) as executor:
            rows = sweep(points, run, file, executor, description=f"sweep {args.name}")
    except (SweepError, ValueError) as error:
        raise CourseError(str(error)) from None
    print(f"{file.name}: {len(rows)} runs, {sum(float(row['seconds']) for row in rows) / 60:.0f} minutes of training")
    return 0
