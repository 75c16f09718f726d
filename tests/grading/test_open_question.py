"""An open question from the lecture to the points: nothing leaks, nothing that was written is lost."""

import csv
import json
import shutil

import pytest

from lib.course import cli
from lib.grading.assignment import questions as asking
from lib.grading.assignment.asked import of_release
from lib.grading.assignment.questions import own_words, questions
from lib.lectures.edition import PROMPT, TEXT_BEGIN
from lib.lectures.new import PLACEHOLDER
from lib.lectures.new.lecture import new_lecture
from lib.lectures.notebooks import load, text_of
from lib.lectures.work_folder import write_editions

ID = "trial.explain"
CELL = "trial-explain"
MODEL, RUBRIC = "Because the control differs.", "names a control"
WORDS = "I think <b>because</b> of the control."


def made(folder):
    """A lecture with one open question."""
    path = new_lecture("77_trial", folder)
    text = path.read_text().replace("FILL IN: a model answer.", MODEL)
    text = text.replace("FILL IN: what earns the first point", RUBRIC)
    path.write_text(text.replace(f"{PLACEHOLDER}: ", "").replace(PLACEHOLDER, "Why?"))
    return path


@pytest.fixture
def lecture(tmp_path, monkeypatch):
    """That lecture, where the course has its lectures."""
    path = made(tmp_path / "notebooks")
    monkeypatch.setattr(asking, "NOTEBOOKS", path.parent)
    return path


def write_answer(path, text, **more):
    """Write `text` in place of the prompt, or what `more` says in further cells with the same metadata."""
    notebook = load(path)
    place = next(number for number, cell in enumerate(notebook.cells) if cell.id == CELL)
    cell = notebook.cells[place]
    assert PROMPT in cell.source
    cell.source = cell.source.replace(PROMPT, text)
    for id, source in more.items():
        notebook.cells.insert(place + 1, type(cell)(cell | {"id": id, "source": source}))
    path.write_text(text_of(notebook))


def row(path):
    with open(path, encoding="utf-8", newline="") as file:
        return {each["student"]: each for each in csv.DictReader(file) if each["exercise"] == ID}


