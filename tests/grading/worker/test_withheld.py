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
from lib.grading.worker import cells, execution, protocol
from lib.grading.worker.server import import_rooms
from lib.grading.worker.withheld import Withheld, seal_exercises, withhold
from lib.lectures import allowed
from lib.lectures.allowed import find, functions_of_lib, withheld_names

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
    told = execution.run_cells(reading, namespace, answer=answer, before=lambda number: None, skip=())
    return namespace[name], [problem["what"] for problem in told["left_out"]]


@pytest.mark.parametrize("id", FUNCTIONS)
def test_right_answers_do_without_what_is_withheld(id):
    exercise, names = EXERCISES[id], withheld_names(EXERCISES[id])
    key = AnswerKey(exercise, seed=1)

    def work():
        withhold(names)
        raised = [raises(find(name)) for name in names]
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
        harmless = attempt("from lib.exercises import check, compare, hint, predict\nassert check('a.b', 3) == 0\n"
                           "assert check('a.b', 3, points=5) == 0 and hint('a.b') is None\n"
                           "assert predict('a.b', 0, 9) is None and compare() is None")  # fmt: skip
        star = attempt("from lib.exercises import *\ncheck, compare, hint, predict")
        loaded = [
            name for name in sys.modules if name.startswith(("lib.exercises.", "lib.lectures", "lib.course", "tests"))
        ]
        return harmless, star, loaded, [attempt(line) for line in lines]

    harmless, star, loaded, closed = forked(work)
    assert (harmless, star, loaded) == ("done", "done", [])
    assert [message for message in closed if not message.startswith("ImportError: ")] == []


EXCUSED = {
    "it checks arguments or shapes": """
        accounting.arrays.columns accounting.arrays.distinct accounting.arrays.enough accounting.arrays.positives
        accounting.fitting._checked accounting.parameters.need_config accounting.scaling._all_positive kernels.loss._kept
        evaluation.bradley_terry._count objectives.advantages._counted_answers objectives.preference._checked_margin
        objectives.reduction.counted objectives.reduction.counted_response training.preferences.same_answers""",
    "it reads or names what a lecture shows: tables, recipes, the words of a world": """
        accounting.memory.recipe_named slides.sizes._bare slides.sizes.as_number slides.sizes.match_size
        slides.sizes.parse_range slides.sizes.parse_size slides.sizes.scale slides.tables._read slides.tables.load_table
        worlds.connecting_wall._key worlds.connecting_wall._names worlds.wikipedia_questions.as_prompt""",
    "it finds, freezes or stores layers, and computes nothing": """
        adapters.freezing.begin_adapter adapters.peft_config._damaged adapters.peft_config._is_chosen
        adapters.peft_config._is_named adapters.peft_config.named_targets adapters.peft_config.read_config
        adapters.peft_config.read_settings adapters.saved._listed adapters.saved._under_todays_names
        adapters.settings._first adapters.settings._fits adapters.settings._pattern adapters.targets.trained_like
        adapters.freezing.freeze adapters.freezing.trainable_parameters adapters.lora.adapter_names
        adapters.lora.lora_layers adapters.lora.set_adapter adapters.lora_layer.Adapter adapters.lora_layer.LowRank
        adapters.lora_layer.lora_class adapters.saved._read_factors adapters.saved._read_settings
        adapters.targets._bypassed adapters.targets._known adapters.targets._matches adapters.targets._parts
        adapters.targets.find_targets adapters.targets.is_conv1d adapters.targets.is_linear
        adapters.targets.linear_shape adapters.targets.select_targets""",
    "it is no part of the question: intervals, rounding, sizes of blocks, whether there is a GPU": """
        accounting.allocation._law accounting.fitting._covariance accounting.fitting._exp accounting.fitting._interval
        accounting.memory._times evaluation.bradley_terry._climb evaluation.bradley_terry._log_likelihood
        evaluation.bradley_terry._newton evaluation.bradley_terry._quantile evaluation.bradley_terry._reachable
        evaluation.bradley_terry._slope_and_information
        kernels.attention._merged kernels.int8._has_int_mm kernels.int8._plain kernels.precision.widened
        kernels.attention.in_dtype_of kernels.second_order.differentiable_gradients models.attention._Untrainable
        models.attention._cuts_gradient adapters.lora_layer._factor_grads adapters.lora_layer._matrix
        kernels.tiled._one_row_block kernels.triton._attention_launch kernels.triton._pointer kernels.triton._row_block
        kernels.triton_launch._programs kernels.triton_launch._works kernels.triton_launch.blocks
        kernels.triton_launch.interpreted kernels.triton_launch.power_of_two kernels.triton_launch.products
        kernels.triton_launch.triton_serves kernels.triton_launch.triton_serves_attention
        kernels.triton_launch.unfit_for_attention text.masking._special_flags training.preferences.take""",
    "it is a building block that the lecture has before, or PyTorch under another name": """
        kernels.attention.repeat_kv kernels.int8.largest kernels.masks.causal_mask kernels.softmax.logsumexp
        models.attention.merge_heads models.attention.split_heads models.linear.Linear models.linear.project
        objectives.reduction.last_counted objectives.reduction.masked_reduce training.preferences.log_probs_of""",
}
"""Functions of lib that are called by withheld ones in their room and stay open, by the reason; without "lib."."""

