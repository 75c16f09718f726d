"""Whether one outcome of an answer is right, given what the reference does on the same case."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lib.exercises.engine.compare import difference
from lib.exercises.engine.exercise import Case, Exercise
from lib.exercises.engine.fresh import fresh_settings
from lib.exercises.engine.gradients import CUT, gradient_difference, leaves
from lib.exercises.engine.running import Outcome, copy_inputs, name_inputs
from lib.exercises.engine.values import Array, describe, from_plain, shorten


@dataclass(frozen=True)
class Verdict:
    """Whether one outcome is right: `reason` is for the student, `kind` for tables.

    kind: "right", "value", "shape", "dtype", "type", "nan", "decided", "raised", "time up", "mutated", "gradient",
    "not written".
    """

    kind: str
    reason: str = ""

    @property
    def right(self) -> bool:
        return self.kind == "right"


def fault_of(outcome: Outcome) -> str:
    """What is wrong with an outcome of a reference, or ""."""
    if outcome.status != "returned":
        return outcome.message or outcome.status
    if outcome.mutated:
        return f"it changed {', '.join(outcome.mutated)}"
    if type(outcome.gradient) is str:
        return outcome.gradient
    finite = all(np.isfinite(each.values).all() for each in outcome.gradient)
    return "" if finite else "its gradient is not finite: take the case without_gradient()"


def verdict_on(exercise: Exercise, case: Case, outcome: Outcome, expected: Outcome) -> Verdict:
    """Whether `outcome` is right, given what the reference does on the same case."""
    if outcome.status == "not written":
        return Verdict("not written", "this is not written yet: replace the stub by your answer")
    if outcome.status == "raised":
        where = f" in {outcome.line}" if outcome.line else ""
        return Verdict("raised", f"it raised {outcome.message}{where}")
    if outcome.status == "time up":
        return Verdict("time up", f"{outcome.message}: is there an endless loop?")
    if outcome.status == "not plain":
        return Verdict("type", f"this is {outcome.message}")
    wrong = _compare(exercise, case, outcome, expected)
    if not outcome.mutated:
        return wrong or _compare_gradient(exercise, case, outcome, expected) or Verdict("right")
    changed = f"{', '.join(outcome.mutated)} was changed in place: work on a copy"
    if wrong:
        return Verdict(wrong.kind, f"{wrong.reason}; also, {changed}")
    return Verdict("mutated", f"the result is right, but {changed}")


def _compare(exercise: Exercise, case: Case, outcome: Outcome, expected: Outcome) -> Verdict | None:
    where = "answer" if exercise.asks_for_value else "result"
    found = difference(outcome.value, expected.value, exercise.tolerance, where)
    if found and (exercise.decide is None or found.kind in ("type", "dtype")):
        # A value exercise has one right answer, so a message with the expected value would give it away.
        return Verdict(found.kind, f"{found.where}: {found.what}" if exercise.asks_for_value else str(found))
    if exercise.decide is None:
        return None
    with fresh_settings():
        return _decided(exercise.decide, case, outcome, expected)


def _decided(decide: Callable[..., str | None], case: Case, outcome: Outcome, expected: Outcome) -> Verdict | None:
    given = Case(case.what, copy_inputs(case.args, grad=False), copy_inputs(case.kwargs, grad=False))
    try:
        complaint = decide(given, from_plain(outcome.value), from_plain(expected.value))
    except Exception as error:  # `decide` got a result whose shape it cannot handle
        complaint = f"the result cannot be checked ({shorten(f'{type(error).__name__}: {error}', 200)})"
    return Verdict("decided", complaint) if complaint else None


def _compare_gradient(exercise: Exercise, case: Case, outcome: Outcome, expected: Outcome) -> Verdict | None:
    if not expected.gradient:
        return None
    named = name_inputs(exercise.reference, case.args, case.kwargs).items()
    names = [name for name, value in named for _ in leaves([value])]
    found = gradient_difference(outcome.gradient, expected.gradient, names)
    return (
        Verdict("gradient", f"the result is right, but not its gradient, which training needs: {found}")
        if found
        else None
    )


def as_tensor(outcome: Outcome, expected: Outcome) -> Outcome:
    """`outcome`; where a tensor with its gradient is asked for and a number or a NumPy array came, its values as one."""
    value, wanted = outcome.value, expected.value
    if not expected.gradient or type(wanted) is not Array or outcome.status != "returned":
        return outcome
    if type(value) is float and wanted.values.ndim == 0:
        value, what = np.array(value), "a number"
    elif type(value) is Array and value.kind == "array":
        value, what = value.values, "a NumPy array"
    else:
        return outcome
    return replace(outcome, value=Array("tensor", value.dtype.name, value), gradient=f"{what} has none: {CUT}")


def shown(verdict: Verdict, outcome: Outcome, expected: Outcome) -> tuple[str, str]:
    """What was expected and what came, in words: of the gradient where it alone is wrong; "" where nothing came."""
    if verdict.kind == "gradient":
        return describe(expected.gradient), describe(outcome.gradient) if type(outcome.gradient) is tuple else "none"
    return describe(expected.value), describe(outcome.value) if outcome.status == "returned" else ""
