"""Eight-bit integers in place of floats, and the matrix product of such integers (LLM.int8(), slide T03).

x ≈ scale · q with q from -127 to 127: one float, the scale, is shared by a whole tensor, a row or a column.
The products of a matrix multiplication are then integers, summed exactly in 32 bits, and the scales are
multiplied on at the end. One large number makes the scale coarse for all that share it; LLM.int8() (Dettmers
et al. 2022) therefore takes out the few columns that hold such numbers and multiplies them as floats.
"""

from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int8, Int32
from torch import Tensor
from torch.nn import functional as F

from lib import checks
from lib.kernels.precision import widened

MAX_INNER = (2**31 - 1) // 128**2
"""The longest sum of products of two 8-bit numbers, 131,071, that cannot leave 32 bits."""

EXACT_IN_FLOAT32 = 2**24 // 128**2
"""The longest such sum, 1,024, of which float32 holds every partial sum exactly."""


class Quantized(NamedTuple):
    """x ≈ scale · values."""

    values: Tensor  # int8, shaped like x
    scale: Tensor  # float32 (float64 for a float64 x): () for a tensor, (N, 1) for rows, (1, K) for columns


class ZeroPointQuantized(NamedTuple):
    """x ≈ scale · (values − zero_point)."""

    values: Tensor  # int8, shaped like x
    scale: Tensor  # as in `Quantized`
    zero_point: Tensor  # int8, shaped like the scale: the integer that stands for 0.0


class OutlierProduct(NamedTuple):
    """What `outlier_matmul` gives: x Wᵀ, and which inputs were multiplied as floats."""

    output: Tensor  # (N, M)
    columns: Tensor  # (K,) bool


def quantize_absmax(x: Float[Tensor, "..."], *, axis: int | None = None, bits: int = 8) -> Quantized:
    """Round x to integers of `bits` bits, symmetric around 0: q = round(x / s), s = max|x| / (2^(bits−1)−1).

    `axis` is the one whose every index has its own scale (what PyTorch calls a channel axis): in a matrix 0
    for a scale per row, 1 for one per column; None for a single scale. Then |x − s q| ≤ s/2 everywhere (and a
    few parts in a million of s, float32's own rounding). Zeros stay exact, and a row of zeros has scale 0.
    Half-precision numbers are rounded in float32. Raises TypeError if x is not floating-point, ValueError if
    it is empty or holds NaN or infinity, if `axis` is not one of its dimensions or `bits` not from 2 to 8.

    >>> q = quantize_absmax(torch.tensor([[1.0, -2.0], [0.0, 0.5]]), axis=0)
    >>> q.values.tolist(), [round(s, 4) for s in q.scale.flatten().tolist()]
    ([[64, -127], [0, 127]], [0.0157, 0.0039])
    """
    check_numbers(x=x)
    checks.whole("bits", bits, 2, 8)
    x = widened(x)
    scale, values = absmax_round(x, largest(x.abs(), axis), bits)
    return Quantized(values, scale)


def quantize_zero_point(x: Float[Tensor, "..."], *, axis: int | None = None) -> ZeroPointQuantized:
    """Round x to all 256 values of a byte, for numbers that lie unevenly around 0.

    s = (max − min) / 255, z = round(−128 − min / s), q = round(x / s) + z: min becomes −128 and max 127. The
    range always includes 0, which z stands for exactly (padding and ReLU's zeros stay zeros). `axis`, the
    bound s/2 on the error and what is raised are as for `quantize_absmax`.

    >>> q = quantize_zero_point(torch.tensor([0.0, 1.0, 2.55]))
    >>> q.values.tolist(), int(q.zero_point)
    ([-128, -28, 127], -128)
    """
    check_numbers(x=x)
    x = widened(x)
    high, low = largest(x, axis).clamp_min(0), -largest(-x, axis).clamp_min(0)
    scale = high / 255 - low / 255  # divided first: the difference of two large numbers may be infinite
    scale = torch.where(high > low, scale.clamp_min(torch.finfo(x.dtype).tiny), 0)
    divisor = torch.where(scale > 0, scale, 1)
    zero_point = torch.round(-128 - low / divisor)
    values = (torch.round(x / divisor) + zero_point).clamp(-128, 127)
    return ZeroPointQuantized(values.to(torch.int8), scale, zero_point.to(torch.int8))


