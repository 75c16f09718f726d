import pytest

from lib.plots import autoregressive as plots


def test_finished_and_open_stacks_to_one():
    ax = plots.finished_and_open([0.25, 0.5], [0.75, 0.5]).axes[0]
    assert [bar.get_height() for bar in ax.patches] == [0.25, 0.5, 0.75, 0.5]
    assert [bar.get_y() for bar in ax.patches[2:]] == [0.25, 0.5]
    with pytest.raises(ValueError, match="unfinished must have the length of finished, 2, got 1"):
        plots.finished_and_open([0.25, 0.5], [0.75])


def test_held_out_curves_counts_in_thousands_and_names_the_levels():
    ax = plots.held_out_curves({"here": ([500, 2000], [7.0, 6.0])}, {"uniform": 8.0, "unigram model": 6.917}).axes[0]
    assert ax.lines[0].get_xdata().tolist() == [0.5, 2] and ax.get_xscale() == "log"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["here", "uniform: 8.00", "unigram model: 6.92"]


def test_bits_by_context_begins_at_zero_and_names_the_contexts():
    ax = plots.bits_by_context([0, 160], {"small": [2.0, float("nan")], "large": [1.5, 1.0]}).axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "160"] and ax.get_ylim()[0] == 0
    assert ax.lines[1].get_ydata().tolist() == [1.5, 1.0]
    with pytest.raises(ValueError, match="large must have the length of words, 2, got 1"):
        plots.bits_by_context([0, 160], {"large": [1.5]})


def test_horizontal_bars_keeps_the_order_and_writes_the_values():
    ax = plots.horizontal_bars({"first": 8.0, "second": 1.255}, xlabel="bits").axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["first", "second"] and ax.yaxis_inverted()
    assert "8.00" in [t.get_text() for t in ax.texts]


def test_surprise_has_one_row_a_model_and_one_bar_a_token():
    fig = plots.surprise(["a", "b"], {"small": [1.0, 2.0], "large": [0.5, 0.25]})
    assert [[bar.get_height() for bar in ax.patches] for ax in fig.axes] == [[1, 2], [0.5, 0.25]]
    with pytest.raises(ValueError, match="small must have the length of tokens, 2, got 1"):
        plots.surprise(["a", "b"], {"small": [1.0]})


def test_surprise_marks_where_a_part_begins():
    ax = plots.surprise(["a", "b", "c"], {"small": [1.0, 2.0, 3.0]}, boundary=2).axes[0]
    assert [line.get_xdata() for line in ax.lines] == [[1.5, 1.5]]
    with pytest.raises(ValueError, match="boundary must be from 0 to the number of tokens, 1, got 2"):
        plots.surprise(["a"], {"small": [1.0]}, boundary=2)
