"""The definition of an exercise: the sources of its cases, of `decide`, and of the helpers that they use."""

import functools
import inspect
from collections.abc import Callable, Collection, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

OURS = "lib.exercises."
ENGINE = "lib.exercises.engine."  # the same for all exercises, so not part of a definition
MADE = ENGINE + "made"  # except this, which builds inputs of answers


def sources(begin: Collection[Callable[..., Any]], without: Collection[Any] = ()) -> list[str]:
    """The sources of these functions, of the functions and classes of `lib.exercises` that they use, and their
    constants; sorted, and the same in every process.

    Objects in `without` are not followed. Tensors and other objects do not count as constants.
    """
    seen = {id(each) for each in without}
    waiting: list[Any] = [leaf for leaf in _leaves([*begin]) if isinstance(leaf, FunctionType | type)]
    found: set[str] = set()
    while waiting:
        what = waiting.pop()
        if id(what) in seen:
            continue
        seen.add(id(what))
        found.add(inspect.getsource(what))
        for name, value in _used(what):
            leaves = list(_leaves(value))
            waiting += [leaf for leaf in leaves if _is_followed(leaf)]
            if constants := [leaf for leaf in leaves if isinstance(leaf, str | bytes | int | float)]:
                found.add(f"{name} = {constants!r}")
    return sorted(found)


def _used(what: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """The outside names that a function, or the methods of a class, reads, and their values."""
    if isinstance(what, type):
        file = inspect.getsourcefile(what)
        for method in vars(what).values():
            if isinstance(method, FunctionType) and method.__code__.co_filename == file:  # not a generated method
                yield from _used(method)
        return
    names = set(_names(what.__code__))
    outside = inspect.getclosurevars(what).nonlocals if what.__closure__ else {}
    for name in names:
        value = what.__globals__.get(name)
        if isinstance(value, ModuleType) and value.__name__.startswith(OURS):
            outside |= {each: vars(value)[each] for each in names & vars(value).keys()}
        elif name in what.__globals__:
            outside[name] = value
    yield from outside.items()
    yield "defaults", [what.__defaults__, what.__kwdefaults__]


def _names(code: CodeType) -> Iterator[str]:
    """The names in a function's code and in the code of functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _leaves(value: Any) -> Iterator[Any]:
    """The innermost values of containers and partial functions; a wrapper counts as the function that it wraps."""
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    elif isinstance(value, set | frozenset):
        value = sorted(value, key=repr)
    elif isinstance(value, functools.partial):
        value = [value.func, value.args, value.keywords]
    if isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)
    else:
        yield inspect.unwrap(value) if callable(value) else value


def _is_followed(leaf: Any) -> bool:
    module = getattr(leaf, "__module__", None) or ""
    return isinstance(leaf, FunctionType | type) and _asks(module)


def _asks(module: str) -> bool:
    return module.startswith(OURS) and (module == MADE or not module.startswith(ENGINE))
