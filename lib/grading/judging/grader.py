"""From a submission to its result: cases come from `cases`, outcomes from the server, verdicts from here.

A result is plain JSON without times, addresses or points, so the same submission gives the same bytes.
"""

import ast
import re
import threading
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

from lib.errors import CourseError
from lib.exercises import get
from lib.exercises.engine.checking import Assessment, conclude
from lib.exercises.engine.exercise import Exercise
from lib.exercises.engine.running import Outcome, describe_inputs
from lib.exercises.engine.values import shorten
from lib.exercises.engine.verdicts import Verdict, shown
from lib.grading.assignment.graded import checks
from lib.grading.intake.submission import Submission
from lib.grading.judging.cases import CaseSource, SubmissionKey, secret_seed
from lib.grading.judging.entry import FORMAT, entry
from lib.grading.walls import Limits
from lib.grading.worker import protocol
from lib.grading.worker.client import DIED, Reply, Server
from lib.lectures.allowed import withheld_names
from lib.lectures.notebooks import all_notebooks, load

_SIGNALS = {"signal 6": "abort", "signal 9": "killed", "signal 11": "segmentation fault", "signal 25": "file too large"}
OURS = ("Withheld", "ImportError: grading:", "this cell was left out")
"""Why a statement may fail because we close parts of lib or leave out a cell, not by mistake."""

BROKEN_CELLS = 5  # cells that are left out, one after another, before we give up on a submission


_one_at_a_time = threading.Lock()  # running a reference changes streams and random states of the whole process


@cache
def answer_names() -> dict[str, str]:
    """By exercise id, the name of the answer in the lecture's check, such as `my_loss`."""
    names = {}
    for path in all_notebooks():
        for id, cell in checks(load(path), path.name).items():
            call = ast.parse(cell.source).body[0].value
            names[id] = call.args[1].id
    return names


class Grader:
    """Grades submissions one after another; keeps the server and the answer key of each exercise.

    `key` is the secret from which cases are drawn, besides those of the notebook; None uses the notebook's alone.
    """

    def __init__(self, key: bytes | None, limits: Limits = Limits()) -> None:
        self.key = key
        self.server = Server(limits)
        self._exercises: dict[str, _GradedExercise] = {}

    def __enter__(self) -> "Grader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the server."""
        self.server.close()

    def grade(self, submission: Submission, ids: Sequence[str]) -> dict[str, Any]:
        """The result of one submission on the exercises `ids`. Never raises because of the submission's content.

        Raises KeyError for an unknown exercise, and CourseError if no server can be started.
        """
        cells = _Cells(submission)
        entries = []
        for id in ids:
            if id in submission.written:
                entries.append(entry(id, "manual", answer=clean(submission.written[id])))
            elif submission.problem:
                entries.append(entry(id, "unreadable", reason=clean(submission.problem)))
            else:
                entries.append(self._grade_one(submission, self._exercise(id), cells))
        return {
            "format": FORMAT,
            "student": submission.student,
            "notebook": submission.notebook,
            "file": submission.file,
            "sha256": submission.sha256,
            "problem": clean(submission.problem),
            "notes": [clean(note) for note in (*submission.notes, *cells.notes())],
            "exercises": entries,
        }

    def _exercise(self, id: str) -> "_GradedExercise":
        if id not in self._exercises:
            with _one_at_a_time:
                self._exercises[id] = _GradedExercise(get(id))
        return self._exercises[id]

    def _grade_one(self, submission: Submission, asked: "_GradedExercise", cells: "_Cells") -> dict[str, Any]:
        """One exercise; a cell that ends the process before the answer is reached is left out."""
        seed = None if self.key is None else secret_seed(self.key, asked.exercise.id, submission.sha256)
        with _one_at_a_time:
            key = asked.source.key(seed)
        request = asked.request | {"cells": list(submission.cells)}
        while True:
            reply = self.server.ask(request | {"skip": sorted(cells.fatal)}, cases=key.sent)
            for message in reply.said[:1]:  # sent before any code of the student runs; later ones may be forged
                if "broken" in message:
                    raise CourseError(f"the walls around an answer cannot be set up: {message['broken']}")
            cells.learn(reply)
            reached, at = bool(reply.turns), [*filter(cells.may_be_fatal, reply.all("cell"))][-1:]
            if reached or not at or at[0] == asked.found(reply)["cell"] or len(cells.fatal) > BROKEN_CELLS:
                return asked.entry(key, reply, cells)
            cells.fatal[at[0]] = reply.ended


