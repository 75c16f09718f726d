"""Softmax and its relatives, safe for logits of any size.

exp(z) overflows float32 beyond z = 88. Every function here uses the same remedy: subtract the largest logit first, which
changes nothing (softmax is invariant to a shift) and leaves no exponent above zero. Half precision is summed in float32: the
exponentials of 100,000 equal logits are more than float16 can hold.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checks
from lib.kernels.precision import widened
from lib.kernels.triton_launch import TWINS, triton_serves


def softmax(z: Float[Tensor, "*shape"], dim: int = -1) -> Float[Tensor, "*shape"]:
    """Turn logits into probabilities that sum to one along `dim`.

    softmax_i(z) = exp(z_i) / sum_j exp(z_j), slide W13. A logit of -inf has probability 0; a slice of nothing but -inf
    has no distribution and gives NaN, as in PyTorch (attention, where such rows happen, gives zeros instead).
    On a GPU `triton_softmax` does the work, where it can.
    Raises TypeError if `z` is not a floating-point tensor, ValueError if `dim` is not one of its dimensions or is empty.

    >>> [round(p, 3) for p in softmax(torch.tensor([1.0, 2.0, 8.0])).tolist()]
    [0.001, 0.002, 0.997]
    """
    check_logits(z, dim)
    if triton_serves(z):
        return TWINS["softmax"](z, dim)
    wide = widened(z)
    exp = (wide - wide.detach().amax(dim, keepdim=True)).exp_()  # in place: one buffer of z's size less
    return (exp / exp.sum(dim, keepdim=True)).to(z.dtype)


def logsumexp(z: Float[Tensor, "..."], dim: int = -1, keepdim: bool = False) -> Float[Tensor, "..."]:
    """Return log sum_j exp(z_j) along `dim`: a smooth maximum, and the logarithm of softmax's denominator (slide W13).

    With one logit far above the rest it is that logit; a slice of nothing but -inf gives -inf.
    Raises TypeError if `z` is not a floating-point tensor, ValueError if `dim` is not one of its dimensions or is empty.

    >>> logsumexp(torch.tensor([10000.0, 10000.0])) - 10000  # log 2
    tensor(0.6934)
    """
    check_logits(z, dim)
    wide = widened(z)
    largest = wide.detach().amax(dim, keepdim=True)
    largest = largest.masked_fill(largest.isinf(), 0)  # inf - inf would be NaN
    total = (wide - largest).exp_().sum(dim, keepdim=True)
    result = (largest + total.log()).to(z.dtype)
    return result if keepdim else result.squeeze(dim)


def log_softmax(z: Float[Tensor, "*shape"], dim: int = -1) -> Float[Tensor, "*shape"]:
    """Return log softmax(z) = z - logsumexp(z) along `dim`, exact where softmax itself rounds to 0 (slide W13).

    Raises TypeError if `z` is not a floating-point tensor, ValueError if `dim` is not one of its dimensions or is empty.

    >>> log_softmax(torch.tensor([0.0, 1000.0]))
    tensor([-1000.,     0.])
    """
    check_logits(z, dim)
    wide = widened(z)
    shifted = wide - wide.detach().amax(dim, keepdim=True)  # shifting first keeps the small digits of large logits
    return (shifted - shifted.exp().sum(dim, keepdim=True).log()).to(z.dtype)


def sigmoid(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Map a real number to a probability strictly between 0 and 1.

    sigma(x) = 1 / (1 + e^-x) = e^x / (1 + e^x), slide W12. The first form overflows for large negative x, the second for
    large positive x, so each is used where it is safe: both are written with e^-|x|, which never overflows.
    Raises TypeError if `x` is not a floating-point tensor.

    >>> sigmoid(torch.tensor([-10000.0, 0.0, 10000.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    checks.floating(x=x)
    small = torch.exp(-torch.where(x < 0, -x, x))  # unlike |x|, this has the right derivative at 0
    return torch.where(x < 0, small, 1) / (1 + small)


def argmax_onehot(z: Float[Tensor, "*batch V"]) -> Float[Tensor, "*batch V"]:
    """Return the distribution that puts all mass on the largest entries of the last dimension, ties sharing it equally.

    The limit of softmax(z / temperature) as the temperature goes to 0, slide W13: argmax(0, 3, 3) = (0, 1/2, 1/2).
    Raises TypeError if `z` is not a floating-point tensor, ValueError if its last dimension is missing or empty.

    >>> argmax_onehot(torch.tensor([0.0, 3.0, 3.0]))
    tensor([0.0000, 0.5000, 0.5000])
    """
    check_logits(z, -1)
    largest = (z == z.amax(-1, keepdim=True)).to(z.dtype)
    return largest / largest.sum(-1, keepdim=True)


def check_logits(z: Tensor, dim: int) -> None:
    """Refuse what has no softmax along `dim`, naming the argument."""
    checks.floating(z=z)
    if z.shape[checks.dimension("dim", dim, z=z)] == 0:
        raise ValueError(f"z must have at least one entry along dim {dim}, got shape {tuple(z.shape)}")
