import itertools

import pytest

from lib.course import bench_rows
from lib.course.bench_rows import speed_row


def test_takes_turns_warms_up_and_keeps_the_medians(monkeypatch):
    clock = itertools.chain.from_iterable((start, start + took) for start, took in zip(range(99), [1.0, 4.0, 3.0, 8.0, 2.0, 90.0]))
    monkeypatch.setattr(bench_rows, "perf_counter", lambda: next(clock))
    order = []
    row = speed_row("n", lambda: order.append("a"), lambda: order.append("b"), target=3.0, threads=2, repeats=3)
    assert order == ["a", "b"] * 4
    assert (row.ours, row.theirs, row.ratio, row.unit) == (2000, 8000, 4, "ms")
    assert row.met and row.threads == 2


def test_bad_input():
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        speed_row("n", list, dict, target=1.0, threads=1, repeats=0)
