import numpy as np
import pytest

from lib.plots import reward as plots


def test_label_shares_draws_three_errors():
    ax = plots.label_shares([-1.0, 1.0], [0.3, 0.7], [0.01, 0.02]).axes[0]
    x, y = ax.lines[0].get_data()
    assert (x[0], x[-1]) == (-1, 1) and (y[0], y[-1]) == pytest.approx((0.26894142, 0.73105858))
    bars = ax.collections[0].get_segments()
    assert [bar[1][1] - bar[0][1] for bar in bars] == pytest.approx([0.06, 0.12])


def test_loss_and_slope_has_a_panel_each():
    left, right = plots.loss_and_slope([-1.0, 0.0, 1.0], [1.3, 0.7, 0.3], [-0.7, -0.5, -0.3]).axes
    assert left.lines[0].get_ydata() == pytest.approx([1.3, 0.7, 0.3])
    assert right.lines[0].get_ydata() == pytest.approx([-0.7, -0.5, -0.3])


def test_rewards_with_intervals_puts_bars_where_the_intervals_are():
    ends = [[0.5, 1.5], [-1.4, -0.4]]
    ax = plots.rewards_with_intervals(["a", "b"], [1.0, -1.0], {"100": ([1.0, -0.9], ends)}).axes[0]
    bars = ax.collections[1].get_segments()
    assert [[bar[0][1], bar[1][1]] for bar in bars] == [pytest.approx(e) for e in ends]
    assert [line[0][1] for line in ax.collections[0].get_segments()] == [1.0, -1.0]


def test_learned_against_true_names_the_correlation():
    ax = plots.learned_against_true({"raw": (np.arange(3), np.arange(3) * 2, 0.987)}).axes[0]
    assert ax.get_title() == "raw: correlation 0.99"


def test_intervals_may_be_lopsided_and_two_fits_stand_side_by_side():
    fits = {"one": ([1.0], [[0.5, 3.0]]), "two": ([2.0], [[1.9, 2.2]])}
    ax = plots.rewards_with_intervals(["a"], [1.0], fits).axes[0]
    bars = [collection.get_segments()[0] for collection in ax.collections[1:]]
    assert [[bar[0][1], bar[1][1]] for bar in bars] == [pytest.approx([0.5, 3.0]), pytest.approx([1.9, 2.2])]
    assert [bar[0][0] for bar in bars] == pytest.approx([-0.125, 0.125])
    axes = plots.learned_against_true({"raw": ([1.0, 2.0], [3.0, 5.0], 0.5)}).axes
    assert axes[0].lines[0].get_xdata().tolist() == [1, 2] and axes[0].lines[0].get_ydata().tolist() == [3, 5]


def test_coverage_draws_the_promise_and_a_line_per_method():
    ax = plots.coverage([2, 4], {"naive": [0.95, 0.88], "clustered": [0.95, 0.94]}).axes[0]
    assert ax.lines[0].get_ydata() == pytest.approx([0.95, 0.88]) and ax.lines[1].get_ydata() == pytest.approx(
        [0.95, 0.94]
    )
    assert list(ax.lines[2].get_ydata()) == [0.95, 0.95] and ax.get_ylim() == (0.6, 1.0)


def test_accuracies_stand_on_the_line_of_their_model_with_two_errors():
    rows = {
        "longer": {"all": (0.6, 0.01), "equal": (0.55, 0.02)},
        "model": {"all": (0.7, 0.015), "equal": (0.68, 0.03)},
    }
    ax = plots.accuracies(rows, ceiling=0.86).axes[0]
    bars = [[segment.tolist() for segment in collection.get_segments()] for collection in ax.collections]
    assert bars[0][1][0] == pytest.approx([0.67, 0.86]) and bars[0][1][1] == pytest.approx([0.73, 0.86])
    assert bars[1][0][0] == pytest.approx([0.51, 0.14]) and bars[1][0][1] == pytest.approx([0.59, 0.14])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["longer", "model"] and ax.yaxis_inverted()
    assert {line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1} >= {0.5, 0.86}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["all", "equal"]
