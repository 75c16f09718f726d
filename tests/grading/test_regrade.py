"""Points change, by hand or by release, and nothing is graded again."""

import csv
import json

import pytest

from lib.course import cli
from lib.exercises import get
from lib.grading.assignment.asked import Assignment, of_release
from lib.grading.assignment.graded import definition_hash
from lib.grading.assignment.item import Item
from lib.grading.intake.submission import NotTaken
from lib.grading.judging.entry import FORMAT, entry
from lib.grading.reports import class_report
from lib.grading.results.store import Planned, Record, Store

NOTEBOOK = "00_start_here.ipynb"
IDS = ["start.token_count", "writing.loop"]
ESSAY = "report.q2"


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """The class report draws for a second; here it is a list of names."""
    monkeypatch.setattr(class_report, "class_page", lambda book: "\n".join(book.students))


@pytest.fixture
def out(tmp_path):
    """A grading of two exercises and a written answer, by ada, =bob and a cem who left the last one out."""
    items = [Item(NOTEBOOK, id, "", ("C01",), 2) for id in IDS] + [Item(NOTEBOOK, ESSAY, "", (), 4, manual=True)]
    assignment = Assignment(tuple(items), {id: definition_hash(get(id)) for id in IDS}, "0" * 64)
    store = Store(tmp_path / "out")
    students = ("=bob", "ada", "cem")
    with store.held():
        planned = tuple(Planned(name, NOTEBOOK, "plan") for name in students)
        left = (NotTaken("ada", "ada/essay.pdf", "it is a PDF document"),)
        store.write_record(Record(assignment, planned, {"files": "none"}, left))
        for name in students:
            written = entry(ESSAY, "missing" if name == "cem" else "manual") | {"answer": f'My "answer",\nby {name}'}
            store.write_result(
                {
                    "format": FORMAT, "student": name, "notebook": NOTEBOOK, "file": name, "sha256": "", "problem": "",
                    "notes": [], "plan": "plan",
                    "exercises": [entry(IDS[0], "right"), entry(IDS[1], "wrong"), written],
                }
            )  # fmt: skip
    assert cli.main(["regrade-points", str(store.out)]) == 0
    return store.out


def regrade(out, *options):
    return cli.main(["regrade-points", str(out), *map(str, options)])


def table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def points(out):
    return {(row["student"], row["exercise"]): row["points"] for row in table(out / "grades.csv")}


def fill_in(out, text, points):
    """What a person does with the row of `text` in manual.csv."""
    rows = table(out / "manual.csv")
    for row in rows:
        if row["student"] == text:
            row["points"] = points
    save(out, rows)


