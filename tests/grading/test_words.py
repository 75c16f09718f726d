"""What the grader says, word by word: decided from what it was told, without any answer that runs."""

from pathlib import Path

import pytest

from lib.grading.intake.submission import Submission
from lib.grading.judging import grader
from lib.grading.validate import MAX_POINTS, Asked, Report, _read_asked
from lib.grading.worker.client import DIED, Reply


@pytest.mark.parametrize(
    "ended, status, why",
    [
        ("time up", "time up", "it did not finish in time: is there an endless loop?"),
        ("signal 24", "time up", "it did not finish in time: is there an endless loop?"),  # of computing time
        ("signal 9", "crashed", "it ended the whole process (killed)"),
        ("signal 11", "crashed", "it ended the whole process (segmentation fault)"),
        ("signal 25", "crashed", "it ended the whole process (file too large)"),
        ("signal 6", "crashed", "it ended the whole process (abort)"),
        ("signal 4", "crashed", "it ended the whole process (signal 4)"),
        ("exit 0", "crashed", "it ended the whole process (exit 0)"),
        (DIED, "crashed", DIED),
        ("a message\x1b of\x00 other\x9f words", "crashed", "a message� of� other� words"),
    ],
)
def test_how_a_process_ended(ended, status, why):
    assert (grader._status(ended), grader._why(ended)) == (status, why)


def left_out(*cells):
    return Reply(({"left_out": [{"cell": cell, "what": "x"} for cell in cells]},), "exit 0")


def test_what_was_left_out_is_said_once_for_each_cell_in_order():
    rest = ", which this answer uses, could not be run here, so it may be judged wrongly: "
    assert grader._left_out(left_out(3)) == f"part of cell 3{rest}"
    assert grader._left_out(left_out(9, 2, 9, 2)) == f"part of cells 2, 9{rest}"
    assert grader._left_out(left_out(*range(7, 0, -1))) == f"part of cells 1, 2, 3, 4, 5{rest}"
    assert grader._left_out(left_out()) == grader._left_out(Reply((), "exit 0")) == ""
    forged = Reply((*left_out().said, *left_out(3).said), "exit 0")
    assert grader._left_out(forged) == "", "the first report counts"


def test_of_a_report_only_what_is_well_formed_is_believed():
    good = {"cell": 1, "what": "x" * 400}
    odd = ["text", {"cell": "1", "what": "x"}, {"cell": True, "what": "x"}, {"cell": 1}, {"cell": 1, "what": 3}, []]
    (kept,) = grader._listed([[*odd, good]])
    assert kept["cell"] == 1 and len(kept["what"]) == 300
    assert len(grader._listed([[good] * 101])) == 100 and grader._listed([{"cell": 1}, None]) == []
    assert grader._pairs([{"a": 1, "b": "2", "c": True, 3: 4}]) == [("a", 1)]
    assert len(grader._pairs([{f"n{i}": i for i in range(30)}])) == 20 and grader._pairs([[("a", 1)]]) == []


def cells(**faults):
    code = ({"number": 2, "source": "", "exercise": "a.b"}, {"number": 5, "source": "", "exercise": ""})
    return grader._Cells(Submission("ada", "x.ipynb", "x", "", code, faults=faults))


def test_a_fault_of_the_file_goes_before_one_of_a_cell():
    one = cells()
    assert one.fault_of("a.b") == ""
    one.faulty = {2: "NameError", 5: "KeyError"}
    assert one.fault_of("a.b") == "; its cell has a NameError" and one.fault_of("a.c") == ""
    own = cells(**{"a.b": "it is text"})
    own.faulty = {2: "NameError"}
    assert own.fault_of("a.b") == "; it is text" and own.fault_of("a.c") == ""
    assert cells(**{"": "another lecture"}).fault_of("a.c") == "; another lecture"


def test_a_cell_that_may_have_ended_its_process_is_one_that_is_there_and_not_known():
    one = cells()
    one.fatal[5] = "signal 9"
    assert [one.may_be_fatal(cell) for cell in (2, 5, 3, True, "2", None)] == [True, False, False, False, False, False]
    one.faulty, one.below = {2: "NameError", 5: "KeyError"}, {"zeta": 7, "alpha": 6}
    assert one.notes() == [
        "part of cell 2 was left out: NameError",
        "cell 5 was left out: it ended the whole process (killed)",
        "alpha is used above cell 6, which defines it: a fresh run fails",
        "zeta is used above cell 7, which defines it: a fresh run fails",
    ]


def test_what_a_child_reports_of_our_own_walls_is_no_fault_of_the_student():
    one = cells()
    ours = [{"cell": 2, "what": "Withheld: grading: lib's softmax"}, {"cell": 5, "what": "ImportError: grading: x"}]
    one.learn(Reply(({"problems": ours}, {"left_out": [{"cell": 2, "what": "this cell was left out"}]}), "exit 0"))
    assert one.faulty == {}
    both = ({"problems": [{"cell": 2, "what": "first"}]}, {"left_out": [{"cell": 2, "what": "second"}]})
    one.learn(Reply((*both, {"below": {"f": 5}}), "exit 0"))
    assert one.faulty == {2: "first"} and one.below == {"f": 5}


@pytest.mark.parametrize(
    "points, kept",
    [(0, 0), (0.5, 0.5), (MAX_POINTS, MAX_POINTS), (MAX_POINTS + 1, None), (-1, None), (True, None), ("3", None),
     (float("nan"), None), (float("inf"), None), (None, None)],
)  # fmt: skip
def test_points_of_a_file_from_nothing_to_a_million(points, kept):
    (asked,) = _read_asked([{"exercise": "a.b", "points": points}])
    assert (asked.points, bool(asked.fault)) == ((kept, False) if kept is not None else (0, True))
    assert asked.counts is (kept is None or kept > 0)


def test_of_what_a_file_asks_the_last_entry_counts_and_nonsense_does_not():
    odd = [7, "x", {}, {"exercise": 3, "points": 1}, {"exercise": "a.b"}, None]
    twice = [{"exercise": "a.b", "points": 1}, {"exercise": "a.b", "points": 2, "manual": 1, "empty": "5e"}]
    assert _read_asked([*odd, *twice]) == [Asked("a.b", 2, True, "5e")] and _read_asked({"a": 1}) == []


def report(*statuses, **about):
    entries = [(Asked(f"a.b{i}", 2), {"status": status}) for i, status in enumerate(statuses)]
    return Report(Path("x.ipynb").name, 0.0, tuple(entries), **about)


def test_ready_is_what_is_right_or_written():
    assert report("right", "manual").ready and not report("right", "wrong").ready
    assert not report("right", problem="broken").ready
    practice = Report("x", 0.0, ((Asked("a.b", 0), {"status": "wrong"}), (Asked("a.c", 1), {"status": "right"})))
    assert practice.ready and "1 of 1 points" in str(practice) and "Ready to hand in" in str(practice)
    assert "Not ready to hand in: 1 exercise is not yet right." in str(report("right", "wrong"))
    assert "Not ready to hand in: 2 exercises are not yet right." in str(report("missing", "wrong"))
    assert "2 of 4 points" in str(report("right", "wrong"))
