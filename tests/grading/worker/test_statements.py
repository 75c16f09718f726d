"""What a statement reads, binds and may change, told from its syntax, case by case."""

import ast

import pytest

from lib.grading.worker.needed import UNKNOWN, Statement, needed
from lib.grading.worker.statements import bindings, import_names, is_harmless, names_read, owner

IMPORTED = {"np": "numpy", "torch": "torch", "sqrt": "math.sqrt", "get": "requests.get", "requests": "requests",
            "plots": "lib.plots", "training": "lib.training", "print": "rich.print", "shuffle": "random.shuffle",
            "zeros_": "torch.nn.init.zeros_", "mathematics": "mathematics", "F": "torch.nn.functional"}  # fmt: skip


def expression(text):
    return ast.parse(text, mode="eval").body


def statement(text, functions=()):
    return Statement(ast.parse(text).body[0], {"np": "numpy", "torch": "torch", "random": "random"}, functions)


@pytest.mark.parametrize("text, expected", [
    ("import a", {"a": "a"}), ("import a.b", {"a": "a"}), ("import a.b as c", {"c": "a.b"}), ("import a, b as d",
    {"a": "a", "d": "b"}),
    ("from a.b import c, d as e", {"c": "a.b.c", "e": "a.b.d"}), ("from . import a", {}), ("from .a import b", {}),
    ("def f():\n    import a", {}), ("class A:\n    import a", {}), ("if x:\n    import a\nelse:\n    import b",
    {"a": "a", "b": "b"}),
])  # fmt: skip
def test_full_names_of_imports(text, expected):
    assert import_names(ast.parse(text)) == expected


@pytest.mark.parametrize("text, harmless", [
    ("len", True), ("sorted", True), ("setattr", False), ("exec", False), ("open", False), ("unknown", False),
    ("np.sqrt", True), ("sqrt", True), ("math.sqrt", False), ("torch.cat", True), ("torch.randn", True), ("F.pad", True),
    ("np.random.seed", False), ("torch.manual_seed", False), ("torch.set_default_dtype", False), ("np.random.shuffle", False),
    ("np.put", False), ("np.fill_diagonal", False), ("np.copyto", False), ("np.place", False), ("np.add.at", False),
    ("shuffle", False),
    ("zeros_", False), ("torch.nn.init.zeros_", False), ("mathematics.sqrt", False), ("plots.show", True),
    ("training.fit", False),
    ("requests.get", False), ("get", False), ("table.get", True), ("a.b[0].copy", True), ("f(x).items", True),
    ("xs.append", False),
    ("x.add_", False), ("print", False), ("' '.join", True), ("(lambda: 1)", False), ("xs[0]", False),
])  # fmt: skip
def test_calls_that_change_nothing(text, harmless):
    assert is_harmless(expression(text), IMPORTED) is harmless


@pytest.mark.parametrize("text, expected", [
    ("a[0].b(c).d", "a"), ("f(x)", "f"), ("'text'.join", ""), ("(a + b).c", ""), ("a", "a"), ("[a][0]", ""),
])  # fmt: skip
def test_the_leftmost_name(text, expected):
    assert owner(expression(text)) == expected


@pytest.mark.parametrize("text, expected", [
    ("x = a + b.c", {"a", "b"}), ("x[i] = a", {"x", "i", "a"}), ("[y + a for y in b if y]", {"a", "b"}),
    ("for i in a: b", {"a", "b"}),
    ("{k: v for k, (v, w) in a}", {"a"}), ("def f(x=a): return b", set()), ("lambda: b", set()), ("x += a", {"a"}),
    ("del x", set()),
])  # fmt: skip
def test_names_that_a_statement_reads(text, expected):
    assert names_read(ast.parse(text).body[0]) == expected


@pytest.mark.parametrize("text, lines", [
    ("f = 1\nf = 2", [1]), ("if a:\n    f = 1\nelse:\n    def f(): pass", [2, 4]),
    ("try:\n    f = 1\nfinally:\n    f += 1", [2, 4]),
    ("f: int", []), ("f: int = 1", [1]), ("with a as f: pass", []), ("(g, [*f]) = a", [1]), ("g = f = 1", [1]),
    ("g = [f := 1]", []),
    ("def f(): f = 1", [1]), ("def g(): f = 1", []), ("class f: f = 1", [1]), ("f[0] = 1", []), ("f.a = 1", []),
])  # fmt: skip
def test_where_a_name_is_bound(text, lines):
    assert [node.lineno for node in bindings(ast.parse(text).body[0], "f")] == lines


