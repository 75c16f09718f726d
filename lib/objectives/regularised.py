r"""Worlds small enough to know the answer: exact rewards, gradients and optima where every answer can be listed.

Here a policy is a vector of K probabilities, one for each possible answer (slides T29–T32). These functions give
exactly what sampled methods estimate or approach.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checks
from lib.kernels import softmax

ROUNDING = 1e-4  # float32 probabilities of a few thousand answers sum to 1 within this


def expected_reward(policy: Float[Tensor, "*B K"], rewards: Float[Tensor, "*B K"]) -> Float[Tensor, "*B"]:
    r"""$J = \mathbb{E}_{y \sim \pi}[r(y)] = \sum_y \pi(y) r(y)$ (slide T30).

    Raises ValueError when the shapes differ or `policy` is no distribution.

    >>> expected_reward(torch.tensor([0.75, 0.25]), torch.tensor([1.0, -1.0])).item()
    0.5
    """
    _check_distributions(rewards, policy=policy)
    return (policy * rewards).sum(dim=-1)


def exact_policy_gradient(logits: Float[Tensor, "K"], rewards: Float[Tensor, "K"]) -> Float[Tensor, "K"]:
    r"""$\partial J / \partial z_k = \pi_k (r_k - J)$ for $\pi = \mathrm{softmax}(z)$: what REINFORCE estimates (T30).

    Raises ValueError when the shapes differ.

    >>> exact_policy_gradient(torch.zeros(2), torch.tensor([1.0, -1.0]))
    tensor([ 0.5000, -0.5000])
    """
    checks.same_shape(logits=logits, rewards=rewards)
    policy = softmax(logits)
    return policy * (rewards - (policy * rewards).sum())


def regularised_objective(
    policy: Float[Tensor, "*B K"],
    reference: Float[Tensor, "*B K"],
    rewards: Float[Tensor, "*B K"],
    *,
    beta: float | int,
) -> Float[Tensor, "*B"]:
    r"""$\mathbb{E}_\pi[r] - \beta D_{KL}[\pi \Vert \pi_{ref}]$, what RLHF maximises (slide T32).

    −∞ where the policy writes what the reference cannot.
    Raises ValueError when shapes differ, one of the two is no distribution, or `beta` is not above 0.

    >>> even = torch.tensor([0.5, 0.5])
    >>> regularised_objective(even, even, torch.tensor([1.0, 0.0]), beta=0.1).item()
    0.5
    """
    _check_distributions(rewards, policy=policy, reference=reference)
    checks.positive("beta", beta)
    written = policy > 0
    log_ratio = policy.where(written, 1).log() - reference.where(written, 1).log()
    return expected_reward(policy, rewards) - beta * (policy * log_ratio).sum(dim=-1)


def optimal_policy(
    reference: Float[Tensor, "*B K"], rewards: Float[Tensor, "*B K"], *, beta: float | int
) -> Float[Tensor, "*B K"]:
    r"""$\pi^*(y) = \pi_{ref}(y)\, e^{r(y)/\beta} / Z$: where `regularised_objective` is greatest, at β log Z.

    Rafailov et al. 2023, eq. 4; slide T32. PPO and DPO must both arrive there.
    Raises ValueError when shapes differ, `reference` is no distribution, `rewards` are not finite, or `beta` is not above
    0.

    >>> reference, rewards = torch.tensor([0.2, 0.5, 0.3]), torch.tensor([1.0, 0.0, -1.0])
    >>> optimal_policy(reference, rewards, beta=0.5)
    tensor([0.7322, 0.2477, 0.0201])
    """
    _check_distributions(rewards, reference=reference)
    checks.finite(rewards=rewards)
    checks.positive("beta", beta)
    best = rewards.masked_fill(reference == 0, -torch.inf).amax(dim=-1, keepdim=True)
    return softmax(reference.log() + (rewards - best) / beta)  # beside an r/β of 1e4 log π_ref would be rounded away


def _check_distributions(rewards: Tensor, **policies: Tensor) -> None:
    checks.same_shape(**policies, rewards=rewards)
    for name, probabilities in policies.items():
        if not (probabilities >= 0).all():
            raise ValueError(f"{name} must hold probabilities of at least 0, got {probabilities.min().item()}")
        totals = probabilities.sum(dim=-1).flatten()
        if not ((totals - 1).abs() <= ROUNDING).all():
            worst = totals[(totals - 1).abs().argmax()].item()
            raise ValueError(
                f"{name} must sum to 1 over its answers, got a sum of {worst:.4g}: it takes probabilities, not logits"
            )
