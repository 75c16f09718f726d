import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from lib.training import sweeps
from lib.training.sweeps import SweepError, append_row, has_row, read_rows, sweep


@dataclass(frozen=True)
class Point:
    size: int
    seed: int


KEY = ("size", "seed")
POINTS = [Point(size, seed) for size in (2, 3, 5) for seed in (0, 1)]


class Recorder:
    """Runs points at once and remembers which; `stop_after` makes the run after so many fail."""

    def __init__(self, stop_after=-1, error=RuntimeError("out of memory")):
        self.ran, self.stop_after, self.error = [], stop_after, error

    def __call__(self, point):
        if len(self.ran) == self.stop_after:
            raise self.error
        self.ran.append(point)
        return {"loss": round(1 / point.size + point.seed, 4), "curve": "1:0.5 2:0.25"}


def run(points, file, recorder):
    with ThreadPoolExecutor(1) as executor:
        return sweep(points, recorder, file, executor, show_progress=False)


def test_every_point_becomes_one_row(tmp_path):
    rows = run(POINTS, tmp_path / "deep" / "sweep.csv", Recorder())
    assert [(int(row["size"]), int(row["seed"])) for row in rows] == [(p.size, p.seed) for p in POINTS]
    assert rows[2] == {"size": "3", "seed": "0", "loss": "0.3333", "curve": "1:0.5 2:0.25"}


def test_a_second_sweep_runs_only_what_is_missing(tmp_path):
    file = tmp_path / "sweep.csv"
    run(POINTS[:4], file, Recorder())
    before = file.read_bytes()
    again = Recorder()
    assert len(run(POINTS, file, again)) == 6 and sorted(again.ran, key=POINTS.index) == POINTS[4:]
    assert file.read_bytes().startswith(before)
    nothing = Recorder()
    run(POINTS, file, nothing)
    assert nothing.ran == []


def test_rows_of_another_grid_stay(tmp_path):
    file = tmp_path / "sweep.csv"
    run([Point(99, 0)], file, Recorder())
    assert len(run(POINTS, file, Recorder())) == 6 and len(read_rows(file, KEY)) == 7


def test_a_failed_run_costs_its_own_row_alone(tmp_path):
    file = tmp_path / "sweep.csv"
    with pytest.raises(SweepError, match=r"1 of 6 runs failed.*Point\(size=3, seed=0\).*out of memory"):
        run(POINTS, file, failing)
    assert len(read_rows(file, KEY)) == 5
    assert len(run(POINTS, file, Recorder())) == 6


def failing(point):
    if point == Point(3, 0):
        raise RuntimeError("out of memory")
    return Recorder()(point)


def test_a_line_that_was_cut_off_is_run_again(tmp_path):
    file, whole = tmp_path / "sweep.csv", tmp_path / "whole.csv"
    run(POINTS, whole, Recorder())
    file.write_text(whole.read_text()[:-7])  # in the middle of the last row
    again = Recorder()
    run(POINTS, file, again)
    assert again.ran == POINTS[-1:] and file.read_bytes() == whole.read_bytes()


def test_a_header_that_was_cut_off_begins_anew(tmp_path):
    file = tmp_path / "sweep.csv"
    file.write_text("size,se")
    assert len(run(POINTS, file, Recorder())) == 6


def test_a_row_that_is_there_stays(tmp_path):
    """Another sweep, side by side, was first."""
    file = tmp_path / "sweep.csv"
    append_row(file, {"size": 2, "seed": 0, "loss": 1.0}, KEY)
    append_row(file, {"size": 2, "seed": 0, "loss": 2.0}, KEY)
    assert [row["loss"] for row in read_rows(file, KEY)] == ["1.0"]


def test_a_run_is_in_the_table_or_not(tmp_path):
    file = tmp_path / "runs.csv"
    assert not has_row(file, (2, 0), KEY)
    append_row(file, {"size": 2, "seed": 0, "loss": 1.0}, KEY)
    assert has_row(file, (2, 0), KEY) and not has_row(file, (0, 2), KEY)
    with pytest.raises(ValueError, match="lacks one of the columns"):
        has_row(file, (2, 0), ("size", "width"))


def test_sweeps_side_by_side_lose_no_row(tmp_path, monkeypatch):
    """Each reads the whole table and writes it again: between the two no other may."""
    file, read = tmp_path / "sweep.csv", sweeps.read_rows

    def slowly(*args):
        rows = read(*args)
        time.sleep(0.002)
        return rows

    monkeypatch.setattr(sweeps, "read_rows", slowly)
    with ThreadPoolExecutor(8) as many:
        list(many.map(lambda seed: append_row(file, {"size": 1, "seed": seed, "loss": 0.5}, KEY), range(40)))
    assert sorted(int(row["seed"]) for row in read(file, KEY)) == list(range(40))