class _Cells:
    """What is known about a submission's cells; those that end their process are left out afterwards."""

    def __init__(self, submission: Submission) -> None:
        self.exercises = {cell["number"]: cell["exercise"] for cell in submission.cells}
        self.known = submission.faults
        self.fatal: dict[int, str] = {}  # how they ended their process
        self.faulty: dict[int, str] = {}  # the rest of such a cell is executed
        self.below: dict[str, int] = {}  # names that an answer uses, and the cells far below that define them

    def may_be_fatal(self, cell: Any) -> bool:
        """Whether a child can have ended in `cell`, as it claims: the cell exists and was executed."""
        return type(cell) is int and cell in self.exercises and cell not in self.fatal

    def learn(self, reply: Reply) -> None:
        """Record what a child reports about the cells."""
        for problem in _listed(reply.all("problems")[:1]) + _listed(reply.all("left_out")[:1]):
            if not problem["what"].startswith(OURS):
                self.faulty.setdefault(problem["cell"], problem["what"])
        for name, cell in _pairs(reply.all("below")[:1]):
            self.below[name] = cell

    def notes(self) -> list[str]:
        """A line for each fatal or faulty cell, for the student."""
        lines = {cell: f"part of cell {cell} was left out: {why}" for cell, why in self.faulty.items()}
        lines |= {cell: f"cell {cell} was left out: {_why(ended)}" for cell, ended in self.fatal.items()}
        late = [
            f"{name} is used above cell {cell}, which defines it: a fresh run fails"
            for name, cell in self.below.items()
        ]
        return [lines[cell] for cell in sorted(lines)] + sorted(late)

    def fault_of(self, id: str) -> str:
        """The fault of the cell whose metadata name the exercise `id`, as "; …", or ""."""
        if known := self.known.get(id) or self.known.get(""):
            return f"; {known}"
        faults = [why for cell, why in self.faulty.items() if self.exercises.get(cell) == id]
        return f"; its cell has a {faults[0]}" if faults else ""


