r"""A reward for each answer from comparisons alone, and how uncertain it is (slide T28; Bradley and Terry 1952).

The items are the answers to *one* prompt: answers to different prompts are never compared, so no data tell how their
rewards differ. Newton's method in float64; Ford's condition (1957) decides beforehand whether there is a maximum.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from lib import checks
from lib.objectives import simulate_preferences


def simulate_comparisons(
    rewards: Float[Tensor, "M"], number: int, *, generator: torch.Generator | None = None
) -> tuple[Int[Tensor, "N"], Int[Tensor, "N"]]:
    """(winners, losers) of `number` comparisons, each of two different answers drawn at random (slide T27).

    Raises ValueError when there are fewer than two answers or `number` is less than 1.

    >>> winners, losers = simulate_comparisons(torch.tensor([80.0, 0.0]), 3)
    >>> winners, losers
    (tensor([0, 0, 0]), tensor([1, 1, 1]))
    """
    if len(rewards) < 2:
        raise ValueError(f"rewards must hold at least 2 answers to compare, got {len(rewards)}")
    checks.whole("number", number)
    first = torch.randint(len(rewards), (number,), generator=generator)
    second = (first + torch.randint(1, len(rewards), (number,), generator=generator)) % len(rewards)
    wins = simulate_preferences(rewards[first], rewards[second], generator=generator)
    return first.where(wins, second), second.where(wins, first)


@dataclass(frozen=True, eq=False)
class BradleyTerryFit:
    """The rewards under which the comparisons are most likely, and how well the data determine them."""

    rewards: Float[Tensor, "M"]  # float64, mean 0: a common shift cannot be known
    covariance: Float[Tensor, "M M"]  # of these centred rewards, the inverse of the information
    log_likelihood: float  # of all comparisons, in nats

    def difference(self, first: int, second: int) -> tuple[float, float]:
        r"""$\hat r_1 - \hat r_2$ and its standard error.

        Raises ValueError when an item does not exist or both are the same.
        """
        checks.whole("first", first, 0, len(self.rewards) - 1)
        checks.whole("second", second, 0, len(self.rewards) - 1)
        if first == second:
            raise ValueError(f"first and second must be two different items, got {first} twice")
        spread = self.covariance[first, first] + self.covariance[second, second] - 2 * self.covariance[first, second]
        return (self.rewards[first] - self.rewards[second]).item(), math.sqrt(spread)

    def interval(self, first: int, second: int, *, level: float = 0.95) -> tuple[float, float]:
        r"""Wald's interval for $r_1 - r_2$, which covers the truth in a share `level` of all data sets.

        Raises ValueError when `level` is not between 0 and 1, or as `difference` does.
        """
        estimate, error = self.difference(first, second)
        reach = _quantile(level) * error
        return estimate - reach, estimate + reach

    def centred_intervals(self, *, level: float = 0.95) -> Float[Tensor, "M 2"]:
        """The same for each centred reward: lower and upper ends. Raises ValueError as `interval` does."""
        reach = _quantile(level) * self.covariance.diagonal().sqrt()
        return torch.stack((self.rewards - reach, self.rewards + reach), dim=1)


def fit_bradley_terry(
    winners: Int[Tensor, "N"],
    losers: Int[Tensor, "N"],
    num_items: int,
    *,
    max_steps: int = 100,
    tolerance: float | int = 1e-8,
) -> BradleyTerryFit:
    r"""Maximise $\sum_i \log\sigma(r_{w_i} - r_{l_i})$ over one reward an item (slide T28), by Newton's method.

    Comparison i was won by item `winners[i]` and lost by `losers[i]`, both from 0 to `num_items` − 1. Stops when the next
    step would move no reward by more than `tolerance`. The maximum is finite and unique up to a shift where every way to
    part the items in two has seen wins across it in both directions (Ford 1957).
    Raises ValueError when there is no comparison, an item is unknown or compared with itself, some items were never compared
    with the others, or some never lost to the others; RuntimeError when `max_steps` do not suffice.

    >>> fit = fit_bradley_terry(torch.tensor([0, 0, 0, 1]), torch.tensor([1, 1, 1, 0]), 2)
    >>> round(fit.difference(0, 1)[0], 6) == round(math.log(3), 6)
    True
    """
    wins = _count(winners, losers, num_items)
    _require_maximum(wins)
    return _newton(
        partial(_log_likelihood, wins),
        partial(_slope_and_information, wins),
        num_items,
        max_steps=max_steps,
        tolerance=tolerance,
    )


def _newton(
    log_likelihood: Callable[[Tensor], Tensor],
    slope_and_information: Callable[[Tensor], tuple[Tensor, Tensor]],
    num_items: int,
    *,
    max_steps: int,
    tolerance: float | int,
) -> BradleyTerryFit:
    """The top of a concave log-likelihood that no common shift of the rewards changes, from all rewards 0.

    `slope_and_information` gives its gradient (M,) and minus its second derivative (M, M). Stops when the next step would
    move no reward by more than `tolerance`. Raises RuntimeError when `max_steps` do not suffice.
    """
    rewards = torch.zeros(num_items, dtype=torch.float64)
    for _ in range(max_steps):
        slope, information = slope_and_information(rewards)
        step = torch.linalg.solve(information + information.diagonal().mean() / num_items, slope)
        if step.abs().max() <= tolerance:
            # On rewards of mean 0 the inverse; along the shift, where nothing is known, zero.
            covariance = torch.linalg.inv(information + 1 / num_items) - 1 / num_items
            return BradleyTerryFit(rewards, covariance, log_likelihood(rewards).item())
        rewards = _climb(log_likelihood, rewards, step)
    raise RuntimeError(f"no maximum found in {max_steps} steps of Newton's method: raise max_steps or tolerance")


def recovery_error(
    rewards: Float[Tensor, "M"], number: int, *, repeats: int = 20, generator: torch.Generator | None = None
) -> float:
    """Root mean square error of fitted, centred rewards, over `repeats` simulated sets of `number` comparisons.

    Raises ValueError when `repeats` is less than 1, or as `simulate_comparisons` and `fit_bradley_terry` do.

    >>> recovery_error(torch.tensor([0.5, -0.5]), 100_000, generator=torch.Generator().manual_seed(0)) < 0.01
    True
    """
    checks.whole("repeats", repeats)
    truth = (rewards - rewards.mean()).double()
    squares = [
        (fit_bradley_terry(*simulate_comparisons(rewards, number, generator=generator), len(rewards)).rewards - truth)
        .square().mean()
        for _ in range(repeats)
    ]  # fmt: skip
    return torch.stack(squares).mean().sqrt().item()


def _count(winners: Tensor, losers: Tensor, num_items: int) -> Float[Tensor, "M M"]:
    """Entry (i, j): how often i won against j."""
    checks.whole("num_items", num_items, 2)
    checks.same_shape(winners=winners, losers=losers)
    checks.not_empty(winners=winners)
    checks.ids_below(num_items, winners=winners, losers=losers)
    same = winners == losers
    if same.any():
        row = int(same.nonzero()[0])
        raise ValueError(f"comparison {row} is of item {winners[row].item()} with itself: it says nothing")
    return torch.bincount(winners * num_items + losers, minlength=num_items**2).view(num_items, num_items).double()


def _require_maximum(wins: Float[Tensor, "M M"]) -> None:
    """Ford's condition: from every item a chain of wins leads to every other."""
    met = _reachable(wins + wins.T)
    if not met.all():
        alone = (~met[0]).nonzero()[:, 0].tolist()
        raise ValueError(
            f"items {alone} were never compared with the others, not even through a third: "
            "no data tell how their rewards differ"
        )
    above = _reachable(wins)  # [i, j]: a chain of wins leads down from i to j
    if not above.all():
        unbeaten = (above | ~above.T).all(dim=1).nonzero()[:, 0].tolist()
        if len(unbeaten) == 1:
            raise ValueError(f"item {unbeaten[0]} never lost: no finite reward is high enough for it")
        raise ValueError(f"items {unbeaten} never lost to any of the others: no finite lead is large enough for them")


