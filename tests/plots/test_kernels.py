import pytest

from lib.plots import kernels as plots


def test_memory_is_on_logarithmic_axes():
    ax = plots.memory_by_length([64, 128], {"reference": [1.0, 4.0]}).axes[0]
    assert ax.get_xscale() == ax.get_yscale() == "log" and ax.lines[0].get_ydata().tolist() == [1, 4]


def test_the_guides_grow_with_the_length_and_with_its_square():
    ax = plots.memory_by_length([64, 128], {"reference": [1.0, 4.0], "tiled": [1.0, 2.0]}).axes[0]
    assert [line.get_ydata().tolist() for line in ax.lines[2:]] == [[2, 8], [0.5, 1]]


def test_time_per_pair_is_flat_where_time_grows_with_the_square():
    seconds = {
        "forward": {("tiled", 100): 1e-3, ("tiled", 200): 4e-3},
        "both": {("tiled", 100): 3e-3, ("tiled", 200): 9e-3},
    }
    left, right = plots.time_per_pair([100, 200], seconds, heads=2).axes
    assert left.get_title() == "forward" and left.get_xscale() == "log" and left.get_ylim()[0] == 0
    assert left.lines[0].get_ydata() == pytest.approx([50, 50]) and right.lines[0].get_ydata() == pytest.approx(
        [150, 112.5]
    )


def test_points_at_one_intensity_have_no_line():
    lines = (
        plots.roofline(80.0, 40.0, {"whole": ([2.0], [5.0]), "in tiles": ([0.125, 16.0], [5.0, 30.0])}).axes[0].lines
    )
    assert [line.get_linestyle() for line in lines] == ["None", "--", "-"]


def test_the_roof_rises_with_the_bandwidth_up_to_the_peak():
    ax = plots.roofline(
        80.0, 40.0, {"whole": ([0.125, 0.125], [5.0, 5.0]), "in tiles": ([0.125, 16.0], [5.0, 30.0])}
    ).axes[0]
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.lines[1].get_xdata().tolist() == [0.125, 16] and ax.lines[1].get_ydata().tolist() == [5, 30]
    roof = ax.lines[2]
    assert roof.get_xdata().tolist() == [0.0625, 2, 64] and roof.get_ydata().tolist() == [2.5, 80, 80]


def test_a_ceiling_is_drawn_below_the_roof():
    ax = plots.roofline(80.0, 40.0, {"in tiles": ([0.125, 16.0], [5.0, 30.0])}, ceilings={"cache": 33.0}).axes[0]
    (line,) = (line for line in ax.lines if line.get_label() == "cache")
    assert list(line.get_ydata()) == [33, 33] and line.get_linestyle() == ":"
