"""What the figures of notebook 07 show."""

import pytest
import torch

from lib.plots import decoding as plots


def test_each_text_has_a_panel_and_its_mean():
    fig = plots.surprisal_of_texts({"people": [1.0, 3.0], "beam": [0.5, 0.5]})
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["people: mean 2.00", "beam: mean 0.50"]
    assert [bar.get_height() for bar in fig.axes[0].patches] == [1, 3] and fig.axes[0].get_ylim() == fig.axes[
        1
    ].get_ylim()
    with pytest.raises(ValueError, match="texts must not be empty"):
        plots.surprisal_of_texts({})


def test_heads_are_rows_and_layers_columns():
    scores = torch.zeros(12, 3)
    scores[4, 2] = 0.9
    ax, bar = plots.head_scores(scores, label="score").axes
    assert ax.images[0].get_array().shape == (3, 12) and ax.images[0].get_array()[2, 4] == pytest.approx(0.9)
    assert ax.images[0].get_clim() == (0, 1) and bar.get_ylabel() == "score"
    with pytest.raises(ValueError, match="scores"):
        plots.head_scores(scores[0], label="score")


def test_each_draw_is_a_dot_beside_the_mean_of_its_labels():
    panels = {"raw": {"true": {1: [0.5, 0.7], 4: [0.8]}, "random": {1: [0.6], 4: [0.5, 0.9]}}}
    fig = plots.by_draws(panels, {"raw": 0.65}, 0.5)
    ax = fig.axes[0]
    assert [dots.get_offsets()[:, 1].tolist() for dots in ax.collections] == [[0.5, 0.7], [0.8], [0.6], [0.5, 0.9]]
    means = [line.get_ydata()[0] for line in ax.lines]
    assert means == pytest.approx([0.6, 0.8, 0.6, 0.7, 0.65, 0.5])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "4"]
    named = [text.get_text() for text in fig.legends[0].get_texts()]
    assert named == ["true", "random", "no demonstration", "one label for all"]
    with pytest.raises(ValueError, match="without"):
        plots.by_draws(panels, {}, 0.5)
    with pytest.raises(ValueError, match="panels must not be empty"):
        plots.by_draws({}, {}, 0.5)


def test_orders_that_agree_are_stacked():
    fig = plots.by_order({"raw": [0.5, 0.75, 0.5], "calibrated": [0.75, 0.5, 1.0]}, 0.5)
    assert fig.axes[0].collections[0].get_offsets().tolist() == [[0.5, 1], [0.5, 2], [0.75, 1]]
    assert all(ax.get_ylim()[1] > 2.5 for ax in fig.axes)  # no dot is cut off, in neither panel
    with pytest.raises(ValueError, match="shares must not be empty"):
        plots.by_order({}, 0.5)


def test_exact_match_is_a_power():
    ax = plots.exact_match([0.5, 1.0], [1, 4]).axes[0]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0.5, 1.0], [0.0625, 1.0]]
