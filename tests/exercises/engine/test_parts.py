"""The parts of the engine, one by one: plain data, comparison, time limits, the exercise itself, the
registry."""

import itertools
import json
import math
import random
import re
import signal
import sys
import threading
import time
import warnings
from collections import Counter, OrderedDict, defaultdict, namedtuple
from contextlib import nullcontext
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.exercises import Exercise, Made, Misconception, Tolerance, case
from lib.exercises.engine import fresh, limits, registry, values
from lib.exercises.engine.checking import AnswerKey, conclude, run_all
from lib.exercises.engine.compare import EXACT, difference
from lib.exercises.engine.limits import TimeUp, call_limited
from lib.exercises.engine.running import copy_inputs, describe_inputs, run_answer
from lib.exercises.engine.values import Array, NotPlain, describe, from_plain, to_plain

numbers = st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.none()
trees = st.recursive(numbers, lambda t: st.lists(t, max_size=3) | st.dictionaries(st.text(max_size=2), t, max_size=3))


@given(trees)
def test_plain_data_stays_as_it_is_and_equals_itself(tree):
    plain = to_plain(tree)
    assert repr(plain) == repr(tree) == repr(from_plain(plain))
    assert difference(plain, to_plain(tree), EXACT) is None
    assert len(describe(plain)) <= 240


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int32, torch.bool, torch.complex64])
def test_tensors_there_and_back(dtype):
    tensor = torch.tensor([[0, 1], [1, 0]]).to(dtype)
    back = from_plain(to_plain(tensor))
    assert torch.equal(back, tensor) and back.dtype == dtype


ONES = {
    "boolean": True, "whole": 1, "decimal": 1.0, "text": "1", "nothing": None, "list": [1.0],
    "boolean tensor": torch.tensor(True), "whole tensor": torch.tensor(1), "decimal tensor": torch.tensor(1.0),
}  # fmt: skip
MAY_STAND_FOR = {
    ("whole", "decimal"), ("boolean tensor", "boolean"), ("whole tensor", "whole"), ("whole tensor", "decimal"),
    ("decimal tensor", "decimal"),
}  # fmt: skip


@pytest.mark.parametrize("got, expected", list(itertools.product(ONES, ONES)))
def test_which_one_may_stand_for_which(got, expected):
    found = difference(to_plain(ONES[got]), to_plain(ONES[expected]), Tolerance())
    assert (found is None) == (got == expected or (got, expected) in MAY_STAND_FOR), found


@pytest.mark.parametrize("caught", ["divide", "over", "under", "invalid"])
def test_numpy_never_raises_inside_the_engine_whatever_a_notebook_asked_for(caught):
    before = np.seterr(all="raise")
    try:
        with fresh.fresh_settings():
            assert np.geterr()[caught] == "ignore"
        assert np.geterr() == dict.fromkeys(("divide", "over", "under", "invalid"), "raise")
    finally:
        np.seterr(**before)


def test_plain_array_is_a_copy():
    tensor = torch.zeros(2)
    plain = to_plain(tensor)
    tensor += 1
    assert plain.values.tolist() == [0, 0]


def test_records_numpy_scalars_and_counters_become_plain():
    @dataclass
    class Batch:
        ids: torch.Tensor
        n: int

    point = namedtuple("point", "x y")
    plain = to_plain([point(1, np.float32(0.5)), Batch(torch.zeros(1), 2), Counter("aab"), np.arange(2)])
    assert plain[0] == (1, 0.5) and type(plain[0]) is tuple and type(plain[0][1]) is float
    assert type(plain[1][0]) is Array and plain[1][1] == 2
    assert plain[2] == {"a": 2, "b": 1} and type(plain[2]) is dict
    assert plain[3].kind == "array"


