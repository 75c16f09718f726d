"""The next token's logits, step after step: each step reads only what is new, for decoders and encoder-decoders alike."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib import checks
from lib.models import Decoder, EncoderDecoder, KVCache
from lib.models.inputs import AttentionMask


class Steps:
    """Logits after the last token of each row. Called with all tokens so far; what it has read lies in its KV cache.

    `begin` makes one, with the tokens from which writing starts: the prompts of a decoder, or a start token for each
    row of an encoder-decoder's source.
    """

    def __init__(
        self, model: Decoder | EncoderDecoder, mask: Tensor | None, source: tuple[Tensor, Tensor | None] | None
    ) -> None:
        self.model, self.mask, self.source = model, mask, source
        self.cache = KVCache()

    def hidden(self, ids: Int[Tensor, "B S"]) -> Float[Tensor, "B N D"]:
        """The last layer's vectors of the tokens that were not read before."""
        new = ids[:, self.cache.length :]
        if isinstance(self.model, Decoder):
            return self.model.hidden(new, self.real(ids), self.cache)
        assert self.source is not None
        return self.model.hidden(self.source[0], new, self.source[1], None, self.cache)

    def real(self, ids: Int[Tensor, "B S"]) -> Bool[Tensor, "B S"] | None:
        """True on the tokens so far that are no padding of the prompts; None if there is none."""
        return None if self.mask is None else self.mask[:, : ids.shape[1]]

    def __call__(self, ids: Int[Tensor, "B S"]) -> Float[Tensor, "B V"]:
        """Logits of the token that follows. Raises ValueError if they are not finite."""
        return self.logits(self.hidden(ids)[:, -1:])[:, 0]  # no other position is needed

    def logits(self, hidden: Float[Tensor, "B N D"]) -> Float[Tensor, "B N V"]:
        """The logits of hidden vectors. Raises ValueError if they are not finite."""
        logits = self.model.logits(hidden)
        best = logits.amax(dim=-1)
        if not best.isfinite().all():
            raise ValueError(
                f"the model's logits are not finite (largest of each row: {best[:, -1].tolist()}): "
                f"its weights hold NaN or have grown too large"
            )
        return logits

    def select(self, rows: Int[Tensor, "R"]) -> None:
        """Go on with these rows, each as often as it is named (the beams that survive)."""
        if torch.equal(rows, torch.arange(self.cache.batch_size or 0, device=rows.device)):
            return
        self.cache.select(rows)
        if self.mask is not None:
            self.mask = self.mask[rows]
        if self.source is not None:
            ids, mask = self.source
            self.source = (ids[rows], None if mask is None else mask[rows])


def begin(
    model: Decoder | EncoderDecoder,
    input_ids: Int[Tensor, "B T"],
    max_new_tokens: int,
    attention_mask: AttentionMask | None,
    eos_id: int | None,
    start_id: int | None,
) -> tuple[Steps, Int[Tensor, "B S"]]:
    """Steps for `model`, and the tokens so far in each row: its prompt, or, in an encoder-decoder, `start_id`.

    Raises TypeError if `model` is neither; ValueError for an empty batch, a decoder's prompt padded on the right, more
    tokens than the context, an id outside the vocabulary, a `start_id` where there is no encoder, or none where there
    is one.
    """
    checks.instance("model", model, Decoder, EncoderDecoder)
    checks.shape("input_ids", input_ids, "B", "T")
    checks.not_empty(input_ids=input_ids)
    checks.whole("max_new_tokens", max_new_tokens, 0)
    if eos_id is not None:
        checks.whole("eos_id", eos_id, 0, model.config.vocab_size - 1)
    if attention_mask is not None:
        checks.same_shape(input_ids=input_ids, attention_mask=attention_mask)
    if isinstance(model, EncoderDecoder):
        return _with_source(model, input_ids, max_new_tokens, attention_mask, start_id)
    if start_id is not None:
        raise ValueError("start_id is for an encoder-decoder: a decoder goes on from its prompt")
    _check_length(model, "of input_ids", input_ids.shape[1], max_new_tokens)
    if attention_mask is not None and not attention_mask[:, -1].bool().all():
        raise ValueError("attention_mask ends with padding: pad prompts on the left, so that all rows continue at once")
    return Steps(model, _extended(attention_mask, max_new_tokens), None), input_ids


def _with_source(
    model: EncoderDecoder, ids: Tensor, max_new_tokens: int, mask: Tensor | None, start_id: int | None
) -> tuple[Steps, Tensor]:
    if start_id is None:
        raise ValueError("start_id is missing: an encoder-decoder's target begins with a token (T5: 0, BART: 2)")
    checks.whole("start_id", start_id, 0, model.config.vocab_size - 1)
    _check_length(model, "to start with", 1, max_new_tokens)
    return Steps(model, None, (ids, mask)), ids.new_full((len(ids), 1), start_id)


def _check_length(model: Decoder | EncoderDecoder, what: str, length: int, max_new_tokens: int) -> None:
    context, wanted = model.config.max_positions, length + max_new_tokens
    if context is not None and wanted > context:
        raise ValueError(
            f"{length} tokens {what} and max_new_tokens={max_new_tokens} make "
            f"{wanted}, more than the context of {context}"
        )


def _extended(attention_mask: Tensor | None, more: int) -> Bool[Tensor, "B S"] | None:
    """One mask for prompts and continuations; None if nothing is padded."""
    if attention_mask is None or bool(attention_mask.bool().all()):
        return None
    real = attention_mask.bool()
    return torch.cat((real, real.new_ones(len(real), more)), dim=1)
