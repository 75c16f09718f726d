"""What an exercise is made of: whatever its cases and judge reach, and nothing of what is right."""

import importlib.util
import subprocess
import sys

import pytest

from lib import ROOT
from lib.exercises import get
from lib.grading.assignment.definition import sources
from lib.grading.assignment.graded import definition_hash

MODULE = """
import functools
import math

import torch

from lib.exercises.engine import compare
from lib.exercises.engine.exercise import case

LENGTHS = (3, 5)
TABLE = {"sizes": [lambda: 11]}
WORDS = {"b", "a"}


def reference(x):
    return secret(x)


def secret(x):
    return 42 * x


def deep(n):
    return n + 1000


def helper(n):
    return [deep(each) for each in range(n)]


@functools.lru_cache
def cached(n):
    return n + 2000


class Recipe:
    size = 7

    def grow(self):
        return in_a_method()


def in_a_method():
    return 3000


def as_default():
    return 4000


def within(share):
    def judge(given, output, expected):
        if abs(output - reference(output)) > share:
            return compare.difference(output, expected)
        return WORDS

    return judge


def cases(generator, first=as_default):
    inner = lambda: helper(LENGTHS[0])
    recipes = [Recipe, functools.partial(cached, 9), TABLE]
    return [case("one", inner()), torch.zeros(int(math.pi)), recipes]


def unused():
    return 5000
"""


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """`made_up(old, new)` loads the module above as one of lib.exercises, with a piece of it changed."""
    number = iter(range(1000))

    def load(old="", new=""):
        assert old in MODULE
        name = f"lib.exercises.made_up{next(number)}"
        path = tmp_path / f"{name}.py"
        path.write_text(MODULE.replace(old, new) if old else MODULE)
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return sources([module.cases, module.within(0.25)], without=[module.reference])

    return load


@pytest.mark.parametrize(
    "old, new",
    [("1000", "1001"), ("2000", "2001"), ("3000", "3001"), ("4000", "4001"), ("(3, 5)", "(3, 6)"),
     ("size = 7", "size = 8"), ("lambda: 11", "lambda: 12"), ("partial(cached, 9)", "partial(cached, 8)"),
     ('"b", "a"', '"b", "c"'), ("> share", ">= share"), ('"one"', '"1"')],
)  # fmt: skip
def test_whatever_is_reached_counts(old, new, made_up):
    assert made_up(old, new) != made_up()


@pytest.mark.parametrize("old, new", [("42 * x", "43 * x"), ("5000", "5001"), ("return secret(x)", "return 1")])
def test_neither_what_is_right_nor_what_is_unused_counts(old, new, made_up):
    assert made_up(old, new) == made_up()


def test_what_a_function_was_made_with_counts(made_up):
    made_up()
    module = sys.modules["lib.exercises.made_up0"]
    assert sources([module.within(0.25)]) != sources([module.within(0.5)])


def test_the_engine_does_not_count(made_up):
    assert not [source for source in made_up() if source.startswith(("def case(", "def difference("))]
    assert len(made_up()) == len(set(made_up()))


def test_recipes_of_models_count():
    exercise = get("judge.debiased_preference")
    assert any(source.startswith("def judge_with_bias(") for source in sources([exercise.cases]))


def test_another_process_says_the_same():
    code = "from lib.exercises import get\nfrom lib.grading.assignment.graded import definition_hash\n"
    command = [sys.executable, "-c", code + "print(definition_hash(get('lora.tune')))"]
    environment = {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"}
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True, timeout=300)
    assert told.stdout.decode().strip() == definition_hash(get("lora.tune"))


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError):
        sources([3])
