from lib.plots import denoising as plots


def test_intervals_draws_each_estimate_within_its_interval_under_its_heading():
    rows = {"rule": (5.0, 4.0, 6.5), "model": (25.0, 22.0, 27.5)}
    ax = plots.intervals({"all": rows, "some": {"cut": (8.0, 7.0, 9.0)}}, "share in %").axes[0]
    assert [line.get_xdata().tolist() for line in ax.lines] == [
        [4.0, 6.5],
        [5.0],
        [22.0, 27.5],
        [25.0],
        [7.0, 9.0],
        [8.0],
    ]
    assert [line.get_ydata()[0] for line in ax.lines] == [1, 1, 2, 2, 4, 4]  # headings at 0 and 3
    assert [text.get_text() for text in ax.texts] == ["all", "5.0", "25.0", "some", "8.0"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["", "rule", "model", "", "cut"]
    assert [ax.texts[n].xy[1] for n in (0, 3)] == [0, 3]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first name is at the top
    assert ax.get_xlim()[0] == 0 and ax.get_xlabel() == "share in %"


def test_against_best_has_a_line_at_zero_in_each_panel():
    panels = {"reading": {"GLUE": [-12.0, 0.5]}, "writing": {"En-De": [-7.5, -1.5], "ROUGE-1": [-2.0, 0.25]}}
    fig = plots.against_best(["Small", "11B"], panels)
    left, right = fig.axes
    assert [line.get_ydata()[:] == [0, 0] for line in (left.lines[0], right.lines[0])] == [True, True]
    assert [list(line.get_ydata()) for line in right.lines[1:]] == [[-7.5, -1.5], [-2.0, 0.25]]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["En-De", "ROUGE-1"]
    assert [label.get_text() for label in left.get_xticklabels()] == ["Small", "11B"]
    assert left.get_ylabel() == "points above the previous best" and right.get_ylabel() == ""  # they share it
