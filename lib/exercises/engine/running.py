"""Run one answer on one case and report what happened as plain data, without a comparison or a verdict.

The grader runs this part in another process and compares in its own; `check` in a notebook does both.
"""

import inspect
import io
import random
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib import NOT_WRITTEN
from lib.exercises.engine.compare import EXACT, difference
from lib.exercises.engine.exercise import Case, Made
from lib.exercises.engine.fresh import fresh_settings
from lib.exercises.engine.gradients import CUT, gradient, leaves, tensors
from lib.exercises.engine.limits import TimeUp, call_limited
from lib.exercises.engine.values import NotPlain, describe, shorten, steady, to_plain

_PRINT_LIMIT = 20_000  # characters kept of what an answer prints


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an answer did on one case, as plain data.

    status: "returned", "raised", "not written", "time up" or "not plain" (it returned what no exercise asks for).
    """

    status: str
    value: Any = None  # plain data, if it returned
    message: str = ""  # what was raised, or returned instead of plain data
    line: str = ""  # the student's line that raised
    mutated: tuple[str, ...] = ()  # arguments that were changed in place
    printed: str = ""
    gradient: Any = ()  # of the result, where the case asks for it: an Array for each such input; or why there is none


def run_answer(answer: Callable[..., Any], case: Case, *, seconds: float | int = 10, seed: int = 0) -> Outcome:
    """Call `answer` on a copy of the inputs of `case`, with a time limit and seeded global randomness.

    Where the decimal inputs are float64, new tensors are float64 while the answer runs, so that `torch.eye(3) @ x` works
    as it does with float32. What it prints to stdout or stderr is captured. Warnings, exceptions and `sys.exit` do not propagate;
    KeyboardInterrupt does.

    >>> run_answer(lambda x: 1 / x, case=Case("zero", (0,))).message
    'ZeroDivisionError: division by zero'
    """
    printed = _Kept()
    try:
        with _contained(seed, printed):
            outcome = call_limited(lambda: _call(answer, case, seed), seconds)
    except TimeUp:
        outcome = Outcome("time up", message=f"no result after {seconds:g} seconds")
    return Outcome(**{**vars(outcome), "printed": printed.getvalue()})


def _call(answer: Callable[..., Any], case: Case, seed: int) -> Outcome:
    args, kwargs = copy_inputs(case.args, grad=False), copy_inputs(case.kwargs, grad=False)
    before = _snapshots(answer, args, kwargs)
    try:
        value = _answered(answer, args, kwargs)
    except (TimeUp, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit too: an answer that calls exit() must not end the notebook
        if _is_stub(error, answer):
            return Outcome("not written", message=_say(error))
        return Outcome("raised", message=_say(error), line=_line_of(error, answer))
    after = _snapshots(answer, args, kwargs)
    mutated = tuple(name for name in before if _changed(before[name], after.get(name)))
    if value is Ellipsis:
        return Outcome("not written", mutated=mutated)
    try:
        return Outcome("returned", to_plain(value), mutated=mutated, gradient=_gradient(answer, case, seed))
    except NotPlain as error:
        return Outcome("not plain", message=str(error), mutated=mutated)


def _gradient(answer: Callable[..., Any], case: Case, seed: int) -> Any:
    """Call `answer` again, on inputs that require grad, and differentiate what it returns; () if none does."""
    if not leaves([*case.args, case.kwargs]):
        return ()
    args, kwargs = copy_inputs(case.args), copy_inputs(case.kwargs)
    with _contained(seed, _Kept()):
        try:
            return gradient(_answered(answer, args, kwargs), leaves([*args, kwargs]))
        except (TimeUp, KeyboardInterrupt):
            raise
        except BaseException as error:
            said = _say(error)  # PyTorch's advice, to detach, would be wrong here
            return (
                f"there is none: {CUT}" if "Can't call numpy()" in said else f"where it is asked for, it raised {said}"
            )


def _answered(answer: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    if {tensor.dtype for tensor in tensors([*args, kwargs], decimal=True)} == {torch.float64}:
        torch.set_default_dtype(torch.float64)
    return answer(*args, **kwargs)


def copy_inputs(value: Any, grad: bool = True) -> Any:
    """A deep copy of an input: tensors keep `requires_grad` (if `grad`), generators their state, recipes are built."""
    kind = type(value)
    if kind is Tensor:
        return value.detach().clone().requires_grad_(grad and value.requires_grad)
    if kind is torch.Generator:
        twin = torch.Generator(value.device)
        return twin.set_state(value.get_state())
    if kind is Made:
        return value.make(*copy_inputs(value.args, grad))
    if kind in (list, tuple):
        return kind(copy_inputs(entry, grad) for entry in value)
    if kind is dict:
        return {key: copy_inputs(entry, grad) for key, entry in value.items()}
    if kind is np.ndarray:
        return value.copy()
    if value is None or kind in (bool, int, float, str, torch.dtype):
        return value
    raise TypeError(f"inputs must be plain data, generators or Made recipes, got a {kind.__name__}")


def name_inputs(answer: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The inputs by the names of the parameters that receive them, where these are known."""
    try:
        bound = inspect.signature(answer).bind(*args, **kwargs)
        return dict(bound.arguments)
    except Exception:  # it cannot be called like this (the call will report why), or has no signature
        return {f"argument {i + 1}": value for i, value in enumerate(args)} | kwargs


