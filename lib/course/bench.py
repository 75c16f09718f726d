"""`course bench`: ours against the libraries that people use, as ratios measured in the same run.

Absolute times are those of the machine and of the hour, so none is a target. Each number of threads is a process of its
own: PyTorch reads OMP_NUM_THREADS once.
"""

import argparse
import json
import sys
from dataclasses import asdict
from importlib import import_module

from lib.course.bench_rows import BenchRow, in_a_process
from lib.course.errors import UsageError
from lib.names import nearest

SUITES = {
    name: f"lib.course.bench_{name}"
    for name in ("text", "kernels", "models", "adapters", "alignment", "accounting", "grading")
}
"""The modules whose `rows(threads)` measure; each runs in a process of its own."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "bench",
        help="measure ours against PyTorch and transformers",
        description="Measure ours against PyTorch and transformers: medians of interleaved runs, printed as ratios.",
        epilog="examples:\n  course bench\n  course bench kernels --threads 1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"which: {', '.join(SUITES)} (default: all)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default: 1 2)")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    unknown = [name for name in args.suites if name not in SUITES]
    if unknown:
        raise UsageError(f"unknown suite {unknown[0]!r}; {nearest(unknown[0], list(SUITES))}")
    if min(args.threads) < 1:
        raise UsageError(f"--threads must be at least 1, got {min(args.threads)}")
    print("ours against theirs, medians of interleaved runs")
    for threads in args.threads:
        for suite in args.suites or SUITES:
            print(f"measuring {suite} with {threads} thread{'s' * (threads > 1)} …", file=sys.stderr, flush=True)
            _print(measure(suite, threads))
    return 0  # a target that is missed is a finding to read, not a failure: shared machines are noisy


def measure(suite: str, threads: int) -> list[BenchRow]:
    """Run one suite in a process with this many threads. Raises CourseError with what it printed when it fails."""
    return [BenchRow(**row) for row in in_a_process(__name__, suite, threads)]


def _print(rows: list[BenchRow]) -> None:
    """One table a suite, as soon as it is measured: all of them together take many minutes."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("measurement", "threads", "ours", "theirs", "ratio", "target", ""):
        table.add_column(heading, justify="left" if heading in ("measurement", "") else "right")
    for row in rows:
        sign = "≥" if row.higher_is_better else "≤"
        values = f"{row.ours:.4g} {row.unit}", f"{row.theirs:.4g} {row.unit}", f"{row.ratio:.2f}"
        table.add_row(row.name, str(row.threads), *values, f"{sign} {row.target:g}", "met" if row.met else "missed")
    Console().print(table)


def _worker(suite: str, threads: int) -> None:
    """In the process of one suite: its rows as one line of JSON, the last of what is printed."""
    print(json.dumps([asdict(row) for row in import_module(SUITES[suite]).rows(threads)]))


if __name__ == "__main__":
    _worker(sys.argv[1], int(sys.argv[2]))
