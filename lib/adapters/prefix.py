"""Trained vectors in front of the text: token embeddings (prompt), or each layer's keys and values (prefix).

They are PreEmbed and PreLayer of slide W28. The model itself does not change, and its weights are frozen.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lib import checks
from lib.adapters.freezing import freeze
from lib.models import Decoder, Encoder, KVCache
from lib.models.inputs import AttentionMask, check_ids, read_mask


class PromptTuning(nn.Module):
    """P trained vectors before the embeddings of the text, P·D numbers (slide W25; Lester et al. 2021).

    `PromptTuning(model, length)` freezes the `Encoder` or `Decoder` and is called like it; it returns only the
    positions of the text. The prompt begins as the embeddings of `init_ids` (repeated to `length`), or is drawn
    with the standard deviation of the model's embeddings. It takes `length` tokens of the context.
    Raises TypeError for another model, ValueError if `length` is not positive or fills the context.

    >>> from lib.models import preset
    >>> with torch.device("meta"):
    ...     prompt = PromptTuning(Decoder(preset("gpt-3-175b")), length=264)
    >>> prompt.prompt.numel()
    3244032
    """

    def __init__(
        self,
        model: Encoder | Decoder,
        length: int,
        *,
        init_ids: Int[Tensor, " T"] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        checks.instance("model", model, Encoder, Decoder)
        _check_room(length, model.config.max_positions)
        embedding = model.tokens.weight
        if init_ids is not None:
            check_ids(init_ids[None], model.config.vocab_size, name="init_ids")
            start = embedding.detach()[init_ids.repeat(-(-length // len(init_ids)))[:length]].to(
                _wide(embedding), copy=True
            )
        else:
            start = _drawn((length, embedding.shape[1]), embedding, generator)
        freeze(model)
        self.model = model
        self.config = model.config
        self.prompt = nn.Parameter(start)  # (P, D)

    def forward(
        self, input_ids: Int[Tensor, "B T"], attention_mask: AttentionMask | None = None
    ) -> Float[Tensor, "B T _"]:
        """What the model returns for the text behind the prompt: logits, or an encoder's hidden states."""
        hidden = self.hidden(input_ids, attention_mask)
        return self.model.logits(hidden) if isinstance(self.model, Decoder) else hidden

    def hidden(
        self, input_ids: Int[Tensor, "B T"], attention_mask: AttentionMask | None = None
    ) -> Float[Tensor, "B T D"]:
        """The last hidden states of the text.

        Raises ValueError as the model does, the prompt's length counted.
        """
        length = len(self.prompt)
        check_ids(input_ids, self.config.vocab_size)
        _check_context(input_ids, self.config.max_positions, length)
        mask = _extended(attention_mask, input_ids, length)
        # Any id will do before the text: its embedding is replaced, and the model sees vectors of one row.
        handle = self.model.tokens.register_forward_hook(self._replace)
        try:
            run = self.model.hidden if isinstance(self.model, Decoder) else self.model
            return run(F.pad(input_ids, (length, 0)), mask)[:, length:]
        finally:
            handle.remove()

    def _replace(self, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        prompt = self.prompt.to(output.dtype).expand(len(output), -1, -1)
        return torch.cat((prompt, output[:, len(self.prompt) :]), dim=1)


class PrefixTuning(nn.Module):
    """P trained keys and values in every layer, as if P tokens had been read: 2·P·G·K·L numbers (W28).

    Li & Liang 2021, without their MLP: the keys and values themselves are trained, drawn from N(0, 0.02²).
    Positions of the text begin at P. `PrefixTuning(model, length)` freezes the `Decoder` and is called like
    it. `cache(batch_size)` is a `KVCache` with the prefix in it, to decode with step by step.
    Raises TypeError for another model, ValueError if `length` is not positive or fills the context.

    >>> from lib.models import TransformerConfig
    >>> config = TransformerConfig(architecture="decoder", vocab_size=10, d_model=8, num_layers=3,
    ...                            num_heads=2, d_ff=16, max_positions=6)
    >>> tuned = PrefixTuning(Decoder(config), length=2)
    >>> tuned.prefix.numel(), tuned(torch.tensor([[1, 2, 3]])).shape
    (96, torch.Size([1, 3, 10]))
    """

    def __init__(self, model: Decoder, length: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        checks.instance("model", model, Decoder)
        config = model.config
        _check_room(length, config.max_positions)
        shape = (config.num_layers, 2, config.kv_heads, length, config.head_width)  # (L, 2, G, P, K)
        start = _drawn(shape, model.tokens.weight, generator, std=0.02)
        freeze(model)
        self.model = model
        self.config = config
        self.prefix = nn.Parameter(start)

    def forward(
        self, input_ids: Int[Tensor, "B T"], attention_mask: AttentionMask | None = None, cache: KVCache | None = None
    ) -> Float[Tensor, "B T V"]:
        """Logits for the text behind the prefix.

        The mask covers the text alone; with a `cache` (from this object's `cache`) all of it so far. What a
        cache holds has no gradient.
        """
        return self.model.logits(self.hidden(input_ids, attention_mask, cache))

    def hidden(
        self, input_ids: Int[Tensor, "B T"], attention_mask: AttentionMask | None = None, cache: KVCache | None = None
    ) -> Float[Tensor, "B T D"]:
        """The last hidden states of the text.

        Raises ValueError as the model does, the prefix's length counted, or for a cache without the prefix.
        """
        length = self.prefix.shape[3]
        check_ids(input_ids, self.config.vocab_size)
        past = length if cache is None else cache.length
        if past < length:
            raise ValueError(
                f"the cache holds {past} tokens, not the {length} of the prefix: "
                f"begin with the one that this object's cache() returns"
            )
        _check_context(input_ids, self.config.max_positions, past)
        mask = _extended(attention_mask, input_ids, length, past - length, partial=cache is not None)
        return self.model.hidden(input_ids, mask, _PrefixCache(self.prefix) if cache is None else cache)

    def cache(self, batch_size: int = 1) -> KVCache:
        """A cache that holds the prefix as it is now. Raises ValueError if `batch_size` is not positive."""
        checks.whole("batch_size", batch_size)
        cache = KVCache()
        for layer, (k, v) in enumerate(self.prefix.to(self.model.tokens.weight.dtype)):
            cache.update(layer, k.expand(batch_size, -1, -1, -1), v.expand(batch_size, -1, -1, -1))
        cache.advance(self.prefix.shape[3])
        return cache


class _PrefixCache(KVCache):
    """For one pass: every layer finds the prefix before its own keys and values, with its gradient."""

    detaches = False

    def __init__(self, prefix: Float[Tensor, "L 2 G P K"]) -> None:
        super().__init__()
        self.prefix = prefix
        self.length = prefix.shape[3]

    def update(
        self, layer: int, k: Float[Tensor, "B G T K"], v: Float[Tensor, "B G T K"]
    ) -> tuple[Float[Tensor, "B G S K"], Float[Tensor, "B G S K"]]:
        """Prefix and text together."""
        before = self.prefix[layer].to(k.dtype)[:, None].expand(-1, len(k), -1, -1, -1)  # (2, B, G, P, K)
        return torch.cat((before[0], k), dim=2), torch.cat((before[1], v), dim=2)


def _drawn(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None, std: float | None = None) -> Tensor:
    """N(0, std²), by default with the standard deviation of `like`; nothing on the meta device."""
    if like.is_meta:
        return like.new_empty(shape, dtype=_wide(like))
    drawn = torch.randn(shape, generator=generator, device=getattr(generator, "device", None))
    drawn = drawn * (float(like.detach().float().std()) if std is None else std)
    return drawn.to(like.device, _wide(like))


def _wide(like: Tensor) -> torch.dtype:
    """Float32 at least, in which training at small rates goes on; the model gets the vectors in its own dtype."""
    return torch.promote_types(like.dtype, torch.float32)


def _check_room(length: int, context: int | None) -> None:
    checks.whole("length", length)
    if context is not None and length >= context:
        raise ValueError(f"length must leave room in the context of {context} tokens, got {length}")


def _check_context(input_ids: Tensor, context: int | None, taken: int) -> None:
    length = input_ids.shape[1]
    if context is not None and taken + length > context:
        raise ValueError(
            f"input_ids has {length} tokens, more than the {context - taken} that the {taken} "
            f"before them leave of the context of {context}"
        )


def _extended(
    mask: AttentionMask | None, ids: Tensor, length: int, past: int = 0, *, partial: bool = False
) -> Tensor | None:
    """The mask of trained vectors and text together; the vectors are always seen."""
    real = read_mask(mask, len(ids), past + ids.shape[1], partial=partial)
    return None if real is None else F.pad(real, (length, 0), value=True)
