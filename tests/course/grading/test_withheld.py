"""lib gives no answer away where answers run, and takes nothing from those who write their own."""

import importlib
import inspect
import json
import os
import pkgutil
import resource
import sys
from dataclasses import replace
from functools import cache

import pytest

from lib import NOTEBOOKS
from lib.course.grading import cells, protocol
from lib.course.grading.judging import answer_names
from lib.course.grading.server import import_rooms
from lib.course.grading.withheld import (
    Withheld,
    _find,
    functions_of_lib,
    seal_exercises,
    withheld_names,
    withhold,
)
from lib.exercises import Case, Exercise, all_exercises
from lib.exercises.engine import AnswerKey, judge
from lib.exercises.running import run_answer

EXERCISES = all_exercises()
FUNCTIONS = [id for id, exercise in EXERCISES.items() if not exercise.asks_for_value]
ROOMS = ("kernels", "text", "models", "objectives", "generation", "training", "adapters", "evaluation", "accounting",
         "slides")  # fmt: skip


def forked(work):
    """What `work()` returns in a process of its own: withholding cannot be undone."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(sink, "wb") as pipe:
                pipe.write(protocol.encode(_tried(work), protocol.MAX_TREE))
        finally:
            os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    found, problem = protocol.decode(told)
    assert problem is None, problem
    return found


def _tried(work):
    try:
        return work(), None
    except BaseException as error:  # pytest must not go on in the child
        return None, f"{type(error).__name__}: {error}"


@pytest.fixture(scope="module", autouse=True)
def rooms():
    """Import what the grader's server has imported when it forks, once for all tests."""
    import_rooms()


@cache
def notebook_cells(id):
    """The code cells of the notebook that asks for the exercise, as a submission gives them."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        found = [
            {"number": number, "source": "".join(cell["source"]), "exercise": cell["metadata"].get("course", {}).get("exercise", "")}
            for number, cell in enumerate(json.loads(path.read_text())["cells"], start=1)
            if cell["cell_type"] == "code"
        ]
        if any(f'check("{id}"' in cell["source"] for cell in found):
            return found
    raise LookupError(f"no notebook asks for {id}")


def written_answer(id):
    """The notebook's own solution, executed as the grader does, and what could not be."""
    reading, namespace, name = cells.parse_cells(notebook_cells(id)), {}, answer_names()[id]
    answer = cells.find_answer(reading, id, name)
    left_out = cells.execute(reading, namespace, answer=answer, value=False, before=lambda number: None, skip=())
    return namespace[name], [problem["what"] for problem in left_out]


@pytest.mark.parametrize("id", FUNCTIONS)
def test_right_answers_do_without_what_is_withheld(id):
    exercise, names = EXERCISES[id], withheld_names(EXERCISES[id])
    key = AnswerKey(exercise, seed=1)

    def work():
        withhold(names)
        raised = [raises(_find(name)) for name in names]
        seal_exercises()
        written, left_out = written_answer(id)
        every = (written, exercise.reference, *exercise.accepts)
        return raised, left_out, [[protocol.outcome_to_plain(run_answer(each, case)) for case in key.cases] for each in every]

    raised, left_out, run = forked(work)
    assert raised == [f"grading: lib's {name.rpartition('.')[2]} is what this exercise asks for; write it yourself"
                      for name in names]  # fmt: skip
    assert all(what.startswith(("ImportError: grading: lib.exercises.", "NameError")) for what in left_out), left_out
    for answer, plain in zip((None, exercise.reference, *exercise.accepts), run):
        outcomes = [protocol.outcome_from_plain(each) for each in plain]
        if answer and functions_of_lib(answer):
            assert any(outcome.message.startswith("Withheld: grading: lib's ") for outcome in outcomes)
        else:
            assert [v.reason for v in key.judge(outcomes) if not v.right] == []


def raises(function):
    """What `function` says where it is withheld; "" where it is not."""
    try:
        function()
    except Withheld as error:
        return str(error)
    return ""


# --- nothing is forgotten -----------------------------------------------------------------------------------
def public_parts():
    """Every public function and class of the rooms, by the name of the module that defines it."""
    for room in ROOMS:
        package = importlib.import_module(f"lib.{room}")
        for info in pkgutil.walk_packages(package.__path__, f"lib.{room}."):
            for name, value in vars(importlib.import_module(info.name)).items():
                if callable(value) and getattr(value, "__module__", "") == info.name and not name.startswith("_"):
                    yield f"{info.name}.{name}", value


def ways_to_call(function, exercise, case):
    """`case` as `function` may take it: as it is, or with its arguments by the names that the reference has."""
    try:
        signature = inspect.signature(function)
        named = inspect.signature(exercise.reference).bind(*case.args, **case.kwargs).arguments
    except (TypeError, ValueError):
        return
    for args, kwargs in ((case.args, case.kwargs), ((), named)):
        try:
            signature.bind(*args, **kwargs)
        except TypeError:
            continue
        yield Case(case.what, tuple(args), dict(kwargs))


def answers(function, key):
    """Whether `function` is right on every case, called the way that fits."""
    for case, expected in zip(key.cases, key.expected):
        short = [run_answer(function, way, seconds=0.1) for way in ways_to_call(function, key.exercise, case)]
        if not any(judge(key.exercise, case, outcome, expected).right for outcome in short):
            return False
    return True


def test_what_passes_as_an_answer_is_withheld(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some of them write files
    parts = dict(public_parts())
    assert len(parts) > 300
    keys = [AnswerKey(replace(EXERCISES[id], seconds=0.1), seed=1) for id in FUNCTIONS]

    def work():
        resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30 + 0, 2 * 2**30))
        return {key.exercise.id: {name for name, part in parts.items() if answers(part, key)} for key in keys}

    found = forked(work)
    assert sum(map(len, found.values())) > 25, "the search itself is broken"
    assert {id: names - set(withheld_names(EXERCISES[id])) for id, names in found.items()} == {id: set() for id in found}
