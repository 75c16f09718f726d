"""Drawings and explorables go wherever a copy of their lecture goes, and never over a file of the student's."""

import json

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lib.course.cli import main
from lib.errors import CourseError
from lib.lectures.companions import beside, carry, check_place, missing, used_in
from lib.lectures.notebooks import load, text_of
from lib.lectures.work_folder import MANIFEST, write_editions
from tests.lectures import sample

DRAWING, EXPLORABLE = "figures/soft_look_up.svg", "explorables/next_token.html"
NAMES = [EXPLORABLE, DRAWING]
WRITTEN = {"nbgrader": {"grade": True, "solution": True, "grade_id": "why", "points": 1, "schema_version": 3}}


def lecture():
    """A lecture that shows a drawing, opens an explorable, and shows another drawing in a model answer."""
    made = sample.notebook(("steps = 3", "parameters"), "print(steps)")
    answer = "Why?\n<!-- BEGIN SOLUTION -->\n![it](figures/answer.svg)\n<!-- END SOLUTION -->"
    made.cells += [
        new_markdown_cell(f"![a soft look-up]({DRAWING})\n\n[Try it]({EXPLORABLE})", id="shown"),
        new_markdown_cell(answer, id="why", metadata=WRITTEN | {"course": {"exercise": "sample.why"}}),
    ]
    return made


@pytest.fixture
def source(tmp_path):
    """The lecture with its files, in a folder of sources."""
    folder = tmp_path / "sources"
    for name in [*NAMES, "figures/answer.svg", "figures/of_another_lecture.svg"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}, first")
    (folder / "77_example.ipynb").write_text(text_of(lecture()))
    return folder / "77_example.ipynb"


