"""Advantages, held against their sums by loops in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.objectives import gae, grpo_advantages, rewards_to_go, rloo, whiten

quickly = settings(max_examples=50)
SPANS = [(1, 4), (2, 3), (0, 6), (5, 6)]  # where the answers of four rows begin and end
MASK = torch.tensor([[begin <= t < end for t in range(6)] for begin, end in SPANS])


def normal(generator, *shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


# --- rewards to go, GAE ---


@quickly
@given(seed=st.integers(0, 999), gamma=st.sampled_from([0, 0.0, 0.5, 0.99, 1, 1.0]))
def test_rewards_to_go_by_loops(seed, gamma):
    rewards = normal(torch.Generator().manual_seed(seed), 4, 6)
    expected = torch.zeros(4, 6, dtype=torch.float64)
    for b, (begin, end) in enumerate(SPANS):
        for t in range(begin, end):
            expected[b, t] = sum(gamma ** (k - t) * rewards[b, k] for k in range(t, end))
    torch.testing.assert_close(rewards_to_go(rewards, MASK, gamma=gamma), expected)
    torch.testing.assert_close(rewards_to_go(rewards, MASK.long(), gamma=gamma), expected)


@quickly
@given(seed=st.integers(0, 999), gamma=st.sampled_from([0, 0.5, 0.99, 1.0]), lam=st.sampled_from([0, 0.3, 0.95, 1]))
def test_gae_by_loops(seed, gamma, lam):
    """Equation 16 of Schulman et al. 2016 as it stands: a double sum, not the recursion."""
    g = torch.Generator().manual_seed(seed)
    rewards, values = normal(g, 4, 6), normal(g, 4, 6)
    expected = torch.zeros(4, 6, dtype=torch.float64)
    for b, (begin, end) in enumerate(SPANS):
        delta = {
            t: rewards[b, t] + (gamma * values[b, t + 1] if t + 1 < end else 0) - values[b, t]
            for t in range(begin, end)
        }
        for t in range(begin, end):
            expected[b, t] = sum((gamma * lam) ** (k - t) * delta[k] for k in range(t, end))
    advantages, returns = gae(rewards, values, MASK, gamma=gamma, lam=lam)
    torch.testing.assert_close(advantages, expected)
    torch.testing.assert_close(returns, (expected + values) * MASK)


def test_gae_looks_as_far_as_it_should_unless_told_otherwise(generator):
    rewards, values = normal(generator, 4, 6), normal(generator, 4, 6)
    torch.testing.assert_close(gae(rewards, values, MASK), gae(rewards, values, MASK, gamma=1.0, lam=0.95))
    torch.testing.assert_close(rewards_to_go(rewards, MASK), rewards_to_go(rewards, MASK, gamma=1.0))


@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_gae_with_lambda_one_is_reward_to_go_minus_value(generator, gamma):
    rewards, values = normal(generator, 4, 6), normal(generator, 4, 6)
    advantages, returns = gae(rewards, values, MASK, gamma=gamma, lam=1.0)
    to_go = rewards_to_go(rewards, MASK, gamma=gamma)
    torch.testing.assert_close(advantages, to_go - values * MASK)
    torch.testing.assert_close(returns, to_go)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_with_the_right_values_and_no_luck_there_is_no_advantage(generator, lam):
    rewards = normal(generator, 4, 6)
    values = rewards_to_go(rewards, MASK, gamma=0.9)
    advantages, returns = gae(rewards, values, MASK, gamma=0.9, lam=lam)
    assert advantages.abs().max() < 1e-12
    torch.testing.assert_close(returns, values)


def test_what_is_no_answer_may_be_anything(generator):
    rewards, values = normal(generator, 4, 6), normal(generator, 4, 6)
    strange = [x.masked_fill(~MASK, math.nan) for x in (rewards, values)]
    torch.testing.assert_close(rewards_to_go(strange[0], MASK), rewards_to_go(rewards, MASK))
    torch.testing.assert_close(gae(*strange, MASK), gae(rewards, values, MASK))
    torch.testing.assert_close(whiten(strange[0], MASK), whiten(rewards, MASK))
    for x in (rewards_to_go(strange[0], MASK), *gae(*strange, MASK), whiten(strange[0], MASK)):
        assert (x[~MASK] == 0).all()


def test_gae_gives_numbers_to_learn_from_not_functions_of_the_model(generator):
    rewards, values = normal(generator, 4, 6).requires_grad_(), normal(generator, 4, 6).requires_grad_()
    advantages, returns = gae(rewards, values, MASK)
    assert not advantages.requires_grad and not returns.requires_grad


def test_rewards_to_go_have_a_gradient(generator):
    rewards = normal(generator, 4, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda r: rewards_to_go(r, MASK, gamma=0.7), rewards)


@pytest.mark.parametrize(
    "function",
    [
        lambda mask, gamma=1.0: rewards_to_go(torch.zeros(2, 4), mask, gamma=gamma),
        lambda mask, gamma=1.0: gae(torch.zeros(2, 4), torch.zeros(2, 4), mask, gamma=gamma),
    ],
)
def test_bad_answers_and_discounts(function, unchecked):
    good = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 0]])
    for gap in ([0, 1, 0, 1], [1, 0, 1, 1]):
        with pytest.raises(
            ValueError, match="response_mask of row 1 has a gap: the tokens of an answer must be neighbours"
        ):
            function(torch.tensor([[0, 1, 1, 0], gap]))
    with pytest.raises(ValueError, match="response_mask counts no token of row 0"):
        function(torch.tensor([[0, 0, 0, 0], [0, 1, 1, 0]]))
    with pytest.raises(ValueError, match=r"response_mask must have shape \(2, 4\), got \(2, 3\)"):
        function(good[:, :3])
    for gamma in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=rf"gamma must lie in \[0, 1\], got {gamma}"):
            function(good, gamma)


def test_bad_lambda_and_values(unchecked):
    x, mask = torch.zeros(1, 3), torch.tensor([[0, 1, 1]])
    for lam in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=rf"lam must lie in \[0, 1\], got {lam}"):
            gae(x, x, mask, lam=lam)
    with pytest.raises(ValueError, match=r"values must have the shape of rewards, \(1, 3\), got \(1, 4\)"):
        gae(x, torch.zeros(1, 4), mask)


# --- answers with gaps: what a tool returned stands between the policy's own tokens ---


@quickly
@given(seed=st.integers(0, 999), gamma=st.sampled_from([0, 0.5, 1.0]), lam=st.sampled_from([0, 0.3, 1]))
def test_a_gap_is_stepped_over(seed, gamma, lam):
    """The same numbers as without the tool's tokens, which are cut out here by hand."""
    g = torch.Generator().manual_seed(seed)
    rewards, values = normal(g, 3, 7), normal(g, 3, 7)
    mask = torch.rand(3, 7, generator=g) < 0.5
    mask[torch.arange(3), torch.randint(0, 7, (3,), generator=g)] = True  # no row is empty
    found = gae(rewards, values, mask, gamma=gamma, lam=lam, allow_gaps=True)
    to_go = rewards_to_go(rewards, mask, gamma=gamma, allow_gaps=True)
    for b in range(3):
        own = mask[b]
        r, v, ones = rewards[b, own][None], values[b, own][None], torch.ones(1, int(own.sum())).bool()
        for ours, cut in zip(found, gae(r, v, ones, gamma=gamma, lam=lam)):
            torch.testing.assert_close(ours[b, own], cut[0])
            assert (ours[b, ~own] == 0).all()
        torch.testing.assert_close(to_go[b, own], rewards_to_go(r, ones, gamma=gamma)[0])
        assert (to_go[b, ~own] == 0).all()


