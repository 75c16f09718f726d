from lib.plots import kernels as plots


def test_memory_is_on_logarithmic_axes():
    ax = plots.memory_by_length([64, 128], {"reference": [1.0, 4.0]}).axes[0]
    assert ax.get_xscale() == ax.get_yscale() == "log" and ax.lines[0].get_ydata().tolist() == [1, 4]


def test_the_roof_rises_with_the_bandwidth_up_to_the_peak():
    ax = plots.roofline(
        80.0, 40.0, {"whole": ([0.125, 0.125], [5.0, 5.0]), "in tiles": ([0.125, 16.0], [5.0, 30.0])}
    ).axes[0]
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.lines[1].get_xdata().tolist() == [0.125, 16] and ax.lines[1].get_ydata().tolist() == [5, 30]
    roof = ax.lines[2]
    assert roof.get_xdata().tolist() == [0.0625, 2, 64] and roof.get_ydata().tolist() == [2.5, 80, 80]
