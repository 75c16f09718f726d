"""Releases: only what was chosen is graded, nothing leaks, nothing is overwritten."""

import csv
import hashlib
import io
import json
import re
from dataclasses import replace

import pytest
from nbformat.v4 import new_markdown_cell

from lib import NOTEBOOKS
from lib.course import cli
from lib.errors import CourseError, UsageError
from lib.exercises import get
from lib.exercises.engine.compare import Tolerance
from lib.grading.assignment import release
from lib.grading.assignment.graded import SEED_NAME, definition_hash, read_points, with_points
from lib.grading.assignment.roster import read_roster, student_seed
from lib.lectures.edition import PROMPT, exercise_of
from lib.lectures.lint import lint_file
from lib.lectures.lint.exercises import nbgrader as nbgrader_findings
from lib.lectures.notebooks import all_notebooks, load, parameters, text_of
from tests.lectures.test_student import run_all, solution_lines

YEARS = NOTEBOOKS / "00_start_here.ipynb"
IDS = ["start.token_count", "writing.probabilities", "writing.draw", "writing.loop"]
OPEN = "start.machine_open"


def released(out, *options, notebooks=("00",)):
    return cli.main(["release", *notebooks, "--out", str(out), *options])


def check_cells(path):
    return {
        cell.metadata["course"]["exercise"]: cell
        for cell in load(path).cells
        if cell.metadata.get("nbgrader", {}).get("grade_id", "").endswith("-check")
    }


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def roster(tmp_path, *names):
    text = io.StringIO()
    csv.writer(text).writerows([["number", "student"], *([i, name] for i, name in enumerate(names))])
    path = tmp_path / "roster.csv"
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def test_only_the_chosen_exercises_are_graded(tmp_path, capsys):
    assert released(tmp_path / "a", "--exercises", IDS[1], IDS[3], "--points", f"{IDS[3]}=2.5") == 0
    assert "1 notebooks, 5.5 points, 5 files written" in capsys.readouterr().out
    cells = check_cells(tmp_path / "a" / YEARS.name)
    marks = {id: cell.metadata["nbgrader"] for id, cell in cells.items()}
    assert list(marks) == IDS and all(m["locked"] and not m["solution"] for m in marks.values())
    assert [m["grade"] for m in marks.values()] == [False, True, False, True]
    assert [m.get("points") for m in marks.values()] == [None, 3, None, 2.5]
    assert all("raises-exception" in cell.metadata["tags"] for cell in cells.values())
    assert not any(cell.metadata[what] for cell in cells.values() for what in ("deletable", "editable"))
    given = [cell.source.removesuffix(")").partition(", points=")[2] for cell in cells.values()]
    assert given == ["0", "", "0", "2.5"], "or nbgrader would score the usual points, and the check say them"
    assert not list(nbgrader_findings(load(tmp_path / "a" / YEARS.name)))


def test_the_manifest_says_what_the_release_is(tmp_path):
    released(tmp_path / "a", "--seed", "4", "--exercises", IDS[0])
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert (manifest["format"], manifest["course"], manifest["seed"]) == (1, "0.1.0", 4)
    entry = manifest["notebooks"][YEARS.name]
    assert entry["sha256"] == hashlib.sha256((tmp_path / "a" / YEARS.name).read_bytes()).hexdigest()
    assert [(e["id"], e["points"]) for e in entry["exercises"]] == [(id, int(id == IDS[0])) for id in [*IDS, OPEN]]
    first = entry["exercises"][0]
    assert first["title"] == "Count tokens" and first["slides"] == ["N38"]
    assert parameters(load(tmp_path / "a" / YEARS.name))[SEED_NAME] == 4


def test_a_seed_that_a_notebook_has_for_itself_gives_way(tmp_path):
    notebook = load(YEARS)
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source = f"{SEED_NAME} = 12  # for the lecture\n{cell.source}"
    (tmp_path / YEARS.name).write_text(text_of(notebook))
    (graded,) = release.graded_notebooks([tmp_path / YEARS.name], None, {})
    assert graded.text(3).count(f"{SEED_NAME} = ") == 1 and f"{SEED_NAME} = 3 " in graded.text(3)


def test_the_definition_is_hashed_without_the_reference():
    exercise = get(IDS[1])
    assert definition_hash(replace(exercise, reference=len)) == definition_hash(exercise)
    assert definition_hash(replace(exercise, cases=get(IDS[2]).cases)) != definition_hash(exercise)
    assert definition_hash(replace(exercise, decide=get(IDS[2]).cases)) != definition_hash(exercise)
    changed = {"title": "Another", "id": "a.b", "slides": ("C09",), "seconds": 99}
    for name, value in [*changed.items(), ("tolerance", Tolerance(rtol=0.5))]:
        assert definition_hash(replace(exercise, **{name: value})) != definition_hash(exercise), name