class _GradedExercise:
    """One exercise with the source of its cases, built once for all submissions."""

    def __init__(self, exercise: Exercise) -> None:
        self.exercise = exercise
        self.source = CaseSource(exercise)

    @cached_property
    def request(self) -> dict[str, Any]:
        """The part of a request that describes the exercise: it contains nothing secret, and no reference."""
        exercise = self.exercise
        return {
            "id": exercise.id,
            "name": answer_names()[exercise.id],
            "value": exercise.asks_for_value,
            "withheld": list(withheld_names(exercise)),
            "seconds": exercise.seconds,
        }

    @staticmethod
    def found(reply: Reply) -> dict[str, Any] | None:
        """Where the answer is. The child reports this first, before any code of the student runs."""
        return reply.all("answer")[0]

    def entry(self, key: SubmissionKey, reply: Reply, cells: _Cells) -> dict[str, Any]:
        """The entry for one submission, from its key and the messages of its child."""
        id = self.exercise.id
        if not reply.all("answer"):
            return entry(id, "crashed", reason=_why(reply.ended))
        answer = self.found(reply)
        if answer is None:
            nothing = f"nothing in the file defines {self.request['name']}{cells.fault_of(id)}"
            return entry(id, "missing", reason=nothing)
        about = {"cell": answer["cell"], "answer": clean(answer["source"]), "shape": answer["shape"]}
        about["helpers"] = answer.get("helpers", [])
        if not answer["written"]:
            return entry(id, "not written", reason="the stub is still there", **about)
        try:
            turns = reply.turns[1 : 1 + len(key.cases)]  # one for each case, whatever else is said in it
            outcomes = tuple(protocol.outcome_from_plain(turn.get("outcome")) for turn in turns)
        except protocol.BadMessage as error:
            return entry(id, "crashed", reason=clean(str(error)), **about)
        if not outcomes and reply.all("defined") == [False]:
            return entry(id, **self._undefined(answer["cell"], cells), **about)
        return self._concluded(key, outcomes, reply, about)

    @staticmethod
    def _undefined(cell: int, cells: _Cells) -> dict[str, str]:
        """Status and reason if the answer's cell failed, or was left out, before the answer was defined."""
        if ended := cells.fatal.get(cell):
            return {"status": _status(ended), "reason": _why(ended)}
        fault = f": {cells.faulty[cell]}" if cell in cells.faulty else ""
        return {"status": "wrong", "reason": f"cell {cell} stops before the answer is defined{fault}"}

    def _concluded(
        self, key: SubmissionKey, outcomes: tuple[Outcome, ...], reply: Reply, about: dict[str, Any]
    ) -> dict[str, Any]:
        with _one_at_a_time:
            assessment = conclude(key, outcomes)
        passed = sum(verdict.right for verdict in assessment.verdicts)
        about |= {"passed": passed, "cases": len(key.cases)}
        if assessment.passed:
            return entry(self.exercise.id, "right", **about)
        left_out = _left_out(reply)
        if (mistake := assessment.misconception) and not left_out:
            about |= {"misconception": mistake.name, "hint": assessment.diagnosis.hint}
        stopped = [i for i, verdict in enumerate(assessment.verdicts) if not verdict.right]
        if not stopped:  # all outcomes that arrived are right, and the rest did not arrive
            about["failed"] = self._failed(assessment, len(outcomes))
            return entry(self.exercise.id, _status(reply.ended), reason=_why(reply.ended), **about)
        verdict = assessment.verdicts[stopped[0]]
        status = verdict.kind if verdict.kind in ("not written", "time up") else "wrong"
        reason = " ".join(clean(left_out + verdict.reason, 1000).split())
        return entry(self.exercise.id, status, reason=reason, failed=self._failed(assessment, stopped[0]), **about)

    def _failed(self, assessment: Assessment, number: int) -> dict[str, Any]:
        """The case that failed, in words; for a value without the expected one, which would give it away."""
        case, value = assessment.cases[number], self.exercise.asks_for_value
        outcome = assessment.outcomes[number] if number < len(assessment.outcomes) else Outcome("crashed")
        verdict = assessment.verdicts[number] if number < len(assessment.verdicts) else Verdict("right")
        wanted, came = shown(verdict, outcome, assessment.expected[number])
        return {
            "number": number + 1,
            "what": case.what,
            "inputs": [] if value else [clean(line) for line in describe_inputs(self.exercise.reference, case)],
            "expected": "" if value else clean(wanted),
            "got": clean(came),
            "printed": shorten(clean(outcome.printed.strip()), 1000),
        }


def _listed(lists: list[Any]) -> list[dict[str, Any]]:
    """The cells that were left out, as far as the child's report is well-formed."""
    entries = [entry for some in lists if type(some) is list for entry in some[:100] if type(entry) is dict]
    return [
        {"cell": entry["cell"], "what": clean(entry["what"], 300)}
        for entry in entries
        if type(entry.get("cell")) is int and type(entry.get("what")) is str
    ]


def _left_out(reply: Reply) -> str:
    """What an answer uses and did not get, in words, to be said before anything else; "" if it got everything."""
    cells = sorted({problem["cell"] for problem in _listed(reply.all("left_out")[:1])})
    if not cells:
        return ""
    some = f"part of cell{'s' * (len(cells) > 1)} {', '.join(map(str, cells[:5]))}"
    return f"{some}, which this answer uses, could not be run here, so it may be judged wrongly: "


def _pairs(dicts: list[Any]) -> list[tuple[str, int]]:
    """The names and cells of a child's report, as far as it is well-formed."""
    pairs = [pair for some in dicts if type(some) is dict for pair in list(some.items())[:20]]
    return [(clean(name, 80), cell) for name, cell in pairs if type(name) is str and type(cell) is int]


def _status(ended: str) -> str:
    return "time up" if ended in ("time up", "signal 24") else "crashed"  # 24: the limit of CPU time


def _why(ended: str) -> str:
    """Why a child ended early, for the student."""
    if _status(ended) == "time up":
        return "it did not finish in time: is there an endless loop?"
    if ended == DIED:
        return DIED
    if ended.startswith(("signal", "exit")):
        return f"it ended the whole process ({_SIGNALS.get(ended, ended)})"
    return clean(ended)


def clean(text: str, limit: int = 20_000) -> str:
    """`text` for a report: shortened, without control characters and lone surrogates.

    >>> clean("<f at 0x7f3b65372700>\\x1b[0m")
    '<f at 0x…>�[0m'
    """
    text = text[: max(2 * limit, 50_000)]
    return shorten(re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]", "�", text), limit)
