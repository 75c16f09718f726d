"""The gradebook: points follow from statuses, and a CSV that no spreadsheet computes."""

import csv
import io
import json

import pytest

from lib.errors import CourseError
from lib.grading.results.gradebook import (
    Gradebook,
    Item,
    defused,
    grades_csv,
    grades_json,
    page_name,
)
from lib.grading.results.manual import EXCERPT, Filled, manual_csv, read_manual

LOSS = Item("03.ipynb", "mlm.loss", "The loss", ("C22",), 3)
MASK = Item("03.ipynb", "mlm.mask_tokens", "Masking", ("C21",), 2.5)
ESSAY = Item("11.ipynb", "report.q2", "In your words", ("T10",), 4, manual=True)


def result(student, notebook="03.ipynb", problem="", **statuses):
    exercises = [{"id": id.replace("__", "."), "status": status} for id, status in statuses.items()]
    return {
        "format": 1, "student": student, "notebook": notebook, "file": f"{student}/{notebook}", "sha256": "0",
        "problem": problem, "notes": [], "exercises": exercises,
    }  # fmt: skip


def book_of(*results, manual=None, students=()):
    by_key = {(r["student"], r["notebook"]): r for r in results}
    everyone = tuple(sorted({*students, *(r["student"] for r in results)}))
    return Gradebook((LOSS, MASK, ESSAY), everyone, by_key, manual or {})


def rows(book):
    return list(csv.reader(io.StringIO(grades_csv(book))))


def test_only_what_is_right_has_points():
    book = book_of(
        result("ada", mlm__loss="right", mlm__mask_tokens="right"),
        result("bob", mlm__loss="wrong", mlm__mask_tokens="right"),
        result("cem", mlm__loss="time up", mlm__mask_tokens="crashed"),
    )
    assert [book.total(student) for student in book.students] == [5.5, 2.5, 0]
    assert book.out_of == 9.5
    assert book.points("ada", LOSS) == 3 and type(book.points("ada", LOSS)) is int


def test_what_is_not_there_has_a_status_too():
    book = book_of(result("ada", problem="not JSON"), result("bob", mlm__loss="right"), students=["cem"])
    assert [book.status(student, LOSS) for student in book.students] == [
        "unreadable",
        "right",
        "not submitted",
    ]
    assert book.status("bob", MASK) == "missing" and book.entry("bob", MASK) is None
    assert book.status("bob", ESSAY) == "not submitted"
    assert book.entry("bob", LOSS) == {"id": "mlm.loss", "status": "right"}


def test_a_written_answer_has_the_points_that_a_person_gave():
    submitted = [result(name, "11.ipynb", report__q2="manual") for name in ("ada", "bob")]
    book = book_of(*submitted, manual={("ada", "report.q2"): 3.5})
    assert [book.points(student, ESSAY) for student in book.students] == [3.5, 0]
    assert [book.awaits(student, ESSAY) for student in book.students] == [False, True]
    assert [row[3] for row in rows(book) if row[2] == "report.q2"] == ["3.5", ""]
    given = [each["points"] for s in json.loads(grades_json(book))["students"].values() for each in s["exercises"]]
    assert given == [0, 0, 3.5, 0, 0, None]


def test_the_csv_has_a_row_for_each_student_and_exercise():
    book = book_of(result("ada", mlm__loss="right", mlm__mask_tokens="wrong"), students=["bob"])
    assert rows(book) == [
        ["student", "notebook", "exercise", "points", "status"],
        ["ada", "03.ipynb", "mlm.loss", "3", "right"],
        ["ada", "03.ipynb", "mlm.mask_tokens", "0", "wrong"],
        ["ada", "11.ipynb", "report.q2", "0", "not submitted"],
        ["bob", "03.ipynb", "mlm.loss", "0", "not submitted"],
        ["bob", "03.ipynb", "mlm.mask_tokens", "0", "not submitted"],
        ["bob", "11.ipynb", "report.q2", "0", "not submitted"],
    ]


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", " =1", *"＝＋－＠"])
def test_a_name_that_looks_like_a_formula_is_defused(name):
    assert defused(name) == "'" + name
    assert rows(book_of(result(name, mlm__loss="right")))[1][0] == "'" + name


def test_commas_quotes_and_line_ends_in_a_name_stay_in_its_cell():
    assert {row[0] for row in rows(book_of(students=['a,"b"\nc\r=1']))[1:]} == {'a,"b" c =1'}
    assert defused("\t=1\0") == "' =1 "
    assert defused("a\x7fb\x9fc\u2028d\u2029e") == "a b c d e" and defused("a=1") == "a=1"


