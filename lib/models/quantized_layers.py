"""Matrices in 8 or 4 bits: linear layers, and the embedding whose matrix is also the output's (slide T47)."""

from typing import Any, Literal, TypeVar, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lib import checks
from lib.kernels import (
    Quantized,
    QuantizedGroups,
    dequantize,
    dequantize_groups,
    dynamic_int8_matmul,
    int8_matmul,
    outlier_matmul,
    pack_int8,
    quantize_absmax,
    quantize_groups,
)
from lib.kernels.grouped import check_group_size
from lib.kernels.nf4 import QuantizedNF4, dequantize_nf4, quantize_nf4, zero_nf4
from lib.models.linear import PackedLinear, PackedMatrix

Compute = Literal["float", "int8", "outlier", "dynamic"]
Layer = TypeVar("Layer", bound=PackedLinear)


class Int8Matrix(PackedMatrix):
    """W as 8-bit integers and one scale, or one per row, and how it is multiplied: see `Int8Linear`."""

    held = ("values", "scale")

    def __init__(self, rows: int, columns: int, *, per_channel: bool, compute: Compute, threshold: float) -> None:
        super().__init__()
        checks.one_of("compute", compute, get_args(Compute))
        checks.positive("threshold", threshold, infinite=True)
        self.per_channel, self.compute, self.threshold = per_channel, compute, threshold
        self.register_buffer("values", torch.zeros(rows, columns, dtype=torch.int8))
        self.register_buffer("scale", torch.zeros((rows, 1) if per_channel else ()))
        self._packed: tuple[Any, ...] | None = None  # both buffers, their versions, and what `pack_int8` made of them

    @staticmethod
    def unpack(*stored: Tensor) -> Float[Tensor, "O I"]:
        """W from its integers and scales."""
        return dequantize(Quantized(*stored))

    def product(self, x: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch O"]:
        """The output, in the dtype of x, without a gradient of its own."""
        if self.compute == "float":
            return super().product(x)
        y = self._rounded(x.detach().reshape(-1, x.shape[-1])).to(x.dtype)
        y = y.view(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias.to(y.dtype)

    def _rounded(self, x: Tensor) -> Tensor:
        weight = Quantized(self.values, self.scale)
        if self.compute == "dynamic":
            return dynamic_int8_matmul(x, weight, self._pack(weight))
        if self.compute == "outlier":
            return outlier_matmul(x, weight, threshold=self.threshold).output
        return int8_matmul(quantize_absmax(x, axis=0), weight)

    def _pack(self, weight: Quantized) -> Any:
        """What `pack_int8` makes of the buffers as they are now, kept until they change."""
        versions = [None if t.is_inference() else t._version for t in weight]
        kept = self._packed
        if kept is None or kept[0] is not weight.values or kept[1] is not weight.scale or kept[2] != versions:
            kept = self._packed = (*weight, versions, pack_int8(weight))
        return kept[3]

    def __getstate__(self) -> dict[str, Any]:
        """All but the packed copy, which is made again: it cannot be pickled."""
        return self.__dict__ | {"_packed": None}


class Int8Linear(Int8Matrix, PackedLinear):
    """x Wᵀ + b with W as 8-bit integers and one scale, or one per row (`per_channel`).

    `compute` is "float": W is unpacked for the product, x is not rounded; "int8": x is rounded too, with a
    scale per token, and integers are multiplied; "outlier": so, but the inputs with an |x| ≥ `threshold`
    among the tokens at hand are multiplied as floats (LLM.int8()); "dynamic": as "int8", by the processor's own
    integer product (`dynamic_int8_matmul`), for which W is packed at the first product, in as many bytes again.
    These three refuse NaN and infinity.
    Gradients reach x as through the unpacked W (straight through the rounding). Scales stay float32 unless
    the layer is itself cast; then they lose digits: cast the model before it is quantised.
    Raises ValueError for another `compute`, or a threshold that is not positive.

    >>> from lib.models import model_bytes
    >>> layer = Int8Linear.from_linear(nn.Linear(64, 64, bias=False))
    >>> layer.values.dtype, model_bytes(layer)
    (torch.int8, 4352)
    """

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
        super().__init__(out_features, in_features, per_channel=per_channel, compute=compute, threshold=threshold)
        self.in_features, self.out_features = in_features, out_features
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)

    @classmethod
    def from_linear(
        cls, linear: nn.Linear, *, per_channel: bool = True, compute: Compute = "float", threshold: float = 6.0
    ) -> "Int8Linear":
        """The layer that stands for `linear`, which is left as it is."""
        layer = shaped(cls, linear, per_channel=per_channel, compute=compute, threshold=threshold)
        if not linear.weight.is_meta:
            weight = linear.weight.detach()
            layer.values, layer.scale = quantize_absmax(weight, axis=0 if per_channel else None)
        return layer

    def extra_repr(self) -> str:
        """What `print(model)` says about the layer."""
        scales = "row" if self.per_channel else "matrix"
        return f"{self.in_features}, {self.out_features}, a scale per {scales}, compute={self.compute}"


class Int8Embedding(Int8Matrix):
    """An embedding in 8 bits with a scale per token, whose matrix also turns hidden vectors into logits (tied).

    Called with ids it looks up s q; `map` multiplies by the whole matrix, as an `Int8Linear` with the same `compute`.

    >>> table = Int8Embedding.from_embedding(nn.Embedding(10, 64))
    >>> table(torch.tensor([[3]])).shape, table.map(torch.zeros(1, 64)).shape
    (torch.Size([1, 1, 64]), torch.Size([1, 10]))
    """

    bias = None

    def __init__(self, num_embeddings: int, embedding_dim: int, *, compute: Compute = "dynamic") -> None:
        super().__init__(num_embeddings, embedding_dim, per_channel=True, compute=compute, threshold=6.0)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim

    @classmethod
    def from_embedding(cls, embedding: nn.Embedding, *, compute: Compute = "dynamic") -> "Int8Embedding":
        """The table that stands for `embedding`, which is left as it is. Its numbers are looked up in float32."""
        with torch.device(embedding.weight.device):
            table = cls(embedding.num_embeddings, embedding.embedding_dim, compute=compute)
        if not embedding.weight.is_meta:
            table.values, table.scale = quantize_absmax(embedding.weight.detach(), axis=0)
        return table.train(embedding.training)

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch D"]:
        """The vectors of ids."""
        return self.values[ids] * self.scale[ids]

    def extra_repr(self) -> str:
        """What `print(model)` says about the table."""
        return f"{self.num_embeddings}, {self.embedding_dim}, a scale per row, compute={self.compute}"


class GroupedInt4Linear(PackedLinear):
    """x Wᵀ + b with W in 4 bits, two in a byte, and a scale for every `group_size` neighbours in a row.

    Raises TypeError or ValueError if `group_size` is no even number that divides `in_features`.

    >>> from lib.models import model_bytes
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
        layer = shaped(cls, linear, group_size=group_size)
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

    >>> from lib.models import model_bytes
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
        layer = shaped(cls, linear)
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


def shaped(kind: type[Layer], linear: nn.Linear, **options: Any) -> Layer:
    """A layer of this kind in the shape, mode and place of `linear`, and with its bias."""
    with torch.device(linear.weight.device):
        layer = kind(linear.in_features, linear.out_features, bias=linear.bias is not None, **options)
    if linear.bias is not None:
        layer.bias = linear.bias.detach().clone()
    return layer.train(linear.training)
