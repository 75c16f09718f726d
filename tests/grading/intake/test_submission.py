"""Files of strangers: each is found once, named safely, read or refused in words; none stops the others."""

import json
import os
import random
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.errors import CourseError
from lib.grading.assignment.roster import folder_name
from lib.grading.intake import file_names, submission
from lib.grading.intake.file_names import safe_students, student_of, which_notebook
from lib.grading.intake.submission import Found, load_submission, read_folder, read_submission
from lib.grading.worker import protocol
from lib.lectures.edition import STUB, STUB_VALUE
from lib.lectures.notebooks import all_notebooks
from lib.lectures.renamed import RENAMED, all_names

MASKING, LOSS = "04_mlm_masking.ipynb", "06_autoregressive_objective.ipynb"
BOTH = {MASKING: ["mlm.loss", "mlm.mask_tokens"], LOSS: ["chain.terms", "autoregressive.loss"]}
CHECK = {"grade": True, "solution": False}
ANSWER = {"grade": False, "solution": True}
MANUAL = {"grade": True, "solution": True}


def code(source="x = 1", exercise=None, marks=None, **changes):
    metadata = {"course": {"exercise": exercise}, "nbgrader": marks or ANSWER} if exercise else {}
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": []} | changes


def made(*cells, **changes):
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)} | changes


def write(path, content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content or made(code())).encode())
    return path


def read(content, **changes):
    found = Found("ada", MASKING, Path("unread.ipynb"), **changes)
    return read_submission(found, content if isinstance(content, bytes) else json.dumps(content).encode())


def find_submissions(folder, notebooks):
    """Only what is taken."""
    return list(read_folder(folder, notebooks).found)


def left_of(folder, notebooks=BOTH):
    return [(each.student, each.file, each.reason) for each in read_folder(folder, notebooks).not_taken]


def rows(folder, notebooks=BOTH):
    return [(one.student, one.notebook, one.file) for one in find_submissions(folder, notebooks)]


# What a file holds


def test_code_cells_come_with_their_number_and_exercise():
    text = {"cell_type": "markdown", "metadata": {}, "source": "words"}
    cells = [text, code("a"), code(["b\n", "c"], "mlm.loss"), text, code("check()", "mlm.loss", CHECK)]
    one = read(made(*cells))
    assert one.cells == (
        {"number": 2, "source": "a", "exercise": ""},
        {"number": 3, "source": "b\nc", "exercise": "mlm.loss"},
        {"number": 5, "source": "check()", "exercise": ""},
    )
    assert (one.problem, one.notes, one.written) == ("", (), {})
    assert one.sha256 == read(made(*cells)).sha256 != read(made()).sha256


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"", "the file is empty"),
        (b" \n ", "the file is empty"),
        (b"[]", "not a notebook"),
        (b"7", "not a notebook"),
        (b"null", "not a notebook"),
        (b"{}", "no list of cells"),
        (b'{"cells": {}}', "no list of cells"),
        (b'{"cells": null, "nbformat": 4}', "no list of cells"),
        (
            b'{"worksheets": [{"cells": []}], "nbformat": 3}',
            "notebook format 3 or older: open it in Jupyter and save",
        ),
        (b'{"cells": [], "nbformat": 2}', "notebook format 3 or older"),
        (b'{"cells": [7', "it ends too early"),
        (b'{"cells": ["some te', "it ends too early"),
        (b'{"cells": [7]', "it ends too early"),
        (
            b'{"cells":\n [7],, }',
            "it is not JSON (Expecting property name enclosed in double quotes, line 2)",
        ),
        (b"hello", "it is not JSON"),
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
        ("{}".encode("utf-16"), "UTF-16"),
        ("{}".encode("utf-16-be"), "UTF-16"),
        ('{"cells": "é'.encode("latin-1"), "not UTF-8 text (byte 12)"),
        (b"\x80\x04\x95pickle", "not UTF-8 text (byte 1)"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"%PDF-1.7 \xff", "a PDF document"),
        (b"PK\x03\x04\xff", "a zip archive"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"cells":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"cells": [' + b"9" * 5000 + b"]}", "too many digits"),
        (b'{"cells": [' + b"0," * 5000 + b"0]}", "it has 5001 cells, more than 5000"),
    ],
)
def test_what_is_no_notebook_is_refused_in_words(content, problem):
    one = read(content, notes=("kept",))
    assert problem in one.problem and "\n" not in one.problem
    assert one.cells == () and one.notes == ("kept",)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + json.dumps(made(code("x = 'é'"))).encode(),
        json.dumps({"cells": [code("x = 'é'")]}).encode(),
        json.dumps(made(code("x = 'é'"), nbformat=5)).encode(),
        json.dumps(made(code("x = 'é'"), nbformat="4", metadata=[])).encode(),
        json.dumps(made(code("x = 'é'", id=7, execution_count={}, outputs=None))).encode(),
        b'{"cells": [], "nbformat": 3, "nbformat": 4, "x": NaN, "cells": ['
        b'{"cell_type": "code", "source": "x = \'\xc3\xa9\'"}]}',
    ],
)
def test_what_can_be_read_is_read(content):
    one = read(content)
    assert [cell["source"] for cell in one.cells] == ["x = 'é'"] and not one.problem and not one.notes


