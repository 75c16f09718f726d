"""`course bench`: ours against widely used libraries, as ratios measured in the same run.

Absolute times depend on the machine and its load, so they are not targets. Each number of threads has its own process,
as PyTorch reads OMP_NUM_THREADS only once.
"""

import argparse
import math
import sys

from lib.bench.history import record
from lib.bench.rows import BenchRow
from lib.bench.suites import SUITES, measure
from lib.errors import UsageError
from lib.names import nearest


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "bench",
        help="measure ours against PyTorch and transformers",
        description="Measure ours against PyTorch and transformers: medians of interleaved runs, printed as ratios.",
        epilog="examples:\n  course bench\n  course bench kernels --threads 1\n  course bench generation --record",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"which: {', '.join(SUITES)} (default: all)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default: 1 2)")
    parser.add_argument(
        "--record", action="store_true", help="add the rows, with today's date, to data/experiments/bench.csv"
    )
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    unknown = [name for name in args.suites if name not in SUITES]
    if unknown:
        raise UsageError(f"unknown suite {unknown[0]!r}; {nearest(unknown[0], list(SUITES))}")
    if min(args.threads) < 1:
        raise UsageError(f"--threads must be at least 1, got {min(args.threads)}")
    print("ours against theirs, medians of interleaved runs")
    print(
        "of times: how many times as fast, more is better; of memory and all else: the share of theirs, less is better"
    )
    found: list[BenchRow] = []
    for threads in args.threads:
        for suite in args.suites or SUITES:
            print(f"measuring {suite} with {threads} thread{'s' * (threads > 1)} …", file=sys.stderr, flush=True)
            rows = measure(suite, threads)
            _print(rows)
            found += rows
    if args.record:  # at the end: a run that was broken off leaves no part of itself
        print(f"recorded {record(found)} rows")
    return 0  # a missed target is a finding, not a failure: times on shared machines vary


def _print(rows: list[BenchRow]) -> None:
    """Print one table per suite as soon as it is measured, as all suites together take many minutes."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("measurement", "threads", "ours", "theirs", "ratio", "target", ""):
        wide = 16 if heading == "measurement" else None  # where nothing is known of the terminal it has 80 characters
        table.add_column(heading, justify="left" if heading in ("measurement", "") else "right", min_width=wide)
    for row in rows:
        sign = "≥" if row.is_time else "≤"
        values = f"{row.ours:.4g} {row.unit}", f"{row.theirs:.4g} {row.unit}", f"{row.ratio:.2f}"
        verdict = "no peer" if math.isnan(row.ratio) else "met" if row.met else "missed"
        table.add_row(row.name, str(row.threads), *values, f"{sign} {row.target:.3g}", verdict)
    Console().print(table)
