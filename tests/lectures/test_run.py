"""Notebooks that behave and notebooks that do not, executed for real; each costs two seconds or so."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest

from lib import ROOT
from lib.course import run
from lib.course.cli import main
from lib.errors import CourseError, UsageError
from lib.lectures import execution
from lib.lectures.execution import Execution, Job
from lib.lectures.process import _first_error
from tests.lectures import sample


@pytest.fixture(scope="module")
def misbehaving(tmp_path_factory):
    """A good notebook among bad ones, and one that never ends: (folder, what was printed, the limit in seconds)."""
    folder = tmp_path_factory.mktemp("notebooks")
    reach = "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=2)"
    sources = {
        "good": [("steps = 3", "parameters"), "print(steps)", ("1 / 0", "raises-exception"), "print('end')"],
        "raises": ["x = 1", "def f():\n    return undefined\nf()", "print('never')"],
        "dies": ["x = 1", "import os\nos._exit(3)", "print('never')"],
        "loops": ["x = 1", "import time\ntime.sleep(600)", "print('never')"],
        "reaches_out": [reach],
    }
    for name, cells in sources.items():
        sample.save(folder / f"{name}.ipynb", sample.notebook(*cells))
    (folder / "corrupt.ipynb").write_text('{"cells": [')
    began = time.monotonic()
    first = executed(folder, sorted({*sources, "corrupt"} - {"loops"}), "--jobs", "3")
    limit = math.ceil(time.monotonic() - began)  # in which this machine, as busy as it is, has just done four
    second = executed(folder, ["loops"], "--timeout", str(limit))
    assert (first.returncode, second.returncode) == (1, 1)
    return folder, first.stdout + second.stdout, limit


def executed(folder, names, *options):
    """`course run` on the notebooks of these names."""
    command = [sys.executable, "-m", "lib.course", "run", *options, "--out", str(folder / "out")]
    paths = [str(folder / f"{name}.ipynb") for name in names]
    return subprocess.run([*command, *paths], cwd=ROOT, capture_output=True, text=True, timeout=500)


@pytest.mark.parametrize(
    "row",
    [
        r"good +4 +[\d.]+ +\d+ MB  ok",
        r"raises +2 +[\d.]+ +\d+ MB  NameError in cell cell-1",
        r"dies +\d +[\d.]+ +\d+ MB  kernel died in cell cell-1",
        r"loops +1 +– +–  over LIMIT s in cell cell-1",
        r"reaches_out +1 +[\d.]+ +\d+ MB  OSError in cell cell-0",
        r"corrupt +0 +– +–  unreadable",
    ],
)
def test_each_notebook_has_its_row(misbehaving, row):
    _, out, limit = misbehaving
    assert re.search(row.replace("LIMIT", str(limit)), out), out


def test_the_traceback_is_shown_without_colours(misbehaving):
    out = misbehaving[1]
    assert "NameError: name 'undefined' is not defined" in out and "\x1b" not in out
    assert "----> 2     return undefined" in out
    assert "corrupt.ipynb is not a notebook: not JSON" in out
    assert "Network is unreachable" in out


def test_executed_copies_are_whole_and_nothing_else_is_there(misbehaving):
    out = misbehaving[0] / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "dies.ipynb", "good.ipynb", "loops.ipynb", "raises.ipynb", "reaches_out.ipynb"
    ]  # fmt: skip
    good = nbformat.read(out / "good.ipynb", as_version=4)
    assert sample.cell(good, "cell-1").outputs[0].text == "3\n"
    assert sample.cell(good, "cell-3").outputs[0].text == "end\n"
    loops = nbformat.read(out / "loops.ipynb", as_version=4)  # how far it came
    assert [cell.execution_count for cell in loops.cells if cell.cell_type == "code"] == [1, None, None]


def test_no_kernel_outlives_its_time_limit(misbehaving):
    folder = str(misbehaving[0])
    for process in psutil.process_iter(["cmdline", "cwd"]):
        assert process.info["cwd"] != folder, process.info["cmdline"]


def test_a_parameter_is_set_and_the_default_is_overruled(tmp_path, capsys):
    path = sample.save(tmp_path / "nb.ipynb", sample.notebook(("steps = 3", "parameters"), "print(steps * 2)"))
    assert main(["run", str(path), "-p", "steps", "21", "--out", str(tmp_path / "out")]) == 0
    executed = nbformat.read(tmp_path / "out" / "nb.ipynb", as_version=4)
    assert sample.cell(executed, "cell-1").outputs[0].text == "42\n"
    assert "nb" in capsys.readouterr().out


def test_the_guard_blocks_a_kernel_where_there_are_no_namespaces(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_SANDBOX", "guard")
    made = sample.notebook("import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=2)")
    outcome = execution.execute(Job("nb", made, str(tmp_path)))
    assert (outcome.verdict, outcome.cell) == ("NetworkBlocked", "cell-0")


def test_an_unknown_parameter_stops_before_anything_runs(tmp_path, capsys):
    path = sample.save(tmp_path / "nb.ipynb", sample.notebook(("steps = 3", "parameters")))
    assert main(["run", str(path), "-p", "stpes", "4", "--out", str(tmp_path / "out")]) == 2
    assert "nb has no parameter 'stpes': did you mean steps?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unknown_notebook_is_exit_code_2(capsys):
    assert main(["run", "no_such_notebook"]) == 2
    assert "unknown notebook 'no_such_notebook'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--jobs", "0"], ["--jobs", "-3"], ["--timeout", "0"]])
def test_numbers_that_make_no_sense_are_refused(tmp_path, capsys, arguments):
    path = sample.save(tmp_path / "nb.ipynb", sample.notebook("1"))
    assert main(["run", str(path), *arguments]) == 2
    assert f"{arguments[0]} must be" in capsys.readouterr().err


def processes_in(folder):
    """Processes whose working directory is `folder`: kernels of the notebooks there."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_interrupted_nothing_is_half_written_and_no_kernel_is_left(tmp_path, number, code):
    sample.save(tmp_path / "nb.ipynb", sample.notebook("open('started', 'w').close()\nimport time\ntime.sleep(600)"))
    command = [
        sys.executable,
        "-m",
        "lib.course",
        "run",
        str(tmp_path / "nb.ipynb"),
        "--out",
        str(tmp_path / "out"),
    ]
    (tmp_path / "scratch").mkdir()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path / "scratch")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: (tmp_path / "started").exists(), 400)
    assert processes_in(tmp_path)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == code
    assert ("interrupted" in errors) == (number != signal.SIGKILL) and "Traceback" not in errors
    wait_until(lambda: not processes_in(tmp_path), 300)
    wait_until(lambda: not list((tmp_path / "scratch").glob("course-*")), 300)
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_through_a_dask_cluster_it_is_the_same(tmp_path, capsys):
    from distributed import LocalCluster

    for name in ("one", "two"):
        sample.save(tmp_path / f"{name}.ipynb", sample.notebook("import os\nprint(os.environ['OMP_NUM_THREADS'])"))
    sample.save(tmp_path / "bad.ipynb", sample.notebook("1 / 0"))
    paths = [str(path) for path in sorted(tmp_path.glob("*.ipynb"))]
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        code = main(["run", *paths, "--out", str(tmp_path / "out"), "--scheduler", cluster.scheduler_address])
    out = capsys.readouterr().out
    assert code == 1 and "ZeroDivisionError in cell cell-0" in out
    executed = nbformat.read(tmp_path / "out" / "two.ipynb", as_version=4)
    assert sample.cell(executed, "cell-0").outputs[0].text == "1\n"
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == ["bad", "one", "two"]


