import pytest

from lib.plots import mlm as plots


def test_guesses_have_a_panel_each_with_the_likeliest_on_top():
    fig = plots.gap_guesses({"a [MASK] b": [("x", 0.7), ("y", 0.1)], "c [MASK]": [("z", 0.2)], "d": [("w", 1.0)]})
    first, second, third, empty = fig.axes
    assert [bar.get_width() for bar in first.patches] == [0.7, 0.1] and first.yaxis_inverted()
    assert [t.get_text() for t in first.get_yticklabels()] == ["x", "y"] and first.get_title(loc="left") == "a ▢ b"
    assert first.get_xlim() == second.get_xlim() == third.get_xlim() and not empty.axison
    assert (first.get_xlabel(), second.get_xlabel(), third.get_xlabel()) == ("", "probability", "probability")
    with pytest.raises(ValueError, match="panels"):
        plots.gap_guesses({})
    with pytest.raises(ValueError, match="'a'"):
        plots.gap_guesses({"a": []})


def test_two_runs_share_a_scale_that_begins_at_zero_and_show_the_level():
    run = {"one": ([1, 2], [6.0, 1.0]), "two": ([1, 2], [6.0, 5.0])}
    left, right = plots.two_runs({"here": run, "there": {"one": ([1, 2], [6.0, 6.5])}}, 5.9).axes
    assert [list(line.get_ydata()) for line in left.lines] == [[6, 1], [6, 5]]
    assert list(right.lines[-1].get_ydata()) == [5.9, 5.9]
    assert left.get_ylim() == right.get_ylim() and left.get_ylim()[0] == 0
    assert [t.get_text() for t in right.get_legend().get_texts()] == ["one", "unigram: 5.90"]


def test_designs_have_a_dot_for_each_run_and_a_line_for_each_predicted_share():
    runs = {(40, 15): [5.0], (15, 15): [4.0, 5.0], (13, 40): [3.0], (40, 40): [3.5]}
    ax = plots.designs(runs, 5.9).axes[0]
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines]
    assert lines[:3] == [([15, 15], [4, 5]), ([40], [5]), ([15, 40], [4.5, 5])]
    assert lines[3:6] == [([13], [3]), ([40], [3.5]), ([13, 40], [3, 3.5])] and lines[6][1] == [5.9, 5.9]
    assert [t.get_text() for t in ax.texts] == ["4.50", "5.00", "3.00", "3.50"]
    assert [t.get_text() for t in ax.get_legend().get_texts()][:2] == ["15 % predicted", "40 % predicted"]
    with pytest.raises(ValueError, match="runs"):
        plots.designs({}, 5.9)
    with pytest.raises(ValueError, match="13"):
        plots.designs({(13, 40): []}, 5.9)


def test_ranks_have_two_bars_a_method_in_per_cent():
    ax = plots.ranks({"unigram": (0.12, 0.365), "model": (0.32, 0.5)}).axes[0]
    first, five = ax.containers
    assert [round(bar.get_width(), 6) for bar in first] == [12, 32]
    assert [round(bar.get_width(), 6) for bar in five] == [36.5, 50]
    assert [t.get_text() for t in ax.texts] == ["12.0 %", "32.0 %", "36.5 %", "50.0 %"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["unigram", "model"] and ax.yaxis_inverted()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["rank 1", "rank 1 to 5"]
    with pytest.raises(ValueError, match="shares"):
        plots.ranks({})


def test_questions_have_a_panel_each_a_dot_for_each_run_and_the_level():
    losses = {"hidden?": {"one": [5.0, 6.0], "two": [4.0]}, "right?": {"one": [0.5, 0.7], "two": [12.0]}}
    left, right = plots.questions(losses, {"hidden?": 5.9, "right?": 0.46}).axes
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in left.lines[:2]] == [
        ([5.0, 6.0], [0, 0]),
        ([4.0], [1]),
    ]
    assert list(left.lines[2].get_xdata()) == [5.9, 5.9] and list(right.lines[2].get_xdata()) == [0.46, 0.46]
    assert [t.get_text() for t in (*left.texts, *right.texts)] == ["5.50", "4.00", "0.60", "12.00"]
    assert left.get_xlim() == right.get_xlim() and left.get_xlim()[0] == 0 and right.get_xlim()[1] > 12
    assert [t.get_text() for t in left.get_yticklabels()] == ["one", "two"] and left.yaxis_inverted()
    assert right.get_title() == "right?\n(dotted: 0.46)"
    with pytest.raises(ValueError, match="losses"):
        plots.questions({}, {})
    with pytest.raises(ValueError, match="two"):
        plots.questions({"hidden?": {"one": [1.0], "two": []}}, {"hidden?": 5.9})
