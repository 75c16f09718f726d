"""Cells of strangers: a broken one spoils itself alone, and nothing runs but what an answer may need."""

import __future__

import ast
import json
import linecache
import re
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.exercises import Case
from lib.exercises.engine.running import run_answer
from lib.grading.intake.submission import Found, read_submission
from lib.grading.worker.cells import find_answer, parse_cells
from lib.grading.worker.execution import run_cells
from lib.grading.worker.magics import plain_python
from lib.grading.worker.shape import shape_of
from lib.grading.worker.statements import is_stub
from lib.lectures.notebooks import all_notebooks

STUB = 'def f(x):\n    """What it is."""\n    raise NotImplementedError("write your answer here")'
WRITTEN = "def f(x):\n    return x + 1"


def read(*cells):
    """Cells from sources, or from pairs of an exercise and a source; numbered 10, 20, …"""
    pairs = [cell if isinstance(cell, tuple) else ("", cell) for cell in cells]
    return parse_cells(
        [
            {"number": 10 * i, "source": source, "exercise": exercise}
            for i, (exercise, source) in enumerate(pairs, start=1)
        ]
    )


def find(*cells, id="a.b", name="f"):
    return find_answer(read(*cells), id, name)


def run(*cells, id="a.b", name="f", before=lambda number: None, skip=(), seconds=10):
    """The namespace after execution, and what was left out."""
    reading, namespace = read(*cells), {}
    answer = find_answer(reading, id, name)
    told = run_cells(reading, namespace, answer=answer, before=before, skip=skip, seconds=seconds)
    return namespace, told["left_out"]


# Cells that are not quite Python


@pytest.mark.parametrize(
    "source",
    [
        "%matplotlib inline\nx = 5",
        "!pip install torch 'it''s\nx = 5",
        "?print\nprint?\nprint??\nx = 5",
        "%%time\nx = 5",
        "\n\n%%capture out\nx = 5",
        "%%timeit\n%time 3\nx = 5",
        "    x = 5\n    %time x",
        "%%prun\n  x = 5\n  y = 6",
        "files = !ls\nx = 5",
        "if True:\n    !ls\nx = 5",
        "try:\n    import nothing_here\nexcept ImportError:\n    %pip install nothing_here\nx = 5",
        "%load_ext autoreload\r\n%autoreload 2\r\nx = 5\r\n",
        "text = '''\n%d items\n!x\n'''\nx = 5",
        "x = (10\n%5) + 5\n%time",
        "x = 10 \\\n% 5 + 5\n%time",
        "s = '%s' \\\n% 3\n%time\nx = 5",
        's = \'a # b \\\' (((\'\nt = """\\"""\n%s\n"""\n%time\nx = 5',
        "x = 5 # ((( '''\n%time",
    ],
)
def test_magics_go_and_the_python_around_them_stays(source):
    reading = read(source, "def f(): return x")
    assert not reading.problems
    namespace, problems = run(source, "def f(): return x")
    assert problems == [] and namespace["f"]() == 5


def test_what_stands_in_a_string_or_in_brackets_is_no_magic():
    assert plain_python("a = '''\n%s\n'''\n%x") == "a = '''\n%s\n'''\npass"
    assert plain_python("a = (7\n% 4)\n  !x") == "a = (7\n% 4)\n  pass"


def test_lines_keep_their_numbers_and_the_student_sees_the_one_that_failed():
    namespace, _ = run("%time\n\n!ls\ndef f(x):\n    y = 0\n    return x / y")
    outcome = run_answer(namespace["f"], Case("one", (1,)))
    assert outcome.line == "line 6: return x / y"
    linecache.checkcache()
    assert linecache.getline("cell 10", 6) == "    return x / y\n"


@pytest.mark.parametrize("magic", ["%%bash", "%%writefile answer.py", "%%", "%%javascript", "%%html"])
def test_a_cell_of_another_language_is_empty(magic):
    assert find(f"{magic}\n{WRITTEN}") is None
    assert read(f"{magic}\nrm -rf ' (").problems == []


