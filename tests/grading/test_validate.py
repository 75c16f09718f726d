"""`course validate`: a student reads what the grader will find, whatever is in the file or is not."""

import argparse
import json
import os
import re
import time

import pytest

from lib import NOTEBOOKS
from lib.course import cli
from lib.course import validate as command
from lib.errors import CourseError
from lib.exercises.engine import registry
from lib.grading import validate
from lib.grading.assignment.graded import prepare
from lib.grading.judging import grader as judging
from lib.lectures.edition import exercise_of, student_edition
from lib.lectures.notebooks import load, parse, text_of
from tests.grading.assignment.test_release import IDS, OPEN, YEARS, with_written_answer

RIGHT = {"status": "right", "cell": 3, "reason": "", "hint": "", "failed": None}
WRONG = RIGHT | {
    "status": "wrong",
    "reason": "result: 3 instead of 4",
    "hint": "You forgot the last one.",
    "failed": {"number": 2, "what": "leap years", "inputs": ["year = 2000"]},
}


class FakeGrader:
    """Finds what it is told, and remembers what it was asked."""

    def __init__(self, entries=(), notes=()):
        self.entries, self.notes = dict(entries), list(notes)
        self.asked = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.closed = True

    def grade(self, submission, ids):
        self.asked, self.submission = list(ids), submission
        entries = [{"id": id} | self.entries.get(id, RIGHT) for id in ids]
        return {"exercises": entries, "notes": self.notes}


def written(folder, points=None, name="my work.ipynb", change=None, source=YEARS):
    """The student edition of notebook 00, without its open question, as a file, with other points or a change of its JSON."""
    notebook = load(source)
    notebook.cells = [cell for cell in notebook.cells if exercise_of(cell) != OPEN]
    usual = dict(zip(IDS, (1, 3, 2, 4)))
    if points:
        text = prepare(notebook, source.name, usual | points).text(0)
    else:
        text = text_of(student_edition(notebook, source.name))
    plain = json.loads(text)
    if change:
        change(plain)
    path = folder / name
    path.write_text(json.dumps(plain))
    return path


def solved(plain, answers):
    """Write `answers` (exercise: source) over the cells of a student edition."""
    for cell in plain["cells"]:
        metadata = cell["metadata"]
        if metadata.get("nbgrader", {}).get("solution"):
            cell["source"] = answers[metadata["course"]["exercise"]]


def right_answers():
    cells = [cell for cell in load(YEARS).cells if cell.metadata.get("nbgrader", {}).get("solution")]
    return {cell.metadata["course"]["exercise"]: cell.source for cell in cells}


def test_all_right_is_ready(tmp_path):
    path = written(tmp_path)
    grader = FakeGrader()
    report = validate.examine(path, grader)
    assert report.ready and grader.asked == IDS and grader.submission.sha256
    lines = str(report).splitlines()
    assert lines[0].startswith("my work.ipynb, as it was saved on 20")
    assert lines[2] == "  ✓ right        1 of 1     start.token_count (cell 3)"
    assert lines[-2].startswith("  10 of 10 points.") and "other cases of the same kind" in lines[-2]
    assert lines[-1] == "  Ready to hand in: everything is written and right."


def test_what_is_wrong_comes_with_its_reason_and_hint(tmp_path):
    grader = FakeGrader({IDS[1]: WRONG}, ["cell 7 was left out: SyntaxError"])
    report = validate.examine(written(tmp_path), grader)
    assert not report.ready
    lines = str(report).splitlines()
    at = lines.index("  ✗ wrong        0 of 3     writing.probabilities (cell 3)")
    assert lines[at + 1] == "      case 2, leap years: result: 3 instead of 4"
    assert lines[at + 2] == "      You forgot the last one."
    assert "  cell 7 was left out: SyntaxError" in lines
    assert lines[-2].startswith("  7 of 10 points.") and lines[-1].endswith("1 exercise is not yet right.")


def test_a_drawing_that_is_not_beside_the_notebook_is_named(tmp_path):
    def shown(plain):
        for cell in plain["cells"]:  # nothing else is shown
            cell["source"] = re.sub(r"\]\((figures|explorables)/", "](other/", "".join(cell["source"]))
        plain["cells"][0]["source"] = "# Start\n![a head](figures/head.svg), [dice](explorables/dice.html)"

    path = written(tmp_path, change=shown)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "head.svg").write_text("")
    report = validate.examine(path, FakeGrader())
    assert report.ready and "  Not beside this notebook, and so not shown: explorables/dice.html." in str(report)
    (tmp_path / "explorables").mkdir()
    (tmp_path / "explorables" / "dice.html").write_text("")
    assert "Not beside" not in str(validate.examine(path, FakeGrader()))


