"""Whole rankings: drawn by the model, taken apart, fitted, with error bars that know which pairs belong together."""

from itertools import permutations

import pytest
import torch

from lib.evaluation import (
    clustered,
    fit_bradley_terry,
    fit_plackett_luce,
    pairs_of_rankings,
    simulate_rankings,
)
from lib.evaluation.bradley_terry import _climb
from lib.objectives import plackett_luce_loss

REWARDS = torch.tensor([1.0, 0.0, -0.5])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def probability(order):
    """Place by place, as Luce has it."""
    weights = [float(REWARDS[i].exp()) for i in order]
    return weights[0] / sum(weights) * weights[1] / sum(weights[1:])


def test_all_orders_are_drawn_as_often_as_their_probability_says():
    drawn = simulate_rankings(REWARDS, 40_000, generator=seeded()).tolist()
    chances = {order: probability(order) for order in permutations(range(3))}
    assert sum(chances.values()) == pytest.approx(1)
    for order, p in chances.items():
        assert drawn.count(list(order)) / 40_000 == pytest.approx(p, abs=5 * (p * (1 - p) / 40_000) ** 0.5)


def test_the_loss_is_minus_the_log_of_that_probability():
    for order in permutations(range(3)):
        loss = plackett_luce_loss(REWARDS[list(order)][None])
        assert loss.item() == pytest.approx(-torch.tensor(probability(order)).log().item(), rel=1e-5)


def test_pairs_carry_the_number_of_their_ranking():
    winners, losers, number = pairs_of_rankings(torch.tensor([[2, 0, 1], [0, 1, 2]]))
    assert list(zip(winners.tolist(), losers.tolist(), number.tolist())) == [
        (2, 0, 0), (2, 1, 0), (0, 1, 0), (0, 1, 1), (0, 2, 1), (1, 2, 1),
    ]  # fmt: skip


def test_the_fit_of_whole_rankings_has_no_slope_left_and_autograd_s_curvature():
    rankings = simulate_rankings(torch.tensor([1.0, 0.0, -1.0, 0.5]), 60, generator=seeded())
    fit = fit_plackett_luce(rankings)

    def loss(rewards):
        return 60 * plackett_luce_loss(rewards[rankings])

    (slope,) = torch.autograd.grad(loss(start := fit.rewards.clone().requires_grad_()), start)
    information = torch.autograd.functional.hessian(loss, fit.rewards)
    centred = torch.eye(4, dtype=torch.float64) - 0.25
    assert slope.abs().max() < 1e-6 and fit.rewards.sum().abs() < 1e-9
    assert torch.allclose(fit.covariance @ information, centred, atol=1e-6)
    assert fit.log_likelihood == pytest.approx(-loss(fit.rewards).item())


def test_for_two_answers_it_is_bradley_and_terry():
    rankings = torch.tensor([[0, 1]] * 7 + [[1, 0]] * 3)
    whole, pairs = fit_plackett_luce(rankings), fit_bradley_terry(*pairs_of_rankings(rankings)[:2], 2)
    assert whole.difference(0, 1) == pytest.approx(pairs.difference(0, 1))


def test_a_step_too_far_is_halved_until_the_likelihood_rises():
    top = torch.tensor([0.5, -0.5]).double()

    def log_likelihood(rewards):
        return -(rewards - top).square().sum()

    start, step = torch.tensor([1.5, -1.5]).double(), torch.tensor([-9.0, 9.0]).double()
    assert torch.equal(_climb(log_likelihood, start, step), start + step / 8)  # a quarter is still too far


