"""A school that runs nbgrader can use the notebooks, and releases of them, as they are.

What stands here costs kernels, so it is few runs: two notebooks, one right and one untouched submission.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lib import NOTEBOOKS, ROOT
from lib.course import cli
from lib.lectures.notebooks import load, text_of

START, MEMORY = NOTEBOOKS / "00_start_here.ipynb", NOTEBOOKS / "15_memory_footprint.ipynb"
CONFIG = """c = get_config()
c.CourseDirectory.course_id = "course"
c.ExecutePreprocessor.timeout = 600
"""


def nbgrader(folder, *arguments):
    """What nbgrader says, to either stream; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments], cwd=folder, timeout=900, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "JUPYTER_CONFIG_DIR": str(folder), "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def school(tmp_path, monkeypatch):
    """An empty course of nbgrader, which calls a program `alembic` that came with it."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "nbgrader_config.py").write_text(CONFIG)
    return tmp_path


def hand_in(school, student, assignment, *notebooks):
    folder = school / "submitted" / student / assignment
    folder.mkdir(parents=True)
    for name, text in notebooks:
        (folder / name).write_text(text)


def filled_in(path, source):
    """The text of the notebook `path` with the solutions of `source` in the place of its stubs."""
    solutions = {cell.id: cell.source for cell in load(source).cells if is_solution(cell)}
    notebook = load(path)
    for cell in filter(is_solution, notebook.cells):
        cell.source = solutions[cell.id]
    return text_of(notebook)


def is_solution(cell):
    return cell.metadata.get("nbgrader", {}).get("solution", False)


def scores(school, assignment):
    """Each student's points and the most points, by the id of the check; what a person grades has none yet."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{school / 'gradebook.db'}") as book:
        return {
            submission.student.id: {
                grade.name: (grade.auto_score, grade.max_score)
                for notebook in submission.notebooks
                for grade in notebook.grades
                if grade.name.endswith("-check")
            }
            for submission in book.assignment_submissions(assignment)
        }


@pytest.mark.nightly
def test_the_notebooks_themselves_are_an_assignment(school):
    (school / "source" / "a1").mkdir(parents=True)
    shutil.copy(START, school / "source" / "a1")
    nbgrader(school, "generate_assignment", "a1")
    stubs = (school / "release" / "a1" / START.name).read_text()
    assert "SOLUTION" not in stubs and "raise NotImplementedError()" in stubs
    hand_in(school, "right", "a1", (START.name, filled_in(school / "release" / "a1" / START.name, START)))
    hand_in(school, "stub", "a1", (START.name, stubs))
    nbgrader(school, "autograde", "a1")
    usual = {"start-token_count-check": 1, "writing-probabilities-check": 3}
    usual |= {"writing-draw-check": 2, "writing-loop-check": 4}
    assert scores(school, "a1") == {
        "right": {name: (points, points) for name, points in usual.items()},
        "stub": {name: (0, points) for name, points in usual.items()},
    }


@pytest.mark.nightly  # by day, tests/bench grades a submission with nbgrader
def test_a_release_is_an_assignment_with_its_own_points(school):
    out = school / "source" / "a2"
    chosen = ["start.token_count", "writing.loop", "memory.training_bytes", "cache.kv_cache_bytes"]
    changed = ["writing.loop=0.5", "memory.training_bytes=7"]
    options = ["--exercises", *chosen, "--points", *changed]
    assert cli.main(["release", "00", "15", "--out", str(out), *options]) == 0
    (out / "README.md").rename(school / "README.md")
    right = [(path.name, filled_in(out / path.name, path)) for path in (START, MEMORY)]
    nbgrader(school, "generate_assignment", "a2")
    hand_in(school, "right", "a2", *right)
    hand_in(school, "stub", "a2", (START.name, (school / "release" / "a2" / START.name).read_text()))
    assert "Success! Your notebook passes all the tests." in nbgrader(
        school, "validate", f"submitted/right/a2/{START.name}"
    )
    nbgrader(school, "autograde", "a2")
    first = {"start-token_count-check": 1, "writing-loop-check": 0.5}
    second = {"memory-training_bytes-check": 7, "cache-kv_cache_bytes-check": 4}
    found = scores(school, "a2")
    assert found["right"] == {name: (points, points) for name, points in (first | second).items()}
    assert [found["stub"][name] for name in first] == [(0, points) for points in first.values()]
    assert not any(score for score, _ in found["stub"].values())
    graded = load(school / "autograded" / "right" / "a2" / START.name)
    said = {cell.id: "".join(o.get("text", "") for o in cell.get("outputs", [])) for cell in graded.cells}
    assert said["writing-loop-check"].endswith("0.5 points.\n")
    assert said["writing-probabilities-check"].endswith("for practice.\n")
    assert "nbgrader is grading" in said[graded.cells[-1].id]
