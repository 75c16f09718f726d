r"""Direct preference optimisation: the reward model that a policy already is (slide T16; Rafailov et al. 2023)."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from lib import checks


def implicit_reward(
    log_prob: Float[Tensor, "*B"], reference_log_prob: Float[Tensor, "*B"], *, beta: float | int
) -> Float[Tensor, "*B"]:
    r"""$\hat r(x, y) = \beta (\log \pi(y \mid x) - \log \pi_{ref}(y \mid x))$: the reward for which π is optimal.

    Up to $\beta \log Z(x)$, which is the same for all answers to x (Rafailov et al. 2023, eq. 5).
    Raises ValueError when the shapes differ or `beta` is not above 0.

    >>> import torch
    >>> implicit_reward(torch.tensor([-1.0]), torch.tensor([-3.0]), beta=0.5)
    tensor([1.])
    """
    checks.same_shape(log_prob=log_prob, reference_log_prob=reference_log_prob)
    checks.positive("beta", beta)
    return beta * (log_prob - reference_log_prob)


def dpo_loss(
    chosen: Float[Tensor, "B"],
    rejected: Float[Tensor, "B"],
    reference_chosen: Float[Tensor, "B"] | None,
    reference_rejected: Float[Tensor, "B"] | None,
    *,
    beta: float | int,
    label_smoothing: float | int = 0.0,
    kind: Literal["sigmoid", "ipo"] = "sigmoid",
) -> Float[Tensor, ""]:
    r"""$-\mathbb{E} \log \sigma(\hat r(x, y_w) - \hat r(x, y_l))$, with `implicit_reward` for r̂: the mean over pairs.

    The arguments are log π(y | x) of whole answers, summed over their tokens, by the policy and by the frozen reference.
    Without a reference (both None) it counts as uniform. `label_smoothing` is the assumed share of swapped labels
    (Mitchell 2023); it must be below one half. kind="ipo" is the squared distance of the log-ratios' difference from
    1/(2β) instead (Azar et al. 2024, eq. 17), which does not diverge when a preference is certain.
    Raises ValueError when shapes differ, there is no pair, one reference is missing, or a setting is out of its range.

    >>> import torch
    >>> equal = torch.tensor([-5.0])
    >>> round(dpo_loss(equal, equal, equal, equal, beta=0.1).item(), 4)  # ln 2
    0.6931
    """
    _check(chosen, rejected, reference_chosen, reference_rejected)
    checks.positive("beta", beta)
    checks.one_of("kind", kind, ("sigmoid", "ipo"))
    if checks.share("label_smoothing", label_smoothing, "[0, 0.5)") and kind == "ipo":
        raise ValueError(f"label_smoothing must be 0 for kind 'ipo', got {label_smoothing}")
    difference = chosen - rejected
    if reference_chosen is not None and reference_rejected is not None:
        difference = difference - (reference_chosen - reference_rejected)
    if kind == "ipo":
        return (difference - 1 / (2 * beta)).square().mean()
    right, wrong = logsigmoid(beta * difference), logsigmoid(-beta * difference)
    return -((1 - label_smoothing) * right + label_smoothing * wrong).mean()


def dpo_metrics(
    chosen: Float[Tensor, "B"],
    rejected: Float[Tensor, "B"],
    reference_chosen: Float[Tensor, "B"] | None,
    reference_rejected: Float[Tensor, "B"] | None,
    *,
    beta: float | int,
) -> dict[str, float]:
    r"""What is watched beside the loss: means over pairs, under the names that trl logs.

    rewards/chosen, rewards/rejected: `implicit_reward`, in units of β nats. Both may fall while the loss does, too.
    rewards/margins: their difference.
    rewards/accuracies: the share of pairs whose chosen answer has the higher one; a tie, as before the first update,
        counts as wrong.
    logps/chosen, logps/rejected: log π(y | x), nats per answer.
    The arguments are those of `dpo_loss`, and the errors too.

    >>> import torch
    >>> metrics = dpo_metrics(torch.tensor([-1.0]), torch.tensor([-5.0]), None, None, beta=0.5)
    >>> metrics["rewards/margins"], metrics["rewards/accuracies"]
    (2.0, 1.0)
    """
    _check(chosen, rejected, reference_chosen, reference_rejected)
    checks.positive("beta", beta)
    sides = {"chosen": (chosen, reference_chosen), "rejected": (rejected, reference_rejected)}
    rewards = {side: beta * (own if ref is None else own - ref).detach() for side, (own, ref) in sides.items()}
    margins = rewards["chosen"] - rewards["rejected"]
    return {
        **{f"rewards/{side}": reward.mean().item() for side, reward in rewards.items()},
        "rewards/margins": margins.mean().item(),
        "rewards/accuracies": (margins > 0).double().mean().item(),
        **{f"logps/{side}": own.detach().mean().item() for side, (own, _) in sides.items()},
    }


def _check(
    chosen: Tensor, rejected: Tensor, reference_chosen: Tensor | None, reference_rejected: Tensor | None
) -> None:
    checks.same_shape(chosen=chosen, rejected=rejected)
    checks.not_empty(chosen=chosen)
    if (reference_chosen is None) != (reference_rejected is None):
        missing = "reference_chosen" if reference_chosen is None else "reference_rejected"
        raise ValueError(f"{missing} is missing: give both references, or neither for the reference-free loss")
    if reference_chosen is not None:
        checks.same_shape(chosen=chosen, reference_chosen=reference_chosen, reference_rejected=reference_rejected)
