"""Answers to `quantization.outlier_product`, right and wrong: which columns are taken out, and how the rest is rounded."""

import torch

from lib.exercises.lecture16.quantization_product import wrapped


def rounded(part, dim=1, levels=127, how=torch.round):
    """Numbers rounded to so many levels each way: a scale per row (dim 1), per column (0) or for all (None)."""
    if not part.numel():
        return part
    scale = (part.abs().amax() if dim is None else part.abs().amax(dim=dim, keepdim=True)) / levels
    return how(part / torch.where(scale > 0, scale, 1)) * scale


def same(part):
    """Numbers as they are."""
    return part


def unguarded(part):
    """Numbers rounded as `rounded` does, with an IndexError where no column is left."""
    part.amax(dim=1)
    return rounded(part)


def loud(x, threshold):
    """Which columns hold an |x| ≥ threshold."""
    return (x.abs() >= threshold).any(dim=0)


def split(columns=loud, of_x=rounded, of_w=None):
    """An answer that takes the columns `columns(x, threshold)` out; `of_x` rounds the rest of x, and `of_w` that of W."""
    of_w = of_w or of_x

    def answer(x, W, threshold):
        out = columns(x, threshold)
        return of_x(x[:, ~out]) @ of_w(W[:, ~out]).T + x[:, out] @ W[:, out].T

    return answer


def scales_before(of_x, of_w):
    """Scales of x, of W or of both that still see the columns taken out."""

    def answer(x, W, threshold):
        out = loud(x, threshold)
        a, b = (rounded(x)[:, ~out] if of_x else rounded(x[:, ~out])), (rounded(W) if of_w else W)[:, ~out]
        return a @ (b if of_w else rounded(b)).T + x[:, out] @ W[:, out].T

    return answer


def with_zeros(x, W, threshold):
    """Zeros in place of what is taken out: right too, for 0 is exact."""
    out = loud(x, threshold)
    rest = rounded(x.masked_fill(out, 0)) @ rounded(W.masked_fill(out, 0)).T
    return rest + x.masked_fill(~out, 0) @ W.T


def with_scales(scale_of):
    """Numbers rounded with the scales `scale_of(s)`, where s is max / 127 of each row."""

    def rounded_so(part):
        scale = scale_of(part.abs().amax(dim=1, keepdim=True) / 127) if part.numel() else 1.0
        return torch.round(part / scale) * scale

    return rounded_so


def single_numbers(x, W, threshold):
    """Large numbers are taken out, and not their columns."""
    large = x.abs() >= threshold
    return rounded(x.masked_fill(large, 0)) @ rounded(W).T + x.masked_fill(~large, 0) @ W.T


def outliers_rounded(x, W, threshold):
    """Both parts are rounded, each with scales of its own."""
    out = loud(x, threshold)
    return sum(rounded(x[:, part]) @ rounded(W[:, part]).T for part in (out, ~out))


def rows_out(x, W, threshold):
    """Rows with an outlier are taken out, and not columns."""
    out = (x.abs() >= threshold).any(dim=1, keepdim=True)
    return torch.where(out, x @ W.T, rounded(x) @ rounded(W).T)


def zeros_divided(x, W, threshold):
    """Rows of zeros become NaN; all else is computed as in the reference, in whole numbers."""
    out = loud(x, threshold)
    x_left, W_left = x[:, ~out], W[:, ~out]
    if not x_left.numel():
        return x @ W.T
    x_scale, w_scale = (part.abs().amax(dim=1, keepdim=True) / 127 for part in (x_left, W_left))
    sums = torch.round(x_left / x_scale) @ torch.round(W_left / w_scale).T
    return sums * x_scale * w_scale.T + x[:, out] @ W[:, out].T


def wrapped_sums(x, W, threshold):
    """Integers of eight bits are multiplied, and their sums wrap around."""
    out = loud(x, threshold)
    parts = [part[:, ~out] for part in (x, W)]
    if not parts[0].numel():
        return x @ W.T
    scales = [part.abs().amax(dim=1, keepdim=True) / 127 for part in parts]
    a, b = (torch.round(part / torch.where(s > 0, s, 1)).long() for part, s in zip(parts, scales))
    return wrapped(a @ b.T, 8) * scales[0] * scales[1].T + x[:, out] @ W[:, out].T


def one_column_out(x, W, threshold):
    """At most one column is taken out, that of the largest number."""
    largest = x.abs().amax(dim=0)
    return split(lambda x, t: (largest >= t) & (torch.arange(len(largest)) == largest.argmax()))(x, W, threshold)
