"""Show what the grader will find in a notebook, before it is handed in.

The grader itself reads the file and runs its answers, on the public cases of the notebook's own checks. The last
cell of a student edition calls `validate` for its own file.
"""

import hashlib
import json
import os
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.errors import CourseError
from lib.grading.intake.file_names import readable
from lib.lectures.companions import FOLDERS, beside
from lib.lectures.work_folder import plain_name

if TYPE_CHECKING:
    from lib.grading.intake.submission import Submission
    from lib.grading.judging.grader import Grader


PUBLIC = "These are the cases of the checks in the notebook; the grader uses these and other cases of the same kind."
NO_POINTS = "its points in this file are not a valid number: ask your teacher for the notebook again"
MAX_POINTS = 10**6  # of one exercise
WHERE = "write it into the cell of the question itself, in place of *Write your answer here.*"
UNKNOWN = "this version of the course does not have it: update the course, or ask your teacher"
RETIRED = "the course has retired it: ask your teacher for the notebook anew"
WIDTH = 100


@dataclass(frozen=True)
class Asked:
    """An exercise of a notebook. For a written answer, `empty` is the SHA-256 of its cell before anything is written.
    `fault` says what is wrong with its entry in the file; then it gives no points."""

    exercise: str
    points: int | float  # 0 for practice
    manual: bool = False
    empty: str = ""
    fault: str = ""

    @property
    def counts(self) -> bool:
        """Whether the exercise is needed for the notebook to be ready."""
        return bool(self.points or self.fault)


@dataclass(frozen=True)
class Report:
    """What the grader finds in one file: its entry for each exercise of the notebook."""

    file: str
    saved: float  # seconds since 1970
    entries: tuple[tuple[Asked, dict[str, Any]], ...]
    problem: str = ""
    notes: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether all exercises with points are written, and right where that can be checked."""
        return not self.problem and all(_is_good(entry) for asked, entry in self.entries if asked.counts)

    def __str__(self) -> str:
        when = time.strftime("%Y-%m-%d at %H:%M:%S", time.localtime(self.saved))
        lines = [f"{self.file}, as it was saved on {when}:", ""]
        if self.problem:
            return "\n".join(map(readable, [*lines, f"  The grader cannot read it: {self.problem}."]))
        for asked, entry in self.entries:
            lines += _rows(asked, entry)
        lines += ["", *(f"  {note}" for note in self.notes)] if self.notes else []
        return "\n".join(map(readable, [*lines, "", *_summary(self)]))


def examine(path: Path, grader: "Grader") -> Report:
    """What `grader` finds in the notebook file `path`.

    Raises CourseError if there is no such file, or it contains no exercise of this course.
    """
    from lib.grading.intake.submission import Found, load_submission

    if not path.is_file():
        raise CourseError(f"{path} is a folder" if path.is_dir() else f"there is no file {path}")
    saved = path.stat().st_mtime
    submission = load_submission(Found("", path.name, path.resolve(), file=path.name))
    asked = asked_in(path)
    if not asked:
        raise CourseError(f"{path}: {submission.problem or 'no exercise of this course is in it'}")
    if submission.problem:
        return Report(path.name, saved, (), submission.problem)
    written = {each.exercise for each in asked if each.manual} & submission.written.keys()
    submission = replace(submission, written={id: submission.written[id] for id in sorted(written)})
    result = grader.grade(submission, [each.exercise for each in asked if _is_known(each, submission)])
    found = {entry["id"]: entry for entry in result["exercises"]}
    entries = tuple((each, _entry(each, found.get(each.exercise), submission)) for each in asked)
    return Report(path.name, saved, entries, notes=(*result["notes"], *_absent(path)))


def _absent(path: Path) -> Iterator[str]:
    """A note on drawings and explorables that are not beside the notebook, as after it was moved to another folder."""
    from lib.lectures.notebooks import load

    try:
        names = [name for name, content in beside(path, load(path)).items() if content is None]
    except CourseError:  # the grader reads notebooks that are not quite valid
        return
    if names:
        yield f"Not beside this notebook, and so not shown: {', '.join(names)}. `course student` writes them into work/;"
        yield f"if you move a notebook, take its folders {' and '.join(FOLDERS)} along."


def _is_known(asked: Asked, submission: "Submission") -> bool:
    from lib.exercises import all_exercises

    known = submission.written if asked.manual else all_exercises()
    return asked.exercise in known and not asked.fault


def _entry(asked: Asked, found: dict[str, Any] | None, submission: "Submission") -> dict[str, Any]:
    """The grader's entry; what it does not know, or cannot tell of a written answer, is said here."""
    from lib.exercises.engine import registry

    if asked.fault:
        return {"status": "unknown", "reason": asked.fault}
    if not found and asked.manual:
        return {"status": "missing", "reason": "no cell of the file is marked as this answer"}
    if not found:
        return {"status": "unknown", "reason": RETIRED if asked.exercise in registry.RETIRED else UNKNOWN}
    if asked.manual:
        text = submission.written[asked.exercise]
        if not text.strip() or hashlib.sha256(text.encode(errors="replace")).hexdigest() == asked.empty:
            return found | {"status": "not written", "reason": WHERE}
        return found | {"reason": "a person grades it"}
    return found


