"""From one number a token to one number a batch: three ways, which weigh long and short answers differently."""

from typing import Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor

Mask = Bool[Tensor, "B T"] | Int[Tensor, "B T"]
Reduction = Literal["token_mean", "sequence_mean", "sequence_sum"]


def masked_reduce(values: Float[Tensor, "B T"], mask: Mask, reduction: Reduction) -> Float[Tensor, ""]:
    """Reduce the values whose mask is true to one; the others do not count, whatever they are.

    "token_mean": the mean over all counted tokens of the batch, so that a long row weighs more than a short one.
    "sequence_mean": the mean over rows of each row's mean, so that a token of a long row weighs less.
    "sequence_sum": the mean over rows of each row's sum, as in log P(y) of a whole answer.
    Raises ValueError for an unknown `reduction`, a mask of another shape, and a row that counts no token.

    >>> import torch
    >>> values, mask = torch.tensor([[1.0, 2.0, 3.0], [8.0, 9.0, 9.0]]), torch.tensor([[1, 1, 1], [1, 0, 0]])
    >>> [masked_reduce(values, mask, how).item() for how in ("token_mean", "sequence_mean", "sequence_sum")]
    [3.5, 5.0, 7.0]
    """
    if reduction not in ("token_mean", "sequence_mean", "sequence_sum"):
        raise ValueError("reduction must be 'token_mean', 'sequence_mean' or 'sequence_sum', "
                         f"got {reduction!r}")
    counts = counted(mask, values)
    kept = values.masked_fill(~counts, 0)  # not a product: what does not count may be NaN or infinite
    if reduction == "token_mean":
        return kept.sum() / counts.sum()
    rows = kept.sum(dim=1)
    return (rows / counts.sum(dim=1)).mean() if reduction == "sequence_mean" else rows.mean()


def counted(mask: Mask, values: Tensor, name: str = "mask") -> Bool[Tensor, "B T"]:
    """The mask as booleans, once it fits `values` and counts at least one token of every row."""
    if mask.shape != values.shape[:2]:
        raise ValueError(f"{name} must have the shape {tuple(values.shape[:2])} of what it counts, "
                         f"got {tuple(mask.shape)}")
    counts = mask.bool()
    if not len(counts):
        raise ValueError(f"{name} must have at least one row, got none")
    empty = ~counts.any(dim=1)
    if empty.any():
        raise ValueError(f"{name} counts no token of row {int(empty.nonzero()[0])}: "
                         "an answer has at least one token")
    return counts


def counted_response(response_mask: Mask, input_ids: Tensor) -> Bool[Tensor, "B T"]:
    """`counted`, for a mask of answers: the first token of a row is given, so it cannot belong to one."""
    counts = counted(response_mask, input_ids, "response_mask")
    if counts[:, 0].any():
        raise ValueError(f"response_mask counts the first token of row {int(counts[:, 0].nonzero()[0])}, which "
                         "nothing predicts: begin the prompt with a token of its own")
    return counts


def last_counted(counts: Bool[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
    """Where the last counted token of each row stands."""
    return counts & (counts.flip(1).cumsum(dim=1).flip(1) == 1)


def same_shape(**tensors: Tensor) -> None:
    """Refuse tensors that do not belong together, before broadcasting makes something of them."""
    (first, wanted), *others = tensors.items()
    for name, tensor in others:
        if tensor.shape != wanted.shape:
            raise ValueError(f"{name} must have the shape of {first}, {tuple(wanted.shape)}, "
                             f"got {tuple(tensor.shape)}")


def positive_beta(beta: float | int) -> None:
    """Refuse a strength of the KL term that makes it vanish or reward distance."""
    if not 0 < beta < float("inf"):
        raise ValueError(f"beta must be a finite number above 0, got {beta}")