def test_what_stands_in_a_gap_may_be_anything(generator):
    mask = torch.tensor([[0, 1, 1, 0, 0, 1]]).bool()
    rewards, values = normal(generator, 1, 6), normal(generator, 1, 6)
    strange = [x.masked_fill(~mask, math.nan) for x in (rewards, values)]
    torch.testing.assert_close(gae(*strange, mask, allow_gaps=True), gae(rewards, values, mask, allow_gaps=True))
    wanted = rewards_to_go(rewards, mask, allow_gaps=True)
    torch.testing.assert_close(rewards_to_go(strange[0], mask, allow_gaps=True), wanted)


# --- whitening ---


@quickly
@given(seed=st.integers(0, 999), scale=st.floats(0.1, 100), shift=st.floats(-100, 100))
def test_whitened_values_have_mean_zero_and_variance_one_over_the_batch(seed, scale, shift):
    values = normal(torch.Generator().manual_seed(seed), 4, 6)
    found = whiten(scale * values + shift, MASK)
    kept = found[MASK].tolist()
    mean = sum(kept) / len(kept)
    assert mean == pytest.approx(0, abs=1e-9)
    assert sum((x - mean) ** 2 for x in kept) / len(kept) == pytest.approx(1, rel=1e-4)
    torch.testing.assert_close(found, whiten(values, MASK), rtol=1e-4, atol=1e-6)
    assert (found[~MASK] == 0).all()


@pytest.mark.parametrize("value", [0.0, 0.1, 10000.1])
@pytest.mark.parametrize("mask", [[[1, 1, 1, 0], [1, 1, 1, 1]], [[1, 0, 0, 0]]])
def test_equal_values_whiten_to_zeros(value, mask):
    """The mean of seven equal values is not always that value: rounding over a tiny variance is not nothing."""
    mask = torch.tensor(mask)
    assert (whiten(torch.full(mask.shape, value), mask) == 0).all()


@quickly
@given(seed=st.integers(0, 999))
def test_unbiased_whitening_divides_by_one_less(seed):
    values = normal(torch.Generator().manual_seed(seed), 4, 6)
    kept = values[MASK].tolist()
    mean = sum(kept) / len(kept)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in kept) / (len(kept) - 1))
    found = whiten(values, MASK, unbiased=True)
    assert found[MASK].tolist() == pytest.approx([(x - mean) / deviation for x in kept], rel=1e-6)
    assert (found[~MASK] == 0).all()


