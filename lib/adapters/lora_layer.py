"""One linear layer with low-rank changes: y = x Wᵀ + s (x Aᵀ) Bᵀ (slide W27; Hu et al. 2021, equation 3).

That is all of LoRA, two lines for x (N, I), frozen W (O, I), and the trained A (R, I) and B (O, R):

    low = x @ A.T                          # (N, R): the few numbers that A makes of each row
    y = x @ W.T + bias + s * low @ B.T     # (N, O): the frozen layer, and beside it what B makes of them

The rest of this module puts them into models that exist, and saves memory.

A layer is changed in place: it keeps its parameters and their names, and gets a class that is both its old one
and a `LoraLayer`. When the last adapter is removed it gets its old class back.

The product has its own backward pass, since autograd's, of the two lines above, would hold two more tensors of the
output's size: here the low-rank part is added into the output, and its gradient into that of the input. A base in few
bits (QLoRA) is unpacked again for it. The pass is itself made of operations that autograd knows, so that second
derivatives are right.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lib.adapters.settings import LoraSettings
from lib.adapters.targets import Target, is_conv1d, linear_shape, trained_like
from lib.models.linear import PackedLinear


class LowRank(nn.Module):
    """The two factors of one change: A ∈ R^{r×k} drawn, B ∈ R^{d×r} zero, so that BA is zero at the start.

    They are float32 also where the base is in 16 bits or fewer, see `trained_like`.
    """

    def __init__(self, target: Target, rank: int, generator: torch.Generator | None, scale: float = 1.0) -> None:
        super().__init__()
        like = trained_like(target.module)
        self.start, self.stop = target.start, target.stop  # of the layer's outputs, those that BA makes
        self.scale = scale  # s in ΔW = s BA
        self.A = nn.Parameter(torch.empty(rank, target.inputs, **like))
        self.B = nn.Parameter(torch.zeros(target.outputs, rank, **like))
        if not self.A.is_meta:
            # N(0, σ²) as slide W27 has it, with the variance that loralib's uniform draw has: 1/(3k).
            drawn = torch.randn(self.A.shape, generator=generator, device=getattr(generator, "device", None))
            self.A.data.copy_(drawn * (3 * target.inputs) ** -0.5)


class Adapter(nn.ModuleDict):
    """All that one adapter changes in one layer: a `LowRank` by part, q and v of a fused matrix say."""

    def __init__(
        self, settings: LoraSettings, targets: Sequence[Target], generator: torch.Generator | None = None
    ) -> None:
        ranks = {t.part: settings.rank_of(t.name) for t in targets}
        super().__init__({t.part: LowRank(t, ranks[t.part], generator, settings.scale_of(t.name)) for t in targets})
        self.settings = settings

    def stacked(self) -> tuple[Float[Tensor, "R I"], list[Float[Tensor, "_ _"]], list[tuple[int, int]], float]:
        """All A in one matrix, so that x is read once; every B; the outputs that each makes; one scale for all.

        Where a part has a scale of its own (`alpha_pattern`), its B is multiplied by what is left of it.
        """
        parts = list(self.values())
        scale = parts[0].scale
        down = parts[0].A if len(parts) == 1 else torch.cat([part.A for part in parts])
        ups = [part.B if part.scale == scale else part.B * (part.scale / scale) for part in parts]
        return down, ups, [(part.start, part.stop) for part in parts], scale


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
        dropout = adapter.settings.dropout
        dropped = F.dropout(x, dropout) if self.training and dropout else None
        down, ups, spans, scale = adapter.stacked()
        autocast = torch.is_autocast_enabled(x.device.type)
        if not torch.is_grad_enabled() and not autocast:
            return _with_low_rank(super().forward(x), x if dropped is None else dropped, down, ups, spans, scale)[0]
        packed = isinstance(self, PackedLinear)
        held = self.stored() if packed else (self.weight,)
        floats = (x, dropped, self.bias, down)
        if not autocast:
            return _LowRankProduct.apply(self, scale, spans, *floats, *held, *ups)
        dtype = torch.get_autocast_dtype(x.device.type)
        floats, ups = ([None if one is None else one.to(dtype) for one in tensors] for tensors in (floats, ups))
        held = held if packed else (self.weight.to(dtype),)
        with torch.autocast(x.device.type, enabled=False):
            return _LowRankProduct.apply(self, scale, spans, *floats, *held, *ups)

    @torch.no_grad()
    def change(self, name: str) -> Float[Tensor, "O I"]:
        """ΔW = s BA of an adapter in the factors' dtype, zero in the rows that it does not change."""
        parts = list(self.adapters[name].values())
        change = parts[0].A.new_zeros(linear_shape(self))
        for part in parts:
            change[part.start : part.stop].addmm_(part.B, part.A, alpha=part.scale)
        return change

    @torch.no_grad()
    def merge(self, name: str, *, keep_base: bool) -> None:
        """W becomes W + ΔW in a parameter of its own, so that one that shared it (a tied matrix) does not.

        The sum is taken in the factors' dtype and rounded once, to that of W.
        """
        change = self.change(name)
        merged = (self.weight + (change.t() if is_conv1d(self) else change)).to(self.weight.dtype)
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
        layer: LoraLayer,
        scale: float,
        spans: list[tuple[int, int]],
        x: Tensor,
        dropped: Tensor | None,
        bias: Tensor | None,
        down: Tensor,
        *rest: Tensor,
    ) -> Tensor:
        held, ups = rest[: -len(spans)], rest[-len(spans) :]
        packed = isinstance(layer, PackedLinear)
        y = layer.product(x) if packed else F.linear(x, _matrix(layer, held), bias)
        y, low = _with_low_rank(y, x if dropped is None else dropped, down, ups, spans, scale)
        ctx.layer, ctx.scale, ctx.spans = layer, scale, spans
        ctx.save_for_backward(x, dropped, down, low, *rest)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, dropped, down, low, *rest = ctx.saved_tensors
        held, ups = rest[: -len(ctx.spans)], rest[-len(ctx.spans) :]
        needs = dict(zip(("x", "dropped", "bias", "down", "weight"), ctx.needs_input_grad[3:]))
        grad = grad.reshape(-1, grad.shape[-1])  # (N, O)
        flat = x.reshape(-1, x.shape[-1])  # (N, I)
        source = (flat if dropped is None else dropped.reshape(flat.shape)).to(down.dtype)
        if torch.is_grad_enabled():  # for a second derivative: of x and A what the forward pass kept knows nothing
            low = F.linear(source, down)
        low_grad, up_grads = _factor_grads(grad, low, ups, ctx.spans, ctx.scale)
        x_grad = None
        if needs["x"]:
            x_grad = grad @ _matrix(ctx.layer, held).to(grad.dtype)
            x_grad = (x_grad if dropped is not None else _add_product(x_grad, low_grad, down)).view(x.shape)
        dropped_grad = (low_grad @ down).view(x.shape) if needs["dropped"] else None
        bias_grad = grad.sum(0) if needs["bias"] else None
        weight_grad = None
        if needs["weight"]:
            weight_grad = flat.t() @ grad if is_conv1d(ctx.layer) else grad.t() @ flat
        others = [None] * (len(held) - 1)
        return None, None, None, x_grad, dropped_grad, bias_grad, low_grad.t() @ source, weight_grad, *others, *up_grads


