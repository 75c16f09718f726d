import base64
import hashlib

import matplotlib.pyplot as plt
import pytest

from lib.plots import curve, figure, heatmap, show


@pytest.fixture
def displayed(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw, metadata: shown.append((data, metadata)))
    return shown


def draw():
    fig, (ax,) = figure()
    curve(ax, [1, 2, 3], [3, 2, 1], 0, "falls", marker=True)
    return fig


def test_show_stores_a_png_with_its_alt_text_and_closes_the_figure(displayed):
    show(draw(), alt="a line that falls from three to one")
    data, metadata = displayed[0]
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert metadata == {"image/png": {"alt": "a line that falls from three to one"}}
    assert plt.get_fignums() == []


def test_the_same_figure_has_the_same_bytes(displayed):
    for _ in range(2):
        show(draw(), alt="a line that falls from three to one")
    first, second = (hashlib.sha256(data["image/png"].encode()).hexdigest() for data, _ in displayed)
    assert first == second


def test_curves_differ_in_more_than_colour():
    fig, (ax,) = figure()
    for number in range(7):
        curve(ax, [0, 1], [number, number], number, str(number), marker=True)
    looks = {(str(line._unscaled_dash_pattern), line.get_marker()) for line in ax.lines}
    assert len(looks) == 7
    plt.close(fig)


def test_a_look_belongs_to_its_number_and_may_be_overruled():
    fig, (ax,) = figure()
    for number in (1, 8):
        curve(ax, [0], [0], number, str(number), marker=True)
    curve(ax, [0], [0], 1, "plain")
    curve(ax, [0], [0], 1, "own", marker=True, linestyle="none", color="red")
    one, eight, plain, own = ax.lines
    assert one.get_color() == eight.get_color() == "#E69F00" and one.get_marker() == eight.get_marker() == "s"
    assert one.get_linestyle() == "--" and plain.get_marker() == "None"
    assert (own.get_linestyle(), own.get_color(), own.get_marker()) == ("None", "red", "s")


def test_a_figure_has_its_size_its_grid_and_changes_no_setting():
    before = plt.rcParams["axes.spines.top"]
    fig, axes = figure(6.0, 2.0, columns=2, rows=3, sharex=True)
    assert fig.get_size_inches().tolist() == [6, 2] and axes.shape == (6,)
    assert axes[0].get_subplotspec().get_geometry()[:2] == (3, 2) and not axes[0].spines["top"].get_visible()
    assert plt.rcParams["axes.spines.top"] == before


def test_a_heatmap_has_its_names_where_its_rows_and_columns_are():
    fig, (ax,) = figure()
    picture = heatmap(
        ax, [[0, 1, 2], [3, 4, 4]], ["one", "two"], ["a", "b", "c"], title="t", numbers="g", vmin=0, vmax=4
    )
    assert [t.get_text() for t in ax.get_yticklabels()] == ["one", "two"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b", "c"] and ax.get_title() == "t"
    assert {t.get_text(): (t.get_position(), t.get_color()) for t in ax.texts}["2"] == ((2, 0), "black")  # the middle
    assert {t.get_text(): t.get_color() for t in ax.texts}["3"] == "white" and picture.get_clim() == (0, 4)
    assert ax.get_xticklabels()[0].get_rotation() == 0
    plain = figure()[1][0]
    heatmap(plain, [[0]], ["one"], ["long name"])
    assert not plain.texts and plain.get_xticklabels()[0].get_rotation() == 45


def test_heatmap_writes_every_number_in_ink_that_can_be_read():
    fig, (ax,) = figure()
    heatmap(ax, [[0.0, 1.0]], ["row"], ["a", "b"], numbers=".1f")
    assert [(t.get_text(), t.get_color()) for t in ax.texts] == [("0.0", "black"), ("1.0", "white")]
    plt.close(fig)


def test_bad_input(displayed):
    fig, (ax,) = figure()
    with pytest.raises(ValueError, match=r"values must have shape \(2, 1\), got \(1, 1\)"):
        heatmap(ax, [[1.0]], ["a", "b"], ["c"])
    with pytest.raises(ValueError, match="y must have the length of x, 3, got 2"):
        curve(ax, [1, 2, 3], [1, 2], 0, "x")
    with pytest.raises(ValueError, match="at least 20 characters"):
        show(fig, alt="figure 1")
    assert displayed == [] and plt.get_fignums() == []