def test_a_lone_value_whitens_to_zero_although_its_variance_is_none():
    assert whiten(torch.tensor([[0.0, 5.0]]), torch.tensor([[0, 1]]), unbiased=True).tolist() == [[0.0, 0.0]]


def test_bad_input_to_whiten(unchecked):
    with pytest.raises(ValueError, match="mask counts no token of row 0"):
        whiten(torch.zeros(1, 2), torch.zeros(1, 2).bool())
    with pytest.raises(ValueError, match=r"mask must have shape \(1, 2\), got \(2, 1\)"):
        whiten(torch.zeros(1, 2), torch.ones(2, 1).bool())


# --- groups of answers to one prompt ---

groups = st.tuples(st.integers(1, 4), st.integers(2, 6), st.integers(0, 999))


@quickly
@given(groups)
def test_rloo_by_loops(shape):
    P, N, seed = shape
    rewards = normal(torch.Generator().manual_seed(seed), P, N)
    found = rloo(rewards)
    for p in range(P):
        for i in range(N):
            others = [rewards[p, j].item() for j in range(N) if j != i]
            assert found[p, i].item() == pytest.approx(rewards[p, i].item() - sum(others) / (N - 1), abs=1e-12)


def test_the_baseline_of_rloo_does_not_look_at_its_own_answer(generator):
    rewards = normal(generator, 2, 4)
    other = rewards.clone()
    other[0, 1] += 5
    assert (rloo(other) - rloo(rewards))[0, 1].item() == pytest.approx(5, rel=1e-12)
    torch.testing.assert_close(rloo(other)[1], rloo(rewards)[1])  # nor at other prompts


@quickly
@given(groups)
def test_grpo_by_loops(shape):
    P, N, seed = shape
    rewards = normal(torch.Generator().manual_seed(seed), P, N)
    plain, scaled = grpo_advantages(rewards, scale=False), grpo_advantages(rewards)
    for p in range(P):
        row = rewards[p].tolist()
        mean = sum(row) / N
        std = math.sqrt(sum((r - mean) ** 2 for r in row) / (N - 1))
        assert plain[p].tolist() == pytest.approx([r - mean for r in row], abs=1e-12)
        assert scaled[p].tolist() == pytest.approx([(r - mean) / (std + 1e-4) for r in row], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("function", [rloo, grpo_advantages, lambda r: grpo_advantages(r, scale=False)])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e4, -7.3])
def test_equal_rewards_teach_nothing(function, value):
    """0 / 0 is NaN, and the rounding of the mean over an ε of 1e-4 is not nothing."""
    rewards = torch.full((2, 7), value)
    rewards[1, 0] += 1
    found = function(rewards)
    assert found.isfinite().all() and found[0].abs().max() <= 1e-6 * abs(value) and found[1, 0] > 0


def test_equal_rewards_of_grpo_are_exact_zeros():
    assert grpo_advantages(torch.full((1, 3), 0.1)).tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("function", [rloo, grpo_advantages])
def test_bad_groups(function, unchecked):
    with pytest.raises(ValueError, match="rewards must hold at least 2 answers to each prompt to compare, got 1"):
        function(torch.zeros(3, 1))
    with pytest.raises(ValueError, match=r"rewards must have shape \(P, N\), got \(3,\)"):
        function(torch.zeros(3))


def test_epsilon_is_added_to_the_variance_of_whitening_and_to_the_deviation_of_grpo():
    """−1 and 1: variance 1 (deviation √2 of two, over N − 1)."""
    pair, mask = torch.tensor([[-1.0, 1.0]], dtype=torch.float64), torch.ones(1, 2).bool()
    assert whiten(pair, mask, eps=3.0).tolist() == [pytest.approx([-0.5, 0.5])]
    assert whiten(pair, mask, unbiased=True, eps=2.0).tolist() == [pytest.approx([-0.5, 0.5])]
    assert grpo_advantages(pair, eps=1.0).tolist() == [pytest.approx([-1 / (1 + 2**0.5), 1 / (1 + 2**0.5)])]
    assert grpo_advantages(pair, scale=False, eps=1.0).tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize("bad", [{"gamma": 0, "lam": 0}, {"gamma": 1, "lam": 1}])
def test_both_ends_of_a_discount_are_allowed(bad):
    x, mask = torch.ones(1, 3), torch.tensor([[0, 1, 1]])
    advantages, returns = gae(x, 2 * x, mask, **bad)
    assert advantages.tolist() == ([[0, -1, -1]] if bad["lam"] == 0 else [[0, 0, -1]])
    assert returns.tolist() == ([[0, 1, 1]] if bad["lam"] == 0 else [[0, 2, 1]])


def test_of_two_rows_with_gaps_the_first_is_named():
    mask = torch.tensor([[0, 1, 1], [1, 0, 1], [1, 0, 1]])
    with pytest.raises(ValueError, match="response_mask of row 1 has a gap"):
        gae(torch.ones(3, 3), torch.ones(3, 3), mask)
    with pytest.raises(ValueError, match="response_mask counts no token of row 1"):
        rewards_to_go(torch.ones(2, 2), torch.tensor([[1, 0], [0, 0]]), allow_gaps=True)
