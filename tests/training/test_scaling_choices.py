import csv

import pytest
import torch

from lib import DATA
from lib.training import scaling_choices
from lib.training.scaling import scaling_data
from lib.training.scaling_choices import BUDGETS, EXPERIMENTS, ChoicePoint, choices_grid, shuffled_twice, train_choice


def test_along_an_isoflop_curve_the_cost_is_the_same_with_the_table_in_N():
    tuned = [p for p in choices_grid() if p.experiment == "tuned"]
    costs = [6 * scaling_choices._parameters(p.num_layers, p.d_model) * p.tokens for p in tuned]
    assert all(min(abs(cost / C - 1) for C in BUDGETS) < 0.005 for cost in costs)
    for C in BUDGETS:
        sizes = {(p.num_layers, p.d_model) for p, cost in zip(tuned, costs, strict=True) if abs(cost / C - 1) < 0.005}
        assert len(sizes) >= 5, "enough for a parabola"
    assert {p.experiment for p in choices_grid()} == set(EXPERIMENTS) and len(set(choices_grid())) == 57


def test_the_table_has_the_runs_of_the_grid_and_no_others():
    with open(DATA / "sweeps" / "scaling_choices.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = ("num_layers", "d_model", "tokens", "seed", "device", "experiment")
    assert {tuple(row[name] for name in names) for row in rows} == {
        tuple(str(getattr(point, name)) for name in names) for point in choices_grid()
    }
    assert len(rows) == len(choices_grid()) and all(float(row["loss"]) < 5.5 for row in rows)


def test_only_the_experiment_changes_the_settings():
    runs = {name: ChoicePoint(1, 32, 94_208, seed=1, experiment=name).settings() for name in EXPERIMENTS}
    rates = {name: settings.learning_rate for name, settings in runs.items()}
    assert rates == pytest.approx({"tuned": 0.02, "low rate": 0.64 / 224, "high rate": 0.04})
    assert {s.steps for s in runs.values()} == {184}


def test_no_window_comes_twice():
    sample, generator = shuffled_twice(torch.arange(64)[:, None]), torch.Generator().manual_seed(0)
    assert sorted(torch.cat([sample(generator) for _ in range(8)]).flatten().tolist()) == list(range(64))


def test_a_row_counts_parameters_with_the_table_and_without():
    row = train_choice(ChoicePoint(1, 16, tokens=4096, seed=0, experiment="low rate"))
    assert row["all_parameters"] == row["parameters"] + 512 * 16 and row["learning_rate"] == 0.002857


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: ChoicePoint(1, 16, 512, 0, experiment="slow"), "experiment must be"),
        (lambda: ChoicePoint(1, 16, 1000, 0), "whole"),
        (
            lambda: train_choice(ChoicePoint(1, 16, scaling_data()[0].numel() // 512 * 512 + 512, 0)),
            "tokens must be at most",
        ),
    ],
)
def test_bad_points_are_refused(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()
