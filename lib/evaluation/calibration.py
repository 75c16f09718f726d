"""Does a probability of 0.8 come true in eight of ten cases? Reliability, its error, and one temperature to mend it."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from lib import checks


class Reliability(NamedTuple):
    """Predictions in bins of confidence; a bin without any has NaN."""

    confidence: Float[Tensor, "K"]  # the mean of what was claimed
    accuracy: Float[Tensor, "K"]  # the share that came true
    size: Int[Tensor, "K"]  # predictions in each bin

    @property
    def error(self) -> float:
        """The expected calibration error: the mean of |accuracy − confidence| over all predictions."""
        gaps = (self.accuracy - self.confidence).abs().nan_to_num()
        return float((gaps * self.size).sum() / self.size.sum())


def reliability(confidence: Float[Tensor, "N"], right: Bool[Tensor, "N"], bins: int = 10) -> Reliability:
    """Sort predictions by confidence into equally wide bins ((k−1)/K, k/K], and compare claims with what came true.

    Guo et al. 2017. The bins are few or the numbers noisy: report both. 0 falls into the first bin.
    Raises ValueError for no prediction, different lengths or a confidence outside [0, 1].

    >>> found = reliability(torch.tensor([0.9, 0.9, 0.6]), torch.tensor([True, False, True]), 2)
    >>> found.size.tolist(), round(found.error, 3)
    ([0, 3], 0.133)
    """
    checks.same_length(confidence=confidence, right=right)
    checks.not_empty(confidence=confidence)
    checks.whole("bins", bins)
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("confidence must lie in [0, 1]")
    p, place = _placed(confidence, bins)
    count = torch.bincount(place, minlength=bins)
    sums = (torch.bincount(place, weights=value, minlength=bins) for value in (p, right.double()))
    claimed, true = (total / count for total in sums)
    return Reliability(claimed, true, count)


def calibrated_errors(
    confidence: Float[Tensor, "N"], bins: int = 10, draws: int = 1000, *, generator: torch.Generator | None = None
) -> Float[Tensor, "draws"]:
    """The calibration errors of `draws` forecasters who make these claims and keep them: how large chance alone makes it.

    In each draw a prediction is right with the probability that it claims. With few predictions even a
    calibrated forecaster has an error well above 0. Raises ValueError as `reliability` does, and for
    `draws` below 1.

    >>> generator = torch.Generator().manual_seed(0)
    >>> calibrated_errors(torch.full((100,), 0.8), generator=generator).mean() > 0.03
    tensor(True)
    """
    checks.whole("draws", draws)
    reliability(confidence, torch.ones_like(confidence, dtype=torch.bool), bins)  # its checks
    p, place = _placed(confidence, bins)
    right = torch.rand(draws, len(p), generator=generator, dtype=torch.float64) < p
    gaps = torch.zeros(draws, bins, dtype=torch.float64).index_add_(1, place, right.double() - p)
    return gaps.abs().sum(dim=1) / len(p)


def fit_temperature(logits: Float[Tensor, "N C"], labels: Int[Tensor, "N"]) -> float:
    """The temperature T > 0 whose softmax(logits / T) has the smallest loss on held-out examples (Guo et al. 2017).

    Found to three digits on a grid of 1/T, in which the loss is convex, between T = 0.05 and T = 20; the named classes stay
    the same. Raises ValueError for no example or logits that are not finite.

    >>> logits = torch.tensor([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [4.0, 0.0]])
    >>> round(fit_temperature(logits, torch.tensor([0, 0, 0, 1])), 2)  # 4 / ln 3
    3.64
    """
    checks.same_length(logits=logits, labels=labels)
    checks.not_empty(logits=logits)
    checks.finite(logits=logits)
    x = logits.detach().double()

    def loss(inverse: float) -> float:
        return F.cross_entropy(inverse * x, labels).item()

    low, high, golden = 0.05, 20.0, (5**0.5 - 1) / 2
    while high - low > 1e-5 * high:
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return 2 / (low + high)


def _placed(confidence: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Claims in float64, and the bin of each, from 0."""
    p = confidence.double()
    return p, (p * bins).ceil().long().clamp(1, bins) - 1
