"""What a figure says is what it was given: read back from the drawn artists."""

import pytest
import torch

from lib.plots import attention as plots


def test_mixture_draws_the_values_the_path_and_the_marked_outputs():
    values = torch.tensor([[10.0, 0.0], [0.0, 0.0], [0.0, 10.0]])
    path = torch.tensor([[3.0, 3.0], [8.0, 1.0]])
    ax = plots.mixture(values, ["a", "b", "c"], path, {"q × 0": path[0]}).axes[0]
    assert ax.patches[0].get_xy()[:3].tolist() == values.tolist()
    drawn = [line.get_xydata().tolist() for line in ax.lines]
    assert drawn == [path.tolist(), *([value] for value in values.tolist()), [[3, 3]]]
    assert [text.get_text() for text in ax.texts] == ["value of a", "value of b", "value of c", "q × 0"]


def test_scores_by_width_has_a_curve_for_each_name_in_both_panels():
    spread, largest = {"q · k": [2.0, 4.0], "scaled": [1.0, 1.0]}, {"q · k": [0.5, 0.9], "scaled": [0.2, 0.2]}
    left, right = plots.scores_by_width([4, 16], spread, largest).axes
    assert [line.get_ydata().tolist() for line in left.lines] == list(spread.values())
    assert [line.get_ydata().tolist() for line in right.lines] == list(largest.values())
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["4", "16"]


def test_boolean_grids_shows_the_masks_and_names_both_colours():
    grid = torch.tensor([[True, False], [True, True]])
    fig = plots.boolean_grids({"causal": grid}, yes="may attend", no="hidden")
    assert fig.axes[0].images[0].get_array().tolist() == grid.tolist()
    assert [t.get_text() for t in fig.legends[0].get_texts()] == ["may attend", "hidden"]


def test_training_curves_draws_the_runs_and_the_floor():
    ax = plots.training_curves({"a": [2.0, 1.0], "b": [2.0, 2.0]}, 1.5, "floor").axes[0]
    assert [line.get_ydata()[0] for line in ax.lines] == [2, 2, 1.5]
    assert [line.get_label() for line in ax.lines] == ["a", "b", "floor"] and ax.get_ylim()[0] == 0


def test_attention_heads_puts_all_heads_on_one_scale():
    fig = plots.attention_heads(
        {"a": torch.eye(2), "b": torch.full((2, 2), 0.5)}, ["x", "y"], framed=[("y", "x"), ("y", "z")], label="shares"
    )
    assert fig.axes[-1].get_ylabel() == "shares", "the colour bar says what the colours are"
    pictures = [ax.images[0] for ax in fig.axes if ax.images]
    assert [p.get_clim() for p in pictures] == [(0, 1), (0, 1)]
    assert [[patch.get_xy() for patch in ax.patches] for ax in fig.axes[:2]] == [[(-0.5, 0.5)], []], "column 0, row 1"
    with pytest.raises(ValueError, match="shape"):
        plots.attention_heads({"a": torch.eye(3)}, ["x", "y"])


def test_first_token_share_draws_the_even_share_too():
    ax = plots.first_token_share([0.2, 0.6], 0.1).axes[0]
    assert ax.lines[0].get_ydata().tolist() == [0.2, 0.6] and ax.lines[1].get_ydata()[0] == 0.1


def test_shares_by_layer_draws_a_pair_of_bars_for_each_layer():
    ax = plots.shares_by_layer({"weight": [0.5, 0.2, 0.3], "flow": [0.1, 0.05, 0.0]}, "share").axes[0]
    assert [bar.get_height() for bar in ax.patches] == [0.5, 0.2, 0.3, 0.1, 0.05, 0.0]
    assert len({round(bar.get_x(), 3) for bar in ax.patches}) == 6, "no bar hides another"
    assert [text.get_text() for text in ax.texts] == ["50%", "20%", "30%", "10%", "5%", "0%"]


def test_shares_by_layer_wants_as_many_layers_in_each_entry():
    with pytest.raises(ValueError, match="too many values"):
        plots.shares_by_layer({"weight": [0.5, 0.2], "flow": [0.1]}, "share")


def test_paired_shares_draws_a_group_of_bars_for_each_name():
    ax = plots.paired_shares(["x", "y"], {"head": [0.9, 0.5], "distance": [0.3, None]}, of=10).axes[0]
    assert [bar.get_width() for bar in ax.patches] == [0.9, 0.5, 0.3]
    assert len({round(bar.get_y(), 3) for bar in ax.patches}) == 3, "no bar hides another"
    assert [text.get_text() for text in ax.texts] == ["9 of 10", "5 of 10", "3 of 10"]