def secret(x):
    """Right, and used by the judge below; as if it stood among the exercises."""
    return x + 1


secret.__module__ = "lib.exercises.secret"


def judge_by_secret(given, output, expected):
    return None if output == secret(given) else "no"


def test_what_is_right_stays_out_though_the_judge_calls_it():
    exercise = replace(get(IDS[1]), decide=judge_by_secret)
    as_reference = definition_hash(replace(exercise, reference=secret))
    assert as_reference == definition_hash(replace(exercise, accepts=(secret,)))
    assert as_reference != definition_hash(exercise)


def test_nothing_leaks_from_any_lecture(tmp_path):
    lectures = all_notebooks()
    assert released(tmp_path / "a", notebooks=[path.stem for path in lectures]) == 0
    for path in lectures:
        edition = load(tmp_path / "a" / path.name)
        shown = "\n".join([*(cell.source for cell in edition.cells), text_of(edition)])
        lines = list(solution_lines(load(path)))
        assert lines and not [line for line in lines if line in shown] and "SOLUTION" not in shown
        assert not any(cell.get("outputs") for cell in edition.cells)
        other = [(tmp_path / "a" / name).read_text() for name in ("README.md", "manifest.json")]
        assert not [line for line in lines if any(line in text for text in other)]


def test_a_release_runs_and_only_its_checks_fail(tmp_path):
    """Where it lies, as a student would: the last cell asks the grader."""
    released(tmp_path / "a", "--exercises", IDS[1])
    path = tmp_path / "a" / YEARS.name
    expected = {cell.id for cell in check_cells(path).values()}
    edition = load(path)
    may_fail = {cell.id for cell in edition.cells if "raises-exception" in cell.metadata.get("tags", [])}
    failing = set(run_all(edition, tmp_path / "a"))
    assert expected <= failing <= may_fail
    (last,) = edition.cells[-1].outputs
    assert "✗ not written  0 of 3     writing.probabilities" in last.text and "Not ready to hand in" in last.text


def test_same_bytes_twice_and_nothing_is_written_again(tmp_path, capsys):
    students = roster(tmp_path, "ada", "Müller")
    options = ("--roster", str(students), "--seed", "3")
    assert released(tmp_path / "a", *options) == released(tmp_path / "b", *options) == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert released(tmp_path / "a", *options) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("2 students, 14 points, 0 files written")
    (tmp_path / "a" / "manifest.json").unlink()
    assert released(tmp_path / "a", *options) == 0, "as after an interruption"
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


SHOWN = ("explorables/next_token.html", "figures/next_token_loop.svg")
"""What lecture 00 shows."""


def test_each_student_has_a_folder_and_a_seed(tmp_path):
    students = roster(tmp_path, "ada", "Mu\u0308ller")
    assert released(tmp_path / "a", "--roster", str(students), "--seed", "3") == 0
    inside = sorted(contents(tmp_path / "a"))
    names = ("M\u00fcller", "ada")
    copies = [f"{name}/{file}" for name in names for file in ("README.md", YEARS.name, *SHOWN)]
    assert inside == sorted(["manifest.json", *copies])
    text = (tmp_path / "a" / "manifest.json").read_text()
    assert '"M\u00fcller"' in text, "for people too"
    manifest = json.loads(text)
    for name in names:
        copy = tmp_path / "a" / name / YEARS.name
        student = manifest["students"][name]
        assert parameters(load(copy))[SEED_NAME] == student["seed"] == student_seed(3, name)
        assert student["sha256"][YEARS.name] == hashlib.sha256(copy.read_bytes()).hexdigest()


def test_seeds_stay_what_they_were():
    words = hashlib.sha256(b"course release\n3\nada").hexdigest()[:8]
    assert student_seed(3, "ada") == int(words, 16)
    assert len({student_seed(s, n) for s in range(3) for n in ("ada", "bob", "Ada")}) == 9


