"""The statements of a cell that are executed when answers are graded: imports, definitions and constants.

A constant is built from literals, names, operators, comprehensions, and calls of functions that are known to be fast
and free of side effects. This keeps training runs and plots out of grading. It does not protect against malicious
code; the isolated process does.
"""

import ast
from collections.abc import Iterator

_BUILTINS = (
    "abs all any bin bool bytes bytearray callable chr complex dict divmod enumerate filter float "
    "format frozenset hash hex int isinstance issubclass len list map max min object oct ord pow "
    "print property range repr reversed round set slice sorted str sum super tuple type zip"
)
_FUNCTIONS = {
    "collections": "Counter OrderedDict defaultdict deque namedtuple",
    "dataclasses": "dataclass field make_dataclass replace",
    "functools": "cache lru_cache partial reduce",
    "pathlib": "Path PurePath",
    "random": "Random",
    "re": "compile",
    "string": "Template",
    "types": "MappingProxyType SimpleNamespace",
    "typing": "NamedTuple NewType TypeVar TypedDict cast",
    "enum": "Enum IntEnum auto",
    "numpy": (
        "arange array asarray eye exp finfo float32 float64 full iinfo inf int32 int64 linspace log ones sqrt zeros"
    ),
    "numpy.random": "default_rng",
    "torch": (
        "Generator Size arange as_tensor device empty exp eye finfo from_numpy full get_default_dtype "
        "iinfo linspace log manual_seed ones ones_like sqrt tensor tril triu zeros zeros_like"
    ),
    "torch.cuda": "is_available",
    "torch.backends.mps": "is_available",
}
_MODULES = ("math", "cmath", "operator", "itertools", "fractions", "decimal")  # all functions of these
_METHODS = (
    "capitalize casefold center count decode encode endswith expandtabs find format format_map index "
    "isalpha isdigit islower isupper join ljust lower lstrip maketrans partition removeprefix "
    "removesuffix replace rfind rjust rsplit rstrip split splitlines startswith strip swapcase title "
    "translate upper zfill copy difference fromkeys get intersection issubset issuperset items keys "
    "most_common union values bool double float int long half item manual_seed numpy reshape tolist "
    "to unsqueeze view as_integer_ratio bit_length hex is_integer"
)
_HARMLESS_METHODS = frozenset(_METHODS.split())
_ALLOWED = frozenset(_BUILTINS.split()).union(
    *({f"{module}.{name}" for name in names.split()} for module, names in _FUNCTIONS.items())
)
_CONSTANT = (
    ast.Constant,
    ast.Name,
    ast.Attribute,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.Subscript,
    ast.Slice,
    ast.Tuple,
    ast.List,
    ast.Set,
    ast.Dict,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
    ast.comprehension,
    ast.Lambda,
    ast.JoinedStr,
    ast.FormattedValue,
    ast.IfExp,
    ast.Starred,
    ast.keyword,
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
    ast.expr_context,
    ast.Call,
)
_DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORT = (ast.Import, ast.ImportFrom)
_OWN_SCOPE = (*_DEFINITION, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def import_names(tree: ast.Module) -> dict[str, str]:
    """The full name of each name that a cell imports: {"np": "numpy", "sqrt": "math.sqrt"}."""
    found = {}
    for node in _walk(tree, _DEFINITION):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                found[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def is_executed(statement: ast.stmt, imported: dict[str, str]) -> bool:
    """Whether `statement` is an import, a definition or a constant, or an `if` or `try` with only these."""
    if isinstance(statement, ast.Expr):
        return False  # only shown in the notebook; binds no name
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (*_IMPORT, *_DEFINITION, ast.Pass, ast.Global, ast.Nonlocal)):
            continue
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if not (_are_names(targets) and (node.value is None or is_constant(node.value, imported))):
                return False
        elif isinstance(node, ast.Expr):  # perhaps a message for a failed import
            if not is_constant(node.value, imported):
                return False
        elif isinstance(node, ast.If):
            if not is_constant(node.test, imported):
                return False
            waiting += [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            waiting += [*node.body, *node.handlers, *node.orelse, *node.finalbody]
        elif isinstance(node, ast.ExceptHandler):
            waiting += node.body
        else:
            return False
    return True


def _are_names(targets: list[ast.expr]) -> bool:
    shapes = (ast.Name, ast.Tuple, ast.List, ast.Starred, ast.expr_context)
    return all(isinstance(node, shapes) for target in targets for node in ast.walk(target))


def is_constant(value: ast.expr, imported: dict[str, str]) -> bool:
    """Whether `value` calls only known, harmless functions; the body of a lambda is not checked.

    >>> value = lambda text: ast.parse(text, mode="eval").body
    >>> is_constant(value("2 * math.pi"), {}), is_constant(value("train(model)"), {})
    (True, False)
    """
    waiting: list[ast.AST] = [value]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, _CONSTANT):
            return False
        if isinstance(node, ast.Call) and not _is_harmless(node.func, imported):
            return False
        if isinstance(node, ast.Lambda):
            waiting += [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]
        else:
            waiting += ast.iter_child_nodes(node)
    return True


def _is_harmless(function: ast.expr, imported: dict[str, str]) -> bool:
    names: list[str] = []
    node = function
    while isinstance(node, ast.Attribute) and len(names) < 5:
        names.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        path = ".".join([imported.get(node.id, node.id), *reversed(names)])
        if path in _ALLOWED or path.rpartition(".")[0] in _MODULES:
            return True
        if node.id in imported:
            return False  # requests.get is not the get of a dict
    return isinstance(function, ast.Attribute) and function.attr in _HARMLESS_METHODS


def names_read(statement: ast.stmt) -> set[str]:
    """The names that executing `statement` reads, without the loop variables of comprehensions."""
    nodes = list(_walk(statement, (*_DEFINITION, ast.Lambda)))
    running = {name for node in nodes if isinstance(node, ast.comprehension) for name in _stored(node.target)}
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)} - running


