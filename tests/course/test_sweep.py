"""`course sweep` as its user runs it: side by side, killed, resumed, on a cluster."""

import contextlib
import csv
import os

import psutil
import pytest

from lib import DATA
from lib.course import sweep as command
from lib.course.cli import main
from lib.training import scaling
from tests.killed import killed

SHORT = ["sweep", "scaling", "--last", "3", "--jobs", "1"]
"""The three shortest runs of the grid, a second each."""


def rows(file):
    with open(file, newline="") as text:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(text)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    file = tmp_path_factory.mktemp("sweep") / "whole.csv"
    assert main([*SHORT, "--out", str(file)]) == 0
    return rows(file)


def test_killed_and_resumed_no_row_is_lost_or_doubled(tmp_path, whole):
    file = tmp_path / "killed.csv"
    workers = killed("lib.training.sweeps", "append_row", 1, [*SHORT, "--out", str(file)])
    assert len(rows(file)) == 1
    assert psutil.wait_procs(workers, timeout=300)[1] == [], "no worker outlives its sweep"
    assert main([*SHORT, "--out", str(file)]) == 0
    assert sorted(map(str, rows(file))) == sorted(map(str, whole))


@pytest.mark.nightly
def test_on_a_cluster_the_same_rows(tmp_path, capsys, whole):
    from distributed import LocalCluster

    file = tmp_path / "cluster.csv"
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        assert (
            main(["sweep", "scaling", "--last", "2", "--out", str(file), "--scheduler", cluster.scheduler_address]) == 0
        )
    short = {str(row) for row in whole}
    assert len(rows(file)) == 2 and {str(row) for row in rows(file)} <= short
    assert "cluster.csv: 2 runs" in capsys.readouterr().out


def test_the_environment_of_the_caller_is_one_thread_each(whole):
    assert {row["machine"].split(", ")[1] for row in whole} == {"1 thread"}
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_a_gpu_profile_without_a_gpu_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(scaling.torch.cuda, "is_available", lambda: False)
    arguments = ["sweep", "scaling", "--profile", "gpu", "--last", "1", "--out", str(tmp_path / "gpu.csv")]
    assert main(arguments) == 1
    assert "1 of 1 runs failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["sweep", "scalling"], "did you mean scaling?"),
        (["sweep", "scaling", "--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["sweep", "scaling", "--first", "-1"], "--first must be at least 1, got -1"),
    ],
)
def test_bad_usage(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_damaged_table_is_one_line_and_stays(tmp_path, capsys):
    file = tmp_path / "scaling.csv"
    file.write_text("num_layers,d_model,tokens,seed,device,loss\n1,16\n1,16,59392,0,cpu,4.9\n")
    assert main([*SHORT, "--out", str(file)]) == 1
    assert "line 2 of scaling.csv is incomplete" in capsys.readouterr().err
    assert file.read_text().endswith("4.9\n")


@pytest.fixture
def asked(monkeypatch):
    """What the command asks for: the points, the file and the number of processes."""
    seen = {}

    @contextlib.contextmanager
    def processes(jobs):
        seen["jobs"] = jobs
        yield None

    def sweep(points, run, file, executor, description):
        seen.update(points=points, file=file)
        return [{"seconds": "90"}, {"seconds": "30.0"}]

    monkeypatch.setattr(command, "processes", processes)
    monkeypatch.setattr("lib.training.sweeps.sweep", sweep)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    return seen


@pytest.mark.parametrize(
    "options, first, last",
    [
        ([], 0, None), (["--first", "3"], 0, 3), (["--last", "2"], -2, None), (["--first", "5", "--last", "2"], 3, 5),
        (["--first", "100000"], 0, None),
    ],
)  # fmt: skip
def test_the_ends_of_the_grid_are_chosen(asked, capsys, options, first, last):
    assert main(["sweep", "scaling", *options]) == 0
    assert asked["points"] == scaling.scaling_grid("cpu")[first:last]
    assert asked["file"] == DATA / "sweeps" / "scaling.csv" and asked["jobs"] == 7
    assert capsys.readouterr().out == "scaling.csv: 2 runs, 2 minutes of training\n"


@pytest.mark.parametrize("options, jobs", [(["--profile", "gpu"], 1), (["--profile", "gpu", "--jobs", "3"], 3)])
def test_a_gpu_has_one_run_at_a_time_unless_told_otherwise(asked, options, jobs):
    assert main(["sweep", "scaling", *options]) == 0
    assert asked["jobs"] == jobs and asked["points"] == scaling.scaling_grid("gpu")


def test_each_count_has_to_be_positive(capsys):
    assert main(["sweep", "scaling", "--last", "0"]) == 2
    assert "--last must be at least 1, got 0" in capsys.readouterr().err


def test_each_sweep_has_its_own_grid_run_and_table(asked, capsys, monkeypatch):
    from lib.training import scaling_choices

    ran = []
    monkeypatch.setattr("lib.training.sweeps.sweep", lambda points, run, file, executor, description: ran.append(
        (points, run, file, description)) or [{"seconds": "60"}])  # fmt: skip
    assert main(["sweep", "scaling_choices", "--last", "2"]) == main(["sweep", "scaling", "--last", "2"]) == 0
    assert ran == [
        (scaling_choices.choices_grid()[-2:], scaling_choices.train_choice, DATA / "sweeps" / "scaling_choices.csv",
         "sweep scaling_choices"),
        (scaling.scaling_grid()[-2:], scaling.train_point, DATA / "sweeps" / "scaling.csv", "sweep scaling"),
    ]  # fmt: skip
    assert capsys.readouterr().out.splitlines()[0] == "scaling_choices.csv: 1 runs, 1 minutes of training"
    assert main(["sweep", "scaling_choices", "--profile", "gpu"]) == 2
    assert "--profile gpu is for the sweep scaling" in capsys.readouterr().err and len(ran) == 2