def describe_inputs(answer: Callable[..., Any], case: Case) -> list[str]:
    """One line for each input of `case`, "name = type, shape and first values"."""
    named = name_inputs(answer, case.args, case.kwargs)
    return [f"{name} = {_describe_input(value)}" for name, value in named.items()]


def _describe_input(value: Any) -> str:
    if type(value) is Made:
        return f"{value.make.__name__}({', '.join(_describe_input(arg) for arg in value.args)})"
    try:
        return describe(to_plain(value))
    except NotPlain:
        return f"a {type(value).__name__}"


def _snapshots(answer: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in name_inputs(answer, args, kwargs).items():
        try:
            found[name] = to_plain(value)
        except NotPlain:  # a model or a generator may change; a list that contains one only now has changed
            continue
        if flags := [tensor.requires_grad for tensor in tensors(value)]:
            found[f"{name}.requires_grad"] = flags
    return found


def _changed(before: Any, after: Any) -> bool:
    return difference(after, before, EXACT) is not None


class _Kept(io.StringIO):
    """Keeps the beginning of what is written, so that an answer that prints endlessly does not fill the memory."""

    def write(self, text: str) -> int:
        if self.tell() < _PRINT_LIMIT:
            super().write(steady(text[: 10 * _PRINT_LIMIT])[:_PRINT_LIMIT])  # the whole text might be huge
        return len(text)

    def close(self) -> None:
        """Stay open, even if an answer closes its streams."""


@contextmanager
def _contained(seed: int, printed: io.StringIO) -> Iterator[None]:
    """Restore the global state that an answer may change: streams, random states, torch's defaults."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]), fresh_settings(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            with redirect_stdout(printed), redirect_stderr(printed):
                yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def _is_stub(error: BaseException, answer: Callable[..., Any]) -> bool:
    """Whether the answer itself, not a function that it calls, raised what the stub of a student edition raises."""
    if type(error) is not NotImplementedError or error.args != (NOT_WRITTEN,):
        return False
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    code = getattr(answer, "__code__", None)
    return code is None or trace is None or trace.tb_frame.f_code is code


def _say(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, SystemExit):
        return "SystemExit: it called exit()"
    try:
        return shorten(f"{name}: {error}", 400)
    except Exception:  # its __str__ raises as well
        return name


def _line_of(error: BaseException, answer: Callable[..., Any]) -> str:
    """The last line of the student's cell in the exception's traceback, as "line 3: y = x / 0"."""
    home = getattr(getattr(answer, "__code__", None), "co_filename", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == home]
    if not own:
        return ""
    return f"line {own[-1].lineno}: {own[-1].line}".removesuffix(": ")
