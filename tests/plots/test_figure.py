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