EXCUSED_FOR = {
    "softmax.softmax": "kernels.attention.default_scale",  # the scale of attention is another exercise
    "attention.multi_head": "kernels.attention.default_scale",  # its head is told to divide by √d_k
    "writing.probabilities": """generation.warpers.keep_top_k generation.warpers.keep_top_p generation.warpers.keep_min_p
        kernels.triton_launch.launch""",  # lecture 07's, and how a kernel is begun
    "denoise.infill": "text.denoising._ids",  # reads a list of ids
    "denoise.t5_pair": "text.denoising._ids",
    "overlap.bleu": "evaluation.bleu._several evaluation.bleu.bleu_words",  # what a word is, and one reference or more
    "overlap.rouge_l": "evaluation.rouge._texts evaluation.rouge.rouge_words",
    "isoflop.estimate": "accounting.fitting.fit_power_law",  # the lecture's first exercise, used before
    "looking_back.score": "evaluation.induction.repeated_tokens",  # draws tokens
    "groups.bytes_of": """accounting.parameters.attention_parameters accounting.parameters.feed_forward_parameters
        accounting.parameters.norm_parameters accounting.parameters.parameter_breakdown""",  # of another lecture
    "parallel.sharded_step": """accounting.measured.gradient_bytes accounting.measured.optimizer_state_bytes
        accounting.measured.tensor_bytes training.processes.place""",  # what counts bytes, and says who one is
    "quantization.outlier_product": """kernels.int8.absmax_round kernels.int8.dequantize kernels.int8.int8_matmul
        kernels.int8.integer_matmul kernels.int8.quantize_absmax kernels.int8._float_product
        kernels.int8._padded_product""",  # the exercises before, on which it builds
    "tiles.query_block": """kernels.attention.attention_reference kernels.attention.attention_weights
        kernels.attention.default_scale kernels.tiled._TiledAttention kernels.tiled._Tiles
        kernels.tiled.plain_attention kernels.triton_launch.launch""",  # plain attention, which torch has as well
}
"""Those that are open for one exercise alone."""

CHECKING = ("check_", "_check", "require_", "_require", "_refuse", "unfit_")


def called_by(thing):
    """The functions and classes that a function, or the methods of a class, calls."""
    thing = inspect.unwrap(thing)
    methods = list(vars(thing).values()) if isinstance(thing, type) else [thing]
    plain = [inspect.unwrap(getattr(each, "__func__", None) or getattr(each, "fget", None) or each) for each in methods]
    for function in plain:
        if inspect.isfunction(function):
            yield from allowed._globals_of(function.__code__, function.__globals__)
            yield from allowed._cells_of(function)


def callees(name):
    """All that the function `name` of lib calls in its room, directly or through others there."""
    room, waiting, found = ".".join(name.split(".")[:2]), [find(name)], {}
    while waiting:
        for each in map(inspect.unwrap, called_by(waiting.pop())):
            home = f"{each.__module__}.{each.__qualname__}" if hasattr(each, "__qualname__") else ""
            if home.startswith(f"{room}.") and home not in found:
                found[home] = each
                waiting.append(each)
    return found


def is_record(thing):
    """Whether it is a type that holds what a function takes or gives."""
    return isinstance(thing, type) and (is_dataclass(thing) or issubclass(thing, tuple))


@pytest.mark.parametrize("id", FUNCTIONS)
def test_what_a_withheld_function_calls_is_withheld_or_excused_by_name(id):
    names = withheld_names(EXERCISES[id])
    excused = {f"lib.{name}" for text in EXCUSED.values() for name in text.split()}
    excused |= {f"lib.{name}" for name in EXCUSED_FOR.get(id, "").split()}
    found = {home: each for name in names for home, each in callees(name).items()}
    is_check = {home for home in found if home.rpartition(".")[2].startswith(CHECKING)}
    records = {home for home, each in found.items() if is_record(each)}
    assert sorted(found.keys() - set(names) - excused - is_check - records) == []


def test_private_parts_of_a_solution_are_found():
    assert "lib.text.masking._chance" in callees("lib.text.masking.mask_tokens")
    assert "lib.evaluation.judges._verdicts" in callees("lib.evaluation.judges.swap_test")
    for id, name in (
        ("mlm.mask_tokens", "lib.text.masking._chance"),
        ("ppo.update", "lib.objectives.policy._ratio"),
    ):
        assert name in withheld_names(EXERCISES[id])


@pytest.mark.parametrize("id", FUNCTIONS)
def test_what_is_withheld_raises_however_it_is_wrapped(id):
    """jaxtyping, caches and autograd keep the plain function in `__wrapped__`, `__func__` or a closure."""
    names = withheld_names(EXERCISES[id])

    def work():
        layers = {f"{name}#{n}": layer for name in names for n, layer in enumerate(layers_of(find(name)))}
        withhold(names)
        return [name for name, layer in layers.items() if not raises(layer)]

    assert forked(work) == []


def layers_of(thing):
    """A function and every function inside it; of a class, those of its methods."""
    if isinstance(thing, type):
        for each in list(vars(thing).values()):
            if isinstance(each, (staticmethod, classmethod)) or inspect.isfunction(each):
                yield from layers_of(getattr(each, "__func__", each))
        return
    while thing is not None:
        yield thing
        thing = getattr(thing, "__wrapped__", None)


def test_some_of_what_is_withheld_is_wrapped():
    wrapped = [name for id in FUNCTIONS for name in withheld_names(EXERCISES[id]) if hasattr(find(name), "__wrapped__")]
    assert len(wrapped) > 20, "the tests run with jaxtyping's check, as the worker may"


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
    assert sum(map(len, found.values())) > 10, "the search itself is broken"
    forgotten = {id: set(names) - set(withheld_names(EXERCISES[id])) for id, names in found.items()}
    assert not {id: names for id, names in forgotten.items() if names}
