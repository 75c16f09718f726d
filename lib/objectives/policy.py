r"""Policy gradients: raise the log-probability of what did better than expected (slides T29–T32).

All take log-probabilities aligned with `input_ids` (see `log_probs`) and count only the tokens of the answers.
Advantages are constants, not functions of the policy: no gradient flows through them.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checks
from lib.objectives.reduction import SequenceReduction, TokenMask, counted, masked_reduce

LARGEST_LOG_RATIO = (
    20.0  # e^20 is half a billion: beyond it the exponential would soon overflow, and its gradient be NaN
)


def reinforce_loss(
    log_probs: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B"] | Float[Tensor, "B T"],
    response_mask: TokenMask,
    *,
    reduction: SequenceReduction = "sequence_sum",
) -> Float[Tensor, ""]:
    r"""$-\frac1N \sum_i A_i \log \pi(y_i \mid x_i)$, whose gradient is minus slide T31's estimate (Williams 1992).

    `advantages` are rewards, minus a baseline if there is one, of whole answers (B,) or of tokens (B, T): with
    `rewards_to_go` each token gets credit only for what came after it. "sequence_sum" is the slide's estimate; the
    other reductions divide by lengths and so follow another gradient.
    Raises ValueError when shapes do not fit or an answer is empty.

    >>> log_probs = torch.tensor([[0.0, -1.0, -2.0]])
    >>> reinforce_loss(log_probs, torch.tensor([0.5]), torch.tensor([[0, 1, 1]])).item()
    1.5
    """
    checks.shape("advantages", advantages, *log_probs.shape[: max(1, advantages.dim())])
    counts = counted(response_mask, log_probs=log_probs)
    weights = advantages.detach() if advantages.dim() == 2 else advantages.detach()[:, None]
    return -masked_reduce(weights * log_probs, counts, reduction)


def ppo_clip_loss(
    log_probs: Float[Tensor, "B T"],
    old_log_probs: Float[Tensor, "B T"],
    advantages: Float[Tensor, "B T"],
    response_mask: TokenMask,
    *,
    epsilon: float | int = 0.2,
    epsilon_high: float | int | None = None,
    dual_clip: float | int | None = None,
    reduction: SequenceReduction = "token_mean",
) -> Float[Tensor, ""]:
    r"""$-\mathbb{E}_t \min(\rho_t A_t, \mathrm{clip}(\rho_t, 1-\epsilon, 1+\epsilon) A_t)$ with
    $\rho_t = \pi(x_t \mid x_{<t}) / \pi_{old}(x_t \mid x_{<t})$ (Schulman et al. 2017, eq. 7).

    `old_log_probs` are those of the policy that wrote the answers; no gradient reaches them. A ratio above e^20 counts
    as e^20, without a gradient.
    epsilon: with 1 or more nothing is clipped below, since no ratio is negative.
    epsilon_high: of the upper end alone, None for `epsilon`. 0.28 beside 0.2 lets rare tokens rise ("clip-higher", Yu
        et al. 2025).
    dual_clip: c > 1, usually 3: where A < 0 the objective is at least c·A, so that one ratio of a thousand does not
        rule the batch (Ye et al. 2020). None for no limit.
    Raises ValueError when shapes do not fit, an answer is empty, an epsilon is not above 0, or `dual_clip` not above 1.

    >>> old, new = torch.zeros(1, 2), torch.tensor([[0.0, 1.0]])  # a ratio of e counts as 1.2
    >>> round(ppo_clip_loss(new, old, torch.ones(1, 2), torch.tensor([[0, 1]])).item(), 4)
    -1.2
    """
    low, high = _clip_range(epsilon, epsilon_high)
    counts = counted(response_mask, log_probs=log_probs, old_log_probs=old_log_probs, advantages=advantages)
    ratio = _ratio(log_probs, old_log_probs)
    gain = advantages.detach()
    pessimistic = torch.minimum(ratio * gain, ratio.clamp(low, high) * gain)
    if dual_clip is not None:
        limit = checks.number("dual_clip", dual_clip, "(1, inf)")
        pessimistic = torch.where(gain < 0, pessimistic.maximum(limit * gain), pessimistic)
    return -masked_reduce(pessimistic, counts, reduction)


def clip_fraction(
    log_probs: Float[Tensor, "B T"],
    old_log_probs: Float[Tensor, "B T"],
    response_mask: TokenMask,
    *,
    epsilon: float | int = 0.2,
    epsilon_high: float | int | None = None,
) -> float:
    """The share of the answers' tokens whose ratio lies outside [1 − ε, 1 + ε]: how far the policy is from its data.

    `epsilon_high` and errors as in `ppo_clip_loss`.

    >>> old, new = torch.zeros(1, 3), torch.tensor([[0.0, 1.0, 0.1]])
    >>> clip_fraction(new, old, torch.tensor([[0, 1, 1]]))
    0.5
    """
    low, high = _clip_range(epsilon, epsilon_high)
    counts = counted(response_mask, log_probs=log_probs, old_log_probs=old_log_probs)
    ratio = _ratio(log_probs, old_log_probs)
    moved = (ratio < low) | (ratio > high)
    return (moved & counts).sum().item() / counts.sum().item()


def value_loss(
    values: Float[Tensor, "B T"],
    old_values: Float[Tensor, "B T"],
    returns: Float[Tensor, "B T"],
    response_mask: TokenMask,
    *,
    epsilon: float | None = None,
    reduction: SequenceReduction = "token_mean",
) -> Float[Tensor, ""]:
    r"""$\frac12 \mathbb{E}_t (V_t - R_t)^2$; with `epsilon`, the larger of this and of V clipped to its old value ± ε.

    Clipping the value is PPO's in practice (Schulman's code; Stiennon et al. 2020), in units of the reward.
    Raises ValueError when shapes do not fit, an answer is empty, or `epsilon` is not above 0.

    >>> values, returns = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 3.0]])
    >>> value_loss(values, torch.zeros(1, 2), returns, torch.tensor([[0, 1]])).item()
    2.0
    """
    counts = counted(response_mask, values=values, old_values=old_values, returns=returns)
    error = (values - returns.detach()).square()
    if epsilon is not None:
        checks.positive("epsilon", epsilon, infinite=True)
        near = old_values.detach() + (values - old_values.detach()).clamp(-epsilon, epsilon)
        error = torch.maximum(error, (near - returns.detach()).square())
    return 0.5 * masked_reduce(error, counts, reduction)


def _ratio(log_probs: Tensor, old_log_probs: Tensor) -> Tensor:
    return (log_probs - old_log_probs.detach()).clamp(max=LARGEST_LOG_RATIO).exp()


def _clip_range(epsilon: float | int, epsilon_high: float | int | None) -> tuple[float, float]:
    """The lowest and the highest ratio that is not clipped."""
    below = checks.positive("epsilon", epsilon, infinite=True)
    return 1.0 - below, 1.0 + (
        below if epsilon_high is None else checks.positive("epsilon_high", epsilon_high, infinite=True)
    )
