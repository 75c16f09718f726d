r"""How far a policy is from its reference: exactly, from samples, and as a penalty on the reward (slide T32)."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checks
from lib.kernels import log_softmax
from lib.kernels.precision import widened
from lib.objectives.policy import LARGEST_LOG_RATIO
from lib.objectives.reduction import TokenMask, counted, last_counted


def kl_divergence(logits: Float[Tensor, "*B V"], reference_logits: Float[Tensor, "*B V"]) -> Float[Tensor, "*B"]:
    r"""$D_{KL}[\pi \Vert \pi_{ref}] = \sum_v \pi_v (\log \pi_v - \log \pi_{ref,v})$ in nats, exactly.

    A token that π never writes (logit −∞) adds nothing; one that π writes and the reference cannot makes it infinite.
    Raises ValueError when the shapes differ.

    >>> round(kl_divergence(torch.zeros(2), torch.tensor([0.2, 0.8]).log()).item(), 4)
    0.2231
    """
    checks.same_shape(logits=logits, reference_logits=reference_logits)
    log_p = log_softmax(widened(logits))
    p = log_p.exp()
    gap = log_p - log_softmax(widened(reference_logits))
    return (p * torch.where(p > 0, gap, torch.zeros_like(gap))).sum(dim=-1)


def entropy(logits: Float[Tensor, "*B V"]) -> Float[Tensor, "*B"]:
    r"""$-\sum_v \pi_v \log \pi_v$ in nats: 0 for a policy that is sure, ln V for one that knows nothing.

    Raises ValueError when there is no token to choose.

    >>> round(entropy(torch.zeros(8)).item(), 4)  # ln 8
    2.0794
    """
    log_p = log_softmax(widened(logits))
    p = log_p.exp()
    return -(p * torch.where(p > 0, log_p, torch.zeros_like(log_p))).sum(dim=-1)


def kl_estimate(
    log_probs: Float[Tensor, "*B"],
    reference_log_probs: Float[Tensor, "*B"],
    estimator: Literal["k1", "k2", "k3"] = "k3",
) -> Float[Tensor, "*B"]:
    r"""Estimates of $D_{KL}[\pi \Vert \pi_{ref}]$ from samples of π, one for each sample (Schulman 2020).

    With $\ell = \log \pi - \log \pi_{ref}$: k1 = ℓ (unbiased, of any sign), k2 = ℓ²/2 (never negative, biased) and
    k3 = e^−ℓ − 1 + ℓ (unbiased, never negative). In k3, ℓ below −20 counts as −20, without a gradient.
    Raises ValueError for another estimator or when the shapes differ.

    >>> pi, reference = torch.tensor([0.5]).log(), torch.tensor([0.25]).log()
    >>> [round(kl_estimate(pi, reference, k).item(), 4) for k in ("k1", "k2", "k3")]
    [0.6931, 0.2402, 0.1931]
    """
    checks.same_shape(log_probs=log_probs, reference_log_probs=reference_log_probs)
    checks.one_of("estimator", estimator, ("k1", "k2", "k3"))
    gap = log_probs - reference_log_probs
    if estimator == "k1":
        return gap
    if estimator == "k2":
        return gap.square() / 2
    near = gap.clamp(min=-LARGEST_LOG_RATIO)  # in both terms: in the exponential alone it would reverse the gradient
    return (-near).expm1() + near


def kl_penalised_reward(
    reward: Float[Tensor, "*B"],
    log_prob: Float[Tensor, "*B"],
    reference_log_prob: Float[Tensor, "*B"],
    *,
    beta: float | int,
) -> Float[Tensor, "*B"]:
    r"""$r(x, y) = r_\theta(x, y) - \beta (\log \pi(y \mid x) - \log \pi_{ref}(y \mid x))$ (slide T32, bracket mended).

    Its mean over answers of π is the objective, $\mathbb{E}[r_\theta] - \beta D_{KL}$. The slide closes the bracket after
    log π, and so rewards what the reference finds unlikely.
    Raises ValueError when the shapes differ or `beta` is not above 0.

    >>> kl_penalised_reward(torch.tensor([1.0]), torch.tensor([-2.0]), torch.tensor([-3.0]), beta=0.1)
    tensor([0.9000])
    """
    checks.same_shape(reward=reward, log_prob=log_prob, reference_log_prob=reference_log_prob)
    checks.positive("beta", beta)
    return reward - beta * (log_prob - reference_log_prob)


def token_rewards(
    reward: Float[Tensor, "B"],
    log_probs: Float[Tensor, "B T"],
    reference_log_probs: Float[Tensor, "B T"],
    response_mask: TokenMask,
    *,
    beta: float | int,
) -> Float[Tensor, "B T"]:
    r"""The same reward, token by token: $-\beta(\log \pi - \log \pi_{ref})$ on each, $r_\theta$ on the answer's last.

    Each row sums to `kl_penalised_reward` (Ouyang et al. 2022; Ziegler et al. 2019). 0 outside the answers; no gradient.
    β = 0 is allowed here: it is the run without a KL penalty that lecture 13 shows.
    Raises ValueError when shapes do not fit, an answer is empty, or `beta` is negative.

    >>> reward, zero = torch.tensor([1.0]), torch.zeros(1, 3)
    >>> token_rewards(reward, torch.tensor([[0.0, -1.0, -1.0]]), zero, torch.tensor([[0, 1, 1]]), beta=0.5)
    tensor([[0.0000, 0.5000, 1.5000]])
    """
    counts = counted(response_mask, log_probs=log_probs, reference_log_probs=reference_log_probs)
    checks.shape("reward", reward, len(counts))
    checks.number("beta", beta, "[0, inf)")
    penalty = (-beta * (log_probs - reference_log_probs)).detach().masked_fill(~counts, 0)
    return penalty + last_counted(counts) * reward.detach()[:, None]
