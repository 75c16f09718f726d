import pytest

from lib.plots import lora as plots


def test_trained_numbers_has_both_bars_of_each_method():
    ax = plots.trained_numbers({"LoRA": 4.7, "BitFit": 14.2}, {"BitFit": 13.0, "LoRA": 4.7}).axes[0]
    assert [round(bar.get_width(), 1) for bar in ax.patches] == [4.7, 14.2, 4.7, 13.0]
    assert ax.get_xscale() == "log" and [t.get_text() for t in ax.get_yticklabels()] == ["LoRA", "BitFit"]


def test_rank_errors_draws_one_curve_a_matrix():
    ax = plots.rank_errors({"a": [0.9, 0.1], "b": [0.5, 0.0]}, [1, 2]).axes[0]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0.9, 0.1], [0.5, 0.0]]


def test_five_metrics_has_a_panel_a_metric():
    fig = plots.five_metrics({"time": {"full": 2.0, "LoRA": 1.0}, "overhead": {"full": 0.0, "LoRA": 0.0}})
    assert [[bar.get_width() for bar in ax.patches] for ax in fig.axes] == [[2, 1], [0, 0]]
    with pytest.raises(ValueError, match="overhead must have the methods full, LoRA, got LoRA"):
        plots.five_metrics({"time": {"full": 2.0, "LoRA": 1.0}, "overhead": {"LoRA": 0.0}})
    with pytest.raises(ValueError, match="overhead must have the methods full, LoRA, got LoRA, full"):
        plots.five_metrics({"time": {"full": 2.0, "LoRA": 1.0}, "overhead": {"LoRA": 0.0, "full": 0.0}})
