"""4-bit NormalFloat with double quantisation, in which QLoRA holds a frozen model (Dettmers et al. 2023).

Trained weights lie around 0 about like a normal variable. The 16 levels of NF4 are quantiles of one, stretched to
[-1, 1]: each is used about equally often. Every 64 weights share a scale, the largest magnitude among them; those
scales are quantised too, 256 at a time, to 8 bits. In all 4 + 8/64 + 32/(64 · 256) = 4.127 bits a weight.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from lib import checks
from lib.kernels.int8 import absmax_round, check_numbers
from lib.kernels.precision import widened

BLOCK, SCALES_BLOCK = 64, 256  # weights that share a scale; scales that share one in turn

NF4_LEVELS = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"""As printed in appendix E of the paper; `normal_levels` computes them."""


class QuantizedNF4(NamedTuple):
    """A matrix (M, K): weight[i] ≈ level[code[i]] · absmax[i // 64], the entries numbered row by row."""

    packed: Tensor  # (M, K/2) uint8: code 2j of a row in the low four bits of its byte j, 2j + 1 in the high ones
    absmax: Tensor  # (⌈MK/64⌉,) int8: absmax[b] ≈ absmax_scale[b // 256] · absmax[b] + absmax_mean
    absmax_scale: Tensor  # (⌈MK/64/256⌉,), float32 (float64 for a float64 weight)
    absmax_mean: Tensor  # (), of all blocks: magnitudes are positive, their differences from the mean lie around 0


def normal_levels() -> Float[Tensor, " 16"]:
    """The levels from their definition: 8 quantiles of N(0, 1) above 0 and 7 below, evenly spaced in probability.

    The outermost probability is the mean of 1 - 1/30 and 1 - 1/32, so that both sides end at the same quantile,
    which is scaled to 1. Zero is a level of its own: zeros stay exact.

    >>> normal_levels()[[0, 1, 7, 8, 15]]
    tensor([-1.0000, -0.6962,  0.0000,  0.0796,  1.0000])
    """
    outermost = (1 - 1 / 30 + 1 - 1 / 32) / 2
    above = torch.special.ndtri(torch.linspace(outermost, 0.5, 9, dtype=torch.float64)[:-1])
    below = -torch.special.ndtri(torch.linspace(outermost, 0.5, 8, dtype=torch.float64)[:-1])
    levels = torch.cat((below, torch.zeros(1, dtype=torch.float64), above.flip(0)))
    return (levels / levels.max()).float()


def quantize_nf4(weight: Float[Tensor, "M K"]) -> QuantizedNF4:
    """Each weight as the nearest of 16 levels times the largest magnitude of its block of 64, rounded to 8 bits.

    Blocks run on from row to row; the last may be shorter. The 8 bits are integers with a scale per 256 of them
    (bitsandbytes has 8-bit floats there). Raises TypeError if the weight is not floating-point, ValueError if it
    is not a matrix or not finite, or has an odd number of columns.

    >>> q = quantize_nf4(torch.tensor([[2.0, -2.0, 0.0, 0.9]]))
    >>> q.packed.tolist(), dequantize_nf4(q)
    ([[15, 199]], tensor([[ 2.0000, -2.0000,  0.0000,  0.8814]]))
    """
    check_numbers(weight=weight)
    checks.shape("weight", weight, "M", "K")
    _check_even(weight.shape[1])
    blocks = _in_blocks(widened(weight).flatten(), BLOCK)
    absmax = blocks.abs().amax(1)
    mean = absmax.mean()
    centred = _in_blocks(absmax - mean, SCALES_BLOCK)
    scale, values = absmax_round(centred, centred.abs().amax(1, keepdim=True), 8)
    levels = torch.tensor(NF4_LEVELS, dtype=blocks.dtype, device=blocks.device)
    between = (levels[1:] + levels[:-1]) / 2
    codes = torch.bucketize(blocks / absmax.clamp_min(torch.finfo(blocks.dtype).tiny)[:, None], between, out_int32=True)
    codes = codes.flatten()[: weight.numel()].view(weight.shape).to(torch.uint8)
    packed = codes[:, ::2] | codes[:, 1::2] << 4
    return QuantizedNF4(packed, values.flatten()[: len(absmax)], scale.squeeze(1), mean)


def dequantize_nf4(quantized: QuantizedNF4) -> Float[Tensor, "M K"]:
    """The matrix that the codes and their scales stand for, in the scales' dtype.

    Raises TypeError for anything but `QuantizedNF4`.

    >>> dequantize_nf4(quantize_nf4(torch.zeros(1, 4)))
    tensor([[0., 0., 0., 0.]])
    """
    checks.instance("quantized", quantized, QuantizedNF4)
    packed, absmax, scale, mean = quantized
    magnitudes = (_in_blocks(absmax.to(scale.dtype), SCALES_BLOCK) * scale[:, None] + mean).flatten()[: len(absmax)]
    codes = torch.stack((packed & 15, packed >> 4), dim=-1).flatten(1)
    levels = torch.tensor(NF4_LEVELS, dtype=scale.dtype, device=packed.device)
    blocks = _in_blocks(levels.index_select(0, codes.flatten().int()), BLOCK) * magnitudes.clamp_min(0)[:, None]
    return blocks.flatten()[: codes.numel()].view(codes.shape)


def zero_nf4(rows: int, columns: int) -> QuantizedNF4:
    """What `quantize_nf4` makes of zeros, without making them: for a layer that is only a shape, or to be filled.

    Raises ValueError as it does.

    >>> dequantize_nf4(zero_nf4(1, 2))
    tensor([[0., 0.]])
    """
    _check_even(columns)
    blocks = -(-rows * columns // BLOCK)
    packed = torch.full((rows, columns // 2), 7 | 7 << 4, dtype=torch.uint8)
    scale = torch.zeros(-(-blocks // SCALES_BLOCK))
    return QuantizedNF4(packed, torch.zeros(blocks, dtype=torch.int8), scale, torch.zeros(()))


def _check_even(columns: int) -> None:
    if columns % 2:
        raise ValueError(f"weight must have an even number of columns, two to a byte, got {columns}")


def _in_blocks(flat: Tensor, size: int) -> Tensor:
    """The numbers in rows of `size`, the last filled up with zeros."""
    return F.pad(flat, (0, -len(flat) % size)).view(-1, size)
