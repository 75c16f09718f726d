"""Results in their folder, the secret key, and one submission as a unit of work."""

import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lib.course import cli
from lib.errors import CourseError
from lib.exercises import get
from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Misconception
from lib.grading import work
from lib.grading.assignment import asked as assignment
from lib.grading.assignment.asked import Assignment, grading_hash
from lib.grading.assignment.item import Item
from lib.grading.batch import run_batch
from lib.grading.intake.folder import Found
from lib.grading.intake.found import NotTaken
from lib.grading.intake.submission import read_bytes
from lib.grading.judging import grader as judging
from lib.grading.judging.entry import FORMAT, entry
from lib.grading.judging.key import default_path, fingerprint, load_key
from lib.grading.results import store as store_module
from lib.grading.results.store import Planned, Record, Store, plan_of, write_text
from lib.grading.work import Task, grade_file
from tests.grading import fakes
from tests.grading.fakes import IDS

RESULT = {
    "format": FORMAT, "student": "ada", "notebook": "03.ipynb", "file": "", "sha256": "", "problem": "", "notes": [],
    "exercises": [entry("mlm.loss", "right")], "plan": "p",
}  # fmt: skip
PLANNED = Planned("ada", "03.ipynb", "p")


def test_a_result_counts_for_its_plan_alone(tmp_path):
    store = Store(tmp_path)
    store.write_result(RESULT)
    assert store.read_result(PLANNED) == RESULT
    for other in (
        Planned("bob", "03.ipynb", "p"),
        Planned("ada", "05.ipynb", "p"),
        Planned("ada", "03.ipynb", "q"),
    ):
        assert store.read_result(other) is None


@pytest.mark.parametrize(
    "change",
    [{"format": FORMAT + 1}, {"exercises": [{"id": "mlm.loss"}]}, {"exercises": [{"status": "right"}]},
     *({name: ...} for name in ("file", "sha256", "problem", "notes", "exercises", "plan"))],
    ids=str,
)  # fmt: skip
def test_a_result_that_is_not_whole_does_not_count(tmp_path, change):
    store = Store(tmp_path)
    store.write_result({name: value for name, value in (RESULT | change).items() if value is not ...})
    assert store.read_result(PLANNED) is None
    store.path("ada", "03.ipynb").write_text("[]")
    assert store.read_result(PLANNED) is None


def test_a_record_comes_back_and_one_of_a_former_version_too(tmp_path):
    left = (NotTaken("ada", "ada/x.pdf", "it is a PDF document"),)
    items = (Item("03.ipynb", "mlm.loss", "Loss", ("C22",), 2.5), Item("03.ipynb", "report.q", "", (), 4, manual=True))
    asked = Assignment(items, {"mlm.loss": "5e"}, "ab", ("ada", "bob"), {"report.q": 4})
    record = Record(asked, (PLANNED,), {"files": "Landlock"}, left)
    store = Store(tmp_path)
    store.write_record(record)
    assert store.read_record() == record
    plain = json.loads((tmp_path / "assignment.json").read_text())
    del plain["not_taken"]
    (tmp_path / "assignment.json").write_text(json.dumps(plain))
    assert store.read_record() == replace(record, not_taken=())


def test_the_version_of_the_grader_is_part_of_a_plan(monkeypatch):
    given = ("a", ["b"], ["c"], "d", "e")
    plans = {plan_of(*given)}
    for name, value in (("FORMAT", FORMAT + 1), ("__version__", "9.9")):
        with monkeypatch.context() as patch:
            patch.setattr(store_module, name, value)
            plans.add(plan_of(*given))
    assert len(plans) == 3 and plan_of("a", ["b", "c"], [], "d", "e") not in plans


def test_half_characters_are_written_and_read_back(tmp_path):
    store = Store(tmp_path)
    strange = RESULT | {"notes": ["é \udcff \ud800 \x00"]}
    store.write_result(strange)
    assert store.read_result(PLANNED) == strange
    write_text(tmp_path / "page.html", "\udcff")
    assert (tmp_path / "page.html").read_text() == "\\udcff"


def test_no_student_writes_outside_the_folder(tmp_path):
    store = Store(tmp_path / "out")
    for name in ("../../evil", "/etc", "..", ""):
        assert (tmp_path / "out" / "results") in store.path(name, "03.ipynb").resolve().parents


