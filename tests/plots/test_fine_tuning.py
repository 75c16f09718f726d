import pytest
import torch

from lib.evaluation.calibration import Reliability
from lib.plots import fine_tuning as plots


def test_shared_words_falls_from_one():
    line = plots.shared_words({"next": [0.0, 2.0, 1.0, 5.0]}).axes[0].lines[0]
    assert line.get_xdata().tolist() == [0, 1, 2, 5] and line.get_ydata().tolist() == [1, 0.75, 0.5, 0.25]
    with pytest.raises(ValueError, match="values"):
        plots.shared_words({"none": []})


def test_by_examples_has_a_point_for_each_seed_and_a_line_through_the_means():
    ax = plots.by_examples({"full": {16: [0.5, 0.75], 400: [1.0, 0.5]}, "words": {16: [0.25]}}, {"always": 0.6}).axes[0]
    assert ax.lines[0].get_ydata().tolist() == [0.625, 0.75] and ax.lines[2].get_ydata() == [0.6, 0.6]
    assert [len(points.get_offsets()) for points in ax.collections] == [2, 2, 1]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["16", "400"]
    equal = plots.by_examples({"full": {16: [0.5, 0.5, 0.5]}}, {}).axes[0].collections[0].get_offsets()
    assert len({round(x, 6) for x, _ in equal.tolist()}) == 3 and equal[1, 0] == 16
    with pytest.raises(ValueError, match="full"):
        plots.by_examples({"full": {16: [64.0]}}, {})


def test_spread_draws_each_value_and_the_mean():
    ax = plots.spread({"a": [0.5, 1.0], "b": [0.25, 0.25]}, 0.6, xlabel="accuracy", name="level").axes[0]
    assert [points.get_offsets()[:, 0].tolist() for points in ax.collections] == [[0.5, 1.0], [0.25, 0.25]]
    assert ax.lines[0].get_xdata().tolist() == [0.75, 0.75]


def test_reliability_draws_the_bins_that_hold_something():
    found = Reliability(
        torch.tensor([0.6, torch.nan, 0.9]), torch.tensor([0.5, torch.nan, 1.0]), torch.tensor([2, 0, 6])
    )
    ax = plots.reliability({"full": [found, found]}).axes[0]
    assert len(ax.collections) == 2
    assert torch.tensor(ax.collections[0].get_offsets().tolist()).allclose(torch.tensor([[0.6, 0.5], [0.9, 1.0]]))
    assert ax.get_title() == "full"
    with pytest.raises(ValueError, match="runs"):
        plots.reliability({"full": []})


def test_eras_puts_each_model_at_its_size():
    ax = plots.eras({"small": (0, 1e8), "large": (7e9, 1e12)}, {"a": 2e7, "b": 3e9}).axes[0]
    sizes = [points.get_offsets()[0, 0] for points in ax.collections if len(points.get_offsets())]
    assert sizes == [2e7, 3e9] and [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    with pytest.raises(ValueError, match="b"):
        plots.eras({"small": (0, 1e8)}, {"b": 0.0})
