"""Cross-entropy over a vocabulary, plain and without ever holding all logits.

With V = 128,000 words, the logits of 1,024 tokens take half a gigabyte, and so does their gradient: more than most models.
`chunked_cross_entropy` starts one step earlier, at the hidden vectors, and visits the vocabulary a chunk at a time, forward with
an online log-sum-exp and backward by computing each chunk again (Wijmans et al. 2024, "Cut Your Losses"). What is left is one
chunk of logits and the gradients that were asked for.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from lib.kernels.softmax import logsumexp
from lib.kernels.triton_launch import triton_serves

Reduction = Literal["mean", "sum", "none"]


def cross_entropy(
    logits: Float[Tensor, "*batch V"],
    targets: Int[Tensor, "*batch"],
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Return -log softmax(logits)[target] in nats, over all positions whose target is not `ignore_index`.

    loss = logsumexp(z) - z_target, with gradient softmax(z) - onehot(target), slide W13. `reduction` is "mean" over the
    positions that count, "sum", or "none" (shaped like `targets`, 0 where ignored). Half-precision logits give a float32 loss.
    Raises ValueError if shapes do not fit, a target is outside the vocabulary, `reduction` is unknown, or "mean" is asked
    where every target is ignored; TypeError if `logits` are not floating-point or `targets` not integers.

    >>> cross_entropy(torch.zeros(3, 4), torch.tensor([0, 1, -100]))  # log 4
    tensor(1.3863)
    """
    if logits.dim() == 0 or logits.shape[:-1] != targets.shape:
        raise ValueError("targets must have the shape of logits without the vocabulary, "
                         f"got {tuple(targets.shape)} for logits of {tuple(logits.shape)}")
    kept = _kept(logits, targets, logits.shape[-1], ignore_index, reduction)
    flat = logits.reshape(-1, logits.shape[-1])
    flat = flat.float() if flat.dtype in (torch.float16, torch.bfloat16) else flat
    losses = _CrossEntropy.apply(flat, targets.reshape(-1).long(), kept.reshape(-1))
    return _reduce(losses.view(targets.shape), kept, reduction)