@pytest.mark.parametrize(
    "value, words",
    [
        (lambda: 1, "a function: call it"), (int, "a class"), (object(), "type object"),
        ({1, 2}, "a set: wrap it"),
        (range(3), "a range"), (1 << 5000, "bits"), ("x" * 2_000_000, "characters"), (1j, "complex"),
        (torch.nn.Parameter(torch.zeros(1)), "subclass of Tensor"), (np.array(["a"]), "expected numbers"),
        (torch.eye(2).to_sparse(), "sparse"), ({object(): 1}, "type object"),
        (np.longdouble(1), "longdouble"),
        ({np.zeros: 1}, "function"), (type("Int", (int,), {})(3), "type Int"), ({(1, (torch,)): 1}, "module"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(value, words):
    with pytest.raises(NotPlain, match=words):
        to_plain(value)


def test_a_tensor_is_no_key():
    with pytest.raises(NotPlain, match="as key"):
        to_plain({torch.zeros(1): 1})


T = torch.tensor
FORGIVEN = [
    (2, 2.0), (T(2.0), 2.0), (T(2), 2), (T(2), 2.0), ([1, 2], (1, 2)), (np.float64(1.5), 1.5),
    (T([1.0], dtype=torch.float64), T([1.0])), (T([1], dtype=torch.int32), T([1])),
    (T([math.nan, math.inf]), T([math.nan, math.inf])), (1 + 5e-5, 1.0), (T([1 + 5e-5]), T([1.0])),
    (math.nan, math.nan), (math.inf, math.inf), (torch.zeros(0, 3), torch.zeros(0, 3)),
]  # fmt: skip


@pytest.mark.parametrize("got, expected", FORGIVEN)
def test_forgiven(got, expected):
    assert difference(to_plain(got), to_plain(expected), Tolerance()) is None


NOT_FORGIVEN = [
    (2.0, 2, "type"), (True, 1, "type"), (1, True, "type"), (T(True), 1, "type"), ("2", 2, "type"),
    (2.5, T(2.5), "type"), ([1.0], T([1.0]), "type"), (None, T(1.0), "type"), (T([1]), [1], "type"),
    (0, None, "type"),
    (T([1]), T([1.0]), "dtype"), (T([1.0]), T([1]), "dtype"), (T([1]), T([True]), "dtype"),
    (T([[1.0]]), T([1.0]), "shape"), (torch.zeros(1), torch.zeros(3), "shape"), ([1], [1, 1], "shape"),
    (torch.zeros(0, 3), torch.zeros(0, 4), "shape"),
    (math.nan, 1.0, "nan"), (T([math.nan, 1.0]), T([1.0, 1.0]), "nan"), (T(math.nan), T(1.0), "nan"),
    (1.0, math.nan, "value"), (1e30, math.inf, "value"), (math.inf, 1.0, "value"),
    (-math.inf, math.inf, "value"),
    (T([math.inf]), T([-math.inf]), "value"), (T([1.0]), T([math.inf]), "value"),
    (T([1.0]), T([math.nan]), "value"),
    (1 + 2e-4, 1.0, "value"), (T([1 + 2e-4]), T([1.0]), "value"), (T([2**62 + 1]), T([2**62]), "value"),
    ("A", "a", "value"), ("", "a", "value"), ({"a": 1}, {"b": 1}, "value"), ({"a": 1}, {}, "value"),
    ({"a": [1, 2]}, {"a": [1, 3]}, "value"),
]  # fmt: skip


@pytest.mark.parametrize("got, expected, kind", NOT_FORGIVEN)
def test_not_forgiven(got, expected, kind):
    found = difference(to_plain(got), to_plain(expected), Tolerance())
    assert found is not None and found.kind == kind and str(found)


def test_difference_says_where():
    found = difference({"a": [1, 2]}, {"a": [1, 3]}, Tolerance())
    assert str(found) == "result['a'][1]: the value is off (expected 3, got 2)"
    got, expected = T([[1.0, 2.0], [3.0, 5.0]]), T([[1.0, 2.0], [3.0, 4.0]])
    found = difference(to_plain(got), to_plain(expected), Tolerance())
    assert str(found) == "result: 1 of 4 values are off (first at [1, 1]: expected 4, got 5)"
    assert "spaces or capitals" in str(difference("a ", "A", Tolerance()))


@pytest.mark.parametrize(
    "got, kind, what",
    [
        ([math.nan, 1.0, 3.0], "value", "1 of 3 values are off"),
        ([math.nan, math.nan, 2.0], "nan", "1 of 3 values are NaN"),
        ([math.nan, math.nan, 3.0], "nan", "1 of 3 values are NaN"),
        ([0.0, 1.0, 2.0], "value", "1 of 3 values are off"), ([math.nan, 1.0, 2.0], None, None),
    ],
)  # fmt: skip
def test_a_nan_that_belongs_there_is_no_wrong_one(got, kind, what):
    """It is neither the fault nor counted: the student is told of the others."""
    for form in (T, lambda x: T(x, dtype=torch.float64), np.array, lambda x: T([complex(v) for v in x])):
        found = difference(to_plain(form(got)), to_plain(form([math.nan, 1.0, 2.0])), Tolerance())
        assert (found and found.kind, found and found.what) == (kind, what)


def test_an_array_of_many_dimensions_is_shown_by_its_ends():
    assert describe(to_plain(torch.zeros((2,) * 4 + (9,)))) == "tensor float32 (2, 2, 2, 2, 9) [0. 0. ... 0. 0.]"


def test_tolerance_refuses_nonsense():
    for bad in (dict(rtol=-1.0), dict(rtol=1.0), dict(atol=math.inf), dict(atol=math.nan)):
        with pytest.raises(ValueError, match="must lie in"):
            Tolerance(**bad)


def test_time_limit_puts_back_what_was_there():
    ringing = []
    before = signal.signal(signal.SIGALRM, lambda *a: ringing.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 100)
        with pytest.raises(TimeUp):
            call_limited(lambda: threading.Event().wait(20), seconds=0.05)
        assert call_limited(lambda: 3, seconds=5) == 3
        assert 50 < signal.setitimer(signal.ITIMER_REAL, 0)[0] <= 100
        signal.raise_signal(signal.SIGALRM)
        assert ringing == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)  # or else it ends the process that runs the tests
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(ValueError, match="seconds must be positive"):
        call_limited(lambda: 3, seconds=0)


@pytest.mark.parametrize(
    "call, error", [(lambda: 3, None), (lambda: 1 / 0, ZeroDivisionError), (lambda: threading.Event().wait(20), TimeUp)]
)
def test_an_alarm_that_rings_again_and_again_does_so_afterwards(call, error):
    before = signal.signal(signal.SIGALRM, lambda *a: None)
    try:
        signal.setitimer(signal.ITIMER_REAL, 100, 7)
        with pytest.raises(error) if error else nullcontext():
            call_limited(call, seconds=0.05 if error is TimeUp else 20)
        rest, interval = signal.setitimer(signal.ITIMER_REAL, 0)
        assert 50 < rest <= 100 and interval == 7
        assert call_limited(lambda: 4, seconds=5) == 4 and signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_result_that_comes_too_late_does_not_count(monkeypatch):
    def late():
        try:
            threading.Event().wait(20)
        except BaseException:
            return "got away"

    monkeypatch.setattr("random.uniform", lambda a, b: 30.0)  # no second alarm within this test
    with pytest.raises(TimeUp):
        call_limited(late, seconds=0.05)


def test_time_is_up_also_where_the_interruption_breaks_a_clean_up():
    for _ in range(200):  # about one in 50 came out as "release unlocked lock"
        with pytest.raises(TimeUp):
            call_limited(lambda: threading.Event().wait(20), seconds=0.001)
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


@pytest.mark.parametrize("error", [RuntimeError("release unlocked lock"), SystemExit(0), KeyboardInterrupt()])
def test_what_an_interrupted_answer_raises_is_that_its_time_is_up(error):
    alarm = limits._Alarm(60)

    def interrupted():
        alarm.fired = True
        raise error

    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else TimeUp):
        alarm.call(interrupted)  # somebody at the keyboard is heard


def test_a_ring_interrupts_the_answer_and_nothing_around_it():
    alarm = limits._Alarm(60)
    alarm.on_alarm(signal.SIGALRM, sys._getframe())
    assert alarm.fired
    with pytest.raises(TimeUp):
        alarm.call(lambda: alarm.on_alarm(signal.SIGALRM, sys._getframe()))
    alarm.on_alarm(signal.SIGALRM, sys._getframe())


@pytest.fixture
def slow_module(tmp_path, monkeypatch):
    """The name of a module whose first import takes 0.6 seconds."""
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.6)\nvalue = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "slow_to_import"
    sys.modules.pop("slow_to_import", None)


