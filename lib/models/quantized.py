"""A model with its matrices in 8 or 4 bits: a quarter of the memory or less, at a small loss (slide T47).

Only linear layers are made small. Embeddings, norms and what stands on top (the output matrix, tied or not,
and every head) stay as they are, as in LLM.int8() (Dettmers et al. 2022): in a large model they are few, and
sensitive. The small matrices are buffers, not parameters: they are saved and moved with the model, but not
trained, and `count_parameters` does not see them.

What it saves is memory: a matrix that is only stored in few bits is unpacked for every product. On such a model
LoRA can be trained (`lib.adapters.inject_lora`), which in 4-bit NormalFloat is QLoRA (Dettmers et al. 2023).
"""

from collections.abc import Sequence
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeVar, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib import checks
from lib.kernels import (
    Quantized,
    QuantizedGroups,
    dequantize,
    dequantize_groups,
    int8_matmul,
    outlier_matmul,
    quantize_absmax,
    quantize_groups,
)
from lib.kernels.grouped import check_group_size
from lib.kernels.nf4 import QuantizedNF4, dequantize_nf4, quantize_nf4, zero_nf4
from lib.models.linear import Linear, PackedLinear
from lib.names import nearest

SCHEMES = ("bf16", "int8-tensor", "int8-channel", "int8-vector", "int8-outlier", "int4-group", "nf4")
HEADS = ("output", "backbone.output", "head.*")
"""Names of what is on top of our models; never quantised, because some of them give their weight to other code."""

Compute = Literal["float", "int8", "outlier"]
Layer = TypeVar("Layer", bound=PackedLinear)


