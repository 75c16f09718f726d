"""What the figure says is what it was given: read back from the drawn artists."""

import pandas as pd
import pytest

from lib.plots.start import FAMILIES, at_temperatures, chance_of_end, model_growth
from lib.slides import era_ranges

GPT = pd.DataFrame({"model": ["GPT-1", "GPT-2"], "date": [2018.5, 2019.1], "params": ["117M", "1.5B"]})
OTHERS = pd.DataFrame({
    "model": ["T5", "DistilBERT", "GLM"], "date": [2019.5, 2019.9, 2021.5], "params": ["60M-11B", "66M", "110M-130B"],
    "arch": ["Encoder-Decoder", "Encoder-Only", "Decoder-Only"],
})  # fmt: skip


def test_every_temperature_has_its_panel_with_all_tokens():
    fig = at_temperatures(["' Paris'", "' the'"], {0.5: [0.9, 0.1], 2: [0.6, 0.3]})
    assert [ax.get_title() for ax in fig.axes] == ["T = 0.5", "T = 2"]
    assert [[bar.get_width() for bar in ax.patches] for ax in fig.axes] == [[0.9, 0.1], [0.6, 0.3]]
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == ["' Paris'", "' the'"]
    assert fig.axes[0].get_xlim() == fig.axes[1].get_xlim() and fig.axes[0].yaxis_inverted()
    assert fig.axes[0].get_xlim() == pytest.approx((0, 1.22 * 0.9))  # room for the longest bar of all and its number


def test_the_chance_of_the_end_is_named_where_it_is_largest():
    (ax,) = chance_of_end(["The", " capital", "."], [0.0, 0.25, 0.85]).axes
    assert [bar.get_height() for bar in ax.patches] == [0.0, 0.25, 0.85]
    (value,) = ax.texts
    assert value.get_text() == "0.85" and value.get_position()[0] == 2
    assert len({bar.get_facecolor() for bar in ax.patches}) == 2
    assert [label.get_text() for label in ax.get_xticklabels()] == ["The", " capital", "."]


def test_as_many_probabilities_as_tokens():
    with pytest.raises(ValueError, match=r"shares\[2\] must have the length of tokens"):
        at_temperatures(["a", "b"], {1: [0.5, 0.5], 2: [1.0]})
    with pytest.raises(ValueError, match="chances must have the length of tokens"):
        chance_of_end(["a"], [0.5, 0.5])
    with pytest.raises(ValueError, match="empty"):
        at_temperatures(["a"], {})
    with pytest.raises(ValueError, match="empty"):
        chance_of_end([], [])


@pytest.fixture
def ax():
    return model_growth(GPT, OTHERS, era_ranges()).axes[0]


def test_every_model_stands_at_its_date_and_sizes(ax):
    drawn = {tuple(line.get_xdata()): list(line.get_ydata()) for line in ax.lines}
    assert drawn[(2018.5, 2019.1)] == [117e6, 1.5e9]
    assert drawn[(2019.5, 2019.5)] == [60e6, 11e9] and drawn[(2019.9,)] == [66e6]
    assert ax.get_yscale() == "log"


def test_every_model_is_named_at_one_of_its_sizes(ax):
    places = {note.get_text(): note.xy for note in ax.texts if hasattr(note, "xy")}
    assert places["T5"] == (2019.5, 11e9) and places["GLM"] == (2021.5, 110e6)
    assert set(places) == {*GPT.model, *OTHERS.model}


def test_bands_are_the_eras_and_gaps_are_hatched(ax):
    bands = [(band.get_y(), band.get_y() + band.get_height(), bool(band.get_hatch())) for band in ax.patches]
    names = [text.get_text() for text in ax.texts if not hasattr(text, "xy")]
    assert names == ["Specialized DL", "Transfer DL", "no era", "LLMs", "no era"]
    assert [hatched for *_, hatched in bands] == [name == "no era" for name in names]
    assert bands[2][:2] == (1e9, 7e9) and bands[4][0] == 1e12
    assert [low for low, *_ in bands[1:]] == [high for _, high, _ in bands[:-1]]


def test_families_can_be_told_apart_without_colour(ax):
    assert len({marker for marker, _ in FAMILIES.values()}) == len(FAMILIES)
    legend = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert legend == [*(f"{family} (T43)" for family in FAMILIES), "GPT (C18)"]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="arch must be 'Encoder-Only', .* got 'RNN'"):
        model_growth(GPT, OTHERS.assign(arch="RNN"), era_ranges())
    with pytest.raises(ValueError, match="text must be a size"):
        model_growth(GPT.assign(params="unknown"), OTHERS, era_ranges())
