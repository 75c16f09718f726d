"""What a figure says is what it was given: read back from the drawn artists."""

import pytest
import torch

from lib.plots import transformer as plots


def test_position_scores_gives_each_panel_a_symmetric_scale_of_its_own():
    fig = plots.position_scores({"rotary": torch.tensor([[1.0, -2.0], [0.5, 1.0]]), "learned": 5 * torch.eye(2)})
    pictures = [ax.images[0] for ax in fig.axes[:2]]
    assert [picture.get_clim() for picture in pictures] == [(-2, 2), (-5, 5)]
    assert pictures[0].get_array().tolist() == [[1, -2], [0.5, 1]] and fig.axes[1].get_title() == "learned"
    assert [bar.get_xlim() for bar in fig.axes[2:]] == [(-2, 2), (-5, 5)], "a colour bar for each"
    with pytest.raises(ValueError, match="rotary must have shape"):
        plots.position_scores({"rotary": torch.zeros(2, 3)})


def test_by_depth_draws_the_median_and_every_seed_and_puts_0_on_the_floor():
    values = torch.tensor([[1.0, 0.0], [2.0, 30.0], [9.0, 1e-9]])
    ax = plots.by_depth({"with": values}, [4, 8], ylabel="gradient", floor=0.5).axes[0]
    assert ax.lines[0].get_xdata().tolist() == [4, 8] and ax.lines[0].get_ydata().tolist() == [2, 0.5]
    points = sorted(map(tuple, ax.collections[0].get_offsets().tolist()))
    assert points == [(4, 1), (4, 2), (4, 9), (8, 0.5), (8, 0.5), (8, 30)]
    assert ax.get_yscale() == "log" and [t.get_text() for t in ax.get_xticklabels()] == ["4", "8"]


@pytest.mark.parametrize(
    "values, words",
    [
        (torch.ones(2, 3), "with must have shape"),
        (torch.tensor([[1.0, -1.0]]), "with must be finite and not negative"),
        (torch.tensor([[1.0, torch.nan]]), "with must be finite and not negative"),
    ],
)
def test_by_depth_refuses_what_it_cannot_draw(values, words):
    with pytest.raises(ValueError, match=words):
        plots.by_depth({"with": values}, [4, 8], ylabel="gradient", floor=0.1)


def test_by_depth_draws_no_floor_where_there_is_none():
    ax = plots.by_depth({"with": torch.tensor([[1.0, 20.0]])}, [4, 8], ylabel="gradient").axes[0]
    assert len(ax.lines) == 1 and not ax.texts and ax.lines[0].get_ydata().tolist() == [1, 20]


def test_without_one_layer_draws_each_kind_and_two_levels_to_compare_with():
    losses = {"attention": {1: 4.9, 3: 3.4}, "feed-forward": {1: 11.9, 3: 4.0}}
    ax = plots.without_one_layer(losses, whole=3.1, chance=10.8).axes[0]
    assert [list(line.get_ydata()) for line in ax.lines] == [[4.9, 3.4], [11.9, 4.0], [3.1] * 2, [10.8] * 2]
    assert [list(line.get_xdata()) for line in ax.lines[:2]] == [[1, 3]] * 2
    assert [text.get_text() for text in ax.texts] == ["all parts", "guessing evenly"] and ax.get_ylim()[0] == 0
    with pytest.raises(ValueError, match="attention must be finite"):
        plots.without_one_layer({"attention": {1: float("nan")}}, whole=3.1, chance=10.8)


def test_stream_sizes_begins_with_the_embedding():
    ax = plots.stream_sizes({"first token": [0.1, 50.0, 40.0], "the others": [0.1, 0.5, 2.0]}).axes[0]
    assert [line.get_xdata().tolist() for line in ax.lines] == [[0, 1, 2]] * 2
    assert ax.lines[1].get_ydata().tolist() == [0.1, 0.5, 2] and ax.get_yscale() == "log"


def test_parameter_shares_fill_each_bar_and_names_the_large_ones():
    counts = {
        "small": {"embedding": 60, "attention": 10, "feed-forward": 30},
        "large": {"embedding": 2, "attention": 98},
    }
    ax = plots.parameter_shares(counts).axes[0]
    widths = [[round(bar.get_width(), 2) for bar in part] for part in ax.containers]
    assert widths == [[0.6, 0.02], [0.1, 0.98], [0.3, 0]]
    starts = [[round(bar.get_x(), 2) for bar in part] for part in ax.containers]
    assert starts == [[0, 0], [0.6, 0.02], [0.7, 1]]
    assert [text.get_text() for text in ax.texts] == ["60%", "", "10%", "98%", "30%", ""]
    with pytest.raises(ValueError, match="every model must have parameters"):
        plots.parameter_shares({"none": {"embedding": 0}})
