"""From a submission to its result: cases from a secret seed, answers from the server, verdicts from here.

A result is plain JSON without times, addresses or points: the same submission gives the same bytes.
"""

import ast
import hmac
import re
import threading
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

from lib.errors import CourseError
from lib.grading.assignment.graded import checks
from lib.grading.worker import protocol
from lib.grading.worker.client import DIED, Reply, Server
from lib.grading.intake.submission import Submission
from lib.grading.walls import Limits
from lib.grading.worker.withheld import withheld_names
from lib.grading.judging.entry import FORMAT, entry
from lib.lectures.notebooks import all_notebooks, load
from lib.exercises import get
from lib.exercises.engine.checking import AnswerKey, Assessment, conclude
from lib.exercises.engine.exercise import Exercise
from lib.exercises.engine.running import Outcome, describe_inputs
from lib.exercises.engine.values import describe, shorten

OURS = ("NameError", "Withheld", "ImportError: grading:")
"""What a cell may raise because we leave parts of the notebook out or close parts of lib: no fault of the student."""

ONLY = " (of the other cells, only imports, definitions and constants are executed)"
BROKEN_CELLS = 5  # cells that are left out, one after the other, before a submission is given up


def secret_seed(key: bytes | None, id: str) -> int:
    """The seed of an exercise's cases: 63 bits of HMAC-SHA256 of its id; without a key 0, the notebook's own.

    >>> secret_seed(b"key", "mlm.loss") == secret_seed(b"key", "mlm.loss") != secret_seed(b"other", "mlm.loss")
    True
    """
    if key is None:
        return 0
    return int.from_bytes(hmac.digest(key, f"cases of {id}".encode(), "sha256")[:8], "big") >> 1


_one_at_a_time = threading.Lock()  # what runs references changes streams and random states of its whole process


@cache
def answer_names() -> dict[str, str]:
    """By exercise id, the name that the check of the lecture expects its answer under, as `my_loss`."""
    names = {}
    for path in all_notebooks():
        for id, cell in checks(load(path), path.name).items():
            call = ast.parse(cell.source).body[0].value
            names[id] = call.args[1].id
    return names


class Grader:
    """Grades submissions one after the other; holds the server and, once made, the answer key of each exercise.

    `key` is the secret that the cases come from; None takes the cases of the notebook, which are public.
    """

    def __init__(self, key: bytes | None, limits: Limits = Limits()) -> None:
        self.key = key
        self.server = Server(limits)
        self._asked: dict[str, _Asked] = {}

    def __enter__(self) -> "Grader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server."""
        self.server.close()

    def grade(self, submission: Submission, ids: Sequence[str]) -> dict[str, Any]:
        """The result of one submission on the exercises `ids`; never raises for what it holds.

        Raises KeyError for an unknown exercise and CourseError where no server can be started.
        """
        cells = _Cells(submission)
        entries = []
        for id in ids:
            if id in submission.written:
                entries.append(entry(id, "manual", answer=clean(submission.written[id])))
            elif submission.problem:
                entries.append(entry(id, "unreadable", reason=clean(submission.problem)))
            else:
                entries.append(self._grade_one(submission, self._asked_for(id), cells))
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

    def _asked_for(self, id: str) -> "_Asked":
        if id not in self._asked:
            with _one_at_a_time:
                self._asked[id] = _Asked(get(id), secret_seed(self.key, id))
        return self._asked[id]

    def _grade_one(self, submission: Submission, asked: "_Asked", cells: "_Cells") -> dict[str, Any]:
        """One exercise; a cell that brings the process down before the answer is reached is left out."""
        request = asked.request | {"cells": list(submission.cells)}
        while True:
            reply = self.server.ask(request | {"skip": sorted(cells.fatal)}, cases=asked.cases)
            for message in reply.said[:1]:  # before any line of the student; later ones may be forged
                if "broken" in message:
                    raise CourseError(f"the walls around an answer cannot be built: {message['broken']}")
            cells.learn(reply)
            reached, at = bool(reply.all("left_out")), [*filter(cells.may_be_fatal, reply.all("cell"))][-1:]
            if reached or not at or at[0] == asked.found(reply)["cell"] or len(cells.fatal) > BROKEN_CELLS:
                return asked.entry(reply, cells)
            cells.fatal[at[0]] = reply.ended


class _Cells:
    """What is known of a submission's cells: those that end their process are left out of it from then on."""

    def __init__(self, submission: Submission) -> None:
        self.exercises = {cell["number"]: cell["exercise"] for cell in submission.cells}
        self.fatal: dict[int, str] = {}  # how they ended their process
        self.faulty: dict[int, str] = {}  # the rest of such a cell is executed

    def may_be_fatal(self, cell: Any) -> bool:
        """Whether a child can have ended in `cell`, which it says itself: there is one, and it was executed."""
        return type(cell) is int and cell in self.exercises and cell not in self.fatal

    def learn(self, reply: Reply) -> None:
        """Remember what a child says of the cells."""
        for problem in _listed(reply.all("problems")[:1]) + _listed(reply.all("left_out")[:1]):
            if not problem["what"].startswith(OURS):
                self.faulty.setdefault(problem["cell"], problem["what"])

    def notes(self) -> list[str]:
        """A line for each of them, for the student."""
        lines = {cell: f"in cell {cell}, left out: {why}" for cell, why in self.faulty.items()}
        lines |= {cell: f"cell {cell} was left out: {_why(ended)}" for cell, ended in self.fatal.items()}
        return [lines[cell] for cell in sorted(lines)]

    def fault_of(self, id: str) -> str:
        """What is wrong with the cell that the exercise `id` is marked to be answered in, as "; …", or nothing."""
        faults = [why for cell, why in self.faulty.items() if self.exercises.get(cell) == id]
        return f"; its cell has a {faults[0]}" if faults else ""


