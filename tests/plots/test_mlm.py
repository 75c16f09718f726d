import pytest

from lib.plots import mlm as plots


def test_masking_strip_has_targets_under_selected_tokens_only():
    ax = plots.masking_strip(["a", "dog"], ["a", "[MASK]"], ["not selected", "[MASK]"]).axes[0]
    assert [t.get_text() for t in ax.texts] == ["a", "dog", "a", "[MASK]", "dog"]
    with pytest.raises(ValueError, match="shown must have the length of original, 1, got 2"):
        plots.masking_strip(["a"], ["a", "b"], ["kept"])


def test_shares_are_drawn_as_multiples_of_what_is_expected():
    ax = plots.shares_against_expected({"a": (0.24, 0.01), "b": (0.5, 0.1)}, {"a": 0.12, "b": 0.5}).axes[0]
    assert [container.lines[0].get_xdata()[0] for container in ax.containers] == pytest.approx([2, 1])
    assert ax.get_yticklabels()[0].get_text() == "a: 24.00%\n(expected 12.0%)"


def test_two_objectives_marks_each_maximum():
    axes = plots.two_objectives([0.1, 0.5, 0.9], {"up": [1.0, 2.0, 3.0], "hill": [1.0, 3.0, 1.0]}).axes
    marked = [ax.get_legend().get_texts()[1].get_text() for ax in axes]
    assert marked == ["largest at p = 0.900", "largest at p = 0.500"]


def test_joint_tables_writes_every_probability():
    axes = plots.joint_tables({"t": [[0.5, 0], [0, 0.5]], "u": [[0.25] * 2] * 2}, ["a", "b"], ["c", "d"]).axes
    assert [t.get_text() for t in axes[1].texts] == ["0.250"] * 4


def test_loss_curve_has_the_running_mean_and_the_levels():
    ax = plots.loss_curve([4.0, 2.0, 3.0], {"ln V": 5.0}, [(3, 2.5)], smooth=2).axes[0]
    assert ax.lines[1].get_ydata() == pytest.approx([4, 3, 2.5])
    assert [t.get_text() for t in ax.get_legend().get_texts()][2:] == ["validation", "ln V: 5.00"]


def test_masking_rates_draws_every_run_and_the_mean():
    left, right = plots.masking_rates({"a": {0.15: [1.0, 2.0], 0.4: [3.0]}, "b": {0.15: [1.0]}}, "nats").axes
    assert left.lines[0].get_ydata().tolist() == [1, 2] and left.lines[1].get_ydata().tolist() == [3]
    assert [t.get_text() for t in left.get_xticklabels()] == ["15%", "40%"] and right.get_title() == "b"


def test_bars_of_error_and_runs_of_each_rate_stand_where_they_belong():
    ax = plots.shares_against_expected({"a": (0.24, 0.06)}, {"a": 0.12}).axes[0]
    (segment,) = ax.containers[0].lines[2][0].get_segments()
    assert segment[:, 0].tolist() == pytest.approx([1.5, 2.5])
    left, _ = plots.masking_rates({"a": {0.15: [1.0, 2.0], 0.4: [3.0]}, "b": {0.15: [1.0]}}, "nats").axes
    means = [collection.get_segments()[0] for collection in left.collections]
    assert [mean[0][1] for mean in means] == [1.5, 3] and means[1][:, 0].tolist() == [0.75, 1.25]
    assert left.lines[0].get_xdata().tolist() == pytest.approx([-0.1, 0.1]) and left.lines[1].get_xdata() == [1]
    ax = plots.loss_curve([4.0, 2.0, 3.0, 1.0]).axes[0]
    assert ax.lines[1].get_ydata() == pytest.approx([4, 3, 3, 2.5]) and ax.lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    middle = plots.joint_tables({"t": [[0.1, 0.2], [0.3, 0.4]]}, ["a", "b"], ["c", "d"]).axes[0]
    assert [t.get_text() for t in middle.get_xticklabels()] == ["c", "d"]
    assert {t.get_text(): t.get_position() for t in middle.texts}["0.200"] == (1, 0)