def in_thread(call):
    found = []

    def work():
        try:
            found.append(call())
        except TimeUp:
            found.append("time up")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("somewhere", [lambda call: call(), in_thread], ids=["main thread", "another thread"])
def test_the_first_import_of_a_module_is_not_counted(somewhere, slow_module):
    def imports(then):
        def answer():
            value = __import__(slow_module).value
            then()
            return value

        return answer

    def loop():
        while True:
            time.sleep(0.01)

    assert somewhere(lambda: call_limited(imports(lambda: None), seconds=0.1)) == 42
    sys.modules.pop(slow_module)
    start = time.monotonic()
    try:
        assert somewhere(lambda: call_limited(imports(loop), seconds=0.1)) == "time up"
    except TimeUp:
        pass
    assert time.monotonic() - start < 20


def test_an_import_that_never_ends_is_stopped(slow_module, monkeypatch):
    monkeypatch.setattr(limits, "_IMPORTS", 0.1)
    with pytest.raises(TimeUp):
        call_limited(lambda: __import__(slow_module), seconds=0.1)


def test_error_in_a_thread_comes_out():
    found = []

    def work():
        try:
            call_limited(lambda: 1 / 0, seconds=1)
        except ZeroDivisionError:
            found.append("seen")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["seen"]


def test_randomness_is_seeded_for_the_answer_and_left_alone_outside(unchecked):  # beartype draws too
    def answer():
        return [random.random(), float(np.random.rand()), torch.rand(1)]

    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    one, two, other = (run_answer(answer, case("none"), seed=seed).value for seed in (3, 3, 4))
    assert difference(one, two, EXACT) is None
    assert all(difference(a, b, EXACT) for a, b in zip(one, other))
    assert random.getstate() == before[0] and np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_warnings_stay_inside_and_prints_are_kept_up_to_a_limit():
    def answer():
        warnings.warn("careful")
        for _ in range(1000):
            print("x" * 99)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        printed = run_answer(answer, case("none")).printed
    assert not seen and printed.startswith("xx") and len(printed) <= 20_100