def dequantize(quantized: Quantized | ZeroPointQuantized) -> Float[Tensor, "..."]:
    """The floats that the integers stand for: s q, or s (q − z) where there is a zero point.

    Raises TypeError for anything that the two functions above did not make.

    >>> dequantize(quantize_absmax(torch.tensor([127.0, 3.2])))
    tensor([127.,   3.])
    """
    if isinstance(quantized, ZeroPointQuantized):
        shifted = quantized.values.to(quantized.scale.dtype) - quantized.zero_point
        return shifted * quantized.scale
    checks.instance("quantized", quantized, Quantized, ZeroPointQuantized)
    return quantized.values.to(quantized.scale.dtype) * quantized.scale


def integer_matmul(x: Int8[Tensor, "N K"], weight: Int8[Tensor, "M K"]) -> Int32[Tensor, "N M"]:
    """x Wᵀ of 8-bit integers, exactly: the sums are kept in 32 bits, where K ≤ 131,071 products always fit.

    It is `torch._int_mm`, padded with zeros on a GPU, where it takes only multiples of 8 and more than 16
    rows. Where it is missing, or wrong as on CPUs without integer dot products (PyTorch issue 136746: it
    saturates), float32 is used, a thousand columns at a time, which is exact too. Raises TypeError if an
    argument is not int8, ValueError if the shapes do not fit or K is too large.

    >>> hundreds = torch.tensor([[100, 100]], dtype=torch.int8)
    >>> integer_matmul(hundreds, hundreds)
    tensor([[20000]], dtype=torch.int32)
    """
    _check_int8(x=x, weight=weight)
    _check_product(x, weight)
    if not _has_int_mm(x.device.type):
        return _float_product(x, weight)
    if x.device.type == "cuda" or x.shape[1] == 1:
        return _padded_product(x, weight)
    return torch._int_mm(_plain(x), _plain(weight).T)


def int8_matmul(x_q: Quantized, w_q: Quantized) -> Float[Tensor, "N M"]:
    r"""x Wᵀ from integers: $y_{nm} = s^x_n s^w_m \sum_k q^x_{nk} q^w_{mk}$ (Dettmers et al. 2022).

    Both are matrices (N, K) and (M, K), each with one scale or one per row ("vector-wise"); scales per column
    cannot be drawn out of the sum over K. Errors of at most s/2 in every factor make one in y_nm of at most

    $\frac{s^x_n}{2} \sum_k |w_{mk}| + \frac{s^w_m}{2} \sum_k |x_{nk}| + K \frac{s^x_n s^w_m}{4}$,

    since xw − x̂ŵ = (x−x̂)w + x(w−ŵ) − (x−x̂)(w−ŵ); the sum itself is exact. Raises TypeError for anything
    but `Quantized`, ValueError if shapes or scales do not fit.

    >>> x, w = torch.tensor([[1.0, 0.5]]), torch.tensor([[2.0, -1.0]])
    >>> int8_matmul(quantize_absmax(x, axis=0), quantize_absmax(w, axis=0))
    tensor([[1.4921]])
    """
    check_scales(x_q=x_q, w_q=w_q)
    sums = integer_matmul(x_q.values, w_q.values)
    return sums.to(x_q.scale.dtype) * x_q.scale * (w_q.scale.T if w_q.scale.dim() else w_q.scale)


def outlier_matmul(
    x: Float[Tensor, "N K"], weight: Float[Tensor, "M K"] | Quantized, *, threshold: float = 6.0
) -> OutlierProduct:
    """x Wᵀ as in LLM.int8(): columns of x with an outlier as floats, all others as 8-bit integers.

    Column k is an outlier column if |x_nk| ≥ threshold for any n (Dettmers et al. 2022, §3.2, who find 6.0
    enough to keep the quality of all their models). The others are rounded with a scale per row of x and per
    row of W. A `weight` that is already `Quantized` is used as it is: its outlier columns are then those
    integers times their scales. Raises TypeError if x is not floating-point, ValueError for NaN or infinity,
    a threshold that is not positive, or shapes that do not fit.

    >>> x = torch.tensor([[0.5, 60.0], [1.0, -3.0]])
    >>> output, columns = outlier_matmul(x, torch.tensor([[2.0, 0.3]]))
    >>> [round(y, 2) for y in output.flatten().tolist()], columns.tolist()
    ([19.0, 1.1], [False, True])
    """
    _check_outlier(x, weight, threshold)
    x = widened(x)
    columns = (x.abs() >= threshold).any(0)
    if isinstance(weight, Quantized):
        rest = weight  # its outlier columns meet zeros
        kept = dequantize(Quantized(weight.values[:, columns], weight.scale))
    else:
        rest = quantize_absmax(weight.masked_fill(columns, 0), axis=0)
        kept = weight[:, columns]
    integer_part = int8_matmul(quantize_absmax(x.masked_fill(columns, 0), axis=0), rest)
    return OutlierProduct(integer_part + x[:, columns] @ kept.to(x.dtype).T, columns)


