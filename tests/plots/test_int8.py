from lib.plots import int8 as plots


def test_rounding_sorts_the_numbers_and_counts_errors_in_steps():
    left, right = plots.rounding([2.0, 1.0], [1.5, 1.5], [0.1, -0.1, 0.24], step=0.5).axes
    assert left.lines[0].get_xdata().tolist() == [1, 2] and left.lines[0].get_ydata().tolist() == [1.5, 1.5]
    assert sum(bar.get_height() for bar in right.patches) == 3


def test_errors_are_drawn_in_per_cent():
    ax = plots.errors_by_outlier([1.0, 10.0], {"a": [0.01, 0.1]}, 6.0).axes[0]
    assert ax.lines[0].get_ydata().tolist() == [1, 10] and ax.get_yscale() == "log"


def test_distance_has_a_point_a_scheme_that_has_one():
    ax = plots.distance_by_size({"fp32": 500.0, "int8": 125.0}, {"int8": 0.02}).axes[0]
    assert [tuple(points.get_offsets()[0]) for points in ax.collections] == [(125, 0.02)]
    assert ax.get_yscale() == "log"


def test_outliers_are_shares_in_per_cent_beside_the_largest():
    left, right = plots.outliers_by_block({"in": [0.0, 0.5]}, {"in": [2.0, 90.0]}, 6.0).axes
    assert left.lines[0].get_ydata().tolist() == [0, 50] and right.lines[0].get_ydata().tolist() == [2, 90]
    assert right.lines[-1].get_ydata() == [6, 6]


def test_memory_is_on_logarithmic_axes():
    ax = plots.memory_by_length([64, 128], {"reference": [1.0, 4.0]}).axes[0]
    assert ax.get_xscale() == ax.get_yscale() == "log" and ax.lines[0].get_ydata().tolist() == [1, 4]


def test_errors_and_levels_of_every_scheme():
    left, right = plots.rounding([1.0], [1.5], [-0.26, 0.24], step=0.5).axes
    drawn = [bar.get_x() + bar.get_width() / 2 for bar in right.patches if bar.get_height()]
    assert len(drawn) == 1 and abs(drawn[0] - 0.475) < 0.03, "what is more than half a step off is not drawn"
    assert left.lines[1].get_ydata().tolist() == [1.0]
    ax = plots.errors_by_outlier([1.0, 10.0], {"a": [0.01, 0.1], "b": [0.5, 0.25]}, 6.0).axes[0]
    assert ax.lines[1].get_ydata().tolist() == [50, 25] and ax.lines[2].get_xdata() == [6, 6]