@pytest.mark.parametrize("tolerance", [0.49, 0.03, 1e-3])
def test_rankings_of_two_are_climbed_in_the_steps_of_their_pairs(tolerance):
    rankings = torch.tensor([[0, 1]] * 30 + [[1, 0]] * 10)
    winners, losers, _ = pairs_of_rankings(rankings)
    whole, pairs = (
        fit_plackett_luce(rankings, tolerance=tolerance),
        fit_bradley_terry(winners, losers, 2, tolerance=tolerance),
    )
    assert torch.allclose(whole.rewards, pairs.rewards, atol=1e-12) and whole.rewards.abs().min() > 0
    assert torch.allclose(whole.covariance, pairs.covariance)
    with pytest.raises(RuntimeError, match="in 1 steps of Newton's method"):
        fit_plackett_luce(rankings, max_steps=1, tolerance=tolerance)


def test_lopsided_rankings_converge():
    """Answer 0 lost once in 20,000 to 1, and 1 once to 2: the maximum is far from where the climb begins."""
    orders = torch.tensor([[0, 1, 2], [1, 0, 2], [0, 2, 1]])
    rankings = orders.repeat_interleave(torch.tensor([19_998, 1, 1]), dim=0)
    rankings = torch.cat((rankings, torch.tensor([[2, 1, 0]])))
    fit = fit_plackett_luce(rankings)
    start = fit.rewards.clone().requires_grad_()
    (slope,) = torch.autograd.grad(len(rankings) * plackett_luce_loss(start[rankings]), start)
    assert slope.abs().max() < 1e-5 and fit.difference(0, 1)[0] > 8


def test_the_sandwich_is_what_two_loops_say():
    winners, losers, number = pairs_of_rankings(simulate_rankings(REWARDS, 30, generator=seeded()))
    fit = fit_bradley_terry(winners, losers, 3)
    meat = torch.zeros(3, 3, dtype=torch.float64)
    for n in range(30):
        s = torch.zeros(3, dtype=torch.float64)
        for w, l in zip(winners[number == n], losers[number == n]):
            s[w] += torch.sigmoid(fit.rewards[l] - fit.rewards[w])
            s[l] -= torch.sigmoid(fit.rewards[l] - fit.rewards[w])
        meat += torch.outer(s, s)
    robust = clustered(fit, winners, losers, number * 7 - 3)  # any names of groups
    assert torch.allclose(robust.covariance, fit.covariance @ meat @ fit.covariance)
    assert torch.equal(robust.rewards, fit.rewards)


def test_a_group_per_pair_gives_nearly_the_usual_error():
    winners, losers, _ = pairs_of_rankings(simulate_rankings(REWARDS[:2], 5000, generator=seeded()))
    fit = fit_bradley_terry(winners, losers, 2)
    robust = clustered(fit, winners, losers, torch.arange(5000))
    assert robust.difference(0, 1)[1] == pytest.approx(fit.difference(0, 1)[1], rel=0.01)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: simulate_rankings(torch.zeros(1), 3), "at least 2 answers"),
        (lambda: simulate_rankings(torch.zeros(3), 0), "number"),
        (lambda: simulate_rankings(torch.tensor([0.0, float("inf")]), 3), "rewards"),
        (lambda: pairs_of_rankings(torch.zeros(2, 1, dtype=torch.long)), "at least 2 answers"),
        (lambda: pairs_of_rankings(torch.zeros(0, 2, dtype=torch.long)), "rankings"),
        (lambda: fit_plackett_luce(torch.tensor([[0, 0], [0, 1]])), "itself|once"),
        (lambda: fit_plackett_luce(torch.tensor([[0, 1, 2], [1, 0, 2]])), "never lost|never"),
        (lambda: plackett_luce_loss(torch.zeros(2, 1)), "at least 2 answers"),
        (lambda: plackett_luce_loss(torch.zeros(0, 2)), "rewards"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_group_is_too_few():
    winners, losers, number = pairs_of_rankings(torch.tensor([[0, 1], [1, 0]]))
    fit = fit_bradley_terry(winners, losers, 2)
    with pytest.raises(ValueError, match="at least 2 groups"):
        clustered(fit, winners, losers, torch.zeros_like(number))
    with pytest.raises(TypeError, match="rankings"):
        pairs_of_rankings(torch.zeros(2, 2))
