"""Every exercise of every lecture, through release, filling in and grading with a secret key: a solution has
all points, a stub none, and a known mistake has none and is called by its name.

By day one mistake and one other right answer stand for all: which answer is taken for what, the engine decides, and
tests/exercises tries each of them there. At night every known answer goes this way.
"""

import csv
from functools import cache

import pytest

from lib.bench.classroom import Lecture, sheets
from lib.course import cli
from lib.exercises import all_exercises
from lib.grading.intake.submission import read_folder, read_submission
from lib.grading.judging.grader import Grader
from lib.lectures.notebooks import all_notebooks
from tests.nightly import by_day

KEY = b"not the key of any real class..."
LECTURES = {path.name: path for path in all_notebooks()}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    out = tmp_path_factory.mktemp("assignment") / "release"
    assert cli.main(["release", *(path.stem for path in LECTURES.values()), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def grader():
    with Grader(KEY) as grader:
        yield grader


@cache
def lecture(name, release):
    return Lecture(LECTURES[name], (release / name).read_text(encoding="utf-8"))


def handed_in(folder, made, student, kinds):
    path = folder / student / made.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.file({id: made.filled(id, kind) for id, kind in kinds.items()}))


def entries(grader, folder, made):
    """The entry of each exercise of each student who has handed something in."""
    for found in read_folder(folder, {made.name: list(made.answers)}).found:
        submission = read_submission(found, found.path.read_bytes())
        for entry in grader.grade(submission, list(made.answers))["exercises"]:
            yield found.student, entry


def test_every_exercise_is_in_a_lecture(release):
    assert {id for name in LECTURES for id in lecture(name, release).answers} == set(all_exercises())


@pytest.mark.parametrize("whole", by_day(1, [False, True]), ids=["one of a kind", "all"])
@pytest.mark.parametrize("name", LECTURES)
def test_each_known_answer_is_graded_as_what_it_is(name, whole, release, grader, tmp_path, unchecked):
    made, kinds = lecture(name, release), {}
    for number, sheet in enumerate(sheets(made) if whole else representatives(made)):
        handed_in(tmp_path, made, f"student{number:02d}", sheet)
        kinds |= {(f"student{number:02d}", id): kind for id, kind in sheet.items()}
    wrong = []
    for student, entry in entries(grader, tmp_path, made):
        kind = kinds.pop((student, entry["id"]), "stub")
        if complaint := _off(kind, entry):
            wrong.append(f"{entry['id']}, {kind}: {complaint}")
    assert not wrong, "\n".join(wrong)
    assert not kinds, "these were handed in, and have no entry"


def representatives(made):
    """Two sheets: another right answer to each exercise that has one, and a mistake."""
    known = {id: made.kinds(id) for id in made.answers}
    yield {id: kinds[2] for id, kinds in known.items() if kinds[2].startswith("accepted ")}
    yield {id: kinds[-1] for id, kinds in known.items()}


def _off(kind, entry):
    """What is not as it should be in the entry of an answer of this kind."""
    status = {"stub": "not written", "solution": "right"}.get(kind, "right" if "accepted " in kind else "wrong")
    named = kind if status == "wrong" else ""
    if entry["status"] != status or entry["misconception"] != named or bool(entry["hint"]) != bool(named):
        return f"{entry['status']} ({entry['reason']}), taken for {entry['misconception']!r}"
    if status == "right" and not 0 < entry["passed"] == entry["cases"]:
        return f"right on {entry['passed']} of {entry['cases']} cases"
    return ""


def test_solutions_have_all_points_and_stubs_none(release, tmp_path):
    students = {"ada": "solution", "bob": "stub"}
    for student, kind in students.items():
        for name in LECTURES:
            made = lecture(name, release)
            handed_in(tmp_path / "in", made, student, dict.fromkeys(made.answers, kind))
    (tmp_path / "key").write_text(KEY.hex())
    (tmp_path / "key").chmod(0o600)
    places = {"--release": release, "--out": tmp_path / "out", "--key": tmp_path / "key"}
    options = [str(each) for pair in places.items() for each in pair] + ["--jobs", "1"]
    assert cli.main(["grade", str(tmp_path / "in"), *options]) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "grades.csv").open(encoding="utf-8", newline="")))
    points = {id: float(exercise.points) for id, exercise in all_exercises().items()}
    for student, right in (("ada", True), ("bob", False)):
        mine = {row["exercise"]: float(row["points"]) for row in rows if row["student"] == student}
        mine = {id: worth for id, worth in mine.items() if id in points}  # what a person grades waits for one
        assert mine == (points if right else dict.fromkeys(points, 0.0))