@pytest.mark.parametrize("magic", ["ai gpt", "memit", "writefil x.py", "bash extra"])
def test_a_cell_magic_that_hides_python_is_named(magic):
    known = magic.startswith("bash")
    for exercise in ("a.b", ""):
        read_ = read((exercise, f"\n  %%{magic}\ndef f(x):\n    return x"))
        words = f"cell magic %%{magic.split()[0]} at its top, with which the grader does not run it as Python"
        assert read_.problems == ([] if known and not exercise else [{"cell": 10, "what": words}])
        assert read_.cells[0].statements == ()
    assert read(("a.b", "%%time\nx = 1"), ("a.b", "%time\nx = 1")).problems == []


def test_what_an_answer_calls_is_found_through_others_once_and_not_what_it_does_not_call():
    answer = find(
        "def deep(x):\n    return f(x) + wide(x)",
        ("a.b", "def f(x):\n    return deep(x) + TABLE[x] + len(x)"),
        "TABLE = [1, 2]",
        "def other(x):\n    return 3",
        "wide = lambda x: deep(x)",
        "def deep(x):\n    @cached\n    def inner(y): return y\n    return inner(wide(x))",
        "class Wide: pass",
    )
    assert [each["name"] for each in answer.helpers] == ["deep", "wide"]
    assert answer.helpers[0]["source"].startswith("def deep(x):\n    @cached") and answer.helpers[1]["shape"]
    assert find(("a.b", "def f(x):\n    return f(x)")).helpers == []


def test_helpers_are_not_too_many_nor_too_long():
    many = "\n".join(f"def h{i}(x):\n    return h{i + 1}(x)" for i in range(100))
    long = "def h0(x):\n" + "    x = x + 1\n" * 3000 + "    return h1(x)"
    assert len(find(("a.b", "def f(x):\n    return h0(x)"), many).helpers) == 20
    at_once = " + ".join(f"h{i}(x)" for i in range(25))
    assert len(find(("a.b", f"def f(x):\n    return {at_once}"), many).helpers) == 20
    answer = find(("a.b", "def f(x):\n    return h0(x)"), many, long)
    assert sum(len(each["shape"]) for each in answer.helpers) <= 4000
    assert all(len(each["source"]) <= 5000 for each in answer.helpers)


@pytest.mark.parametrize(
    "source, what",
    [
        ("def f(:", "SyntaxError: invalid syntax (line 1)"),
        ("x = 1\n  y = 2", "IndentationError: unexpected indent (line 2)"),
        ("x = '\ud800'", "UnicodeEncodeError"),
        ("x = 1\0", "null bytes"),
        ("f = " + "(" * 300 + ")" * 300, "SyntaxError: too many nested parentheses"),
        ("f = " + "-" * 20_000 + "1", "MemoryError"),
        ("f = x" + ".a" * 20_000, "RecursionError"),
        ("f = 1" + "+1" * 20_000, "RecursionError"),
        ("f = " + "9" * 5000, "Exceeds the limit"),
        ("!ls\n%time\nreturn x y", "SyntaxError: invalid syntax (line 3)"),
    ],
)
def test_a_cell_that_is_no_python_is_a_problem_of_its_own(source, what):
    reading = read(source, WRITTEN)
    assert [problem["cell"] for problem in reading.problems] == [10]
    assert what in reading.problems[0]["what"]
    json.dumps(reading.problems).encode()
    assert find_answer(reading, "a.b", "f").cell == 20


def test_a_hundred_thousand_magics_or_blanks_is_read_in_a_moment():
    for source in (" " * 200_000 + "(", "%x\n" * 10_000 + "(", "a " * 50_000 + "=", "('" * 50_000):
        assert read(source).problems


FRAGMENTS = [
    "def f(x):",
    "\n",
    "    ",
    "return x",
    "f = ",
    "...",
    "lambda: ",
    "'''",
    '"',
    "%time ",
    "!ls",
    "(",
    ")",
    "\\",
    "[",
    "]",
    "{",
    "}",
    "#",
    "import ",
    "math",
    "if x:",
    "else:",
    "try:",
    "except:",
    "class f:",
    "@",
    "\t",
    "\r",
    "\0",
    "é",
    "f'{x}'",
    "\ud800",
    "x?",
    "=",
    ",",
    "*",
    ":",
    "global f",
    "await ",
    "yield ",
    "match x:",
    "case f:",
    "from __future__ import annotations\n",
]


