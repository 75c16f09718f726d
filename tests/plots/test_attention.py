"""What a figure says is what it was given: read back from the drawn artists."""

import pytest
import torch

from lib.plots import attention as plots


def test_sigmoid_curves_draws_each_named_curve():
    x = torch.linspace(-2, 2, 5)
    fig = plots.sigmoid_curves(x, {"identity": x, "square": x**2})
    lines = fig.axes[0].lines
    assert [line.get_label() for line in lines] == ["identity", "square"]
    assert lines[1].get_ydata().tolist() == [4, 1, 0, 1, 4]


def test_softmax_temperatures_draws_every_share():
    shares = torch.tensor([[[0.1, 0.9], [0.5, 0.5]]])
    ax = plots.softmax_temperatures([[0.0, 1.0]], [0.5, 9.0], shares).axes[0]
    assert [round(bar.get_height(), 2) for bar in ax.patches] == [0.1, 0.9, 0.5, 0.5]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "1"]
    centres = [bar.get_x() + bar.get_width() / 2 for bar in ax.patches]
    assert len({round(c, 3) for c in centres}) == 4  # no bar hides another


def test_boolean_grids_shows_the_masks_and_names_both_colours():
    grid = torch.tensor([[True, False], [True, True]])
    fig = plots.boolean_grids({"causal": grid}, yes="may attend", no="hidden")
    assert fig.axes[0].images[0].get_array().tolist() == grid.tolist()
    assert [t.get_text() for t in fig.legends[0].get_texts()] == ["may attend", "hidden"]


def test_spread_of_scores_has_both_curves():
    ax = plots.spread_of_scores([4, 16], [2.0, 4.0], [1.0, 1.0]).axes[0]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[2, 4], [1, 1]]


def test_attention_heads_puts_all_heads_on_one_scale():
    fig = plots.attention_heads({"a": torch.eye(2), "b": torch.full((2, 2), 0.5)}, ["x", "y"])
    pictures = [ax.images[0] for ax in fig.axes if ax.images]
    assert [p.get_clim() for p in pictures] == [(0, 1), (0, 1)]
    with pytest.raises(ValueError, match="shape"):
        plots.attention_heads({"a": torch.eye(3)}, ["x", "y"])


def test_first_token_share_draws_the_even_share_too():
    ax = plots.first_token_share([0.2, 0.6], 0.1).axes[0]
    assert ax.lines[0].get_ydata().tolist() == [0.2, 0.6] and ax.lines[1].get_ydata()[0] == 0.1