def test_every_part_of_a_plan_changes_it():
    parts = {"sha256": "a", "about": ["b"], "ids": ["c"], "grading": "d", "key": "e"}
    plans = {plan_of(**parts)} | {
        plan_of(**parts | {name: "x" if isinstance(value, str) else ["x"]}) for name, value in parts.items()
    }
    assert len(plans) == 6


@pytest.mark.parametrize(
    "other",
    [
        dict(cases=lambda generator: []),
        dict(decide=lambda case, output, expected: "no"),
        dict(reference=lambda text: 0),
        dict(misconceptions=(Misconception("zero", lambda *given: 0, "Not zero."),)),
        dict(tolerance=Tolerance(rtol=0.5)),
        dict(seconds=99),
        dict(title="Another"),
        dict(hints=("Another.",)),
    ],
)
@pytest.mark.parametrize("id", ["mlm.slot_probabilities", "ppo.gae"])  # of modules that others import
def test_whatever_judges_an_exercise_is_part_of_the_plan(id, other, monkeypatch):
    before = grading_hash([id, IDS[0]])
    assert grading_hash([IDS[0], id]) != before and grading_hash([id]) != before
    changed = replace(get(id), gradient=(), **other)
    monkeypatch.setattr(assignment, "_exercise", {id: changed, IDS[0]: get(IDS[0])}.__getitem__)
    assert grading_hash([id, IDS[0]]) != before


@pytest.mark.parametrize("change", [{"name": "another"}, {"hint": "Another."}])
def test_the_words_of_a_misconception_are_part_of_the_plan(change, monkeypatch):
    exercise = get("mlm.slot_probabilities")
    first, *others = exercise.misconceptions
    before = grading_hash([exercise.id])
    changed = replace(exercise, misconceptions=(replace(first, **change), *others))
    monkeypatch.setattr(assignment, "_exercise", lambda id: changed)
    assert grading_hash([exercise.id]) != before


def test_an_assignment_that_no_grading_wrote_is_an_error(tmp_path):
    for text in ("", "[]", "{}", '{"format": 2, "submissions": []}'):
        (tmp_path / "assignment.json").write_text(text)
        with pytest.raises(CourseError, match="cannot be read .* remove it to start again"):
            Store(tmp_path).read_record()


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    path = default_path()
    assert path == tmp_path / "settings" / "llm-course" / "grading.key"
    key = load_key(path)
    assert len(key) == 32 and load_key(path) == key != load_key(tmp_path / "other.key")
    assert path.parent.stat().st_mode & 0o777 == 0o700, "of the settings' folder, where it was made"
    assert path.stat().st_mode & 0o777 == 0o600 and [p.name for p in path.parent.iterdir()] == ["grading.key"]
    assert fingerprint(key) not in key.hex() and len(fingerprint(key)) == 16
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert default_path() == Path.home() / ".config" / "llm-course" / "grading.key"


def test_a_key_that_others_read_or_that_is_none_is_refused_and_not_shown(tmp_path):
    path = tmp_path / "key"
    load_key(path)
    for mode in (0o640, 0o620, 0o610, 0o604, 0o602, 0o601):
        path.chmod(mode)
        with pytest.raises(CourseError, match="chmod 600"):
            load_key(path)
    path.chmod(0o600)
    path.write_text(f"  {'0a' * 32}\n\n")
    assert load_key(path) == b"\n" * 32
    path.chmod(0o400)
    assert load_key(path) == b"\n" * 32
    path.chmod(0o600)
    for content in (b"sesame", b"", b"\xff" * 64, b"0" * 63, b"0" * 65, b"A" * 64, b"g" + b"0" * 63):
        path.write_bytes(content)
        with pytest.raises(CourseError, match="it contains something else") as error:
            load_key(path)
        assert "sesame" not in str(error.value)
    with pytest.raises(CourseError, match="cannot be used as the grader's key"):
        load_key(tmp_path / "key" / "in a file")


def task(tmp_path, content=None, **changes):
    path = tmp_path / "ada.ipynb"
    path.write_bytes(content) if content is not None else fakes.write(path, "x = 1")
    found = Found("ada", "00_start_here.ipynb", path, file="ada.ipynb")
    ids = ("start.token_count", "report.q2")
    return Task(*read_bytes(found), **{"ids": ids, "manual": ("report.q2",), "key": b"k" * 32, "plan": "p"} | changes)


class FakeGrader:
    def __init__(self, key):
        self.key, self.closed = key, False

    def grade(self, submission, ids):
        if "x = 1" not in submission.cells[0]["source"]:
            raise ZeroDivisionError("by zero")
        statuses = {id: "manual" if id in submission.written else "right" for id in ids}
        return {**RESULT, "exercises": [entry(id, status) for id, status in statuses.items()]}

    def close(self):
        self.closed = True


