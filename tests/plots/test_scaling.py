import numpy as np
import pytest

from lib.accounting import KAPLAN, KAPLAN_D, KAPLAN_N
from lib.plots import scaling as plots


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_model_growth_has_a_marker_a_family_and_a_label_a_model():
    families = {"one": [("small", 2018.5, 1e8), ("large", 2020, 1e11)], "other": [("third", 2019, 1e9)]}
    ax = plots.model_growth(families, misprints=[("wrong", 2020, 1e10)], left=["third", "wrong"]).axes[0]
    assert ax.get_yscale() == "log" and [len(line.get_xdata()) for line in ax.lines] == [2, 1, 1]
    assert ax.lines[0].get_marker() != ax.lines[1].get_marker()
    assert ax.lines[2].get_markerfacecolor() == "none", "a misprint is hollow"
    assert {t.get_text(): t.get_ha() for t in ax.texts} == {
        "small": "left", "large": "left", "third": "right", "wrong": "right",
    }  # fmt: skip


def test_model_growth_without_misprints_has_none_in_its_legend():
    ax = plots.model_growth({"one": [("small", 2018, 1e8)]}).axes[0]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["one"]


def test_emergence_raises_p_to_the_length():
    ax = plots.emergence([1e8, 1e9], [0.5, 0.9], 3, {"GPT": 5e8}).axes[0]
    assert ax.lines[1].get_ydata() == pytest.approx([0.125, 0.729])
    assert texts(ax) == ["GPT"] and ax.lines[2].get_xdata() == [5e8, 5e8]


def test_three_laws_draws_each_between_its_ends():
    fig = plots.three_laws({"N": (KAPLAN_N, 1e5, 1e7), "D": (KAPLAN_D, 1e8, 1e9)})
    first, second = (ax.lines[0] for ax in fig.axes)
    assert first.get_xdata()[[0, -1]] == pytest.approx([1e5, 1e7])
    assert second.get_ydata()[-1] == pytest.approx(KAPLAN_D(1e9))
    assert [ax.get_xlabel() for ax in fig.axes] == ["N", "D"] and fig.axes[0].get_yscale() == "log"


def test_penalty_has_an_arrow_from_each_point_to_the_next():
    points = [("a", 1e9, 1.1), ("b", 1e10, 1.05), ("c", 1e11, 1.01)]
    ax = plots.penalty([1e9, 1e11], {"N": [1.1, 1.01]}, points).axes[0]
    arrows = [t for t in ax.texts if t.arrow_patch is not None]
    assert [(t.xyann, t.xy) for t in arrows] == [((1e9, 1.1), (1e10, 1.05)), ((1e10, 1.05), (1e11, 1.01))]
    assert [name for name in texts(ax) if name] == ["a", "b", "c"]


def test_runs_draws_the_levels_in_both_panels():
    fig = plots.runs({"100": ([1, 2], [5, 4])}, {"1": ([10, 20], [5, 3])}, {"counting": 4.5})
    for ax, y in zip(fig.axes, ([5, 4], [5, 3])):
        assert ax.lines[0].get_ydata() == pytest.approx(y)
        assert set(ax.lines[1].get_ydata()) == {4.5} and texts(ax) == ["counting"]
    assert [ax.get_legend().get_title().get_text() for ax in fig.axes] == ["tokens", "parameters"]


def test_residuals_share_one_scale_around_zero():
    fig = plots.residuals({"a": [[1.0, -2.0]], "b": [[0.5, 8.0]]}, ["3"], ["x", "y"])
    assert [ax.get_title() for ax in fig.axes] == ["a", "b"]
    assert [ax.images[0].norm.vmin for ax in fig.axes] == [-8, -8]
    assert texts(fig.axes[1]) == ["+0.5", "+8.0"]
    assert [t.get_color() for t in fig.axes[1].texts] == ["black", "white"]


def test_residuals_refuse_names_that_do_not_fit():
    with pytest.raises(ValueError, match="values must have shape"):
        plots.residuals({"a": [[1.0, -2.0]]}, ["3"], ["x"])


def test_allocation_plane_draws_lines_of_equal_compute():
    N, D = np.geomspace(1e3, 1e6, 8), np.geomspace(1e4, 1e7, 8)
    ax = plots.allocation_plane(KAPLAN, N, D, [(1e4, 1e5)], (N, D), [6e10]).axes[0]
    line = ax.lines[0]
    assert line.get_xdata() * line.get_ydata() * 6 == pytest.approx([6e10] * 8)
    assert "10^{10.8}" in " ".join(texts(ax)) and ax.get_xlim() == pytest.approx((1e3, 1e6))
    assert [line.get_label() for line in ax.lines[1:3]] == ["our runs", "best for each budget"]


def test_efficiency_and_transfer_fill_a_panel_each():
    fig = plots.efficiency_and_transfer(
        {"4.5": ([1e4, 1e5], [2e5, 1e5])}, {"100": ([4, 3], [5, 4])}, home="here", elsewhere="there"
    )
    left, right = fig.axes
    assert left.lines[0].get_ydata() == pytest.approx([2e5, 1e5]) and left.get_yscale() == "log"
    assert right.lines[0].get_linestyle() == "None"
    assert (right.get_xlabel(), right.get_ylabel()) == ("here", "there")


def test_extrapolation_tells_fitted_runs_from_those_kept_back():
    ax = plots.extrapolation(([1, 2], [4, 3.8]), ([10], [3.5]), {"line": ([1, 10], [4, 3])}, xlabel="N").axes[0]
    names = [t.get_text() for t in ax.get_legend().get_texts()]
    assert names == ["line", "fitted to these", "kept back"]
    assert ax.lines[2].get_markerfacecolor() == "white" and ax.lines[2].get_xdata() == [10]
