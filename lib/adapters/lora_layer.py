"""One linear layer with low-rank changes: y = x Wᵀ + s (x Aᵀ) Bᵀ (slide W27; Hu et al. 2021, equation 3).

That is all of LoRA, two lines for x (N, I), frozen W (O, I), and the trained A (R, I) and B (O, R):

    low = x @ A.T                          # (N, R): the few numbers that A makes of each row
    y = x @ W.T + bias + s * low @ B.T     # (N, O): the frozen layer, and beside it what B makes of them

The rest of this module puts them into models that exist, and saves memory.

A layer is changed in place: it keeps its parameters and their names, and gets a class that is both its old one
and a `LoraLayer`. When the last adapter is removed it gets its old class back.

The product has its own backward pass, since autograd's, of the two lines above, would hold two more tensors of the
output's size: here the low-rank part is added into the output, and its gradient into that of the input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lib import checks
from lib.adapters.targets import Target, is_conv1d, linear_shape


@dataclass(frozen=True)
class LoraSettings:
    """Where low-rank changes go and how large they are.

    Raises ValueError or TypeError for a field that makes no sense.

    >>> LoraSettings(rank=0)
    Traceback (most recent call last):
    ValueError: rank must be at least 1, got 0
    """

    rank: int = 8  # r: columns of B, rows of A
    alpha: float | int = 16.0  # ΔW = α/r · BA, so that the learning rate need not change with r
    targets: tuple[str, ...] = ("q", "v")  # names or patterns, see `select_targets`
    rslora: bool = False  # α/√r instead (Kalajdzievski 2023): keeps the size of the change at high ranks
    dropout: float = 0.0  # share of the inputs of A that is dropped in train()

    def __post_init__(self) -> None:
        object.__setattr__(self, "rank", checks.whole("rank", self.rank))
        object.__setattr__(self, "targets", tuple(checks.strings("targets", self.targets)))
        checks.positive("alpha", self.alpha)
        checks.share("dropout", self.dropout, "[0, 1)")
        if not self.targets or not all(self.targets):
            raise ValueError(f"targets must hold at least one pattern and no empty one, got {self.targets!r}")

    @property
    def scale(self) -> float:
        """s in ΔW = s BA.

        >>> LoraSettings(rank=4, alpha=8).scale, LoraSettings(rank=4, alpha=8, rslora=True).scale
        (2.0, 4.0)
        """
        return self.alpha / (sqrt(self.rank) if self.rslora else self.rank)


class LowRank(nn.Module):
    """The two factors of one change: A ∈ R^{r×k} drawn, B ∈ R^{d×r} zero, so that BA is zero at the start."""

    def __init__(self, target: Target, rank: int, generator: torch.Generator | None) -> None:
        super().__init__()
        weight = target.module.weight
        self.start, self.stop = target.start, target.stop  # of the layer's outputs, those that BA makes
        self.A = nn.Parameter(weight.new_empty(rank, target.inputs))
        self.B = nn.Parameter(weight.new_zeros(target.outputs, rank))
        if not self.A.is_meta:
            # N(0, σ²) as slide W27 has it, with the variance that loralib's uniform draw has: 1/(3k).
            drawn = torch.randn(self.A.shape, generator=generator, device=getattr(generator, "device", None))
            self.A.data.copy_(drawn * (3 * target.inputs) ** -0.5)


class Adapter(nn.ModuleDict):
    """All that one adapter changes in one layer: a `LowRank` by part, q and v of a fused matrix say."""

    def __init__(
        self, settings: LoraSettings, targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> None:
        super().__init__({t.part: LowRank(t, settings.rank, generator) for t in targets})
        self.settings = settings

    def stacked(self) -> tuple[Float[Tensor, "R I"], list[Float[Tensor, "_ _"]], list[tuple[int, int]]]:
        """All A in one matrix, so that x is read once; every B; and the outputs that each makes."""
        parts = list(self.values())
        down = parts[0].A if len(parts) == 1 else torch.cat([part.A for part in parts])
        return down, [part.B for part in parts], [(part.start, part.stop) for part in parts]


class LoraLayer(nn.Module):
    """What a linear layer becomes when adapters are added to it; one of them, or none, is active.

    >>> from lib.adapters import LoraSettings, inject_lora, lora_parameters
    >>> model = nn.Sequential(nn.Linear(5, 6))
    >>> _ = inject_lora(model, LoraSettings(rank=2, alpha=16, targets=("0",)))
    >>> A, B = (factor.detach().normal_() for factor in lora_parameters(model).values())
    >>> layer, x = model[0], torch.randn(3, 5)
    >>> low = x @ A.T  # (N, R)
    >>> y = x @ layer.weight.T + layer.bias + 16 / 2 * low @ B.T  # (N, O)
    >>> torch.allclose(layer(x), y, atol=1e-4)
    True
    """

    def attach(self) -> None:
        """Set up what a layer needs that has just become a `LoraLayer`."""
        self.adapters = nn.ModuleDict()  # by name
        self.active: str | None = None  # the adapter in use
        self.merged: str | None = None  # the adapter that `weight` holds already
        self.kept: tuple[nn.Parameter, ...] = ()  # the weight as it was before merging, if it is to come back

    def detach(self) -> None:
        """Make the layer what it was before `attach`."""
        del self.adapters, self.active, self.merged, self.kept
        self.__class__ = self.base_class

    def forward(self, x: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch O"]:
        """x Wᵀ + b, and s (x Aᵀ) Bᵀ of the active adapter."""
        if self.merged is not None or self.active is None:
            return super().forward(x)
        adapter = self.adapters[self.active]
        settings = adapter.settings
        dropped = F.dropout(x, settings.dropout) if self.training and settings.dropout else None
        down, ups, spans = adapter.stacked()
        autocast = torch.is_autocast_enabled(x.device.type)
        if not torch.is_grad_enabled() and not autocast:
            y = super().forward(x)
            source = x if dropped is None else dropped
            _add_low_rank(y, source, down, ups, spans, settings.scale)
            return y
        tensors = (x, dropped, self.weight, self.bias, down, *ups)
        if not autocast:
            return _LowRankProduct.apply(is_conv1d(self), settings.scale, spans, *tensors)
        dtype = torch.get_autocast_dtype(x.device.type)
        with torch.autocast(x.device.type, enabled=False):
            cast = (None if tensor is None else tensor.to(dtype) for tensor in tensors)
            return _LowRankProduct.apply(is_conv1d(self), settings.scale, spans, *cast)

    @torch.no_grad()
    def change(self, name: str) -> Float[Tensor, "O I"]:
        """ΔW = s BA of an adapter, zero in the rows that it does not change."""
        adapter = self.adapters[name]
        change = self.weight.new_zeros(linear_shape(self))
        for part in adapter.values():
            change[part.start : part.stop].addmm_(part.B, part.A, alpha=adapter.settings.scale)
        return change

    @torch.no_grad()
    def merge(self, name: str, *, keep_base: bool) -> None:
        """W becomes W + ΔW in a parameter of its own, so that one that shared it (a tied matrix) does not."""
        change = self.change(name)
        merged = self.weight + (change.t() if is_conv1d(self) else change)
        self.kept = (self.weight,) if keep_base else ()
        self.weight = nn.Parameter(merged, requires_grad=False)
        self.merged = name

    def unmerge(self) -> None:
        """Put the weight back that was there before."""
        (base,) = self.kept
        if base.device != self.weight.device or base.dtype != self.weight.dtype:  # the model has moved since
            base = nn.Parameter(base.detach().to(self.weight), requires_grad=base.requires_grad)
        self.weight = base
        self.merged, self.kept = None, ()


@cache
def lora_class(base: type[nn.Module]) -> type[nn.Module]:
    """A class that is `base` and a `LoraLayer`."""
    return type(f"Lora{base.__name__}", (LoraLayer, base), {"base_class": base, "__module__": __name__})


class _LowRankProduct(torch.autograd.Function):
    """x Wᵀ + b + s (x' Aᵀ) Bᵀ, where B adds to some of the outputs and x' is x or what dropout left of it."""

    @staticmethod
    def forward(
        ctx: Any,
        conv1d: bool,
        scale: float,
        spans: list[tuple[int, int]],
        x: Tensor,
        dropped: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        down: Tensor,
        *ups: Tensor,
    ) -> Tensor:
        if conv1d:
            y = torch.addmm(bias, x.reshape(-1, x.shape[-1]), weight).view(*x.shape[:-1], -1)
        else:
            y = F.linear(x, weight, bias)
        low = _add_low_rank(y, x if dropped is None else dropped, down, ups, spans, scale)
        ctx.conv1d, ctx.scale, ctx.spans = conv1d, scale, spans
        ctx.save_for_backward(x, dropped, weight, down, low, *ups)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, dropped, weight, down, low, *ups = ctx.saved_tensors
        needs = dict(zip(("x", "dropped", "weight", "bias"), ctx.needs_input_grad[3:7]))
        grad = grad.reshape(-1, grad.shape[-1])  # (N, O)
        flat = x.reshape(-1, x.shape[-1])  # (N, I)
        source = flat if dropped is None else dropped.reshape(flat.shape)
        parts = [grad[:, start:stop] for start, stop in ctx.spans]
        lows = low.split([up.shape[1] for up in ups], dim=1)
        # s goes to the small factors: of rank columns, not of the layer's width
        low_grad = torch.cat([part @ up for part, up in zip(parts, ups)], dim=1).mul_(ctx.scale)  # (N, R)
        x_grad = None
        if needs["x"]:
            x_grad = grad @ (weight.t() if ctx.conv1d else weight)
            x_grad = (x_grad if dropped is not None else x_grad.addmm_(low_grad, down)).view(x.shape)
        dropped_grad = (low_grad @ down).view(x.shape) if needs["dropped"] else None
        weight_grad = (flat.t() @ grad if ctx.conv1d else grad.t() @ flat) if needs["weight"] else None
        bias_grad = grad.sum(0) if needs["bias"] else None
        up_grads = [(part.t() @ one).mul_(ctx.scale) for part, one in zip(parts, lows)]
        down_grad = low_grad.t() @ source
        return None, None, None, x_grad, dropped_grad, weight_grad, bias_grad, down_grad, *up_grads


def _add_low_rank(
    y: Tensor, source: Tensor, down: Tensor, ups: Sequence[Tensor], spans: list[tuple[int, int]], scale: float
) -> Tensor:
    """Add s (x Aᵀ) Bᵀ into y, and return x Aᵀ with one row per token, (N, R)."""
    low = F.linear(source.reshape(-1, source.shape[-1]), down)
    rows = y.view(-1, y.shape[-1])
    for one, up, (start, stop) in zip(low.split([up.shape[1] for up in ups], dim=1), ups, spans):
        rows[:, start:stop].addmm_(one, up.t(), alpha=scale)
    return low