def test_the_line_is_the_students_also_where_a_library_raises():
    outcome = run_answer(lambda text: json.loads(text), case("no JSON", "{"))
    assert "json.loads(text)" in outcome.line and "JSONDecodeError" in outcome.message


def test_of_several_lines_of_the_student_the_last_is_named_with_its_number():
    def helper(x):
        return 1 / x

    outcome = run_answer(lambda x: helper(x), case("zero", 0))
    assert outcome.line == f"line {helper.__code__.co_firstlineno + 1}: return 1 / x"


def test_no_outcomes_are_no_points(demos):
    assert conclude(AnswerKey(demos.MEAN), ()).points == 0


def test_copies_of_inputs():
    generator = torch.Generator().manual_seed(3)
    inputs = (T([1.0], requires_grad=True), generator, [np.zeros(1)], Made(torch.nn.Linear, (1, 2)))
    copies = copy_inputs(inputs)
    assert copies[0].requires_grad and copies[0] is not inputs[0]
    assert torch.equal(torch.rand(2, generator=copies[1]), torch.rand(2, generator=generator))
    assert copies[2][0] is not inputs[2][0] and isinstance(copies[3], torch.nn.Linear)
    with pytest.raises(TypeError, match="plain data, generators or Made recipes, got a object"):
        copy_inputs(object())


def test_made_model_is_the_same_for_everyone_and_named_in_words():
    with_model = case("a model", Made(torch.nn.Linear, (1, 1)), T([1.0]))
    first, second = (run_answer(lambda model, x: model(x), with_model, seed=4) for _ in range(2))
    assert difference(first.value, second.value, EXACT) is None
    assert describe_inputs(lambda model, x: 0, with_model)[0] == "model = Linear(1, 1)"


def test_list_that_gets_something_strange_has_changed():
    assert run_answer(lambda x: x.append(object()), case("a list", [])).mutated == ("x",)
    assert run_answer(lambda x: x + [1], case("a list", [])).mutated == ()


GOOD = dict(id="a.b", slides=("C01",), points=1, minutes=1, reference=len, cases=lambda g: [case("one", [1])])


