import pytest

from lib.plots import memory as plots


def test_stacked_bars_begin_where_the_part_before_ends():
    bars = {"fp32": {"weights": 4.0, "moments": 8.0}, "int8": {"weights": 1.0, "none": 0.0}}
    fig = plots.stacked_bars(bars, xlabel="GB", limits={"a GPU": 10.0})
    ax = fig.axes[0]
    starts = [(round(patch.get_x(), 6), round(patch.get_width(), 6)) for patch in ax.patches]
    assert starts == [(0, 4), (0, 1), (4, 8), (1, 0)]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["weights", "moments"]
    assert [text.get_text() for text in ax.texts] == ["12", "1", "a GPU"]
    assert ax.lines[0].get_xdata()[0] == 10
    assert ax.get_xlim() == pytest.approx((0, 1.12 * 12))
    far = plots.stacked_bars(bars, xlabel="GB", limits={"a GPU": 80.0, "half": 40}, digits=1).axes[0]
    assert far.get_xlim() == pytest.approx((0, 1.12 * 80)) and [text.get_text() for text in far.texts][:2] == [
        "12.0",
        "1.0",
    ]


def test_a_part_keeps_its_colour_whatever_else_there_is():
    def colours(parts):
        ax = plots.stacked_bars({"run": parts}, xlabel="GB").axes[0]
        return {bar.get_label(): bar.patches[0].get_facecolor() for bar in ax.containers}

    step, inference = colours({"activations": 1, "weights": 2, "gradients": 3}), colours({"weights": 1})
    assert list(step) == ["weights", "gradients", "activations"]
    assert step["weights"] == inference["weights"] != step["gradients"]


def test_stacked_bars_keep_the_order_from_the_top_and_differ_without_colour():
    ax = plots.stacked_bars({"a": {"x": 1, "y": 1}, "b": {"x": 2, "y": 2}}, xlabel="GB").axes[0]
    assert ax.yaxis_inverted() and [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    assert len({patch.get_hatch() for patch in ax.patches}) == 2


def test_uses_have_one_mark_each_and_the_limits_are_lines():
    needs = {"small": {"train": 16.0, "serve": 2.0}, "large": {"train": 160.0, "serve": 20.0}}
    ax = plots.uses(needs, xlabel="GB", limits={"24 GB": 20.7}).axes[0]
    train, serve, limit = ax.lines
    assert list(train.get_xdata()) == [16, 160] and list(serve.get_xdata()) == [2, 20] and limit.get_xdata()[0] == 20.7
    assert train.get_marker() != serve.get_marker() and ax.get_xscale() == "log" and ax.yaxis_inverted()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["small", "large"]
    assert [text.get_text() for text in ax.texts] == ["24 GB"]
    with pytest.raises(ValueError, match="use of large must be"):
        plots.uses(needs | {"large": {"train": 1.0}}, xlabel="GB", limits={})


def test_growing_draws_every_curve_and_the_level_and_where_they_cross():
    axes = {"xlabel": "tokens", "ylabel": "GB"}
    ax = plots.growing([1, 2, 4], {"MHA": [4, 8, 16], "GQA": [1, 2, 4]}, ("weights", 5.0), **axes).axes[0]
    assert [list(line.get_ydata()) for line in ax.lines] == [[4, 8, 16], [1, 2, 4], [5, 5], [5]]
    assert list(ax.lines[-1].get_xdata()) == pytest.approx([1.25])
    assert [text.get_text() for text in ax.texts] == ["2"]  # the first whole number above 1.25
    assert [text.get_text() for text in ax.get_legend().get_texts()][-1] == "weights: 5.0"
    flat = plots.growing([1, 2], {"MHA": [4, 8]}, ("weights", 5.0), linear=True, **axes).axes[0]
    assert flat.get_xscale() == flat.get_yscale() == "linear" and flat.get_ylim()[0] == flat.get_xlim()[0] == 0
    with pytest.raises(ValueError, match="y must have the length of x, 2, got 1"):
        plots.growing([1, 2], {"MHA": [4]}, ("weights", 5.0), **axes)


def test_timelines_mark_the_peak_and_the_phases():
    panels = {
        "whole": ([1, 5, 2, 3], ["forward 1", "backward 1", "backward 1", "forward 2"]),
        "lean": ([1, 2, 1], ["forward"] * 3),
    }
    left, right = plots.timelines(panels, {"whole": 6.0}, ylabel="MB").axes
    assert [text.get_text() for text in left.texts] == ["forward 1", "backward 1", "forward 2", "peak 5.0", "sum 6.0"]
    assert left.get_ylim() == right.get_ylim() == pytest.approx((0, 8.4))
    assert list(left.lines[0].get_ydata()) == [1, 5, 2, 3]
    assert [line.get_ydata()[0] for line in left.lines[1:4]] == [1, 5, 3]  # the most of each phase
    first, other, second = (patch.get_facecolor() for patch in left.patches)
    assert first == second != other and len(right.patches) == 1
    assert [text.get_text() for text in right.texts] == ["forward", "peak 2.0"]