def test_the_json_has_every_detail_and_the_points():
    graded = result("ada", mlm__loss="right")
    graded["exercises"][0] |= {"cell": 4, "reason": "", "failed": None}
    graded["notes"] = ["cell 7 was left out"]
    details = json.loads(grades_json(book_of(graded)))
    ada = details["students"]["ada"]
    assert (details["format"], details["out_of"], ada["points"]) == (1, 9.5, 3)
    assert ada["exercises"][0] == {
        "notebook": "03.ipynb", "exercise": "mlm.loss", "points": 3, "out_of": 3, "status": "right",
        "cell": 4, "reason": "", "failed": None,
    }  # fmt: skip
    assert ada["submissions"] == [
        {"notebook": "03.ipynb", "file": "ada/03.ipynb", "sha256": "0", "problem": "", "notes": ["cell 7 was left out"]}
    ]


def test_who_has_no_written_answer_awaits_nothing():
    """Of a file that cannot be read, or has no cell for it, nothing is to be graded by hand."""
    book = book_of(result("ada", "11.ipynb", report__q2="missing"), result("bob", "11.ipynb", problem="x"))
    assert [book.awaits(student, ESSAY) for student in book.students] == [False, False]
    assert [row[3] for row in rows(book) if row[2] == "report.q2"] == ["0", "0"]
    given = book_of(result("ada", "11.ipynb", report__q2="missing"), manual={("ada", "report.q2"): 0})
    assert not given.awaits("ada", ESSAY) and given.points("ada", ESSAY) == 0
    zero = book_of(result("ada", "11.ipynb", report__q2="manual"), manual={("ada", "report.q2"): 0})
    assert not zero.awaits("ada", ESSAY), "nothing is a number of points too"


@pytest.mark.parametrize("points, own", [("0", 0), ("4", 4), ("4,0", 4), (" 2.5 ", 2.5), ("0.000001", 1e-6)])
def test_points_from_nothing_to_the_maximum_are_read(tmp_path, points, own):
    path = tmp_path / "manual.csv"
    path.write_text(f'student,exercise,points\nada,report.q2,"{points}"\n')
    filled = read_manual(path, [LOSS, ESSAY], ["ada"])
    assert filled.points == {("ada", "report.q2"): own} and type(filled.points["ada", "report.q2"]) is type(own)


@pytest.mark.parametrize("points", ["4.000001", "٣", "1_0", "+1", "0.0000001", "1000000", ".5", "1."])
def test_other_points_are_none(tmp_path, points):
    path = tmp_path / "manual.csv"
    path.write_text(f"student,exercise,points\nada,report.q2,{points}\n")
    with pytest.raises(CourseError, match="line 2: points must be a number from 0 to 4"):
        read_manual(path, [ESSAY], ["ada"])


def test_a_remark_without_points_is_kept_and_a_semicolon_in_an_answer_parts_nothing(tmp_path):
    path = tmp_path / "manual.csv"
    path.write_text("student,exercise,points,answer,remark\nada,report.q2,,a; b; c,see me\nbob,report.q2,,x,\n")
    filled = read_manual(path, [ESSAY], ["ada", "bob"])
    assert filled.points == {} and list(filled.rows) == [("ada", "report.q2")]
    book = book_of(*(result(s, "11.ipynb", report__q2="manual") for s in ("ada", "bob")))
    table = list(csv.DictReader(io.StringIO(manual_csv(book, filled))))
    assert [(row["student"], row["points"], row["remark"]) for row in table] == [("ada", "", "see me"), ("bob", "", "")]


def test_what_a_person_has_given_stays_in_the_table_though_the_answer_is_gone():
    """A student may hand in again without the cell: the points that were given for it are not thrown away."""
    book = book_of(result("ada", "11.ipynb", report__q2="missing"), result("bob", "11.ipynb", report__q2="missing"))
    row = {"student": "ada", "exercise": "report.q2", "points": "3"}
    filled = Filled({("ada", "report.q2"): 3}, {("ada", "report.q2"): row})
    table = list(csv.DictReader(io.StringIO(manual_csv(book, filled))))
    assert [(each["student"], each["points"]) for each in table] == [("ada", "3")]


