"""Attention in tiles: the same numbers as on the blackboard, in memory that grows with T instead of T x T.

A row of weights is needed only for a weighted sum of the values, so it can be visited a block of keys at a time, if the
softmax is computed *online*: keep the largest score so far and rescale what has been summed whenever a larger one comes
(Milakov and Gimelshein 2018; Dao et al. 2022, FlashAttention). Backward recomputes each tile from the saved log-sum-exp
of its rows.
"""

import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function

from lib import checks
from lib.kernels.attention import (
    ScoreMask,
    attention_reference,
    check_attention,
    default_scale,
    in_dtype_of,
    repeat_kv,
)
from lib.kernels.precision import widened
from lib.kernels.second_order import differentiable_gradients
from lib.kernels.triton_launch import TWINS, triton_serves_attention

QUERY_BLOCK_RATIO = 2  # key blocks are this much longer than query blocks: measured, a flat optimum


def attention_tiled(
    q: Float[Tensor, "B H T K"],
    k: Float[Tensor, "B G S K"],
    v: Float[Tensor, "B G S E"],
    *,
    mask: ScoreMask | None = None,
    causal: bool = False,
    scale: float | None = None,
    block_size: int = 256,
) -> Float[Tensor, "B H T E"]:
    """Return what `attention_reference` does without ever holding T x S weights, forward or backward.

    Tiles are `block_size` queries by twice as many keys; with `causal` those wholly in the future are skipped. Gradients reach
    q, k, v and a float mask; second derivatives are right but hold the T x S weights. Half precision is summed in float32. On
    a GPU `triton_attention` does the work, where it can, in tiles of its own size.
    Raises as `attention_weights`, and ValueError if `block_size` is less than 1.

    >>> attention_tiled(torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 2, 2), torch.tensor([[[[1.0], [3.0]]]]))
    tensor([[[[2.]]]])
    """
    check_attention(q, k, v, mask, causal)
    checks.whole("block_size", block_size)
    mask = in_dtype_of(q, mask)
    if k.shape[2] == 0:  # no tile: zeros, which cost nothing
        return attention_reference(q, k, v, mask=mask, scale=scale)
    if triton_serves_attention(q, k, v, mask):
        return TWINS["attention_tiled"](q, k, v, mask=mask, causal=causal, scale=scale)
    return _TiledAttention.apply(q, k, v, mask, causal, default_scale(q, scale), block_size)


def plain_attention(causal: bool, scale: float) -> Callable[..., Tensor]:
    """`attention_reference` of (q, k, v, mask) with these settings, summed in float32 at least."""

    def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        return attention_reference(*map(widened, (q, k, v)), mask=mask, causal=causal, scale=scale).to(q.dtype)

    return attend


class _TiledAttention(Function):
    @staticmethod
    def forward(ctx, q, k, v, mask, causal, scale, block_size):
        tiles = _Tiles(q, k, v, mask, causal, scale, block_size)
        out = q.new_empty(*q.shape[:3], v.shape[3])
        logsumexp = torch.empty(q.shape[:3], dtype=tiles.dtype, device=q.device)
        for rows in tiles.rows():
            out[:, :, rows], logsumexp[:, :, rows] = _one_row_block(tiles, rows)
        ctx.save_for_backward(q, k, v, mask, out, logsumexp)
        ctx.settings = causal, scale, block_size
        return out

    @staticmethod
    def backward(ctx, grad):
        q, k, v, mask, out, logsumexp = ctx.saved_tensors
        if torch.is_grad_enabled():  # a graph is wanted, for second derivatives
            plain = plain_attention(*ctx.settings[:2])
            return *differentiable_gradients(plain, (q, k, v, mask), grad), None, None, None
        tiles = _Tiles(q, k, v, mask, *ctx.settings)
        scale = ctx.settings[1]
        grads = [torch.zeros(x.shape, dtype=tiles.dtype, device=x.device) for x in (q, k, v)]
        grad_mask = torch.zeros_like(tiles.mask) if ctx.needs_input_grad[3] else None
        for rows in tiles.rows():
            g = grad[:, :, rows].to(tiles.dtype)
            delta = (g * out[:, :, rows]).sum(dim=-1, keepdim=True)  # sum_j p_ij dp_ij, without the p_ij
            for columns in tiles.columns(rows):
                p = tiles.scores(rows, columns).sub_(logsumexp[:, :, rows, None]).exp_()
                grads[2][:, :, columns] += tiles.gathered(p.mT @ g)
                ds = (g @ tiles.values(columns).mT).sub_(delta).mul_(p)
                if grad_mask is not None:
                    tiles.part(grad_mask, rows, columns).add_(tiles.like_mask(ds))
                grads[0][:, :, rows].add_(ds @ tiles.keys(columns), alpha=scale)
                grads[1][:, :, columns].add_(tiles.gathered(ds.mT @ tiles.queries(rows)), alpha=scale)
        if grad_mask is not None:
            grad_mask = grad_mask.view(mask.shape).to(mask.dtype)
        return *(x.to(q.dtype) for x in grads), grad_mask, None, None, None