@given(st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=30).map("".join))
@settings(max_examples=300)
def test_no_text_whatsoever_makes_reading_fail(source):
    reading = read(source, ("a.b", source))
    answer = find_answer(reading, "a.b", "f")
    assert len(reading.cells) in (0, 2) and len(reading.cells) + len(reading.problems) == 2
    json.dumps([reading.problems, answer and vars(answer)], ensure_ascii=False).encode()


# Where the answer is


@pytest.mark.parametrize(
    "cells, number, written",
    [
        ([WRITTEN], 10, True),
        ([("a.b", STUB)], 10, False),
        ([("a.b", STUB), WRITTEN], 20, True),
        ([WRITTEN, ("a.b", STUB)], 10, True),
        ([("a.b", WRITTEN), "def f(x):\n    return 0  # scratch"], 10, True),
        ([WRITTEN, WRITTEN, STUB], 20, True),
        ([STUB, STUB], 20, False),
        ([("a.b", WRITTEN), ("a.b", WRITTEN)], 20, True),
        ([("a.b", WRITTEN), ("a.b", STUB)], 10, True),
        ([("a.b", "def g(x):\n    return 0"), ("a.c", WRITTEN)], 20, True),  # ids were swapped
        ([("a.b", "def f(:"), STUB], 20, False),
        (["if True:\n    " + WRITTEN.replace("\n", "\n    ")], 10, True),
        ([STUB + "\n" + WRITTEN], 10, True),
        ([WRITTEN + "\n" + STUB], 10, False),
        (["f = lambda x: x + 1"], 10, True),
        (["g, (f, *h) = 1, (2, 3)"], 10, True),
        (["f: int = 3"], 10, True),
        (["f = 1\nf += 1"], 10, True),
        (["class f:\n    def g(self): ..."], 10, True),
    ],
)
def test_the_answer_is_the_written_one_with_the_id_or_else_the_last_written_one(cells, number, written):
    answer = find(*cells)
    assert (answer.cell, answer.written, answer.name) == (number, written, "f")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "from lib.objectives import mlm_loss as f",
        "import f",
        "f",
        "f: int",
        "def g():\n    f = 1",
        "g = [f for f in x]",
        "class A:\n    f = 1",
        "x.f = 1",
        "x[f] = 1",
        "def g():\n    def f(): return 1",
    ],
)
def test_what_does_not_bind_the_name_is_no_answer(source):
    assert find(("a.b", source)) is None


@pytest.mark.parametrize(
    "source, stub",
    [
        (STUB, True),
        ("def f(x):\n    raise NotImplementedError", True),
        ("def f(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()", True),  # nbgrader's
        ("def f(x):\n    raise NotImplementedError('not for bools')", False),
        ("def f(x):\n    raise NotImplementedError('write your answer here', 1)", False),
        ("def f(x): ...", True),
        ("async def f(x):\n    '''words'''\n    pass", True),
        ("class f:\n    ...", True),
        ("f = ...", True),
        ("f = g = ...", True),
        ("f, g = ..., ...", True),
        ("f = lambda x: ...", True),
        (
            "def f(x):\n    n = len(x)\n    raise NotImplementedError('write your answer here')\n    return n",
            True,
        ),
        ("def f(x):\n    return x\n    raise NotImplementedError('write your answer here')", False),
        ("def f(x):\n    if x:\n        return x\n    raise NotImplementedError", False),
        ("def f(x):\n    raise ValueError(x)", False),
        ("def f(x):\n    raise\n", False),
        ("def f(x):\n    x.append(1)", False),
        ("f = 0", False),
        ("f = ()", False),
        ("f = None", False),
        ("f, g = ..., 1", False),
        ("f += ...", False),
    ],
)
def test_a_stub_is_told_from_an_answer(source, stub):
    assert is_stub(ast.parse(source).body[0]) is stub


def test_the_source_of_an_answer_is_its_definition_with_decorators_and_not_without_end():
    source = "x = 1\n@cache\n@other(\n  3)\ndef f(x):\n    return x\n\ny = 2"
    assert find(source).source == "@cache\n@other(\n  3)\ndef f(x):\n    return x"
    long = find("def f(x):\n" + "    x = 'é'\n" * 5000)
    assert len(long.source) == 20_000


# What is executed


