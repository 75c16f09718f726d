"""What an answer may use of lib: everything but the functions that would answer its exercise.

The grader makes these raise (`lib.grading.worker.withheld`); the student edition names them.
"""

import dis
import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from lib import OPEN_ROOMS, ROOMS
from lib.exercises.engine.exercise import Exercise

SEALED = (*(f"lib.{room}" for room in ROOMS if room not in OPEN_ROOMS), "tests")
"""The packages that are closed altogether while an answer is graded."""


def withheld_names(exercise: Exercise) -> tuple[str, ...]:
    """The functions and classes of lib that would answer `exercise`, as "lib.objectives.masked.mlm_loss".

    These are the reference and the accepted answers, if they are functions of lib; otherwise the functions of lib that
    they call; and `exercise.withheld`. Each is named once, by the module that defines it, in alphabetical order.
    Raises LookupError if `exercise.withheld` names something that lib does not have.

    >>> from lib.exercises import get
    >>> withheld_names(get("wall.score"))
    ('lib.worlds.connecting_wall.score_wall',)
    """
    known = () if exercise.asks_for_value else (exercise.reference, *exercise.accepts)
    found = [each for answer in known for each in functions_of_lib(answer)]
    return tuple(sorted({_home(each) for each in [*found, *map(find, exercise.withheld)]}))


def functions_of_lib(answer: Callable[..., Any]) -> tuple[Any, ...]:
    """The functions of lib behind a known answer: the answer itself, or those that it and its helpers call."""
    return tuple(_asked_for(answer, set()))


def _asked_for(function: Any, seen: set[int]) -> Iterator[Any]:
    """`function` itself if it is one of lib's, else the functions of lib that it calls."""
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType) or id(function) in seen:
        return
    seen.add(id(function))
    if _is_libs(function):
        yield function
    elif function.__module__.startswith("lib.exercises."):
        for called in [*_globals_of(function.__code__, function.__globals__), *_cells_of(function)]:
            yield from _asked_for(called, seen)


def _globals_of(code: CodeType, known: dict[str, Any]) -> Iterator[Any]:
    """The global functions named in `code` and in the code inside it, also as `module.function`."""
    value: Any = None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "LOAD_GLOBAL":
            value = known.get(instruction.argval)
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") and isinstance(value, ModuleType):
            value = getattr(value, instruction.argval, None)
        else:
            value = None
        if callable(value):
            yield value
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _globals_of(inner, known)


def _cells_of(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:  # the cell is still empty
            continue
        if callable(content):
            yield content


def _is_libs(thing: Any) -> bool:
    home = getattr(thing, "__module__", None) or ""
    return home.startswith("lib.") and not is_sealed(home)


def _home(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def find(name: str) -> Any:
    """The object called `name` ("lib.room.module.function" or "lib.room.module.Class.method"); imports its module."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:end])
        try:
            return functools.reduce(getattr, parts[end:], importlib.import_module(module))
        except ModuleNotFoundError as error:
            if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
                raise  # the module exists, but something that it imports does not
        except AttributeError:
            break
    raise LookupError(f"lib has no {name!r} to withhold")


def is_sealed(name: str) -> bool:
    """Whether a module belongs to what is closed altogether."""
    return any(name == sealed or name.startswith(sealed + ".") for sealed in SEALED)


def rules_for(ids: Iterable[str]) -> str:
    """What the answers to these exercises may use, in Markdown; ids that this course does not have are left out."""
    from lib.exercises.engine import registry

    closed = []
    for id in ids:
        if id.split(".")[0] in registry.modules() and id in registry.exercises_of(id.split(".")[0]):
            names = [name for name in withheld_names(registry.get(id)) if not _is_private(name)]
            closed += [f"* `{id}`: {', '.join(f'`{name}`' for name in names)}"] if names else []
    if not closed:
        return RULES
    return f"{RULES} While an exercise is graded, these raise an error, and so do their own helpers:\n\n" + "\n".join(
        closed
    )


RULES = (
    "An answer may use Python, NumPy, all of PyTorch (`torch.softmax` and the losses too) and `lib`, unless the exercise "
    "says otherwise, but not what `lib` has for that very exercise."
)


def _is_private(name: str) -> bool:
    return any(part.startswith("_") for part in name.split("."))