@pytest.mark.parametrize("text, stored", [
    ("import a.b", {"a"}), ("import a.b as c", {"c"}), ("from a import b as c, d", {"c", "d"}), ("from a import *", {UNKNOWN}),
    ("from __future__ import annotations", {UNKNOWN, "annotations"}), ("a.b[0] = c", {"a"}), ("del a[0], b.c, d",
    {"a", "b", "d"}),
    ("def f(a): b = 1", {"f"}), ("class A: b = 1", {"A"}), ("for i, (j, *k) in a: b = 1", {"i", "j", "k", "b"}),
    ("x = lambda: (y := 1)", {"x"}), ("if (y := 1): pass", {"y"}), ("a[i] += j", {"a"}), ("with a as b: pass", {"b"}),
])  # fmt: skip
def test_names_that_a_statement_binds(text, stored):
    assert statement(text).stored == stored


@pytest.mark.parametrize("text, changed", [
    ("assert f(x)", set()), ("xs.append(y)", {"xs", "y"}), ("n = xs.pop()", {"n", "xs"}), ("print(x)", set()),
    ("n = len(x)", {"n"}),
    ("a = b", {"a", "b"}), ("a = b.c", {"a"}), ("train(model, k=z)", {"train", "model", "z"}), ("g(x)", {"g()", "x"}),
    ("list(map(g, x))", {"g()", "x"}), ("max(x, key=g)", {"g()", "x"}), ("n = globals()", {"n", UNKNOWN}),
    ("exec('a = 1')", {UNKNOWN}),
    ("torch.manual_seed(0)", {"torch"}), ("n = torch.manual_seed(0)", {"n"}), ("random.shuffle(x)", {"random", "x"}),
    ("@g\n@h.i\ndef f(): pass", {"f", "g()", "h()"}), ("np.sort(x)", set()), ("min(x)", {"x"}), ("isinstance(x, int)", set()),
])  # fmt: skip
def test_names_that_a_statement_may_change(text, changed):
    assert statement(text, functions=("g",)).changed == changed


@pytest.mark.parametrize("text, effects", [
    ("def f(a):\n    xs.append(a)", {"xs"}), ("def f():\n    global n\n    n = 1", {"n"}), ("def f():\n    n = 1", set()),
    ("def f():\n    g(1)", {"g()"}), ("f = lambda a: xs.append(a)", {"xs"}), ("f = xs.append", set()),
    ("def f():\n    np.put(a, 1)", {"a"}),
    ("class A:\n    def f(self):\n        del table[0]", {"table"}), ("x = 1", set()),
    ("def f():\n    t += [1]\n    return t", set()),
])  # fmt: skip
def test_what_a_call_of_a_definition_may_change(text, effects):
    assert statement(text, functions=("g",)).effects == effects


@pytest.mark.parametrize("text, roots, expected", [
    ("a = 1; b = a; c = b; d = 2; f = c", {4}, {0, 1, 2, 4}), ("a = []; b = a; b.append(1); c = 3; f = a", {4}, {0, 1, 2, 4}),
    ("a = 1; f = 2; a = 3", {1}, {1}), ("a = 1; f = a; a = 3", {1}, {0, 1, 2}), ("from m import *; a = 1; f = 2", {2}, {0, 2}),
    ("a = 1; b = 1; f = a; g = b", {2, 3}, {0, 1, 2, 3}), ("a = 1; f = 2", set(), set()),
    ("a = [x for x in y]; x = 1; y = 2; f = a", {3}, {0, 2, 3}),
    ("f = lambda: h(); h = lambda: k; k = 1; z = k + 1", {0}, {0, 1, 2}),
])  # fmt: skip
def test_the_statements_that_others_need(text, roots, expected):
    assert needed([Statement(each, {}) for each in ast.parse(text).body], roots) == expected


HARMLESS_BUILTINS = (
    "abs all any bin bool bytes bytearray callable chr complex dict display divmod enumerate filter float format frozenset "
    "hash hex id int isinstance issubclass len list map max min object oct ord pow print property range repr reversed round "
    "set slice sorted str sum super tuple type zip"
)