def _factor_grads(
    grad: Tensor, low: Tensor, ups: Sequence[Tensor], spans: list[tuple[int, int]], scale: float
) -> tuple[Tensor, list[Tensor]]:
    """The gradient of x Aᵀ, (N, R), and of every B; s goes to these: of rank columns, not of the layer's width."""
    parts = [grad.narrow(1, start, stop - start).to(low.dtype) for start, stop in spans]
    lows = low.split([up.shape[1] for up in ups], dim=1)
    low_grad = torch.cat([part @ up for part, up in zip(parts, ups)], dim=1).mul_(scale)
    return low_grad, [(part.t() @ one).mul_(scale) for part, one in zip(parts, lows)]


def _add_product(x_grad: Tensor, low_grad: Tensor, down: Tensor) -> Tensor:
    """Add the low-rank part's gradient into that of the input."""
    same = x_grad.dtype == down.dtype
    return x_grad.addmm_(low_grad, down) if same else x_grad.add_(low_grad @ down)


def _matrix(layer: LoraLayer, held: Sequence[Tensor]) -> Float[Tensor, "O I"]:
    """W from what the layer holds of it."""
    if isinstance(layer, PackedLinear):
        return layer.unpack(*held)
    return held[0].t() if is_conv1d(layer) else held[0]


def _with_low_rank(
    y: Tensor, source: Tensor, down: Tensor, ups: Sequence[Tensor], spans: list[tuple[int, int]], scale: float
) -> tuple[Tensor, Tensor]:
    """y + s (x Aᵀ) Bᵀ in the dtype of y, computed in that of the factors; and x Aᵀ, (N, R)."""
    wide = y.to(down.dtype)
    low = _add_low_rank(wide, source.to(down.dtype), down, ups, spans, scale)
    return wide.to(y.dtype), low


def _add_low_rank(
    y: Tensor, source: Tensor, down: Tensor, ups: Sequence[Tensor], spans: list[tuple[int, int]], scale: float
) -> Tensor:
    """Add s (x Aᵀ) Bᵀ into y, and return x Aᵀ with one row per token, (N, R)."""
    low = F.linear(source.reshape(-1, source.shape[-1]), down)
    rows = y.view(-1, y.shape[-1])
    for one, up, (start, stop) in zip(low.split([up.shape[1] for up in ups], dim=1), ups, spans):
        rows[:, start:stop].addmm_(one, up.t(), alpha=scale)
    return low
