"""The unit of work: one submission, graded in a process on this machine or on a cluster."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING

from lib.grading.assignment.questions import question_hash
from lib.grading.judging.entry import FORMAT, entry

if TYPE_CHECKING:
    from lib.grading.intake.submission import Found
    from lib.grading.judging.grader import Grader

EMPTY = "Nothing is written in the cell of the question."

_graders = threading.local()  # a cluster's worker may use several threads, but a grader cannot be shared


@dataclass(frozen=True)
class Task:
    """One submission to grade; it can be sent to another process. Its `repr` contains no secrets."""

    found: "Found"
    content: bytes = field(repr=False)
    ids: tuple[str, ...]  # of the exercises
    manual: tuple[str, ...]  # those that are written answers
    key: bytes = field(repr=False)
    plan: str = ""  # see results.store.plan_of
    attempt: int = 0
    questions: Mapping[str, tuple[str, str]] = field(
        default_factory=dict
    )  # title and `question_hash` of written answers


def grade_file(task: Task) -> dict:
    """The result of one submission. An error on our side also gives a result, with a `fault`."""
    try:
        from lib.grading.intake.submission import read_submission

        submission = read_submission(task.found, task.content)
        written = {id: text for id, text in submission.written.items() if id in task.manual}
        empty = {id for id, text in written.items() if _is_empty(task, id, text)}
        asked = [id for id in task.ids if id not in task.manual or id in written.keys() - empty]
        result = _grader(task.key).grade(replace(submission, written=written), asked)
    except Exception as error:  # noqa: BLE001 – the batch must continue after any error
        return not_graded(task, f"{type(error).__name__}: {error}")
    known = {each["id"]: each for each in result["exercises"]}
    known |= {id: entry(id, "not written", reason=EMPTY) for id in empty}
    absent = "unreadable" if result["problem"] else "missing"
    exercises = [known.get(id) or entry(id, absent, reason=result["problem"]) for id in task.ids]
    return result | {"exercises": exercises, "plan": task.plan}


def _is_empty(task: Task, id: str, text: str) -> bool:
    """Whether the cell of a written answer is as it was handed out, or blank."""
    title, handed_out = task.questions.get(id, ("", ""))
    return not text.strip() or question_hash(id, title, text) == handed_out


def _grader(key: bytes) -> "Grader":
    """The grader of this thread, which keeps its server and answer keys for the next submission."""
    from lib.grading.judging.grader import Grader

    grader = getattr(_graders, "grader", None)
    if grader is None or grader.key != key:
        if grader is not None:
            grader.close()
        grader = _graders.grader = Grader(key)
        Finalize(None, grader.close, exitpriority=1)  # atexit is not called in the processes of a pool
    return grader


def not_graded(task: Task, fault: str) -> dict:
    """The result of a submission that could not be graded because of an error on our side, `fault`."""
    problem = "it could not be graded; please tell your teacher"
    return {
        "format": FORMAT,
        "student": task.found.student,
        "notebook": task.found.notebook,
        "file": task.found.file,
        "sha256": "",
        "problem": problem,
        "notes": [],
        "exercises": [entry(id, "crashed", reason=problem) for id in task.ids],
        "plan": task.plan,
        "fault": fault,
    }
