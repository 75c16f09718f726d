"""Which statements of a notebook an answer needs: the part of a fresh run that decides what the answer does.

This is a program slice (Weiser, 1984) without control flow: a statement is needed if it may change a name that the
answer reads, or that a needed statement reads. Training runs and plots that the answer does not read are left out, so
grading is fast. What one object does to another that holds it is not followed, except for `a = b`.
"""

import ast
import builtins
import dis
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import CodeType

from lib.grading.worker.statements import DEFINITION, is_harmless, owner, walk

UNKNOWN = "*"  # stands for all names: `from m import *`, `exec(…)`
_UNKNOWN_CALLS = ("exec", "globals", "locals")
_CALLING = ("map", "filter", "sorted", "min", "max")  # harmless, but what they call may not be
_LOADS = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_CLASSDEREF")


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement of the module, the full names of all that the notebook imports, and the names of its functions."""

    node: ast.stmt
    imported: Mapping[str, str]
    functions: Collection[str] = ()

    @cached_property
    def stored(self) -> set[str]:
        """The names that it binds, and those of which it sets or deletes an item or an attribute."""
        found = set()
        for node in walk(self.node, (*DEFINITION, ast.Lambda)):
            if isinstance(node, DEFINITION):
                found.add(node.name)
            elif isinstance(node, ast.alias):
                found.add(UNKNOWN if node.name == UNKNOWN else node.asname or node.name.split(".")[0])
            elif isinstance(node, ast.ImportFrom) and node.module == "__future__":
                found.add(UNKNOWN)
            elif isinstance(node, ast.Name | ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
                found.add(owner(node))
        return found

    @cached_property
    def reads(self) -> set[str]:
        """The names of the module that it reads when it is executed, or when the functions that it defines are."""
        try:
            code = compile(ast.Module([self.node], type_ignores=[]), "", "exec", dont_inherit=True)
        except (SyntaxError, RecursionError, MemoryError, ValueError):
            return set()
        return set(_loaded(code))

    @cached_property
    def changed(self) -> set[str]:
        """The names whose value it may change, and "f()" for each function `f` of the notebook that it calls."""
        if isinstance(self.node, ast.Assert):
            return set()
        nodes = list(walk(self.node, (*DEFINITION, ast.Lambda)))
        found = self.stored.union(*(self._by_call(node) for node in nodes if isinstance(node, ast.Call)))
        if self.is_alias:
            found.add(self.node.value.id)
        return found | self.effects | {f"{owner(each)}()" for each in getattr(self.node, "decorator_list", ())}

    def _by_call(self, call: ast.Call) -> set[str]:
        if is_harmless(call.func, self.imported) and owner(call.func) not in _CALLING:
            return set()
        name = owner(call.func)
        if name in _UNKNOWN_CALLS:
            return {UNKNOWN}
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        found = {n.id for each in given for n in ast.walk(each) if isinstance(n, ast.Name)}
        found = {f"{name}()" if name in self.functions else name for name in found}  # map(fill, names) calls fill
        found -= {*self.imported, *vars(builtins)}
        if isinstance(call.func, ast.Name):
            if name in self.functions:
                found.add(f"{name}()")
            elif name not in self.imported and not hasattr(builtins, name):
                found.add(name)  # model(x) may change the model
        elif name not in self.imported or (isinstance(self.node, ast.Expr) and not _of_a_result(call.func)):
            found.add(name)  # sizes.append(3), torch.manual_seed(0)
        return found

    @property
    def is_alias(self) -> bool:
        """Whether it is `a = b`: what is done to a is then done to b."""
        return isinstance(self.node, ast.Assign) and isinstance(self.node.value, ast.Name)

    @cached_property
    def effects(self) -> set[str]:
        """Of a definition or a lambda: what its calls may change, as in `changed`."""
        if isinstance(self.node, DEFINITION):
            bodies = [each for each in ast.walk(self.node) if _is_simple(each)]
        elif isinstance(getattr(self.node, "value", None), ast.Lambda):
            bodies = [ast.Expr(self.node.value.body)]
        else:
            return set()
        inside = [Statement(each, self.imported, self.functions) for each in bodies]
        declared = {name for each in ast.walk(self.node) if isinstance(each, ast.Global) for name in each.names}
        changed = set().union(*(each.changed for each in inside)) - {*self.stored, *self.imported}
        return {name for name in changed if name.removesuffix("()") in self.reads | declared}


def _of_a_result(function: ast.expr) -> bool:
    """Whether what is called belongs to what another call returned: the `mean` of `torch.stack(xs).mean()`."""
    return any(isinstance(node, ast.Call) for node in ast.walk(function))


def _is_simple(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete | ast.Expr)


def _loaded(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in _LOADS:
            yield instruction.argval
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _loaded(inner)


def needed(statements: Sequence[Statement], roots: Collection[int]) -> set[int]:
    """The numbers of the statements that those in `roots` need, with the roots themselves.

    >>> text = "import math; xs = []; xs.append(1); print(xs); train(); f = lambda: math.pi * len(xs)"
    >>> needed([Statement(each, {"math": "math"}) for each in ast.parse(text).body], [5])
    {0, 1, 2, 5}
    """
    chosen: set[int] = set()
    known = {UNKNOWN}
    waiting = set(roots)
    while waiting:
        chosen |= waiting
        for number in waiting:
            known |= statements[number].reads
        for statement in (statements[number] for number in chosen):
            if statement.is_alias or not known.isdisjoint(statement.effects):
                known |= {form for name in statement.stored for form in (name, f"{name}()")}
        waiting = {n for n, each in enumerate(statements) if n not in chosen and _concerns(each, known)}
    return chosen


def _concerns(statement: Statement, names: set[str]) -> bool:
    return not names.isdisjoint(statement.changed)
