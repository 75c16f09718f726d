"""The gradebook: points follow from statuses, and a CSV that no spreadsheet computes."""

import csv
import io
import json

import pytest

from lib.grading.results.gradebook import (
    Gradebook,
    Item,
    defused,
    grades_csv,
    grades_json,
    page_name,
)

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


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", " =1", "＝1"])
def test_a_name_that_looks_like_a_formula_is_defused(name):
    assert defused(name) == "'" + name
    assert rows(book_of(result(name, mlm__loss="right")))[1][0] == "'" + name


def test_commas_quotes_and_line_ends_in_a_name_stay_in_its_cell():
    assert {row[0] for row in rows(book_of(students=['a,"b"\nc\r=1']))[1:]} == {'a,"b" c =1'}
    assert defused("\t=1\0") == "' =1 "


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
