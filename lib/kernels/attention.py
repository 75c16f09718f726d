"""Attention as on the blackboard, and by PyTorch's fused kernel; `tiled.py` has a third way, with the same signature.

softmax(Q K^T / sqrt(K) + M) V, Vaswani et al. 2017, equation 1; slides N34 and C20. A mask is boolean (True: may attend) or a
float that is added to the scores. A query that may attend to nothing gets zeros and passes no gradient, where the formula
would give 0/0.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from lib import checks
from lib.kernels.masks import causal_mask

ScoreMask = Bool[Tensor, "..."] | Float[Tensor, "..."]
"""True (or a finite number) where a query may attend; broadcastable to (B, H, T, S)."""


def attention_weights(
    q: Float[Tensor, "B H T K"],
    k: Float[Tensor, "B G S K"],
    *,
    mask: ScoreMask | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "B H T S"]:
    """Return the weights softmax(q k^T * scale + mask); each row sums to 1, or is zero where nothing may be attended to.

    `scale` is 1/sqrt(K) unless given. With `causal` the last query is aligned with the last key, so that new queries
    may follow a cache of S - T keys. G key heads serve H query heads, H a multiple of G (grouped-query attention, slide
    C28).
    Raises ValueError if shapes do not fit, TypeError for a mask of integers.

    >>> q = k = torch.zeros(1, 1, 2, 4)
    >>> attention_weights(q, k, causal=True)[0, 0]
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000]])
    """
    check_attention(q, k, k, mask, causal)
    scores = q @ repeat_kv(k, q.shape[1]).mT * default_scale(q, scale)  # (B, H, T, S)
    if causal:
        scores = scores.masked_fill(~causal_mask(q.shape[2], k.shape[2], device=q.device), -math.inf)
    if mask is None:  # every query sees a key
        return torch.softmax(scores, dim=-1)
    mask = in_dtype_of(q, mask)
    scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    empty = (scores == -math.inf).all(dim=-1, keepdim=True)
    return torch.softmax(scores.masked_fill(empty, 0), dim=-1).masked_fill(empty, 0)


def attention_reference(
    q: Float[Tensor, "B H T K"],
    k: Float[Tensor, "B G S K"],
    v: Float[Tensor, "B G S E"],
    *,
    mask: ScoreMask | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "B H T E"]:
    """Return softmax(q k^T * scale + mask) v as the blackboard has it: all T x S weights exist at once.

    Arguments and errors as in `attention_weights`; `v` may have another width than `k`.

    >>> attention_reference(torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 2, 2), torch.tensor([[[[1.0], [3.0]]]]))
    tensor([[[[2.]]]])
    """
    check_attention(q, k, v, mask, causal)
    weights = attention_weights(q, k, mask=mask, causal=causal, scale=scale)
    return weights @ repeat_kv(v, q.shape[1])


def attention_fused(
    q: Float[Tensor, "B H T K"],
    k: Float[Tensor, "B G S K"],
    v: Float[Tensor, "B G S E"],
    *,
    mask: ScoreMask | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "B H T E"]:
    """Return what `attention_reference` does, by PyTorch's `scaled_dot_product_attention`: fast, and never the weights.

    Arguments and errors as in `attention_weights`.

    >>> attention_fused(torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 2, 2), torch.tensor([[[[1.0], [3.0]]]]))
    tensor([[[[2.]]]])
    """
    check_attention(q, k, v, mask, causal)
    T, S = q.shape[2], k.shape[2]
    causal = causal and T > 1  # a single query is the last one, which sees every key
    empty = None
    if mask is not None or (causal and T != S):
        mask, empty = _merged(in_dtype_of(q, mask), causal_mask(T, S, device=q.device) if causal else None)
        causal = False
    out = scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
    )
    return out if empty is None else out.masked_fill(empty, 0)


def _merged(mask: Tensor | None, lower: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """One mask of four dimensions from the given and the causal one, and which rows it leaves empty (None: no row).

    PyTorch's kernels disagree about an empty row, so here it sees everything and is set to zero afterwards.
    """
    if mask is None:
        return lower[None, None], None
    if mask.dtype == torch.bool:
        mask = mask if lower is None else mask & lower
        empty = ~mask.any(dim=-1, keepdim=True)
    else:
        mask = mask if lower is None else mask.masked_fill(~lower, -math.inf)
        empty = (mask == -math.inf).all(dim=-1, keepdim=True)
    mask, empty = (x[(None,) * (4 - x.dim())] for x in (mask, empty))
    if not empty.any():
        return mask, None
    return mask.masked_fill(empty, True if mask.dtype == torch.bool else 0.0), empty


def in_dtype_of(q: Tensor, mask: Tensor | None) -> Tensor | None:
    """A float mask rounded to the scores' type, so that every way of computing them adds the same numbers."""
    return mask if mask is None or mask.dtype == torch.bool else mask.to(q.dtype)


def default_scale(q: Tensor, scale: float | None) -> float:
    """1/sqrt(K) unless `scale` is given: the standard deviation of a dot product of K terms grows as sqrt(K)."""
    return q.shape[-1] ** -0.5 if scale is None else scale


def repeat_kv(x: Float[Tensor, "B G S K"], H: int) -> Float[Tensor, "B H S K"]:
    """Repeat each key or value head for the H / G query heads that it serves."""
    return x if x.shape[1] == H else x.repeat_interleave(H // x.shape[1], dim=1)


def check_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> None:
    """Refuse what no attention can be computed from, naming the argument."""
    checks.shape("q", q, "B", "H", "T", "K")
    B, H, T, K = q.shape
    checks.shape("k", k, B, "G", "S", K)
    G, S = k.shape[1:3]
    checks.shape("v", v, B, G, S, "E")
    if K == 0:
        raise ValueError("q must have at least one number per head, got K = 0: there is nothing to compare")
    if G == 0 or H % G:
        raise ValueError(f"q must have a multiple of k's {G} heads, got {H}")
    if causal and T > S:
        raise ValueError(f"causal attention needs a key for every query, got {T} queries and {S} keys")
    if mask is not None:
        _check_mask(mask, (B, H, T, S))


def _check_mask(mask: Tensor, shape: tuple[int, ...]) -> None:
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise TypeError(
            f"mask must be boolean (True: may attend) or floating-point (added to the scores), got {mask.dtype}"
        )
    fits = 1 <= mask.dim() <= 4 and all(m in (1, s) for m, s in zip(reversed(mask.shape), reversed(shape)))
    if not fits:
        raise ValueError(f"mask must broadcast to (B, H, T, S) = {shape}, got {tuple(mask.shape)}")
