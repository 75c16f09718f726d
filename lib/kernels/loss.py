"""Cross-entropy over a vocabulary, plain and without ever holding all logits.

With V = 128,000 tokens, the logits of 1,024 positions take half a gigabyte, and so does their gradient.
`chunked_cross_entropy` starts one step earlier, at the hidden vectors, and visits the vocabulary a chunk at a time, forward with
an online log-sum-exp and backward by computing each chunk again (Wijmans et al. 2024, "Cut Your Losses"). What is left is one
chunk of logits and the gradients that were asked for.
"""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd import Function

from lib import checks
from lib.kernels.precision import widened
from lib.kernels.second_order import differentiable_gradients
from lib.kernels.softmax import logsumexp
from lib.kernels.triton_launch import TWINS, triton_serves

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
    _check_places(logits, targets=targets)
    kept = _kept(targets, logits.shape[-1], ignore_index, reduction, logits=logits)
    flat = widened(logits.reshape(-1, logits.shape[-1]))
    losses = _CrossEntropy.apply(flat, targets.reshape(-1).long(), kept.reshape(-1))
    return _reduce(losses.view(targets.shape), kept, reduction)


def selective_log_softmax(logits: Float[Tensor, "*batch V"], ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Return log softmax(logits)[id] in nats: the log-probability of only one chosen token at each position.

    z_id - logsumexp(z). The log-softmax of all V tokens is never held, and the gradient is one buffer, as in `cross_entropy`.
    From hidden vectors, `-chunked_cross_entropy(..., reduction="none")` does without the logits too.
    Raises as `cross_entropy`; every id must lie in the vocabulary.

    >>> selective_log_softmax(torch.zeros(2, 4), torch.tensor([0, 3]))  # -log 4
    tensor([-1.3863, -1.3863])
    """
    _check_places(logits, ids=ids)
    checks.ids_below(logits.shape[-1], ids=ids)
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

    It needs one buffer of N x `chunk_size` beside the gradients, forward and backward, and one more matrix product than
    the plain loss. Rows whose target is `ignore_index` are dropped before the first product, so that a masked-LM
    loss pays for 15 % of its rows. Gradients reach `hidden`, `weight` and `bias`. Second
    derivatives are right but hold all logits. On a GPU `triton_cross_entropy` does the work, where it can.
    Raises as `cross_entropy`, and ValueError if `chunk_size` is less than 1.

    >>> hidden, weight = torch.eye(2), torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> chunked_cross_entropy(hidden, weight, torch.tensor([1, 2]), chunk_size=2)  # log(2 + e) - 1
    tensor(0.5514)
    """
    losses = TWINS["row_losses"] if triton_serves(hidden, weight) else _ChunkedCrossEntropy.apply
    return chunked_loss(losses, hidden, weight, targets, bias, ignore_index, reduction, chunk_size)


def chunked_loss(losses, hidden, weight, targets, bias, ignore_index, reduction, chunk_size) -> Float[Tensor, "..."]:
    """Check, drop the rows that do not count, take `losses(rows, weight, bias, targets, chunk_size)` and reduce them."""
    _check_chunked(hidden, weight, targets, bias, chunk_size)
    kept = _kept(targets, weight.shape[0], ignore_index, reduction, hidden=hidden)
    rows, wanted = (hidden, targets) if kept.all() else (hidden[kept], targets[kept])
    losses = losses(rows, weight, bias, wanted.long(), chunk_size)
    if reduction == "none":
        return losses.new_zeros(targets.shape).masked_scatter(kept, losses)
    return losses.sum() if reduction == "sum" else losses.mean()


def plain_losses(logits: Float[Tensor, "N V"], targets: Int[Tensor, "N"]) -> Float[Tensor, "N"]:
    """logsumexp(z) - z_target in operations that autograd can differentiate as often as it likes."""
    return logsumexp(logits) - logits.gather(1, targets[:, None]).squeeze(1)


def plain_row_losses(targets: Int[Tensor, "N"]) -> Callable[..., Tensor]:
    """What the chunked loss computes from (hidden, weight, bias), with all logits at once, in float32 at least."""

    def losses(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        wide = widened(hidden)
        logits = wide @ weight.T.to(wide.dtype)
        return plain_losses(logits if bias is None else logits + bias, targets)

    return losses


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
    def backward(ctx, grad):
        logits, denominator, targets, kept = ctx.saved_tensors
        if torch.is_grad_enabled():  # a graph is wanted, for second derivatives
            masked = lambda z: plain_losses(z, targets).masked_fill(~kept, 0)  # noqa: E731
            return *differentiable_gradients(masked, (logits,), grad), None, None
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
    def backward(ctx, grad):
        hidden, weight, bias, targets, denominator = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *differentiable_gradients(plain_row_losses(targets), (hidden, weight, bias), grad), None, None
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
        self.hidden = widened(hidden)
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


def _kept(targets: Tensor, V: int, ignore_index: int, reduction: str, **values: Tensor) -> Tensor:
    """Return which targets count, after refusing what no loss can be computed from."""
    checks.floating(**values)
    checks.integers(targets=targets)
    checks.one_of("reduction", reduction, ("mean", "sum", "none"))
    kept = targets != ignore_index
    outside = kept & ((targets < 0) | (targets >= V))
    if outside.any():
        raise ValueError(
            f"targets must be ids from 0 to {V - 1}, or ignore_index={ignore_index}, "
            f"got {targets[outside][0].item()} at {tuple(outside.nonzero()[0].tolist())}"
        )
    if reduction == "mean" and not kept.any():
        raise ValueError(
            f"targets must hold an id that counts: all {targets.numel()} are ignore_index={ignore_index}, "
            "and the mean of no losses is undefined"
        )
    return kept


def _check_places(logits: Tensor, **ids: Tensor) -> None:
    """Refuse ids that are not one for each place that has logits."""
    if logits.dim() == 0:
        raise ValueError("logits must have the vocabulary as their last dimension, got shape ()")
    for name, given in ids.items():
        checks.shape(name, given, *logits.shape[:-1])


def _check_chunked(hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None, chunk_size: int) -> None:
    checks.shape("hidden", hidden, "N", "D")
    checks.shape("weight", weight, "V", hidden.shape[1])
    checks.shape("targets", targets, hidden.shape[0])
    if bias is not None:
        checks.shape("bias", bias, weight.shape[0])
    checks.whole("chunk_size", chunk_size)


def _reduce(losses: Tensor, kept: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / kept.sum()
