r"""Whole rankings: drawn, taken apart into pairs, and how uncertain a fit to such pairs is.

Luce (1959) and Plackett (1975): the best of K answers is chosen with probability softmax(r), then the best of the rest, and
so on. Of two answers the one with reward $r_1$ then stands before the other with probability $\sigma(r_1 - r_2)$, as
Bradley and Terry have it. But the pairs of *one* ranking depend on each other, and an interval has to know that.
"""

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib import checks
from lib.evaluation.bradley_terry import BradleyTerryFit, _count, _newton, _require_maximum
from lib.objectives import plackett_luce_loss


def simulate_rankings(
    rewards: Float[Tensor, "K"], number: int, *, generator: torch.Generator | None = None
) -> Int[Tensor, "N K"]:
    r"""`number` rankings of the same K answers by Plackett and Luce's model, each a row of indices, the best first.

    Drawn at once: rewards plus independent Gumbel noise, sorted (Yellott 1977 shows that it is the same model).
    Raises ValueError when there are fewer than two answers, a reward is not finite or `number` is less than 1.

    >>> simulate_rankings(torch.tensor([0.0, 200.0, 100.0]), 2)
    tensor([[1, 2, 0],
            [1, 2, 0]])
    """
    if len(rewards) < 2:
        raise ValueError(f"rewards must hold at least 2 answers to rank, got {len(rewards)}")
    checks.whole("number", number)
    checks.finite(rewards=rewards)
    uniform = torch.rand(number, len(rewards), generator=generator, dtype=torch.float64)
    noise = -torch.log(-torch.log(uniform.clamp(min=1e-300)))
    return (rewards + noise).argsort(dim=1, descending=True)


def pairs_of_rankings(rankings: Int[Tensor, "N K"]) -> tuple[Int[Tensor, "P"], Int[Tensor, "P"], Int[Tensor, "P"]]:
    """(winners, losers, ranking) of all N · K(K−1)/2 pairs; `ranking` says which row each pair comes from.

    Raises ValueError when a ranking holds fewer than two answers or there is none, TypeError unless it holds integers.

    >>> pairs_of_rankings(torch.tensor([[2, 0, 1]]))
    (tensor([2, 2, 0]), tensor([0, 1, 1]), tensor([0, 0, 0]))
    """
    checks.integers(rankings=rankings)
    checks.not_empty(rankings=rankings)
    if rankings.shape[1] < 2:
        raise ValueError(f"rankings must hold at least 2 answers each, got {rankings.shape[1]}")
    first, second = torch.triu_indices(rankings.shape[1], rankings.shape[1], offset=1)
    number = torch.arange(len(rankings))[:, None].expand(-1, len(first))
    return rankings[:, first].flatten(), rankings[:, second].flatten(), number.flatten()


def clustered(
    fit: BradleyTerryFit, winners: Int[Tensor, "P"], losers: Int[Tensor, "P"], groups: Int[Tensor, "P"]
) -> BradleyTerryFit:
    r"""The same fit with a covariance that lets the comparisons of one group depend on each other.

    $C (\sum_g s_g s_g^\top) C$, the *sandwich* by cluster (Liang and Zeger 1986): C is the covariance for independent
    comparisons, $s_g$ the sum of the log-likelihood's slopes over the comparisons of group g. For some dozens of groups or more.
    Raises ValueError when the shapes differ, an item is unknown or there are fewer than two groups.

    >>> from lib.evaluation import fit_bradley_terry
    >>> rankings = simulate_rankings(torch.tensor([0.0, 0.5, 1.0]), 200, generator=torch.Generator().manual_seed(0))
    >>> winners, losers, groups = pairs_of_rankings(rankings)
    >>> fit = fit_bradley_terry(winners, losers, 3)
    >>> bool(clustered(fit, winners, losers, groups).difference(2, 0)[1] > fit.difference(2, 0)[1])
    True
    """
    checks.same_shape(winners=winners, losers=losers, groups=groups)
    checks.ids_below(len(fit.rewards), winners=winners, losers=losers)
    names, group = groups.unique(return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"groups must name at least 2 groups, got {len(names)}")
    surprise = torch.sigmoid(fit.rewards[losers] - fit.rewards[winners])  # 1 − p: the slope of a pair's log-likelihood
    slopes = fit.rewards.new_zeros(len(names), len(fit.rewards))
    slopes.index_put_((group, winners), surprise, accumulate=True)
    slopes.index_put_((group, losers), -surprise, accumulate=True)
    covariance = fit.covariance @ (slopes.T @ slopes) @ fit.covariance
    return BradleyTerryFit(fit.rewards, covariance, fit.log_likelihood)


def fit_plackett_luce(
    rankings: Int[Tensor, "N K"], *, max_steps: int = 100, tolerance: float | int = 1e-8
) -> BradleyTerryFit:
    r"""The rewards under which whole rankings of the same K answers are most likely, by Newton's method in float64.

    It exists where Ford's condition holds for the pairs of the rankings (Hunter 2004). The covariance is the inverse of the
    information: right where the rankings follow Plackett and Luce's model.
    Raises ValueError as `pairs_of_rankings` and `fit_bradley_terry` do, or unless each row holds 0 to K − 1 once;
    RuntimeError when `max_steps` do not suffice.

    >>> fit = fit_plackett_luce(torch.tensor([[0, 1], [0, 1], [0, 1], [1, 0]]))
    >>> round(fit.difference(0, 1)[0], 4)  # ln 3
    1.0986
    """
    winners, losers, _ = pairs_of_rankings(rankings)
    number, K = rankings.shape
    if not (rankings.sort(dim=1).values == torch.arange(K)).all():
        raise ValueError(f"each of rankings must hold the answers 0 to {K - 1} once")
    _require_maximum(_count(winners, losers, K))
    return _newton(
        lambda rewards: -number * plackett_luce_loss(rewards[rankings]),
        partial(_slope_and_information, rankings),
        K,
        max_steps=max_steps,
        tolerance=tolerance,
    )


def _slope_and_information(
    rankings: Int[Tensor, "N K"], rewards: Float[Tensor, "K"]
) -> tuple[Float[Tensor, "K"], Float[Tensor, "K K"]]:
    """Of the log-likelihood of all rankings: its gradient, and minus its second derivative."""
    number, K = rankings.shape
    slope, information = rewards.new_zeros(K), rewards.new_zeros(K, K)
    for place in range(K - 1):
        left = rankings[:, place:]
        chances = rewards.new_zeros(number, K).scatter_(1, left, rewards[left].softmax(dim=1))  # (N, K)
        slope += torch.bincount(left[:, 0], minlength=K) - chances.sum(dim=0)
        information += chances.sum(dim=0).diag() - chances.T @ chances
    return slope, information
