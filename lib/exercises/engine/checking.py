"""Check an answer: run it, compare it with the reference, recognise the misconception.

The three steps are independent: `run_answer` reports what an answer did, `verdict_on` whether that is right,
`diagnose` which known mistake does the same. In a notebook, `check` does all three.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lib.exercises.engine.diagnosis import Diagnosis, Known, diagnose
from lib.exercises.engine.exercise import Case, Exercise, Misconception
from lib.exercises.engine.registry import get
from lib.exercises.engine.running import Outcome, describe_inputs, run_answer
from lib.exercises.engine.values import describe, shorten
from lib.exercises.engine.verdicts import Verdict, as_tensor, fault_of, shown, verdict_on


@dataclass(frozen=True, eq=False)
class Assessment:
    """The result for one answer: a verdict for each case, and the misconceptions that were recognised."""

    exercise: Exercise
    cases: tuple[Case, ...]
    expected: tuple[Outcome, ...]
    outcomes: tuple[Outcome, ...]  # shorter than `cases` where the answer ran out of time
    verdicts: tuple[Verdict, ...]
    diagnosis: Diagnosis = Diagnosis()

    @property
    def misconception(self) -> Misconception | None:
        """The likeliest misconception, if one was recognised."""
        return self.diagnosis.misconceptions[0] if self.diagnosis.misconceptions else None

    @property
    def passed(self) -> bool:
        return len(self.verdicts) == len(self.cases) and all(v.right for v in self.verdicts)

    @property
    def points(self) -> int:
        return self.exercise.points if self.passed else 0


class WrongAnswer(AssertionError):
    """An answer that is not right; `assessment` holds every detail."""

    def __init__(self, message: str, assessment: Assessment) -> None:
        super().__init__(message)
        self.assessment = assessment

    def _render_traceback_(self) -> list[str]:
        """IPython shows these lines instead of a traceback through the engine."""
        return str(self).splitlines()


_PATIENCE = 20  # times an answer's limit, for our own code: its result must not depend on how busy a machine is


def run_all(exercise: Exercise, answer: Any, cases: Sequence[Case], *, patience: int = 1) -> tuple[Outcome, ...]:
    """The outcomes of `answer` on `cases`, up to the first case where it times out or is not written.

    The time limit is `patience` times that of the exercise.
    """
    if answer is Ellipsis:
        return (Outcome("not written"),)
    outcomes: list[Outcome] = []
    for case in cases:
        outcomes.append(run_answer(exercise.as_function(answer), case, seconds=patience * exercise.seconds))
        if outcomes[-1].status in ("time up", "not written"):
            break
    return tuple(outcomes)


class AnswerKey:
    """The cases of one seed, the expected outcomes, and the outcomes of each misconception.

    One key serves any number of answers. Raises RuntimeError if the reference fails or changes its inputs, which is
    a fault of the exercise.
    """

    def __init__(self, exercise: Exercise, seed: int = 0) -> None:
        self.exercise = exercise
        self.cases = exercise.build_cases(seed)
        self.expected = self._run(exercise.reference)
        for case, outcome in zip(self.cases, self.expected):
            if what := fault_of(outcome):
                at_fault = f"the exercise {exercise.id} is broken, not your answer"
                raise RuntimeError(f"{at_fault}: on {case.what!r}, {what}")
        self._known: dict[str, tuple[Outcome, ...]] = {}

    def outcomes_of(self, misconception: Misconception) -> tuple[Outcome, ...]:
        """The outcomes of a misconception on the cases; it runs when they are first needed."""
        if misconception.name not in self._known:
            self._known[misconception.name] = self._run(misconception.answer)
        return self._known[misconception.name]

    def known(self) -> Iterator[Known]:
        """Each misconception with what it does on the cases; it runs when it is first needed."""
        for misconception in self.exercise.misconceptions:
            outcomes = self.outcomes_of(misconception)
            yield Known(misconception, outcomes, self.verdicts(outcomes))

    def _run(self, known: Any) -> tuple[Outcome, ...]:
        return run_all(self.exercise, known, self.cases, patience=_PATIENCE)

    def verdicts(self, outcomes: Sequence[Outcome]) -> tuple[Verdict, ...]:
        """The verdict on each outcome; there may be fewer outcomes than cases."""
        return tuple(verdict_on(self.exercise, *row) for row in zip(self.cases, outcomes, self.expected))


def assess(exercise: Exercise, answer: Any, seed: int = 0) -> Assessment:
    """Run `answer` on the cases of `seed`, and find out what is right and which misconception explains the rest."""
    key = AnswerKey(exercise, seed)
    return conclude(key, run_all(exercise, answer, key.cases))


def conclude(key: AnswerKey, outcomes: Sequence[Outcome]) -> Assessment:
    """The second half of `assess`. It runs no code of the answer, so the outcomes may come from another process."""
    seen = [as_tensor(*row) for row in zip(outcomes, key.expected)]
    verdicts = key.verdicts(seen)
    found = diagnose(key.exercise, key.known(), seen, verdicts, key.expected)
    return Assessment(key.exercise, key.cases, key.expected, tuple(outcomes), verdicts, found)


def check(id: str, answer: Any, *, points: int | float | None = None) -> int | float:
    """Check `answer` to the exercise `id`: print one line and return the points, or raise WrongAnswer with
    the hint.

    `points` is what an assignment gives, if that differs from the exercise's own points; 0 for practice.
    Raises KeyError for an unknown id (with the nearest known one), ValueError unless `points` is a number of
    at least 0, and WrongAnswer (an AssertionError) if the answer is not right, with the failing case's inputs,
    the expected and the actual result.
    """
    exercise = get(id)
    worth = exercise.points if points is None else points
    if isinstance(worth, bool) or not isinstance(worth, int | float) or not 0 <= worth < math.inf:
        raise ValueError(f"points must be a number of 0 or more, got {points!r}")
    _refuse_mixed_up(exercise, answer)
    assessment = assess(exercise, answer)
    if not assessment.passed:
        raise WrongAnswer(explain(assessment), assessment)
    cases = len(assessment.cases)
    on = "" if exercise.asks_for_value else f" on {cases} case{'s' * (cases > 1)}"
    gives = f"{worth} point{'s' * (worth != 1)}" if worth else "for practice"
    print(f"✓ {id}: right{on}, {gives}.")
    return worth


def _refuse_mixed_up(exercise: Exercise, answer: Any) -> None:
    if answer is Ellipsis or callable(answer) != exercise.asks_for_value:
        return
    if exercise.asks_for_value:
        name = getattr(answer, "__name__", "it")
        message = f"{exercise.id} asks for a value, but this is a function: did you mean {name}(…)?"
    else:
        message = f"{exercise.id} asks for the function itself: write its name alone, without (…), in check()."
    raise WrongAnswer(message, Assessment(exercise, (), (), (), (Verdict("type", message),)))


def explain(assessment: Assessment) -> str:
    """The message for the student: the hint if the mistake is known, and the first case that is wrong."""
    exercise = assessment.exercise
    number = next(i for i, verdict in enumerate(assessment.verdicts) if not verdict.right)
    verdict, case = assessment.verdicts[number], assessment.cases[number]
    outcome, expected = assessment.outcomes[number], assessment.expected[number]
    if verdict.kind == "not written":
        return f"{exercise.id} is not written yet: replace the stub by your answer, then run this cell again."
    lines = [f"{exercise.id}: not yet."]
    if assessment.misconception:
        lines += ["", assessment.diagnosis.hint]
    elif exercise.hints:
        lines += ["", f"(hint({exercise.id!r}) helps, one step at a time.)"]
    if exercise.asks_for_value:
        got = [f"    got       {describe(outcome.value)}"] if outcome.status == "returned" else []
        return "\n".join([*lines, "", f"  {verdict.reason}", *got])
    lines += ["", f"Case {number + 1} of {len(assessment.cases)}, {case.what}: {verdict.reason}"]
    lines += [f"    input     {line}" for line in describe_inputs(exercise.reference, case)]
    return "\n".join(lines + _expected_and_got(exercise, verdict, outcome, expected))


def _expected_and_got(exercise: Exercise, verdict: Verdict, outcome: Outcome, expected: Outcome) -> list[str]:
    wanted, came = shown(verdict, outcome, expected)
    lines = [f"    expected  {wanted}" + (" (for instance)" if exercise.decide else "")]
    if came:
        lines.append(f"    got       {came}")
    if outcome.printed.strip():
        lines.append(f"    printed   {shorten(' ⏎ '.join(outcome.printed.strip().splitlines()), 240)}")
    return lines


_revealed: dict[str, int] = {}  # how many hints of each exercise this notebook has shown


def hint(id: str) -> None:
    """Print the next hint of the exercise `id`; after the last hint, print the last one again."""
    hints = get(id).hints
    if not hints:
        print(f"{id} has no hints: check() explains what is wrong.")
        return
    number = min(_revealed.get(id, 0) + 1, len(hints))
    _revealed[id] = number
    print(f"Hint {number} of {len(hints)}: {hints[number - 1]}")