def test_names_have_the_values_of_a_fresh_run_when_the_answer_is_reached():
    answer = ("a.b", "def f(x):\n    return g(x) * K")
    namespace, problems = run("K = 3\ndef g(x):\n    return x + 1", answer, "K = None\ndef g(x):\n    return 0")
    assert problems == [] and namespace["f"](1) == 6
    namespace, _ = run("K = 3", "def g(x): return x", "K = 4", answer, "del K\ng = K = f = None")
    assert namespace["f"](1) == 4


def test_a_name_that_comes_only_later_is_taken_from_there_and_it_is_said():
    reading = read(
        ("a.b", "def f(x):\n    return g(x)"), "def g(x):\n    return h(x) * K", "K = 2", "from math import floor as h"
    )
    namespace = {}
    answer = find_answer(reading, "a.b", "f")
    told = run_cells(reading, namespace, answer=answer, before=lambda number: None, skip=())
    assert namespace["f"](2.5) == 4 and told == {"left_out": [], "below": {"g": 20, "K": 30, "h": 40}}


FILLED = [
    "START = []\nSTART.append('[BOS]')",
    "START = []\nfor word in ['[BOS]']:\n    START += [word]",
    "START = [None]\nSTART[0] = '[BOS]'",
    "START = ['[BOS]', 7]\ndel START[1]",
    "START = ['[BOS]']\nrest = START[1:]\nrest.append(3)",
    "def fill(words):\n    words.append('[BOS]')\n\nSTART = []\nfill(START)",
    "START = []\ndef fill():\n    START.append('[BOS]')\n\nfill()",
    "START = []\ndef fill():\n    global START\n    START = ['[BOS]']\n\nfill()",
    "START = []\ndef add(w):\n    START.append(w)\n\ndef fill():\n    add('[BOS]')\n\nfill()",
    "START = []\nlist(map(START.append, ['[BOS]']))",
    "START = []\ndef add(w): START.append(w)\nlist(map(add, ['[BOS]']))",
    "START = []\n[START.append(w) for w in ['[BOS]']]",
    "START = []\nalias = START\nalias.append('[BOS]')",
    "import random\nSTART = ['[BOS]']\nrandom.shuffle(START)",
    "import heapq\nSTART = []\nheapq.heappush(START, '[BOS]')",
    "class Words:\n    def __init__(self): self.all = []\n    def add(self, w): self.all.append(w)\n\n"
    "words = Words()\nwords.add('[BOS]')\nSTART = words.all",
    "START = []\ndef register(f):\n    START.append('[BOS]')\n    return f\n\n@register\ndef g(): pass",
    "exec(\"START = ['[BOS]']\")",
    "globals()['START'] = ['[BOS]']",
    "from string import *\nSTART = ['[BOS]'] * len(digits[:1])",
    "with open('/dev/null') as file:\n    START = ['[BOS]', *file]",
    "while True:\n    START = ['[BOS]']\n    break",
    "try:\n    START = undefined\nexcept NameError:\n    START = ['[BOS]']",
    "match 3:\n    case 3:\n        START = ['[BOS]']",
    "if (START := ['[BOS]']):\n    pass",
    "model = lambda x: START.append(x)\nSTART = []\nmodel('[BOS]')",
]


@pytest.mark.parametrize("source", FILLED)
def test_what_fills_a_table_is_executed_in_the_same_cell_and_in_another(source):
    answer = "def f(x):\n    return START"
    for cells in ([source, ("a.b", answer)], [("a.b", f"{source}\n\n{answer}")], [("a.b", f"{answer}\n{source}")]):
        namespace, problems = run(*cells)
        assert problems == [] and namespace["f"](0) == ["[BOS]"]


UNNEEDED = r"""
train(model)
x = train()
losses = [train(i) for i in range(3)]
print(SCALE, train())
plt.plot(SCALE)
assert train(SCALE)
for i in range(3): train(i)
while True: pass
raise ValueError
1 / 0
y = SCALE + train()
import a_package_that_nobody_has
class Never:\n    while True: pass
def never(x=train()): pass
""".strip()


@pytest.mark.parametrize("source", UNNEEDED.split("\n"))
def test_what_an_answer_does_not_need_is_not_executed(source):
    seen = []
    cells = [
        "import matplotlib.pyplot as plt\nSCALE = 2",
        source.replace("\\n", "\n"),
        "def f(x):\n    return x * SCALE",
    ]
    namespace, problems = run(*cells, before=seen.append)
    assert problems == [] and namespace["f"](1) == 2 and seen == [10, 30]


