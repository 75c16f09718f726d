"""What every model does before its first layer: refuse bad ids, read the mask and count positions."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lib import checks

AttentionMask = Bool[Tensor, "B _"] | Int[Tensor, "B _"]
"""An attention mask as tokenizers give it: 1 or True for a real token, 0 or False for padding."""


def check_ids(ids: Int[Tensor, "B T"], size: int, *, name: str = "input_ids") -> None:
    """Raise a clear error where an embedding table would fail obscurely (and, on a GPU, fatally).

    TypeError if `ids` are not whole numbers; ValueError if they are not (B, T), if the batch or the sequence
    is empty, or if an id lies outside the table, naming the id and the table's size. On the meta device
    values are not checked.

    >>> import torch
    >>> check_ids(torch.tensor([[1, 9]]), 8)
    Traceback (most recent call last):
    ValueError: input_ids must be ids from 0 to 7, got 9
    """
    if not isinstance(ids, Tensor) or ids.dtype not in (torch.int64, torch.int32):
        kind = ids.dtype if isinstance(ids, Tensor) else type(ids).__name__
        raise TypeError(f"{name} must be a tensor of int64 or int32, got {kind}")
    checks.shape(name, ids, "B", "T")
    checks.not_empty(**{name: ids})
    checks.ids_below(size, **{name: ids})


def check_length(length: int, max_positions: int | None, *, past: int = 0, name: str = "input_ids") -> None:
    """Raise ValueError, naming both numbers, if `past + length` tokens do not fit into the context.

    >>> check_length(9, 8)
    Traceback (most recent call last):
    ValueError: input_ids has 9 tokens, more than the context of 8
    """
    if max_positions is None or past + length <= max_positions:
        return
    so_far = f" after the {past} in the cache" if past else ""
    raise ValueError(f"{name} has {length} tokens{so_far}, more than the context of {max_positions}")


def read_mask(
    mask: AttentionMask | None, batch: int, length: int, *, partial: bool = False, name: str = "attention_mask"
) -> Bool[Tensor, "B S"] | None:
    """The mask as booleans, or None if nothing is padded (attention is faster without a mask).

    With `partial` more tokens may follow, so that a row may be nothing but padding so far. Raises TypeError for floats,
    and ValueError if the shape is not (batch, length) or a row has no real token at all.

    >>> import torch
    >>> read_mask(torch.ones(2, 3, dtype=torch.long), 2, 3) is None
    True
    """
    if mask is None:
        return None
    if mask.dtype.is_floating_point:
        raise TypeError(f"{name} must hold booleans or integers (1 = real token), got {mask.dtype}")
    if tuple(mask.shape) != (batch, length):
        raise ValueError(
            f"{name} must cover every token, also those in a cache: "
            f"expected shape {(batch, length)}, got {tuple(mask.shape)}"
        )
    real = mask.bool()
    if real.all():
        return None
    empty = (~real.any(dim=1)).nonzero()
    if empty.numel() and not partial:
        raise ValueError(f"{name} masks every token of row {int(empty[0])}: there is nothing to attend to")
    return real


def positions_of(
    ids: Int[Tensor, "B T"],
    given: Int[Tensor, "B T"] | None,
    *,
    limit: int | None,
    past: int,
    real: Bool[Tensor, "B S"] | None,
    name: str = "position_ids",
) -> Int[Tensor, "B T"] | Int[Tensor, "1 T"]:
    """The positions of `ids`: those `given`, checked against the `limit` of the context, or else counted ones.

    Raises TypeError and ValueError as `check_ids` does, and ValueError if their shape is not that of `ids`.

    >>> import torch
    >>> positions_of(torch.tensor([[7, 8]]), None, limit=5, past=3, real=None)
    tensor([[3, 4]])
    """
    if given is None:
        return token_positions(ids.shape[1], past, real, ids.device)
    check_ids(given, torch.iinfo(torch.int64).max if limit is None else limit, name=name)
    checks.shape(name, given, *ids.shape)
    return given


def token_positions(
    length: int, past: int, mask: Bool[Tensor, "B S"] | None, device: torch.device
) -> Int[Tensor, "B T"] | Int[Tensor, "1 T"]:
    """Positions of the last `length` tokens, counted over real tokens: padding, left or right, shifts none of them.

    Padding tokens take the position of the real token before them (0 at the start); no token attends to them.

    >>> import torch
    >>> token_positions(4, 0, torch.tensor([[False, False, True, True]]), torch.device("cpu")).tolist()
    [[0, 0, 0, 1]]
    """
    if mask is None:
        return torch.arange(past, past + length, device=device)[None]
    return (mask.long().cumsum(dim=1) - 1).clamp_min(0)[:, past:]