@pytest.mark.parametrize(
    "cell",
    [
        None,
        7,
        "code",
        [],
        {},
        {"cell_type": 7},
        code(7),
        code(None),
        code({"a": 1}),
        code(["a", 7]),
        code([["a"]]),
        code(cell_type=None),
        code(cell_type=["code"]),
    ],
)
def test_a_cell_that_is_none_is_left_out_and_noted(cell):
    one = read(made(cell, code("fine")))
    assert [(each["number"], each["source"]) for each in one.cells] == [(2, "fine")]
    assert one.notes == ("cell 1 was left out: it is not a valid notebook cell",)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [],
        7,
        "x",
        {"course": None},
        {"course": []},
        {"course": {"exercise": 7}},
        {"course": {"exercise": ["a.b"]}},
        {"course": {"exercise": ""}},
        {"course": {"exercise": "no dot"}},
        {"course": {"exercise": "../etc.passwd"}},
        {"course": {"exercise": "a" * 99 + ".b"}},
        {"course": {"exercise": "a.b\n"}},
        {"course": {"exercise": "a.b\ud800"}},
    ],
)
def test_metadata_that_name_no_exercise_name_none(metadata):
    assert read(made(code(metadata=metadata))).cells == ({"number": 1, "source": "x = 1", "exercise": ""},)


@pytest.mark.parametrize("marks", [None, [], 7, {"grade": "yes"}, {"grade": []}, {}, ANSWER])
def test_only_a_check_cell_loses_its_exercise(marks):
    assert read(made(code(exercise="mlm.loss", marks=marks))).cells[0]["exercise"] == "mlm.loss"
    assert read(made(code(exercise="mlm.loss", marks={"grade": True}))).cells[0]["exercise"] == ""


def test_written_answers_come_by_exercise():
    text = code(["Because\n", "of it."], "report.why", MANUAL, cell_type="markdown")
    one = read(made(text, code("more", "report.why", MANUAL), code("x" * 200_000, "report.how", MANUAL)))
    assert one.written["report.why"] == "Because\nof it.\n\nmore" and len(one.written["report.how"]) == 100_000
    assert one.notes == (
        "cell 2 is another cell for report.why: they are read as one answer",
        "cell 3: only the first 100000 characters are kept",
    )
    assert read(made(text | {"metadata": {"nbgrader": MANUAL}})).written == {}
    assert [cell["exercise"] for cell in one.cells] == ["report.why", "report.how"]


def test_a_written_answer_in_two_cells_is_one_and_a_copy_says_nothing_new():
    """JupyterLab copies the metadata of a cell that is split or pasted."""
    parts = [code(text, "report.why", MANUAL, cell_type="markdown") for text in ("Asked.", " ", "Because.", "Asked.\n")]
    assert read(made(*parts)).written == {"report.why": "Asked.\n\nBecause."}


def test_code_beyond_a_megabyte_is_left_out_and_the_rest_is_read():
    large, half = code("x" * 10**6 + "x"), code("y" * 600_000)
    one = read(made(large, half, half, code("small")))
    assert [cell["number"] for cell in one.cells] == [2, 4]
    assert one.notes == tuple(f"cell {n} was left out: more than 1 MB of code" for n in (1, 3))