@pytest.mark.parametrize(
    "bad, words",
    [
        (dict(id="b"), "id must look like"), (dict(id="A.b"), "id must look like"),
        (dict(points=0), "points must be"),
        (dict(minutes=-1), "minutes must be"), (dict(seconds=0.0), "seconds must be"),
        (dict(slides=()), "at least one"),
        (dict(slides=("C53",)), "slide must be one of"), (dict(slides=("X01",)), "slide must be one of"),
        (dict(slides=("C00",)), "slide must be one of"), (dict(slides=("C1",)), "slide must be one of"),
        (dict(cases=None), "needs cases"), (dict(reference=3), "neither cases"),
        (dict(hints=("",)), "hint is empty"),
        (dict(misconceptions=(Misconception("m", len, "h"), Misconception("m", len, "i"))), "the name 'm'"),
        (dict(misconceptions=(Misconception("m", len, "h"), Misconception("n", len, "h"))), "the hint 'h'"),
    ],
)  # fmt: skip
def test_exercise_refuses_what_cannot_be_right(bad, words):
    with pytest.raises(ValueError, match=words):
        Exercise(**{**GOOD, **bad})


def test_misconception_needs_words():
    for name, hint in (("", "h"), ("n", " ")):
        with pytest.raises(ValueError, match="needs a name and a hint"):
            Misconception(name, len, hint)


def test_cases_are_reproducible_named_and_there(demos):
    one, two, other = (demos.MEAN.build_cases(seed) for seed in (0, 0, 1))
    assert torch.equal(one[0].args[0], two[0].args[0]) and not torch.equal(one[0].args[0], other[0].args[0])
    for cases in ([], [case("same", 1), case("same", 2)]):
        with pytest.raises(ValueError, match="there must be cases"):
            replace(demos.MEAN, cases=lambda g, cases=cases: cases).build_cases()


def test_registry_holds_ids_to_their_module(monkeypatch):
    def holding(*ids):
        registry.exercises_of.cache_clear()
        exercises = tuple(Exercise(**{**GOOD, "id": id}) for id in ids)
        fake = SimpleNamespace(EXERCISES=exercises) if exercises else SimpleNamespace()
        monkeypatch.setattr(registry.importlib, "import_module", lambda name: fake)
        monkeypatch.setattr(registry, "modules", lambda: {"a": "lib.exercises.lecture99.a"})
        return registry.exercises_of("a")

    assert list(holding("a.b", "a.c")) == ["a.b", "a.c"] and list(holding()) == []
    with pytest.raises(ValueError, match=r"must begin with 'a\.'"):
        holding("b.c")
    with pytest.raises(ValueError, match="used twice"):
        holding("a.b", "a.b")
    registry.exercises_of.cache_clear()


def test_an_exercise_that_went_is_retired_by_name(demos, monkeypatch):
    monkeypatch.setattr(registry, "RETIRED", ("demo.mode",))
    with pytest.raises(KeyError, match="the exercise 'demo.mode' is retired: CHANGELOG.md says when"):
        registry.get("demo.mode")
    with pytest.raises(KeyError, match="did you mean demo.mean"):
        registry.get("demo.meen")


def test_no_exercise_has_a_retired_id():
    assert not set(registry.RETIRED) & set(registry.all_exercises())
    assert len(set(registry.RETIRED)) == len(registry.RETIRED)


def test_registry_sees_no_engine_module():
    homes = registry.modules().values()
    assert homes and all(re.fullmatch(r"lib\.exercises\.lecture\d\d\.\w+", home) for home in homes)


def test_what_is_known_of_an_exercise_does_not_depend_on_a_busy_machine(demos):
    def slow(x):
        time.sleep(0.1)
        return x

    mistake = Misconception("slow", lambda x: slow(-x), "A hint.")
    cases = lambda generator: [case("one", 1.0)]  # noqa: E731
    exercise = replace(demos.MEAN, reference=slow, misconceptions=(mistake,), seconds=0.05, cases=cases)
    key = AnswerKey(exercise)
    assert key.outcomes_of(mistake)[0].value == -key.expected[0].value == -1.0
    assert run_all(exercise, slow, key.cases)[0].status == "time up"


def test_numbers_that_no_float_can_hold_are_wrong_and_break_nothing():
    for odd in (10**1000, -(10**1000), torch.tensor(1 + 2j), np.array(1 + 2j), np.ones((), np.longdouble)):
        for expected in (1.5, 1, float("inf"), True):
            assert difference(to_plain(odd), expected, Tolerance(), "result")


def test_a_type_that_equals_every_type_is_no_plain_data():
    class Every(type):
        def __eq__(cls, other):
            return True

        __hash__ = type.__hash__

    class Chameleon(metaclass=Every):
        pass

    assert run_answer(lambda: Chameleon(), case("none")).status == "not plain"