def selective_log_softmax(logits: Float[Tensor, "*batch V"], ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Return log softmax(logits)[id] in nats: the log-probability of one chosen token at each place, and of no other.

    z_id - logsumexp(z). The log-softmax of all V tokens is never held, and the gradient is one buffer, as in `cross_entropy`.
    From hidden vectors, `-chunked_cross_entropy(..., reduction="none")` does without the logits too.
    Raises as `cross_entropy`; every id must lie in the vocabulary.

    >>> selective_log_softmax(torch.zeros(2, 4), torch.tensor([0, 3]))  # -log 4
    tensor([-1.3863, -1.3863])
    """
    if logits.dim() == 0 or logits.shape[:-1] != ids.shape:
        raise ValueError("ids must have the shape of logits without the vocabulary, "
                         f"got {tuple(ids.shape)} for logits of {tuple(logits.shape)}")
    if ids.numel() and not 0 <= ids.min() <= ids.max() < logits.shape[-1]:
        raise ValueError(f"ids must lie from 0 to {logits.shape[-1] - 1}, got {ids.min().item()} to {ids.max().item()}")
    return -cross_entropy(logits, ids, reduction="none")


def chunked_cross_entropy(
    hidden: Float[Tensor, "N D"],
    weight: Float[Tensor, "V D"],
    targets: Int[Tensor, "N"],
    *,
    bias: Float[Tensor, "V"] | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    chunk_size: int = 8192,
) -> Float[Tensor, "..."]:
    """Return `cross_entropy(hidden @ weight.T + bias, targets)` in nats without holding its N x V logits.

    Memory beside the gradients themselves is one buffer of N x `chunk_size`, forward and backward, for one more matrix product
    than the plain loss. Rows whose target is `ignore_index` are dropped before the first product, so that a masked-LM
    loss pays for 15 % of its rows. Gradients reach `hidden`, `weight` and `bias`, once (no second derivatives).
    On a GPU `triton_cross_entropy` does the work, where it can.
    Raises as `cross_entropy`, and ValueError if `chunk_size` is less than 1.

    >>> hidden, weight = torch.eye(2), torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> chunked_cross_entropy(hidden, weight, torch.tensor([1, 2]), chunk_size=2)  # log(2 + e) - 1
    tensor(0.5514)
    """
    losses = _ChunkedCrossEntropy.apply
    if triton_serves(hidden, weight):
        from lib.kernels.triton import row_losses as losses
    return chunked_loss(losses, hidden, weight, targets, bias, ignore_index, reduction, chunk_size)


def chunked_loss(losses, hidden, weight, targets, bias, ignore_index, reduction, chunk_size) -> Float[Tensor, "..."]:
    """Check, drop the rows that do not count, take `losses(rows, weight, bias, targets, chunk_size)` and reduce them."""
    _check_chunked(hidden, weight, targets, bias, chunk_size)
    kept = _kept(hidden, targets, weight.shape[0], ignore_index, reduction)
    rows, wanted = (hidden, targets) if kept.all() else (hidden[kept], targets[kept])
    losses = losses(rows, weight, bias, wanted.long(), chunk_size)
    if reduction == "none":
        return losses.new_zeros(targets.shape).masked_scatter(kept, losses)
    return losses.sum() if reduction == "sum" else losses.mean()


class _CrossEntropy(Function):
    """Per-row losses whose backward makes one buffer, p - y, where autograd would make four."""

    @staticmethod
    def forward(ctx, logits, targets, kept):
        denominator = logsumexp(logits)  # (N,)
        targets = targets.where(kept, 0)  # an index that exists, for rows whose loss is thrown away
        ctx.save_for_backward(logits, denominator, targets, kept)
        losses = denominator - logits.gather(1, targets[:, None]).squeeze(1)
        return losses.masked_fill(~kept, 0)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        logits, denominator, targets, kept = ctx.saved_tensors
        grad_logits = (logits - denominator[:, None]).exp_()  # (N, V): softmax
        grad_logits[torch.arange(len(targets), device=targets.device), targets] -= 1
        return grad_logits.mul_((grad * kept)[:, None]), None, None


class _ChunkedCrossEntropy(Function):
    """Per-row losses from hidden vectors; all work happens on one (N, chunk) buffer, in place."""

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, chunk_size):
        chunks = _Chunks(hidden, weight, bias, targets, chunk_size)
        largest = chunks.hidden.new_full(targets.shape, torch.finfo(chunks.hidden.dtype).min)
        total = torch.zeros_like(largest)  # sum of exp(z - largest) over the chunks so far
        wanted = torch.zeros_like(largest)  # z_target
        for start in chunks.starts:
            z, rows, columns = chunks.logits(start)
            wanted[rows] = z[rows, columns]
            before, largest = largest, torch.maximum(largest, z.amax(1))
            total.mul_((before - largest).exp_()).add_(z.sub_(largest[:, None]).exp_().sum(1))
        denominator = largest + total.log()
        ctx.save_for_backward(hidden, weight, bias, targets, denominator)
        ctx.chunk_size = chunk_size
        return denominator - wanted

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        hidden, weight, bias, targets, denominator = ctx.saved_tensors
        chunks = _Chunks(hidden, weight, bias, targets, ctx.chunk_size)
        grad_hidden = torch.zeros_like(chunks.hidden) if ctx.needs_input_grad[0] else None
        grad_weight = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        grad_bias = torch.empty_like(bias) if bias is not None and ctx.needs_input_grad[2] else None
        for start in chunks.starts:
            p, rows, columns = chunks.logits(start)
            p.sub_(denominator[:, None]).exp_()
            p[rows, columns] -= 1
            p.mul_(grad[:, None])  # (N, chunk): d loss / d logits
            part = slice(start, start + p.shape[1])
            if grad_hidden is not None:
                grad_hidden.addmm_(p, weight[part].to(p.dtype))
            if grad_weight is not None:
                grad_weight[part] = p.T @ chunks.hidden
            if grad_bias is not None:
                grad_bias[part] = p.sum(0)
        grad_hidden = None if grad_hidden is None else grad_hidden.to(hidden.dtype)
        return grad_hidden, grad_weight, grad_bias, None, None


class _Chunks:
    """The logits of one chunk of the vocabulary after another, all in the same buffer."""

    def __init__(self, hidden, weight, bias, targets, chunk_size):
        half = hidden.dtype in (torch.float16, torch.bfloat16)
        self.hidden = hidden.float() if half else hidden
        self.weight, self.bias, self.targets = weight, bias, targets
        self.starts = range(0, weight.shape[0], chunk_size)
        self.width = min(chunk_size, weight.shape[0])
        self.buffer = self.hidden.new_empty(hidden.shape[0] * self.width)

    def logits(self, start):
        """Return z (N, chunk) from column `start` on, and where in it the targets are: rows, columns."""
        part = self.weight[start : start + self.width].to(self.hidden.dtype)  # (chunk, D)
        z = self.buffer[: len(self.targets) * len(part)].view(len(self.targets), len(part))
        torch.mm(self.hidden, part.T, out=z)
        if self.bias is not None:
            z.add_(self.bias[start : start + self.width])
        columns = self.targets - start
        rows = ((columns >= 0) & (columns < len(part))).nonzero().squeeze(1)
        return z, rows, columns[rows]


def _kept(values: Tensor, targets: Tensor, V: int, ignore_index: int, reduction: str) -> Tensor:
    """Return which targets count, after refusing what no loss can be computed from."""
    if not values.is_floating_point():
        raise TypeError(f"logits and hidden vectors must be floating-point, got {values.dtype}")
    if targets.is_floating_point() or targets.dtype == torch.bool:
        raise TypeError(f"targets must be integers, got {targets.dtype}")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    kept = targets != ignore_index
    outside = kept & ((targets < 0) | (targets >= V))
    if outside.any():
        raise ValueError(f"targets must be ids from 0 to {V - 1}, or ignore_index={ignore_index}, "
                         f"got {targets[outside][0].item()} at {tuple(outside.nonzero()[0].tolist())}")
    if reduction == "mean" and not kept.any():
        raise ValueError(f"targets must hold an id that counts: all {targets.numel()} are ignore_index={ignore_index}, "
                         "and the mean of no losses is undefined")
    return kept


def _check_chunked(hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None, chunk_size: int) -> None:
    if hidden.dim() != 2 or weight.dim() != 2 or hidden.shape[1] != weight.shape[1]:
        raise ValueError("hidden must be (N, D) and weight (V, D), "
                         f"got {tuple(hidden.shape)} and {tuple(weight.shape)}")
    if targets.shape != hidden.shape[:1]:
        raise ValueError(f"targets must have shape ({len(hidden)},), one for each row of hidden, "
                         f"got {tuple(targets.shape)}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias must have shape ({len(weight)},), one for each row of weight, got {tuple(bias.shape)}")
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")


def _reduce(losses: Tensor, kept: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / kept.sum()
