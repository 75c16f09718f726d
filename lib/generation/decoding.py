"""Writing text one token at a time, each step reading only the token before (KV cache): greedy decoding and sampling."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.generation.penalties import penalise
from lib.generation.steps import begin
from lib.generation.warpers import warp
from lib.models import Decoder, EncoderDecoder
from lib.models.inputs import AttentionMask


@torch.no_grad()
def generate(
    model: Decoder | EncoderDecoder,
    input_ids: Int[Tensor, "B T"],
    max_new_tokens: int,
    *,
    attention_mask: AttentionMask | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    no_repeat_ngram: int | None = None,
    penalise_prompt: bool = True,
    eos_id: int | None = None,
    start_id: int | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "B T_and_new"]:
    """Continue each row by x_t ~ P(x_t | x_<t), or by argmax P where `temperature` is 0 (slides C20, T39).

    Returns the prompts with their continuations. A row that has written `eos_id` is filled up with the padding
    token (with `eos_id` if the model has none), and generation ends when every row is done. Prompts of
    different lengths are padded on the left, with an `attention_mask`. An encoder-decoder reads `input_ids` as its
    source, padded on either side, and writes targets that begin with `start_id`. The model is used in its current
    mode: call `eval()` first if it has dropout. The repetition penalty counts the prompt too, as in `transformers`,
    unless `penalise_prompt` is False; padding never counts.
    Raises ValueError for an empty batch, right padding, more tokens than the context, `temperature` < 0,
    `top_k` < 1, `top_p` outside (0, 1], `min_p` outside [0, 1], `repetition_penalty` ≤ 0, or logits that are not
    finite; TypeError if `model` is neither `Decoder` nor `EncoderDecoder`.

    >>> from lib.models import TransformerConfig
    >>> config = TransformerConfig(architecture="decoder", vocab_size=9, d_model=8, num_layers=1,
    ...                            num_heads=2, d_ff=8, max_positions=8)
    >>> generate(Decoder(config), torch.tensor([[1, 2, 3]]), max_new_tokens=4).shape
    torch.Size([1, 7])
    """
    steps, begun = begin(model, input_ids, max_new_tokens, attention_mask, eos_id, start_id)
    warped = partial(warp, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    penalised = partial(penalise, repetition_penalty=repetition_penalty, no_repeat_ngram=no_repeat_ngram)
    warped(torch.zeros(1))  # refuses a bad setting before any step
    penalised(torch.zeros(1, 1), begun.new_zeros(1, 0))
    length = begun.shape[1]
    ids = begun.new_empty(len(begun), length + max_new_tokens)
    ids[:, :length] = begun
    written = torch.arange(ids.shape[1], device=ids.device) >= length
    done = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    for end in range(length, ids.shape[1]):
        so_far = ids[:, :end]
        counts = steps.real(so_far) if penalise_prompt else written[:end].expand_as(so_far)
        logits = penalised(steps(so_far), so_far, counts=counts)
        chosen = _choose(logits, None if temperature == 0 else warped, generator)
        ids[:, end] = chosen
        if eos_id is not None:
            pad_id = model.config.pad_id if model.config.pad_id is not None else eos_id
            ids[:, end] = chosen.masked_fill(done, pad_id)
            done |= chosen == eos_id
            if done.all():
                return ids[:, : end + 1]
    return ids


def _choose(
    logits: Float[Tensor, "B V"], warped: Callable[[Tensor], Tensor] | None, generator: torch.Generator | None
) -> Int[Tensor, " B"]:
    if (logits.amax(dim=-1) == -torch.inf).any():
        raise ValueError("no token is left to choose: no_repeat_ngram forbids the whole vocabulary")
    if warped is None:  # greedy
        return logits.argmax(dim=-1)
    return torch.multinomial(warped(logits).softmax(dim=-1), 1, generator=generator)[:, 0]