def files(folder):
    """What lies in `folder` except for notebooks and what the course writes down: its text by its name."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: path.read_text()
        for name, path in found.items()
        if name.endswith((".svg", ".html")) or "/" in name and "manifest" not in name
    }


@pytest.mark.parametrize(
    "text, found",
    [
        ("![a](figures/a.svg) and ![a](figures/a.svg), [b](explorables/b-2.html)", ["explorables/b-2.html", "figures/a.svg"]),
        ("![a](./figures/a.svg)\n<img src='figures/b.svg' alt='b'>", ["figures/a.svg", "figures/b.svg"]),
        ("[a]: figures/a.svg", ["figures/a.svg"]),
        ("notebooks/figures/a.svg, ../figures/a.svg, myfigures/a.svg, figures/a.svgz, figures/.svg", []),
        ("figures/../secret.svg, figures/a/b.svg, explorables/a.svg, figures/a.png", []),
        ("https://example.org/figures/a.svg", []),
    ],
)  # fmt: skip
def test_what_a_cell_names(text, found):
    for new_cell in (new_markdown_cell, new_code_cell):
        assert used_in(new_notebook(cells=[new_cell(text)])) == found


def test_beside_and_missing(source):
    (source.parent / DRAWING).unlink()
    files = beside(source, load(source))
    assert files == {
        DRAWING: None, EXPLORABLE: f"{EXPLORABLE}, first".encode(), "figures/answer.svg": b"figures/answer.svg, first"
    }  # fmt: skip
    assert missing("77_example.ipynb", ["a", "b"]).endswith(
        "shows a, b, which are missing: restore them from version control"
    )


def actions(source, out):
    return {w.path.relative_to(out).as_posix(): w.action for w in write_editions([source], out)[1:]}


def test_an_edition_has_its_files_beside_it_without_those_of_the_model_answer(source, tmp_path):
    out = tmp_path / "work"
    assert actions(source, out) == dict.fromkeys(NAMES, "created")
    assert files(out) == {name: f"{name}, first" for name in NAMES}
    assert actions(source, out) == dict.fromkeys(NAMES, "unchanged")


def test_the_courses_change_reaches_an_unchanged_copy(source, tmp_path):
    out = tmp_path / "work"
    write_editions([source], out)
    (source.parent / DRAWING).write_text("second")
    assert actions(source, out) == {DRAWING: "updated", EXPLORABLE: "unchanged"}
    assert files(out)[DRAWING] == "second"
    (out / EXPLORABLE).unlink()
    assert actions(source, out) == {DRAWING: "unchanged", EXPLORABLE: "created"}


def test_a_students_own_file_stays(source, tmp_path):
    out = tmp_path / "work"
    (out / "figures").mkdir(parents=True)
    (out / DRAWING).write_text("mine, from before")
    assert actions(source, out)[DRAWING] == "yours"
    (out / EXPLORABLE).write_text("mine, changed")
    for text in ("first", "second"):
        (source.parent / EXPLORABLE).write_text(text)
        written = write_editions([source], out)
        assert [w.action for w in written[1:]] == ["yours", "yours"] and "not changed" in str(written[1])
    assert files(out) == {DRAWING: "mine, from before", EXPLORABLE: "mine, changed"}
    (out / DRAWING).write_text(f"{DRAWING}, first")
    assert actions(source, out)[DRAWING] == "unchanged", "as the course's, it is known as such again"
    (source.parent / DRAWING).write_text("second")
    assert actions(source, out)[DRAWING] == "updated"


def test_without_the_manifest_a_changed_file_counts_as_the_students(source, tmp_path):
    out = tmp_path / "work"
    write_editions([source], out)
    (out / MANIFEST).unlink()
    (source.parent / DRAWING).write_text("second")
    assert actions(source, out) == {DRAWING: "yours", EXPLORABLE: "unchanged"}


def test_a_missing_file_is_told_and_the_editions_are_written(source, tmp_path, capsys):
    (source.parent / DRAWING).unlink()
    assert main(["student", str(source), "--out", str(tmp_path / "work")]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"created   {tmp_path / 'work' / source.name}"
    assert told[2] == f"missing   {tmp_path / 'work' / DRAWING}  (a lecture shows it: restore it from version control)"
    assert main(["student", str(source), "--out", str(tmp_path / "work")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2, "what has not changed is not listed"


@pytest.mark.parametrize("command", ["student", "release", "run"])
def test_something_else_in_its_place(source, tmp_path, capsys, command):
    out = tmp_path / "out"
    (out / "explorables" / "next_token.html").mkdir(parents=True)
    assert main([command, str(source), "--out", str(out)]) == 1
    assert str(out / EXPLORABLE) in capsys.readouterr().err
    (out / "figures").write_text("mine")
    with pytest.raises(CourseError, match="figures is a file, but"):
        check_place(out / DRAWING)


def test_a_release_carries_them_for_each_student(source, tmp_path, capsys):
    roster = tmp_path / "roster.csv"
    roster.write_text("student\nada\n")
    assert main(["release", str(source), "--out", str(tmp_path / "a")]) == 0
    assert files(tmp_path / "a") == {name: f"{name}, first" for name in NAMES}
    assert main(["release", str(source), "--out", str(tmp_path / "b"), "--roster", str(roster)]) == 0
    assert {f"ada/{name}" for name in NAMES} == {
        name for name in files(tmp_path / "b") if name.endswith(("svg", "html"))
    }
    assert "5 files written" in capsys.readouterr().out
    (tmp_path / "a" / DRAWING).write_text("mine")
    assert main(["release", str(source), "--out", str(tmp_path / "a")]) == 1
    assert "does not belong to this release" in capsys.readouterr().err and files(tmp_path / "a")[DRAWING] == "mine"


def test_a_release_lacks_nothing(source, tmp_path, capsys):
    (source.parent / DRAWING).unlink()
    assert main(["release", str(source), "--out", str(tmp_path / "a")]) == 1
    assert capsys.readouterr().err == f"course: {missing(source.name, [DRAWING])}\n"
    assert not (tmp_path / "a").exists()


def test_two_lectures_share_a_drawing_but_not_a_name(source, tmp_path, capsys):
    other = source.with_name("78_example.ipynb")
    other.write_text(text_of(sample.notebook(("steps = 3", "parameters"), f"show('{DRAWING}')")))
    assert main(["release", str(source), str(other), "--out", str(tmp_path / "a")]) == 0
    assert "2 notebooks" in (told := capsys.readouterr().out) and "6 files written" in told
    elsewhere = tmp_path / "elsewhere" / other.name
    (elsewhere.parent / "figures").mkdir(parents=True)
    (elsewhere.parent / DRAWING).write_text("another")
    elsewhere.write_bytes(other.read_bytes())
    assert main(["release", str(source), str(elsewhere), "--out", str(tmp_path / "b")]) == 1
    assert f"78_example.ipynb shows another {DRAWING}" in capsys.readouterr().err


def test_executed_copies_carry_them(source, tmp_path, capsys):
    (source.parent / EXPLORABLE).unlink()
    out = tmp_path / "build"
    assert main(["run", str(source), "--out", str(out)]) == 0
    assert files(out) == {DRAWING: f"{DRAWING}, first", "figures/answer.svg": "figures/answer.svg, first"}
    assert missing("77_example.ipynb", [EXPLORABLE]) in capsys.readouterr().out


def test_carried_again_they_are_those_of_the_course(source, tmp_path):
    notebook, out = load(source), tmp_path / "build"
    carry(source, notebook, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*")}
    assert carry(source, notebook, out) == []
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.*")} == before, "what is there is not written again"
    (source.parent / DRAWING).write_text("second")
    carry(source, notebook, out)
    assert files(out)[DRAWING] == "second"


def test_metadata_of_hidden_cells_stay_in_an_edition(source, tmp_path):
    notebook = load(source)
    hidden = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
    sample.cell(notebook, "cell-1").metadata.update(hidden)
    source.write_text(text_of(notebook))
    write_editions([source], tmp_path / "work")
    assert sample.cell(load(tmp_path / "work" / source.name), "cell-1").metadata == hidden


def test_the_manifest_is_one_that_a_former_version_reads(source, tmp_path):
    write_editions([source], tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert set(manifest["editions"]) == set(manifest["cells"]) == {source.name, *NAMES}
