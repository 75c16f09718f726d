"""The suites of measurements, each in its own process, as PyTorch reads OMP_NUM_THREADS only once."""

import json
import sys
from dataclasses import asdict
from importlib import import_module

from lib.bench.rows import BenchRow, in_a_process

SUITES = {
    name: f"lib.bench.{name}"
    for name in ("text", "kernels", "models", "generation", "adapters", "alignment", "accounting", "grading")
}
"""The modules whose `rows(threads)` measure; each runs in its own process."""


def measure(suite: str, threads: int) -> list[BenchRow]:
    """Run one suite in a process with this many threads. Raises CourseError with its output if it fails."""
    return [BenchRow(**row) for row in in_a_process("lib.bench.suites", suite, threads)]


def _worker(suite: str, threads: int) -> None:
    """Runs in the process of one suite: print its rows as one line of JSON, the last line of its output."""
    print(json.dumps([asdict(row) for row in import_module(SUITES[suite]).rows(threads)]))


if __name__ == "__main__":
    _worker(sys.argv[1], int(sys.argv[2]))
