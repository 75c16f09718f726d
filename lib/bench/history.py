"""The dated history of the benchmarks' ratios, `data/experiments/bench.csv`: what got faster, and what fell back."""

import csv
import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from lib import DATA
from lib.bench.rows import BenchRow
from lib.errors import CourseError
from lib.files import atomic_write

HISTORY = DATA / "experiments" / "bench.csv"
COLUMNS = ("date", "row", "ours", "peer", "ratio", "unit", "threads")


def record(rows: Sequence[BenchRow], path: Path = HISTORY, day: str | None = None) -> int:
    """Add rows to the history, under `day` (YYYY-MM-DD; None: today), and return how many. All are written, or none.

    `ours` and `peer` are in `unit`, `ratio` is times as fast for a time and the share of the peer's for all else. A row
    without a peer is left out. Raises CourseError if the file is there and is no such table.

    >>> from tempfile import mkdtemp
    >>> row = BenchRow("a step", ours=1.0, theirs=2.0, target=1.5, unit="s", threads=1)
    >>> path = Path(mkdtemp()) / "bench.csv"
    >>> record([row], path, "2026-12-01"), path.read_text().splitlines()[1]
    (1, '2026-12-01,a step,1,2,2,s,1')
    """
    before = path.read_text(encoding="utf-8") if path.exists() else ",".join(COLUMNS) + "\n"
    if before.partition("\n")[0] != ",".join(COLUMNS):
        raise CourseError(f"{path.name} must begin with the columns {', '.join(COLUMNS)}: move it away, or mend it")
    measured = [row for row in rows if not math.isnan(row.ratio)]
    day = day or date.today().isoformat()
    with atomic_write(path) as file:
        file.write(before)
        table = csv.writer(file, lineterminator="\n")
        for row in measured:
            numbers = (f"{number:.4g}" for number in (row.ours, row.theirs, row.ratio))
            table.writerow([day, row.name, *numbers, row.unit, row.threads])
    return len(measured)