def test_an_answer_that_closes_its_streams_is_judged_like_any_other():
    def closes():
        import sys

        sys.stdout.close()
        sys.stderr.close()
        return 1

    outcome = run_answer(closes, case("none"))
    assert (outcome.status, outcome.value) == ("returned", 1)


# --- edges: the value itself that a limit names ---
@pytest.mark.parametrize(
    "got, expected, tolerance, agrees",
    [
        (1.5, 1.0, Tolerance(0, 0.5), True), (1.5000001, 1.0, Tolerance(0, 0.5), False),
        (3.0, 2.0, Tolerance(0.5, 0), True), (3.5, 2.0, Tolerance(0.5, 0), False),  # of what is expected
        (4.0, 2.0, Tolerance(0.5, 1), True), (4.5, 2.0, Tolerance(0.5, 1), False),  # both are added
        (0.0, -0.5, Tolerance(0, 0.5), True), (-3.0, -2.0, Tolerance(0.5, 0), True), (-3.5, -2.0, Tolerance(0.5, 0), False),
    ],
)  # fmt: skip
def test_a_tolerance_holds_for_numbers_and_arrays_alike(got, expected, tolerance, agrees):
    for form in (float, lambda x: T([7.0, x]), lambda x: np.array([[x]]), lambda x: T(x), lambda x: T([complex(x)])):
        found = difference(to_plain(form(got)), to_plain(form(expected)), tolerance)
        assert (found is None) is agrees


def test_whole_numbers_have_no_tolerance():
    wide = Tolerance(0.9, 100.0)
    for got, expected in ((3, 4), (T([3]), T([4])), (T([True]), T([False])), ({"a": 3}, {"a": 4})):
        assert difference(to_plain(got), to_plain(expected), wide).kind == "value"
    assert difference(3, 4.0, wide) is None
    assert Tolerance(0, 0) == EXACT and Tolerance(0.999, 1e300).atol == 1e300


def test_the_order_of_keys_does_not_count_and_missing_and_further_ones_are_named():
    assert difference({"b": 1, "a": 2}, {"a": 2, "b": 1}, EXACT) is None
    found = difference({"a": 1, "c": 1}, {"a": 1, "b": 1}, EXACT)
    assert (found.what, found.detail) == ("1 keys are missing and 1 are too many", "missing ['b'], too many ['c']")
    assert "3 entries, expected 2" in str(difference([1, 2, 3], [1, 2], EXACT))


def nested(depth):
    return [nested(depth - 1)] if depth else 0


def test_what_is_read_up_to_its_limit(monkeypatch):
    assert to_plain(nested(values.MAX_DEPTH)) == nested(values.MAX_DEPTH)
    assert to_plain(2**4096 - 1) == 2**4096 - 1 and len(to_plain("x" * values.MAX_TEXT)) == values.MAX_TEXT
    monkeypatch.setattr(values, "MAX_VALUES", 4)
    monkeypatch.setattr(values, "MAX_ITEMS", 5)
    assert to_plain(torch.zeros(4)).values.size == to_plain(np.zeros(4)).values.size == 4
    assert to_plain([[0, 0], {1: 1}]) == [[0, 0], {1: 1}]  # 2 + 2 + 1 entries
    too_much = (nested(values.MAX_DEPTH + 1), 2**4096, -(2**4096), "x" * (values.MAX_TEXT + 1), torch.zeros(5),
                np.zeros(5), [[0, 0], {1: 1, 2: 2}], torch.zeros(1).expand(5))  # fmt: skip
    for value in too_much:
        with pytest.raises(NotPlain):
            to_plain(value)


def test_what_is_shown_up_to_its_limit():
    assert describe(list(range(8))) == "[0, 1, 2, 3, 4, 5, 6, 7]"
    assert describe(tuple(range(10))).endswith("7, … 2 more)")
    assert describe({n: n for n in range(9)}).endswith("7: 7, … 1 more}") and "more" not in describe({1: 1})
    assert values.shorten("abcdefghij", 10) == "abcdefghij" and values.shorten("abcdefghijk", 10) == "abcdef…ijk"
    assert values.steady("0x12345 0x123456") == "0x12345 0x…"