@pytest.fixture
def fake_grader(monkeypatch):
    monkeypatch.setattr(judging, "Grader", FakeGrader)
    monkeypatch.setattr(work, "_graders", work.threading.local())


def test_the_work_is_the_same_after_a_journey(tmp_path, fake_grader):
    one = task(tmp_path)
    result = grade_file(pickle.loads(pickle.dumps(one)))
    assert [(each["id"], each["status"]) for each in result["exercises"]] == [
        ("start.token_count", "right"), ("report.q2", "missing")
    ]  # fmt: skip
    assert result == grade_file(one) and result["plan"] == "p" and "fault" not in result
    assert "kkkk" not in repr(one) and "x = 1" not in repr(one)


def test_a_written_answer_is_for_a_person_where_the_assignment_says_so(tmp_path, fake_grader, monkeypatch):
    from lib.grading.intake import submission

    def with_written(found, content):
        cells = ({"number": 1, "source": "x = 1", "exercise": ""},)
        written = {"report.q2": "words", "start.token_count": "not a matter of words"}
        return submission.Submission("ada", found.notebook, found.file, "", cells, written=written)

    monkeypatch.setattr(submission, "read_submission", with_written)
    assert [each["status"] for each in grade_file(task(tmp_path))["exercises"]] == ["right", "manual"]


def test_a_grader_serves_for_one_key_and_is_closed_for_the_next(tmp_path, fake_grader):
    first = work._grader(b"a")
    assert work._grader(b"a") is first and not first.closed
    assert work._grader(b"b") is not first and first.closed


def test_a_fault_of_ours_is_a_result_that_says_so(tmp_path, fake_grader):
    fakes.write(tmp_path / "other.ipynb", "y = 2")
    result = grade_file(task(tmp_path, (tmp_path / "other.ipynb").read_bytes()))
    assert result["fault"] == "ZeroDivisionError: by zero" and result["file"] == "ada.ipynb"
    assert [each["status"] for each in result["exercises"]] == ["crashed", "crashed"]
    assert "zero" not in json.dumps(result | {"fault": ""})