def test_every_status_has_its_words(tmp_path):
    states = ["not written", "missing", "time up", "crashed"]
    entry = {"cell": None, "reason": "so it is"}
    entries = {id: RIGHT | entry | {"status": status} for id, status in zip(IDS, states)}
    lines = str(validate.examine(written(tmp_path), FakeGrader(entries))).splitlines()
    rows = [line.split("  ")[1].removeprefix("✗ ") for line in lines if line.startswith("  ✗")]
    assert rows == ["not written", "not found", "time up", "crashed"]
    assert lines.count("      so it is") == 3, "the words 'not written' say enough"
    assert lines[-2].startswith("  0 of 10 points.") and lines[-1].endswith("4 exercises are not yet right.")


def test_a_value_is_wrong_without_a_case(tmp_path):
    entry = WRONG | {"hint": "", "failed": {"number": 1, "what": "your answer", "inputs": []}}
    lines = str(validate.examine(written(tmp_path), FakeGrader({IDS[0]: entry}))).splitlines()
    assert lines[3] == "      result: 3 instead of 4" and lines[4].startswith("  ✓")


def test_the_points_are_those_of_the_release_and_practice_does_not_count(tmp_path):
    path = written(tmp_path, points={IDS[0]: 5, IDS[1]: 0, IDS[2]: 0.5, IDS[3]: 0})
    report = validate.examine(path, FakeGrader({IDS[1]: WRONG}))
    assert report.ready
    lines = str(report).splitlines()
    assert "  – wrong        practice   writing.probabilities (cell 3)" in lines
    assert "  ✓ right        practice   writing.loop (cell 3)" in lines
    assert lines[-2].startswith("  5.5 of 5.5 points.")


def test_what_is_asked_is_known_though_cells_are_lost(tmp_path):
    def lose(plain):
        plain["cells"] = [cell for cell in plain["cells"] if "nbgrader" not in cell["metadata"]]

    grader = FakeGrader()
    validate.examine(written(tmp_path, points={IDS[0]: 5}, change=lose), grader)
    assert grader.asked == IDS


@pytest.mark.parametrize(
    "asked",
    [None, [], 3, "x", [3], [{"exercise": 3, "points": 1}], [{"exercise": "a.b"}], [{"exercise": [], "points": 1}]],
)
def test_without_the_metadata_the_lecture_of_that_name_tells(asked, tmp_path):
    def forget(plain):
        plain["metadata"]["course"] = {"asked": asked}

    grader = FakeGrader()
    report = validate.examine(written(tmp_path, name="ada_00_start_here (1).ipynb", change=forget), grader)
    assert grader.asked == IDS
    assert [asked.exercise for asked, entry in report.entries if entry["status"] == "missing"] == [OPEN]
    with pytest.raises(CourseError, match="no exercise of this course is in it"):
        validate.examine(written(tmp_path, change=forget), grader)


def test_an_exercise_that_this_course_does_not_have(tmp_path, monkeypatch):
    def newer(plain):
        plain["metadata"]["course"]["asked"].append({"exercise": "future.exam", "points": 2})

    grader = FakeGrader()
    report = validate.examine(written(tmp_path, change=newer), grader)
    assert grader.asked == IDS and not report.ready and "update the course" in str(report)
    monkeypatch.setattr(registry, "RETIRED", ("future.exam",))
    assert "the course has retired it" in str(validate.examine(written(tmp_path, change=newer), grader))


def test_a_file_under_a_former_name_is_still_its_lecture(tmp_path, grader):
    edition = student_edition(load(NOTEBOOKS / "04_mlm_masking.ipynb"), "04_mlm_masking.ipynb")
    asked = [each["exercise"] for each in edition.metadata.pop("course")["asked"] if not each.get("manual")]
    (tmp_path / "03_mlm_masking.ipynb").write_text(text_of(edition))
    entries = validate.examine(tmp_path / "03_mlm_masking.ipynb", grader).entries
    assert {each["id"]: each["status"] for asked, each in entries if not asked.manual} == dict.fromkeys(asked, "right")
    assert grader.asked[: len(asked)] == asked and "mlm.loss" in asked  # found by the file's former name alone


