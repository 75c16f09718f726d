"""`course new`: what it writes runs, is named where it is unfinished, and is clean once it is filled in."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import nbformat
import pytest

from lib import NOTEBOOKS, ROOT
from lib.course import cli
from lib.errors import CourseError, UsageError
from lib.exercises.engine import registry
from lib.lectures.edition import student_edition
from lib.lectures.lint import lint_file
from lib.lectures.new import PLACEHOLDER, files
from lib.lectures.new.exercise import new_exercise
from lib.lectures.new.files import write_all
from lib.lectures.new.lecture import new_lecture
from lib.lectures.notebooks import all_notebooks, load, text_of
from tests.lectures import sample

ID = "trial.mean"


@pytest.fixture
def places(tmp_path):
    """A lecture 04 and a folder for exercises, as arguments of `new_exercise`."""
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    made = sample.clean()
    made.cells.append(nbformat.v4.new_markdown_cell("Nearly done.\n\n## Summary\n\nAll.", id="summary"))
    (notebooks / "04_trial.ipynb").write_text(text_of(made))
    (tmp_path / "exercises").mkdir()
    return {"notebooks": notebooks, "exercises": tmp_path / "exercises"}


def contents(places):
    """Every file and folder there, with its bytes."""
    found = [path for folder in places.values() for path in folder.rglob("*")]
    return {path: path.read_bytes() if path.is_file() else None for path in found}


def test_the_cells_have_the_form_of_every_exercise(places):
    _, path = new_exercise(ID, "04", slides=("C08", "W11"), points=3, minutes=1, **places)
    task, solution, check = load(path).cells[-4:-1]
    assert [cell.id for cell in (task, solution, check)] == [
        "trial-mean-task",
        "trial-mean-solution",
        "trial-mean-check",
    ]
    assert task.source.splitlines()[2] == "*3 points · 1 minute*"
    assert check.source == 'check("trial.mean", my_mean)'
    theirs = {cell.id: cell for cell in load(NOTEBOOKS / "06_autoregressive_objective.ipynb").cells}
    for mine, name in ((solution, "chain-sequence_probability-solution"), (check, "chain-sequence_probability-check")):
        known = json.dumps(theirs[name].metadata, sort_keys=True)
        known = known.replace("chain.sequence_probability", ID).replace("chain-sequence_probability", "trial-mean")
        assert json.dumps(mine.metadata, sort_keys=True) == known  # which has three points, too
    edition = student_edition(load(path), path.name)
    assert "x.sum" not in text_of(edition) and edition.metadata["course"]["asked"][-1]["exercise"] == ID


def test_the_module_is_one_of_the_registry_and_its_promise_holds(places):
    module, _ = new_exercise(ID, "4", **places)
    assert (
        module == places["exercises"] / "lecture04" / "trial.py" and (module.parent / "__init__.py").read_text() == ""
    )
    names = {}
    exec(module.read_text(), names)
    (exercise,) = names["EXERCISES"]
    assert (exercise.id, exercise.points, exercise.minutes) == (ID, 2, 10)
    assert '    slides=("C01",),  # FILL IN' in module.read_text()
    from lib.course.report import kill_row

    for seed in range(5):
        assert len(exercise.build_cases(seed)) == 3
    row = kill_row(exercise)
    assert (row.accepted, row.killed, row.problems) == ("2/2", "5/5", "")


@pytest.mark.parametrize("after, at", [("", -1), ("part", 3), ("summary", None)])
def test_the_cells_go_where_they_are_wanted_and_the_others_stay(places, after, at):
    before = load(places["notebooks"] / "04_trial.ipynb")
    _, path = new_exercise(ID, "04", after=after, **places)
    ids = [cell.id for cell in load(path).cells]
    start = ids.index("trial-mean-task")
    where = len(before.cells) if at is None else at % len(before.cells)
    assert start == where and ids[start + 2] == "trial-mean-check"
    after_it = load(path)
    del after_it.cells[start : start + 3]
    assert text_of(after_it) == text_of(before)


def test_without_a_summary_they_go_to_the_end(places):
    path = sample.save(places["notebooks"] / "05_other.ipynb", sample.clean())
    new_exercise(ID, "05", **places)
    assert load(path).cells[-1].id == "trial-mean-check"


def test_a_lecture_changes_by_these_cells_alone(tmp_path):
    for path in all_notebooks():
        copy = tmp_path / path.name
        shutil.copy(path, copy)
        new_exercise(f"trial{path.name[:2]}.mean", path.name[:2], notebooks=tmp_path, exercises=tmp_path / "exercises")
        notebook = load(copy)
        notebook.cells = [cell for cell in notebook.cells if not cell.id.startswith("trial")]
        assert text_of(notebook).encode() == path.read_bytes()


@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"id": "mean"}, UsageError, "an id is two names in small letters, like mlm.mask_tokens, got 'mean'"),
        ({"id": "Trial.mean"}, UsageError, "two names in small letters"),
        ({"id": "../x.mean"}, UsageError, "two names in small letters"),
        ({"id": "trial.mean.x"}, UsageError, "two names in small letters"),
        ({"id": "for.mean"}, UsageError, "two names in small letters"),
        ({"id": "trial.lambda"}, UsageError, "two names in small letters"),
        ({"id": "trial.case"}, UsageError, "'case' means something else"),
        ({"id": "chain.terms"}, CourseError, "there is an exercise chain.terms already"),
        ({"id": "sample.double"}, CourseError, "there is an exercise sample.double already, in 04_trial.ipynb"),
        ({"id": "chain.other"}, CourseError, "ids that begin with 'chain.' belong to lecture06"),
        ({"id": "slots.other"}, CourseError, "lecture04/slots.py is there, and nothing is overwritten"),
        ({"id": "trial.gone"}, CourseError, "trial.gone is the id of an exercise that is retired"),
        ({"lecture": "05"}, UsageError, "unknown notebook '05'"),
        ({"lecture": "04_mlm_masking"}, UsageError, "unknown notebook '04_mlm_masking'"),
        ({"lecture": str(NOTEBOOKS / "00_start_here.ipynb")}, UsageError, "takes a lecture of the course, like 04"),
        ({"after": "sumary"}, UsageError, "04_trial.ipynb has no cell 'sumary': did you mean summary?"),
        ({"slides": ("C99",)}, UsageError, "--slides: slide must be one of"),
        ({"points": 0}, UsageError, "--points must be from 1 to 10, got 0"),
        ({"minutes": 41}, UsageError, "--minutes must be from 1 to 40, got 41"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(places, monkeypatch, change, error, words):
    monkeypatch.setattr(registry, "RETIRED", ("trial.gone",))
    (places["exercises"] / "lecture04").mkdir()
    (places["exercises"] / "lecture04" / "slots.py").write_text("mine")
    before = contents(places)
    with pytest.raises(error, match=words.replace("(", r"\(")) as caught:
        new_exercise(**{"id": ID, "lecture": "04"} | change | places)
    assert type(caught.value) is error and contents(places) == before


def test_a_cell_of_that_name_is_not_doubled(places):
    made = load(places["notebooks"] / "04_trial.ipynb")
    made.cells[3].id = "trial-mean-check"
    (places["notebooks"] / "04_trial.ipynb").write_text(text_of(made))
    before = contents(places)
    with pytest.raises(CourseError, match="04_trial.ipynb has a cell trial-mean-check already"):
        new_exercise(ID, "04", **places)
    assert contents(places) == before


@contextmanager
def failing_for(path, error):
    raise error
    yield


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("name", ["__init__.py", "trial.py", "04_trial.ipynb"])
def test_nothing_is_left_half_written(places, monkeypatch, name, error):
    real = files.atomic_path
    monkeypatch.setattr(
        files, "atomic_path", lambda path: failing_for(path, error) if path.name == name else real(path)
    )
    before = contents(places)
    with pytest.raises(CourseError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        new_exercise(ID, "04", **places)
    assert contents(places) == before
    if isinstance(error, OSError):
        assert str(caught.value).endswith("cannot be written (No space left on device); nothing was changed")


def test_a_notebook_that_was_saved_meanwhile_is_kept(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text("saved by Jupyter")
    with pytest.raises(CourseError, match="a.ipynb was saved meanwhile: run this again; nothing was changed"):
        write_all({tmp_path / "deep" / "new.py": "x"}, (path, "as it was read", "changed"))
    assert path.read_text() == "saved by Jupyter" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(CourseError, match="a.ipynb is there, and nothing is overwritten"):
        write_all({tmp_path / "b": "x", path: "y"})
    assert path.read_text() == "saved by Jupyter" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name, error, words",
    [
        ("5_short", UsageError, "two digits and words"),
        ("05-dashes", UsageError, "two digits and words"),
        ("05_", UsageError, "two digits and words"),
        ("05_Upper", UsageError, "two digits and words"),
        ("../05_x", UsageError, "two digits and words"),
        ("04_again", CourseError, "lecture 04 is 04_trial: choose another number"),
        ("08_scaling_laws", CourseError, "08_scaling_laws was the name of 09_scaling_laws"),
    ],
)
def test_a_lecture_that_cannot_be_is_refused(places, name, error, words):
    before = contents(places)
    with pytest.raises(error, match=words) as caught:
        new_lecture(name, places["notebooks"])
    assert type(caught.value) is error and contents(places) == before


@pytest.fixture
def course(tmp_path):
    """Commands, one after the other in one process, in a copy of the course that has no lecture yet."""
    shutil.copytree(ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "data").symlink_to(ROOT / "data")
    code = "import sys; from lib.course.cli import main; sys.exit(sum(main(line.split()) for line in sys.argv[1:]))"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}

    def run(*lines):
        command = [sys.executable, "-c", code, *lines]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    return run


def test_an_author_goes_the_whole_way(course, tmp_path):
    """A lecture and an exercise from nothing: each step does what the one before said."""
    written = course("new lecture 77_trial", f"new exercise {ID} --lecture 77")
    assert written.returncode == 0 and "written   lib/exercises/lecture77/trial.py" in written.stdout
    places = [tmp_path / "lib/exercises/lecture77/trial.py", tmp_path / "notebooks/77_trial.ipynb"]
    to_fill_in = sum(PLACEHOLDER in line for place in places for line in place.read_text().splitlines())
    assert load(places[1]).metadata["course"] == {"edition": 2}
    never_run, *findings, last = course("lint 77").stdout.splitlines()
    assert never_run.endswith("execution count None, expected 1 (run: course refresh)")
    assert last == f"1 notebooks, {to_fill_in + 1} errors, 0 warnings"
    assert len(findings) == to_fill_in and all(": placeholder: " in finding for finding in findings)

    for place in places:
        place.write_text(place.read_text().replace(f"{PLACEHOLDER}: ", "").replace(PLACEHOLDER, "done"))
    done = course("refresh 77", "lint 77", f"report --exercises {ID}")
    assert done.returncode == 0 and "1 notebooks, 0 errors, 0 warnings" in done.stdout
    assert "2/2" in done.stdout and "5/5" in done.stdout
    assert "✓ trial.mean: right on 3 cases, 2 points." in places[1].read_text()


def test_a_new_lecture_breaks_no_rule_of_the_second_edition(tmp_path):
    """Filled in, and without its line about the exercise that is to come."""
    path = new_lecture("77_trial", tmp_path)
    drawing = tmp_path / "figures" / "77_mechanism.svg"
    text = path.read_text()
    assert "figures/77_mechanism.svg" in text and PLACEHOLDER in drawing.read_text()
    path.write_text(text.replace(f"{PLACEHOLDER}: ", "").replace(PLACEHOLDER, "done"))
    assert {finding.rule for finding in lint_file(path)} == {"fresh-run"}
    edition = student_edition(load(path), path.name)
    assert [cell.source[:30] for cell in edition.cells if cell.id == "prediction"] == ['predict("trial.guess", ...)  #']
    asked = edition.metadata["course"]
    assert asked["edition"] == 2 and [each["exercise"] for each in asked["asked"]] == ["trial.explain"]
    drawing.unlink()
    assert {finding.rule for finding in lint_file(path)} == {"fresh-run", "linked-file"}


@pytest.mark.parametrize(
    "name, room", [("77_8_bits", "bits"), ("77_2024", "lecture"), ("77_bert_fine_tuning", "bert_fine_tuning")]
)
def test_the_ids_of_a_new_lecture_begin_with_a_letter(tmp_path, name, room):
    source = new_lecture(name, tmp_path).read_text()
    assert f'predict(\\"{room}.guess\\", ...)' in source and f'"{room}-explain"' in source


def test_a_drawing_that_is_there_is_kept(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "77_mechanism.svg").write_text("mine")
    with pytest.raises(CourseError, match="77_mechanism.svg is there, and nothing is overwritten"):
        new_lecture("77_trial", tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["figures", "77_mechanism.svg"]


@pytest.mark.parametrize("arguments", [["new"], ["new", "exercise", "a.b"], ["new", "lecture"], ["new", "essay"]])
def test_a_command_that_is_not_whole_is_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        cli.main(arguments)
    assert "usage: course new" in capsys.readouterr().err


def test_an_error_is_one_line(capsys):
    assert cli.main(["new", "exercise", "chain.terms", "--lecture", "04"]) == 1
    assert capsys.readouterr().err.startswith("course: there is an exercise chain.terms already, in 06_autoregressive")
