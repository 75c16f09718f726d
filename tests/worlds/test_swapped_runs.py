import csv

import pytest

from lib.course.cli import main
from lib.worlds import swapped_runs as runs
from lib.worlds.swapped_runs import RATES, SEEDS, WAYS, Way


@pytest.fixture
def quick(monkeypatch):
    """Every run becomes a row at once; its accuracies say which run it was."""
    done = []

    def run(way, rate, seed):
        done.append((way, rate, seed))
        right = round(0.5 - abs(rate - 0.01) + 0.001 * (seed % 100), 4)
        return {**way._asdict(), "learning_rate": rate, "seed": seed, "trained": 7, "validation": right, "test": right}

    monkeypatch.setattr(runs, "run", run)
    return done


def test_the_rate_is_chosen_on_its_own_seed_and_then_kept(tmp_path, quick):
    file = tmp_path / "peft.csv"
    ways = (Way("head"), Way("lora", 8, "q+v"))
    runs.run_all(file, ways, seeds=(0, 1))
    assert [(rate, seed) for way, rate, seed in quick if way == ways[0]] == [
        *((rate, 100) for rate in RATES), (0.01, 0), (0.01, 1),
    ]  # fmt: skip
    runs.run_all(file, ways, seeds=(0, 1, 2))  # goes on where it was
    assert len(quick) == 2 * (5 + 2) + 2


def test_course_train_peft_makes_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "WAYS", (Way("head"), Way("lora", 1, "q+v")))
    monkeypatch.setattr(runs, "RATES", (0.01,))
    monkeypatch.setattr(runs, "swap_accuracy", lambda model, split="test": 0.5)
    assert main(["train", "peft", "--steps", "1", "--out", str(tmp_path)]) == 0
    with open(tmp_path / "experiments" / "peft.csv", newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    found = [(row["method"], row["steps"], row["trained"], int(row["seed"])) for row in rows]
    assert found == [
        (method, "1", trained, seed) for seed in (100, *SEEDS) for method, trained in (("head", "0"), ("lora", "2048"))
    ]


def test_the_stored_table_is_whole():
    with open(runs.FILE, newline="", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    assert len(rows) == len(WAYS) * (len(RATES) + len(SEEDS))
    found = runs.results()
    assert list(found) == list(WAYS) and all(len(result.accuracies) == len(SEEDS) for result in found.values())


def test_what_the_lecture_says_of_the_table():
    found = runs.results()
    head, full = found[Way("head")].mean, found[Way("full")].mean
    assert full > head + 0.25
    assert found[Way("lora", 8, runs.ALL_LINEAR)].mean > full - 0.02
    assert runs.smallest_dimension(0.9) == 65_536 and runs.smallest_dimension(0.5) == 1024
    assert runs.smallest_dimension(1.0) is None or runs.smallest_dimension(1.0) == 65_536
    assert len(runs.rate_curve(Way("full"))) == 5


def test_the_table_is_printed(capsys):
    runs.show_table([Way("head"), Way("subspace", 64)])
    head, subspace = capsys.readouterr().out.splitlines()[1:]
    assert head.startswith("head alone ") and subspace.startswith("random subspace, m = 64 ")


def test_bad_input(tmp_path, quick):
    with pytest.raises(ValueError, match="no run that chooses"):
        runs.chosen_rate([], Way("head"))
    with pytest.raises(ValueError, match="must have the rates"):
        runs.rate_curve(Way("head"), tmp_path / "none.csv")
    with pytest.raises(ValueError, match="share must lie in"):
        runs.smallest_dimension(1.5)
    with pytest.raises(KeyError):
        runs.show_table([Way("lora", 3, "q")])
