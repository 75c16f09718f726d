"""What the statements of a cell do, as far as their syntax tells: which names they bind, whether one is a stub.

No code is executed here, and no node is visited by recursion, as a tree may be deep.
"""

import ast
import re
from collections.abc import Iterator

MARKER = "write your answer here"  # of the stubs in student editions

# Calls that change neither their arguments nor anything else that an answer reads.
_BUILTINS = (
    "abs all any bin bool bytes bytearray callable chr complex dict display divmod enumerate filter float "
    "format frozenset hash hex id int isinstance issubclass len list map max min object oct ord pow "
    "print property range repr reversed round set slice sorted str sum super tuple type zip"
)
_MODULES = re.compile(
    r"(math|cmath|itertools|fractions|decimal|re|string|collections|dataclasses|functools|pathlib|typing|types|enum"
    r"|numpy|torch|matplotlib|pandas|lib\.plots|lib\.exercises)\."
)
_BUT = re.compile(r"(^|\.)(set|seed|manual_seed|shuffle|put|fill|copyto|place|at$)|_$")  # these may
_HARMLESS_METHODS = (
    "capitalize casefold center count decode encode endswith expandtabs find format format_map index "
    "isalpha isdigit islower isupper join ljust lower lstrip maketrans partition removeprefix "
    "removesuffix replace rfind rjust rsplit rstrip split splitlines startswith strip swapcase title "
    "translate upper zfill copy difference fromkeys get intersection issubset issuperset items keys "
    "most_common union values bool double float int long half item numpy reshape tolist "
    "to unsqueeze view as_integer_ratio bit_length hex is_integer"
)
DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_OWN_SCOPE = (*DEFINITION, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def import_names(tree: ast.Module) -> dict[str, str]:
    """The full name of each name that a cell imports: {"np": "numpy", "sqrt": "math.sqrt"}."""
    found = {}
    for node in walk(tree, DEFINITION):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                found[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def is_harmless(function: ast.expr, imported: dict[str, str]) -> bool:
    """Whether a call of `function` changes neither its arguments nor anything else that an answer may read.

    >>> named = lambda text: ast.parse(text, mode="eval").body
    >>> [is_harmless(named(text), {"np": "numpy"}) for text in ("np.sqrt", "np.random.shuffle", "xs.copy", "xs.append")]
    [True, False, True, False]
    """
    names: list[str] = []
    node = function
    while isinstance(node, ast.Attribute) and len(names) < 5:
        names.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        path = ".".join([imported.get(node.id, node.id), *reversed(names)])
        if path in _BUILTINS.split() or (node.id in imported and _MODULES.match(path) and not _BUT.search(path)):
            return True
        if node.id in imported:
            return False  # requests.get is not the get of a dict
    return isinstance(function, ast.Attribute) and function.attr in _HARMLESS_METHODS.split()


def names_read(statement: ast.stmt) -> set[str]:
    """The names that executing `statement` reads, without the loop variables of comprehensions."""
    nodes = list(walk(statement, (*DEFINITION, ast.Lambda)))
    running = {name for node in nodes if isinstance(node, ast.comprehension) for name in _stored(node.target)}
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)} - running


def bindings(statement: ast.stmt, name: str) -> list[ast.stmt]:
    """The definitions and assignments in `statement`, at the top level of the module, that bind `name`."""
    found = []
    for node in walk(statement, _OWN_SCOPE):
        if isinstance(node, DEFINITION):
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


def owner(node: ast.expr) -> str:
    """The leftmost name: "sizes" for `sizes[0].append`; "" if there is none."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _stored(target: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def walk(top: ast.AST, closed: tuple[type, ...]) -> Iterator[ast.AST]:
    """`top` and the nodes below it in order, without recursion; nodes of a type in `closed` are not entered."""
    waiting = [top]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, closed):
            waiting += reversed(list(ast.iter_child_nodes(node)))


def is_stub(binding: ast.stmt) -> bool:
    r"""Whether a definition or assignment is still the stub of the student edition.

    A stub raises NotImplementedError, with our words or with none as nbgrader's does, before it can return anything,
    or has no body at all.

    >>> stub = "def f(x):\n    n = len(x)\n    raise NotImplementedError('write your answer here')"
    >>> is_stub(ast.parse(stub).body[0]), is_stub(ast.parse("year = 2018").body[0])
    (True, False)
    """
    if isinstance(binding, DEFINITION):
        return _gives_up(binding.body)
    if not isinstance(binding, ast.Assign | ast.AnnAssign):
        return False
    value = binding.value.body if isinstance(binding.value, ast.Lambda) else binding.value
    values = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
    return bool(values) and all(isinstance(v, ast.Constant) and v.value is Ellipsis for v in values)


def _gives_up(body: list[ast.stmt]) -> bool:
    """Whether a body does nothing, or raises the marker of a stub before it can return anything."""
    for statement in body:
        if isinstance(statement, ast.Raise):
            raised, words = statement.exc, []
            if isinstance(raised, ast.Call):
                raised, words = raised.func, [getattr(each, "value", None) for each in raised.args]
            return isinstance(raised, ast.Name) and raised.id == "NotImplementedError" and words in ([], [MARKER])
        if any(isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) for node in ast.walk(statement)):
            return False
    return all(is_idle(statement) for statement in body)


def is_idle(node: ast.AST) -> bool:
    """Whether a node does nothing: a docstring, a string used as a comment, `...`, `pass`."""
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