def test_a_scratch_redefinition_elsewhere_does_not_count_and_recursion_finds_the_answer():
    answer = "def f(x):\n    return 1 if x == 0 else x * f(x - 1)"
    namespace, _ = run("f = 3", ("a.b", answer), "f = None")
    assert namespace["f"](4) == 24


def test_the_object_is_what_the_name_means_at_the_end_of_its_cell():
    namespace, _ = run(("a.b", WRITTEN + "\n\ng = f\ndef f(x):\n    return g(x) * 10"))
    assert namespace["f"](1) == 20


def test_in_its_own_cell_whatever_binds_the_answer_runs():
    cell = "def twice(g): return lambda x: g(g(x))\ndef f(x): return x + 1\nf = twice(f)\nprint(1/0)"
    namespace, problems = run(cell)
    assert namespace["f"](1) == 3 and problems == []


def test_an_answer_that_could_not_be_bound_is_not_there():
    namespace, problems = run(STUB, ("a.b", "@decorate\ndef f(x):\n    return x"))
    assert "f" not in namespace
    assert problems == [{"cell": 20, "what": "NameError: name 'decorate' is not defined (line 1)"}]
    namespace, problems = run("f = len", ("a.b", "f = nothing()"))
    assert "f" not in namespace and "NameError" in problems[0]["what"]


def test_a_value_is_computed_from_what_it_needs():
    cell = "xs = []\nfor i in make():\n    xs.append(i)\nf = 0\nf += sum(xs)\nassert f == 0"
    namespace, problems = run("def make(): return [1, 2]", ("a.b", cell), "y = make()")
    assert namespace["f"] == 3 and problems == [] and "y" not in namespace


def test_what_does_not_end_above_the_answer_is_left_out():
    namespace, problems = run("T = []\nwhile True:\n    T.append(1)\n    T.clear()", "def f(x): return T", seconds=0.2)
    assert problems == [{"cell": 10, "what": "it did not finish in time"}] and namespace["f"](1) in ([], [1])


def test_random_numbers_above_an_answer_are_the_same_in_every_run():
    above = "import random, torch\nimport numpy as np\nT = [random.random(), np.random.rand(), torch.rand(1).item()]"
    one, other = (run(above, "def f(x): return T")[0]["f"](0) for _ in range(2))
    assert one == other and len(set(one)) == 3


RAISING = [
    ("import sys\ndef g(a=sys.exit(3)): pass", "SystemExit: 3 (line 2)"),
    ("def g(a=1/0): pass", "ZeroDivisionError: division by zero (line 1)"),
    ("import nothing_here", "ModuleNotFoundError: No module named 'nothing_here' (line 1)"),
    ("class A:\n    raise KeyboardInterrupt", "KeyboardInterrupt (line 2)"),
    ("X = [1][2]", "IndexError: list index out of range (line 1)"),
    (
        "def g(): return 1\n@g\ndef h(): pass",
        "TypeError: g() takes 0 positional arguments but 1 was given (line 2)",
    ),
    ("def g(a, a): pass", "SyntaxError: duplicate argument 'a' in function definition (line 1)"),
    (
        "class E(Exception):\n    def __str__(self): raise SystemExit\nclass A:\n    raise E",
        "an exception that cannot be shown",
    ),
    (
        "class E(Exception):\n    def __str__(self): return 3\nclass A:\n    raise E",
        "an exception that cannot be shown",
    ),
    ("class A:\n    raise ValueError('a\\nb\\ud800')", "ValueError: a b? (line 2)"),
]


@pytest.mark.parametrize("source, what", RAISING)
def test_what_raises_is_a_problem_and_the_rest_goes_on(source, what):
    names = "g, h, A, X, nothing_here"
    answer = f"def f(x):\n    if x == 2:\n        {names}, REST\n    return x + 1"
    namespace, problems = run(source + "\nREST = 7", answer)
    assert problems == [{"cell": 10, "what": what}]
    assert namespace["REST"] == 7 and namespace["f"](1) == 2


