import matplotlib.pyplot as plt
import pytest

from lib.plots import mlm as plots


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_masking_strip_has_targets_under_selected_tokens_only():
    ax = plots.masking_strip(["a", "dog"], ["a", "[MASK]"], ["not selected", "[MASK]"]).axes[0]
    assert [t.get_text() for t in ax.texts] == ["a", "dog", "a", "[MASK]", "dog"]
    with pytest.raises(ValueError, match="the same length, got 1, 2, 1"):
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
