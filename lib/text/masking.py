"""Corrupted text, from which a model learns to restore the original: BERT's masking (Devlin et al. 2019; C08, W11)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from lib import checks

IGNORED = -100  # the label that losses skip (`ignore_index` in PyTorch)


class MaskedBatch(NamedTuple):
    """What the model reads, and what it must predict."""

    input_ids: Int[Tensor, "B T"]  # corrupted
    labels: Int[Tensor, "B T"]  # the original id where a token was selected, elsewhere -100


def mask_tokens(
    ids: Int[Tensor, "B T"],
    *,
    mask_id: int,
    vocab_size: int,
    special_ids: Sequence[int] = (),
    rate: float | int = 0.15,
    replace: Sequence[float | int] = (0.8, 0.1, 0.1),
    word_ids: Int[Tensor, "B T"] | None = None,
    generator: torch.Generator | None = None,
) -> MaskedBatch:
    """Select tokens with probability `rate`, corrupt them, and label them all, unchanged ones too (slide W11).

    Each token is selected independently, so the number of selected ones varies and may be 0 in a short text.
    `replace` holds the shares of the selected tokens that become [MASK], that become a random token, and that
    stay as they are.

    * Special tokens, padding and [MASK] itself are never selected: name them in `special_ids` (`mask_id` is
      implied).
    * Random tokens are drawn from the vocabulary without those special tokens.
      `DataCollatorForLanguageModeling` of transformers draws from all of it, so that one in a few thousand of
      its random tokens is a [PAD] or [SEP].
    * With `word_ids` (see `Tokenizer.word_ids`; -1 is never selected) a word is selected whole, with
      probability `rate` per word; what replaces it is still decided token by token, as in BERT's own code.

    `ids` is not changed. Raises ValueError for an empty batch, ids outside the vocabulary, a rate outside
    [0, 1], a `replace` that does not sum to 1, or `word_ids` of another shape; TypeError if `ids` are no
    integers.

    >>> ids = torch.tensor([[101, 2026, 3899, 2003, 15892, 102]])
    >>> bert = {"mask_id": 103, "vocab_size": 30522, "special_ids": (101, 102)}
    >>> batch = mask_tokens(ids, **bert, rate=1, replace=(1, 0, 0))
    >>> batch.input_ids.tolist(), batch.labels.tolist()
    ([[101, 103, 103, 103, 103, 102]], [[-100, 2026, 3899, 2003, 15892, -100]])
    """
    _check_ids(ids, vocab_size)
    _check_odds(rate, replace)
    special = _special_flags(vocab_size, [*special_ids, mask_id], ids.device)
    flat = ids.flatten()
    if word_ids is None:
        selected = _chance(ids.shape, rate, ids.device, generator)  # (B, T)
    else:
        selected = _draw_words(ids, word_ids, rate, generator)
    where = selected.flatten().nonzero().squeeze(1)  # the rest works on these few tokens only, which makes it fast
    where = where[~special[flat[where]]]
    original = flat[where]
    labels = torch.full_like(flat, IGNORED)
    labels[where] = original
    corrupted = flat.clone()
    corrupted[where] = _replace(original, mask_id, special, replace, generator)
    return MaskedBatch(corrupted.view_as(ids), labels.view_as(ids))


def _chance(shape: Sequence[int], rate: float | int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    return torch.rand(shape, generator=generator, device=device) < rate


def _draw_words(ids: Tensor, word_ids: Tensor, rate: float | int, generator: torch.Generator | None) -> Tensor:
    """One draw for each word of each row, looked up by its tokens."""
    checks.same_shape(ids=ids, word_ids=word_ids)
    checks.integers(word_ids=word_ids)
    last = int(word_ids.max())
    if last >= ids.shape[1]:
        raise ValueError(f"word_ids must number the words of a row from 0, below {ids.shape[1]}, got {last}")
    selected = _chance((len(ids), max(last + 1, 1)), rate, ids.device, generator)  # (B, words)
    return selected.gather(1, word_ids.clamp(min=0).long()) & (word_ids >= 0)


def _replace(
    original: Tensor,
    mask_id: int,
    special: Tensor,
    odds: Sequence[float | int],
    generator: torch.Generator | None,
) -> Tensor:
    to_mask, to_random, _ = odds
    draw = torch.rand(original.shape, generator=generator, device=original.device)
    replaced = original.masked_fill(draw < to_mask, mask_id)
    if to_random == 0:
        return replaced
    ordinary = (~special).nonzero().squeeze(1)
    if not len(ordinary):
        raise ValueError("special_ids must leave tokens to draw random ones from, got the whole vocabulary")
    random = ((draw >= to_mask) & (draw < to_mask + to_random)).nonzero().squeeze(1)
    choice = torch.randint(len(ordinary), random.shape, generator=generator, device=original.device)
    replaced[random] = ordinary[choice].to(original.dtype)
    return replaced


def _special_flags(vocab_size: int, special_ids: Sequence[int], device: torch.device) -> Tensor:
    for token_id in special_ids:
        checks.whole("each of mask_id and special_ids", token_id, 0, vocab_size - 1)
    flags = torch.zeros(vocab_size, dtype=torch.bool, device=device)
    flags[list(special_ids)] = True
    return flags


def _check_ids(ids: Tensor, vocab_size: int) -> None:
    if ids.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"ids must be int64 or int32, got {ids.dtype}")
    checks.shape("ids", ids, "B", "T")
    checks.not_empty(ids=ids)
    checks.ids_below(vocab_size, ids=ids)


def _check_odds(rate: float | int, replace: Sequence[float | int]) -> None:
    checks.share("rate", rate)
    if len(replace) != 3 or min(replace) < 0 or not abs(sum(replace) - 1) <= 1e-6:  # NaN too
        raise ValueError(f"replace must be three shares of at least 0 that sum to 1, got {tuple(replace)}")
