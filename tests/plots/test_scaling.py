import pytest

from lib.accounting import KAPLAN_D, KAPLAN_N
from lib.plots import scaling as plots


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_three_laws_draws_each_between_its_ends():
    fig = plots.three_laws({"N": (KAPLAN_N, 1e5, 1e7), "D": (KAPLAN_D, 1e8, 1e9)})
    first, second = (ax.lines[0] for ax in fig.axes)
    assert first.get_xdata()[[0, -1]] == pytest.approx([1e5, 1e7])
    assert second.get_ydata()[-1] == pytest.approx(KAPLAN_D(1e9))
    assert [ax.get_xlabel() for ax in fig.axes] == ["N", "D"] and fig.axes[0].get_yscale() == "log"


def test_runs_draws_the_levels_in_both_panels():
    fig = plots.runs({"100": ([1, 2], [5, 4])}, {"1": ([10, 20], [5, 3])}, {"counting": 4.5})
    for ax, y in zip(fig.axes, ([5, 4], [5, 3])):
        assert ax.lines[0].get_ydata() == pytest.approx(y)
        assert set(ax.lines[1].get_ydata()) == {4.5} and texts(ax) == ["counting"]
    assert [ax.get_legend().get_title().get_text() for ax in fig.axes] == ["tokens", "parameters"]


def test_isoflops_has_a_parabola_a_budget_and_a_law_through_the_lowest_points():
    runs = {"small": ([1e4, 2e4], [4, 3.9]), "large": ([2e4, 4e4], [3.5, 3.4])}
    parabolas = {"small": ([1e4, 2e4], [4, 3.8]), "large": ([2e4, 4e4], [3.5, 3.3])}
    left, right = plots.isoflops(
        runs, parabolas, ([1e9, 1e10], [1.5e4, 3e4], [3.8, 3.3]), ([1e9, 1e10], [1e4, 4e4])
    ).axes
    assert [len(line.get_xdata()) for line in left.lines] == [2, 2, 2, 2, 2]
    assert left.lines[0].get_linestyle() == "None" and left.lines[0].get_color() == left.lines[1].get_color()
    assert left.lines[4].get_ydata() == pytest.approx([3.8, 3.3]) and right.lines[0].get_ydata() == pytest.approx(
        [1.5e4, 3e4]
    )
    assert right.lines[1].get_ydata() == pytest.approx([1e4, 4e4]) and right.get_yscale() == "log"


def test_moved_optima_shows_the_middle_budget():
    recipe = {"1": ([1, 2], [5, 4]), "2": ([1, 2], [3, 2]), "3": ([1, 2], [2, 1])}, [1e9, 2e9, 4e9], [1e4, 2e4, 4e4]
    left, right = plots.moved_optima({"a": recipe, "b": recipe}, ["1", "2", "3"]).axes
    assert left.lines[0].get_ydata() == pytest.approx([3, 2]) and left.get_title() == "C = 2"
    assert len(right.lines) == 2 and right.lines[1].get_ydata() == pytest.approx([1e4, 2e4, 4e4])


def test_tokens_per_parameter_marks_models_and_twenty():
    ax = plots.tokens_per_parameter([1e18, 1e24], {"law": [25, 18]}, [("GPT-3", 3e23, 1.7)]).axes[0]
    assert ax.lines[0].get_ydata() == pytest.approx([25, 18]) and ax.lines[1].get_ydata() == pytest.approx([1.7])
    assert set(ax.lines[2].get_ydata()) == {20} and "GPT-3" in texts(ax)


def test_forecasts_draws_intervals_and_what_was_measured():
    ax = plots.forecasts({"line": (2.5, 2.6, 2.7), "surface": (3.1, 3.2, 3.3)}, [3.23, 3.25]).axes[0]
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([2.5, 2.6, 3.1, 3.2, 3.23, 3.25])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["line", "surface"] and ax.yaxis_inverted()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["measured, one line per run"]


def test_extrapolation_tells_fitted_runs_from_those_kept_back():
    ax = plots.extrapolation(([1, 2], [4, 3.8]), ([10], [3.5]), {"line": ([1, 10], [4, 3])}, xlabel="N").axes[0]
    names = [t.get_text() for t in ax.get_legend().get_texts()]
    assert names == ["line", "fitted to these", "kept back"]
    assert ax.lines[2].get_markerfacecolor() == "white" and ax.lines[2].get_xdata() == [10]


def test_envelope_draws_each_size_and_the_lower_edge():
    curves = {"1e8": ([1e18, 1e20], [4, 3]), "1e9": ([1e19, 1e21], [5, 2.5])}
    ax = plots.envelope(curves, ([1e18, 1e21], [4, 2.5])).axes[0]
    assert [line.get_ydata()[-1] for line in ax.lines] == pytest.approx([3, 2.5, 2.5])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["1e8", "1e9", "lower edge"]
    assert ax.get_xscale() == ax.get_yscale() == "log"
