"""The definition of a function in its file, and the outside names that it reads."""

import ast
import dis
import functools
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType


class NotSource(Exception):
    """An object cannot be written as source; the message says why."""


def bound_names(source: str) -> dict[str, set[str]]:
    """The names that a notebook's statements bind, with their origins: the import statement, or "assigned".

    >>> bound_names("import numpy as np\\nx = 1")
    {'np': {'import numpy'}, 'x': {'assigned'}}
    """
    bound: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name, origin, _ in _imported(node):
                bound.setdefault(name, set()).add(origin)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.setdefault(node.name, set()).add("assigned")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.setdefault(node.id, set()).add("assigned")
    return bound


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str, str]]:
    """For each name that an import binds: the name, its origin, and the module."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            yield alias.asname or alias.name, f"from {node.module} import {alias.name}", node.module or ""
        elif alias.asname or "." not in alias.name:
            yield alias.asname or alias.name, f"import {alias.name}", alias.name


@functools.cache
def imports_of(module: str) -> dict[str, tuple[str, str]]:
    """The imports of a course module from outside the course: name → (module, name in that module)."""
    found = {}
    for node in _tree(sys.modules[module].__file__).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name, _, source in _imported(node):
                if not source.startswith(("lib", "tests", "__future__")):
                    found[name] = (source, _name_in(node, name))
    return found


def _name_in(node: ast.Import | ast.ImportFrom, bound: str) -> str:
    """The original name of an import bound to `bound`; "" if the import binds the module itself."""
    if isinstance(node, ast.Import):
        return ""
    return next(alias.name for alias in node.names if (alias.asname or alias.name) == bound)


@functools.cache
def _functions_in(path: str) -> dict[tuple[str, int], ast.FunctionDef]:
    """The definitions in a file, by name and first line (that of the first decorator)."""
    found = {}
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef):
            found[node.name, min([node.lineno, *(d.lineno for d in node.decorator_list)])] = node
    return found


@functools.cache
def _lambdas_in(path: str) -> list[ast.Lambda]:
    return [node for node in ast.walk(_tree(path)) if isinstance(node, ast.Lambda)]


@functools.cache
def _tree(path: str) -> ast.Module:
    with open(path, encoding="utf-8") as file:
        return ast.parse(file.read())


def definition_of(function: FunctionType) -> ast.FunctionDef | ast.Lambda:
    """The definition of a function in its file, found by its first line; a lambda, by the position of its body."""
    code = function.__code__
    if code.co_name != "<lambda>":
        if node := _functions_in(code.co_filename).get((code.co_name, code.co_firstlineno)):
            return node
        raise NotSource(f"{function.__qualname__} is not in {code.co_filename}")
    spans = [s for s in code.co_positions() if None not in s and s[3] > s[2]]
    start, end = min((s[0], s[2]) for s in spans), max((s[1], s[3]) for s in spans)
    around = [
        node
        for node in _lambdas_in(code.co_filename)
        if (node.body.lineno, node.body.col_offset) <= start and end <= (node.body.end_lineno, node.body.end_col_offset)
    ]
    if not around:
        raise NotSource(f"a lambda in line {code.co_firstlineno} of {code.co_filename} is not found")
    return max(around, key=lambda node: (node.lineno, node.col_offset))  # the innermost lambda begins last


def captured(function: FunctionType) -> dict[str, object]:
    """The captured variables of a closure. Raises NotSource if one has no value yet."""
    try:
        cells = function.__closure__ or ()
        return {name: cell.cell_contents for name, cell in zip(function.__code__.co_freevars, cells)}
    except ValueError:
        raise NotSource(f"{function.__qualname__} captures a variable without a value") from None


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def globals_of(code: CodeType) -> set[str]:
    operations = [(o.opname, o.argval) for c in _codes(code) for o in dis.get_instructions(c)]
    if any(name in ("STORE_GLOBAL", "DELETE_GLOBAL") for name, _ in operations):
        raise NotSource(f"{code.co_name} changes a global")
    return {value for name, value in operations if name in ("LOAD_GLOBAL", "LOAD_NAME")}


def locals_of(code: CodeType) -> set[str]:
    return {name for c in _codes(code) for name in (*c.co_varnames, *c.co_cellvars)}