def _one_row_block(tiles: "_Tiles", rows: slice) -> tuple[Tensor, Tensor]:
    """The outputs of some queries, and the log-sum-exp of their scores: one pass over the keys."""
    largest = total = out = None
    for columns in tiles.columns(rows):
        scores = tiles.scores(rows, columns)  # (B, H, rows, columns)
        top = scores.amax(dim=-1, keepdim=True)
        new = top if largest is None else torch.maximum(largest, top)
        new_finite = new.masked_fill(new == -math.inf, 0)  # nothing seen yet: -inf - -inf would be NaN
        p = scores.sub_(new_finite).exp_()
        if largest is None:
            total, out = p.sum(dim=-1, keepdim=True), p @ tiles.values(columns)
        else:
            shrink = (largest - new_finite).exp_()
            total = total.mul_(shrink).add_(p.sum(dim=-1, keepdim=True))
            out = out.mul_(shrink).add_(p @ tiles.values(columns))
        largest = new
    nothing = total == 0  # no key may be attended to: zeros, and p = exp(-inf - 0) = 0 in the backward pass
    logsumexp = (largest + total.log()).masked_fill(nothing, 0)
    return out.div_(total.masked_fill(nothing, 1)), logsumexp.squeeze(-1)


class _Tiles:
    """The T x S plane cut into tiles: which there are, and what stands on one of them."""

    def __init__(self, q, k, v, mask, causal, scale, block_size):
        self.q, self.k, self.v, self.causal, self.scale = q, k, v, causal, scale
        self.dtype = torch.float32 if q.dtype in (torch.float16, torch.bfloat16) else q.dtype
        self.mask = None if mask is None else mask[(None,) * (4 - mask.dim())]
        self.height, self.width = block_size, QUERY_BLOCK_RATIO * block_size
        self.past = k.shape[2] - q.shape[2]  # keys before the first query, when causal

    def rows(self) -> Iterator[slice]:
        T = self.q.shape[2]
        return (slice(start, min(start + self.height, T)) for start in range(0, T, self.height))

    def columns(self, rows: slice) -> Iterator[slice]:
        """The blocks of keys that some query of `rows` may see."""
        S = self.k.shape[2] if not self.causal else rows.stop + self.past
        return (slice(start, min(start + self.width, S)) for start in range(0, S, self.width))

    def queries(self, rows: slice) -> Tensor:
        return self.q[:, :, rows].to(self.dtype)

    def keys(self, columns: slice) -> Tensor:
        return repeat_kv(self.k[:, :, columns].to(self.dtype), self.q.shape[1])

    def values(self, columns: slice) -> Tensor:
        return repeat_kv(self.v[:, :, columns].to(self.dtype), self.q.shape[1])

    def scores(self, rows: slice, columns: slice) -> Tensor:
        """q k^T * scale + mask on one tile, in a buffer of its own."""
        scores = (self.queries(rows) * self.scale) @ self.keys(columns).mT
        if self.mask is not None:
            part = self.part(self.mask, rows, columns)
            scores = scores.masked_fill_(~part, -math.inf) if part.dtype == torch.bool else scores.add_(part)
        if self.causal and columns.stop - 1 > rows.start + self.past:  # the diagonal crosses this tile
            query = torch.arange(rows.start, rows.stop, device=scores.device)[:, None] + self.past
            scores.masked_fill_(torch.arange(columns.start, columns.stop, device=scores.device) > query, -math.inf)
        return scores

    def part(self, mask: Tensor, rows: slice, columns: slice) -> Tensor:
        """The tile of a mask whose dimensions of size 1 stand for all."""
        everything = slice(None)
        return mask[:, :, rows if mask.shape[2] > 1 else everything, columns if mask.shape[3] > 1 else everything]

    def like_mask(self, ds: Tensor) -> Tensor:
        """Sum what a tile gives over the dimensions in which the mask is broadcast."""
        spread = [axis for axis in range(4) if self.mask.shape[axis] == 1 and ds.shape[axis] > 1]
        return ds.sum(dim=spread, keepdim=True) if spread else ds

    def gathered(self, grad: Float[Tensor, "B H S K"]) -> Float[Tensor, "B G S K"]:
        """Add up the gradients of the query heads that share a key head."""
        G = self.k.shape[1]
        return grad if grad.shape[1] == G else grad.unflatten(1, (G, -1)).sum(dim=2)
