"""The history grows by whole runs, and what was there before stays as it was."""

import csv
import math

import pytest

from lib.bench import history
from lib.bench.history import COLUMNS, HISTORY, record
from lib.bench.rows import BenchRow
from lib.errors import CourseError

STEP = BenchRow("a step, of two", 12.345678, 6.0, 1.0, "ms", 2)
MEMORY = BenchRow("peak memory", 10.0, 40.0, 0.2, "MB", 1)
ALONE = BenchRow("no peer", 10.0, math.nan, 1.0, "ms", 1)


def test_a_new_history_and_a_longer_one(tmp_path):
    path = tmp_path / "bench.csv"
    assert record([STEP, ALONE], path, "2026-12-01") == 1
    first = path.read_text()
    assert first.splitlines() == [",".join(COLUMNS), '2026-12-01,"a step, of two",12.35,6,0.486,ms,2']
    assert record([MEMORY], path, "2026-12-02") == 1
    assert path.read_text() == first + "2026-12-02,peak memory,10,40,0.25,MB,1\n"


def test_a_file_that_is_no_history_is_left_alone(tmp_path):
    path = tmp_path / "bench.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(CourseError, match="bench.csv must begin with the columns date, row, ours"):
        record([STEP], path)
    assert path.read_text() == "a,b\n1,2\n"


def test_a_run_that_fails_leaves_the_history_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "bench.csv"
    record([STEP], path, "2026-12-01")
    before = path.read_text()
    monkeypatch.setattr(history.csv, "writer", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        record([MEMORY], path)
    assert path.read_text() == before and [p.name for p in tmp_path.iterdir()] == ["bench.csv"]


def test_the_committed_history_holds_together():
    with HISTORY.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows and tuple(rows[0]) == COLUMNS
    assert [row["date"] for row in rows] == sorted(row["date"] for row in rows)
    for row in rows:
        kind = BenchRow(row["row"], float(row["ours"]), float(row["peer"]), 1.0, row["unit"], int(row["threads"]))
        assert float(row["ratio"]) == pytest.approx(kind.ratio, rel=2e-3)
