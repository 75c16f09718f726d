"""The figures of lecture 13 show the numbers that they are given."""

import pytest

from lib.plots import rlhf


def test_bars_of_policies():
    fig = rlhf.policies(["a", "b"], {"one": [0.25, 0.75], "two": [0.5, 0.5]})
    heights = [bar.get_height() for bar in fig.axes[0].patches]
    assert heights == [0.25, 0.75, 0.5, 0.5]
    assert [text.get_text() for text in fig.axes[0].get_legend().get_texts()] == ["one", "two"]


def test_clip():
    fig = rlhf.clipped_objective([0.5, 1.0, 1.5], {"up": [0.5, 1.0, 1.2], "down": [-0.8, -1.0, -1.5]}, epsilon=0.2)
    assert [list(ax.lines[0].get_ydata()) for ax in fig.axes] == [[0.5, 1.0, 1.2], [-0.8, -1.0, -1.5]]
    assert sorted(line.get_xdata()[0] for line in fig.axes[0].lines[1:3]) == pytest.approx([0.8, 1.2])
    assert list(fig.axes[0].lines[3].get_ydata()) == [1.0]


def test_two_rewards_are_smoothed_over_eight_batches():
    paid, meant = [float(k) for k in range(20)], [1.0] * 20
    fig = rlhf.two_rewards({"run": (paid, meant)})
    shown = fig.axes[0].lines[0].get_ydata()
    assert shown[0] == 0 and shown[1] == 0.5 and shown[19] == sum(range(12, 20)) / 8
    assert list(fig.axes[1].lines[0].get_ydata()) == meant


def test_the_first_eight_batches_are_all_of_the_first_mean_that_is_whole():
    smooth = rlhf._smooth([8.0] + [0.0] * 8)
    assert smooth == [8, 4, 8 / 3, 2, 8 / 5, 8 / 6, 8 / 7, 1, 0]
    fig = rlhf.policies(["a"], {"one": [0.256], "two": [0.5]})
    assert [text.get_text() for text in fig.axes[0].texts] == ["0.26", "0.50"]
    left, right = fig.axes[0].patches
    assert left.get_x() + left.get_width() / 2 == pytest.approx(-0.2) and right.get_x() > left.get_x()


def test_spread_of_estimators():
    fig = rlhf.spread_by_kl(
        {"one": {"KL": [0.1, 1.0], "k1": [0.4, 1.2], "k3": [0.1, 5.0]}, "two": {"KL": [1.0], "k1": [2.0]}}
    )
    assert [len(ax.lines) for ax in fig.axes] == [2, 1]
    assert list(fig.axes[0].lines[1].get_xdata()) == [0.1, 1.0] and list(fig.axes[0].lines[1].get_ydata()) == [0.1, 5]
    assert fig.axes[0].get_xscale() == fig.axes[0].get_yscale() == "log"


def test_one_batch_begins_at_update_zero():
    fig = rlhf.one_batch({"clip": [0.0, 0.2]}, {"clip": [0.0, -0.3]})
    left, right = (ax.lines[0] for ax in fig.axes)
    assert list(left.get_xdata()) == [0, 1] and list(left.get_ydata()) == [0.0, 0.2]
    assert list(right.get_ydata()) == [0.0, -0.3]


def test_way_left_shows_median_and_range():
    fig = rlhf.way_left({"a": [0.1, 0.2, 0.3], "b": [2.0, 2.0, 2.0]})
    line, dot = fig.axes[0].lines[:2]
    assert list(line.get_xdata()) == pytest.approx([0.12, 0.28]) and list(dot.get_xdata()) == [pytest.approx(0.2)]
    assert list(fig.axes[0].lines[3].get_xdata()) == [2.0] and fig.axes[0].yaxis_inverted()


def test_left_by_update_shows_the_median_and_the_range_from_update_zero():
    fig = rlhf.left_by_update({"a": [[1.0, 1.0, 1.0], [0.1, 0.2, 0.3]], "b": [[1.0, 1.0, 1.0]]})
    (ax,) = fig.axes
    line = ax.lines[0]
    assert list(line.get_xdata()) == [0, 1] and list(line.get_ydata()) == pytest.approx([1.0, 0.2])
    edges = ax.collections[0].get_paths()[0].vertices
    assert (edges[:, 1].min(), edges[:, 1].max()) == pytest.approx((0.12, 1.0))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"] and ax.get_yscale() == "log"


def test_two_rewards_shows_where_the_human_began():
    with_start = rlhf.two_rewards({"run": ([1.0, 2.0], [0.0, 0.5])}, start=-0.1)
    assert list(with_start.axes[1].lines[-1].get_ydata()) == [-0.1, -0.1] and len(with_start.axes[0].lines) == 1
    assert len(rlhf.two_rewards({"run": ([1.0, 2.0], [0.0, 0.5])}).axes[1].lines) == 1


def test_hump():
    fig = rlhf.hump({"a": [0.1, 2.0], "b": [0.2, 1.0]}, {"gold": {"a": [1.0, 3.0], "b": [0.5, 0.2]}}, [3.0, 0.1])
    one, two = fig.axes[0].lines[:2]
    assert list(one.get_xdata()) == [0.1, 2.0] and list(one.get_ydata()) == [1.0, 3.0]
    assert list(two.get_xdata()) == [0.2, 1.0] and list(two.get_ydata()) == [0.5, 0.2]
    assert [text.get_text() for text in fig.axes[0].texts] == ["β = 3", "β = 0.1"]