def absmax_round(x: Tensor, absmax: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Scales, and x in int8, from the largest magnitudes that share a scale; without dividing by 0."""
    levels = 2 ** (bits - 1) - 1
    smallest = torch.finfo(x.dtype).tiny  # below it a scale would lose its digits, or become 0
    scale = torch.where(absmax > 0, (absmax / levels).clamp_min(smallest), 0)
    values = torch.round(x / torch.where(scale > 0, scale, 1)).clamp(-levels, levels)
    return scale, values.to(torch.int8)


def largest(x: Tensor, axis: int | None) -> Tensor:
    """The largest number for each index of `axis`, shaped to broadcast against x; of all x for None."""
    if axis is None:
        return x.amax()
    axis = checks.dimension("axis", axis, x=x)
    others = [dim for dim in range(x.dim()) if dim != axis % x.dim()]
    return x.amax(others, keepdim=True) if others else x  # amax over no dimension would take them all


def check_numbers(**tensors: Tensor) -> None:
    """Refuse what cannot be rounded to integers, naming the argument."""
    checks.floating(**tensors)
    checks.not_empty(**tensors)
    checks.finite(**tensors)


def _check_product(x: Tensor, weight: Tensor) -> None:
    checks.shape("x", x, "N", "K")
    checks.shape("weight", weight, "M", x.shape[1])
    if x.shape[1] > MAX_INNER:
        raise ValueError(f"x must have at most {MAX_INNER} columns, whose sums fit 32 bits, got {x.shape[1]}")


def _check_int8(**matrices: Tensor) -> None:
    for name, matrix in matrices.items():
        if not isinstance(matrix, Tensor) or matrix.dtype != torch.int8:
            came = matrix.dtype if isinstance(matrix, Tensor) else type(matrix).__name__
            raise TypeError(f"{name} must be an int8 tensor, got {came}")


def check_scales(**matrices: Quantized) -> None:
    """Refuse what is not `Quantized` with one scale or one per row, naming the argument."""
    for name, q in matrices.items():
        checks.instance(name, q, Quantized)
        if q.scale.dim() and q.scale.shape != (q.values.shape[0], 1):
            raise ValueError(
                f"{name} must have one scale or one per row (axis=0), got scales of shape "
                f"{tuple(q.scale.shape)} for {tuple(q.values.shape)}"
            )


def _check_outlier(x: Tensor, weight: Tensor | Quantized, threshold: float) -> None:
    check_numbers(x=x)
    checks.positive("threshold", threshold, infinite=True)
    if not isinstance(weight, Quantized):
        check_numbers(weight=weight)
    _check_product(x, weight.values if isinstance(weight, Quantized) else weight)


def _plain(matrix: Tensor) -> Tensor:
    """The matrix with the strides (columns, 1): from others (issue 195066) oneDNN reads the wrong memory."""
    return matrix.reshape(-1).view(matrix.shape)


def _float_product(x: Tensor, weight: Tensor) -> Tensor:
    """x Wᵀ from floats, in blocks of columns so short that nothing is rounded."""
    total = torch.zeros(x.shape[0], weight.shape[0], dtype=torch.int32, device=x.device)
    blocks = zip(x.split(EXACT_IN_FLOAT32, dim=1), weight.split(EXACT_IN_FLOAT32, dim=1), strict=True)
    for left, right in blocks:
        total += (left.float() @ right.float().T).to(torch.int32)
    return total


def _padded_product(x: Tensor, weight: Tensor) -> Tensor:
    """`torch._int_mm` at a shape that cuBLAS takes: zeros added to all sides, and cut off again.

    oneDNN needs it for a single column, where W and Wᵀ have the same strides and it confuses them.
    """
    rows, inner, outputs = x.shape[0], x.shape[1], weight.shape[0]
    x = F.pad(x, (0, -inner % 8, 0, max(17 - rows, 0)))
    weight = F.pad(weight, (0, -inner % 8, 0, -outputs % 8))
    return torch._int_mm(x, weight.T)[:rows, :outputs]


@cache
def _has_int_mm(device: str) -> bool:
    """Whether PyTorch multiplies integers on this kind of device, and exactly.

    On processors without instructions for it oneDNN adds pairs of products in 16 bits, in which the largest
    do not fit; all signs are tried, since it shifts x by 128 first.
    """
    largest_numbers = torch.full((32, 64), 127, dtype=torch.int8, device=device)
    for x, weight in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        try:
            sums = torch._int_mm(x * largest_numbers, (weight * largest_numbers).T)
        except (RuntimeError, AttributeError):
            return False
        if not (sums == x * weight * 64 * 127**2).all():
            return False
    return True