def test_an_endless_message_is_cut():
    _, problems = run("class A:\n    raise ValueError('x' * 10**6)", "def f(x): return A")
    assert len(problems[0]["what"]) < 400


def test_each_cell_is_announced_and_the_skipped_are_left_out():
    seen = []
    cells = ["A = 1", "A = 2", "B = A", "C = 3", "def f(x): return A, B"]
    namespace, problems = run(*cells, before=seen.append, skip={20})
    assert seen == [10, 50] and namespace["A"] == 1 and [each["cell"] for each in problems] == [20]
    assert "B" not in namespace, "it would be made of what is out of date"


@pytest.mark.parametrize(
    "source",
    [
        "X = train()\nY = X + 1\nZ = [Y for _ in range(3)]",
        "D = {}\nD['a'] = train()\nY = D['a']",
        "T = load()\nT = T[0]\nY = T + 1",
    ],
)
def test_what_is_made_of_what_failed_is_no_further_fault(source):
    assert len(run(source, "def f(x): return X, Y, Z, D, T")[1]) == 1


def test_future_imports_hold_for_the_cells_that_follow():
    namespace, problems = run("from __future__ import annotations\nC = 1", "def f(x: Nothing) -> Nowhere: return C")
    assert problems == [] and namespace["f"].__annotations__ == {"x": "Nothing", "return": "Nowhere"}
    assert namespace["f"].__code__.co_flags & __future__.annotations.compiler_flag


def test_a_cell_finds_what_a_notebook_has():
    namespace, problems = run(
        "def f(x):\n    display(x)\n    get_ipython().run_line_magic('time', '')\n    return __name__"
    )
    assert problems == [] and namespace["f"](1) == "__main__"


def test_the_whole_traceback_can_be_printed():
    namespace, _ = run("def g(x):\n    return x.nothing", "def f(x):\n    return g(x)")
    with pytest.raises(AttributeError) as caught:
        namespace["f"](1)
    assert "return x.nothing" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("path", all_notebooks(), ids=lambda path: path.stem)
def test_in_the_lectures_every_answer_is_found_and_nothing_is_at_fault(path):
    submission = read_submission(Found("ada", path.name, path), path.read_bytes())
    reading = parse_cells(submission.cells)
    asked = re.findall(r'"check\(\\"([\w.]+)\\", (\w+)\)', path.read_text(encoding="utf-8"))
    assert asked
    for id, name in asked:
        answer = find_answer(reading, id, name)
        assert answer.written and next(c for c in submission.cells if c["number"] == answer.cell)["exercise"] == id
        namespace = {}
        told = run_cells(reading, namespace, answer=answer, before=lambda number: None, skip=())
        assert told == {"left_out": [], "below": {}} and name in namespace


# Shapes


def shape(source):
    return shape_of(ast.parse(source).body[0], read("import math").imported)


def test_names_comments_docstrings_and_annotations_do_not_change_a_shape():
    one = shape('def f(a, b=1):\n    """Words."""\n    c: int = a + b  # sum\n    return helper(c, key=math.pi)')
    two = shape("def g(x, y=1):\n    'Others.'\n    pass\n    z = x + y\n    return other(z, key=math.pi)")
    assert one == two
    assert "math" in one and "pi" in one and "key" in one and "1" in one


@pytest.mark.parametrize(
    "source",
    [
        "def f(a): return a - 1",
        "def f(a): return a + 2",
        "def f(a): return 1 + a",
        "def f(a, b): return a + 1",
        "def f(a): return f + 1",
        "def f(a): return len + 1",
        "def f(a): return a.x + 1",
        "async def f(a): return a + 1",
    ],
)
def test_what_an_answer_does_changes_its_shape(source):
    assert shape(source) != shape("def f(a): return a + 1")


def test_shapes_are_short_strings_and_not_too_many():
    long = shape("def f():\n" + "    x = 'ab' * 9\n" * 700)
    assert len(long) == 4000 and all(type(token) is str and len(token) <= 60 for token in long)
    deep = shape("f = " + "-" * 900 + "1")
    assert deep.count("USub") == 900
    odd = shape(f"def f(): return 0x{'f' * 9000}, {'x' * 100!r}, b'{'y' * 100}', {'n' * 500}, q.{'m' * 500}, 1j, ...")
    assert all(len(token) <= 60 for token in odd)
