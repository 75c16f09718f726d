"""The bench of grading, on a small class and beside a stand-in for nbgrader."""

import math
import os
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

from lib.bench import grading as bench_grading
from lib.errors import CourseError
from tests.lectures import sample


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(bench_grading, "STUDENTS", 8)
    monkeypatch.setattr(bench_grading, "LOOPS", 0)
    monkeypatch.setattr(bench_grading, "THEIRS", 2)


@pytest.mark.nightly
def test_a_small_class_is_graded_and_measured(small, tmp_path):
    names = bench_grading.hand_in(tmp_path / "submissions")
    assert len(names) == 2 and len(list((tmp_path / "submissions").iterdir())) == 8
    seconds, memory = bench_grading.grade(tmp_path, jobs=1)
    assert (tmp_path / "grades" / "grades.csv").exists() and seconds > 1
    assert 200 < memory < bench_grading.MEMORY_LIMIT


def test_the_rows_hold_both_times_by_submission(small, monkeypatch):
    monkeypatch.setattr(bench_grading, "grade", lambda folder, jobs: (4.0, 1000.0))
    monkeypatch.setattr(bench_grading, "find_spec", lambda name: name)
    monkeypatch.setattr(bench_grading, "autograde", lambda folder, names, threads: 30.0)
    speed, memory = bench_grading.rows(2)
    assert (speed.ours, speed.theirs, speed.ratio, speed.unit, speed.threads) == (0.5, 15.0, 30.0, "s", 2)
    assert speed.met and "autograde of 2" in speed.name
    assert (memory.ours, memory.ratio, memory.met) == (1000.0, 0.25, True)


def test_without_nbgrader_the_row_says_so(small, monkeypatch):
    monkeypatch.setattr(bench_grading, "grade", lambda folder, jobs: (4.0, 5000.0))
    monkeypatch.setattr(bench_grading, "find_spec", lambda name: None if name == "nbgrader" else name)
    speed, memory = bench_grading.rows(1)
    assert "nbgrader is not installed" in speed.name and math.isnan(speed.theirs) and not speed.met
    assert not memory.met


def test_without_the_tests_there_is_no_class(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_grading, "find_spec", lambda name: None)
    with pytest.raises(CourseError, match="the tests of this repository"):
        bench_grading.hand_in(tmp_path)


def test_memory_counts_the_children():
    hold = "x = bytearray(150_000_000); input()"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    with subprocess.Popen([sys.executable, "-c", nested], stdin=subprocess.PIPE) as run:
        end = time.monotonic() + 300
        while (held := bench_grading.memory_of_tree(run.pid)) < 150 and time.monotonic() < end:
            time.sleep(0.05)
        run.communicate(b"\n")
    assert 150 < held < 250


def test_memory_is_read_in_kib_and_given_in_mb(monkeypatch):
    monkeypatch.setattr(bench_grading, "_shared_out", lambda process: 1_000_000)
    assert bench_grading.memory_of_tree(2**22 + 1) == pytest.approx(1024)  # no such process: no children


def test_the_memory_of_what_has_ended_is_nothing():
    with subprocess.Popen([sys.executable, "-c", ""]) as run:
        run.wait()
    assert bench_grading.memory_of_tree(run.pid) == 0


def test_a_command_that_fails_says_why(tmp_path):
    with pytest.raises(CourseError, match="exit 3.*no luck"):
        bench_grading._watched([sys.executable, "-c", "print('no luck'); exit(3)"], tmp_path, os.environ)


@pytest.mark.skipif(find_spec("nbgrader") is None, reason="nbgrader is not installed")
def test_nbgrader_grades_a_submission(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_grading, "NOTEBOOK", sample.save(tmp_path / "sample.ipynb", sample.clean()))
    submitted = tmp_path / "submissions" / "ada"
    submitted.mkdir(parents=True)
    sample.save(submitted / "sample.ipynb", sample.clean())
    assert bench_grading.autograde(tmp_path, ["ada"], threads=1) > 0.5


def test_what_nbgrader_leaves_out_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_grading, "_watched", lambda command, folder, environment: 0.0)
    (tmp_path / "submissions" / "ada").mkdir(parents=True)
    with pytest.raises(CourseError, match="graded 0 of 1"):
        bench_grading.autograde(tmp_path, ["ada"], threads=1)
