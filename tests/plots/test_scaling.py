import numpy as np
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
    N = np.array([1e4, 2e4, 4e4])
    loss = 3.8 + (np.log(N) - np.log(2e4)) ** 2  # lowest at 20,000
    runs = {"small": (N, loss), "large": (2 * N, loss - 0.5)}
    left, right = plots.isoflops(runs, ([1e9, 1e10], [2e4, 4e4], [3.8, 3.3]), ([1e9, 1e10], [1e4, 4e4])).axes
    assert [len(line.get_xdata()) for line in left.lines] == [3, 60, 3, 60, 2]
    assert left.lines[0].get_linestyle() == "None" and left.lines[0].get_color() == left.lines[1].get_color()
    x, y = left.lines[3].get_xdata(), left.lines[3].get_ydata()
    assert y == pytest.approx(3.3 + (np.log(x) - np.log(4e4)) ** 2)
    assert left.lines[4].get_ydata() == pytest.approx([3.8, 3.3])
    assert right.lines[0].get_ydata() == pytest.approx([2e4, 4e4])
    assert right.lines[1].get_ydata() == pytest.approx([1e4, 4e4]) and right.get_yscale() == "log"


def test_counted_draws_the_best_sizes_and_the_laws_fitted_to_parts():
    C = [1e13, 1e25]
    ax = plots.counted((C, [300, 3e9]), {"a = 0.78": (C, [100, 1e11])}).axes[0]
    assert [line.get_ydata()[-1] for line in ax.lines] == pytest.approx([3e9, 1e11])
    assert [t.get_text() for t in ax.get_legend().get_texts()][1] == "a = 0.78"
    assert ax.get_xscale() == ax.get_yscale() == "log" and ax.get_ylim() == pytest.approx((100, 9e9))


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
