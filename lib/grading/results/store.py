"""The folder of a grading: results, each complete or absent, and the files made from them.

    OUT/assignment.json                 the assignment, the plan of each submission, the files that were not taken
    OUT/results/<student>/<stem>.json   one result, with its plan
    OUT/grades.csv, OUT/grades.json, OUT/class.html, OUT/students/<student>.html, OUT/manual.csv, OUT/written.html

A plan is a hash of everything that a result depends on. A stored result is used only if its plan is the current one.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lib import __version__
from lib.errors import CourseError
from lib.files import atomic_write
from lib.grading.assignment.asked import Assignment
from lib.grading.intake.found import NotTaken
from lib.grading.judging.entry import FORMAT
from lib.grading.results.gradebook import page_name

ASSIGNMENT = "assignment.json"

_SHOWN = {"file", "sha256", "problem", "notes"}
_UNFINISHED = re.compile(r"\..+\.(json|csv|html)\.\w+\.(json|csv|html)")  # names of temporary files of lib.files


@dataclass(frozen=True)
class Planned:
    """A submission, and the plan that its result must have."""

    student: str
    notebook: str
    plan: str


@dataclass(frozen=True)
class Record:
    """What the last grading has written down: enough to publish again without the submissions."""

    assignment: Assignment
    submissions: tuple[Planned, ...]
    walls: dict
    not_taken: tuple[NotTaken, ...] = ()


def plan_of(sha256: str, about: Sequence[str], ids: Sequence[str], grading: str, key: str) -> str:
    """A hash of everything that a result depends on: the hash of the submission's bytes, other facts about the file,
    the exercises, the hash of what decides on them, the fingerprint of the key, the version of the grader."""
    everything = [FORMAT, __version__, sha256, list(about), list(ids), grading, key]
    return hashlib.sha256(json.dumps(everything).encode()).hexdigest()


class Store:
    """The folder of one grading."""

    def __init__(self, out: Path) -> None:
        self.out = out

    @contextmanager
    def held(self) -> Iterator[None]:
        """Create the folder if necessary, and lock it against other gradings.

        Raises CourseError if another grading is running, or the folder contains something else.
        """
        if self.out.exists() and not self.out.is_dir():
            raise CourseError(f"{self.out} is a file; --out must name a folder for the results")
        self.out.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.out, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._check_ours()
            self._sweep()
            yield
        except BlockingIOError:
            raise CourseError(f"another `course grade` is running in {self.out}") from None
        finally:
            os.close(handle)  # releases the lock, as the end of the process does

    def _check_ours(self) -> None:
        """Refuse a folder with other content, since a grading replaces and removes files."""
        others = (path for path in self.out.iterdir() if not _UNFINISHED.fullmatch(path.name))
        if not (self.out / ASSIGNMENT).is_file() and (other := next(others, None)):
            raise CourseError(f"{self.out} contains {other.name} but no grading; choose another --out")

    def _sweep(self) -> None:
        """Remove incomplete files of a grading that was killed."""
        for folder in (self.out, self.out / "students", *(self.out / "results").glob("*")):
            for path in folder.iterdir() if folder.is_dir() else ():
                if _UNFINISHED.fullmatch(path.name):
                    path.unlink()

    def write_record(self, record: Record) -> None:
        """Write the assignment and the plans, before the first result is written."""
        more = {"walls": record.walls, "submissions": [vars(each) for each in record.submissions]}
        more["not_taken"] = [vars(each) for each in record.not_taken]
        _write_json(self.out / ASSIGNMENT, record.assignment.to_json() | more)

    def read_record(self) -> Record | None:
        """The record of the last grading; None before the first one.

        Raises CourseError for a file that was not written by a grading.
        """
        path = self.out / ASSIGNMENT
        if not path.exists():
            return None
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            planned = tuple(Planned(**each) for each in plain["submissions"])
            left = tuple(NotTaken(**each) for each in plain.get("not_taken", ()))  # a former version had none
            return Record(Assignment.from_json(plain), planned, dict(plain["walls"]), left)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CourseError(f"{path} cannot be read ({error!r}); remove it to start again") from None

    def path(self, student: str, notebook: str) -> Path:
        """The path of a submission's result."""
        return self.out / "results" / page_name(student) / f"{notebook.removesuffix('.ipynb')}.json"

    def write_result(self, result: dict) -> None:
        """Write one result atomically."""
        _write_json(self.path(result["student"], result["notebook"]), result)

    def read_result(self, planned: Planned) -> dict | None:
        """The result of a submission; None unless it exists, is complete and has this plan."""
        try:
            result = json.loads(self.path(planned.student, planned.notebook).read_text(encoding="utf-8"))
            whose = (result["format"], result["student"], result["notebook"], result["plan"])
            whole = _SHOWN <= result.keys() and all({"id", "status"} <= e.keys() for e in result["exercises"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return result if whole and whose == (FORMAT, planned.student, planned.notebook, planned.plan) else None


def write_text(path: Path, text: str) -> None:
    """Write a file atomically; lone surrogates, which UTF-8 cannot encode, are written as escapes.

    JSON uses the same escapes, so a result is read back as it was written.
    """
    with atomic_write(path, "wb") as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def _write_json(path: Path, plain: dict) -> None:
    write_text(path, json.dumps(plain, indent=1, ensure_ascii=False) + "\n")
