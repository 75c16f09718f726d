"""y = x Wᵀ + b, with a short cut for the one row of a decoding step.

Writing one token reads every weight once and computes little: it is as slow as the memory. PyTorch's
matrix-vector product reads a (out, in) matrix at about half of the speed that a CPU's memory allows; the same
product as a batch of row blocks comes close to it (GPT-2's matrices: 2 times as fast on one thread, 2.7 times
on two).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

BLOCKS = 8  # two are enough for the faster routine; eight share out well among threads


def project(
    x: Float[Tensor, "*batch I"], weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"] | None = None
) -> Float[Tensor, "*batch O"]:
    """The linear map x Wᵀ + b, equal to `F.linear` up to the order of its sums.

    >>> project(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0]]))
    tensor([[11., 17.]])
    """
    alone = x.numel() == weight.shape[1] and not torch.is_grad_enabled() and weight.is_contiguous()
    if not alone or weight.shape[0] < BLOCKS or weight.dtype != torch.float32 or weight.device.type != "cpu":
        return F.linear(x, weight, bias)
    rows, width = weight.shape
    even = rows - rows % BLOCKS
    column = x.reshape(1, width).t().expand(BLOCKS, width, 1)  # these strides choose the routine
    y = torch.bmm(weight[:even].view(BLOCKS, -1, width), column).view(even)
    if even < rows:
        y = torch.cat((y, weight[even:] @ x.reshape(width)))
    return (y if bias is None else y + bias).view(*x.shape[:-1], rows)


_undrawn = ContextVar("_undrawn", default=False)


@contextmanager
def undrawn() -> Iterator[None]:
    """Layers that are made inside hold no numbers yet: for a model that draws all of its own, in `initialise`.

    PyTorch's layers draw theirs from the global generator, which a model that is given one must leave alone.
    """
    token = _undrawn.set(True)
    try:
        yield
    finally:
        _undrawn.reset(token)


class Embedding(nn.Embedding):
    """`nn.Embedding` that draws nothing on the meta device, where PyTorch would load a compiler to do so."""

    def reset_parameters(self) -> None:
        """Draw weights, unless they are only a shape or `undrawn`."""
        if not self.weight.is_meta and not _undrawn.get():
            super().reset_parameters()


class Linear(nn.Linear):
    """`nn.Linear` by way of `project`."""

    def reset_parameters(self) -> None:
        """Draw weights, unless `undrawn`."""
        if not _undrawn.get():
            super().reset_parameters()

    def forward(self, x: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch O"]:
        """Apply the map to the last axis."""
        return project(x, self.weight, self.bias)


class PackedMatrix(nn.Module):
    """x Wᵀ + b of a frozen W that is held in few bits, in the buffers `held`, and unpacked for each product.

    For the backward pass it is unpacked again, so that between the two only the few bits are in memory (as in
    QLoRA, Dettmers et al. 2023). Gradients of any order reach x. A subclass says what it holds and how to unpack it.
    """

    held: ClassVar[tuple[str, ...]]  # names of buffers, the last of them floating-point
    bias: Tensor | None

    @staticmethod
    def unpack(*stored: Tensor) -> Float[Tensor, "O I"]:
        """W from the tensors of `held`, in the dtype of their scales."""
        raise NotImplementedError

    def stored(self) -> tuple[Tensor, ...]:
        """The tensors of `held`."""
        return tuple(getattr(self, name) for name in self.held)

    @property
    def weight(self) -> Float[Tensor, "O I"]:
        """W unpacked, in float32 (its scales' dtype)."""
        return self.unpack(*self.stored())

    def product(self, x: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch O"]:
        """The layer's output, in the dtype of x, without a gradient of its own."""
        return project(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))

    def map(self, x: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch O"]:
        """Apply the map to the last axis; the result has the dtype of x."""
        if not torch.is_grad_enabled():
            return self.product(x)
        return _PackedProduct.apply(self, x, self.bias, *self.stored())


class PackedLinear(PackedMatrix):
    """A linear layer that is a `PackedMatrix` and nothing else."""

    in_features: int
    out_features: int

    def forward(self, x: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch O"]:
        """Apply the map to the last axis; the result has the dtype of x."""
        return self.map(x)


class _PackedProduct(torch.autograd.Function):
    """What a `PackedMatrix` computes; the gradient of x is that of the unpacked W, also where x is rounded."""

    @staticmethod
    def forward(ctx: Any, layer: PackedMatrix, x: Tensor, bias: Tensor | None, *stored: Tensor) -> Tensor:
        ctx.unpack = layer.unpack
        ctx.save_for_backward(*stored)
        return layer.product(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight = ctx.unpack(*ctx.saved_tensors)
        x_grad = grad @ weight.to(grad.dtype) if ctx.needs_input_grad[1] else None
        bias_grad = grad.reshape(-1, grad.shape[-1]).sum(0) if ctx.needs_input_grad[2] else None
        return None, x_grad, bias_grad, *(None for _ in ctx.saved_tensors)