@pytest.mark.parametrize("points", [10**400, float("inf"), float("nan"), -1, 10**6 + 1, "2", None, True])
def test_points_that_are_none_are_a_finding(points, tmp_path):
    def spoil(plain):
        plain["metadata"]["course"]["asked"][1]["points"] = points

    grader = FakeGrader()
    report = validate.examine(written(tmp_path, change=spoil), grader)
    lines = str(report).splitlines()
    at = lines.index(f"  ✗ unknown      ? of ?     {IDS[1]}")
    assert lines[at + 1].startswith("      its points in this file are not a valid number") and not report.ready
    assert lines[-2].startswith("  7 of 7 points.") and lines[-1].endswith("1 exercise is not yet right.")
    assert grader.asked == [IDS[0], *IDS[2:]]


def test_nothing_that_a_terminal_obeys_is_printed_and_the_next_file_is_looked_at(tmp_path, grader, capsys):
    ids = ["\ud800", "a\x1b[2J\x1b]0;title\x07", "b\n  ✓ right        2 of 2     c\u202e", IDS[0]]

    def ask(plain):
        plain["metadata"]["course"]["asked"] = [{"exercise": id, "points": 1} for id in ids]

    odd = written(tmp_path, name="odd\x1b[31m\udcff.ipynb", change=ask)
    none, good = tmp_path / "none\x1b[31m.ipynb", written(tmp_path)
    assert cli.main(["validate", str(odd), str(none), str(good)]) == 1
    out, err = capsys.readouterr()
    assert all(line.isprintable() for line in (out + err).splitlines())
    assert "odd�[31m�.ipynb, as it was" in out and "a�[2J�]0;title�" in out and "none�[31m.ipynb" in err
    assert out.count("\n  ✓ right ") == 5 and "my work.ipynb, as it was saved" in out
    validate.validate(str(odd))
    grader.grade = lambda *asked: (_ for _ in ()).throw(ValueError("\x1b[2J\ud800"))
    validate.validate(str(good))
    said = capsys.readouterr().out
    assert all(line.isprintable() for line in said.splitlines()) and "ValueError: �[2J�" in said


def written_answer(tmp_path, source=None, marks=None):
    """A file with the written answer `report.why`, its text `source`, or as it was released."""

    def change(plain):
        cell = next(cell for cell in plain["cells"] if cell["id"] == "why")
        cell["source"] = cell["source"] if source is None else source
        cell["metadata"] = cell["metadata"] if marks is None else marks

    usual = dict(zip(IDS, (1, 3, 2, 4))) | {"report.why": 6}
    return written(tmp_path, points=usual, change=change, source=with_written_answer(tmp_path))


@pytest.mark.parametrize(
    "source, marks, row",
    [
        (None, None, "  ✗ not written  0 of 6     report.why"),
        ("  \n", None, "  ✗ not written  0 of 6     report.why"),
        ("Because.", None, "  ✓ written      ? of 6     report.why"),
        ("Because.", {}, "  ✗ not found    0 of 6     report.why"),
    ],
)
def test_a_written_answer_is_there_or_not(source, marks, row, tmp_path):
    grader = FakeGrader({"report.why": RIGHT | {"status": "manual", "cell": None}})
    report = validate.examine(written_answer(tmp_path, source, marks), grader)
    lines = str(report).splitlines()
    assert row in lines and report.ready == row.startswith("  ✓")
    assert lines[-3].startswith("  10 of 10 points.") and lines[-2].startswith("  A person gives up to 6 more")


def test_no_check_becomes_a_written_answer(tmp_path):
    def claim(plain):
        for cell in plain["cells"]:
            cell["metadata"].get("nbgrader", {}).update(grade=True, solution=True)

    grader = FakeGrader()
    validate.examine(written(tmp_path, change=claim), grader)
    assert grader.submission.written == {}


@pytest.mark.parametrize(
    "content, words", [(b"", "empty"), (b"{", "incomplete"), (b"\xff", "UTF-8"), (b"[]", "notebook")]
)
def test_a_broken_file_is_named(content, words, tmp_path):
    path = tmp_path / "00_start_here.ipynb"
    path.write_bytes(content)
    report = validate.examine(path, FakeGrader())
    assert not report.ready and "The grader cannot read it" in str(report) and words in report.problem
    other = path.rename(tmp_path / "notes.txt")
    with pytest.raises(CourseError, match="notes.txt: "):
        validate.examine(other, FakeGrader())


def test_a_link_to_the_notebook_will_do(tmp_path):
    (tmp_path / "link.ipynb").symlink_to(written(tmp_path))
    assert validate.examine(tmp_path / "link.ipynb", FakeGrader()).ready


def test_the_time_is_that_of_the_file(tmp_path):
    path = written(tmp_path)
    os.utime(path, (0, 1_000_000))
    shown = time.strftime("%Y-%m-%d at %H:%M:%S", time.localtime(1_000_000))
    assert shown in str(validate.examine(path, FakeGrader()))