def bindings(statement: ast.stmt, name: str) -> list[ast.stmt]:
    """The definitions and assignments in `statement`, at the top level of the module, that bind `name`."""
    found = []
    for node in _walk(statement, _OWN_SCOPE):
        if isinstance(node, _DEFINITION):
            bound = node.name == name
        elif isinstance(node, ast.Assign):
            bound = any(name in _stored(target) for target in node.targets)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign):
            bound = node.value is not None and name in _stored(node.target)
        else:
            continue
        if bound:
            found.append(node)
    return found


def names_changed(statement: ast.stmt) -> set[str]:
    """All module-level names that executing `statement` may bind, or whose object it may change."""
    found = set()
    for node in _walk(statement, _OWN_SCOPE):
        if isinstance(node, _DEFINITION):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name.split(".")[0])
        elif isinstance(node, ast.Name | ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(_owner(node))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):  # sizes.append(3)
            found.add(_owner(node.value.func))
    return found


def _owner(node: ast.expr) -> str:
    """The leftmost name: "sizes" for `sizes[0].append`; "" if there is none."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _stored(target: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _walk(top: ast.AST, closed: tuple[type, ...]) -> Iterator[ast.AST]:
    """`top` and the nodes below it in order, without recursion; nodes of a type in `closed` are not entered."""
    waiting = [top]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, closed):
            waiting += reversed(list(ast.iter_child_nodes(node)))


def is_stub(binding: ast.stmt) -> bool:
    """Whether a definition or assignment is still the stub of the student edition.

    >>> stub = "def f(x):\\n    n = len(x)\\n    raise NotImplementedError('write your answer here')"
    >>> is_stub(ast.parse(stub).body[0]), is_stub(ast.parse("year = 2018").body[0])
    (True, False)
    """
    if isinstance(binding, _DEFINITION):
        return _gives_up(binding.body)
    if not isinstance(binding, ast.Assign | ast.AnnAssign):
        return False
    value = binding.value.body if isinstance(binding.value, ast.Lambda) else binding.value
    values = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
    return bool(values) and all(isinstance(v, ast.Constant) and v.value is Ellipsis for v in values)


def _gives_up(body: list[ast.stmt]) -> bool:
    """Whether a body does nothing, or raises NotImplementedError before it can return anything."""
    for statement in body:
        if isinstance(statement, ast.Raise):
            raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
            return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
        if any(isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) for node in ast.walk(statement)):
            return False
    return all(is_idle(statement) for statement in body)


def is_idle(node: ast.AST) -> bool:
    """Whether a node does nothing: a docstring, a string used as a comment, `...`, `pass`."""
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