def test_a_scheduler_that_does_not_answer_is_an_error(monkeypatch):
    monkeypatch.setattr(execution, "SCHEDULER_SECONDS", 0.5)
    with pytest.raises(CourseError, match="no Dask scheduler answers at tcp://127.0.0.1:9"):
        with execution.open_executor(scheduler="tcp://127.0.0.1:9"):
            pass


def outcome(**changes):
    return Execution("nb", "ok", 3, seconds=10.0, peak_bytes=10**8) if not changes else Execution("nb", **changes)


@pytest.mark.parametrize(
    "seconds, peak, over",
    [(59.0, 10**9, False), (61.0, 10**9, True), (1.0, 21 * 10**8, True), (None, None, False)],
)
def test_the_budget_of_a_notebook(seconds, peak, over):
    assert outcome(verdict="ok", cells=1, seconds=seconds, peak_bytes=peak).over_budget is over


@pytest.mark.parametrize("flags, code", [([], 0), (["--strict"], 1)])
def test_over_budget_fails_only_when_strict(tmp_path, capsys, monkeypatch, flags, code):
    path = sample.save(tmp_path / "nb.ipynb", sample.notebook("1"))
    slow = outcome(verdict="ok", cells=1, seconds=99.0, peak_bytes=10**8, notebook=json.loads(path.read_text()))
    monkeypatch.setattr(run, "execute", lambda job: slow)
    assert main(["run", str(path), "--out", str(tmp_path / "out"), *flags]) == code
    assert "ok, over budget" in capsys.readouterr().out


