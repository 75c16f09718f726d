"""One small exercise of each kind, for the tests of the engine alone: the course's own have a test of their
own."""

import sys

import pytest
import torch

from lib.exercises import Exercise, Misconception, case
from lib.exercises.engine import checking, registry


@pytest.fixture(autouse=True)
def quiet_finalisers(monkeypatch):
    """An alarm may interrupt a finaliser, where Python cannot raise; pytest's own hook would be interrupted next."""
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)


def mean(x):
    """The mean over the last dimension; an empty row has the mean 0."""
    return x.sum(-1) / max(x.shape[-1], 1)


def _cases(generator):
    return [
        case("three rows", torch.randn(3, 4, generator=generator)),
        case("one number", torch.tensor([2.0])),
        case("an empty row", torch.zeros(2, 0)),
    ]


def in_place(x):
    x /= max(x.shape[-1], 1)
    return x.sum(-1)


MEAN = Exercise(
    id="demo.mean", slides=("C07",), points=3, minutes=5, reference=mean, cases=_cases,
    accepts=(lambda x: x.double().mean(-1).nan_to_num(),),
    misconceptions=(
        Misconception("sum", lambda x: x.sum(-1), "You add up, and do not divide."),
        Misconception("no empty row", lambda x: x.mean(-1), "What is the mean of nothing? 0/0 is NaN."),
        Misconception("first axis", lambda x: mean(x.T if x.dim() > 1 else x), "You go down the columns."),
        Misconception("of everything", lambda x: x.sum() / max(x.numel(), 1), "One mean per row, please."),
        Misconception("median", lambda x: x.sort(-1).values[..., x.shape[-1] // 2], "That is the median."),
        Misconception("in place", in_place, "`/=` changes the tensor that you were given."),
    ),
    hints=("Add up first.", "Then divide by x.shape[-1]."),
)  # fmt: skip


YEARS = Exercise(
    id="demo.years", slides=("N31",), points=1, minutes=2, reference={"BERT": 2018, "GPT-3": 2020},
    misconceptions=(Misconception("swapped", {"BERT": 2020, "GPT-3": 2018}, "The other way around."),),
)  # fmt: skip


def draw(p, n, generator):
    """n independent draws that are True with probability p."""
    return torch.rand(n, generator=generator) < p


def _share(given, output, expected):
    if output.shape != (given.args[1],):
        return "there must be one draw for each position"
    if abs(output.float().mean().item() - given.args[0]) > 0.03:
        return "the share of True is not p"
    return None


DRAW = Exercise(
    id="demo.draw", slides=("T26",), points=2, minutes=5, reference=draw, decide=_share,
    cases=lambda generator: [case("a tenth", 0.1, 10_000, generator), case("never", 0.0, 100, generator)],
    accepts=(lambda p, n, generator: torch.rand(n) > 1 - p,),
    misconceptions=(
        Misconception("coin", lambda p, n, generator: torch.rand(n) < 0.5, "Every draw is a fair coin here."),
        Misconception("one too many", lambda p, n, generator: torch.rand(n + 1) < p, "One draw too many."),
    ),
)  # fmt: skip

EXERCISES = (MEAN, YEARS, DRAW)


@pytest.fixture
def demos(monkeypatch):
    """`check("demo.mean", …)` works inside this test, no other exercise is known, and no hint has been
    shown."""
    monkeypatch.setattr(registry, "modules", lambda: ("demo",))
    monkeypatch.setattr(registry, "exercises_of", lambda module: {e.id: e for e in EXERCISES})
    monkeypatch.setattr(checking, "_revealed", {})
    return sys.modules[__name__]
