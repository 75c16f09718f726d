from matplotlib.colors import to_rgba

from lib.plots import sft as plots


def test_wall_colours_a_word_by_the_group_where_it_belongs():
    solution = {"pies": ["Mud", "Rabbit"], "witch-": ["Hazel", "Craft"]}
    fig = plots.wall({"one": [["MUD", "Hazel"], ["Elm"]], "other": [["Rabbit"]]}, solution)
    first, second = fig.axes
    colours = [tile.get_facecolor() for tile in first.patches]
    assert colours[0] == second.patches[0].get_facecolor() != colours[1]
    assert colours[2] == to_rgba("white")
    assert [text.get_text() for text in first.texts] == ["MUD", "Hazel", "Elm"]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["pies", "witch-", "not on the wall"]


def test_token_weights_draws_each_token_of_each_answer():
    fig = plots.token_weights({"mean": [[0.25], [0.25] * 3], "sum": [[1.0], [1.0] * 3]}, ["short", "long"])
    assert [[bar.get_height() for bar in ax.patches] for ax in fig.axes] == [[0.25] * 4, [1.0] * 4]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["short", "long"]
    assert fig.axes[0].get_ylim() == fig.axes[1].get_ylim()


def test_loss_by_part_has_a_bar_for_each_part_of_each_model():
    ax = plots.loss_by_part({"base": {"first": 4.5, "end": 4.75}, "tuned": {"first": 4.25, "end": 0.0625}}).axes[0]
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    assert heights == [[4.5, 4.75], [4.25, 0.0625]]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["first", "end"]
    assert [text.get_text() for text in ax.texts] == ["4.50", "4.75", "4.25", "0.06"]


def test_by_examples_keeps_values_and_draws_the_base_where_it_is_given():
    panels = {"share": {"stops": [0.5, 1.0], "recited": [1.0, 0.0]}, "nats": {"answers": [5.5, 4.5]}}
    left, right = plots.by_examples([1, 64], panels, {"nats": 4.75}).axes
    assert [line.get_ydata().tolist() for line in left.lines] == [[0.5, 1.0], [1.0, 0.0]]
    assert right.lines[0].get_ydata().tolist() == [5.5, 4.5] and right.lines[1].get_ydata() == [4.75, 4.75]
    assert [label.get_text() for label in left.get_xticklabels()] == ["1", "64"] and max(left.get_yticks()) == 1
    assert right.get_ylim() == (4.5, 5.5)


def test_by_examples_gives_all_panels_with_large_values_one_axis():
    axes = plots.by_examples(
        [0, 1], {"share": {"a": [0.0, 1.0]}, "x": {"b": [4.75, 5.5]}, "y": {"c": [6.25, 5.0]}}, {}
    ).axes
    assert [ax.get_ylim() for ax in axes[1:]] == [(4.5, 6.5)] * 2
    assert [label.get_text() for label in axes[2].get_xticklabels()] == ["0", "1"]


def test_answers_follow_each_other_with_a_gap_and_words_stand_in_their_column():
    fig = plots.token_weights({"mean": [[0.25] * 2, [0.5]]}, ["short", "long"])
    assert [bar.get_x() + bar.get_width() / 2 for bar in fig.axes[0].patches] == [0, 1, 3]
    ax = plots.wall({"one": [["Mud", "Elm"], ["Oak"]]}, {"trees": ["Elm", "Oak"]}).axes[0]
    assert [text.get_position() for text in ax.texts] == [(0.5, 0.5), (1.5, 0.5), (0.5, 1.5)]


def test_by_examples_has_its_legends_below_the_curves():
    fig = plots.by_examples([0, 1], {"share": {"a": [0.0, 1.0]}, "x": {"b": [4.75, 5.5]}}, {"x": 5.0})
    fig.draw_without_rendering()
    for ax in fig.axes:
        assert ax.get_legend().get_window_extent().y1 < ax.get_window_extent().y0
    assert fig.axes[0].get_ylim()[1] == 1.05  # a share cannot be larger
