import json
import math

import pytest

from lib.bench import rows, suites
from lib.bench.rows import BenchRow
from lib.course import bench
from lib.course.cli import main
from lib.errors import CourseError

FASTER = dict(name="step", ours=2.0, theirs=3.0, target=1.2, unit="s", threads=1)


def test_a_target_is_met_in_its_own_direction():
    row = BenchRow(**FASTER)
    assert row.met and row.ratio == 1.5
    assert not BenchRow(**FASTER | {"theirs": 2.2}).met
    memory = FASTER | {"unit": "MB", "theirs": 10.0, "target": 0.2}
    assert BenchRow(**memory).met and not BenchRow(**memory | {"ours": 2.1}).met
    assert BenchRow(**memory).ratio == BenchRow(**memory | {"unit": "perplexity"}).ratio == 0.2


def test_prints_each_suite_with_each_number_of_threads(monkeypatch, capsys):
    asked = []

    def measured(suite, threads):
        asked.append((suite, threads))
        return [BenchRow(**FASTER | {"name": f"{suite} step", "threads": threads})]

    monkeypatch.setattr(bench, "measure", measured)
    assert main(["bench", "text", "models", "--threads", "1", "2"]) == 0
    assert asked == [("text", 1), ("models", 1), ("text", 2), ("models", 2)]
    out = capsys.readouterr().out
    assert "models step" in out and "1.50" in out and "≥ 1.2" in out and "met" in out


def test_all_suites_with_one_and_two_threads_are_the_default(monkeypatch, capsys):
    asked = []
    slower = FASTER | {"unit": "MB", "ours": 3.9}

    def measured(suite, threads):
        asked.append((suite, threads))
        return [BenchRow(**slower)]

    monkeypatch.setattr(bench, "measure", measured)
    assert main(["bench"]) == 0, "a missed target is no failure"
    assert asked == [(suite, threads) for threads in (1, 2) for suite in suites.SUITES]
    assert len(suites.SUITES) == 8
    out, err = capsys.readouterr()
    assert out.count("≤ 1.2") == out.count("missed") == 16
    assert "measuring text with 1 thread …" in err and "measuring text with 2 threads …" in err


@pytest.mark.parametrize("ours, theirs, unit, met", [
    (2.0, 3.0, "ms", True), (2.0, 2.99, "ms", False), (3.0, 2.0, "MB", True), (3.01, 2.0, "MB", False),
])  # fmt: skip
def test_a_target_that_is_reached_exactly_is_met(ours, theirs, unit, met):
    assert BenchRow("n", ours, theirs, 1.5, unit, 1).met is met


def test_a_row_without_a_peer_is_neither_met_nor_missed(monkeypatch, capsys):
    row = BenchRow(**FASTER | {"theirs": math.nan})
    assert not row.met and math.isnan(row.ratio)
    monkeypatch.setattr(bench, "measure", lambda suite, threads: [row])
    assert main(["bench", "generation", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "no peer" in out and "missed" not in out


def test_rows_are_recorded_at_the_end_and_only_when_asked(monkeypatch, capsys):
    kept, measured = [], []

    def measure(suite, threads):
        assert not kept
        measured.append(BenchRow(**FASTER | {"name": suite, "threads": threads}))
        return measured[-1:]

    monkeypatch.setattr(bench, "measure", measure)
    monkeypatch.setattr(bench, "record", lambda rows: kept.extend(rows) or len(rows))
    assert main(["bench", "text", "models", "--threads", "1"]) == 0 and kept == []
    measured.clear()
    assert main(["bench", "text", "models", "--threads", "1", "--record"]) == 0 and kept == measured
    assert "recorded 2 rows" in capsys.readouterr().out


def test_a_suite_runs_in_a_process_with_its_threads(monkeypatch):
    def run(command, env, **_):
        assert env["OMP_NUM_THREADS"] == "2" and command[-2:] == ["text", "2"]
        return type("Run", (), {"returncode": 0, "stdout": "noise\n" + json.dumps([FASTER]), "stderr": ""})

    monkeypatch.setattr(rows.subprocess, "run", run)
    assert suites.measure("text", 2) == [BenchRow(**FASTER)]


def test_a_suite_that_fails_is_reported_with_its_words(monkeypatch):
    run = type("Run", (), {"returncode": 1, "stdout": "", "stderr": "MemoryError: too big"})
    monkeypatch.setattr(rows.subprocess, "run", lambda *_, **__: run)
    with pytest.raises(CourseError, match=r"the benchmark of 'text' failed \(exit 1\):\nMemoryError: too big"):
        suites.measure("text", 1)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["bench", "txt"], "unknown suite 'txt'; did you mean text?"),
        (["bench", "--threads", "0"], "at least 1, got 0"),
        (["bench", "--threads", "2", "0"], "at least 1, got 0"),
        (["bench", "text", "modles"], "did you mean models?"),
    ],
)
def test_bad_input(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
