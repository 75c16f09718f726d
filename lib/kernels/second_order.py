"""Second derivatives of functions whose backward pass is written by hand.

Such a pass works in place and from numbers that forward saved, so autograd cannot look through it: asked for a graph, it
would take them for constants, and a Hessian would be 0 without a word. Where a graph is wanted (`create_graph=True`) the
backward pass hands over to the plain formula, which PyTorch can differentiate as often as it likes.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def differentiable_gradients(
    plain: Callable[..., Tensor], inputs: tuple[Tensor | None, ...], grad: Tensor
) -> tuple[Tensor | None, ...]:
    """Return the gradients of `(plain(*inputs) * grad).sum()` as functions of `inputs` and `grad`; None where none is needed.

    For the backward pass of an `autograd.Function`, when `torch.is_grad_enabled()` there. It costs the memory of `plain`.

    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> (slope,) = differentiable_gradients(lambda x: x**3, (x,), torch.tensor(1.0))
    >>> slope.item(), torch.autograd.grad(slope, x)[0].item()  # 3 x^2, 6 x
    (27.0, 18.0)
    """
    # each input by a name of its own: the same tensor may come twice, as q and as k
    aliases: list[Any] = [x if x is None else x.view_as(x) for x in inputs]
    needed = [x for x in aliases if x is not None and x.requires_grad]
    found = iter(torch.autograd.grad(plain(*aliases), needed, grad, create_graph=True))
    return tuple(next(found) if x is not None and x.requires_grad else None for x in aliases)
