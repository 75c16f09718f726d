import pytest

from lib.plots import lora as plots


def test_learning_rates_draws_one_curve_a_method_and_chance():
    ax = plots.learning_rates([0.001, 0.01], {"full": [0.5, 0.1], "LoRA": [0.3, 0.4]}, chance=0.07).axes[0]
    assert [line.get_ydata()[0] for line in ax.lines] == [0.5, 0.3, 0.07]
    assert ax.get_xscale() == "log" and ax.get_ylim()[0] == 0


def test_by_dimension_has_a_dot_a_seed_and_the_means():
    ax = plots.by_dimension([1, 4], [[0.25, 0.75], [0.5, 1.0]], {"full": 0.9}, "rank r").axes[0]
    assert [line.get_ydata() if isinstance(line.get_ydata(), list) else list(line.get_ydata()) for line in ax.lines] == [
        [0.25, 0.75], [0.5, 1.0], [0.5, 0.75], [0.9, 0.9],
    ]  # fmt: skip
    with pytest.raises(ValueError, match="shorter|longer"):
        plots.by_dimension([1, 4], [[0.25]], {}, "rank r")


def test_by_trained_joins_the_first_series_and_marks_the_other_points():
    series = {"subspace": [(1, [0.25, 0.75]), (16, [0.5, 1.0])], "full": [(100, [0.75, 1.0])]}
    ax = plots.by_trained(series, {"head": 0.2}, joined=1).axes[0]
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines]
    assert ([1, 16], [0.5, 0.75]) in lines and ([100], [0.875]) in lines and ([16, 16], [0.5, 1.0]) in lines
    assert [text.get_text() for text in ax.texts] == ["head"] and ax.get_xscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["subspace", "full"]
    assert ax.get_ylim()[0] < 0.2