def test_an_older_copy_does_not_pass_for_a_failed_run(tmp_path, capsys, monkeypatch):
    path = sample.save(tmp_path / "nb.ipynb", sample.notebook("1"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "nb.ipynb").write_text("of last week")
    monkeypatch.setattr(run, "execute", lambda job: outcome(verdict="worker died", cells=0))
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out" / "nb.ipynb").exists()


def test_a_worker_that_dies_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "WORKER", [sys.executable, "-c", "raise SystemExit('out of luck')"])
    died = execution.execute(Job("nb", sample.notebook("1"), str(tmp_path)))
    assert died.verdict == "worker died" and "out of luck" in died.traceback


def test_as_many_at_a_time_as_memory_allows(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 7 * 10**9}))
    assert execution.default_jobs() == 3


def test_jobs_below_one_are_refused():
    with pytest.raises(UsageError, match="--jobs must be at least 1"), execution.open_executor(jobs=0):
        pass


@pytest.mark.parametrize(
    "seconds, peak, over", [(60.0, 2 * 10**9, False), (60.001, 0, True), (0.0, 2 * 10**9 + 1, True)]
)
def test_a_budget_that_is_just_met_is_kept(seconds, peak, over):
    assert outcome(verdict="ok", cells=1, seconds=seconds, peak_bytes=peak).over_budget is over


@pytest.mark.parametrize("cores, available, jobs", [(2, 100 * 10**9, 2), (8, 10**9, 1), (8, 2 * 10**9, 1), (8, 4 * 10**9, 2),
                                                    (None, 10**11, 1)])  # fmt: skip
def test_cores_and_memory_both_limit_the_jobs(monkeypatch, cores, available, jobs):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": available}))
    assert execution.default_jobs() == jobs


def error(name):
    return nbformat.v4.new_output("error", ename=name, evalue="", traceback=["one", "two"])


def test_the_first_error_that_is_not_deliberate_counts():
    made = sample.notebook("a", ("b", "raises-exception"), "c", "d")
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, 1):
        cell.execution_count = number
    assert _first_error(made) is None
    code[1].outputs = [error("Wanted")]
    assert _first_error(made) is None
    code[2].outputs, code[3].outputs = [error("First")], [error("Second")]
    assert _first_error(made) == {"kind": "First", "cell": "cell-2", "traceback": "one\ntwo"}


def test_a_cell_that_was_never_reached_is_a_failure_unless_it_is_empty():
    made = sample.notebook("a", " \n", "c")
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    code[0].execution_count = 1
    assert _first_error(made) == {"kind": "not executed", "cell": "cell-2", "traceback": ""}
    code[2].execution_count = 2
    assert _first_error(made) is None


@pytest.mark.parametrize(
    "change, rest",
    [({}, "3     10.0   100 MB  ok"), ({"seconds": 61.04}, "61.0   100 MB  ok, over budget"),
     ({"verdict": "NameError", "cell": "c-1", "seconds": 99.0}, "NameError in cell c-1"),
     ({"seconds": None, "peak_bytes": None}, "3        –        –  ok")],
)  # fmt: skip
def test_the_row_of_a_notebook(capsys, change, rest):
    from rich.console import Console

    given = {"verdict": "ok", "cells": 3, "seconds": 10.0, "peak_bytes": 10**8} | change
    run._print_execution(Console(highlight=False, soft_wrap=True), Execution("nb", **given), 8)
    assert capsys.readouterr().out.rstrip("\n").endswith(rest)


def test_a_failed_notebook_is_not_said_to_be_over_its_budget_but_counts_as_strict(tmp_path, capsys, monkeypatch):
    paths = [sample.save(tmp_path / f"{name}.ipynb", sample.notebook("1")) for name in ("one", "two")]
    results = {"one": Execution("one", "ok", 1, 5.0, 3 * 10**9), "two": Execution("two", "ok", 1, 5.0, 10**8)}
    monkeypatch.setattr(run, "execute", lambda job: results[job.name])
    assert main(["run", *map(str, paths), "--out", str(tmp_path / "out"), "--strict"]) == 1
    assert "over the budget of 60 s and 2 GB: one\n" in capsys.readouterr().out
