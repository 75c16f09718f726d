r"""From "this answer is better than that one" to a number for each (slides T26–T28; Bradley and Terry 1952)."""

from collections.abc import Sequence
from itertools import combinations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from lib import checks
from lib.kernels import sigmoid


def bradley_terry_probability(first: Float[Tensor, "*B"], second: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    r"""$p(y_1 \succ y_2 \mid x) = \frac{e^{r_1}}{e^{r_1} + e^{r_2}} = \sigma(r_1 - r_2)$ (slide T28).

    `first` and `second` are the rewards of the two answers to one prompt; only their difference matters.
    Raises ValueError when their shapes differ.

    >>> round(bradley_terry_probability(torch.tensor(2.0), torch.tensor(1.0)).item(), 4)
    0.7311
    """
    checks.same_shape(first=first, second=second)
    return sigmoid(first - second)


def simulate_preferences(
    rewards_first: Float[Tensor, "N"], rewards_second: Float[Tensor, "N"], *, generator: torch.Generator | None = None
) -> Bool[Tensor, "N"]:
    r"""True where a simulated labeller prefers the first answer: with probability $\sigma(r_1 - r_2)$ (slides T27, T28).

    Raises ValueError when the shapes differ, there is no pair, or a reward is not finite.

    >>> simulate_preferences(torch.tensor([50.0, -50.0]), torch.zeros(2))
    tensor([ True, False])
    """
    checks.not_empty(rewards_first=rewards_first)
    checks.finite(rewards_first=rewards_first, rewards_second=rewards_second)
    wins = bradley_terry_probability(rewards_first, rewards_second)
    return torch.rand(wins.shape, generator=generator, dtype=wins.dtype) < wins


def bradley_terry_loss(
    chosen: Float[Tensor, "B"], rejected: Float[Tensor, "B"], *, margin: Float[Tensor, "B"] | float | int | None = None
) -> Float[Tensor, ""]:
    r"""$-\mathbb{E}[\log \sigma(r(x, y_w) - r(x, y_l) - m)]$: the mean over pairs, in nats (slide T28).

    `chosen` holds the rewards of the preferred answers. With a `margin` m ≥ 0 the loss keeps pushing until an answer is
    better by about that much (Touvron et al. 2023, section 3.2.2). Slide T26 prints the loss without its minus.
    Raises ValueError when there is no pair, the shapes differ or the margin is negative.

    >>> round(bradley_terry_loss(torch.tensor([2.0]), torch.tensor([1.0])).item(), 5)
    0.31326
    """
    checks.same_shape(chosen=chosen, rejected=rejected)
    checks.not_empty(chosen=chosen)
    difference = chosen - rejected
    if margin is not None:
        difference = difference - _checked_margin(margin, chosen)
    return -logsigmoid(difference).mean()


def pairs_from_ranking(ranks: Sequence[int]) -> list[tuple[int, int]]:
    """All (better, worse) pairs of answers in a ranking, by their index: K(K−1)/2 of them without ties (slide C34).

    `ranks[i]` is the rank of answer i, 1 for the best; two answers of the same rank make no pair.
    Raises ValueError for fewer than two answers and TypeError for a rank that is no whole number.

    >>> pairs_from_ranking([2, 1, 2])
    [(1, 0), (1, 2)]
    """
    if len(ranks) < 2:
        raise ValueError(f"ranks must hold at least 2 answers to compare, got {len(ranks)}")
    ranks = [checks.whole("each of ranks", rank, at_least=None) for rank in ranks]
    pairs = combinations(range(len(ranks)), 2)
    return [(i, j) if ranks[i] < ranks[j] else (j, i) for i, j in pairs if ranks[i] != ranks[j]]


def centre_rewards(rewards: Float[Tensor, "N"], prompts: Int[Tensor, "N"]) -> Float[Tensor, "N"]:
    r"""$r(x, y) - \mathbb{E}_{y \mid x}[r(x, y)]$: rewards whose mean is 0 for each prompt (slide T28).

    `prompts[i]` says which prompt answer i belongs to. No comparison of two answers to one prompt is changed by it,
    nor the spread of the rewards of one prompt; only the differences between prompts go.
    Raises ValueError when there is nothing to centre or the shapes differ.

    >>> centre_rewards(torch.tensor([1.0, 3.0, 10.0]), torch.tensor([0, 0, 7]))
    tensor([-1.,  1.,  0.])
    """
    checks.same_shape(rewards=rewards, prompts=prompts)
    checks.not_empty(rewards=rewards)
    _, group, sizes = prompts.unique(return_inverse=True, return_counts=True)
    totals = rewards.new_zeros(len(sizes)).index_add(0, group, rewards)
    return rewards - (totals / sizes)[group]


def plackett_luce_loss(rewards: Float[Tensor, "N K"]) -> Float[Tensor, ""]:
    r"""$-\frac1N\sum_i\log\prod_{j=1}^{K-1}\frac{e^{r_{ij}}}{\sum_{l\ge j}e^{r_{il}}}$: the mean over rankings, in nats.

    Row i holds the rewards of the K answers of ranking i, the best first: each place is a choice among those that are left
    (Luce 1959; Plackett 1975). For K = 2 it is `bradley_terry_loss`.
    Raises ValueError when there is no ranking or a ranking holds fewer than two answers.

    >>> round(plackett_luce_loss(torch.tensor([[2.0, 1.0, 0.0]])).item(), 4)
    0.7209
    """
    checks.not_empty(rewards=rewards)
    if rewards.shape[1] < 2:
        raise ValueError(f"rewards must hold at least 2 answers per ranking, got {rewards.shape[1]}")
    rewards = (
        rewards - rewards.amax(dim=1, keepdim=True).detach()
    )  # a shift changes nothing, and small numbers are precise
    left = rewards.flip(dims=(1,)).logcumsumexp(dim=1).flip(dims=(1,))  # (N, K) log of the sum over those still left
    return (left - rewards)[:, :-1].sum(dim=1).mean()


def _checked_margin(margin: Tensor | float | int, chosen: Tensor) -> Tensor:
    """The margin as a tensor, once it is known to be one number, or one for each pair, and not negative."""
    margin = torch.as_tensor(margin, dtype=chosen.dtype, device=chosen.device)
    if margin.dim():
        checks.same_shape(chosen=chosen, margin=margin)
    if not (margin >= 0).all():
        raise ValueError(f"margin must be at least 0, got {margin.min().item()}")
    return margin
