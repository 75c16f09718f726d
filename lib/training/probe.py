"""A linear probe: multinomial logistic regression on features that stay as they are."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from lib import checks


class Probe(NamedTuple):
    """A linear classifier of vectors; calling it gives logits."""

    weight: Float[Tensor, "C D"]
    bias: Float[Tensor, "C"]

    def __call__(self, features: Float[Tensor, "*B D"]) -> Float[Tensor, "*B C"]:
        """Logits of the classes."""
        return features.to(self.weight.dtype) @ self.weight.T + self.bias


def fit_probe(
    features: Float[Tensor, "N D"], labels: Int[Tensor, "N"], classes: int, *, l2: float | int = 1e-3
) -> Probe:
    r"""The probe that minimises mean cross-entropy (nats) $+\ \frac{l_2}2\lVert W\rVert^2$; the bias is free of penalty.

    The problem is convex, so there is one answer and no seed; it is found in float64 by L-BFGS. In scikit-learn's terms
    C = 1 / (l2 N). A class without an example gets a bias that falls without end, so each class needs one.
    Raises ValueError for no example, labels outside 0 to classes − 1, a class that is missing, `l2` not above 0, or
    features that are not finite.

    >>> probe = fit_probe(torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1]), 2)
    >>> probe(torch.tensor([[-2.0], [0.5]])).argmax(dim=1).tolist()
    [0, 1]
    """
    checks.same_length(features=features, labels=labels)
    checks.not_empty(features=features)
    checks.finite(features=features)
    checks.whole("classes", classes, 2)
    checks.positive("l2", l2)
    checks.ids_below(classes, labels=labels)
    counts = torch.bincount(labels, minlength=classes)
    if int(counts.min()) == 0:
        raise ValueError(f"labels must hold each of {classes} classes, got none of class {int(counts.argmin())}")
    x = features.detach().double()
    weight = x.new_zeros(classes, x.shape[1], requires_grad=True)
    bias = x.new_zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=1000, tolerance_grad=1e-8, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(x @ weight.T + bias, labels) + l2 / 2 * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return Probe(weight.detach(), bias.detach())