@pytest.mark.parametrize(
    "name", ["", "..", ".hidden", "a/b", "../x", "a\\b", "-rf", "a\nb", "a ", " a", "a.", "a\0b", "x" * 201,
             "ü" * 101, "a:b", "README.md", "Manifest.JSON", "a\u202eb"],
)  # fmt: skip
def test_a_name_that_is_no_folder_is_refused(name, tmp_path):
    path = roster(tmp_path, "ada", name)
    with pytest.raises(CourseError, match="line "):
        read_roster(path)
    assert released(tmp_path / "a", "--roster", str(path)) == 1 and not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "needs one column 'student'"),
        (b"studnet\nada\n", "did you mean studnet"),
        (b"student,student\nada,bob\n", "there are two"),
        (b"student\n", "contains no students"),
        (b"student\nada\nAda\n", "line 3: 'Ada' is already in line 2"),
        (b"student,x\nDoe, Jane,1\n", "line 2: more fields"),
        (b"x,student\n1\n", "line 2: ''"),
        (b"student\n\xff\n", "cannot be read"),
        (b'student\n"ada\n', "cannot be read"),
    ],
)
def test_a_broken_roster_is_refused(content, words, tmp_path):
    path = tmp_path / "roster.csv"
    path.write_bytes(content)
    with pytest.raises(CourseError) as caught:
        read_roster(path)
    assert words in str(caught.value)


def test_a_roster_from_a_spreadsheet_is_read(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_bytes(b"\xef\xbb\xbfstudent,mail\r\nada,x\r\n\r\nbob@x.org,y\r\n")
    assert read_roster(path) == ["ada", "bob@x.org"]
    with pytest.raises(CourseError, match="cannot be read"):
        read_roster(tmp_path / "none.csv")
    names = ["x" * 200, "ü" * 100, "a-", "_a", "+a", "@a", "1", "a.b c", "manifest.json.x", "李"]
    assert read_roster(roster(tmp_path, *names)) == names


@pytest.mark.parametrize(
    "pair", ["mlm.loss", "=5", "a.b=", "a.b=0", "a.b=-1", "a.b=nan", "a.b=inf", "a.b=1e3", "a.b=٣", "a.b=0.0"]
)
def test_points_are_positive_numbers(pair):
    with pytest.raises(UsageError):
        read_points([pair])


def test_points_of_up_to_six_digits_on_either_side():
    given = {"a.b": ("999999.999999", 999999.999999), "a.c": ("5.0", 5), "a.d": ("0.000001", 1e-6)}
    found = read_points([f"{id}={text}" for id, (text, _) in given.items()])
    assert found == {id: number for id, (_, number) in given.items()} and type(found["a.c"]) is int
    for text in ("1000000", "1.0000001", "1.", ".5", "1_0", " 1"):
        with pytest.raises(UsageError, match="positive number"):
            read_points([f"a.b={text}"])


@pytest.mark.parametrize(
    "options, words",
    [
        (("--exercises", "writing.loo"), "did you mean writing.loop"),
        (("--exercises", "mlm.loss"), "in none of the chosen notebooks"),
        (("--points", "mlm.loss=2"), "in none of the chosen notebooks"),
        (("--exercises", IDS[0], "--points", f"{IDS[1]}=2"), "not among the graded"),
        (("--points", f"{IDS[0]}=2", f"{IDS[0]}=3"), "twice"),
        (("--seed", "-1"), "must not be negative"),
    ],
)
def test_a_wrong_choice_is_a_usage_error_and_writes_nothing(options, words, tmp_path, capsys):
    assert released(tmp_path / "a", *options) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "a").exists()


def test_unknown_notebook_and_bad_targets(tmp_path, capsys):
    assert released(tmp_path / "a", notebooks=["00_start_her"]) == 2
    assert "did you mean 00_start_here" in capsys.readouterr().err
    (tmp_path / "link").symlink_to(NOTEBOOKS)
    assert released(NOTEBOOKS) == released(tmp_path / "link") == 2
    (tmp_path / "file").write_text("")
    capsys.readouterr()
    assert released(tmp_path / "file") == 1
    assert "is a file; --out must name a folder" in capsys.readouterr().err


def test_what_is_there_already_is_not_written_again(tmp_path):
    released(tmp_path / "a")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}
    released(tmp_path / "a")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()} == before


def test_a_file_put_there_in_the_very_moment_is_kept(tmp_path, monkeypatch):
    mine = tmp_path / "a" / "manifest.json"
    write = release.atomic_path

    def saved_just_before(path):
        mine.parent.mkdir(exist_ok=True)
        mine.write_text("mine")
        return write(path)

    monkeypatch.setattr(release, "atomic_path", saved_just_before)
    assert released(tmp_path / "a") == 1
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", ["README.md", YEARS.name, "manifest.json"])
def test_nothing_is_overwritten(name, tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).write_text("mine")
    assert released(tmp_path / "a") == 1
    assert f"{tmp_path / 'a' / name} exists" in capsys.readouterr().err
    assert contents(tmp_path / "a") == {name: b"mine"}