def test_code_of_too_many_bytes_is_refused_and_what_is_not_refused_fits_into_a_request():
    many = read(made(code("x = 1"), code("# " + "\U0001f600" * 700_000)))
    assert many.problem == "its cells contain 2,800,007 bytes of code, more than 1,500,000" and many.cells == ()
    worst = "\U0001f600" * (10**6 // 6) + "\x01" * (10**6 // 6 * 5)  # 12 and 6 bytes of JSON each
    most = read(made(code(worst), *[code("", "a" * 61 + "." + "b" * 61)] * 4999))
    assert not most.problem and len(most.cells) == 5000
    request = {"cells": list(most.cells)}
    assert protocol.decode(protocol.encode(request, protocol.MAX_REQUEST), inputs=True) == request


@pytest.mark.parametrize("more", [0, 1])
def test_limits_of_characters_belong_to_what_is_allowed(more):
    one = read(made(code("x" * (10**6 + more))))
    assert (len(one.cells), bool(one.notes)) == (1 - more, bool(more))
    one = read(made(code("é" * (750_000 + more))))  # two bytes each
    assert bool(one.problem) == bool(more)
    one = read(made(code("x" * (100_000 + more), "report.why", MANUAL, cell_type="markdown")))
    assert len(one.written["report.why"]) == 100_000 and bool(one.notes) == bool(more)
    one = read(made(*[None] * (submission.NOTES_LIMIT + more)))
    assert len(one.notes) == submission.NOTES_LIMIT + more and ("more notes" in one.notes[-1]) == bool(more)
    one = read(b" " * (submission.FILE_LIMIT + more))
    assert one.problem.startswith("the file is larger" if more else "the file is empty")
    one = read(made(code()), size=submission.FILE_LIMIT + more)
    assert bool(one.problem) == bool(more)


@pytest.mark.parametrize(
    "text, looks",
    [("async def f(x):", True), ("def f(x): # why", True), ("def f(x) -> int:\t", True), ("def f(x): return x", False),
     ("  def f(x):", False), ("def f:", False), ("~~~\ndef f(x):\n~~~", False), ("~~~\n~~~\ndef f(x):", True),
     ("```\ndef f(x):\n~~~\n```", False)],
)  # fmt: skip
def test_what_looks_like_code(text, looks):
    assert bool(read(made(code(text, cell_type="markdown"))).notes) is looks


def test_half_characters_are_replaced():
    one = read(b'{"cells": [{"cell_type": "code", "source": ["a\\ud800", "\\udc00b"]}]}')
    assert json.dumps(one.cells, ensure_ascii=False).encode()
    assert one.cells[0]["source"] in ("a??b", "a\U00010000b")


def test_notes_have_an_end():
    assert len(read(made(*[None] * 1000)).notes) == 21
    assert read(made(*[None] * 1000)).notes[-1] == "there are 980 more notes"


def test_a_file_that_is_too_large_is_refused_unread(tmp_path):
    path = tmp_path / "ada" / MASKING
    path.parent.mkdir()
    with open(path, "wb") as file:
        file.truncate(200 * 10**6)
    (found,) = find_submissions(tmp_path, BOTH)
    assert found.size == 200 * 10**6
    for one in (read_submission(found, b""), load_submission(found)):
        assert one.problem == "the file is larger than 20 MB: clear its outputs and save it again"
    assert read(b" " * (submission.FILE_LIMIT + 1)).problem.startswith("the file is larger than 20 MB")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def mutate(value, chooser, odd):
    """`value` with one place, found by chance, replaced by something odd, or gone."""
    if not isinstance(value, dict | list) or not value or chooser.random() < 0.15:
        return odd
    changed = value.copy()
    key = chooser.choice(list(value) if isinstance(value, dict) else range(len(value)))
    if chooser.random() < 0.1:
        del changed[key]
    else:
        changed[key] = mutate(value[key], chooser, odd)
    return changed


@given(odds=st.lists(JSON, min_size=1, max_size=4), seed=st.integers(0, 2**32), cut=st.integers(0, 4000))
@settings(max_examples=300)
def test_no_notebook_whatsoever_makes_reading_fail(odds, seed, cut):
    chooser = random.Random(seed)
    whole = made(code(["a\n", "b"], "mlm.loss"), code("c", "mlm.loss", CHECK), code("d", "report.why", MANUAL))
    for odd in odds:
        whole = mutate(whole, chooser, odd)
    content = json.dumps(whole).encode()
    for text in (
        content,
        content[:cut],
        content[:cut] + b"\xff" + content[cut:],
        content.decode().encode("utf-16"),
    ):
        one = read(text)
        plain = [one.cells, one.problem, one.notes, one.written]
        assert json.dumps(plain, ensure_ascii=False).encode("utf-8")
        assert not (one.problem and one.cells)
        for cell in one.cells:
            assert list(map(type, cell.values())) == [int, str, str]


@given(st.binary(max_size=200))
def test_no_bytes_whatsoever_make_reading_fail(content):
    assert isinstance(read(content).problem, str)


def test_the_lectures_are_read():
    for path in all_notebooks():
        one = read_submission(Found("ada", path.name, path), path.read_bytes())
        assert len(one.cells) > 15 and not one.problem and not one.notes
        assert any(cell["exercise"] for cell in one.cells)


# Whose a file is, and which notebook


def test_files_are_found_in_a_stable_order_wherever_they_lie(tmp_path):
    for name in ("zoe", "ada", "grace/late/again"):
        write(tmp_path / name / LOSS)
        write(tmp_path / name / MASKING)
    write(tmp_path / "bob_17_04_mlm_masking.ipynb")
    assert rows(tmp_path) == [
        ("ada", MASKING, f"ada/{MASKING}"),
        ("ada", LOSS, f"ada/{LOSS}"),
        ("bob_17", MASKING, "bob_17_04_mlm_masking.ipynb"),
        ("grace", MASKING, f"grace/late/again/{MASKING}"),
        ("grace", LOSS, f"grace/late/again/{LOSS}"),
        ("zoe", MASKING, f"zoe/{MASKING}"),
        ("zoe", LOSS, f"zoe/{LOSS}"),
    ]
    assert all(load_submission(one).cells for one in find_submissions(tmp_path, BOTH))


def test_the_drawings_of_a_release_are_passed_over_and_nothing_else_in_their_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(file_names, "NOTEBOOKS", tmp_path / "course")
    write(tmp_path / "course" / "figures" / "head.svg")
    for name in ("figures/head.svg", "figures/mine.svg", "head.svg", f"figures/{LOSS}", MASKING):
        write(tmp_path / "in" / "ada" / name)
    with zipfile.ZipFile(tmp_path / "in" / "bob.zip", "w") as archive:
        archive.writestr(MASKING, json.dumps(made(code())))
        archive.writestr("a1/figures/head.svg", "")
        archive.writestr("a1/figures/mine.svg", "")
    named = [file for _, file, _ in left_of(tmp_path / "in")]
    assert named == ["ada/figures/mine.svg", "ada/head.svg", "bob.zip/a1/figures/mine.svg"]
    assert [one[2] for one in rows(tmp_path / "in")] == [f"ada/{MASKING}", f"ada/figures/{LOSS}", f"bob.zip/{MASKING}"]


@pytest.mark.parametrize(
    "name, student",
    [
        ("ada_12345_04_mlm_masking.ipynb", "ada_12345"),
        ("ada_LATE_12_34_04_mlm_masking-2.ipynb", "ada_LATE_12_34"),
        ("ada 04_mlm_masking (1).ipynb", "ada"),
        ("ada-04_mlm_masking-Copy1.ipynb", "ada"),
        ("ada_04_mlm_masking-1 (1) (2).ipynb", "ada"),
        ("ada_04_MLM_Masking - Copy (2).IPYNB", "ada"),
        ("04_mlm_masking_ada.ipynb", "ada"),
        ("ada_04_mlm_masking_final.ipynb", "ada_final"),
        ("04_mlm_masking.ipynb", "04_mlm_masking"),
        ("04_mlm_masking (1).ipynb", "04_mlm_masking (1)"),
        ("Ada Lovelace - 04_mlm_masking.ipynb", "Ada Lovelace"),
        ("Zoë_04_mlm_masking.ipynb", "Zoë"),
        (unicodedata.normalize("NFD", "Zoë_04_mlm_masking.ipynb"), "Zoë"),
        ("Weiß_04_mlm_masking.ipynb", "Weiß"),
        ("ada_03_mlm_masking (1).ipynb", "ada"),  # the name that the lecture had
    ],
)
def test_a_file_in_no_folder_names_its_student(name, student, tmp_path):
    assert which_notebook(name, BOTH) == MASKING
    assert student_of(name, MASKING) == student
    write(tmp_path / name)
    (found,) = find_submissions(tmp_path, BOTH)
    assert found.notebook == MASKING and not found.problem
    assert found.student == safe_students([student])[student]


def test_a_file_that_names_no_notebook_is_told_by_there_being_one_or_by_its_exercises(tmp_path):
    write(tmp_path / "ada" / "homework.ipynb", made(code(exercise="mlm.loss"), code(exercise="x.y"), 7))
    write(tmp_path / "bob.ipynb", made(code(exercise="chain.terms")))
    assert rows(tmp_path) == [("ada", MASKING, "ada/homework.ipynb"), ("bob", LOSS, "bob.ipynb")]
    assert {row[1] for row in rows(tmp_path, {LOSS: []})} == {LOSS}


@pytest.mark.parametrize(
    "content",
    [
        made(code()),
        made(code(exercise="mlm.loss"), code(exercise="chain.terms")),
        b"{",
        made(7, code(metadata=[])),
    ],
)
def test_a_file_that_could_be_any_notebook_is_a_problem(tmp_path, content):
    write(tmp_path / "ada" / "x.ipynb", content)
    write(tmp_path / "ada" / "y.ipynb", content)
    for one in find_submissions(tmp_path, BOTH):
        assert (one.student, one.notebook) == ("ada", "")
        assert load_submission(one).problem.startswith("unknown notebook: ")
    assert len(rows(tmp_path)) == 2


def test_the_longest_name_counts_and_two_different_ones_do_not():
    names = ["04_mlm.ipynb", "04_mlm_masking.ipynb", "05_loss.ipynb"]
    assert which_notebook("ada_04_mlm_masking.ipynb", names) == "04_mlm_masking.ipynb"
    assert which_notebook("ada_04_mlm_05_loss.ipynb", names) == ""


def test_former_names_count_too_whichever_of_them_was_released():
    for old, new in RENAMED.items():
        for released in (old, new):
            notebooks = [f"{released}.ipynb", "07_unlike.ipynb"]
            for handed_in in (old, new):
                assert which_notebook(f"ada_{handed_in}.ipynb", notebooks) == f"{released}.ipynb"
                assert student_of(f"ada_{handed_in}.ipynb", f"{released}.ipynb") == "ada"


def test_every_lecture_is_found_among_all_by_each_of_its_names():
    lectures = [path.name for path in all_notebooks()]
    for lecture in lectures:
        for stem in all_names(lecture.removesuffix(".ipynb")):
            assert which_notebook(f"ada_{stem}.ipynb", lectures) == lecture


STUB_LOSS = code(f"def my_loss(a, b):\n    {STUB}", "mlm.loss")
STUB_MASK = code(f"my_mask = {STUB_VALUE}", "mlm.mask_tokens")
CHECKS = [code("check('mlm.loss', my_loss)", "mlm.loss", CHECK)]


def untouched():
    return made(STUB_LOSS, STUB_MASK, *CHECKS)


def finished():
    return made(code("def my_loss(a, b):\n    return a", "mlm.loss"), code("my_mask = 1", "mlm.mask_tokens"), *CHECKS)


def half():
    return made(code("def my_loss(a, b):\n    return a", "mlm.loss"), STUB_MASK, *CHECKS)


def lost_ids(notebook):
    return made(*(cell | {"metadata": {}} for cell in notebook["cells"]))


@pytest.mark.parametrize(
    "named, other, name, wins",
    [
        (untouched(), finished(), "04_mlm_masking (1).ipynb", True),
        (untouched(), half(), "04_mlm_masking (1).ipynb", True),
        (half(), finished(), "my homework.ipynb", True),
        (finished(), half(), "04_mlm_masking (1).ipynb", False),
        (finished(), finished(), "04_mlm_masking (1).ipynb", False),
        (untouched(), untouched(), "04_mlm_masking (1).ipynb", False),
        (untouched(), finished(), "03_mlm_masking.ipynb", True),  # the name that the lecture had
        (finished(), untouched(), "03_mlm_masking.ipynb", False),
        (finished(), finished(), "03_mlm_masking.ipynb", False),
        (untouched(), lost_ids(finished()), "04_mlm_masking (1).ipynb", True),
        (lost_ids(finished()), lost_ids(untouched()), "04_mlm_masking (1).ipynb", False),
        (lost_ids(untouched()), finished(), "04_mlm_masking (1).ipynb", True),
        (b"{", untouched(), "04_mlm_masking (1).ipynb", True),
        (b"", finished(), "04_mlm_masking.new-0123abcd.ipynb", True),
        (made(), made(code("x = 1", "mlm.loss")), "04_mlm_masking (1).ipynb", True),
        (finished(), made(code("x = 1")), "scratch.ipynb", False),
    ],
)
def test_the_file_with_most_answers_is_graded_then_the_one_that_is_named_as_released(
    tmp_path, named, other, name, wins
):
    asked = {MASKING: BOTH[MASKING]}
    write(tmp_path / "ada" / MASKING, named)
    write(tmp_path / "ada" / name, other)
    (one,) = find_submissions(tmp_path, asked)
    first, second = (name, MASKING) if wins else (MASKING, name)
    assert one.file == f"ada/{first}" and len(one.notes) == 1
    assert one.notes[0].startswith(f"ada/{second} was also handed in for this notebook and is not graded: ")
    assert [(student, file) for student, file, _ in left_of(tmp_path, asked)] == [("ada", f"ada/{second}")]


def test_the_note_says_why_the_other_file_is_graded(tmp_path):
    write(tmp_path / "ada" / MASKING, untouched())
    write(tmp_path / "ada" / "04_mlm_masking (1).ipynb", finished())
    write(tmp_path / "bob" / MASKING, b"{")
    write(tmp_path / "bob" / "x 04_mlm_masking.ipynb", finished())
    reasons = [reason for _, _, reason in left_of(tmp_path)]
    assert reasons[0] == "ada/04_mlm_masking (1).ipynb is graded, which has more answers (2, not 0)"
    assert reasons[1] == "bob/x 04_mlm_masking.ipynb is graded, for this one cannot be read"


def test_of_very_many_files_the_first_by_name_are_opened(tmp_path, monkeypatch):
    monkeypatch.setattr("lib.grading.intake.choosing.OPENED", 2)
    for name, content in ((MASKING, untouched()), ("04_mlm_masking (1).ipynb", half()), ("zzz.ipynb", finished())):
        write(tmp_path / "ada" / name, content)
    (one,) = find_submissions(tmp_path, {MASKING: BOTH[MASKING]})
    assert one.file == "ada/04_mlm_masking (1).ipynb"


def test_a_file_with_a_problem_is_neither_opened_nor_chosen(tmp_path):
    write(tmp_path / "ada" / "04_mlm_masking.py", finished())
    write(tmp_path / "ada" / "zzz.ipynb", untouched())
    (one,) = find_submissions(tmp_path, {MASKING: BOTH[MASKING]})
    assert one.file == "ada/zzz.ipynb" and "a Python script" in one.notes[0]


def test_a_newer_edition_beside_ones_own_names_the_same_student_and_lecture(tmp_path):
    write(tmp_path / "ada_04_mlm_masking.new-0123abcd.ipynb", finished())
    assert rows(tmp_path) == [("ada", MASKING, "ada_04_mlm_masking.new-0123abcd.ipynb")]


def test_of_several_files_the_exactly_named_one_is_graded_and_the_others_noted(tmp_path):
    for name in (f"a/{MASKING}", "00 04_mlm_masking.ipynb", "04_mlm_masking (1).ipynb", "scratch.ipynb"):
        write(tmp_path / "ada" / name)
    write(tmp_path / "ada_04_mlm_masking.ipynb")
    (one,) = find_submissions(tmp_path, {MASKING: []})
    assert one.file == f"ada/a/{MASKING}"
    assert [note.split(" was also handed in")[0] for note in one.notes] == [
        "ada_04_mlm_masking.ipynb",
        "ada/00 04_mlm_masking.ipynb",
        "ada/04_mlm_masking (1).ipynb",
        "ada/scratch.ipynb",
    ]
    assert load_submission(one).notes == one.notes
    (tmp_path / "ada" / "a" / MASKING).unlink()
    assert find_submissions(tmp_path, {MASKING: []})[0].file == "ada_04_mlm_masking.ipynb"
    write(tmp_path / "bob" / "a.ipynb")
    write(tmp_path / "bob" / "b 04_mlm_masking.ipynb")
    assert find_submissions(tmp_path, {MASKING: []})[1].file == "bob/b 04_mlm_masking.ipynb"


# What is said of answers that cannot be found


CONFLICT = "x = 1\n<<<<<<< HEAD\ny = 1\n=======\ny = 2\n>>>>>>> theirs\n"


def test_conflict_markers_are_called_so_in_the_file_and_in_a_cell():
    text = json.dumps(made(code()), indent=1)
    broken = text.replace(' "metadata"', '<<<<<<< HEAD\n=======\n>>>>>>> b\n "metadata"', 1)
    assert read(broken.encode()).problem == (
        "it has the conflict markers of a merge (<<<<<<<, line 4): keep one side and remove the markers"
    )
    one = read(made(code("1"), code(CONFLICT, "mlm.loss")))
    words = "it has the conflict markers of a merge (<<<<<<<, line 2): keep one side and remove the markers"
    assert one.notes == (f"cell 2 (mlm.loss): {words}",) and one.faults == {"mlm.loss": words}
    for innocent in (
        "a << b",
        "# <<<<<<< HEAD",
        'x = """\n=======\n"""',
        "<<<<<<< HEAD\n",
        "<<<<<<<< x\n=======\n>>>>>>> y",
    ):
        assert read(made(code(innocent, "mlm.loss"))).notes == ()


@pytest.mark.parametrize("kind", ["markdown", "raw"])
def test_code_that_became_text_is_called_so(kind):
    answer = code("def my_loss(a, b):\n    return a", "mlm.loss", cell_type=kind)
    helper = code("Some words\n\ndef helper(x):\n    return x", cell_type=kind)
    shown = code("As here:\n\n```python\ndef f(x):\n    return x\n```\nThe def of a word (a noun):", cell_type=kind)
    one = read(made(shown, answer, helper))
    words = f"the answer is in a {kind} cell, which is not run: change it into a code cell"
    assert one.faults == {"mlm.loss": words}
    assert one.notes == (
        f"cell 2 (mlm.loss): {words}", f"cell 3 is a {kind} cell, so it is not run, but it looks like code"
    )  # fmt: skip


def test_another_lecture_is_called_so():
    one = read(made(code("a", "chain.terms"), code("b", "autoregressive.loss")))
    words = (
        "this is another lecture: its exercises are those of 06_autoregressive_objective, and none is of 04_mlm_masking"
    )
    assert one.notes == (words,) and one.faults == {"": words} and one.cells
    for cells in ([code("a", "chain.terms"), code("b", "mlm.loss")], [code("a")], [code("a", "no.such")]):
        assert read(made(*cells)).faults == {}
    assert (
        read_submission(
            Found("ada", "99_mine.ipynb", Path("x")), json.dumps(made(code("a", "mlm.loss"))).encode()
        ).faults
        == {}
    )


def test_no_lecture_is_taken_for_another_under_any_of_its_names():
    for path in all_notebooks():
        for stem in all_names(path.stem):
            one = read_submission(Found("ada", f"{stem}.ipynb", path), path.read_bytes())
            assert one.faults == {} and one.notes == ()


# What else lies in such a folder


def test_only_what_programs_write_by_themselves_is_passed_over_in_silence(tmp_path):
    write(tmp_path / "ada" / MASKING)
    for name in (
        "ada/.ipynb_checkpoints/04_mlm_masking-checkpoint.ipynb",
        ".ipynb_checkpoints/x.ipynb",
        "__MACOSX/ada/x.ipynb",
        "ada/._04_mlm_masking.ipynb",
        "ada/.DS_Store",
        "ada/.editions.json",
        "ada/.editions.json.lock",
    ):
        write(tmp_path / name)
    (one,) = find_submissions(tmp_path, BOTH)
    assert one.file == f"ada/{MASKING}" and one.notes == () and left_of(tmp_path) == []


def test_every_other_file_is_named_with_its_reason(tmp_path):
    write(tmp_path / "ada" / MASKING)
    (tmp_path / "ada" / "more").mkdir()
    os.mkfifo(tmp_path / "ada" / "more" / "pipe")
    hand_in = ": hand in the .ipynb file"
    expected = {
        "ada/notes.txt": f"it is a text file, not a notebook{hand_in}",
        "ada/04_mlm_masking.ipynb.bak": f"ada/{MASKING} is graded, for it is not called .ipynb, as a notebook is{hand_in}",
        "ada/more/solution.py": f"it is a Python script, not a notebook{hand_in}",
        "ada/more/hw.rar": f"it is an archive of another kind than zip, not a notebook{hand_in}",
        "ada/more/.hidden.ipynb": "its name begins with a dot, as files of programs do",
        "ada/.git": "its name begins with a dot, as files of programs do",
        ".git": "its name begins with a dot, as files of programs do",
        "ada_essay.PDF": f"it is a PDF document, not a notebook{hand_in}",
        "ada.docx": f"it is an office document, not a notebook{hand_in}",
        "readme": f"it is not called .ipynb, as a notebook is{hand_in}",
    }
    for name in expected:
        write(tmp_path / name / "x.ipynb" if name.endswith(".git") else tmp_path / name)
    left = {file: (student, reason) for student, file, reason in left_of(tmp_path)}
    assert left.pop("ada/more/pipe") == ("ada", "it is not an ordinary file")
    assert {file: reason for file, (_, reason) in left.items()} == expected
    whose = {file: student for file, (student, _) in left.items()}
    assert {file for file, student in whose.items() if not student} == {".git", "ada_essay.PDF", "readme"}
    (one,) = find_submissions(tmp_path, BOTH)
    noted = [note.split(" was ")[0] for note in one.notes]
    assert sorted(noted) == sorted([*(file for file, student in whose.items() if student), "ada/more/pipe"])


def test_a_file_called_like_a_notebook_of_another_kind_is_a_row_that_says_so(tmp_path):
    for name in ("ada/04_mlm_masking.py", "bob_04_mlm_masking.html", "cem/03_mlm_masking.ipynb.txt"):
        write(tmp_path / name)
    ada, bob, cem = find_submissions(tmp_path, BOTH)
    assert [one.notebook for one in (ada, bob, cem)] == [MASKING] * 3 and bob.student == "bob"
    assert ada.problem == "it is a Python script, not a notebook: hand in the .ipynb file"
    assert "a web page" in bob.problem and "a text file" in cem.problem and left_of(tmp_path) == []


def test_many_files_are_listed_and_the_first_noted(tmp_path):
    write(tmp_path / "ada" / MASKING)
    for number in range(30):
        write(tmp_path / "ada" / f"{number:02}.csv")
    (one,) = find_submissions(tmp_path, BOTH)
    assert len(one.notes) == 21 and one.notes[-1] == "10 more files were not taken" and len(left_of(tmp_path)) == 30


def test_a_folder_without_a_notebook_is_a_row_that_says_so(tmp_path):
    write(tmp_path / "ada" / "essay.pdf")
    (tmp_path / "bob").mkdir()
    for one, student in zip(find_submissions(tmp_path, BOTH), ("ada", "bob"), strict=True):
        assert one.student == student
        assert load_submission(one).problem == "there is no notebook (.ipynb) in this folder"


def test_no_link_is_followed_and_each_is_reported(tmp_path):
    secret = write(tmp_path / "secret" / MASKING, made(code("secret = 1")))
    folder = tmp_path / "submissions"
    write(folder / "cleo" / MASKING)
    for link, target in {
        "ada/04_mlm_masking.ipynb": secret,
        "bob": secret.parent,
        "cleo/more": secret.parent,
        "dan/deep": secret.parent,
        "eve_04_mlm_masking.ipynb": secret,
        "fay/loop": folder,
        "readme": secret,
        "gone/04_mlm_masking.ipynb": "nowhere",
    }.items():
        (folder / link).parent.mkdir(exist_ok=True)
        (folder / link).symlink_to(target)
    found = {one.student: one for one in find_submissions(folder, BOTH)}
    assert list(found) == ["ada", "bob", "cleo", "dan", "eve", "fay", "gone"]
    assert {name for name, one in found.items() if load_submission(one).cells} == {"cleo"}
    link = "it is a link, but links are not followed: hand in the file itself"
    assert found["cleo"].notes == (f"cleo/more was not taken: {link}",)
    assert found["dan"].problem.startswith("there is no notebook")
    assert found["dan"].notes == (f"dan/deep was not taken: {link}",)
    assert ("", "readme", link) in left_of(folder)
    for name in ("ada", "bob", "eve", "gone"):
        assert found[name].problem == "it is a link, but links are not followed: hand in the file itself"


def test_a_link_does_not_stand_in_for_the_file_beside_it(tmp_path):
    copy = write(tmp_path / "ada" / "copy of 04_mlm_masking.ipynb")
    (tmp_path / "ada" / MASKING).symlink_to(copy)
    (one,) = find_submissions(tmp_path, BOTH)
    assert one.file == "ada/copy of 04_mlm_masking.ipynb" and f"ada/{MASKING}" in one.notes[0]


def test_a_file_that_changed_since_it_was_found_is_refused(tmp_path):
    path = write(tmp_path / "ada" / MASKING)
    (found,) = find_submissions(tmp_path, BOTH)
    path.unlink()
    assert load_submission(found).problem == "it cannot be opened: No such file or directory"
    path.symlink_to(write(tmp_path / "secret"))
    assert load_submission(found).problem.startswith("it cannot be opened: Too many levels")
    path.unlink()
    os.mkfifo(path)
    assert load_submission(found).problem == "it is not an ordinary file"
    assert load_submission(found).sha256 == ""
    path.unlink()
    path.mkdir()
    assert "cannot be opened" in load_submission(found).problem or "ordinary" in load_submission(found).problem


def test_a_pipe_is_not_waited_for_and_a_folder_may_be_called_like_a_notebook(tmp_path):
    (tmp_path / "ada").mkdir()
    os.mkfifo(tmp_path / "ada" / "04_mlm_masking.ipynb")
    os.mkfifo(tmp_path / "bob.ipynb")
    write(tmp_path / "zoe.ipynb" / MASKING)
    ada, bob, zoe = find_submissions(tmp_path, BOTH)
    assert ada.problem == bob.problem == load_submission(ada).problem == "it is not an ordinary file"
    assert (zoe.student, zoe.problem) == ("zoe.ipynb", "")


def test_folders_without_end_have_one(tmp_path):
    write(tmp_path / "ada" / "/".join("d" * 20) / MASKING)
    write(tmp_path / "bob" / "/".join("d" * 21) / MASKING)
    ada, bob = find_submissions(tmp_path, BOTH)
    assert load_submission(ada).cells and not load_submission(bob).cells
    assert "deeper folders are not read" in bob.notes[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_closed_folder_is_reported(tmp_path):
    (tmp_path / "ada").mkdir(mode=0)
    (one,) = find_submissions(tmp_path, BOTH)
    assert "cannot be listed: Permission denied" in one.notes[0]


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_text("")])
def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(CourseError, match="x cannot be listed"):
        find_submissions(tmp_path / "x", BOTH)