def test_views_of_tensors_are_read_as_what_they_show():
    z = torch.tensor([1 + 2j])
    assert to_plain(z.conj()).values.tolist() == [1 - 2j] and to_plain(z.conj().imag).values.tolist() == [-2.0]
    assert to_plain(torch.arange(6).view(2, 3).T[::2]).values.tolist() == [[0, 3], [2, 5]]
    array = np.zeros(2)
    plain = to_plain(array)
    array += 1
    back = from_plain(plain)
    back += 1
    assert plain.values.tolist() == [0, 0], "nor does what is made of it reach it"


@pytest.mark.parametrize(
    "inputs, dtype",
    [
        ((torch.ones(1, dtype=torch.float64), torch.ones(1)), torch.float32),
        ((torch.ones(1, dtype=torch.float64), torch.arange(1)), torch.float64),
        (([torch.ones(1, dtype=torch.float64)],), torch.float64),
        ((torch.arange(1),), torch.float32), ((), torch.float32), ((torch.ones(1).half(),), torch.float32),
    ],
)  # fmt: skip
def test_new_tensors_are_float64_where_all_decimal_inputs_are(inputs, dtype):
    assert run_answer(lambda *given: str(torch.zeros(1).dtype), case("a", *inputs)).value == str(dtype)
    assert torch.get_default_dtype() is torch.float32


def test_a_copy_draws_for_itself_and_has_its_own_containers():
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    inputs = {"g": generator, "rows": [{"x": T([1.0], requires_grad=True)}]}
    twin, plain = copy_inputs(inputs), copy_inputs(inputs, grad=False)
    torch.rand(3, generator=twin["g"])
    assert torch.equal(generator.get_state(), before)
    assert twin["rows"][0]["x"].requires_grad and not plain["rows"][0]["x"].requires_grad
    twin["rows"].append(1)
    plain["rows"][0]["x"] += 1
    assert inputs["rows"][0]["x"].item() == 1 and len(inputs["rows"]) == 1


def test_what_was_printed_before_the_time_was_up_is_kept():
    def loops():
        print("so far")
        threading.Event().wait(20)

    outcome = run_answer(loops, case("none"), seconds=0.05)
    assert (outcome.status, outcome.printed) == ("time up", "so far\n")


def test_keyword_arguments_that_change_are_named_and_a_builtin_has_no_line():
    assert run_answer(lambda a, *, b: b.append(a), case("kw", 1, b=[])).mutated == ("b",)
    outcome = run_answer(len, case("a number", 3))
    assert outcome.status == "raised" and outcome.line == ""


@pytest.mark.parametrize("id", ["a.b\n", "a.b.c", "a.", ".b", "1a.b", "a.1b", "a b.c", "_a.b"])
def test_an_id_is_two_names(id):
    with pytest.raises(ValueError, match="id must look like"):
        Exercise(**{**GOOD, "id": id})


def test_a_number_above_nothing_will_do_and_a_value_has_one_case(demos):
    assert Exercise(**{**GOOD, "points": 1, "minutes": 1, "seconds": 1e-9}).seconds == 1e-9
    (only,) = demos.YEARS.build_cases()
    assert (only.what, only.args, only.kwargs) == ("your answer", (), {})
    assert demos.YEARS.as_function(3)() == 3 and demos.MEAN.as_function(len) is len


def test_modules_of_one_name_are_refused_and_all_are_in_order(monkeypatch):
    assert list(registry.modules()) == sorted(registry.modules())
    real = registry.pkgutil.iter_modules
    monkeypatch.setattr(
        registry.pkgutil, "iter_modules",
        lambda path, prefix="": real(path, prefix) if prefix else [SimpleNamespace(name="same")],
    )  # fmt: skip
    with pytest.raises(ValueError, match="same: lib.exercises.lecture.*has this name already"):
        registry.modules.__wrapped__()


def test_what_runs_stops_at_the_first_case_without_an_end(demos):
    def stub(x):
        raise NotImplementedError("write your answer here")

    cases = demos.MEAN.build_cases()
    assert [each.status for each in run_all(demos.MEAN, stub, cases)] == ["not written"]
    assert [each.status for each in run_all(demos.MEAN, ..., cases)] == ["not written"]
    assert [each.status for each in run_all(demos.MEAN, lambda x: 1 / 0, cases)] == ["raised"] * 3
    key = AnswerKey(demos.MEAN)
    assert not conclude(key, key.expected[:2]).passed and conclude(key, key.expected).passed


