"""Where exercises are found: `lib/exercises/<module>.py` defines `EXERCISES`, whose ids begin with its
name."""

import importlib
import pkgutil
from functools import cache

import lib.exercises
from lib.exercises.exercise import Exercise
from lib.names import nearest

_ENGINE = frozenset({"compare", "engine", "exercise", "limits", "made", "registry", "running", "values"})


def modules() -> tuple[str, ...]:
    """The names of the modules beside the engine, in alphabetical order."""
    found = (info.name for info in pkgutil.iter_modules(lib.exercises.__path__))
    return tuple(sorted(name for name in found if name not in _ENGINE))


@cache
def exercises_of(module: str) -> dict[str, Exercise]:
    """The exercises of one module by id, in the order of the notebook; the module is imported on first use.

    A module without `EXERCISES` holds parts of another's and has none of its own.
    Raises ValueError where an id does not begin with the module's name, or comes twice.
    """
    found: dict[str, Exercise] = {}
    for exercise in getattr(importlib.import_module(f"lib.exercises.{module}"), "EXERCISES", ()):
        if exercise.id.split(".")[0] != module:
            raise ValueError(f"lib/exercises/{module}.py: the id {exercise.id!r} must begin with '{module}.'")
        if exercise.id in found:
            raise ValueError(f"lib/exercises/{module}.py: the id {exercise.id!r} is used twice")
        found[exercise.id] = exercise
    return found


def all_exercises() -> dict[str, Exercise]:
    """Every exercise of the course by id."""
    return {id: exercise for module in modules() for id, exercise in exercises_of(module).items()}


def get(id: str) -> Exercise:
    """The exercise with this id; only its own module is imported.

    Raises TypeError unless `id` is a string, KeyError (with the nearest id) where there is none.
    """
    if not isinstance(id, str):
        raise TypeError(f"id must be the exercise's id, like 'mlm.mask_tokens', got a {type(id).__name__}")
    module = id.split(".")[0]
    if module in modules() and id in exercises_of(module):
        return exercises_of(module)[id]
    raise UnknownExercise(id, list(all_exercises()))


class UnknownExercise(KeyError):
    """There is no exercise with this id; the message names the nearest ones."""

    def __init__(self, id: str, known: list[str]) -> None:
        super().__init__(id)
        self.message = f"there is no exercise {id!r}; {nearest(id, known, most=3)}"

    def __str__(self) -> str:  # KeyError would print the message in quotes
        return self.message