@pytest.mark.parametrize("length, shown", [(EXCERPT, "a" * EXCERPT), (EXCERPT + 1, "a" * (EXCERPT - 1) + "…")])
def test_a_long_answer_is_shown_by_its_beginning(length, shown):
    graded = result("ada", "11.ipynb", report__q2="manual")
    graded["exercises"][0]["answer"] = "a" * length
    (row,) = csv.DictReader(io.StringIO(manual_csv(book_of(graded), Filled())))
    assert row["answer"] == shown


def test_no_written_answer_needs_no_table():
    assert manual_csv(book_of(result("ada", mlm__loss="right")), Filled()) == ""


def test_a_page_is_called_like_its_student_or_like_nobody_else():
    for name in ["ada", "Ada", "ada lovelace", "josé", "a.b+c@d-e_f", "李"]:
        assert page_name(name) == name
    hostile = [
        "..",
        "../ada",
        "a/b",
        "a\\b",
        "",
        ".hidden",
        "-rf",
        "jose\u0301",
        "x" * 300,
        "a\x00b",
        "\udcff",
    ]
    names = [page_name(name) for name in hostile]
    assert len(set(names)) == len(names)
    for name in names:
        assert len(name.encode()) < 200 and name[0] not in ".-" and not set("/\\\0") & set(name)


def test_points_of_a_person_count_for_her_question_alone():
    """Not for an exercise that is graded by cases, nor for another student's or another question's answer."""
    other = Item("11.ipynb", "report.q3", "More words", ("T10",), 2, manual=True)
    results = [result(s, "11.ipynb", report__q2="manual", report__q3="manual") for s in ("ada", "bob")]
    results.append(result("ada", mlm__loss="wrong"))
    by_key = {(r["student"], r["notebook"]): r for r in results}
    manual = {("ada", "report.q2"): 3.5, ("ada", "mlm.loss"): 3, ("bob", "report.q3"): 0}
    book = Gradebook((LOSS, ESSAY, other), ("ada", "bob"), by_key, manual)
    assert [[book.points(s, item) for item in book.items] for s in book.students] == [[0, 3.5, 0], [0, 0, 0]]
    assert [[book.awaits(s, item) for item in book.items] for s in book.students] == [
        [False, False, True], [False, True, False],
    ]  # fmt: skip
    assert book.total("ada") == 3.5 and book.out_of == 9


def test_an_exercise_is_looked_up_in_its_own_notebook():
    """The same id in another file of the student is another answer."""
    twice = [result("ada", "03.ipynb", mlm__loss="wrong"), result("ada", "11.ipynb", mlm__loss="right")]
    book = book_of(*twice)
    assert book.status("ada", LOSS) == "wrong" and book.points("ada", LOSS) == 0


def test_totals_of_decimal_points_are_exact():
    tenths = tuple(Item("03.ipynb", f"a.e{n}", "", (), 0.1) for n in range(10))
    graded = result("ada", **{f"a__e{n}": "right" for n in range(10)})
    book = Gradebook(tenths, ("ada",), {("ada", "03.ipynb"): graded})
    assert book.total("ada") == book.out_of == 1


def test_columns_of_ones_own_are_kept_for_every_row_that_has_them(tmp_path):
    path = tmp_path / "manual.csv"
    path.write_text("exercise,student,remark,points,mood\nreport.q2,bob,late,,\nreport.q2,ada,,2,:)\n")
    filled = read_manual(path, [ESSAY], ["ada", "bob"])
    assert filled.points == {("ada", "report.q2"): 2}
    book = book_of(*(result(s, "11.ipynb", report__q2="manual") for s in ("ada", "bob", "cem")))
    table = list(csv.DictReader(io.StringIO(manual_csv(book, filled))))
    assert [(row["student"], row["points"], row["remark"], row["mood"]) for row in table] == [
        ("ada", "2", "", ":)"), ("bob", "", "late", ""), ("cem", "", "", ""),
    ]  # fmt: skip
    (tmp_path / "again.csv").write_text(manual_csv(book, filled))
    again = read_manual(tmp_path / "again.csv", [ESSAY], ["ada", "bob", "cem"])
    assert again.points == filled.points and manual_csv(book, again) == manual_csv(book, filled)


def test_a_question_that_was_dropped_keeps_no_row_unless_something_was_filled_in(tmp_path):
    path = tmp_path / "manual.csv"
    path.write_text("student,exercise,points\nada,report.q1,\n")
    assert read_manual(path, [ESSAY], ["ada"]) == Filled()
    path.write_text("student,exercise,points\nada,report.q1,1\n")
    with pytest.raises(CourseError, match="'report.q1' is not a written answer here"):
        read_manual(path, [ESSAY], ["ada"])