def save(out, rows, **form):
    with open(out / "manual.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), **form)
        writer.writeheader()
        writer.writerows(rows)


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_other_points_change_the_grades_and_nothing_else(out, capsys):
    before = contents(out)
    assert regrade(out, "--points", f"{IDS[0]}=5") == 0
    assert points(out)["ada", IDS[0]] == "5" and points(out)["ada", IDS[1]] == "0"
    assert json.loads((out / "grades.json").read_text())["out_of"] == 11
    changed = {name for name, content in contents(out).items() if content != before[name]}
    assert {"assignment.json", "grades.csv", "grades.json"} <= changed
    assert not any(name.startswith(("results", "manual")) for name in changed)
    assert capsys.readouterr().out.splitlines()[-1] == "3 submissions, 3 exercises: grades.csv, class.html"
    after = contents(out)
    assert regrade(out) == 0 and contents(out) == after, "the points stay changed"
    left = [{"student": "ada", "file": "ada/essay.pdf", "reason": "it is a PDF document"}]
    for name in ("assignment.json", "grades.json"):
        assert json.loads(after[name])["not_taken"] == left


def test_the_points_of_a_person_count_and_are_never_overwritten(out):
    assert [(row["student"], row["points"], row["out of"]) for row in table(out / "manual.csv")] == [
        ("'=bob", "", "4"), ("ada", "", "4")
    ]  # fmt: skip
    assert table(out / "manual.csv")[1]["answer"] == 'My "answer", by ada'
    assert points(out)["ada", ESSAY] == "" and points(out)["cem", ESSAY] == "0"
    fill_in(out, "'=bob", "3.5")
    filled = (out / "manual.csv").read_text()
    for _ in range(2):
        assert regrade(out) == 0
        assert points(out)["'=bob", ESSAY] == "3.5" and points(out)["ada", ESSAY] == ""
        assert [row["points"] for row in table(out / "manual.csv")] == ["3.5", ""]
    assert (out / "manual.csv").read_text() == filled.replace("\r\n", "\n")


def test_a_spreadsheet_may_save_it_in_its_own_way(out):
    rows = [row | {"points": "2,5", "remark": "good"} for row in table(out / "manual.csv")]
    save(out, rows, delimiter=";")
    text = (out / "manual.csv").read_text()
    (out / "manual.csv").write_text("\ufeff" + text, encoding="utf-8")
    assert regrade(out) == 0
    assert points(out)["ada", ESSAY] == "2.5"
    assert [(row["points"], row["remark"]) for row in table(out / "manual.csv")] == [("2,5", "good")] * 2


@pytest.mark.parametrize(
    "text, words",
    [
        (
            "student,exercise,points\nada,report.q2,5\n",
            "line 2: points must be a number from 0 to 4, got '5'",
        ),
        (
            "student,exercise,points\nada,report.q2,-1\n",
            "line 2: points must be a number from 0 to 4, got '-1'",
        ),
        (
            "student,exercise,points\nada,report.q2,nan\n",
            "line 2: points must be a number from 0 to 4, got 'nan'",
        ),
        (
            "student,exercise,points\nada,report.q2,1e0\n",
            "line 2: points must be a number from 0 to 4, got '1e0'",
        ),
        ("student,exercise,points\n\nadda,report.q2,1\n", "line 3: no student 'adda'; did you mean ada?"),
        (
            "student,exercise,points\nada,report.q3,1\n",
            "line 2: 'report.q3' is not a written answer here; did you",
        ),
        (
            "student,exercise,points\nada,start.token_count,1\n",
            "'start.token_count' is not a written answer here",
        ),
        (
            "student,exercise,points\nada,report.q2,1\nada,report.q2,2\n",
            "line 3: report.q2 of ada already has a line above",
        ),
        (
            "student,exercise,points\nada,report.q2,1,2\n",
            "line 2: more fields than columns; put quotes around a comma",
        ),
        ("student,exercise,pionts\nada,report.q2,1\n", "needs a column 'points'; did you mean pionts?"),
        ("", "needs a column 'student'"),
        ("student,exercise,points\n\xe9", "cannot be read as a CSV file"),
    ],
)
def test_a_manual_csv_at_fault_changes_nothing(out, capsys, text, words):
    (out / "manual.csv").write_text(text, encoding="latin-1")
    before = contents(out)
    assert regrade(out, "--points", f"{IDS[0]}=5") == 1
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert contents(out) == before


def test_fewer_points_than_a_person_gave_are_an_error(out, capsys):
    fill_in(out, "ada", "4")
    assert regrade(out, "--points", f"{ESSAY}=3") == 1
    assert "points must be a number from 0 to 3, got '4'" in capsys.readouterr().err


def test_an_empty_row_of_somebody_who_is_gone_is_dropped(out):
    with open(out / "manual.csv", "a") as file:
        file.write(f"zoe,{NOTEBOOK},{ESSAY},,4,\n")
    assert regrade(out) == 0
    assert [row["student"] for row in table(out / "manual.csv")] == ["'=bob", "ada"]


def test_a_release_can_change_the_points_but_not_what_is_graded(out, tmp_path, capsys):
    manifest = {
        "format": 1,
        "students": {"zoe": {}},
        "notebooks": {NOTEBOOK: {"exercises": [
            {"id": IDS[0], "title": "", "slides": ["C01"], "points": 7, "definition": definition_hash(get(IDS[0]))},
            {"id": IDS[1], "title": "", "slides": ["C01"], "points": 0, "definition": ""},
        ]}},
    }  # fmt: skip
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest))
    assert regrade(out, "--release", tmp_path, "--points", f"{IDS[0]}=8") == 0
    assert points(out) == {
        ("'=bob", IDS[0]): "8",
        ("ada", IDS[0]): "8",
        ("cem", IDS[0]): "8",
        ("zoe", IDS[0]): "0",
    }
    manifest["notebooks"][NOTEBOOK]["exercises"][0]["id"] = "writing.probabilities"
    path.write_text(json.dumps(manifest))
    assert regrade(out, "--release", path) == 1
    assert "contains ungraded exercises: writing.probabilities; run `course grade` first" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, code, words",
    [
        (
            ["--points", "start.token_cuont=5"],
            2,
            "start.token_cuont, which is not graded here; did you mean start.t",
        ),
        (["--points", f"{IDS[0]}=0"], 2, "must be a positive number"),
        (["--release", "nowhere.json"], 1, "nowhere.json cannot be read: No such file"),
    ],
)
def test_what_cannot_work_is_one_line(out, capsys, options, code, words):
    before = contents(out)
    assert regrade(out, *options) == code
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert contents(out) == before


def test_a_grading_that_has_not_come_to_its_end_is_named(out, tmp_path, capsys):
    (out / "results" / "ada" / "00_start_here.json").unlink()
    assert regrade(out) == 1
    assert "1 results are still missing" in capsys.readouterr().err
    assert regrade(tmp_path / "nowhere") == 1
    assert "contains no grading; `course grade SUBMISSIONS --out DIR` makes one" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2}',
        '{"format": 1, "notebooks": {"a.ipynb": {"exercises": [{"points": 1}]}}}',
    ],
)
def test_what_is_no_manifest_is_not_taken_for_one(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(cli.CourseError, match="is not the manifest of a release"):
        of_release(tmp_path)


def test_a_release_without_points_is_an_error(tmp_path):
    (tmp_path / "manifest.json").write_text('{"format": 1, "notebooks": {}}')
    with pytest.raises(cli.CourseError, match="no exercise of this release has points"):
        of_release(tmp_path)
