from lib.plots import int8 as plots


def test_every_feature_is_a_point_and_the_largest_of_all_is_named():
    ax = plots.features({"here": [1.0, 3.0, 2.0], "there": [4.0, 5.0, 30.0]}, 6.0).axes[0]
    here, there = ax.collections
    assert here.get_offsets().tolist() == [[0, 1], [1, 3], [2, 2]] and there.get_offsets().tolist()[2] == [2, 30]
    assert [text.get_text() for text in ax.texts] == ["feature 2"] and list(ax.lines[0].get_ydata()) == [6, 6]
    assert ax.get_legend_handles_labels()[1] == ["here", "there", "threshold 6"] and ax.get_yscale() == "log"


def test_curves_lie_at_their_own_bits_and_fewer_bits_to_the_right():
    ax = plots.divergence_by_bits({"row": {8.1: 0.001, 4.1: 0.1}, "group": {8.5: 0.002, 4.5: 0.05}}).axes[0]
    assert [line.get_xdata().tolist() for line in ax.lines] == [[8.1, 4.1], [8.5, 4.5]]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0.001, 0.1], [0.002, 0.05]]
    assert ax.xaxis_inverted() and ax.get_yscale() == "log"


def test_the_weights_of_a_group_stand_in_order_of_size_with_the_number_of_different_values():
    left, right = plots.neighbours({"free": [0.3, -0.1, 0.2], "rounded": [0.5, 0.0, 0.5]}).axes
    assert left.lines[0].get_ydata().tolist() == [-0.1, 0.2, 0.3] and left.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert right.lines[0].get_ydata().tolist() == [0.0, 0.5, 0.5] and left.get_ylabel() == "weight"
    assert left.get_title() == "free: 3 different values" and right.get_title() == "rounded: 2 different values"
