r"""One question, a handful of answers: a policy so small that everything about its estimates can be counted.

The mean of a gradient estimate, and its variance, are sums over all samples that could be drawn. Lecture 12 compares
baselines by these sums before it uses them on text.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checks
from lib.kernels import softmax
from lib.objectives import expected_reward

Advantages = Callable[[Float[Tensor, "P N"]], Float[Tensor, "P N"]]
"""Rewards of N answers to each of P prompts in, the weight of each answer out: `rloo`, `grpo_advantages`, …"""

MOST_GROUPS = 1_000_000  # K to the power of N: beyond it, estimate instead of counting


class Moments(NamedTuple):
    """What an estimate of the policy gradient is on average, and how much it scatters."""

    mean: Float[Tensor, "K"]
    variance: float  # summed over the K components


def no_baseline(rewards: Float[Tensor, "P N"]) -> Float[Tensor, "P N"]:
    """The rewards themselves, as on slide T31."""
    return rewards


def estimate_gradients(
    logits: Float[Tensor, "K"],
    answers: Tensor,
    rewards: Float[Tensor, "K"],
    advantages: Advantages = no_baseline,
) -> Float[Tensor, "P K"]:
    r"""$\frac1N \sum_i A_i \nabla \log \pi(y_i)$ for each row of N sampled answers (slide T31), one estimate a row.

    `answers` are (P, N) indices into `rewards`; the gradient is with respect to the logits.
    Raises ValueError when there is not one reward for each answer of the policy.

    >>> estimate_gradients(torch.zeros(2), torch.tensor([[0, 0]]), torch.tensor([1.0, -1.0]))
    tensor([[ 0.5000, -0.5000]])
    """
    checks.same_shape(logits=logits, rewards=rewards)
    scores = torch.eye(len(logits), dtype=logits.dtype)[answers] - softmax(logits)  # (P, N, K)
    return (advantages(rewards[answers])[..., None] * scores).mean(dim=1)


def estimator_moments(
    logits: Float[Tensor, "K"],
    rewards: Float[Tensor, "K"],
    advantages: Advantages = no_baseline,
    *,
    samples: int,
) -> Moments:
    """Exact mean and variance of an estimate from `samples` answers, counted over all groups that could be drawn.

    Raises ValueError for no samples, or more than a million groups.

    >>> world = torch.zeros(2), torch.tensor([1.0, -1.0])
    >>> moments = estimator_moments(*world, samples=1)
    >>> moments.mean, moments.variance  # one sample says the same here, whichever it is
    (tensor([ 0.5000, -0.5000]), 0.0)
    """
    if len(logits) ** checks.whole("samples", samples) > MOST_GROUPS:
        raise ValueError(f"samples must keep {len(logits)} ** samples within {MOST_GROUPS:,}, got {samples}")
    every = torch.cartesian_prod(*[torch.arange(len(logits))] * samples).view(-1, samples)
    chance = softmax(logits)[every].prod(dim=1)
    estimates = estimate_gradients(logits, every, rewards, advantages)
    mean = chance @ estimates
    return Moments(mean, (chance @ (estimates - mean).square()).sum().item())


def train_bandit(
    rewards: Float[Tensor, "K"],
    advantages: Advantages = no_baseline,
    *,
    steps: int,
    samples: int,
    learning_rate: float,
    seed: int = 0,
    start: Float[Tensor, "K"] | None = None,
) -> Float[Tensor, "steps K"]:
    r"""Slide T31's update from an undecided policy (or `start`), the policy after every step.

    $z \leftarrow z + \alpha \frac1N \sum_i A_i \nabla \log \pi(y_i)$ with N fresh `samples` a step; its earnings are
    the `expected_reward` of each row. In float64, so that a shift of all rewards that should not matter does not.
    Raises ValueError for less than one step or sample, and a `start` of another length.

    >>> policies = train_bandit(torch.tensor([1.0, 0.0]), steps=200, samples=4, learning_rate=0.5)
    >>> policies.shape, policies[-1, 0].item() > 0.9
    (torch.Size([200, 2]), True)
    """
    checks.whole("steps", steps)
    checks.whole("samples", samples)
    generator = torch.Generator().manual_seed(seed)
    rewards = rewards.double()
    logits = torch.zeros_like(rewards) if start is None else start.double().clone()
    policies = []
    for _ in range(steps):
        answers = torch.multinomial(softmax(logits), samples, replacement=True, generator=generator)
        logits = logits + learning_rate * estimate_gradients(logits, answers[None], rewards, advantages)[0]
        policies.append(softmax(logits))
    return torch.stack(policies)


def learning_curves(
    rewards: Float[Tensor, "K"],
    advantages: Advantages = no_baseline,
    *,
    seeds: range,
    steps: int = 150,
    samples: int = 4,
    learning_rate: float = 0.1,
    start: Float[Tensor, "K"] | None = None,
    proxy_rewards: Float[Tensor, "K"] | None = None,
) -> Float[Tensor, "R steps"]:
    """The exact expected reward after every step of `train_bandit`, one row for each seed.

    With `proxy_rewards` the policy learns from these, and is still judged by `rewards`.
    Raises ValueError as `train_bandit` does, and when there is no seed.

    >>> learning_curves(torch.tensor([1.0, 0.0]), seeds=range(3), steps=2).shape
    torch.Size([3, 2])
    """
    checks.not_empty(seeds=seeds)
    learnt_from = rewards if proxy_rewards is None else proxy_rewards
    settings = {"steps": steps, "samples": samples, "learning_rate": learning_rate, "start": start}
    runs = [train_bandit(learnt_from, advantages, **settings, seed=seed) for seed in seeds]
    policies = torch.stack(runs)
    return expected_reward(policies, rewards.double().expand_as(policies))


def z_scores(estimates: Float[Tensor, "P K"], exact: Float[Tensor, "K"]) -> Float[Tensor, "K"]:
    """How many standard errors the mean of many estimates lies from the exact value: within ±4, if they are unbiased.

    Raises ValueError for fewer than 2 estimates.

    >>> z_scores(torch.tensor([[1.0], [3.0]]), torch.tensor([2.0]))
    tensor([0.])
    """
    if len(estimates) < 2:
        raise ValueError(f"estimates must hold at least 2 estimates to measure their spread, got {len(estimates)}")
    return (estimates.mean(dim=0) - exact) / (estimates.std(dim=0) / len(estimates) ** 0.5)
