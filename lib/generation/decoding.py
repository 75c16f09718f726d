"""Writing text with a decoder, one token at a time, each step reading only the token before (KV cache)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib import checks
from lib.generation.warpers import warp
from lib.models import Decoder, KVCache
from lib.models.inputs import AttentionMask


@torch.no_grad()
def generate(
    model: Decoder,
    input_ids: Int[Tensor, "B T"],
    max_new_tokens: int,
    *,
    attention_mask: AttentionMask | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    eos_id: int | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "B T_and_new"]:
    """Continue each row by x_t ~ P(x_t | x_<t), or by argmax P where `temperature` is 0 (slides C20, T39).

    Returns the prompts with their continuations. A row that has written `eos_id` is filled up with the padding
    token (with `eos_id` if the model has none), and generation ends when every row is done. Prompts of
    different lengths are padded on the left, with an `attention_mask`. The model is used in its current mode:
    call `eval()` first if it has dropout.
    Raises ValueError for an empty batch, right padding, more tokens than the context, `temperature` < 0,
    `top_k` < 1, `top_p` outside (0, 1], or logits that are not finite; TypeError if `model` is no `Decoder`.

    >>> from lib.models import TransformerConfig
    >>> config = TransformerConfig(architecture="decoder", vocab_size=9, d_model=8, num_layers=1,
    ...                            num_heads=2, d_ff=8, max_positions=8)
    >>> generate(Decoder(config), torch.tensor([[1, 2, 3]]), max_new_tokens=4).shape
    torch.Size([1, 7])
    """
    _check(model, input_ids, max_new_tokens, attention_mask, eos_id)
    warp(torch.zeros(1), temperature=temperature, top_k=top_k, top_p=top_p)  # refuses a bad setting before any step
    batch, length = input_ids.shape
    ids = input_ids.new_empty(batch, length + max_new_tokens)
    ids[:, :length] = input_ids
    mask = _extended(attention_mask, ids)
    cache = KVCache(capacity=ids.shape[1])
    done = torch.zeros(batch, dtype=torch.bool, device=ids.device)
    read = 0
    for end in range(length, ids.shape[1]):
        hidden = model.hidden(ids[:, read:end], None if mask is None else mask[:, :end], cache)
        logits = model.logits(hidden[:, -1:])[:, 0]  # (B, V): no other position is needed
        chosen = _choose(logits, temperature, top_k, top_p, generator)
        read = end
        ids[:, end] = chosen
        if eos_id is not None:
            pad_id = model.config.pad_id if model.config.pad_id is not None else eos_id
            ids[:, end] = chosen.masked_fill(done, pad_id)
            done |= chosen == eos_id
            if done.all():
                return ids[:, : end + 1]
    return ids


def _choose(
    logits: Float[Tensor, "B V"],
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    generator: torch.Generator | None,
) -> Int[Tensor, " B"]:
    best, greedy = logits.max(dim=-1)
    if not best.isfinite().all():
        raise ValueError(
            f"the model's logits are not finite (largest of each row: {best.tolist()}): "
            f"its weights hold NaN or have grown too large"
        )
    if temperature == 0:
        return greedy
    probabilities = warp(logits, temperature=temperature, top_k=top_k, top_p=top_p).softmax(dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]


def _extended(attention_mask: AttentionMask | None, ids: Int[Tensor, "B S"]) -> Tensor | None:
    """One mask for prompts and continuations; None if nothing is padded."""
    if attention_mask is None or bool(attention_mask.bool().all()):
        return None
    whole = torch.ones_like(ids, dtype=torch.bool)
    whole[:, : attention_mask.shape[1]] = attention_mask.bool()
    return whole


def _check(
    model: Decoder, input_ids: Tensor, max_new_tokens: int, attention_mask: Tensor | None, eos_id: int | None
) -> None:
    checks.instance("model", model, Decoder)
    checks.shape("input_ids", input_ids, "B", "T")
    checks.not_empty(input_ids=input_ids)
    context, wanted = model.config.max_positions, input_ids.shape[1] + checks.whole("max_new_tokens", max_new_tokens, 0)
    if context is not None and wanted > context:
        raise ValueError(
            f"{input_ids.shape[1]} tokens of input_ids and max_new_tokens={max_new_tokens} make "
            f"{wanted}, more than the context of {context}"
        )
    if eos_id is not None:
        checks.whole("eos_id", eos_id, 0, model.config.vocab_size - 1)
    if attention_mask is not None:
        checks.same_shape(input_ids=input_ids, attention_mask=attention_mask)
        if not attention_mask[:, -1].bool().all():
            raise ValueError(
                "attention_mask ends with padding: pad prompts on the left, so that all rows continue at once"
            )
