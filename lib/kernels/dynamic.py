"""Integer products for decoding: weights rounded and packed once, activations rounded when they come.

PyTorch calls this dynamic quantization. Decoding one token reads every weight once, so a byte for each instead of four
saves most of the time, if the product reads them as they are. PyTorch's two libraries for this, FBGEMM on x86 and QNNPACK
on arm, want the integers in an order of their own: they are packed once, and the packed copy takes as many bytes again.
"""

import math
import warnings
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checks
from lib.kernels.int8 import Quantized, check_numbers, check_scales, int8_matmul, quantize_absmax

MAX_PACKED_INNER = (2**31 - 1) // (255 * 128)
"""The longest sum of products of an unsigned and a signed 8-bit number, 65,793, that cannot leave 32 bits."""

PARTS = 8
"""How many times finer the numbers within an eighth of the largest are rounded than the few beyond."""

COARSE = 1 / 16
"""Below it the numbers within an eighth could get PyTorch's smallest scale, 6.1e-5, which is too coarse for them."""

ENGINES = ("fbgemm", "qnnpack")


def pack_int8(weight: Quantized) -> Any:
    """The integers and scales of W in the order that the processor's integer product reads; None where it has none.

    None stands for: another device than the CPU, a PyTorch without these libraries, a processor on which they do not
    multiply exactly (FBGEMM without VNNI instructions saturates), or sums that may leave 32 bits. W has a scale, or one
    per row. Raises TypeError if `weight` is not `Quantized`, ValueError if its scales are per column.

    >>> pack_int8(quantize_absmax(torch.ones(2, 3), axis=1))
    Traceback (most recent call last):
    ValueError: weight must have one scale or one per row (axis=0), got scales of shape (1, 3) for (2, 3)
    """
    check_scales(weight=weight)
    values, scale = weight
    usual = values.device.type == "cpu" and scale.dtype == torch.float32
    if not usual or values.shape[1] > MAX_PACKED_INNER or (engine := _engine()) is None:
        return None
    return _pack(values, scale.expand(len(values), 1)[:, 0], engine)


def dynamic_int8_matmul(x: Float[Tensor, "N K"], weight: Quantized, packed: Any = None) -> Float[Tensor, "N M"]:
    r"""x Wᵀ from integers, x rounded here, in two parts, so that one large number does not make the step of all others coarse.

    With t = max|x_n| / 8, what lies from −t to t is one row of integers, and what sticks out of it another, each with a scale of
    its own; one product reads W once for both. So x is off by at most t/254 where |x_nk| ≤ t and by 8 t/254 elsewhere, and
    y_nm by at most the sum of these times $|\hat w_{mk}|$, from the product with the floats that the integers stand for.
    With `packed`, made by `pack_int8` of the same `weight`, the product is the processor's own; without, `int8_matmul`.
    Raises ValueError if x is empty or not finite, or the shapes do not fit; TypeError if x is not floating-point.

    >>> x, w = torch.tensor([[1.0, 0.5]]), quantize_absmax(torch.tensor([[2.0, -1.0]]), axis=0)
    >>> round(dynamic_int8_matmul(x, w).item(), 1)
    1.5
    """
    alone = packed is not None and x.dtype == torch.float32 and x.shape == (1, weight.values.shape[1])
    if alone and COARSE < (most := x.abs().amax().item()) < math.inf:
        return _one_row(x, most / PARTS, packed)
    check_numbers(x=x)
    checks.shape("x", x, "N", weight.values.shape[1])
    largest = x.abs().amax(dim=1, keepdim=True)  # (N, 1)
    t = torch.where(largest > 0, largest, 1) / PARTS
    within = (x / t).clamp(-1, 1)
    parts = torch.cat((within, (x / t - within) / (PARTS - 1)))  # (2N, K), all rows with the largest number 1
    if packed is None or x.dtype != torch.float32:
        sums = int8_matmul(quantize_absmax(parts, axis=0), weight)
    else:
        sums = torch.ops.quantized.linear_dynamic(parts, packed)
    return (sums[: len(x)] + (PARTS - 1) * sums[len(x) :]) * t


def _one_row(x: Float[Tensor, "1 K"], t: float, packed: Any) -> Float[Tensor, "1 M"]:
    """The same for the one row of a decoding step, with fewer calls of PyTorch: they took longer than the product."""
    within = x.clamp(-t, t)
    sums = torch.ops.quantized.linear_dynamic(torch.cat((within, (x - within).mul_(1 / (PARTS - 1)))), packed)
    return torch.add(sums[:1], sums[1:], alpha=PARTS - 1)


@cache
def _engine() -> str | None:
    """The library that multiplies here, and exactly; None if neither does."""
    for name in ENGINES:
        if name in torch.backends.quantized.supported_engines and _is_exact(name):
            return name
    return None


def _is_exact(engine: str) -> bool:
    """Whether the largest numbers come out right: without VNNI pairs of products are added in 16 bits, which saturates."""
    signs = torch.tensor([[1], [-1]], dtype=torch.int8)
    x = torch.ones(1, 64)
    try:
        packed = _pack(signs * torch.full((2, 64), 127, dtype=torch.int8), torch.ones(2), engine)
        sums = torch.cat([torch.ops.quantized.linear_dynamic(sign * x, packed) for sign in (1, -1)])
    except (RuntimeError, AttributeError):
        return False
    expected = 64 * 127 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    return torch.allclose(sums, expected, rtol=1e-3)


def _pack(values: Tensor, scale: Tensor, engine: str) -> Any:
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = engine
    try:
        with warnings.catch_warnings():  # PyTorch means to remove tensors of this kind; then there is no engine
            warnings.simplefilter("ignore")
            zeros = torch.zeros(len(values), dtype=torch.int64)
            whole = torch._make_per_channel_quantized_tensor(values.contiguous(), scale.double(), zeros, 0)
        return torch.ops.quantized.linear_prepack(whole, None)
    finally:
        torch.backends.quantized.engine = before
