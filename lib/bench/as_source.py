"""Write a Python object as plain source, so that a synthetic student's notebook can contain it.

Mistakes and accepted answers of exercises are lambdas, closures and partials that call helpers and functions of the
course. The grader withholds both, so everything that they need is written out here: captured values as literals,
helpers as separate definitions, under names that are unused in the notebook.
"""

import ast
import builtins
import copy
import functools
import inspect
import math
import sys
from collections.abc import Mapping
from types import FunctionType, ModuleType

import torch

from lib.bench.definitions import (
    NotSource,
    captured,
    definition_of,
    globals_of,
    imports_of,
    locals_of,
)

_OURS = ("lib.", "tests.")
_WITHHELD = ("lib.exercises", "tests.")  # a submission cannot import these, but the rest of the course
_PLAIN = (type(None), bool, int, str, bytes, type(Ellipsis))


class Writer:
    """Collects the imports and definitions that written objects need, each once."""

    def __init__(self, taken: Mapping[str, set[str]] | None = None, prefix: str = "own") -> None:
        """`taken` maps used names to their origins; the names of helpers begin with `prefix`."""
        self.prefix = prefix
        self.taken = {name: set(origins) for name, origins in (taken or {}).items()}
        self.imports: list[str] = []
        self.helpers: list[str] = []
        self._names: dict[int, str] = {}
        self._alive: list[object] = []  # an id is valid only while its object exists

    def answer(self, value: object, name: str) -> str:
        """Source that binds `name` to an equivalent of `value`; helpers are collected separately.

        Raises NotSource.
        """
        self.taken.setdefault(name, set()).add("assigned")
        if isinstance(value, FunctionType | functools.partial):
            return self._definition(value, name)
        return f"{name} = {self.expression(value)}"

    def preamble(self) -> str:
        """Imports and helpers, for the cell before the answer."""
        return "\n".join(self.imports) + "\n\n\n" + "\n\n\n".join(self.helpers)

    def expression(self, value: object) -> str:
        """Source of an expression for a value; functions become the names of helpers. Raises NotSource."""
        kind = type(value)
        if kind in _PLAIN:
            return repr(value)
        if kind is float:
            return repr(value) if math.isfinite(value) else f'float("{value}")'
        if kind in (list, tuple, dict, set, frozenset):
            return self._container(value)
        if kind is torch.Tensor:
            return f"{self._import('torch')}.tensor({value.tolist()!r}, dtype={self.expression(value.dtype)})"
        if kind is torch.dtype:
            return f"{self._import('torch')}.{str(value).removeprefix('torch.')}"
        if isinstance(value, functools.partial) or self._is_ours(value):
            return self._helper(value)
        return self._public(value)

    def _container(self, value: object) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{self.expression(k)}: {self.expression(v)}" for k, v in value.items()) + "}"
        inner = ", ".join(map(self.expression, value))
        if isinstance(value, list):
            return f"[{inner}]"
        if isinstance(value, tuple):
            return f"({inner}{',' * (len(value) == 1)})"
        return f"{type(value).__name__}([{inner}])"

    @staticmethod
    def _is_ours(value: object) -> bool:
        """Whether it must be written out: every function of the course, and classes defined with exercises."""
        function = inspect.unwrap(value) if callable(value) else value
        module = getattr(function, "__module__", None) or ""
        if isinstance(function, type):
            return module.startswith(_WITHHELD)
        return isinstance(function, FunctionType) and module.startswith(_OURS)

    def _public(self, value: object) -> str:
        """An object of a library, by a name under which it can be imported."""
        name = getattr(value, "__name__", "")
        if isinstance(value, ModuleType):
            return self._import(name)
        if getattr(builtins, name, None) is value:
            return name
        for module in (getattr(value, "__module__", None) or "", "torch", "torch.nn.functional", "math"):
            if getattr(sys.modules.get(module), name, None) is value:
                return self._import(module, name)
        owner = getattr(value, "__objclass__", None)  # a method such as torch.Tensor.sum
        if owner is not None and getattr(owner, name, None) is value:
            return f"{self.expression(owner)}.{name}"
        raise NotSource(f"no source for a {type(value).__name__} {name}".rstrip())

    def _import(self, module: str, name: str = "") -> str:
        """The name that an import of `module`, or of `name` from it, binds; written on first use."""
        if module.startswith(_WITHHELD):
            raise NotSource(f"{name or module} is from {module}, which no submission may import")
        origin = f"from {module} import {name}" if name else f"import {module}"
        wanted = name or module.split(".")[-1]
        bound = self._free(wanted, origin)
        statement = origin if bound == (name or module) else f"{origin} as {bound}"
        if statement not in self.imports:
            self.imports.append(statement)
        return bound

    def _free(self, wanted: str, origin: str = "assigned") -> str:
        """`wanted`, with a number if the name is already used for something else, or is Python's own (torch.round)."""
        number, name = 1, wanted
        while (
            hasattr(builtins, name)
            or self.taken.get(name, {origin}) != {origin}
            or (origin == "assigned" and name in self.taken)
        ):
            number += 1
            name = f"{wanted}_{number}"
        self.taken[name] = {origin}
        return name

    def _helper(self, value: object) -> str:
        if id(value) not in self._names:
            label = getattr(value, "__name__", "") or "part"
            name = self._free(f"{self.prefix}_{label.strip('_<>') or 'part'}")
            self._names[id(value)] = name
            self._alive.append(value)
            self.helpers.append(self._definition(value, name))
        return self._names[id(value)]

    def constant(self, value: object, label: str) -> str:
        """The name of a constant with `value`, as a literal is not allowed inside an f-string."""
        if id(value) not in self._names:
            written = self.expression(value)
            self._names[id(value)] = name = self._free(f"{self.prefix}_{label.strip('_')}")
            self._alive.append(value)
            self.helpers.append(f"{name} = {written}")
        return self._names[id(value)]

    def _definition(self, value: object, name: str) -> str:
        if isinstance(value, functools.partial):
            return self._partial(value, name)
        if isinstance(value, type):
            return self._class(value, name)
        function = inspect.unwrap(value)
        node = definition_of(function)
        known = {**function.__globals__, **captured(function)}
        read = globals_of(function.__code__) | set(function.__code__.co_freevars)
        if clash := read & locals_of(function.__code__):
            raise NotSource(f"{function.__qualname__}: {clash.pop()} is both local and global")
        decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
        read |= {n.id for d in decorators for n in ast.walk(d) if isinstance(n, ast.Name)}
        replaced = _Replace(self, {key: known[key] for key in read if key in known}, function.__module__)
        body = [replaced.visit(line) for line in _body_of(node)]
        definition = ast.FunctionDef(
            name=name, args=self._parameters(node.args, function), body=body,
            decorator_list=[replaced.visit(copy.deepcopy(d)) for d in decorators], type_params=[],
        )  # fmt: skip
        if clash := replaced.used & locals_of(function.__code__):
            raise NotSource(f"{function.__qualname__}: {clash.pop()} is also the name of a helper")
        return ast.unparse(ast.fix_missing_locations(definition))

    def _parameters(self, arguments: ast.arguments, function: FunctionType) -> ast.arguments:
        """The parameters without annotations, with their current default values."""
        arguments = copy.deepcopy(arguments)
        for parameter in ast.walk(arguments):
            if isinstance(parameter, ast.arg):
                parameter.annotation = None
        arguments.defaults = [_parse(self.expression(v)) for v in function.__defaults__ or ()]
        named = function.__kwdefaults__ or {}
        arguments.kw_defaults = [
            _parse(self.expression(named[a.arg])) if a.arg in named else None for a in arguments.kwonlyargs
        ]
        return arguments

    def _partial(self, value: functools.partial, name: str) -> str:
        """A definition with the remaining parameters, which are passed by position."""
        left = inspect.signature(value).parameters.values()
        kinds = {p.kind for p in left} - {
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            inspect.Parameter.KEYWORD_ONLY,
            inspect.Parameter.VAR_KEYWORD,  # what is given to it has its name
        }
        if kinds or value.args:
            raise NotSource(f"a partial of {value.func!r} with positional arguments")
        free = [p.name for p in left if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        given = [f"{key}={self.expression(item)}" for key, item in value.keywords.items()]
        call = f"{self.expression(value.func)}({', '.join([*free, *given])})"
        return f"def {name}({', '.join(free)}):\n    return {call}"

    def _class(self, value: type, name: str) -> str:
        node = next(n for n in ast.parse(inspect.getsource(value)).body if isinstance(n, ast.ClassDef))
        known = vars(sys.modules[value.__module__])
        read = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - {value.__name__}
        node.name = name
        replaced = _Replace(self, {key: known[key] for key in read if key in known}, value.__module__)
        return ast.unparse(ast.fix_missing_locations(replaced.visit(node)))


class _Replace(ast.NodeTransformer):
    """Replaces each outside name by source for its value."""

    def __init__(self, writer: Writer, known: dict[str, object], module: str) -> None:
        self.writer, self.known, self.module = writer, known, module
        self.used: set[str] = set()

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.known or not isinstance(node.ctx, ast.Load):
            return node
        written = _parse(self._written(node.id))
        self.used |= {n.id for n in ast.walk(written) if isinstance(n, ast.Name)}
        return written

    def _written(self, name: str) -> str:
        if origin := imports_of(self.module).get(name):
            return self.writer._import(*origin)
        if isinstance(self.known[name], str | tuple | list | dict):
            return self.writer.constant(self.known[name], name)
        try:
            return self.writer.expression(self.known[name])
        except NotSource:  # an object of the course that is not a function can be imported
            return self.writer._import(self.module, name)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """Replace `objectives.mlm_loss` like `mlm_loss`: it is also a function of the course."""
        if isinstance(node.value, ast.Name) and isinstance(self.known.get(node.value.id), ModuleType):
            found = getattr(self.known[node.value.id], node.attr, None)
            if Writer._is_ours(found):
                return _parse(self.writer.expression(found))
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if node.value is None:
            return node
        return self.generic_visit(ast.Assign(targets=[node.target], value=node.value))

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(arg=node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        node.returns = None
        return self.generic_visit(node)


def _parse(expression: str) -> ast.expr:
    return ast.parse(expression, mode="eval").body


def _body_of(node: ast.FunctionDef | ast.Lambda) -> list[ast.stmt]:
    if isinstance(node, ast.Lambda):
        return [ast.Return(copy.deepcopy(node.body))]
    body = copy.deepcopy(node.body)
    return body[1:] if ast.get_docstring(node) is not None and len(body) > 1 else body
