r"""A judge in place of a human (RLAIF, slide T33), and the test that shows whether it looks at the answers.

A language model that compares two answers tends to favour one of the two *positions*, whatever is there (Wang et al.
2023; Zheng et al. 2023). Here the judge is a rule, so that the size of this bias is known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from lib import checks
from lib.kernels import sigmoid


@dataclass(frozen=True, eq=False)
class SwapTest:
    """What a judge does when both orders of each of N pairs are shown to it; a, b are a pair's two answers."""

    consistent: float  # share of pairs whose verdict survives the swap
    first_position_rate: float  # share of the 2N verdicts that the answer shown first wins; a tie is half a win
    debiased: Float[Tensor, "N"]  # P(a beats b), averaged over both orders


def judge_probability(
    score_first: Float[Tensor, "N"],
    score_second: Float[Tensor, "N"],
    *,
    position_bias: float | int = 0.0,
    temperature: float | int = 1.0,
) -> Float[Tensor, "N"]:
    r"""The probability that the answer shown *first* wins: $\sigma((s_1 - s_2) / \tau + b)$.

    With b = 0 this is Bradley–Terry (slide T28). `position_bias` b is in nats: b > 0 favours the first position, and
    of two equal answers the first wins with probability σ(b). `temperature` τ is in units of the scores: a larger one
    makes the judge less sure. Slide T33; Lee et al. 2023 read the same probability from a language model's two logits.
    Raises ValueError when the shapes differ, a score is not finite, `position_bias` is not finite, or `temperature` is
    not above 0.

    >>> import torch
    >>> good, bad = torch.tensor([1.0]), torch.tensor([0.0])
    >>> judge_probability(good, bad, position_bias=2), judge_probability(bad, good, position_bias=2)
    (tensor([0.9526]), tensor([0.7311]))
    """
    checks.same_shape(score_first=score_first, score_second=score_second)
    checks.finite(score_first=score_first, score_second=score_second)
    checks.number("position_bias", position_bias)
    checks.positive("temperature", temperature)
    return sigmoid((score_first - score_second) / temperature + position_bias)


def swap_test(judge: Callable[[Any, Any], Float[Tensor, "N"]], first: Any, second: Any) -> SwapTest:
    r"""Show each pair in both orders: $\hat p = \frac12 (p(a, b) + 1 - p(b, a))$ is the mean of the two verdicts on a.

    `judge(x, y)` gives for N pairs the probabilities that x, shown first, wins; `first` and `second` hold the N answers
    a and b in any form that it reads. Slide T33; Lee et al. 2023 average both orders in this way, and report 1 −
    `consistent` as the judge's position bias. The mean no longer prefers a position, but it lies closer to one half
    than the verdict of an unbiased judge would.
    Raises ValueError where the judge gives no probabilities, none at all, or not equally many for both orders.

    >>> import torch
    >>> scores = torch.tensor([3.0, 0.5]), torch.tensor([0.0, 0.0])
    >>> found = swap_test(lambda x, y: judge_probability(x, y, position_bias=1), *scores)
    >>> found.consistent, found.first_position_rate, found.debiased
    (0.5, 0.75, tensor([0.9314, 0.5976]))
    """
    shown, swapped = _verdicts(judge, first, second), _verdicts(judge, second, first)
    if shown.shape != swapped.shape:
        raise ValueError(
            f"judge must give one probability per pair in both orders, got {len(shown)} and, swapped, {len(swapped)}"
        )
    verdict, verdict_swapped = (shown - 0.5).sign(), (swapped - 0.5).sign()  # of the first-shown: +1 wins, 0 a tie
    return SwapTest(
        consistent=(verdict == -verdict_swapped).double().mean().item(),
        first_position_rate=(0.5 + (verdict + verdict_swapped).double() / 4).mean().item(),
        debiased=(shown + (1 - swapped)) / 2,
    )


def _verdicts(judge: Callable[[Any, Any], Tensor], first: Any, second: Any) -> Tensor:
    probabilities = judge(first, second)
    if not isinstance(probabilities, Tensor) or probabilities.dim() != 1 or not probabilities.numel():
        is_tensor = isinstance(probabilities, Tensor)
        got = f"shape {tuple(probabilities.shape)}" if is_tensor else type(probabilities).__name__
        raise ValueError(f"judge must return a tensor (N,) of at least one probability, got {got}")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError(
            "judge must return probabilities from 0 to 1, "
            f"got {probabilities.min().item():.4g} to {probabilities.max().item():.4g}"
        )
    return probabilities
