from matplotlib.colors import to_rgba

from lib.plots import sft as plots


def widths(ax):
    return [bar.get_width() for bar in ax.patches]


def test_loss_and_cost_has_one_bar_a_sentence_on_each_side():
    left, right = plots.loss_and_cost({"a": (0.5, 3.0), "b": (0.5, 0.03)}).axes
    assert widths(left) == [0.5, 0.5] and widths(right) == [3.0, 0.03]
    assert right.get_xscale() == "log" and left.yaxis_inverted()


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


def test_accuracy_curves_keeps_steps_and_shares():
    ax = plots.accuracy_curves({"a": [(0, 0.0), (10, 0.5)], "b": [(0, 0.0), (10, 0.25)]}).axes[0]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0, 0.5], [0, 0.25]]
    assert ax.lines[0].get_xdata().tolist() == [0, 10]


def test_ratings_shows_mean_and_interval_on_the_scale():
    ax = plots.ratings({"SFT": (4.0, 3.5, 4.25), "RLHF": (5.0, 4.75, 5.5)}).axes[0]
    spans = [container.lines[2][0].get_segments()[0][:, 0].tolist() for container in ax.containers]
    assert spans == [[3.5, 4.25], [4.75, 5.5]]
    assert [text.get_text() for text in ax.texts] == ["4.00", "5.00"] and ax.yaxis_inverted()
    low, high = ax.get_xlim()
    assert low < 1 and high > 7


def test_answers_follow_each_other_with_a_gap_and_words_stand_in_their_column():
    fig = plots.token_weights({"mean": [[0.25] * 2, [0.5]]}, ["short", "long"])
    assert [bar.get_x() + bar.get_width() / 2 for bar in fig.axes[0].patches] == [0, 1, 3]
    ax = plots.wall({"one": [["Mud", "Elm"], ["Oak"]]}, {"trees": ["Elm", "Oak"]}).axes[0]
    assert [text.get_position() for text in ax.texts] == [(0.5, 0.5), (1.5, 0.5), (0.5, 1.5)]
