import pytest

from lib.plots import autoregressive as plots


def test_sequence_probabilities_sorts_and_sums():
    bars, total = plots.sequence_probabilities(["a", "b", "c"], [0.2, 0.5, 0.3]).axes
    assert [round(bar.get_height(), 1) for bar in bars.patches] == [0.5, 0.3, 0.2]
    assert [t.get_text() for t in bars.get_xticklabels()] == ["b", "c", "a"]
    assert total.lines[0].get_ydata() == pytest.approx([0.5, 0.8, 1.0])


def test_training_curve_draws_the_levels_with_their_numbers():
    ax = plots.training_curve([3.0, 2.0], {"knows nothing": 3.1, "counts words": 2.5}).axes[0]
    assert ax.lines[0].get_ydata().tolist() == [3, 2]
    assert [t.get_text() for t in ax.get_legend().get_texts()][1:] == ["knows nothing: 3.10", "counts words: 2.50"]


def test_horizontal_bars_keeps_the_order_and_writes_the_values():
    ax = plots.horizontal_bars({"first": 8.0, "second": 1.255}, xlabel="bits").axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["first", "second"] and ax.yaxis_inverted()
    assert "8.00" in [t.get_text() for t in ax.texts]


def test_surprise_has_one_row_a_model_and_one_bar_a_token():
    fig = plots.surprise(["a", "b"], {"small": [1.0, 2.0], "large": [0.5, 0.25]})
    assert [[bar.get_height() for bar in ax.patches] for ax in fig.axes] == [[1, 2], [0.5, 0.25]]
    with pytest.raises(ValueError, match="small must have the length of tokens, 2, got 1"):
        plots.surprise(["a", "b"], {"small": [1.0]})
