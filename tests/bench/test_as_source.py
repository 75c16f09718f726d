"""What is written as source does the same as what it was made from, in a namespace of its own."""

import functools
import math
import threading

import pytest
import torch
from torch.nn import functional as F

from lib import objectives
from lib.bench.as_source import Writer
from lib.bench.definitions import NotSource, bound_names
from lib.exercises import all_exercises
from lib.objectives import mlm_loss
from lib.slides import classify_era

SIZES = {"small": 1, "large": 3}
calls = 0


def _plus(x, by=2):
    """Two more."""
    return x + by


def _scaled(factor, shift=_plus):
    def answer(x: float, y: int = 3) -> float:
        total: float = factor * shift(x)
        return total + y

    return answer


def _clashing(x):
    own_plus = 5
    return _plus(x) + own_plus


def _counting():
    global calls
    calls += 1
    return calls


def _kept(value):
    return lambda x: f"{x} of {SIZES['large']} {value!r}: {math.floor(2.5)}"


PAIR = (lambda x: x + 1, lambda x: [y * x for y in (v + x for v in range(3))])


def written(value, taken=None):
    writer = Writer(taken)
    source = writer.answer(value, "answer")
    namespace = {}
    exec(f"{writer.preamble()}\n{source}", namespace)  # noqa: S102
    return namespace["answer"]


@pytest.mark.parametrize(
    "value, given",
    [
        (_plus, (4,)), (_scaled(3), (4,)), (_scaled(-0.5, PAIR[0]), (2, 9)), (_kept("it's"), (7,)),
        (PAIR[0], (4,)), (PAIR[1], (4,)), (functools.partial(_plus, by=9), (1,)),
        (_scaled(2, math.sqrt), (16,)),
        (lambda x, *, near=math.inf, kind=torch.float64: torch.tensor(x, dtype=kind) < near, (3,)),
        (lambda x: F.relu(torch.tensor([x, -x])).tolist(), (3,)), (classify_era, (5e8,)),
    ],
)  # fmt: skip
def test_the_source_does_the_same(value, given):
    assert written(value)(*given) == value(*given)


@pytest.mark.parametrize("value", [178, -0.5, "a 'b'", [1, (2,), {"k": None}], {3}, True, math.inf])
def test_values_come_back(value):
    assert written(value) == value


def test_tensors_and_functions_of_the_course_come_back():
    assert torch.equal(written(torch.tensor([1.5])), torch.tensor([1.5]))
    logits, labels = torch.randn(1, 3, 5), torch.tensor([[1, -100, 2]])
    writer = Writer()
    writer.answer(lambda z, y: objectives.mlm_loss(z, y), "answer")
    assert "def own_mlm_loss" in writer.preamble() and "objectives" not in "".join(writer.imports)
    assert written(lambda z, y: objectives.mlm_loss(z, y))(logits, labels) == mlm_loss(logits, labels)


def test_names_that_the_notebook_uses_are_spared():
    writer = Writer(bound_names("import torch\nmath = 3\nown_plus = 4\nfrom torch.nn import functional as F"))
    writer.answer(lambda x: _plus(math.floor(x)) + torch.ones(1), "answer")
    assert writer.imports == ["import math as math_2", "import torch"]
    assert "def own_plus_2" in writer.preamble()


def test_no_import_hides_what_python_has():
    writer = Writer()
    assert writer.expression(torch.round) == "round_2" and writer.imports == ["from torch import round as round_2"]


def test_names_of_a_notebook_are_found():
    bound = bound_names("import a.b, c as d\nfrom e import f\nx, y = 1, 2\ndef g():\n    z = 1")
    assert bound["d"] == {"import c"} and bound["f"] == {"from e import f"}
    assert {"x", "y", "g"} <= {name for name, origins in bound.items() if origins == {"assigned"}}


@pytest.mark.parametrize("value", [_counting, _clashing, functools.partial(_plus, 3), threading.Lock()])
def test_what_cannot_be_written_is_refused(value):
    with pytest.raises(NotSource):
        Writer().answer(value, "answer")


def test_every_known_answer_can_be_written():
    for exercise in all_exercises().values():
        for answer in (exercise.reference, *exercise.accepts, *(m.answer for m in exercise.misconceptions)):
            written(answer)


@pytest.mark.parametrize("value", [-math.inf, (), (1,), [], {}, {"a": (1,)}, frozenset({1}), b"x", None, ..., 10**30])
def test_values_of_every_kind_come_back_as_they_were(value):
    got = written(value)
    assert got == value and type(got) is type(value)


def test_nan_and_tensors_of_every_dtype_come_back():
    assert math.isnan(written(math.nan))
    for dtype in (torch.float16, torch.bfloat16, torch.int32, torch.bool):
        tensor = torch.tensor([[0, 1]]).to(dtype)
        got = written(tensor)
        assert torch.equal(got, tensor) and got.dtype is dtype


def test_a_helper_is_written_once_and_two_of_one_name_have_two():
    def one(x):
        return _plus(x) + _plus(x + 1)

    writer = Writer()
    writer.answer(one, "answer")
    assert writer.preamble().count("def own_plus") == 1
    second = writer.answer(lambda x: _plus(x) * 2, "other")
    assert writer.preamble().count("def own_plus") == 1 and second.startswith("def other(x):")
    assert Writer(prefix="mlm").answer(_scaled(2), "a") and Writer({"a": {"assigned"}})._free("a") == "a_2"


def test_keyword_defaults_and_given_ones_of_partials_are_the_present_ones():
    def answer(x, y=2, *, z=3):
        return x, y, z

    answer.__defaults__, answer.__kwdefaults__ = (20,), {"z": 30}
    assert written(answer)(1) == (1, 20, 30) and written(answer)(1, 2, z=4) == (1, 2, 4)
    assert written(functools.partial(_plus, by=9))(1) == 10
