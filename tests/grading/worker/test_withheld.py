"""lib gives no answer away where answers run, and takes nothing from those who write their own."""

import importlib
import inspect
import json
import os
import pkgutil
import resource
import sys
from contextlib import suppress
from dataclasses import is_dataclass, replace
from functools import cache
from io import StringIO
from pathlib import Path

import jaxtyping
import pytest

from lib import NOTEBOOKS
from lib.exercises import Case, all_exercises
from lib.exercises.engine.checking import AnswerKey, verdict_on
from lib.exercises.engine.limits import TimeUp, call_limited
from lib.exercises.engine.running import copy_inputs, run_answer
from lib.grading.judging.grader import answer_names
from lib.grading.worker import cells, protocol
from lib.grading.worker.server import import_rooms
from lib.grading.worker.withheld import (
    Withheld,
    _find,
    functions_of_lib,
    seal_exercises,
    withheld_names,
    withhold,
)

EXERCISES = all_exercises()
FUNCTIONS = [id for id, exercise in EXERCISES.items() if not exercise.asks_for_value]
ROOMS = ("kernels", "text", "models", "objectives", "generation", "adapters", "evaluation", "accounting", "slides")
"""Not training: it trains. What would do there calls what is withheld."""


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
            {
                "number": number,
                "source": "".join(cell["source"]),
                "exercise": cell["metadata"].get("course", {}).get("exercise", ""),
            }
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
    told = cells.run_cells(reading, namespace, answer=answer, before=lambda number: None, skip=())
    return namespace[name], [problem["what"] for problem in told["left_out"]]


@pytest.mark.parametrize("id", FUNCTIONS)
def test_right_answers_do_without_what_is_withheld(id):
    exercise, names = EXERCISES[id], withheld_names(EXERCISES[id])
    key = AnswerKey(exercise, seed=1)

    def work():
        withhold(names)
        raised = [raises(_find(name)) for name in names]
        seal_exercises()
        written, left_out = written_answer(id)
        outcomes = [
            [protocol.outcome_to_plain(run_answer(answer, case)) for case in key.cases]
            for answer in (written, exercise.reference, *exercise.accepts)
        ]
        return raised, left_out, outcomes

    raised, left_out, run = forked(work)
    assert raised == [f"grading: lib's {name.rpartition('.')[2]} is the solution of this exercise; write it yourself"
                      for name in names]  # fmt: skip
    assert left_out == []
    for answer, plain in zip((None, exercise.reference, *exercise.accepts), run):
        outcomes = [protocol.outcome_from_plain(each) for each in plain]
        if answer and functions_of_lib(answer):
            assert any(outcome.message.startswith("Withheld: grading: lib's ") for outcome in outcomes)
        else:
            assert [v.reason for v in key.verdicts(outcomes) if not v.right] == []


def raises(function):
    """What `function` says where it is withheld; "" where it is not."""
    try:
        function()
    except Withheld as error:
        return str(error)
    return ""


def test_it_raises_under_every_name_and_in_the_hands_of_others():
    from lib.objectives import mlm_loss as held

    def work():
        withhold(["lib.objectives.masked.mlm_loss", "lib.slides.eras.era_ranges", "lib.models.attention.SelfAttention"])
        from lib import models, objectives, slides

        calls = (held, objectives.mlm_loss, slides.era_ranges, models.attention.SelfAttention)
        return [raises(call) for call in calls]

    assert all("write it yourself" in message for message in forked(work))


@pytest.mark.parametrize("name", ["lib.objectives.no_such", "lib.no_such_room.f", "lib.kernels.softmax.softmax.no"])
def test_a_name_that_lib_does_not_have_is_refused(name):
    with pytest.raises(LookupError, match="lib has no"):
        withhold([name])


def test_a_number_cannot_be_withheld():
    with pytest.raises(TypeError, match="neither a function nor a class"):
        withhold(["lib.training.recipes.MASKING_RATE"])


@pytest.mark.parametrize("names", ["lib.kernels.softmax", ("softmax",), ("lib.exercises.lecture04.mlm.loss",)])
def test_an_exercise_names_what_it_withholds_in_full(names, unchecked):
    with pytest.raises(ValueError, match="withheld"):
        replace(EXERCISES["softmax.softmax"], withheld=names)


