"""Withholds solutions in lib: the functions that an exercise asks for raise where the answer runs.

The parent determines which ones (`lib.lectures.allowed`, which may load the exercise). The child makes them raise
(`withhold`) and closes lib's exercises (`seal_exercises`) before it reads the first line of a student.
"""

import functools
import importlib.abc
import sys
from collections.abc import Callable, Iterable
from types import CodeType, FunctionType, ModuleType
from typing import Any, NoReturn

from lib import OPEN_ROOMS, ROOMS
from lib.lectures.allowed import find, is_sealed


class Withheld(Exception):
    """An answer called the function that it should implement."""


# --- in the child: they raise -------------------------------------------------------------------------------
def withhold(names: Iterable[str]) -> None:
    """Make every function and class in `names` raise `Withheld`, under whatever name it is called.

    The code of a function is replaced, so that all references to it raise as well; for a class, the code of every
    method. It cannot be undone: call it in a process that serves one answer.
    Raises LookupError if lib has no such name, and TypeError if it is neither a function nor a class.
    """
    for name in names:
        _withhold(find(name), name.rpartition(".")[2])


def _withhold(thing: Any, name: str) -> None:
    if isinstance(thing, type):
        _withhold_class(thing, name)
        return
    while not isinstance(thing, FunctionType):
        thing = _inside(thing)
        if thing is None:
            raise TypeError(f"{name} is neither a function nor a class: it cannot be withheld")
    inner = getattr(thing, "__wrapped__", None)
    thing.__code__ = _refusing_code(len(thing.__code__.co_freevars))
    thing.__defaults__, thing.__kwdefaults__ = None, {"_refuse": _refusal(name)}
    if inner is not None:
        _withhold(inner, name)


def _inside(thing: Any) -> Any:
    """The function inside a callable that is not a plain function: bound, static, cached or a property."""
    if isinstance(thing, functools._lru_cache_wrapper):
        thing.cache_clear()
    for held in ("__func__", "__wrapped__", "func", "fget"):
        if (inner := getattr(thing, held, None)) is not None:
            return inner
    return None


def _withhold_class(cls: type, name: str) -> None:
    for attribute in list(vars(cls).values()):
        if isinstance(attribute, (FunctionType, staticmethod, classmethod, property, functools.cached_property)):
            _withhold(attribute, name)
    if "__init__" not in vars(cls):
        cls.__init__ = lambda self, *args, _refuse=_refusal(name), **kwargs: _refuse()  # noqa: B008 (bound now)


def _refusal(name: str) -> Callable[..., NoReturn]:
    def refuse() -> NoReturn:
        raise Withheld(f"grading: lib's {name} is the solution of this exercise; write it yourself")

    return refuse


@functools.cache
def _refusing_code(free: int) -> CodeType:
    """Code that calls its keyword `_refuse`, with as many free variables as the code that it replaces.

    A function's code can only be replaced by code with as many free variables; they are never read.
    """
    cells = ", ".join(f"free_{i}" for i in range(free))
    source = f"""def outer({cells}):
    def withheld(*args, _refuse, **kwargs):
        _refuse()
        return [{cells}]
    return withheld"""
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    return namespace["outer"](*range(free)).__code__


# --- in the child: exercises and course are closed ----------------------------------------------------------
def seal_exercises() -> None:
    """Block all later imports of the rooms that contain answers, and of the tests.

    `from lib.exercises import check, hint, predict, compare` still works for cells that use it, but the four do nothing.
    The worker continues to use the modules that it has already imported. This cannot be undone.
    """
    for name in list(sys.modules):
        if is_sealed(name):
            del sys.modules[name]
    import lib

    for room in ROOMS:
        if room not in OPEN_ROOMS:
            vars(lib).pop(room, None)
    lib.exercises = sys.modules["lib.exercises"] = _stand_in()
    sys.meta_path.insert(0, _Seal())


def _stand_in() -> ModuleType:
    stand_in = ModuleType("lib.exercises", "Imports from here do nothing while a notebook is graded.")
    stand_in.__path__ = []  # still a package, so that imports from it reach `_Seal`
    stand_in.__all__ = ["check", "hint", "predict", "compare"]
    stand_in.check = lambda id, answer, **points: 0
    stand_in.hint = stand_in.predict = stand_in.compare = lambda *anything: None
    stand_in.__getattr__ = _no_such_part
    return stand_in


def _no_such_part(name: str) -> NoReturn:
    if name.startswith("__"):  # the import system asks for __spec__, for example, and accepts its absence
        raise AttributeError(name)
    raise ImportError(f"grading: lib.exercises.{name} is closed while an answer is graded")


class _Seal(importlib.abc.MetaPathFinder):
    """The first of the import finders, so that a sealed module is not loaded from its file again."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if is_sealed(name):
            raise ImportError(f"grading: {name} is closed while an answer is graded", name=name)
