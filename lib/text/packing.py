"""Cut text into rows of equal length, with no padding, for next-token prediction (GPT-2; slide W13)."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from lib import checks


def pack_tokens(documents: Iterable[Sequence[int]], length: int, *, eos_id: int) -> Int[Tensor, "N length"]:
    """All documents, each followed by `eos_id`, as one stream cut into rows of `length` tokens.

    A row may begin inside a document and hold several; the last row is dropped if it is incomplete (fewer than
    `length` tokens). `pack_tokens(...).flatten()` is the stream that `sample_windows` draws from.

    Raises ValueError for a length below 1, a negative id, or documents that do not fill one row; TypeError for ids that
    are no integers.

    >>> pack_tokens([[5, 6, 7], [8], [9]], 4, eos_id=0)
    tensor([[5, 6, 7, 0],
            [8, 0, 9, 0]])
    """
    checks.whole("length", length)
    end = torch.tensor([checks.whole("eos_id", eos_id, 0)])
    pieces: list[Tensor] = []
    for document in documents:
        piece = torch.as_tensor(document)
        if piece.numel():
            checks.integers(documents=piece)
        pieces += piece.long(), end
    stream = torch.cat(pieces) if pieces else torch.empty(0, dtype=torch.long)
    if len(stream) < length:
        raise ValueError(f"documents must fill at least one row of {length} tokens, got {len(stream)} tokens")
    if stream.min() < 0:
        raise ValueError(f"documents must be ids of at least 0, got {int(stream.min())}")
    rows = len(stream) // length
    return stream[: rows * length].view(rows, length)


def sample_windows(
    stream: Int[Tensor, " M"], batch_size: int, length: int, *, generator: torch.Generator | None = None
) -> Int[Tensor, "B length"]:
    """`batch_size` windows of `length` tokens, from positions of the stream drawn uniformly, with replacement.

    Raises ValueError for a batch size or length below 1, or a stream shorter than one window.

    >>> sample_windows(torch.arange(4), 2, 4)
    tensor([[0, 1, 2, 3],
            [0, 1, 2, 3]])
    """
    checks.whole("length", length)
    checks.whole("batch_size", batch_size)
    checks.shape("stream", stream, "M")
    places = len(stream) - length + 1
    if places < 1:
        raise ValueError(f"stream must hold at least one window of {length} tokens, got {len(stream)}")
    starts = torch.randint(places, (batch_size, 1), generator=generator, device=stream.device)
    return stream[starts + torch.arange(length, device=stream.device)]  # (B, length)
