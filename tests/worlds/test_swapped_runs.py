import csv

import pytest
import torch

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


def test_a_run_hands_its_seed_on_and_each_column_is_of_its_own_split(monkeypatch):
    """Seed, rate and updates go to the model and to its training; what is written down is what was measured."""
    calls, made = [], torch.nn.Linear(3, 1).train()
    monkeypatch.setattr(runs, "swap_finder", lambda *given, **named: calls.append((given, named)) or made)
    monkeypatch.setattr(runs, "train_swap_finder", lambda *given: calls.append(given) or [9.0, *range(10)])
    monkeypatch.setattr(runs, "trained_numbers", lambda model: 5)
    modes = []
    monkeypatch.setattr(
        runs, "swap_accuracy",
        lambda model, split: modes.append(model.training) or {"validation": 0.123456, "test": 0.654321}[split],
    )  # fmt: skip
    way = Way("lora", 8, "q+v", steps=40)
    row = runs.run(way, 0.03, 17)
    assert calls == [(("lora", 8, "q+v"), {"seed": 17}), (made, 0.03, 17, 40)] and modes == [False, False]
    assert row.pop("seconds") >= 0 and row == {
        "method": "lora", "size": 8, "targets": "q+v", "steps": 40, "learning_rate": 0.03, "seed": 17, "trained": 5,
        "loss": 4.5, "validation": 0.1235, "test": 0.6543,
    }  # fmt: skip


def table(way, entries):
    """Rows of one way: (rate, seed, validation, test)."""
    return [
        {name: str(value) for name, value in way._asdict().items()}
        | {"learning_rate": str(rate), "seed": str(seed), "trained": "7", "validation": str(val), "test": str(test)}
        for rate, seed, val, test in entries
    ]


def test_a_rate_is_chosen_by_validation_on_the_choosing_seed_alone():
    """Neither the test split nor the seeds that are reported may choose: that would make the comparison unfair."""
    way = Way("lora", 8, "q+v")
    rows = table(way, [(0.001, 100, 0.2, 0.9), (0.01, 100, 0.4, 0.1), (0.1, 100, 0.3, 0.5), (0.1, 0, 0.9, 0.9)])
    rows += table(way._replace(steps=9), [(0.03, 100, 0.8, 0.8)]) + table(
        Way("lora", 9, "q+v"), [(0.03, 100, 0.8, 0.8)]
    )
    assert runs.chosen_rate(rows, way) == runs.chosen_rate(rows[::-1], way) == 0.01


def test_results_are_the_test_accuracies_of_the_reported_seeds_at_the_chosen_rate(tmp_path, monkeypatch):
    ways = [Way("head"), Way("full"), *(Way("subspace", dim) for dim in (4, 64, 16))]
    monkeypatch.setattr(runs, "WAYS", ways)
    rows = []
    for way, reached in zip(ways, (0.2, 0.6, 0.3, 0.5, 0.4)):
        rows += table(way, [(0.01, 100, 0.9, 0.99), (0.1, 100, 0.8, 0.98), (0.1, 0, 0.7, 0.97), (0.01, 7, 0.1, 0.96)])
        rows += table(way, [(0.01, seed, 0.95, round(reached + 0.01 * (seed - 1.5), 3)) for seed in SEEDS])
    file = tmp_path / "peft.csv"
    with open(file, "w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    found = runs.results(file)
    assert [found[way].accuracies for way in ways[:2]] == [[0.185, 0.195, 0.205, 0.215], [0.585, 0.595, 0.605, 0.615]]
    assert found[ways[0]].mean == pytest.approx(0.2) and found[ways[0]].spread == pytest.approx(0.01 * (5 / 3) ** 0.5)
    assert {(one.learning_rate, one.trained) for one in found.values()} == {(0.01, 7)}
    for share, dim in ((0.24, 4), (0.26, 16), (0.49, 16), (0.51, 64), (0.74, 64), (0.76, None), (0.0, 4)):
        assert runs.smallest_dimension(share, file) == dim
    with pytest.raises(ValueError, match="must have the rates"):
        runs.rate_curve(Way("head"), file)
    whole = table(Way("head"), [(rate, 100, rate / 2, 0.9) for rate in RATES[::-1]] + [(0.1, 3, 0.77, 0.8)])
    monkeypatch.setattr(runs, "_rows", lambda file: whole)
    assert runs.rate_curve(Way("head")) == [rate / 2 for rate in RATES]
