"""What the figure says is what it was given: read back from the drawn artists."""

import pytest

from lib.plots.start import at_temperatures, chance_of_end


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