def test_the_readme_says_what_is_asked_for_how_many_points(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    graded = ("--exercises", IDS[0], "--exercises", IDS[1])
    assert released("~/a", *graded, "--points", f"{IDS[1]}=2.5", "--points", f"{IDS[0]}=1.5") == 0
    text = (tmp_path / "a" / "README.md").read_text()
    assert "4 points in all" in text
    assert f"| `{YEARS.name}` | Count tokens (`{IDS[0]}`) | N38 | 1.5 |" in text
    assert f"(`{IDS[2]}`)" in text and "| 0 |" in text and "course validate PATH" in text


def test_another_release_does_not_mix_with_the_first(tmp_path):
    released(tmp_path / "a")
    before = contents(tmp_path / "a")
    assert released(tmp_path / "a", "--points", f"{IDS[0]}=9") == 1
    assert contents(tmp_path / "a") == before


def test_links_and_files_in_the_way(tmp_path):
    students = roster(tmp_path, "ada")
    (tmp_path / "a").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a" / "ada").symlink_to(tmp_path / "elsewhere")
    assert released(tmp_path / "a", "--roster", str(students)) == 1
    assert not list((tmp_path / "elsewhere").iterdir())
    (tmp_path / "a" / "ada").unlink()
    (tmp_path / "a" / "ada").write_text("mine")
    assert released(tmp_path / "a", "--roster", str(students)) == 1


def test_a_link_to_itself_and_a_folder_in_the_place_of_a_file(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "README.md").symlink_to("README.md")
    assert released(tmp_path / "a") == 1 and "is a link" in capsys.readouterr().err
    (tmp_path / "a" / "README.md").unlink()
    (tmp_path / "a" / "README.md").mkdir()
    assert released(tmp_path / "a") == 1 and "README.md exists" in capsys.readouterr().err


def test_notebooks_at_fault(tmp_path):
    def broken(change):
        notebook = load(YEARS)
        change({cell.id: cell for cell in notebook.cells}, notebook)
        path = tmp_path / "00_copy.ipynb"
        path.write_text(text_of(notebook))
        return path

    def ungraded(cells, notebook):
        del cells["start-token_count-check"].metadata["course"]

    def twice(cells, notebook):
        cells["writing-probabilities-check"].metadata["course"]["exercise"] = IDS[0]

    def without_parameters(cells, notebook):
        for cell in cells.values():
            cell.metadata.pop("tags", None)

    faults = {"do not name an exercise": ungraded, "another graded cell": twice, "parameters": without_parameters}
    for words, change in faults.items():
        with pytest.raises(CourseError, match=words):
            release.graded_notebooks([broken(change)], None, {})
    copy = broken(lambda cells, notebook: None)
    with pytest.raises(CourseError, match="another chosen notebook"):
        release.graded_notebooks([YEARS, copy], None, {})
    twin = copy.rename(tmp_path / YEARS.name)
    with pytest.raises(UsageError, match="the same file name"):
        release.graded_notebooks([YEARS, twin], None, {})


@pytest.mark.parametrize(
    "source, changed",
    [
        ("check('a.b', f)", "check('a.b', f, points=2)"),
        ("check('a.b', f,)", "check('a.b', f, points=2)"),
        ("größe = 'é'; check('a.b', f('é'))  # )", "größe = 'é'; check('a.b', f('é'), points=2)  # )"),
        ("check(\n    'a.b',\n    f\n)\nx = 1", "check(\n    'a.b',\n    f\n, points=2)\nx = 1"),
        ("check(\n    'a.b', f,  # mine,\n)", "check(\n    'a.b', f,  # mine,\n points=2)"),
        ("check('a.c', g); check('a.b', f)", "check('a.c', g); check('a.b', f, points=2)"),
    ],
)
def test_the_check_of_a_release_says_its_points(source, changed):
    assert with_points(source, "a.b", 2, "here") == changed


@pytest.mark.parametrize(
    "source",
    ["", "check('a.c', f)", "check('a.b', f); check('a.b', f)", "check('a.b')", "check('a.b', f, points=3)",
     "engine.check('a.b', f)", "check(id, f)", "check('a.b', f"],
)  # fmt: skip
def test_a_check_whose_points_cannot_be_changed_is_refused(source):
    with pytest.raises(CourseError, match="^here: "):
        with_points(source, "a.b", 2, "here")


MODEL = "Because every model answer leaks unless it is taken out."
ASKED = """### Why?

Say why, in three sentences.

<!-- BEGIN SOLUTION -->
{model}

![proof](attachment:proof.png)
<!-- END SOLUTION -->

![question](attachment:question.png)"""


SOLVED = ASKED.format(model=MODEL)


def with_written_answer(tmp_path, source=SOLVED, **about):
    """Notebook 00 with a question that a person grades, `report.why`, in the place of its own."""
    notebook = load(YEARS)
    notebook.cells = [cell for cell in notebook.cells if exercise_of(cell) != OPEN]
    for cell in notebook.cells:  # the drawings are not beside the copy
        cell.source = re.sub(r"\]\((figures|explorables)/", "](other/", cell.source)
    marks = {"grade": True, "solution": True, "locked": False, "task": False, "schema_version": 3}
    metadata = {
        "nbgrader": marks | {"grade_id": "report-why", "points": 6},
        "course": {"exercise": "report.why", "title": "Why?", "slides": ["T30"]} | about,
    }
    cell = new_markdown_cell(source, id="why", metadata=metadata)
    cell.attachments = {name: {"image/png": "aGlkZGVu"} for name in ("proof.png", "question.png")}
    notebook.cells.append(cell)
    path = tmp_path / "00_written.ipynb"
    path.write_text(text_of(notebook))
    return path


def test_a_written_answer_is_released_without_its_model_answer(tmp_path):
    path = with_written_answer(tmp_path)
    assert [f.rule for f in lint_file(path) if f.cell == "why"] == ["open-question"], "it has no rubric"
    assert released(tmp_path / "a", "--points", "report.why=10", notebooks=[str(path)]) == 0
    cell = next(cell for cell in load(tmp_path / "a" / path.name).cells if cell.id == "why")
    assert cell.source == ASKED.partition("<!--")[0] + PROMPT + "\n\n![question](attachment:question.png)"
    assert list(cell.attachments) == ["question.png"], "the picture of the proof is part of the model answer"
    marks = cell.metadata["nbgrader"]
    assert (marks["grade"], marks["solution"], marks["locked"], marks["points"]) == (True, True, False, 10)
    everything = "".join(f.decode() for f in contents(tmp_path / "a").values())
    assert MODEL not in everything and "SOLUTION" not in everything
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    entry = manifest["notebooks"][path.name]["exercises"][-1]
    assert {k: entry[k] for k in ("id", "title", "slides", "points", "manual")} == {
        "id": "report.why", "title": "Why?", "slides": ["T30"], "points": 10, "manual": True,
    }  # fmt: skip
    assert "(`report.why`), graded by a person | T30 | 10 |" in (tmp_path / "a" / "README.md").read_text()
    assert [e.get("manual") for e in manifest["notebooks"][path.name]["exercises"][:-1]] == [None] * 4


def test_a_written_answer_that_is_not_chosen_stays_as_practice(tmp_path):
    path = with_written_answer(tmp_path)
    assert released(tmp_path / "a", "--exercises", IDS[0], notebooks=[str(path)]) == 0
    edition = load(tmp_path / "a" / path.name)
    (asked,) = [cell for cell in edition.cells if cell.id == "why"]
    assert "nbgrader" not in asked.metadata and PROMPT in asked.source, "nbgrader refuses an answer without a grade"
    assert not list(nbgrader_findings(edition))


def test_the_definition_of_a_written_answer_is_its_question(tmp_path):
    def definition(**change):
        (notebook,) = release.graded_notebooks([with_written_answer(tmp_path, **change)], None, {})
        (about,) = notebook.written.values()
        return about.definition

    first = definition()
    assert definition(source=ASKED.format(model="Another model answer.")) == first
    assert definition(source=SOLVED.replace("three", "four")) != first
    assert definition(title="How?") != first
    assert definition(exercise="report.how") != first


def test_a_written_answer_at_fault_is_named(tmp_path):
    for words, change in {
        "without '<!-- BEGIN": {"source": "Say why."},
        "is not exactly": {"source": SOLVED.replace("<!-- END", "<!--END")},
        "do not name an exercise": {"exercise": ""},
        "must be text": {"title": 3},
        "list of texts": {"slides": "T30"},
        "has another graded cell": {"exercise": IDS[0]},
        "has an automatic check": {"exercise": "mlm.loss"},
    }.items():
        path = with_written_answer(tmp_path, **change)
        with pytest.raises(CourseError, match=words):
            release.graded_notebooks([path], None, {})