ODD = [
    "..a",
    "a b",
    " a",
    "a ",
    "...",
    "a\nb",
    "a\tb",
    "\x1b[31mred",
    "-rf",
    "a'; DROP",
    "é",
    "e\u0301",
    "名前",
    "\u202eevil",
    "~",
    "$HOME",
    "a\\b",
    "C:",
    "con.",
    "x" * 255,
    "manifest.json",
    "\udcff\udcfe",
    "=1+1",
    "a_b",
    "a?b",
    "a*b",
]


def test_every_name_becomes_one_that_a_folder_may_have(tmp_path):
    for name in ODD:
        write(tmp_path / name / MASKING)
    found = find_submissions(tmp_path, BOTH)
    assert len(found) == len(ODD) - 1, "é and é are one student"
    for one in found:
        assert folder_name(one.student, "") == one.student
        assert (tmp_path / one.student).resolve().parent == tmp_path.resolve()
        assert one.file.isprintable() and one.file.encode()
        assert load_submission(one).cells and load_submission(one).student == one.student
    assert {"a b", "é", "名前", "a_b"} < {one.student for one in found}
    assert [one.student for one in found] == sorted({one.student for one in found})


@given(st.lists(st.text(st.characters(), max_size=30), max_size=6))
def test_safe_names_are_different_and_may_stand_in_a_roster(names):
    safe = safe_students(names)
    assert set(safe) == set(names)
    assert all(folder_name(fit, "") == fit and fit.encode() for fit in safe.values())
    different = {unicodedata.normalize("NFC", name) for name in names}
    assert len(set(safe.values())) >= len(different)
    assert safe_students(reversed(names)) == safe


def test_a_name_that_is_made_up_does_not_depend_on_the_others():
    alone = [safe_students([name])[name] for name in ODD]
    assert list(map(safe_students(ODD).get, ODD)) == alone


def test_nobody_takes_the_name_that_is_made_up_for_another():
    made_up = safe_students(["../ada"])["../ada"]
    both = safe_students(["../ada", made_up])
    assert both[made_up] == made_up and both["../ada"].startswith("ada-") and len(set(both.values())) == 2