def test_links_pipes_and_what_is_gone_are_not_read(tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe.ipynb")
    (tmp_path / "folder.ipynb").mkdir()
    for name in ("link", "pipe", "folder", "gone"):
        found, content = read_bytes(Found("ada", "03.ipynb", tmp_path / f"{name}.ipynb"))
        assert content == b"" and found.problem.startswith("it "), name
    refused = Found("ada", "03.ipynb", tmp_path / "secret", problem="too long")
    assert read_bytes(refused) == (refused, b"")


def test_one_submission_through_the_real_grader(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    release = ["release", "00", "--out", str(tmp_path / "a1"), "--exercises", "start.token_count"]
    assert cli.main(release) == 0
    fakes.write(tmp_path / "in" / "ada" / "00_start_here.ipynb", "token_count = 41")
    options = ["--out", str(tmp_path / "out"), "--release", str(tmp_path / "a1"), "--jobs", "1"]
    assert cli.main(["grade", str(tmp_path / "in"), *options]) == 0
    result = json.loads((tmp_path / "out" / "results" / "ada" / "00_start_here.json").read_text())
    assert [(each["id"], each["status"]) for each in result["exercises"]] == [("start.token_count", "wrong")]
    assert (tmp_path / "out" / "grades.csv").read_text().endswith("ada,00_start_here.ipynb,start.token_count,0,wrong\n")
    assert f"wrong: {result['exercises'][0]['id']}" in capsys.readouterr().out


def test_what_no_worker_brings_back_is_tried_three_times_and_the_rest_once(tmp_path):
    tried = []

    def work(one):
        tried.append((one.plan, one.attempt))
        if one.plan == "lost":
            raise MemoryError("no room")
        return {"plan": one.plan}

    tasks = [task(tmp_path, plan=plan) for plan in ("a", "lost", "b", "c")]
    results = list(run_batch(tasks, work, lambda: ThreadPoolExecutor(1), window=1))
    assert tried == [("a", 0), ("lost", 0), ("lost", 1), ("lost", 2), ("b", 0), ("c", 0)]
    assert [result["plan"] for result in results] == ["a", "lost", "b", "c"]
    assert results[1]["fault"] == "no worker finished it in 3 attempts: MemoryError: no room"


@pytest.mark.parametrize("window", [1, 2, 5])
def test_no_more_tasks_than_the_window_are_under_way(tmp_path, window):
    asked = iter([task(tmp_path, plan=str(n)) for n in range(7)])
    taken = []

    def tasks():
        for one in asked:
            taken.append(one.plan)
            yield one

    results = run_batch(tasks(), lambda one: {"plan": one.plan}, lambda: ThreadPoolExecutor(1), window)
    next(results)
    assert len(taken) <= window + 1, "tasks hold whole files: they are made when there is room"
    assert sorted(result["plan"] for result in results) == ["1", "2", "3", "4", "5", "6"]


def test_a_pool_that_breaks_between_two_tasks_loses_none(tmp_path):
    class Breaking(ThreadPoolExecutor):
        def submit(self, work, one):
            if one.plan == "b" and not one.attempt:
                raise RuntimeError("broken")
            return super().submit(work, one)

    tasks = [task(tmp_path, plan=plan) for plan in "abcd"]
    results = list(run_batch(tasks, lambda one: {"plan": one.plan, "attempt": one.attempt}, lambda: Breaking(1), 3))
    assert {(result["plan"], result["attempt"]) for result in results} == {("a", 0), ("b", 1), ("c", 0), ("d", 0)}


def test_what_a_file_that_cannot_be_read_lacks_is_unreadable_with_the_reason(tmp_path, fake_grader, monkeypatch):
    broken = RESULT | {"problem": "not JSON", "exercises": []}
    monkeypatch.setattr(FakeGrader, "grade", lambda self, submission, ids: broken)
    found = grade_file(task(tmp_path))["exercises"]
    assert [(each["id"], each["status"], each["reason"]) for each in found] == [
        ("start.token_count", "unreadable", "not JSON"), ("report.q2", "unreadable", "not JSON")
    ]  # fmt: skip


def test_a_class_is_everybody_who_submitted_and_the_roster():
    asked = Assignment((), {}, roster=("zoe", "ada"))
    assert asked.students(["bob", "ada"]) == ("ada", "bob", "zoe") and Assignment((), {}).students([]) == ()


def test_points_change_one_after_the_other():
    items = (Item("00.ipynb", "a.b", "", (), 1), Item("00.ipynb", "a.c", "", (), 2))
    changed = Assignment(items, {}).with_points({"a.b": 5}).with_points({"a.c": 3}).with_points({"a.b": 4})
    assert [item.points for item in changed.items] == [4, 3] and changed.changed_points == {"a.b": 4, "a.c": 3}
    assert [item.points for item in items] == [1, 2]


def test_a_part_of_an_assignment_is_whole():
    items = (Item("00.ipynb", "start.token_count", "", (), 1), Item("03.ipynb", "mlm.loss", "", (), 1))
    part = Assignment(items, {"start.token_count": "0", "mlm.loss": "1"}).only(["03.ipynb"])
    assert part.items == items[1:] and part.definitions == {"mlm.loss": "1"}
    assert part.notebooks == {"03.ipynb": ["mlm.loss"]}


def test_a_result_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    """Grades, pages and manual.csv too: a full disk costs what is new, and no file is cut off."""
    store = Store(tmp_path)
    store.write_result(RESULT)
    write_text(tmp_path / "manual.csv", "ada,3.5")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lib.files.os.fsync", full)
    for write in (lambda: store.write_result(RESULT | {"notes": ["x" * 9999]}),
                  lambda: write_text(tmp_path / "manual.csv", "ada,4")):  # fmt: skip
        with pytest.raises(OSError, match="No space left"):
            write()
    assert store.read_result(PLANNED) == RESULT and (tmp_path / "manual.csv").read_text() == "ada,3.5"
    assert [p.name for p in tmp_path.rglob("*") if p.name.startswith(".")] == []


def test_a_folder_of_somebody_elses_files_is_refused_and_stays(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with (
        pytest.raises(CourseError, match="contains thesis.tex but no grading; choose another --out"),
        Store(tmp_path).held(),
    ):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(CourseError, match="is a file; --out must name a folder"), Store(tmp_path / "file").held():
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "thesis.tex"]


def test_a_lock_ends_with_its_block_also_after_an_error(tmp_path):
    store = Store(tmp_path / "out")
    for error in (None, KeyError, KeyboardInterrupt):
        with pytest.raises(error or StopIteration), store.held():
            with pytest.raises(CourseError, match="another `course grade` is running"), Store(tmp_path / "out").held():
                pass
            raise error or StopIteration
    with store.held():
        pass