def _reachable(steps: Float[Tensor, "M M"]) -> Bool[Tensor, "M M"]:
    """Which items can be reached from which, in any number of steps."""
    reach = (steps > 0) | torch.eye(len(steps), dtype=torch.bool)
    for _ in range(len(steps).bit_length()):
        reach = (reach.double() @ reach.double()) > 0
    return reach


def _slope_and_information(wins: Tensor, rewards: Tensor) -> tuple[Float[Tensor, "M"], Float[Tensor, "M M"]]:
    """Of the log-likelihood: its gradient, and minus its second derivative, whose rows sum to 0."""
    games = wins + wins.T
    chance = torch.sigmoid(rewards[:, None] - rewards)
    weight = games * chance * (1 - chance)
    return (wins - games * chance).sum(dim=1), weight.sum(dim=1).diag() - weight


def _log_likelihood(wins: Tensor, rewards: Tensor) -> Float[Tensor, ""]:
    return (wins * logsigmoid(rewards[:, None] - rewards)).sum()


def _climb(
    log_likelihood: Callable[[Tensor], Tensor], rewards: Float[Tensor, "M"], step: Float[Tensor, "M"]
) -> Float[Tensor, "M"]:
    """A Newton step, halved until the likelihood rises: far from the maximum a full step may overshoot."""
    before = log_likelihood(rewards)
    enough = before - 1e-12 * before.abs()  # at the top, steps are lost in rounding
    for _ in range(60):
        if log_likelihood(rewards + step) >= enough:  # NaN is not
            return rewards + step
        step = step / 2
    return rewards


def _quantile(level: float) -> float:
    checks.share("level", level, "(0, 1)")
    return torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64)).item()