def test_an_error_while_a_row_is_written_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    file = tmp_path / "sweep.csv"
    run(POINTS[:3], file, Recorder())
    before = file.read_bytes()
    monkeypatch.setattr("csv.DictWriter.writerows", lambda self, rows: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        append_row(file, {"size": 9, "seed": 0, "loss": 1.0, "curve": ""}, KEY)
    assert file.read_bytes() == before and [f.name for f in tmp_path.iterdir() if f.suffix == ".csv"] == ["sweep.csv"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("size,seed,loss\n2,0\n3,0,1.0\n", "line 2 of sweep.csv is incomplete"),
        ("size,seed,loss\n2,0,1.0,7\n3,0,1.0\n", "line 2 of sweep.csv is incomplete"),
        ("size,seed,loss\n2,0,1.0\n2,0,1.5\n", "line 3 of sweep.csv is a run that is already in it"),
        ("name,grade\nada,1\n", "not a table of this sweep: it lacks one of the columns size, seed"),
        ("size,loss\n2,1.0\n", "not a table of this sweep: it lacks one of the columns size, seed"),
        ("name,grade\n", "not a table of this sweep: it lacks one of the columns size, seed"),
        ("size,seed,loss\n2,0,1.0\n3,0,1.0\n2,0\n", "line 4 of sweep.csv is incomplete"),
        ("size,seed,loss\n2,0,1.0\n2,1,1.5\n3,0,1.0\n2,1,1.5\n", "line 5 of sweep.csv is a run"),
    ],
)
def test_a_damaged_table_is_refused_and_kept(tmp_path, text, message):
    file = tmp_path / "sweep.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        run(POINTS, file, Recorder())
    assert file.read_text() == text


def test_a_table_with_other_columns_is_refused(tmp_path):
    file = tmp_path / "sweep.csv"
    file.write_text("size,seed,perplexity\n9,0,3.0\n")
    with pytest.raises(ValueError, match="has the columns size, seed, perplexity; this run gives size, seed, loss"):
        run(POINTS, file, Recorder())


@pytest.mark.parametrize("points", [[], [Point(1, 0), Point(1, 0)]])
def test_points_must_be_different_runs(tmp_path, points):
    with pytest.raises(ValueError, match="points must be different runs"):
        run(points, tmp_path / "sweep.csv", Recorder())


def test_no_file_and_an_empty_one_are_tables_without_rows(tmp_path):
    assert read_rows(tmp_path / "none.csv", KEY) == []
    (tmp_path / "empty.csv").touch()
    assert read_rows(str(tmp_path / "empty.csv"), KEY) == []
    (tmp_path / "header.csv").write_text("size,seed,loss\n")
    assert read_rows(tmp_path / "header.csv", KEY) == []


@pytest.mark.parametrize("row", [{"seed": 1, "size": 2, "loss": 1.0}, {"size": 2, "seed": 1},
                                 {"size": 2, "seed": 1, "loss": 1.0, "more": 1}])  # fmt: skip
def test_a_row_has_the_columns_of_the_table_in_their_order(tmp_path, row):
    file = tmp_path / "sweep.csv"
    append_row(str(file), {"size": 2, "seed": 0, "loss": 1.0}, KEY)
    with pytest.raises(ValueError, match="has the columns size, seed, loss; this run gives"):
        append_row(file, row, KEY)
    assert file.read_text() == "size,seed,loss\n2,0,1.0\n"


def test_texts_with_commas_quotes_and_umlauts_come_back(tmp_path):
    file, text = tmp_path / "sweep.csv", 'Grüße, "zwei"\nZeilen'
    append_row(file, {"size": 2, "seed": 0, "note": text}, KEY)
    append_row(file, {"size": 2, "seed": 1, "note": "x"}, KEY)
    assert [row["note"] for row in read_rows(file, KEY)] == [text, "x"]
    assert "Grüße".encode() in file.read_bytes() and b"\r" not in file.read_bytes()


def test_rows_come_in_the_order_of_the_points_and_all_failures_are_counted(tmp_path):
    file = tmp_path / "sweep.csv"
    run(POINTS[::-1], file, Recorder())
    assert [(row["size"], row["seed"]) for row in run(POINTS, file, Recorder())] == [
        (str(p.size), str(p.seed)) for p in POINTS
    ]
    with pytest.raises(SweepError, match=r"^2 of 8 runs failed; the first: Point\(size=7, seed=0\): KeyError: 'no'$"):
        run([*POINTS, Point(7, 0), Point(7, 1)], file, failing_at_seven)


def failing_at_seven(point):
    raise KeyError("no")


@pytest.mark.parametrize("show", [True, False])
def test_the_progress_of_a_second_sweep_begins_where_the_first_ended(tmp_path, monkeypatch, show):
    seen = []

    class Bar:
        def __init__(self, **options):
            seen.append(options)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def update(self, number=1):
            seen.append(number)

    run([*POINTS[:2], Point(99, 0)], tmp_path / "sweep.csv", Recorder())
    monkeypatch.setattr(sweeps, "progress", Bar)
    with ThreadPoolExecutor(1) as executor:
        sweep(POINTS, Recorder(), tmp_path / "sweep.csv", executor, description="runs", show_progress=show)
    assert seen == [{"description": "runs", "total": 6, "disable": not show}, 2, 1, 1, 1, 1]