def test_what_is_made_of_plain_data_does_not_reach_it():
    for plain in (to_plain(torch.zeros(2)), to_plain([np.zeros(2)])[0]):
        from_plain(plain)[0] = 1
        assert plain.values.tolist() == [0, 0]


def test_a_judge_may_draw_and_change_what_it_is_given(demos):
    def decide(given, output, expected):
        torch.rand(3, generator=given.args[2])
        output.zero_()
        expected.zero_()

    key = AnswerKey(replace(demos.DRAW, decide=decide))
    before = [each.args[2].get_state() for each in key.cases]
    found = conclude(key, key.expected)
    assert found.passed and all(torch.equal(c.args[2].get_state(), s) for c, s in zip(key.cases, before, strict=True))
    assert found.outcomes[0].value.values.any(), "what was returned is shown as it was"


@pytest.mark.parametrize("value, name", [
    ((x for x in [1]), "generator"), (map(abs, [1]), "map"), (filter(None, [1]), "filter"), (zip([1]), "zip"),
    (range(3), "range"), ({1}, "set"), ({1: 2}.values(), "dict_values"), ({1: 2}.keys(), "dict_keys"),
    ({1: 2}.items(), "dict_items"),
])  # fmt: skip
def test_what_is_not_unrolled_yet_is_told_how(value, name):
    with pytest.raises(NotPlain, match=rf"^a {name}: wrap it in list\(…\)$"):
        to_plain(value)


@pytest.mark.parametrize("value", [Counter("aab"), OrderedDict(a=2, b=1), defaultdict(int, a=2, b=1), {"a": 2, "b": 1}])
def test_every_kind_of_dict_is_a_dict(value):
    assert to_plain(value) == {"a": 2, "b": 1} and type(to_plain(value)) is dict


@pytest.mark.parametrize(
    "value, name", [(abs, "function"), ("".join, "function"), (lambda: 1, "function"), ([].append, "fun")]
)
def test_a_function_for_a_value_is_called_a_function(value, name):
    with pytest.raises(NotPlain, match=f"^a {name}"):
        to_plain(value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_numbers_that_numpy_lacks_keep_their_dtype(dtype):
    plain = to_plain(torch.tensor([0.5, -2.0]).to(dtype))
    assert plain.dtype == str(dtype).removeprefix("torch.") and plain.values.tolist() == [0.5, -2.0]


@pytest.mark.parametrize("id", [
    "softmax.argmax_onehot", "start.slide_count", "start.classify_era", "growth.months_between", "growth.doubling_time",
])  # fmt: skip
def test_an_id_that_went_is_remembered(id):
    assert id in registry.RETIRED and id not in registry.all_exercises()


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**32, 2**63 - 1])
def test_an_answer_may_be_seeded_with_any_seed_of_a_grader(seed):
    one, again = (run_answer(lambda: [random.random(), float(np.random.rand())], case("none"), seed=seed).value
                  for _ in range(2))  # fmt: skip
    assert one == again


def test_a_model_reads_as_many_ids_as_its_window_has():
    from lib.exercises.engine import made

    model, next_probs = made.log_probs_in_window(4, 3, 5), made.next_probs_of_prefix(4, 5)
    found = model(T([2, 0, 1]))
    for row, prefix in zip(found, ([2], [2, 0], [2, 0, 1]), strict=True):
        assert row.exp().tolist() == pytest.approx(next_probs(prefix), rel=1e-6)
    assert torch.equal(model(T([2, 0])), found[:2]) and found.dtype == torch.float64
    for length in (0, 4):
        with pytest.raises(ValueError, match=f"this model reads 1 to 3 ids at a time, got {length}"):
            model(torch.zeros(length).long())


def test_tokens_are_drawn_as_often_as_their_probabilities_say():
    from lib.exercises.engine import made

    draw = made.draws_in_turn(0)
    counts = Counter(draw([0.0, 0.2, 0.0, 0.8]) for _ in range(2000))
    assert set(counts) == {1, 3} and abs(counts[1] / 2000 - 0.2) < 4.5 * (0.16 / 2000) ** 0.5
    draw, again = made.draws_in_turn(1), made.draws_in_turn(1)
    assert [draw([0.5, 0.5]) for _ in range(20)] == [again([0.5, 0.5]) for _ in range(20)]
    assert {made.draws_in_turn(2)([weight, weight]) for weight in (0.5, 3.0)} != {0, 1}, "weights need not add up to 1"
