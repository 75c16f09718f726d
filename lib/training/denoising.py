"""Training an encoder-decoder on pairs of texts: a spoilt one and the whole one, a question and its answer."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib import checks
from lib.kernels import cross_entropy
from lib.models import EncoderDecoder
from lib.text import Tokenizer
from lib.text.denoising import text_infilling
from lib.text.passages import padded, passages, split_sentences

SENTINELS = 15  # <extra_id_0> to <extra_id_14>
MARKS = 1 + SENTINELS  # tokens beside the BPE's own: <mask> is the other one


class PairBatch(NamedTuple):
    """What the encoder reads, what the decoder reads, and what it must write."""

    input_ids: Int[Tensor, "B S"]
    attention_mask: Bool[Tensor, "B S"]  # true on real tokens of the source
    decoder_input_ids: Int[Tensor, "B T"]  # the target, one place later: it begins with the end-of-sequence token
    labels: Int[Tensor, "B T"]  # the target, ended by the end-of-sequence token; -100 on padding


def pair_batch(pairs: Sequence[tuple[Sequence[int], Sequence[int]]], tokenizer: Tokenizer) -> PairBatch:
    """(source, target) ids as a batch. Both get an end; as in BART, the same token begins what the decoder reads.

    Raises ValueError when there is no pair, or the tokenizer has no padding or end-of-sequence token.
    """
    checks.not_empty(pairs=pairs)
    pad, end = tokenizer.pad_id, tokenizer.eos_id
    if pad is None or end is None:
        raise ValueError("tokenizer needs a padding and an end-of-sequence token")
    sources = padded([[*source, end] for source, _ in pairs], -1)
    labels = padded([[*target, end] for _, target in pairs], -100)
    return PairBatch(sources.clamp(min=pad * (sources < 0)), sources >= 0, shift_right(labels, end, pad), labels)


def shift_right(labels: Int[Tensor, "B T"], start_id: int, pad_id: int) -> Int[Tensor, "B T"]:
    """What the decoder reads while it learns to write `labels`: `start_id`, then all but the last of them.

    >>> shift_right(torch.tensor([[5, 6, 0], [7, 0, -100]]), start_id=0, pad_id=1)
    tensor([[0, 5, 6],
            [0, 7, 0]])
    """
    checks.shape("labels", labels, "B", "T")
    shifted = torch.cat([torch.full_like(labels[:, :1], start_id), labels[:, :-1]], dim=1)
    return shifted.masked_fill(shifted == -100, pad_id)


def pair_loss(model: EncoderDecoder, batch: PairBatch) -> Float[Tensor, ""]:
    r"""$-\frac1T \sum_t \log P(y_t \mid y_{<t}, x)$ over all target tokens of the batch, in nats (slide C43)."""
    hidden = model.hidden(batch.input_ids, batch.decoder_input_ids, batch.attention_mask)
    real = batch.labels != -100
    return cross_entropy(model.logits(hidden[real].unsqueeze(0))[0], batch.labels[real])


def text_passages(texts: Sequence[str], tokenizer: Tokenizer, longest: int) -> list[list[int]]:
    """The passages of whole sentences in `texts`, no longer than `longest` tokens, as ids."""
    found = []
    for text in texts:
        sentences = split_sentences(text)
        ids = tokenizer.encode_batch([s if i == 0 else f" {s}" for i, s in enumerate(sentences)])
        found += passages(ids, longest)
    return found


def infilling_sampler(
    texts: Sequence[Sequence[int]], tokenizer: Tokenizer, *, batch_size: int, rate: float = 0.3
) -> Callable[[torch.Generator], PairBatch]:
    """Batches for `fit`: passages drawn with replacement, with spans missing, and the whole passage to be written."""
    checks.not_empty(texts=texts)
    mask_id = tokenizer.mask_id
    if mask_id is None:
        raise ValueError("tokenizer needs a <mask> token")

    def sample(generator: torch.Generator) -> PairBatch:
        rows = [texts[i] for i in torch.randint(len(texts), (batch_size,), generator=generator).tolist()]
        spoilt = [text_infilling(row, mask_id=mask_id, rate=rate, generator=generator) for row in rows]
        return pair_batch(list(zip(spoilt, rows)), tokenizer)

    return sample
