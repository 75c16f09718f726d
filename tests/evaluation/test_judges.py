"""The judge's fault is known, so everything that the swap test reports has an exact value to be held against."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.evaluation import judge_probability, swap_test
from lib.objectives import bradley_terry_probability

FINITE = st.floats(-8, 8)
PAIRS = st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=12)


def columns(pairs):
    return tuple(torch.tensor(column, dtype=torch.float64) for column in zip(*pairs))


def biased(b, temperature=1.0):
    return lambda x, y: judge_probability(x, y, position_bias=b, temperature=temperature)


def test_an_unbiased_judge_is_bradley_terry(generator):
    first, second = torch.randn(2, 50, generator=generator)
    torch.testing.assert_close(judge_probability(first, second), bradley_terry_probability(first, second))


def test_the_numbers_of_bias_and_temperature():
    one, zero = torch.ones(1).double(), torch.zeros(1).double()
    assert judge_probability(zero, zero, position_bias=math.log(3)).item() == pytest.approx(0.75, abs=1e-12)
    # a lead of 1 in units of τ = 2, plus ln 3 − 1/2 for the first place: odds of 3
    found = judge_probability(one, zero, position_bias=math.log(3) - 0.5, temperature=2)
    assert found.item() == pytest.approx(0.75, abs=1e-12)
    assert judge_probability(1e4 * one, zero).item() == 1 and judge_probability(zero, 1e4 * one).item() == 0


@given(PAIRS, st.floats(-4, 4), st.floats(0.1, 5))
@settings(max_examples=60)
def test_against_pairs_judged_one_by_one(pairs, b, temperature):
    """The definitions, in plain Python."""
    consistent = wins = 0.0
    debiased = []
    for a, c in pairs:
        p, q = (1 / (1 + math.exp(-((x - y) / temperature + b))) for x, y in ((a, c), (c, a)))
        outcome = [0.5 if v == 0.5 else float(v > 0.5) for v in (p, q)]
        consistent += outcome[0] == 1 - outcome[1]
        wins += sum(outcome)
        debiased.append((p + 1 - q) / 2)
    near_a_tie = any(min(abs((a - c) / temperature + s * b) for s in (1, -1)) < 1e-9 for a, c in pairs)
    found = swap_test(biased(b, temperature), *columns(pairs))
    torch.testing.assert_close(found.debiased, torch.tensor(debiased, dtype=torch.float64), rtol=1e-9, atol=1e-12)
    if not near_a_tie:  # there rounding decides
        assert found.consistent == pytest.approx(consistent / len(pairs))
        assert found.first_position_rate == pytest.approx(wins / 2 / len(pairs))


@given(PAIRS, st.floats(-4, 4))
@settings(max_examples=60)
def test_both_orders_together_prefer_no_place(pairs, b):
    first, second = columns(pairs)
    there, back = swap_test(biased(b), first, second), swap_test(biased(b), second, first)
    torch.testing.assert_close(there.debiased, 1 - back.debiased)
    assert there.consistent == back.consistent and there.first_position_rate == back.first_position_rate
    clear = (first - second).abs() > 1e-6
    assert ((there.debiased > 0.5) == (first > second))[clear].all(), "the better answer wins the mean"
    fair = judge_probability(first, second)
    assert ((there.debiased - 0.5).abs() <= (fair - 0.5).abs() + 1e-12).all(), "but less clearly"


def test_without_bias_nothing_changes(generator):
    first, second = torch.randn(2, 40, generator=generator)
    first[0] = second[0]  # a tie survives its swap
    found = swap_test(biased(0.0), first, second)
    assert found.consistent == 1 and found.first_position_rate == 0.5
    torch.testing.assert_close(found.debiased, judge_probability(first, second))


@pytest.mark.parametrize("b, rate", [(100.0, 1.0), (-100.0, 0.0)])
def test_a_judge_that_only_looks_at_places(b, rate, generator):
    found = swap_test(biased(b), *torch.randn(2, 20, generator=generator))
    assert found.consistent == 0 and found.first_position_rate == rate
    torch.testing.assert_close(found.debiased, torch.full((20,), 0.5))


def test_only_close_pairs_are_lost_to_the_bias():
    """A verdict survives where the lead is greater than the bias, |s1 − s2| / τ > |b|."""
    lead = torch.tensor([0.5, 1.5, -0.5, -1.5, 2.5])
    assert swap_test(biased(1.0), lead, torch.zeros(5)).consistent == pytest.approx(3 / 5)
    assert swap_test(biased(1.0, temperature=2), lead, torch.zeros(5)).consistent == pytest.approx(1 / 5)


def test_one_verdict_in_ten_thousand_is_lost_to_nothing():
    """A share is exact however many pairs there are: float32 would round the sum of many ones."""
    lead = torch.full((10_001,), 5.0)
    lead[0] = 0.0
    assert swap_test(biased(1.0), lead, torch.zeros(10_001)).consistent == pytest.approx(10_000 / 10_001, rel=1e-12)


def test_the_judge_may_read_texts():
    def longer(first, second):
        return torch.tensor([float(len(a) > len(b)) for a, b in zip(first, second)])

    found = swap_test(longer, ["a", "four"], ["three", "ab"])
    assert found.consistent == 1 and found.debiased.tolist() == [0, 1]


def test_gradients_reach_the_scores():
    first, second = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda a, b: judge_probability(a, b, position_bias=0.7, temperature=2.0),
        (first.detach().requires_grad_(), second.detach().requires_grad_()),
    )


ONES = torch.ones(2)
BAD = {
    "score_second must have the shape of score_first": (ONES, torch.ones(3), {}),
    "score_first must be finite, got nan": (torch.tensor([0.0, math.nan]), ONES, {}),
    "score_second must be finite, got inf": (ONES, torch.tensor([math.inf, 0.0]), {}),
    "position_bias must be a finite number, got inf": (ONES, ONES, {"position_bias": math.inf}),
    "temperature must be": (ONES, ONES, {"temperature": 0.0}),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_scores_and_knobs(message, unchecked):
    first, second, knobs = BAD[message]
    with pytest.raises(ValueError, match=message):
        judge_probability(first, second, **knobs)


@pytest.mark.parametrize("knob, value", [("temperature", -1.0), ("temperature", math.nan), ("position_bias", math.nan)])
def test_knobs_out_of_range(knob, value):
    with pytest.raises(ValueError, match=knob):
        judge_probability(ONES, ONES, **{knob: value})


@pytest.mark.parametrize(
    "judge, message",
    [
        (lambda x, y: x, "probabilities from 0 to 1, got 2"),
        (lambda x, y: x * math.nan, "probabilities"),
        (lambda x, y: torch.tensor([0.5, -0.01]), "probabilities from 0 to 1, got -0.01 to 0.5"),
        (lambda x, y: torch.tensor([0.5, 1.01]), "probabilities from 0 to 1, got 0.5 to 1.01"),
        (lambda x, y: 0.5 + (x > y), "probabilities from 0 to 1, got 1.5"),  # with both answers swapped, alone
        (lambda x, y: torch.full((2, 1), 0.5), r"at least one probability, got shape \(2, 1\)"),
        (lambda x, y: torch.zeros(0), "at least one"),
        (lambda x, y: torch.tensor(0.5), "at least one"),
        (lambda x, y: 0.5, "got float"),
        (lambda x, y: torch.ones(2 if x[0] == 2 else 3), "both orders, got 2 and, swapped, 3"),
    ],
)
def test_a_judge_that_gives_no_verdicts(judge, message, unchecked):
    with pytest.raises(ValueError, match=message):
        swap_test(judge, torch.tensor([2.0, 3.0]), torch.tensor([4.0, 5.0]))


def test_a_tie_is_half_a_win_and_survives_only_a_tie():
    """Both orders of three pairs: twice a tie, once a tie and once a win, and two wins of the same answer."""
    orders = [torch.tensor([0.5, 0.5, 0.9]), torch.tensor([0.5, 0.8, 0.3])]
    found = swap_test(lambda x, y: orders[x > y], 0, 1)
    assert found.consistent == pytest.approx(2 / 3)
    assert found.first_position_rate == pytest.approx((0.5 + 0.5 + 0.5 + 1 + 1 + 0) / 6)
    torch.testing.assert_close(found.debiased, torch.tensor([0.5, 0.35, 0.8]))