class _Asked:
    """One exercise as it is asked: its cases and its answer key, made once for all submissions."""

    def __init__(self, exercise: Exercise, seed: int) -> None:
        self.exercise = exercise
        self.key = AnswerKey(exercise, seed)
        self.cases = [protocol.case_to_plain(case) for case in self.key.cases]

    @cached_property
    def request(self) -> dict[str, Any]:
        """What the server is told of the exercise: nothing that is secret, and no reference."""
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
        """Where the answer is: the child's first word, before any line of the student has run."""
        return reply.all("answer")[0]

    def entry(self, reply: Reply, cells: _Cells) -> dict[str, Any]:
        """The entry of one submission's result, from what its child said."""
        id = self.exercise.id
        if not reply.all("answer"):
            return entry(id, "crashed", reason=_why(reply.ended))
        answer = self.found(reply)
        if answer is None:
            nothing = f"nothing in the file defines {self.request['name']}{cells.fault_of(id)}"
            return entry(id, "missing", reason=nothing)
        about = {"cell": answer["cell"], "answer": clean(answer["source"]), "shape": answer["shape"]}
        if not answer["written"]:
            return entry(id, "not written", reason="the stub is still there", **about)
        try:
            outcomes = tuple(map(protocol.outcome_from_plain, reply.all("outcome")))[: len(self.cases)]
        except protocol.BadMessage as error:
            return entry(id, "crashed", reason=clean(str(error)), **about)
        if not outcomes and reply.all("defined") == [False]:
            return entry(id, **self._undefined(answer["cell"], cells), **about)
        return self._judged(outcomes, reply, about)

    @staticmethod
    def _undefined(cell: int, cells: _Cells) -> dict[str, str]:
        """Status and reason where the cell of the answer ended, or was left out, before it was defined."""
        if ended := cells.fatal.get(cell):
            return {"status": _status(ended), "reason": _why(ended)}
        fault = f": {cells.faulty[cell]}" if cell in cells.faulty else ""
        return {"status": "wrong", "reason": f"cell {cell} does not get as far as it{fault}"}

    def _judged(self, outcomes: tuple[Outcome, ...], reply: Reply, about: dict[str, Any]) -> dict[str, Any]:
        with _one_at_a_time:
            assessment = conclude(self.key, outcomes)
        passed = sum(verdict.right for verdict in assessment.verdicts)
        about |= {"passed": passed, "cases": len(self.cases)}
        if assessment.passed:
            return entry(self.exercise.id, "right", **about)
        if mistake := assessment.misconception:
            about |= {"misconception": mistake.name, "hint": mistake.hint}
        stopped = [i for i, verdict in enumerate(assessment.verdicts) if not verdict.right]
        if not stopped:  # every outcome that came is right, and the rest never came
            failed = self._failed(assessment, len(outcomes))
            return entry(self.exercise.id, _status(reply.ended), reason=_why(reply.ended), failed=failed, **about)
        verdict = assessment.verdicts[stopped[0]]
        status = verdict.kind if verdict.kind in ("not written", "time up") else "wrong"
        reason = verdict.reason + (ONLY if "raised NameError" in verdict.reason else "")
        failed = self._failed(assessment, stopped[0])
        return entry(self.exercise.id, status, reason=" ".join(clean(reason, 1000).split()), failed=failed, **about)

    def _failed(self, assessment: Assessment, number: int) -> dict[str, Any]:
        """The case that went wrong, in words; for a value nothing is expected that would give it away."""
        case, value = self.key.cases[number], self.exercise.asks_for_value
        outcome = assessment.outcomes[number] if number < len(assessment.outcomes) else Outcome("crashed")
        returned = outcome.status == "returned"
        return {
            "number": number + 1,
            "what": case.what,
            "inputs": [] if value else [clean(line) for line in describe_inputs(self.exercise.reference, case)],
            "expected": "" if value else clean(describe(self.key.expected[number].value)),
            "got": clean(describe(outcome.value)) if returned else "",
            "printed": shorten(clean(outcome.printed.strip()), 1000),
        }


def _listed(lists: list[Any]) -> list[dict[str, Any]]:
    """The cells that were left out, as far as what a child says of them can be believed."""
    entries = [entry for some in lists if type(some) is list for entry in some[:100] if type(entry) is dict]
    return [
        {"cell": entry["cell"], "what": clean(entry["what"], 300)}
        for entry in entries
        if type(entry.get("cell")) is int and type(entry.get("what")) is str
    ]


def _status(ended: str) -> str:
    return "time up" if ended in ("time up", "signal 24") else "crashed"  # 24: the limit of CPU time


_SIGNALS = {"signal 6": "abort", "signal 9": "killed", "signal 11": "segmentation fault", "signal 25": "file too large"}


def _why(ended: str) -> str:
    """Why a child ended early, for the student."""
    if _status(ended) == "time up":
        return "it did not come to an end in time: does a loop never end?"
    if ended == DIED:
        return DIED
    if ended.startswith(("signal", "exit")):
        return f"it ended the whole process ({_SIGNALS.get(ended, ended)})"
    return clean(ended)


def clean(text: str, limit: int = 20_000) -> str:
    """`text` fit for a report: no control characters, no half characters; shortened.

    >>> clean("<f at 0x7f3b65372700>\\x1b[0m")
    '<f at 0x…>�[0m'
    """
    text = text[: max(2 * limit, 50_000)]
    return shorten(re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]", "�", text), limit)
