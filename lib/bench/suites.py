"""The suites of measurements, each in a process of its own: PyTorch reads OMP_NUM_THREADS once."""

import json
import sys
from dataclasses import asdict
from importlib import import_module

from lib.bench.rows import BenchRow, in_a_process

SUITES = {
    name: f"lib.bench.{name}"
    for name in ("text", "kernels", "models", "adapters", "alignment", "accounting", "grading")
}
"""The modules whose `rows(threads)` measure; each runs in a process of its own."""


def measure(suite: str, threads: int) -> list[BenchRow]:
    """Run one suite in a process with this many threads. Raises CourseError with what it printed when it fails."""
    return [BenchRow(**row) for row in in_a_process("lib.bench.suites", suite, threads)]


def _worker(suite: str, threads: int) -> None:
    """In the process of one suite: its rows as one line of JSON, the last of what is printed."""
    print(json.dumps([asdict(row) for row in import_module(SUITES[suite]).rows(threads)]))


if __name__ == "__main__":
    _worker(sys.argv[1], int(sys.argv[2]))
