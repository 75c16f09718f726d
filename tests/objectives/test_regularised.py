"""Exact worlds, held against loops, automatic differentiation and each other."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.objectives import exact_policy_gradient, expected_reward, optimal_policy, regularised_objective

quickly = settings(max_examples=50)
seeds, answers, betas = st.integers(0, 999), st.integers(1, 6), st.sampled_from([0.1, 0.5, 1, 3.0])


def numbers(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def world(seed, *shape):
    """A policy, a reference and rewards."""
    policy, reference, rewards = numbers(seed, 3, *shape)
    return torch.softmax(policy, -1), torch.softmax(reference, -1), rewards


@quickly
@given(seeds, answers)
def test_expected_reward_by_loops(seed, K):
    policy, _, rewards = world(seed, 2, K)
    expected = [sum(p * r for p, r in zip(*rows)) for rows in zip(policy.tolist(), rewards.tolist())]
    assert expected_reward(policy, rewards).tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@quickly
@given(seeds, answers, betas)
def test_regularised_objective_by_loops(seed, K, beta):
    policy, reference, rewards = world(seed, 2, K)
    found = regularised_objective(policy, reference, rewards, beta=beta)
    for b in range(2):
        rows = zip(policy[b].tolist(), reference[b].tolist(), rewards[b].tolist())
        expected = sum(p * (r - beta * math.log(p / q)) for p, q, r in rows)
        assert found[b].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@quickly
@given(seeds, answers)
def test_exact_gradient_is_that_of_the_expected_reward(seed, K):
    logits, rewards = numbers(seed, 2, K)
    logits.requires_grad_()
    wanted = torch.autograd.grad(expected_reward(torch.softmax(logits, -1), rewards), logits)[0]
    found = exact_policy_gradient(logits.detach(), rewards)
    torch.testing.assert_close(found, wanted)
    assert found.sum().item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(exact_policy_gradient(logits.detach(), rewards + 7), found)  # no baseline moves it


def test_gradients_in_float64():
    policy, reference, rewards = (x.requires_grad_() for x in world(0, 2, 4))
    log_p, log_q = (x.detach().log().requires_grad_() for x in (policy, reference))
    assert torch.autograd.gradcheck(lambda z, r: expected_reward(z.softmax(-1), r), (log_p, rewards))
    assert torch.autograd.gradcheck(
        lambda z, w, r: regularised_objective(z.softmax(-1), w.softmax(-1), r, beta=0.3), (log_p, log_q, rewards)
    )
    assert torch.autograd.gradcheck(lambda w, r: optimal_policy(w.softmax(-1), r, beta=0.3), (log_q, rewards))
    assert torch.autograd.gradcheck(exact_policy_gradient, (log_p[0], rewards[0]))


# --- the optimum ---


@quickly
@given(seeds, answers, betas)
def test_optimal_policy_by_loops(seed, K, beta):
    _, reference, rewards = world(seed, 2, K)
    found = optimal_policy(reference, rewards, beta=beta)
    for b in range(2):
        weights = [q * math.exp(r / beta) for q, r in zip(reference[b].tolist(), rewards[b].tolist())]
        assert found[b].tolist() == pytest.approx([w / sum(weights) for w in weights], rel=1e-9)


@quickly
@given(seeds, answers, betas)
def test_at_the_optimum_the_objective_is_beta_log_z_and_no_policy_has_more(seed, K, beta):
    policy, reference, rewards = world(seed, K)
    best = regularised_objective(optimal_policy(reference, rewards, beta=beta), reference, rewards, beta=beta)
    log_z = (reference * (rewards / beta).exp()).sum().log()
    assert best.item() == pytest.approx(beta * log_z.item(), rel=1e-9, abs=1e-12)
    assert regularised_objective(policy, reference, rewards, beta=beta) <= best + 1e-12


def test_a_long_leash_finds_the_best_answer_and_a_short_one_stays_home():
    _, reference, rewards = world(1, 5)
    torch.testing.assert_close(optimal_policy(reference, rewards, beta=1e6), reference, atol=1e-5, rtol=0)
    greedy = torch.zeros(5, dtype=torch.float64)
    greedy[rewards.argmax()] = 1
    torch.testing.assert_close(optimal_policy(reference, rewards, beta=1e-3), greedy, atol=1e-12, rtol=0)


@quickly
@given(seeds, st.floats(-100, 100))
def test_a_reward_of_everything_changes_nothing(seed, shift):
    _, reference, rewards = world(seed, 4)
    moved = optimal_policy(reference, rewards + shift, beta=0.5)
    torch.testing.assert_close(moved, optimal_policy(reference, rewards, beta=0.5), rtol=1e-9, atol=1e-12)


def test_what_the_reference_never_writes_stays_unwritten():
    reference, rewards = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([1.0, 0.0, 1e4])
    best = optimal_policy(reference, rewards, beta=1.0)
    assert best[2] == 0 and best[0].item() == pytest.approx(1 / (1 + math.exp(-1)), rel=1e-6)
    assert regularised_objective(best, reference, rewards, beta=1.0).isfinite()
    assert regularised_objective(torch.tensor([0.0, 0.0, 1.0]), reference, rewards, beta=1.0).item() == -math.inf


@pytest.mark.parametrize("beta", [1e-4, 1.0])
def test_huge_rewards_stay_finite(beta):
    """exp(r / β) is infinite here, and so is its sum."""
    reference = torch.tensor([0.25, 0.25, 0.5], requires_grad=True)
    rewards = torch.tensor([1e4, 1e4, -1e4], requires_grad=True)
    best = optimal_policy(reference, rewards, beta=beta)
    torch.testing.assert_close(best, torch.tensor([0.5, 0.5, 0.0]))
    best[0].backward()
    assert reference.grad.isfinite().all() and rewards.grad.isfinite().all()


@pytest.mark.parametrize("rewards", [[1e4, 1e4, 1e4], [-1.0, -1.0, 1e4]])
def test_equal_rewards_leave_the_reference_as_it_is_though_others_are_huge(rewards):
    """r/β of 1e7 has no digits left for log π_ref; what the reference never writes must not set the scale either."""
    reference = torch.tensor([0.7, 0.3, 0.0])
    best = optimal_policy(reference, torch.tensor(rewards), beta=1e-3)
    torch.testing.assert_close(best, reference, rtol=1e-5, atol=0)


def test_huge_logits_have_a_finite_gradient():
    found = exact_policy_gradient(torch.tensor([1e4, -1e4, 1e4]), torch.tensor([1.0, 5.0, 0.0]))
    assert found.tolist() == [0.25, 0.0, -0.25]


# --- bad input ---

GOOD, REWARDS = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([0.5, 0.6], "{name} must sum to 1 over its answers, got a sum of 1.1: it takes probabilities, not logits"),
        ([0.2, 0.2], "{name} must sum to 1 over its answers, got a sum of 0.4"),
        ([1.5, -0.5], "{name} must hold probabilities of at least 0, got -0.5"),
        ([math.nan, 1.0], "{name} must hold probabilities of at least 0, got nan"),
    ],
)
def test_what_is_no_distribution(bad, message, unchecked):
    bad = torch.tensor(bad)
    with pytest.raises(ValueError, match=message.format(name="policy")):
        expected_reward(bad, REWARDS)
    with pytest.raises(ValueError, match=message.format(name="policy")):
        regularised_objective(bad, GOOD, REWARDS, beta=1.0)
    with pytest.raises(ValueError, match=message.format(name="reference")):
        regularised_objective(GOOD, bad, REWARDS, beta=1.0)
    with pytest.raises(ValueError, match=message.format(name="reference")):
        optimal_policy(bad, REWARDS, beta=1.0)


def test_one_bad_row_among_good_ones_is_found(unchecked):
    with pytest.raises(ValueError, match="policy must sum to 1 over its answers, got a sum of 0.9"):
        expected_reward(torch.tensor([[0.5, 0.5], [0.5, 0.4]]), torch.zeros(2, 2))


def test_rounding_of_float32_is_no_error():
    policy = torch.softmax(numbers(0, 4000).float() * 3, -1)
    expected_reward(policy, torch.zeros(4000))


@pytest.mark.parametrize("beta", [0.0, -1.0, math.inf, math.nan])
def test_bad_beta(beta, unchecked):
    with pytest.raises(ValueError, match=f"beta must be a finite number above 0, got {beta}"):
        regularised_objective(GOOD, GOOD, REWARDS, beta=beta)
    with pytest.raises(ValueError, match=f"beta must be a finite number above 0, got {beta}"):
        optimal_policy(GOOD, REWARDS, beta=beta)


def test_bad_shapes_and_rewards(unchecked):
    three = torch.zeros(3)
    with pytest.raises(ValueError, match=r"rewards must have the shape of policy, \(2,\), got \(3,\)"):
        expected_reward(GOOD, three)
    with pytest.raises(ValueError, match=r"rewards must have the shape of logits, \(2,\), got \(3,\)"):
        exact_policy_gradient(GOOD, three)
    with pytest.raises(ValueError, match=r"reference must have the shape of policy, \(2,\), got \(3,\)"):
        regularised_objective(GOOD, three, REWARDS, beta=1.0)
    with pytest.raises(ValueError, match=r"rewards must have the shape of policy, \(2,\), got \(3,\)"):
        regularised_objective(GOOD, GOOD, three, beta=1.0)
    with pytest.raises(ValueError, match=r"rewards must have the shape of reference, \(2,\), got \(3,\)"):
        optimal_policy(GOOD, three, beta=1.0)
    for value in (math.inf, -math.inf, math.nan):
        with pytest.raises(ValueError, match="rewards must be finite"):
            optimal_policy(GOOD, torch.tensor([1.0, value]), beta=1.0)


@pytest.mark.parametrize("sum_, fine", [(1.00009, True), (0.99991, True), (1.0002, False), (0.9998, False)])
def test_how_near_to_one_a_sum_must_be(sum_, fine, unchecked):
    policy = torch.tensor([0.5, sum_ - 0.5], dtype=torch.float64)
    calls = [
        lambda: expected_reward(policy, REWARDS.double()),
        lambda: optimal_policy(policy, REWARDS.double(), beta=1.0),
    ]
    for call in calls:
        if fine:
            call()
        else:
            with pytest.raises(ValueError, match="must sum to 1 over its answers"):
                call()
