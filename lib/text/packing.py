"""Cut text into rows of equal length, with no padding, for next-token prediction (GPT-2; slide W13)."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor


def pack_tokens(documents: Iterable[Sequence[int]], length: int, *, eos_id: int) -> Int[Tensor, "N length"]:
    """All documents, each followed by `eos_id`, as one stream cut into rows of `length` tokens.

    A row may begin within a document and hold several; the last, incomplete row is dropped (fewer than
    `length` tokens). `pack_tokens(...).flatten()` is the stream that `sample_windows` draws from.

    Raises ValueError for a length below 1, a negative id, or documents that do not fill one row.

    >>> pack_tokens([[5, 6, 7], [8], [9]], 4, eos_id=0)
    tensor([[5, 6, 7, 0],
            [8, 0, 9, 0]])
    """
    _check_length(length)
    pieces: list[Tensor] = []
    for document in documents:
        pieces += torch.as_tensor(document, dtype=torch.long), torch.tensor([eos_id])
    stream = torch.cat(pieces) if pieces else torch.empty(0, dtype=torch.long)
    if len(stream) < length:
        raise ValueError(f"documents must fill at least one row of {length} tokens, got {len(stream)} tokens")
    if stream.min() < 0:
        raise ValueError(f"ids must not be negative, got {int(stream.min())}")
    rows = len(stream) // length
    return stream[: rows * length].view(rows, length)


def sample_windows(
    stream: Int[Tensor, " M"], batch_size: int, length: int, *, generator: torch.Generator | None = None
) -> Int[Tensor, "B length"]:
    """`batch_size` windows of `length` tokens, from places of the stream drawn uniformly, with replacement.

    Raises ValueError for a batch size or length below 1, or a stream shorter than one window.

    >>> sample_windows(torch.arange(4), 2, 4)
    tensor([[0, 1, 2, 3],
            [0, 1, 2, 3]])
    """
    _check_length(length)
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if stream.ndim != 1:
        raise ValueError(f"stream must have one axis, got the shape {tuple(stream.shape)}")
    places = len(stream) - length + 1
    if places < 1:
        raise ValueError(f"stream must hold at least one window of {length} tokens, got {len(stream)}")
    starts = torch.randint(places, (batch_size, 1), generator=generator, device=stream.device)
    return stream[starts + torch.arange(length, device=stream.device)]  # (B, length)


def _check_length(length: int) -> None:
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
