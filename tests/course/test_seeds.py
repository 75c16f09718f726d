"""`course seeds` as its author runs it: interrupted, resumed, with a seed that fails, on a table of other cells."""

import random

import pytest

from lib.course.cli import main
from lib.lectures import execution, seeded
from lib.training import sweeps
from tests.lectures import sample


def lecture(folder, last="assert seed != 2, 'two is unlucky'"):
    """A lecture that draws one number, in a folder of its own."""
    made = sample.notebook(
        ("seed = 9\nscale = 2", "parameters"),
        ("import random\n\nx = scale * random.Random(seed).random()", "seeds"),
        "raise RuntimeError('this cell is not tagged')",
        (last, "seeds"),
    )
    sample.cell(made, "cell-1").metadata["course"] = {"measured": {"draw.x": "x"}}
    sample.cell(made, "cell-3").metadata["course"] = {"measured": {"draw.large": "x > 1"}}
    return str(sample.save(folder / "00_drawn.ipynb", made))


def drawn(seed):
    return 2 * random.Random(seed).random()


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """Three seeds, of which one fails: (lecture, table)."""
    folder = tmp_path_factory.mktemp("seeds")
    path, file = lecture(folder), folder / "seeds.csv"
    assert main(["seeds", path, "--seeds", "3", "--jobs", "3", "--out", str(file)]) == 1
    return path, file


@pytest.fixture
def nothing_runs(monkeypatch):
    def refuse(job):
        raise AssertionError("this seed has its row")

    monkeypatch.setattr(seeded, "execute", refuse)


def test_a_row_for_each_seed_with_what_was_measured(half):
    rows = seeded.table(half[1])
    assert list(rows[0]) == ["seed", "cells", "draw.x", "draw.large", "seconds"]
    assert [int(row["seed"]) for row in rows] == [0, 1], "a failing seed costs its own row alone"
    for row in rows:
        assert float(row["draw.x"]) == pytest.approx(drawn(int(row["seed"])), rel=1e-5)
        assert row["draw.large"] == str(drawn(int(row["seed"])) > 1) and 0 < float(row["seconds"]) < 60


def test_what_has_a_row_is_not_run_again(half, capsys, nothing_runs):
    assert main(["seeds", half[0], "--seeds", "2", "--out", str(half[1])]) == 0
    out = capsys.readouterr().out
    assert "seeds.csv: 2 seeds, from 0 to 1; 0.0 minutes of CPU" in out
    assert f"draw.x      min {drawn(1):.4g}, " in out and f"max {drawn(0):.4g}" in out
    assert f"draw.large  in {sum(drawn(seed) > 1 for seed in (0, 1))} of 2" in out


def test_the_table_is_printed_alone(half, capsys, nothing_runs):
    assert main(["seeds", half[0], "--table", "--out", str(half[1])]) == 0
    assert "draw.large  in" in capsys.readouterr().out


def test_a_failing_seed_is_told_with_its_cell(half, capsys):
    before = half[1].read_bytes()
    assert main(["seeds", half[0], "--seeds", "1", "--first", "2", "--out", str(half[1])]) == 1
    told = capsys.readouterr().err
    assert "00_drawn: 1 of 1 seeds failed" in told
    assert "seed 2: cell cell-3: AssertionError: two is unlucky" in told and "Traceback" not in told
    assert half[1].read_bytes() == before


def test_an_interruption_loses_nothing(tmp_path, capsys, monkeypatch):
    whole, path, file = sweeps.append_row, lecture(tmp_path), tmp_path / "seeds.csv"

    def then_interrupt(*arguments):
        whole(*arguments)
        raise KeyboardInterrupt

    command = ["seeds", path, "--seeds", "2", "--first", "4", "--jobs", "1", "--out", str(file)]
    with monkeypatch.context() as patched:
        patched.setattr(sweeps, "append_row", then_interrupt)
        assert main(command) == 130
    assert len(seeded.table(file)) == 1 and not execution._running, "a whole row, and nothing runs on"
    assert main(command) == 0
    assert [row["seed"] for row in seeded.table(file)] == ["4", "5"]
    assert sorted(each.name for each in tmp_path.iterdir() if each.suffix != ".lock") == ["00_drawn.ipynb", "seeds.csv"]


def test_a_table_of_other_cells_is_refused(half, tmp_path, capsys, nothing_runs):
    changed, file = lecture(tmp_path, last="assert seed != 3"), tmp_path / "seeds.csv"
    file.write_bytes(half[1].read_bytes())
    assert main(["seeds", changed, "--out", str(file)]) == 1
    told = "seeds.csv has 2 rows of other cells than 00_drawn has now: remove it"
    assert told in capsys.readouterr().err
    assert main(["seeds", changed, "--table", "--out", str(file)]) == 1
    shown = capsys.readouterr()
    assert told in shown.err and "2 seeds" in shown.out, "shown all the same"
    assert file.read_bytes() == half[1].read_bytes()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["--first", "-1"], "seeds must be from 0 to 4294967295, got -1 to 28"),
        (["--first", "4294967267"], "got 4294967267 to 4294967296"),
        (["--jobs", "0"], "--jobs must be at least 1, got 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(half, tmp_path, arguments, message, capsys, nothing_runs):
    assert main(["seeds", half[0], *arguments, "--out", str(tmp_path / "none.csv")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "none.csv").exists()


def test_a_lecture_that_is_unknown_or_has_no_such_cells(tmp_path, capsys):
    assert main(["seeds", "99_nothing"]) == 2
    assert "unknown notebook '99_nothing'" in capsys.readouterr().err
    path = sample.save(tmp_path / "nb.ipynb", sample.notebook(("seed = 3", "parameters"), "x = 1"))
    assert main(["seeds", str(path)]) == 1
    assert "nb has no cell that is tagged `seeds`" in capsys.readouterr().err


def test_there_may_be_no_table_or_a_damaged_one(half, tmp_path, capsys, nothing_runs):
    assert main(["seeds", half[0], "--table", "--out", str(tmp_path / "no.csv")]) == 1
    assert "there is no table no.csv yet: `course seeds 00` makes it" in capsys.readouterr().err
    damaged = {
        "seed,loss\n1,2\n": "bad.csv is not a table of this sweep: it lacks one of the columns seed, cells",
        "seed,cells,draw.x\n1,abc\n": "line 2 of bad.csv is incomplete",
        "seed,cells,seconds\none,abc,1\n": "bad.csv: the row of seed 'one' has no seconds, or something",
        "seed,cells,draw.x\n1,abc,2\n": "bad.csv: the row of seed '1' has no seconds, or something",
        "seed,cells,draw.x,seconds\n1,abc,much,3\n": "bad.csv: the row of seed '1' has no seconds, or something",
    }
    for content, message in damaged.items():
        (tmp_path / "bad.csv").write_text(content)
        for more in ([], ["--table"]):
            assert main(["seeds", half[0], *more, "--out", str(tmp_path / "bad.csv")]) == 1
            assert message in capsys.readouterr().err
        assert (tmp_path / "bad.csv").read_text() == content
