"""The parts of an exercise: a reference, cases to run it on, and common mistakes."""

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from lib import OPEN_ROOMS
from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.fresh import fresh_settings
from lib.exercises.engine.gradients import leaves, require_grad
from lib.slides.decks import check_slide

ID = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Made:
    """An input that `make(*args)` builds anew for every call: a model, or a function.

    With such recipes cases remain plain data: the recipe is copied and sent to other processes, not the model.
    """

    make: Callable[..., Any]
    args: tuple = ()


@dataclass(frozen=True, eq=False)
class Case:
    """One set of inputs: plain data, `torch.Generator`s and `Made` recipes; `what` describes it in words."""

    what: str
    args: tuple = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    has_gradient: bool = True  # False where right answers may have different gradients, or none

    def without_gradient(self) -> "Case":
        """The same case, in which only the result is judged: at a tie, a kink, or where the gradient is infinite.

        >>> case("a tie", torch.zeros(2)).without_gradient().has_gradient
        False
        """
        return replace(self, has_gradient=False)


def case(what: str, /, *args: Any, **kwargs: Any) -> Case:
    """A case, written in the way in which the answer is called.

    >>> case("one token", [7], temperature=0.0).kwargs
    {'temperature': 0.0}
    """
    return Case(what, args, kwargs)


@dataclass(frozen=True)
class Misconception:
    """A common mistake: `answer` makes it, and `hint` is for the student who makes it."""

    name: str
    answer: Any
    hint: str

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.hint.strip():
            raise ValueError(f"a misconception needs a name and a hint, got {self.name!r} and {self.hint!r}")


@dataclass(frozen=True, eq=False)
class Exercise:
    """One exercise. It asks for a function, or for a value if `reference` is not callable (then it has no cases).

    `cases(generator)` returns the inputs, which always include the edge cases; the notebook uses seed 0.
    `decide(case, output, expected)` replaces the comparison where an answer may be random: it returns None or a
    complaint. It is called after types have been checked. A misconception is recognised by the same output or the
    same complaint, so a complaint says *what* is wrong ("special tokens are masked") without measured numbers.
    `gradient` names parameters of `reference`: the gradient of the result with respect to these inputs is part of the
    answer, in every case but those `without_gradient()`. A misconception "detached" goes with it.

    Raises ValueError for an invalid id, slide, number or name.
    """

    id: str  # "module.name", defined in lib/exercises/lectureNN/module.py
    slides: tuple[str, ...]
    points: int
    minutes: int
    reference: Any
    cases: Callable[[torch.Generator], Sequence[Case]] | None = None
    accepts: tuple = ()  # other correct ways to write it
    misconceptions: tuple[Misconception, ...] = ()
    hints: tuple[str, ...] = ()
    title: str = ""
    tolerance: Tolerance = Tolerance()
    decide: Callable[[Case, Any, Any], str | None] | None = None
    gradient: tuple[str, ...] = ()
    seconds: float | int = 10  # elapsed time that one call may take
    withheld: tuple[str, ...] = ()  # in addition to what `reference` calls: "lib.room.function" that would answer it

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.id):
            raise ValueError(f"id must look like 'module.name' in small letters, got {self.id!r}")
        for name in ("points", "minutes", "seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{self.id}: {name} must be positive, got {getattr(self, name)!r}")
        self._check_slides()
        self._check_words()
        self._check_withheld()
        self._check_gradient()
        if self.asks_for_value and (self.cases or self.decide):
            raise ValueError(f"{self.id}: an exercise that asks for a value has neither cases nor a `decide`")
        if not self.asks_for_value and self.cases is None:
            raise ValueError(f"{self.id}: an exercise that asks for a function needs cases")

    def _check_slides(self) -> None:
        for slide in self.slides:
            try:
                check_slide(slide)
            except ValueError as error:
                raise ValueError(f"{self.id}: {error}") from None
        if not self.slides:
            raise ValueError(f"{self.id}: at least one slide must be named")

    def _check_words(self) -> None:
        if any(not hint.strip() for hint in self.hints):
            raise ValueError(f"{self.id}: a hint is empty")
        for what in ("name", "hint"):
            words = [getattr(m, what) for m in self.misconceptions]
            twice = {word for word in words if words.count(word) > 1}
            if twice:
                raise ValueError(f"{self.id}: two misconceptions share the {what} {twice.pop()!r}")

    def _check_withheld(self) -> None:
        if isinstance(self.withheld, str):
            raise ValueError(f"{self.id}: withheld must be a tuple of names, got {self.withheld!r}")
        for name in self.withheld:
            if not re.fullmatch(r"lib(\.\w+){2,}", name) or name.split(".")[1] not in OPEN_ROOMS:
                raise ValueError(f"{self.id}: withheld names must be like 'lib.kernels.softmax', got {name!r}")

    def _check_gradient(self) -> None:
        if not self.gradient:
            return
        if isinstance(self.gradient, str) or self.asks_for_value or self.decide:
            raise ValueError(
                f"{self.id}: gradient must be a tuple of parameters of the reference, in an exercise that asks for a "
                f"function and has no `decide`, got {self.gradient!r}"
            )
        known = inspect.signature(self.reference).parameters
        if unknown := set(self.gradient) - set(known):
            raise ValueError(f"{self.id}: gradient names {unknown.pop()!r}, but the reference has {', '.join(known)}")

    @property
    def asks_for_value(self) -> bool:
        """Whether the answer is a plain value (a number, a string, a dict) and not a function."""
        return not callable(self.reference)

    def build_cases(self, seed: int = 0) -> tuple[Case, ...]:
        """The cases of one seed, the same in every call; raises ValueError if there are none."""
        if self.cases is None:
            return (Case("your answer"),)
        with fresh_settings():
            cases = tuple(map(self._with_gradient, self.cases(torch.Generator().manual_seed(seed))))
        names = [c.what for c in cases]
        if not cases or len(set(names)) < len(names):
            raise ValueError(f"{self.id}: there must be cases, each with its own description, got {names}")
        if self.gradient and not any(leaves([*c.args, c.kwargs]) for c in cases):
            raise ValueError(f"{self.id}: no case has a tensor of decimal numbers as {' or '.join(self.gradient)}")
        return cases

    def _with_gradient(self, case: Case) -> Case:
        """`case` with tensors that require grad as the inputs that `gradient` names."""
        if not self.gradient or not case.has_gradient:
            return case
        named = zip(case.args, inspect.signature(self.reference).parameters)
        args = tuple(require_grad(value) if name in self.gradient else value for value, name in named)
        kwargs = {n: require_grad(value) if n in self.gradient else value for n, value in case.kwargs.items()}
        return replace(case, args=args, kwargs=kwargs)

    def as_function(self, answer: Any) -> Callable[..., Any]:
        """`answer` itself, or a function that returns it if the exercise asks for a value."""
        return (lambda: answer) if self.asks_for_value else answer