def test_a_student_sees_the_question_alone_and_is_told_where_to_write(lecture, tmp_path, capsys):
    write_editions([lecture], tmp_path / "work")
    mine = tmp_path / "work" / lecture.name
    (cell,) = [cell for cell in load(mine).cells if cell.id == CELL]
    assert cell.source.startswith("### Open question: Why?") and cell.source.endswith(PROMPT)
    assert not [word for word in (MODEL, RUBRIC, "Rubric", "SOLUTION") if word in mine.read_text()]
    assert cli.main(["validate", str(mine)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"  ✗ not written  0 of 3     {ID}" in lines
    assert "      write it into the cell of the question itself, in place of *Write your answer here.*" in lines
    write_answer(mine, WORDS)
    assert cli.main(["validate", str(mine)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"  ✓ written      ? of 3     {ID}" in lines and "      a person grades it" in lines


def test_an_update_takes_nothing_of_what_was_written(lecture, tmp_path):
    write_editions([lecture], tmp_path / "work")
    mine = tmp_path / "work" / lecture.name
    write_answer(mine, WORDS)
    before = mine.read_bytes()
    lecture.write_text(lecture.read_text().replace(MODEL, "Another model.").replace("## Summary", "## In short"))
    result = write_editions([lecture], tmp_path / "work")[0]  # the drawings that it shows come behind it
    assert result.action == "beside" and mine.read_bytes() == before
    assert WORDS not in result.path.read_text() and MODEL not in result.path.read_text()


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """Graded: what ada wrote, bob left empty, cem wrote into two cells, and dan instead of the question."""
    tmp_path = tmp_path_factory.mktemp("class")
    lecture = made(tmp_path / "notebooks")
    assert cli.main(["release", str(lecture), "--out", str(tmp_path / "release")]) == 0
    released = (tmp_path / "release" / lecture.name).read_text()
    for student in ("ada", "bob", "cem", "dan"):
        path = tmp_path / "in" / student / lecture.name
        path.parent.mkdir(parents=True)
        path.write_text(released)
    write_answer(tmp_path / "in" / "ada" / lecture.name, WORDS)
    write_answer(tmp_path / "in" / "cem" / lecture.name, "First.", second="Second.")
    dan = tmp_path / "in" / "dan" / lecture.name
    notebook = load(dan)
    next(cell for cell in notebook.cells if cell.id == CELL).source = "Only my words."
    dan.write_text(text_of(notebook))
    (tmp_path / "key").write_text("5e" * 32)
    (tmp_path / "key").chmod(0o600)
    options = {"--out": tmp_path / "out", "--release": tmp_path / "release", "--key": tmp_path / "key", "--jobs": 1}
    assert cli.main(["grade", str(tmp_path / "in"), *(str(word) for pair in options.items() for word in pair)]) == 0
    return tmp_path


@pytest.fixture
def graded(once, lecture, tmp_path):
    """A copy of that grading, published again with the lecture at hand."""
    for name in ("out", "release"):
        shutil.copytree(once / name, tmp_path / name)
    assert cli.main(["regrade-points", str(tmp_path / "out")]) == 0
    return tmp_path / "out"


def test_it_is_graded_by_hand_beside_its_rubric(graded, tmp_path):
    grades = row(graded / "grades.csv")
    assert {name: (each["status"], each["points"]) for name, each in grades.items()} == {
        "ada": ("manual", ""), "bob": ("not written", "0"), "cem": ("manual", ""), "dan": ("manual", ""),
    }  # fmt: skip
    by_hand = row(graded / "manual.csv")
    assert {name: each["answer"] for name, each in by_hand.items()} == {
        "ada": WORDS, "cem": "First.  Second.", "dan": "Only my words.",
    }  # fmt: skip
    page = (graded / "written.html").read_text()
    assert MODEL in page and RUBRIC in page and page.index(RUBRIC) < page.index("ada: not yet of 3")
    assert "I think &lt;b&gt;because&lt;/b&gt; of the control." in page and "<script" not in page
    assert "Nothing written: bob." in page
    ada, bob = ((graded / "students" / f"{name}.html").read_text() for name in ("ada", "bob"))
    assert "A person reads this answer. Its points are still to come." in ada and "of the control." in ada
    assert "written answers worth another 3 have not been graded yet" in ada
    assert "Nothing is written in the cell of the question." in bob and "0 of 3" in bob
    for student in (graded / "students").iterdir():
        assert MODEL not in student.read_text() and RUBRIC not in student.read_text()

    text = (graded / "manual.csv").read_text().replace(f"{ID},,3,{WORDS}", f"{ID},2,3,{WORDS}")
    (graded / "manual.csv").write_text(text)
    assert cli.main(["regrade-points", str(graded)]) == 0
    assert row(graded / "grades.csv")["ada"]["points"] == "2"
    assert "A person has read this answer." in (graded / "students" / "ada.html").read_text()
    assert "ada: 2 of 3" in (graded / "written.html").read_text()


def test_a_grading_of_before_has_no_questions_and_can_be_read(graded):
    record = json.loads((graded / "assignment.json").read_text())
    (asked,) = record["exercises"]
    assert len(asked["definition"]) == 64
    asked["definition"] = ""  # as it was
    (graded / "assignment.json").write_text(json.dumps(record))
    assert cli.main(["regrade-points", str(graded)]) == 0


def test_what_no_lecture_has_has_no_rubric_and_is_shown_whole(graded, lecture, tmp_path):
    items = of_release(tmp_path / "release").items
    assert questions(items)[ID].model.startswith(MODEL) and TEXT_BEGIN not in questions(items)[ID].asked
    lecture.unlink()
    assert questions(items) == {}
    assert cli.main(["regrade-points", str(graded)]) == 0
    page = (graded / "written.html").read_text()
    assert "has no such question" in page and "### Open question" in page and RUBRIC not in page


def test_own_words_are_never_cut_where_the_question_was_changed():
    question = asking.Question("### Why?\n\n", "A model.")
    assert own_words(f"### Why?\n\n{PROMPT}", question) == ""
    assert own_words("### Why?\n\nBecause.", question) == "Because."
    assert own_words("### Why not?\n\nBecause.", question) == "### Why not?\n\nBecause."
    assert own_words("Because.", None) == "Because."
