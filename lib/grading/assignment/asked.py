"""The exercises to grade, of a release or of the lectures, with their points and definitions."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lib import __version__
from lib.errors import CourseError, UsageError
from lib.grading.assignment.definition import sources
from lib.grading.assignment.graded import definition_hash
from lib.grading.assignment.item import Item
from lib.grading.assignment.release import FORMAT as MANIFEST_FORMAT
from lib.grading.assignment.release import MANIFEST, exercises_of, graded_notebooks
from lib.lectures.notebooks import all_notebooks
from lib.names import nearest

FORMAT = 1  # of assignment.json


@dataclass(frozen=True)
class Assignment:
    """The exercises to grade, with their points."""

    items: tuple[Item, ...]
    definitions: Mapping[str, str]  # hash of each exercise at its release; none for a written answer
    release: str = ""  # SHA-256 of the manifest
    roster: tuple[str, ...] = ()  # the students of the release, if it has a roster
    changed_points: Mapping[str, int | float] = field(default_factory=dict)  # by regrade-points
    questions: Mapping[str, str] = field(default_factory=dict)  # `question_hash` of each written answer

    @property
    def notebooks(self) -> dict[str, list[str]]:
        """The exercises of each notebook, in their order."""
        found: dict[str, list[str]] = {}
        for item in self.items:
            found.setdefault(item.notebook, []).append(item.exercise)
        return found

    @property
    def changed(self) -> list[str]:
        """The exercises whose definition has changed since the release."""
        now = {id: definition_hash(_exercise(id)) for id in self.definitions}
        return [id for id, then in self.definitions.items() if now[id] != then]

    def students(self, submitted: Iterable[str]) -> tuple[str, ...]:
        """All students: those who submitted, and those of the roster who did not."""
        return tuple(sorted({*submitted, *self.roster}))

    def only(self, notebooks: Collection[str]) -> "Assignment":
        """The part of the assignment in these notebooks."""
        items = tuple(item for item in self.items if item.notebook in notebooks)
        ids = {item.exercise for item in items}
        return replace(self, items=items, definitions={i: d for i, d in self.definitions.items() if i in ids})

    def with_points(self, points: Mapping[str, int | float]) -> "Assignment":
        """The assignment with other points for some exercises. Raises UsageError for one that is not graded."""
        known = [item.exercise for item in self.items]
        for id in points:
            if id not in known:
                raise UsageError(f"--points names {id}, which is not graded here; {nearest(id, known)}")
        items = tuple(replace(item, points=points.get(item.exercise, item.points)) for item in self.items)
        return replace(self, items=items, changed_points=dict(self.changed_points) | dict(points))

    def to_json(self) -> dict:
        """As plain data, which `from_json` reads back."""
        known = {**self.questions, **self.definitions}
        exercises = [
            {**vars(item), "slides": list(item.slides), "definition": known.get(item.exercise, "")}
            for item in self.items
        ]
        return {
            "format": FORMAT,
            "course": __version__,
            "release": self.release,
            "roster": list(self.roster),
            "changed": self.changed,
            "changed_points": dict(self.changed_points),
            "exercises": exercises,
        }

    @staticmethod
    def from_json(plain: dict) -> "Assignment":
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for other data."""
        if plain["format"] != FORMAT:
            raise ValueError(f"format {plain['format']}, expected {FORMAT}")
        names = ("notebook", "exercise", "title", "points", "manual")
        items = tuple(
            Item(**{name: each[name] for name in names}, slides=tuple(each["slides"])) for each in plain["exercises"]
        )
        definitions = {e["exercise"]: e["definition"] for e in plain["exercises"] if not e["manual"]}
        questions = {e["exercise"]: e["definition"] for e in plain["exercises"] if e["manual"] and e["definition"]}
        changed_points = dict(plain["changed_points"])
        return Assignment(items, definitions, plain["release"], tuple(plain["roster"]), changed_points, questions)


def of_release(path: Path) -> Assignment:
    """The exercises with points in the manifest of a release (its file or its folder).

    Raises CourseError if the manifest cannot be read, or no exercise has points.
    """
    file = path / MANIFEST if path.is_dir() else path
    try:
        content = file.read_bytes()
        manifest = json.loads(content)
        if manifest["format"] != MANIFEST_FORMAT:
            raise ValueError(f"its format is {manifest['format']!r}, expected {MANIFEST_FORMAT}")
        held = {notebook: entry["exercises"] for notebook, entry in manifest["notebooks"].items()}
        items, definitions, questions = _asked(held)
        roster = tuple(sorted(manifest.get("students", ())))
    except OSError as error:
        raise CourseError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CourseError(f"{file} is not the manifest of a release: {error!r}") from None
    if not items:
        raise CourseError(f"{file}: no exercise of this release has points")
    return Assignment(items, definitions, hashlib.sha256(content).hexdigest(), roster, questions=questions)


def of_lectures() -> Assignment:
    """Every exercise of every lecture, with its usual points."""
    notebooks = graded_notebooks(all_notebooks(), None, {})
    items, definitions, questions = _asked({notebook.name: exercises_of(notebook) for notebook in notebooks})
    return Assignment(items, definitions, questions=questions)


def _asked(
    held: Mapping[str, Sequence[Mapping[str, Any]]],
) -> tuple[tuple[Item, ...], dict[str, str], dict[str, str]]:
    """The exercises of each notebook that have points, the hashes of those that are graded automatically, and those of
    the questions that a person grades."""
    asked = [(notebook, entry) for notebook, entries in held.items() for entry in entries if entry["points"] > 0]
    definitions = {entry["id"]: entry["definition"] for _, entry in asked if not entry.get("manual")}
    questions = {entry["id"]: entry["definition"] for _, entry in asked if entry.get("manual")}
    return tuple(_item(*each) for each in asked), definitions, questions


def _item(notebook: str, entry: Mapping[str, Any]) -> Item:
    manual = bool(entry.get("manual"))
    return Item(notebook, entry["id"], entry["title"], tuple(entry["slides"]), entry["points"], manual)


def grading_hash(ids: Collection[str]) -> str:
    """A hash of what decides the result of these exercises: cases, `decide`, reference, misconceptions and helpers.

    It is part of a result's plan, so that a result from older cases is not kept.
    """
    digest = hashlib.sha256()
    for id in ids:
        exercise = _exercise(id)
        mistakes = exercise.misconceptions
        deciding = [exercise.cases, exercise.decide, exercise.reference, *(each.answer for each in mistakes)]
        words = [id, exercise.title, exercise.seconds, repr(exercise.tolerance), exercise.hints]
        words += [[each.name, each.hint] for each in mistakes]
        values = [repr(each) for each in deciding if not callable(each)]
        functions = [each for each in deciding if callable(each)]
        digest.update(json.dumps([*words, *values, *sources(functions)]).encode())
    return digest.hexdigest()


def _exercise(id: str):
    from lib.exercises import get

    try:
        return get(id)
    except KeyError as error:
        raise CourseError(f"the assignment contains an exercise that this course does not have: {error}") from None