def attempt(line):
    namespace = {}
    try:
        exec(line, namespace)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "done"


def test_exercises_course_and_tests_are_closed():
    lines = ["import lib.exercises.lecture04.mlm", "from lib.exercises.lecture06.chain import chain_terms", "from lib.exercises import get",  # noqa: E501
             "from lib.exercises import all_exercises", "import lib.exercises as e; e.registry", "import lib.course",
             "from lib.grading.worker import withheld", "from lib import course", "import tests.conftest"]  # fmt: skip

    def work():
        seal_exercises()
        harmless = attempt("from lib.exercises import check, hint\nassert check('a.b', 3) == 0 and hint('a.b') is None")
        star = attempt("from lib.exercises import *\ncheck, hint")
        loaded = [
            name for name in sys.modules if name.startswith(("lib.exercises.", "lib.lectures", "lib.course", "tests"))
        ]
        return harmless, star, loaded, [attempt(line) for line in lines]

    harmless, star, loaded, closed = forked(work)
    assert (harmless, star, loaded) == ("done", "done", [])
    assert [message for message in closed if not message.startswith("ImportError: ")] == []


# --- nothing is forgotten -----------------------------------------------------------------------------------
def public_parts():
    """Every public function and class of the rooms, by the name of the module that defines it."""
    for room in ROOMS:
        package = importlib.import_module(f"lib.{room}")
        for info in pkgutil.walk_packages(package.__path__, f"lib.{room}."):
            for name, value in vars(importlib.import_module(info.name)).items():
                ours = callable(value) and getattr(value, "__module__", "") == info.name
                if ours and not name.startswith("_") and may_be_plain(value):
                    with suppress(ValueError):  # it has no signature
                        yield f"{info.name}.{name}", (value, inspect.signature(value))


def may_be_plain(value):
    """Functions, and classes whose instances are read as the tuple of their fields; never a model."""
    return not isinstance(value, type) or issubclass(value, tuple) or is_dataclass(value)


@cache
def named_inputs(exercise, case):
    return inspect.signature(exercise.reference).bind(*case.args, **case.kwargs).arguments


def ways_to_call(signature, exercise, case):
    """`case` as a function may take it: as it is, or with its arguments by the names that the reference has."""
    for args, kwargs in ((case.args, case.kwargs), ((), named_inputs(exercise, case))):
        with suppress(TypeError):
            signature.bind(*args, **kwargs)
            yield Case(case.what, tuple(args), dict(kwargs))


def is_right(function, key, case, expected):
    """Whether it is, tried in the cheapest way first: most complain of what they are given."""
    with suppress(Exception, SystemExit, TimeUp):
        call_limited(lambda: function(*copy_inputs(case.args), **copy_inputs(case.kwargs)), 0.1)
        outcome = run_answer(function, case, seconds=0.1)
        return verdict_on(key.exercise, case, outcome, expected).right
    return False


def passing(parts, key):
    """The names of those parts that are right on every case, each called in a way that fits."""
    left = set(parts)
    for case, expected in zip(key.cases, key.expected):
        left = {name for name in left
                if any(is_right(parts[name][0], key, way, expected)
                       for way in ways_to_call(parts[name][1], key.exercise, case))}  # fmt: skip
    return left


def test_what_passes_as_an_answer_is_withheld(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some of them write files
    parts = dict(public_parts())
    assert len(parts) > 300
    keys = [AnswerKey(EXERCISES[id], seed=1) for id in FUNCTIONS]

    def work():
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))  # a size may be a billion
        sys.stdout = sys.stderr = StringIO()
        jaxtyping.config.update("jaxtyping_disable", True)  # its complaints take longer than our errors
        return {key.exercise.id: sorted(passing(parts, key)) for key in keys}

    found = forked(work)
    assert sum(map(len, found.values())) > 15, "the search itself is broken"
    forgotten = {id: set(names) - set(withheld_names(EXERCISES[id])) for id, names in found.items()}
    assert not {id: names for id, names in forgotten.items() if names}