class Int8Linear(PackedLinear):
    """x Wᵀ + b with W as 8-bit integers and one scale, or one per row (`per_channel`).

    `compute` is "float": W is unpacked for the product, x is not rounded; "int8": x is rounded too, with a
    scale per token, and integers are multiplied; "outlier": so, but the inputs with an |x| ≥ `threshold`
    among the tokens at hand are multiplied as floats (LLM.int8()). The last two refuse NaN and infinity.
    Gradients reach x as through the unpacked W (straight through the rounding). Scales stay float32 unless
    the layer is itself cast; then they lose digits: cast the model before it is quantised.
    Raises ValueError for another `compute`, or a threshold that is not positive.

    >>> layer = Int8Linear.from_linear(nn.Linear(64, 64, bias=False))
    >>> layer.values.dtype, model_bytes(layer)
    (torch.int8, 4352)
    """

    held = ("values", "scale")

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        per_channel: bool = True,
        compute: Compute = "float",
        threshold: float = 6.0,
    ) -> None:
        super().__init__()
        checks.one_of("compute", compute, get_args(Compute))
        checks.positive("threshold", threshold, infinite=True)
        self.in_features, self.out_features = in_features, out_features
        self.per_channel, self.compute, self.threshold = per_channel, compute, threshold
        self.register_buffer("values", torch.zeros(out_features, in_features, dtype=torch.int8))
        self.register_buffer("scale", torch.zeros((out_features, 1) if per_channel else ()))
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)

    @classmethod
    def from_linear(
        cls, linear: nn.Linear, *, per_channel: bool = True, compute: Compute = "float", threshold: float = 6.0
    ) -> "Int8Linear":
        """The layer that stands for `linear`, which is left as it is."""
        layer = _shaped(cls, linear, per_channel=per_channel, compute=compute, threshold=threshold)
        if not linear.weight.is_meta:
            weight = linear.weight.detach()
            layer.values, layer.scale = quantize_absmax(weight, axis=0 if per_channel else None)
        return layer

    @staticmethod
    def unpack(*stored: Tensor) -> Float[Tensor, "O I"]:
        """W from its integers and scales."""
        return dequantize(Quantized(*stored))

    def product(self, x: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch O"]:
        """The layer's output, in the dtype of x, without a gradient of its own."""
        if self.compute == "float":
            return super().product(x)
        y = self._rounded(x.detach().reshape(-1, self.in_features)).to(x.dtype)
        y = y.view(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y + self.bias.to(y.dtype)

    def _rounded(self, x: Tensor) -> Tensor:
        weight = Quantized(self.values, self.scale)
        if self.compute == "outlier":
            return outlier_matmul(x, weight, threshold=self.threshold).output
        return int8_matmul(quantize_absmax(x, axis=0), weight)

    def extra_repr(self) -> str:
        """What `print(model)` says about the layer."""
        scales = "row" if self.per_channel else "matrix"
        return f"{self.in_features}, {self.out_features}, a scale per {scales}, compute={self.compute}"


class GroupedInt4Linear(PackedLinear):
    """x Wᵀ + b with W in 4 bits, two in a byte, and a scale for every `group_size` neighbours in a row.

    Raises TypeError or ValueError if `group_size` is no even number that divides `in_features`.

    >>> model_bytes(GroupedInt4Linear(64, 64, bias=False))  # half a byte and 4/32 of one per weight
    2560
    """

    held = ("packed", "scale")

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True, group_size: int = 32) -> None:
        super().__init__()
        check_group_size(group_size, in_features)
        self.in_features, self.out_features, self.group_size = in_features, out_features, group_size
        # 136 is 8 in both nibbles: zero
        self.register_buffer("packed", torch.full((out_features, in_features // 2), 136, dtype=torch.uint8))
        self.register_buffer("scale", torch.zeros(out_features, in_features // group_size))
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, group_size: int = 32) -> "GroupedInt4Linear":
        """The layer that stands for `linear`, which is left as it is."""
        layer = _shaped(cls, linear, group_size=group_size)
        if not linear.weight.is_meta:
            layer.packed, layer.scale = quantize_groups(linear.weight.detach(), group_size=group_size)
        return layer

    @staticmethod
    def unpack(*stored: Tensor) -> Float[Tensor, "O I"]:
        """W from its nibbles and scales."""
        return dequantize_groups(QuantizedGroups(*stored))

    def extra_repr(self) -> str:
        """What `print(model)` says about the layer."""
        return f"{self.in_features}, {self.out_features}, groups of {self.group_size}"


class NF4Linear(PackedLinear):
    """x Wᵀ + b with W in 4-bit NormalFloat and its scales in 8 bits, as in QLoRA: 4.127 bits a weight.

    Raises ValueError if `in_features` is odd.

    >>> model_bytes(NF4Linear(4096, 4096, bias=False)) * 8 / 4096**2
    4.126955032348633
    """

    held = QuantizedNF4._fields

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        for name, tensor in zip(self.held, zero_nf4(out_features, in_features)):
            self.register_buffer(name, tensor)
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> "NF4Linear":
        """The layer that stands for `linear`, which is left as it is."""
        layer = _shaped(cls, linear)
        if not linear.weight.is_meta:
            for name, tensor in zip(cls.held, quantize_nf4(linear.weight.detach())):
                setattr(layer, name, tensor)
        return layer

    @staticmethod
    def unpack(*stored: Tensor) -> Float[Tensor, "O I"]:
        """W from its codes and scales."""
        return dequantize_nf4(QuantizedNF4(*stored))

    def extra_repr(self) -> str:
        """What `print(model)` says about the layer."""
        return f"{self.in_features}, {self.out_features}, NF4"


def quantize_model(
    model: nn.Module,
    *,
    scheme: str,
    skip: Sequence[str] = (),
    group_size: int = 32,
    threshold: float = 6.0,
    inplace: bool = False,
) -> nn.Module:
    """A model whose plain linear layers hold fewer bits; the given one is untouched unless `inplace`.

    Schemes: "int8-tensor" and "int8-channel" store W in 8 bits with one scale, or one per output, and compute
    in float; "int8-vector" rounds the inputs too, a scale per token, and multiplies integers; "int8-outlier"
    does that except for inputs with an outlier, |x| ≥ `threshold` (LLM.int8()); "int4-group" stores 4 bits
    with a scale for every `group_size` weights; "nf4" stores 4-bit NormalFloats with scales in 8 bits, QLoRA's
    base; "bf16" casts the whole model, including its embeddings.

    Embeddings, norms, the heads named in `HEADS`, and layers whose full name matches a pattern in `skip`
    ("*.down") are not changed. A copy shares no memory with the given model, and does not copy the matrices that it
    replaces. Raises TypeError if `model` is no module, ValueError for an unknown scheme, a pattern that
    matches nothing, nothing to quantise, a group size that does not divide, or a layer with an adapter on it
    (merge it first).

    >>> model = nn.Sequential(nn.Linear(32, 32, bias=False), nn.Linear(32, 32, bias=False))
    >>> model_bytes(model), model_bytes(quantize_model(model, scheme="int8-tensor", skip=["1"]))
    (8192, 5124)
    """
    checks.instance("model", model, nn.Module)
    checks.one_of("scheme", scheme, SCHEMES)
    if scheme == "bf16":
        if skip:
            raise ValueError(f"skip must be empty with bf16, which casts the whole model, got {skip!r}")
        return (model if inplace else deepcopy(model)).to(torch.bfloat16)
    chosen = _linear_layers(model, skip)
    if inplace and "" in chosen:
        raise ValueError("inplace must be False for a model that is itself the layer to replace")
    small: dict[int, nn.Module] = {}  # by identity: a layer that stands in two places stays one
    for name, linear in chosen.items():
        if id(linear) not in small:
            small[id(linear)] = _quantize_layer(name, linear, scheme, group_size, threshold)
    if not inplace:
        return deepcopy(model, dict(small))  # deepcopy takes these for copies that it has made already
    for name, linear in chosen.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, small[id(linear)])
    return model


def model_bytes(model: nn.Module) -> int:
    """Bytes of all parameters and buffers, a tied one counted once.

    Raises TypeError if `model` is no module.

    >>> model_bytes(nn.Linear(10, 10))
    440
    """
    checks.instance("model", model, nn.Module)
    return sum(t.numel() * t.element_size() for held in (model.parameters(), model.buffers()) for t in held)


def _linear_layers(model: nn.Module, skip: Sequence[str]) -> dict[str, nn.Linear]:
    """The layers to replace, by every name that they have."""
    skip = checks.strings("skip", skip)
    linear = {
        name: module for name, module in model.named_modules(remove_duplicate=False) if isinstance(module, nn.Linear)
    }
    for pattern in skip:
        if not any(fnmatchcase(name, pattern) for name in linear):
            raise ValueError(f"skip must match linear layers, got {pattern!r}; {nearest(pattern, linear)}")
    kept = {
        id(module) for name, module in linear.items() if any(fnmatchcase(name, pattern) for pattern in (*HEADS, *skip))
    }
    chosen = {name: module for name, module in linear.items() if id(module) not in kept}
    for name, module in chosen.items():
        if type(module) not in (nn.Linear, Linear):
            raise ValueError(
                f"model must have plain linear layers, got {type(module).__name__} at {name!r}: "
                "merge or remove its adapter first, or skip it"
            )
    if not chosen:
        raise ValueError(
            "model must have a linear layer to quantise that is neither a head nor skipped, "
            "got none (is it quantised already?)"
        )
    return chosen


def _quantize_layer(name: str, linear: nn.Linear, scheme: str, group_size: int, threshold: float) -> nn.Module:
    try:
        if scheme == "nf4":
            return NF4Linear.from_linear(linear)
        if scheme == "int4-group":
            return GroupedInt4Linear.from_linear(linear, group_size=group_size)
        compute = {"int8-vector": "int8", "int8-outlier": "outlier"}.get(scheme, "float")
        return Int8Linear.from_linear(linear, per_channel=scheme != "int8-tensor", compute=compute, threshold=threshold)
    except ValueError as error:
        raise ValueError(f"the layer {name!r} cannot be quantised: {error}") from error


def _shaped(kind: type[Layer], linear: nn.Linear, **options: Any) -> Layer:
    """A layer of this kind in the shape, mode and place of `linear`, and with its bias."""
    with torch.device(linear.weight.device):
        layer = kind(linear.in_features, linear.out_features, bias=linear.bias is not None, **options)
    if linear.bias is not None:
        layer.bias = linear.bias.detach().clone()
    return layer.train(linear.training)