@pytest.mark.parametrize("name", HARMLESS_BUILTINS.split())
def test_builtins_that_change_nothing(name):
    assert is_harmless(expression(name), {})


HARMLESS_METHODS = (
    "capitalize casefold center count decode encode endswith expandtabs find format format_map index isalpha isdigit "
    "islower isupper join ljust lower lstrip maketrans partition removeprefix removesuffix replace rfind rjust rsplit rstrip "
    "split splitlines startswith strip swapcase title translate upper zfill copy difference fromkeys get intersection "
    "issubset issuperset items keys most_common union values bool double float int long half item numpy reshape tolist to "
    "unsqueeze view as_integer_ratio bit_length hex is_integer"
)


@pytest.mark.parametrize("name", HARMLESS_METHODS.split())
def test_methods_that_change_nothing(name):
    assert is_harmless(expression(f"x.{name}"), {})


CHANGING_METHODS = (
    "append extend insert pop remove clear sort reverse update setdefault popitem add discard difference_update send throw "
    "backward step zero_grad zero_ fill_ copy_ requires_grad_ load_state_dict train eval register_buffer apply put resize "
    "fill setflags write seek read"
)


@pytest.mark.parametrize("name", CHANGING_METHODS.split())
def test_methods_that_change_something(name):
    assert not is_harmless(expression(f"x.{name}"), {})


HARMLESS_MODULES = (
    "math cmath itertools fractions decimal re string collections dataclasses functools pathlib typing types enum numpy torch "
    "matplotlib pandas lib.plots lib.exercises"
)


@pytest.mark.parametrize("module", HARMLESS_MODULES.split())
def test_modules_whose_functions_change_nothing(module):
    assert is_harmless(expression("m.some"), {"m": module}) and is_harmless(
        expression("some"), {"some": f"{module}.some"}
    )
    assert not is_harmless(expression("m.some"), {"m": f"my{module}"}), "another module that ends so"


@pytest.mark.parametrize("text", [
    "[f := 1 for _ in a]", "{f := 1 for _ in a}", "{1: (f := 1) for _ in a}", "list((f := 1) for _ in a)",
    "lambda: (f := 1)", "def g():\n    f = 1", "async def g():\n    f = 1", "class g:\n    f = 1",
])  # fmt: skip
def test_a_scope_of_its_own_binds_nothing_here(text):
    assert bindings(ast.parse(text).body[0], "f") == []


def test_an_async_function_is_a_definition():
    node = ast.parse("async def f(x=a):\n    import b\n    return c").body[0]
    assert bindings(node, "f") == [node] and import_names(ast.parse(ast.unparse(node))) == {}
    assert Statement(node, {}).stored == {"f"} and names_read(node) == set()


@pytest.mark.parametrize("call", ["exec('x = 1')", "globals()['x'] = 1", "locals()['x'] = 1", "globals().update(x=1)"])
def test_what_may_change_any_name(call):
    assert UNKNOWN in statement(call).changed | statement(call).stored


@pytest.mark.parametrize("function", ["map", "filter", "sorted", "min", "max"])
def test_what_calls_a_function_of_the_notebook_may_change_what_it_changes(function):
    assert "fill()" in statement(f"y = {function}(fill, names)", functions=("fill",)).changed
    assert "names" in statement(f"y = {function}(fill, names)", functions=("fill",)).changed


@pytest.mark.parametrize("text", [
    "y = a", "def f(): return a", "def f():\n    global a\n    return a", "class A:\n    b = a",
    "class A:\n    def f(self): return a", "lambda: a", "[a for _ in range(3)]", "def f():\n    def g(): return a\n    return g",
    "def f(x=a): pass", "async def f(): return a", "class A(a): pass", "@a\ndef f(): pass", "f'{a}'", "a.b[0](1)",
])  # fmt: skip
def test_a_global_name_is_read_wherever_it_stands(text):
    assert "a" in statement(text).reads


@pytest.mark.parametrize("text, changed", [
    ("torch.manual_seed(0)", True), ("torch.stack(xs).mean()", False), ("print(torch.stack(xs).softmax(dim=0).tolist())", False),
    ("np.random.seed(0)", True), ("torch.rand(3).mul_(2)", False),
])  # fmt: skip
def test_a_method_of_a_result_does_not_change_the_module(text, changed):
    module = text.split("(")[1].split(".")[0] if text.startswith("print") else text.split(".")[0]
    assert (module in statement(text).changed) is changed
