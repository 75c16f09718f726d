"""From one number per token to one number per batch: three ways, which weight long and short answers differently."""

from typing import Literal, get_args

from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib import checks

TokenMask = Bool[Tensor, "B T"] | Int[Tensor, "B T"]
"""True, or 1, at the tokens that count: those of the answers, mostly."""

SequenceReduction = Literal["token_mean", "sequence_mean", "sequence_sum"]
"""How the counted tokens of a batch of sequences become one number: see `masked_reduce`."""


def masked_reduce(values: Float[Tensor, "B T"], mask: TokenMask, reduction: SequenceReduction) -> Float[Tensor, ""]:
    """Reduce the values whose mask is true to one number; the others do not count, whatever they are.

    "token_mean": the mean over all counted tokens of the batch, so that a long row has more weight than a short one.
    "sequence_mean": the mean over rows of each row's mean, so that a token of a long row has less weight.
    "sequence_sum": the mean over rows of each row's sum, as in log P(y) of a whole answer.
    Raises ValueError for an unknown `reduction`, a mask of another shape, and a row that counts no token.

    >>> import torch
    >>> values, mask = torch.tensor([[1.0, 2.0, 3.0], [8.0, 9.0, 9.0]]), torch.tensor([[1, 1, 1], [1, 0, 0]])
    >>> [masked_reduce(values, mask, how).item() for how in ("token_mean", "sequence_mean", "sequence_sum")]
    [3.5, 5.0, 7.0]
    """
    checks.one_of("reduction", reduction, get_args(SequenceReduction))
    counts = counted(mask, named="mask", values=values)
    kept = values.masked_fill(~counts, 0)  # not a product: what does not count may be NaN or infinite
    if reduction == "token_mean":
        return kept.sum() / counts.sum()
    rows = kept.sum(dim=1)
    return (rows / counts.sum(dim=1)).mean() if reduction == "sequence_mean" else rows.mean()


def counted(mask: TokenMask, *, named: str = "response_mask", **values: Tensor) -> Bool[Tensor, "B T"]:
    """The mask as booleans, once it has the shape of all `values` and counts at least one token of every row."""
    checks.same_shape(**values)
    (first, *_) = values.values()
    checks.shape(named, mask, *first.shape)
    checks.not_empty(**{named: mask})
    empty = ~mask.bool().any(dim=1)
    if empty.any():
        raise ValueError(f"{named} counts no token of row {int(empty.nonzero()[0])}: an answer has at least one token")
    return mask.bool()


def counted_response(response_mask: TokenMask, **values: Tensor) -> Bool[Tensor, "B T"]:
    """`counted`, for a mask of answers: the first token of a row is given, so it cannot belong to one."""
    counts = counted(response_mask, named="response_mask", **values)
    if counts[:, 0].any():
        raise ValueError(
            f"response_mask counts the first token of row {int(counts[:, 0].nonzero()[0])}, which "
            "nothing predicts: begin the prompt with a token of its own"
        )
    return counts


def last_counted(counts: Bool[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
    """True at the last counted token of each row."""
    return counts & (counts.flip(1).cumsum(dim=1).flip(1) == 1)
