"""The shape of an answer: its syntax without names, comments and annotations, for comparing answers."""

import ast
import builtins
from collections.abc import Mapping

from lib.grading.worker.statements import is_idle

MOST_HELPERS = 20  # of one answer
LENGTH = 4000  # tokens; an answer is seldom longer than 200
_TOKEN = 60  # characters
_LEFT_OUT = ("annotation", "returns", "ctx", "type_comment", "kind", "type_params")


def shape_of(binding: ast.stmt, imported: dict[str, str]) -> list[str]:
    """Tokens of the syntax tree of a definition or assignment, at most 4,000, in the order of the text.

    The student's own names are numbered by first appearance, so two answers that differ only in names, comments,
    docstrings and annotations have the same shape. Builtins and imported modules keep their names.

    >>> one, two = (ast.parse(text).body[0] for text in ("def f(a): return a + 1", "def g(x): return x + 1"))
    >>> shape_of(one, {}) == shape_of(two, {}), shape_of(one, {})[:4]
    (True, ['FunctionDef', 'n0', 'arguments', 'arg'])
    """
    numbers: dict[str, str] = {}
    tokens: list[str] = []
    waiting: list[object] = [binding]
    while waiting and len(tokens) < LENGTH:
        part = waiting.pop()
        if not isinstance(part, ast.AST):
            tokens.append(str(part)[:_TOKEN])
            continue
        if is_idle(part):
            continue
        tokens.append("Assign" if isinstance(part, ast.AnnAssign) else type(part).__name__)
        waiting += reversed(_parts(part, numbers, imported))
    return tokens


def is_function(binding: ast.stmt) -> bool:
    """Whether a binding defines a function or a class, or assigns a lambda.

    >>> [is_function(ast.parse(text).body[0]) for text in ("def f(): 1", "f = lambda: 1", "f = 1")]
    [True, True, False]
    """
    if isinstance(binding, ast.Assign | ast.AnnAssign):
        return isinstance(binding.value, ast.Lambda)
    return isinstance(binding, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def helpers_of(binding: ast.stmt, defined: Mapping[str, ast.stmt]) -> list[str]:
    """The names of the student's own definitions that an answer uses, directly or through others, in that order.

    `defined` has the definition of each name at the top level of the notebook.
    """
    found: dict[str, None] = {}
    waiting = [binding]
    while waiting and len(found) < MOST_HELPERS:
        for node in ast.walk(waiting.pop(0)):
            name = node.id if isinstance(node, ast.Name) else ""
            if name in defined and defined[name] is not binding and name not in found:
                found[name] = None
                waiting.append(defined[name])
    return list(found)[:MOST_HELPERS]


def _parts(node: ast.AST, numbers: dict[str, str], imported: dict[str, str]) -> list[object]:
    if isinstance(node, ast.Constant):
        return [_constant(node.value)]
    parts: list[object] = []
    for field, value in ast.iter_fields(node):
        if field in _LEFT_OUT:
            continue
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, ast.AST):
                parts.append(entry)
            elif isinstance(entry, str):
                keeps = field in ("attr", "module") or isinstance(node, ast.keyword)
                parts.append(entry if keeps else _numbered(entry, numbers, imported))
    return parts


def _numbered(name: str, numbers: dict[str, str], imported: dict[str, str]) -> str:
    if name not in numbers and (name in imported or hasattr(builtins, name)):
        return name
    return numbers.setdefault(name, f"n{len(numbers)}")


def _constant(value: object) -> str:
    """The beginning of a constant; a long string is shortened before it is converted."""
    if isinstance(value, str | bytes):
        value = value[:_TOKEN]
    try:
        return ascii(value)[:_TOKEN]
    except ValueError:  # an integer with more digits than Python converts
        return "int"
