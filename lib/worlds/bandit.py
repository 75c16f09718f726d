r"""One prompt and a few answers: a policy so small that its gradient estimates can be examined exactly.

The mean and the variance of an estimate are sums over all samples that could be drawn. Lecture 12 compares baselines on
these sums before it uses them on text.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib.kernels import softmax
from lib.objectives import expected_reward
from lib.objectives.reduction import same_shape

Advantages = Callable[[Float[Tensor, "P N"]], Float[Tensor, "P N"]]
"""Maps the rewards of N answers to each of P prompts to the advantage of each answer: `rloo`, `grpo_advantages`, …"""

MAX_GROUPS = 1_000_000  # K to the power of N: beyond it, sample instead


class Moments(NamedTuple):
    """The mean and the variance of an estimate of the policy gradient."""

    mean: Float[Tensor, "K"]
    variance: float  # summed over the K components


def no_baseline(rewards: Float[Tensor, "P N"]) -> Float[Tensor, "P N"]:
    """The rewards themselves are the advantages, as on slide T31."""
    return rewards


def estimate_gradients(
    logits: Float[Tensor, "K"],
    answers: Tensor,
    rewards: Float[Tensor, "K"],
    advantages: Advantages = no_baseline,
) -> Float[Tensor, "P K"]:
    r"""$\frac1N \sum_i A_i \nabla \log \pi(y_i)$ for each row of N sampled answers (slide T31), one estimate per row.

    `answers` are (P, N) indices into `rewards`; the gradient is with respect to the logits.
    Raises ValueError when `logits` and `rewards` differ in length.

    >>> estimate_gradients(torch.zeros(2), torch.tensor([[0, 0]]), torch.tensor([1.0, -1.0]))
    tensor([[ 0.5000, -0.5000]])
    """
    same_shape(logits=logits, rewards=rewards)
    scores = torch.eye(len(logits), dtype=logits.dtype)[answers] - softmax(logits)  # (P, N, K)
    return (advantages(rewards[answers])[..., None] * scores).mean(dim=1)


def estimator_moments(
    logits: Float[Tensor, "K"],
    rewards: Float[Tensor, "K"],
    advantages: Advantages = no_baseline,
    *,
    samples: int,
) -> Moments:
    """Exact mean and variance of an estimate from `samples` answers, summed over all groups that could be drawn.

    Raises ValueError when `samples` is less than 1, or there are more than a million groups.

    >>> world = torch.zeros(2), torch.tensor([1.0, -1.0])
    >>> moments = estimator_moments(*world, samples=1)
    >>> moments.mean, moments.variance  # here both samples give the same estimate
    (tensor([ 0.5000, -0.5000]), 0.0)
    """
    if samples < 1 or len(logits) ** samples > MAX_GROUPS:
        raise ValueError(f"samples must be at least 1, and {len(logits)} ** samples at most {MAX_GROUPS:,}, "
                         f"got {samples}")
    every = torch.cartesian_prod(*[torch.arange(len(logits))] * samples).view(-1, samples)
    chance = softmax(logits)[every].prod(dim=1)
    estimates = estimate_gradients(logits, every, rewards, advantages)
    mean = chance @ estimates
    return Moments(mean, (chance @ (estimates - mean).square()).sum().item())


def train_policy(
    rewards: Float[Tensor, "K"],
    advantages: Advantages = no_baseline,
    *,
    steps: int,
    samples: int,
    learning_rate: float,
    seed: int = 0,
    start: Float[Tensor, "K"] | None = None,
) -> Float[Tensor, "steps K"]:
    r"""The policy after each step of slide T31's update, from the uniform policy (or the logits in `start`).

    $z \leftarrow z + \alpha \frac1N \sum_i A_i \nabla \log \pi(y_i)$ with N fresh `samples` per step. Apply
    `expected_reward` to a row for what the policy earns there. Computed in float64, so that rounding does not make a
    difference where a constant added to all rewards should make none.
    Raises ValueError when `steps` or `samples` is less than 1, or `start` has another length than `rewards`.

    >>> policies = train_policy(torch.tensor([1.0, 0.0]), steps=200, samples=4, learning_rate=0.5)
    >>> policies.shape, policies[-1, 0].item() > 0.9
    (torch.Size([200, 2]), True)
    """
    for name, value in (("steps", steps), ("samples", samples)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
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
    training_rewards: Float[Tensor, "K"] | None = None,
) -> Float[Tensor, "R steps"]:
    """The exact expected reward after every step of `train_policy`: one row per seed.

    With `training_rewards` the policy learns from these, and is still measured by `rewards`.
    Raises ValueError as `train_policy` does, and when `seeds` is empty.

    >>> learning_curves(torch.tensor([1.0, 0.0]), seeds=range(3), steps=2).shape
    torch.Size([3, 2])
    """
    if not seeds:
        raise ValueError(f"seeds must have at least one seed, got {seeds}")
    learn_from = rewards if training_rewards is None else training_rewards
    settings = {"steps": steps, "samples": samples, "learning_rate": learning_rate, "start": start}
    runs = [train_policy(learn_from, advantages, seed=seed, **settings) for seed in seeds]
    policies = torch.stack(runs)
    return expected_reward(policies, rewards.double().expand_as(policies))


def z_scores(estimates: Float[Tensor, "P K"], exact: Float[Tensor, "K"]) -> Float[Tensor, "K"]:
    """How many standard errors the mean of many estimates lies from the exact value: within ±4, if they are unbiased.

    Raises ValueError for fewer than 2 estimates.

    >>> z_scores(torch.tensor([[1.0], [3.0]]), torch.tensor([2.0]))
    tensor([0.])
    """
    if len(estimates) < 2:
        raise ValueError(f"estimates must be at least 2 to estimate a standard error, got {len(estimates)}")
    return (estimates.mean(dim=0) - exact) / (estimates.std(dim=0) / len(estimates) ** 0.5)
