"""Predictions: say what a cell will show before you run it, then see both side by side.

    predict("attention.sharper", ...)          # the student writes a number, a word or True/False in place of ...
    compare("attention.sharper", weights.max())

Nothing is graded and nothing is written to a file. Whatever a student writes gets one clear line, never a traceback: a
prediction is there to be wrong. What is printed depends on the two values alone.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from lib import checks
from lib.exercises.engine.values import shorten
from lib.names import nearest

_FORM = "one number, one word in quotes, True or False"
_RIGHT, _ABOUT, _CLOSE = 0.001, 0.01, 0.1  # differences, as shares of the larger number
_FAR = 2  # a factor from which the question is asked
_COMMA = "a number has a decimal point and no comma, like 0.9 or 1000"
_QUESTION = "What did you overlook?"
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*(%?)")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+\s*%?")


@dataclass(frozen=True)
class _Said:
    """A prediction or a result: a truth value, a number (`percent`: "87 %" is 87) or a word."""

    value: bool | int | float | str
    percent: bool = False

    @property
    def kind(self) -> str:
        if isinstance(self.value, bool):
            return "True or False"
        return "a word" if isinstance(self.value, str) else "a number"


class _Unclear(Exception):
    """What was given is neither a number nor a word nor a truth value; the message says what it is."""


_predicted: dict[str, _Said | None] = {}  # by id; None: the cell was run, but nothing is written yet


def predict(id: Any = None, answer: Any = ..., *more: Any) -> None:
    """Note what a student expects of the result that `compare` shows later under the same `id`; print one line.

    `answer` is one number (also "87 %" or a tensor of one element), one word, or a truth value; `...` says that nothing
    is written yet. What the cell says when it was last run counts. Never raises.

    >>> predict("attention.sharper", 0.9)
    Noted: you predict 0.9. To change it, edit this cell and run it again.
    """
    if not _is_id(id):
        print('predict takes the id in quotes first, then your prediction, like predict("attention.sharper", 0.9).')
        return
    before, _predicted[id] = _predicted.get(id), None
    if _is_open(answer) and not more:
        print(f"A prediction is worth a moment: replace ... by {_FORM}, and run this cell again.")
        return
    try:
        said = _predicted[id] = _read(answer, more)
    except _Unclear as unclear:
        print(f"This is not a prediction yet: write {_FORM}; this is {unclear}.")
        return
    change = f", no longer {_as_said(before)}" if before and before != said else ""
    print(f"Noted: you predict {_as_said(said)}{change}. To change it, edit this cell and run it again.")


def compare(id: Any = None, result: Any = ..., *more: Any) -> None:
    """Print `result` beside what was predicted under `id`, and how near the two are. Never raises.

    Numbers are compared by their difference or ratio; words and truth values are right or not. Where nothing was predicted
    the result alone is shown.

    >>> predict("attention.sharper", 0.9)
    Noted: you predict 0.9. To change it, edit this cell and run it again.
    >>> compare("attention.sharper", 0.999)
    You said 0.9; it is 0.999. Close: 0.099 too low.
    """
    if not _is_id(id):
        print('compare takes the id in quotes first, then the result, like compare("attention.sharper", result).')
        return
    said = _predicted.get(id)
    try:
        it = _read(result, more)
    except _Unclear as unclear:
        was = f" You said {_as_said(said)}." if said else ""
        print(f"compare takes {_FORM} as the result; this is {unclear}.{was}")
        return
    if said is None:
        print(f"The result is {_as_result(it)}. {_why_nothing(id)}")
    elif said.kind == it.kind or (said := _as_truth(said, it)).kind == it.kind:
        print(f"You said {_as_said(said)}; it is {_as_result(it)}. {_how_near(said, it)}")
    else:
        result_kind = "either True or False" if it.kind == "True or False" else it.kind
        print(f"You said {_as_said(said)}; the result is {result_kind}: {_as_result(it)}. "
              f"The two cannot be compared; predict {it.kind} here.")  # fmt: skip


def _is_id(id: Any) -> bool:
    return isinstance(id, str) and bool(id.strip()) and id.isprintable()


def _is_open(answer: Any) -> bool:
    return answer is Ellipsis or (isinstance(answer, str) and answer.strip() in ("...", "…"))


def _read(value: Any, more: tuple[Any, ...] = ()) -> _Said:
    """What was said, as plain data; raises _Unclear for anything but a number, a word or a truth value."""
    if more:
        raise _Unclear(f"{len(more) + 1} values ({_COMMA})")
    if _is_open(value):
        raise _Unclear("nothing but ...")
    try:
        if isinstance(value, str):
            return _read_text(str(value).strip())
        return _read_value(value)
    except _Unclear:
        raise
    except Exception:  # an object whose own methods fail
        raise _Unclear(_what(value)) from None


def _read_text(text: str) -> _Said:
    if not text:
        raise _Unclear("an empty string")
    if _DECIMAL_COMMA.fullmatch(text):
        raise _Unclear(f"{shorten(repr(text), 80)} ({_COMMA})")
    if found := _NUMBER.fullmatch(text):
        number = _read_value(float(found[1]))
        whole = float(number.value).is_integer()
        return _Said(int(number.value) if whole else number.value, percent=bool(found[2]))
    return _Said({"true": True, "false": False}.get(text.casefold(), text))


def _read_value(value: Any) -> _Said:
    if isinstance(value, bool):
        return _Said(value)
    if str(getattr(value, "dtype", "")).endswith("bool") and math.prod(value.shape) == 1:
        return _Said(bool(value))
    try:
        number = checks.number("it", value.detach() if hasattr(value, "detach") else value, "[-inf, inf]")
        float(number)
    except ValueError:
        raise _Unclear("NaN, which stands for no number") from None
    except OverflowError:
        raise _Unclear("a number that is too large") from None
    return _Said(number)


def _what(value: Any) -> str:
    """What it is, in words; none of its own methods may fail in between."""
    if value is None:
        return "None"
    kind = type(value).__name__[:40]
    kind = {"Tensor": "tensor", "ndarray": "array", "type": "class"}.get(kind, kind)
    if kind in ("function", "method", "builtin_function_or_method"):
        return "a function, not what it returns"
    for measure in (lambda: f" of shape {tuple(value.shape)}", lambda: f" of {len(value)}"):
        try:
            return _with_article(kind) + measure()
        except Exception:  # it has no such measure
            continue
    return _with_article(kind)


def _with_article(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiouAEIOU' else 'a'} {noun}"


def _why_nothing(id: str) -> str:
    """Why there is no prediction under this id, and what to do about it."""
    if id in _predicted:
        return "You have not predicted it, which is fine: a guess before the result helps to remember it."
    if not _predicted:
        return "Nothing has been predicted yet: the cell that calls predict comes first."
    meant = nearest(id, list(_predicted), most=3)
    return f"Nothing is predicted under {shorten(repr(id), 80)}; {meant}" + "." * (not meant.endswith("?"))


def _as_truth(said: _Said, it: _Said) -> _Said:
    """A "yes" or "no" where the result is a truth value; else what was said."""
    if it.kind == "True or False" and isinstance(said.value, str):
        return _Said({"yes": True, "no": False}.get(_folded(said.value), said.value))
    return said


def _how_near(said: _Said, it: _Said) -> str:
    """How far a prediction is from a result of the same kind, in plain words."""
    if isinstance(said.value, str) and isinstance(it.value, str):
        mine, right = _folded(said.value), _folded(it.value)
        if mine != right and f" {right} " in f" {mine} ":
            return "Is that what you meant?"
        return "That is right." if mine == right else _QUESTION
    if it.kind == "True or False":
        return "That is right." if said.value == it.value else _QUESTION
    guess, unit = _in_unit_of(said, it)
    return _distance(guess, float(it.value), unit)


def _folded(text: str) -> str:
    """A word without what does not count: case, hyphens, spaces around it, a full stop."""
    return " ".join(re.sub(r"[-_.,;:!?'\"]", " ", text.casefold()).split())


def _in_unit_of(said: _Said, it: _Said) -> tuple[float, str]:
    """What was said in the unit of the result, and that unit: a share of at most 1 beside "87 %" is taken times 100."""
    guess = float(said.value)
    if said.percent and not it.percent and abs(float(it.value)) <= 1:
        guess /= 100
    if it.percent and not said.percent and abs(guess) <= 1:
        guess *= 100
    return guess, " percentage points" if it.percent else ""


def _distance(guess: float, it: float, unit: str) -> str:
    if guess == it or math.isclose(guess, it, rel_tol=_RIGHT):
        return "That is right."
    if math.isinf(guess) or math.isinf(it):
        return f"Only one of the two is finite. {_QUESTION}"
    side = "low" if guess < it else "high"
    off = f"{_two_digits(abs(guess - it))}{unit} too {side}"
    if guess == 0 or it == 0:
        return f"One of the two is 0: {off}. {_QUESTION}"
    if (guess > 0) != (it > 0):
        return f"The sign is the other one: {off}. {_QUESTION}"
    if math.isclose(guess, it, rel_tol=_ABOUT):
        return "That is right to within 1 %."
    if math.isclose(guess, it, rel_tol=_CLOSE):
        return f"Close: {off}."
    factor = max(guess / it, it / guess)
    if math.isclose(factor, 100, rel_tol=_CLOSE) and 0 < min(guess, it) <= 1:
        return 'Close, if one of the two is in percent: "87 %" is the same as 0.87.'
    if factor < _FAR:
        return f"That is {off}."
    return f"That is too {side} by a factor of {_two_digits(factor)}. {_QUESTION}"


def _as_said(said: _Said) -> str:
    """A prediction as it was written."""
    if isinstance(said.value, bool):
        return str(said.value)
    if isinstance(said.value, str):
        return shorten(repr(said.value), 80)
    written = f"{said.value:,}" if _is_short(said.value) else f"{float(said.value):.6g}"
    return written + " %" * said.percent


def _as_result(it: _Said) -> str:
    """A result as it is shown: a decimal number with three digits."""
    if isinstance(it.value, bool | str) or _is_short(it.value):
        return _as_said(it)
    return _three_digits(float(it.value)) + " %" * it.percent


def _is_short(value: bool | int | float | str) -> bool:
    return isinstance(value, int) and abs(value) < 10**15


def _three_digits(x: float) -> str:
    """A result: commas from 1,000 on, an exponent only where it is very small or very large.

    >>> [_three_digits(x) for x in (0.99961, 12.0, 1234.5, 0.00001234)]
    ['1.00', '12.0', '1,230', '1.23e-05']
    """
    rounded = float(f"{x:.3g}")
    if 1e-4 <= abs(rounded) < 1000:
        return f"{rounded:#.3g}".removesuffix(".")
    return _without_zeros(rounded)


def _without_zeros(x: float) -> str:
    return f"{x:,.0f}" if 1000 <= abs(x) < 1e7 else f"{x:g}"


def _two_digits(x: float) -> str:
    """A difference or a factor, rounded to two digits: "0.099", "2", "1,200"."""
    return _without_zeros(float(f"{x:.2g}"))
