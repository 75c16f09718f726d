"""Weights of four bits, two in a byte, with a scale for every small group: an outlier spoils only its own.

The idea of llama.cpp's Q4_0: groups of 32 neighbours in a row, each with a scale of its own (there float16,
here float32, so that the bound on the error holds for weights of any size).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checks
from lib.kernels.int8 import absmax_round, check_numbers
from lib.kernels.precision import widened


class QuantizedGroups(NamedTuple):
    """A matrix (M, K) in nibbles: weight[m, k] ≈ scale[m, k // group_size] · (nibble[m, k] − 8)."""

    packed: Tensor  # (M, K/2) uint8: column 2j in the low four bits of byte j, column 2j + 1 in the high ones
    scale: Tensor  # (M, K/group_size), float32 (float64 for a float64 weight)

    @property
    def group_size(self) -> int:
        """How many neighbours share a scale."""
        return 2 * self.packed.shape[1] // self.scale.shape[1]


def quantize_groups(weight: Float[Tensor, "M K"], *, bits: int = 4, group_size: int = 32) -> QuantizedGroups:
    """Round each group of `group_size` neighbours in a row by absmax to `bits` bits, and pack two in a byte.

    4 bits have the levels −7 to 7; with fewer the levels are fewer, but the bytes are the same: K/2 and four
    for each group's scale, so 5 bits per weight for groups of 32. |weight − dequantised| ≤ scale/2, as in
    `quantize_absmax`. Raises TypeError if the weight is not floating-point, ValueError if it is not a matrix
    or not finite, if `bits` is not 2, 3 or 4, or `group_size` is odd or does not divide K.

    >>> q = quantize_groups(torch.tensor([[7.0, -3.0, 0.7, 0.0]]), group_size=2)
    >>> q.packed.tolist(), [round(s, 3) for s in q.scale.flatten().tolist()]
    ([[95, 143]], [1.0, 0.1])
    """
    _check_groups(weight, bits, group_size)
    groups = widened(weight).unflatten(1, (-1, group_size))  # (M, K/group_size, group_size)
    scale, values = absmax_round(groups, groups.abs().amax(-1, keepdim=True), bits)
    nibbles = (values.flatten(1) + 8).to(torch.uint8)  # 1 to 15
    return QuantizedGroups(nibbles[:, ::2] | nibbles[:, 1::2] << 4, scale.squeeze(-1))


def dequantize_groups(quantized: QuantizedGroups) -> Float[Tensor, "M K"]:
    """The matrix that the nibbles and their scales stand for.

    Raises TypeError for anything but `QuantizedGroups`.

    >>> dequantize_groups(quantize_groups(torch.tensor([[7.0, -3.2, 0.0, 0.0]]), group_size=2))
    tensor([[ 7., -3.,  0.,  0.]])
    """
    checks.instance("quantized", quantized, QuantizedGroups)
    packed, scale = quantized
    values = torch.stack((packed & 15, packed >> 4), dim=-1).flatten(1).to(scale.dtype) - 8
    return (values.unflatten(1, (scale.shape[1], -1)) * scale.unsqueeze(-1)).flatten(1)


def check_group_size(group_size: int, columns: int) -> None:
    """Refuse groups that do not fill a row, or whose nibbles do not fill bytes."""
    if checks.whole("group_size", group_size, 2) % 2 or columns % group_size:
        raise ValueError(f"group_size must be even and divide the {columns} columns, got {group_size}")


def _check_groups(weight: Tensor, bits: int, group_size: int) -> None:
    check_numbers(weight=weight)
    checks.shape("weight", weight, "M", "K")
    checks.whole("bits", bits, 2, 4)
    check_group_size(group_size, weight.shape[1])