def asked_in(path: Path) -> list[Asked]:
    """The exercises of a notebook file: those recorded in its metadata, else those of the lecture in its name; none
    if it is not a notebook of the course."""
    try:
        plain = json.loads(path.read_bytes())["metadata"]["course"]["asked"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        plain = None
    return _read_asked(plain) or _read_asked(_asked_by_lecture(path.name))


def _asked_by_lecture(name: str) -> list[dict[str, Any]]:
    from lib.grading.intake.file_names import which_notebook
    from lib.lectures.edition import student_edition
    from lib.lectures.notebooks import all_notebooks, load

    lectures = {path.name: path for path in all_notebooks()}
    lecture = which_notebook(name, lectures)
    return student_edition(load(lectures[lecture]), lecture).metadata["course"]["asked"] if lecture else []


def _read_asked(plain: Any) -> list[Asked]:
    """What `edition.name_exercises` has recorded, as far as it is still there."""
    asked = {}
    for each in plain if isinstance(plain, list) else []:
        try:
            id, points = each["exercise"], each["points"]
            fault = "" if type(points) in (int, float) and 0 <= points <= MAX_POINTS else NO_POINTS
            if isinstance(id, str):
                manual, empty = bool(each.get("manual")), each.get("empty", "")
                asked[id] = Asked(id, 0 if fault else points, manual, empty, fault)
        except (LookupError, TypeError, AttributeError):
            continue
    return list(asked.values())


def _is_good(entry: dict[str, Any]) -> bool:
    return entry["status"] in ("right", "manual")


def _rows(asked: Asked, entry: dict[str, Any]) -> Iterator[str]:
    """The lines of one exercise: its status, then the reason and the hint."""
    status = {"missing": "not found", "manual": "written"}.get(entry["status"], entry["status"])
    gets = asked.points if entry["status"] == "right" else "?" if entry["status"] == "manual" else 0
    worth = f"{gets} of {asked.points}" if asked.points else "? of ?" if asked.fault else "practice"
    where = f" (cell {entry['cell']})" if entry.get("cell") else ""
    mark = "✓" if _is_good(entry) else "✗" if asked.counts else "–"
    yield f"  {mark} {status:<12} {worth:<10} {asked.exercise}{where}"
    if entry["status"] == "not written" and not asked.manual:
        return
    failed = entry.get("failed") or {}
    at = f"case {failed['number']}, {failed['what']}: " if failed.get("inputs") else ""
    for text in (f"{at}{entry.get('reason', '')}", entry.get("hint", "")):
        if text:
            yield from textwrap.wrap(text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _summary(report: Report) -> Iterator[str]:
    from lib.grading.assignment.graded import total

    graded = [(asked, entry) for asked, entry in report.entries if asked.counts]
    points = total({a.exercise: a.points for a, e in graded if e["status"] == "right"})
    out_of = total({a.exercise: a.points for a, _ in graded if not a.manual})
    yield f"  {points} of {out_of} points. {PUBLIC}"
    if by_hand := total({a.exercise: a.points for a, e in graded if a.manual}):
        yield f"  A person gives up to {by_hand} more points for written answers."
    left = sum(not _is_good(entry) for _, entry in graded)
    if left:
        yield f"  Not ready to hand in: {left} exercise{'s are' if left > 1 else ' is'} not yet right."
    else:
        yield "  Ready to hand in: everything is written and right."


def validate(name: str) -> None:
    """Print what the grader will find in the notebook file `name`, for a notebook's last cell. Never raises.

    It reads the file, so unsaved changes do not count.
    """
    if "NBGRADER_EXECUTION" in os.environ:
        print("(nbgrader is grading this notebook, so this check is skipped.)")
        return
    if not Path(name).exists():
        name = plain_name(name)  # an edition that lay beside another may have been moved into its place
    if not Path(name).exists():
        print(f"There is no {name} in this folder. Save your notebook first (Ctrl+S; on a Mac ⌘S);")
        print("if you have renamed the file, write its new name into this cell.")
        return
    from lib.grading.judging.grader import Grader

    try:
        with Grader(None) as grader:
            print(examine(Path(name), grader))
    except CourseError as error:
        print(readable(f"The grader finds nothing: {error}"))
    except Exception as error:  # our own fault must not look like the student's
        what = readable(f"{type(error).__name__}: {error}")
        print(f"This check failed, but not because of your notebook ({what}).")
        print("You can hand it in anyway; please tell your teacher.")
