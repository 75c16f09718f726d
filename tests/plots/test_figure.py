import base64
import hashlib
import io
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lib.plots import curve, figure, heatmap, show
from lib.plots.figure import as_stored, few_colours


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
    assert data["text/html"].startswith('<img alt="a line that falls from three to one" src="data:image/png;base64,')
    assert data["image/png"] in data["text/html"] and plt.get_fignums() == []


def test_alt_over_several_lines_is_one_line(displayed):
    show(
        draw(),
        alt="""a line that falls
        from three to one""",
    )
    assert displayed[0][1] == {"image/png": {"alt": "a line that falls from three to one"}}


class Pictures(HTMLParser):
    def handle_starttag(self, tag, attrs):
        self.read = [*getattr(self, "read", []), (tag, dict(attrs))]


@given(st.text("\"'<>&;a= ") | st.text(st.characters(exclude_categories=("Cs", "Cc"))))
def test_whatever_the_alt_says_it_stays_the_alt(alt):
    reader = Pictures()
    reader.feed(as_stored(b"PNG", alt)["text/html"])
    assert reader.read == [("img", {"alt": alt, "src": "data:image/png;base64,UE5H"})]


def test_a_figure_is_shown_on_a_card_of_its_own(displayed):
    fig = draw()
    fig.set_facecolor("none")
    show(fig, alt="a line that falls from three to one")
    with Image.open(io.BytesIO(base64.b64decode(displayed[0][0]["image/png"]))) as image:
        assert image.size == (700, 320), "inches × 100, as before"
        assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_few_colours_are_as_good_as_all():
    fig, (ax,) = figure()
    heatmap(ax, np.arange(400).reshape(20, 20), [str(i) for i in range(20)], [str(i) for i in range(20)])
    with io.BytesIO() as drawn:
        fig.savefig(drawn, format="png")
        all_colours = drawn.getvalue()
    plt.close(fig)
    few = few_colours(all_colours)
    before, after = (np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int) for png in (all_colours, few))
    assert len(np.unique(before.reshape(-1, 3), axis=0)) > 256 >= len(np.unique(after.reshape(-1, 3), axis=0))
    assert abs(before - after).max() <= 8, "of 255"
    assert 2 * len(few) < len(all_colours)


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


def test_bad_input(displayed, unchecked):
    fig, (ax,) = figure()
    with pytest.raises(ValueError, match=r"values must have shape \(2, 1\), got \(1, 1\)"):
        heatmap(ax, [[1.0]], ["a", "b"], ["c"])
    with pytest.raises(ValueError, match="y must have the length of x, 3, got 2"):
        curve(ax, [1, 2, 3], [1, 2], 0, "x")
    with pytest.raises(ValueError, match="at least 20 characters"):
        show(fig, alt="figure 1")
    with pytest.raises(ValueError, match="at least 20 characters"):
        show(figure()[0], alt=" " * 20 + "figure 1")
    fig, _ = figure()
    with pytest.raises(TypeError, match="alt must be a str, got NoneType"):
        show(fig, alt=None)
    with pytest.raises(ValueError, match="png must be the bytes of a picture, got b'no PNG'"):
        few_colours(b"no PNG")
    assert displayed == [] and plt.get_fignums() == []