@pytest.fixture
def grader(monkeypatch):
    """The fake in the place of the grader, which tests of the command and the cell do not need."""
    fake = FakeGrader()
    monkeypatch.setattr(judging, "Grader", lambda key: fake if key is None else pytest.fail("a secret key"))
    return fake


def test_the_command_looks_at_every_file(tmp_path, grader, monkeypatch, capsys):
    good = written(tmp_path)
    assert cli.main(["validate", str(good)]) == 0 and grader.closed
    broken = written(tmp_path, name="second.ipynb")
    grader.entries = {IDS[0]: WRONG}
    assert cli.main(["validate", str(tmp_path / "none.ipynb"), str(tmp_path), str(broken)]) == 1
    out, err = capsys.readouterr()
    none = f"course: there is no file {tmp_path}/none.ipynb"
    assert err.splitlines() == [none, f"course: {tmp_path} is a folder"]
    assert "second.ipynb, as it was saved" in out
    grader.entries = {}
    assert cli.main(["validate", str(tmp_path / "none.ipynb"), str(good)]) == 1, "one at fault is enough"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli.main(["validate", "~/my work.ipynb", str(good)]) == 0


def test_the_command_needs_a_file(capsys):
    with pytest.raises(SystemExit):
        cli.main(["validate"])
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    assert "exit code is 0" in command.EXAMPLES.lower()


def test_the_cell_prints_what_the_command_prints(tmp_path, grader, monkeypatch, capsys):
    path = written(tmp_path)
    monkeypatch.chdir(tmp_path)
    validate.validate("my work.ipynb")
    assert capsys.readouterr().out == f"{validate.examine(path, grader)}\n"


def test_the_cell_never_raises(tmp_path, grader, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    validate.validate("00_start_here.ipynb")
    assert "There is no 00_start_here.ipynb in this folder. Save your notebook" in capsys.readouterr().out
    (tmp_path / "notes.ipynb").write_text("{}")
    validate.validate("notes.ipynb")
    assert capsys.readouterr().out.startswith("The grader finds nothing: notes.ipynb: ")
    monkeypatch.setattr(grader, "grade", lambda *asked: 1 / 0)
    written(tmp_path)
    validate.validate("my work.ipynb")
    assert "not because of your notebook (ZeroDivisionError" in capsys.readouterr().out
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    validate.validate("my work.ipynb")
    assert "nbgrader is grading" in capsys.readouterr().out


def test_where_no_answer_can_be_run_the_command_fails(tmp_path, grader, monkeypatch, capsys):
    def fail(*asked):
        raise CourseError("the process in which answers run cannot be started")

    monkeypatch.setattr(grader, "grade", fail)
    assert cli.main(["validate", str(written(tmp_path))]) == 1
    assert "cannot be started" in capsys.readouterr().err


def test_the_real_grader_says_the_same(tmp_path, capsys):
    """One server for two files: all right, and one answer of each kind."""
    (tmp_path / "my work").mkdir()
    answers = right_answers()
    good = written(tmp_path / "my work", name=YEARS.name, change=lambda plain: solved(plain, answers))

    def spoil(plain):
        wrong = {IDS[0]: "token_count = 3", IDS[1]: "def my_probabilities(logits, temperature):\n    return 'x'"}
        solved(plain, answers | wrong)
        plain["cells"] = [c for c in plain["cells"] if c["metadata"].get("course") != {"exercise": IDS[2]}]
        plain["cells"].insert(5, {"cell_type": "code", "source": "x = = 3", "id": "odd", "metadata": {}})

    bad = written(tmp_path, change=spoil)
    assert cli.main(["validate", str(good), str(bad)]) == 1
    first, second = capsys.readouterr().out.split("\n\nmy work.ipynb,")
    assert "10 of 10 points" in first and "Ready to hand in" in first
    assert "✗ wrong        0 of 1     start.token_count (cell " in second
    assert "✗ wrong        0 of 3     writing.probabilities (cell " in second and "case 1, " in second
    assert "✗ not found    0 of 2     writing.draw" in second
    assert "nothing in the file defines my_draw" in second
    assert "✓ right        4 of 4     writing.loop" in second
    assert "cell 6" in second and "SyntaxError" in second


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_student_edition_asks_for_its_exercises(path):
    edition = parse(text_of(student_edition(load(path), path.name)), path.name)
    asked = validate._read_asked(edition.metadata["course"]["asked"])
    assert asked and all(each.points > 0 for each in asked)
    assert edition.cells[-1].source.endswith(f'validate("{path.name}")')
