import pytest

from lib.plots import reinforce as plots


def heights(ax):
    return [round(bar.get_height(), 3) for bar in ax.patches]


def test_policies_stand_side_by_side_in_each_panel():
    fig = plots.policies(["a", "b"], {"up": [[0.5, 0.5], [0.7, 0.3]], "down": [[0.5, 0.5], [0.2, 0.8]]})
    up, down = fig.axes
    assert heights(up) == [0.5, 0.5, 0.7, 0.3] and heights(down)[2:] == [0.2, 0.8]
    assert [bar.get_x() for bar in up.patches[:2]] < [bar.get_x() for bar in up.patches[2:]]
    with pytest.raises(ValueError):
        plots.policies(["a"], {"up": [[1.0]]})


def test_error_by_samples_has_the_line_of_the_root():
    ax = plots.error_by_samples([1, 100], [2.1, 0.19], 2.0).axes[0]
    assert ax.lines[0].get_ydata().tolist() == [2.1, 0.19] and ax.lines[1].get_ydata() == pytest.approx([2, 0.2])
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_variance_by_baseline_marks_points_on_the_curve():
    ax = plots.variance_by_baseline([0.0, 1.0, 2.0], [4.0, 1.0, 2.0], {"best": 1.0, "none": 0.0}).axes[0]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines[1:]] == [(1, 1), (0, 4)]


def test_many_runs_draws_each_and_the_best():
    left, right = plots.many_runs({"a": [[1.0, 2.0], [1.0, 3.0]], "b": [[0.0, 1.0]]}, best=4.0).axes
    assert [line.get_ydata()[-1] for line in left.lines] == [2, 3, 4] and len(right.lines) == 2


def test_a_mark_between_two_constants_lies_on_the_line_between_them():
    ax = plots.variance_by_baseline([0.0, 2.0], [4.0, 1.0], {"half": 0.5}).axes[0]
    assert (ax.lines[1].get_xdata()[0], ax.lines[1].get_ydata()[0]) == (0.5, 3.25)
    left, _ = plots.many_runs({"a": [[1.0, 2.0]], "b": [[0.0, 1.0]]}, best=4.0).axes
    assert list(left.lines[0].get_xdata()) == [1, 2] and left.lines[1].get_ydata() == [4, 4]
    assert left.get_title() == "a"


def test_step_by_difficulty_has_a_curve_for_each_from_0_on():
    (ax,) = plots.step_by_difficulty([0.1, 0.9], {"a": [1.0, 1.0], "b": [2.0, 3.0]}).axes
    assert list(ax.lines[1].get_ydata()) == [2.0, 3.0] and ax.get_ylim()[0] == 0 and ax.get_xlim() == (0, 1)
    with pytest.raises(ValueError):
        plots.step_by_difficulty([0.1], {"a": [1.0, 2.0]})


def test_verifiable_leaves_out_steps_that_were_not_measured():
    row = {
        "step": "0",
        "reward": "0.2",
        "kl": "0.0",
        "length": "9.5",
        "entropy": "2.0",
        "held_out": "0.1",
        "strict": "0.1",
    }
    rows = [row, row | {"step": "1", "held_out": ""}, row | {"step": "2", "held_out": "0.9"}]
    fig = plots.verifiable({"seed 0": rows, "seed 1": rows}, greedy=0.8)
    shares, kl, _, free = fig.axes
    assert list(shares.lines[2].get_xdata()) == [0, 2] and list(shares.lines[2].get_ydata()) == [0.1, 0.9]
    assert list(shares.lines[4].get_ydata()) == [0.8, 0.8] and list(kl.lines[1].get_xdata()) == [0, 1, 2]
    assert len(free.get_legend().get_texts()) == 3 and not free.axison
    assert [line.get_linestyle() for line in shares.lines[:4]] == ["-", "-", "None", "None"], "two points make no curve"
    with pytest.raises(KeyError):
        plots.verifiable({"seed 0": [{"step": "0"}]}, greedy=0.8)


def test_noise_ratios_have_a_line_at_1_and_points_a_row_each():
    (ax,) = plots.noise_ratios({"seldom": {"a": 1.0, "b": 0.5}, "often": {"a": 1.0, "b": 19.0}}).axes
    a, b, one = ax.lines
    assert list(b.get_xdata()) == [0.5, 19] and list(one.get_xdata()) == [1, 1] and ax.get_xscale() == "log"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["seldom", "often"]
    assert [round(y) for y in b.get_ydata()] == [0, 1] and all(a.get_ydata() < b.get_ydata()), "none hides another"
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first row is on top"


def test_shares_leave_out_what_a_check_did_not_judge():
    (ax,) = plots.shares({"any": {"before": 0.1, "after": 0.8}, "last": {"after": 0.4}}).axes
    before, after = ax.lines
    assert list(before.get_xdata()) == [0.1] and list(after.get_xdata()) == [0.8, 0.4]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["before", "after"] and ax.get_xlim()[1] > 1
    with pytest.raises(ValueError, match="rows"):
        plots.shares({})
