r"""How much better than expected: rewards to go, GAE, and baselines taken from other answers to the same prompt."""

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checks
from lib.objectives.reduction import TokenMask, counted


def rewards_to_go(
    rewards: Float[Tensor, "B T"], response_mask: TokenMask, *, gamma: float | int = 1.0, allow_gaps: bool = False
) -> Float[Tensor, "B T"]:
    r"""$G_t = \sum_{k \ge t} \gamma^{k-t} r_k$ within each answer: a token does not answer for what came before it.

    0 outside the answers, whose tokens must be neighbours. With `allow_gaps` an answer may be interrupted by
    tokens that the policy did not write, such as what a tool returned; a token's next step is then the next of its own.
    Raises ValueError when shapes do not fit, an answer is empty or has a gap without `allow_gaps`, or `gamma` lies
    outside [0, 1].

    >>> rewards_to_go(torch.tensor([[9.0, 1.0, 0.0, 2.0]]), torch.tensor([[0, 1, 1, 1]]))
    tensor([[0., 3., 2., 2.]])
    """
    checks.share("gamma", gamma)
    counts = _counted_answers(response_mask, allow_gaps, rewards=rewards)
    total, sums = torch.zeros_like(rewards[:, 0]), torch.zeros_like(rewards)
    for t in reversed(range(rewards.shape[1])):
        total = torch.where(counts[:, t], rewards[:, t] + gamma * total, total)  # unchanged where a gap is stepped over
        sums[:, t] = total
    return sums.masked_fill(~counts, 0)


def gae(
    rewards: Float[Tensor, "B T"],
    values: Float[Tensor, "B T"],
    response_mask: TokenMask,
    *,
    gamma: float | int = 1.0,
    lam: float | int = 0.95,
    allow_gaps: bool = False,
) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B T"]]:
    r"""Generalised advantage estimates and the returns that a value model should have predicted.

    $\delta_t = r_t + \gamma V_{t+1} - V_t$, $A_t = \sum_{l \ge 0} (\gamma\lambda)^l \delta_{t+l}$, $R_t = A_t + V_t$
    (Schulman et al. 2016, eq. 16). `values[b, t]` is the value before token t is chosen; after the last token of an
    answer it is 0. λ = 1 gives reward to go minus value, λ = 0 the one-step error. Both are 0 outside the answers, and
    no gradient comes back. `allow_gaps` as in `rewards_to_go`.
    Raises ValueError as `rewards_to_go` does, and for `lam` outside [0, 1].

    >>> reward, value = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.0, 0.25, 0.5]])
    >>> advantages, returns = gae(reward, value, torch.tensor([[0, 1, 1]]), lam=1.0)
    >>> advantages.tolist(), returns.tolist()
    ([[0.0, 0.75, 0.5]], [[0.0, 1.0, 1.0]])
    """
    counts = _counted_answers(response_mask, allow_gaps, rewards=rewards, values=values)
    decay = checks.share("gamma", gamma) * checks.share("lam", lam)
    rewards, values = rewards.detach(), values.detach().masked_fill(~counts, 0)
    following, advantage = torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0])  # V_{t+1}, A_{t+1}
    advantages = torch.zeros_like(values)
    for t in reversed(range(values.shape[1])):
        error = rewards[:, t] + gamma * following - values[:, t]  # δ_t
        advantage = torch.where(counts[:, t], error + decay * advantage, advantage)
        following = torch.where(counts[:, t], values[:, t], following)
        advantages[:, t] = advantage
    advantages = advantages.masked_fill(~counts, 0)
    return advantages, advantages + values


def whiten(
    values: Float[Tensor, "B T"], mask: TokenMask, *, unbiased: bool = False, eps: float = 1e-8
) -> Float[Tensor, "B T"]:
    """Shift and scale the counted values to mean 0 and variance 1 over the batch; 0 elsewhere, and where all are equal.

    The variance of N values divides by N, or by N − 1 if `unbiased`, as trl and verl have it.
    Raises ValueError when the mask has another shape or leaves a row empty.

    >>> whiten(torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([[1, 1, 0]]))
    tensor([[-1.,  1.,  0.]])
    """
    counts = counted(mask, named="mask", values=values)
    kept = values[counts]
    if (kept == kept[0]).all():  # rounding would leave something to divide
        return torch.zeros_like(values)
    scaled = (values - kept.mean()) / (kept.var(correction=int(unbiased)) + eps).sqrt()
    return scaled.masked_fill(~counts, 0)


def rloo(rewards: Float[Tensor, "P N"]) -> Float[Tensor, "P N"]:
    r"""$r_i - \frac{1}{N-1} \sum_{j \ne i} r_j$: each answer against the mean of the others to its prompt.

    P prompts with N answers each. A baseline that does not depend on its own answer leaves the gradient's mean as it is
    (Kool et al. 2019; Ahmadian et al. 2024).
    Raises ValueError for fewer than 2 answers a prompt.

    >>> rloo(torch.tensor([[1.0, 2.0, 6.0]]))
    tensor([[-3.0000, -1.5000,  4.5000]])
    """
    _check_group(rewards)
    n = rewards.shape[1]
    return (rewards - rewards.mean(dim=1, keepdim=True)) * (n / (n - 1))


def grpo_advantages(rewards: Float[Tensor, "P N"], *, scale: bool = True, eps: float = 1e-4) -> Float[Tensor, "P N"]:
    r"""$(r_i - \mathrm{mean}(r)) / (\mathrm{std}(r) + \epsilon)$ within each prompt's N answers (Shao et al. 2024).

    Without `scale` only the mean is subtracted (Liu et al. 2025). A group of equal rewards teaches nothing: zeros.
    Raises ValueError for fewer than 2 answers a prompt.

    >>> grpo_advantages(torch.tensor([[0.0, 2.0], [5.0, 5.0]]), scale=False)
    tensor([[-1.,  1.],
            [ 0.,  0.]])
    """
    _check_group(rewards)
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    if scale:
        centred = centred / (rewards.std(dim=1, keepdim=True) + eps)
    equal = rewards.amax(dim=1, keepdim=True) == rewards.amin(dim=1, keepdim=True)
    return centred.masked_fill(equal, 0)  # 1 / eps would blow up the rounding error of the mean


def _counted_answers(response_mask: TokenMask, allow_gaps: bool, **tensors: Tensor) -> Tensor:
    counts = counted(response_mask, named="response_mask", **tensors)
    gaps = (counts[:, 1:] & ~counts[:, :-1]).sum(dim=1) + counts[:, 0] != 1
    if gaps.any() and not allow_gaps:
        raise ValueError(
            f"response_mask of row {int(gaps.nonzero()[0])} has a gap: the tokens of an answer "
            "must be neighbours, unless allow_gaps=True"
        )
    return counts


def _check_group(rewards: Tensor) -> None:
    checks.shape("rewards", rewards, "P", "N")
    if rewards.shape[1] < 2:
        raise ValueError(f"rewards must hold at least 2 answers to each prompt to compare, got {rewards.shape[1]}")
