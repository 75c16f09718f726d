"""An encoder that reads a source and a decoder that writes a target, looking back at it (BART, T5)."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lib import checks
from lib.kernels import padding_mask
from lib.models.attention import AttentionContext
from lib.models.cache import KVCache
from lib.models.config import TransformerConfig
from lib.models.decoder import remember_padding
from lib.models.encoder import require
from lib.models.inputs import AttentionMask, check_ids, check_length, positions_of, read_mask
from lib.models.layers import InputLayer, TransformerStack, initialise
from lib.models.linear import Embedding, Linear, project, undrawn


class EncoderDecoder(nn.Module):
    """A sequence-to-sequence Transformer (slides C43, C46, W21; Lewis et al. 2020, Raffel et al. 2020).

    Both sides share the token embedding. Weights are drawn from `generator` (None: the global one).
    Raises ValueError if `config` is no encoder-decoder's.

    >>> import torch
    >>> config = TransformerConfig(architecture="encoder_decoder", vocab_size=10, d_model=8, num_layers=1,
    ...                            num_heads=2, d_ff=16, position="relative")
    >>> EncoderDecoder(config)(torch.tensor([[1, 2, 3]]), torch.tensor([[0, 4]])).shape
    torch.Size([1, 2, 10])
    """

    def __init__(self, config: TransformerConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        require(config, "encoder_decoder")
        self.config = config
        with undrawn():
            self.tokens = Embedding(config.vocab_size, config.d_model)
            self.encoder_inputs, self.decoder_inputs = InputLayer(config), InputLayer(config)
            self.encoder = TransformerStack(config, config.encoder_layers, causal=False)
            self.decoder = TransformerStack(config, config.num_layers, causal=True, cross=True)
            self.output = None if config.tie_embeddings else Linear(config.d_model, config.vocab_size, bias=False)
        self.register_buffer("logits_bias", torch.zeros(config.vocab_size) if config.logits_bias else None)
        initialise(self, config, generator)

    def forward(
        self,
        input_ids: Int[Tensor, "B S"],
        decoder_input_ids: Int[Tensor, "B T"],
        attention_mask: AttentionMask | None = None,
        decoder_attention_mask: AttentionMask | None = None,
        cache: KVCache | None = None,
        *,
        position_ids: Int[Tensor, "B S"] | None = None,
        decoder_position_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Logits of the target's next token at every position of `decoder_input_ids`.

        Masks are 1 for real tokens; positions are counted over them unless given. With a `cache` the source
        is encoded at the first call only (pass the same one again), and `decoder_input_ids` are only the new
        tokens.
        Raises ValueError for an empty batch, an id outside the vocabulary, more tokens than the context, or a
        cache that was made for another source.
        """
        hidden = self.hidden(
            input_ids,
            decoder_input_ids,
            attention_mask,
            decoder_attention_mask,
            cache,
            position_ids=position_ids,
            decoder_position_ids=decoder_position_ids,
        )
        return self.logits(hidden)

    def hidden(
        self,
        input_ids: Int[Tensor, "B S"],
        decoder_input_ids: Int[Tensor, "B T"],
        attention_mask: AttentionMask | None = None,
        decoder_attention_mask: AttentionMask | None = None,
        cache: KVCache | None = None,
        *,
        position_ids: Int[Tensor, "B S"] | None = None,
        decoder_position_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """The decoder's vectors from which the logits are computed, after its final norm."""
        context = AttentionContext(cache=cache)
        self._read(input_ids, attention_mask, position_ids, context)
        checks.shape("decoder_input_ids", decoder_input_ids, len(input_ids), "T")
        hidden = self._write(decoder_input_ids, decoder_attention_mask, decoder_position_ids, context)
        if cache is not None:
            # last, as a pass that failed half-way keeps nothing; a copy, as the caller may write into `input_ids`
            cache.source = (input_ids.clone(), context.memory_mask)
        return hidden

    def encode(
        self,
        input_ids: Int[Tensor, "B S"],
        attention_mask: AttentionMask | None = None,
        *,
        position_ids: Int[Tensor, "B S"] | None = None,
    ) -> Float[Tensor, "B S D"]:
        """The encoder's output: one vector per source token, not one per source (slide W21, note F26)."""
        context = AttentionContext()
        self._read(input_ids, attention_mask, position_ids, context)
        return context.memory

    @property
    def output_weight(self) -> Float[Tensor, "V D"]:
        """The matrix that turns a hidden vector into logits: the token embedding itself when tied."""
        return self.tokens.weight if self.output is None else self.output.weight

    def logits(self, hidden: Float[Tensor, "B T D"]) -> Float[Tensor, "B T V"]:
        """Logits of the decoder's hidden states."""
        if self.config.logit_scale != 1.0:
            hidden = hidden * self.config.logit_scale
        logits = project(hidden, self.output_weight)
        return logits if self.logits_bias is None else logits + self.logits_bias

    @torch.no_grad()
    def attention_maps(
        self,
        input_ids: Int[Tensor, "B S"],
        decoder_input_ids: Int[Tensor, "B T"],
        attention_mask: AttentionMask | None = None,
        decoder_attention_mask: AttentionMask | None = None,
        *,
        which: str = "cross",
    ) -> list[Float[Tensor, "B H _ _"]]:
        """Each layer's weights of one kind: "encoder" (S by S), "decoder" (T by T) or "cross" (T by S).

        Raises ValueError for any other `which`.
        """
        checks.one_of("which", which, ("encoder", "decoder", "cross"))
        reading = AttentionContext(maps=[])
        self._read(input_ids, attention_mask, None, reading)
        writing = replace(reading, maps=[], cross_maps=[])
        self._write(decoder_input_ids, decoder_attention_mask, None, writing)
        return {"encoder": reading.maps, "decoder": writing.maps, "cross": writing.cross_maps}[which]

    def _read(self, ids: Tensor, mask: Tensor | None, positions: Tensor | None, context: AttentionContext) -> None:
        """Encode the source into `context`, unless its cache already holds what cross-attention needs."""
        check_ids(ids, self.config.vocab_size)
        batch, length = ids.shape
        check_length(length, self.config.max_positions)
        real = read_mask(mask, batch, length)
        context.memory_mask = padding_mask(real) if real is not None else None
        if context.cache is not None and context.cache.source is not None:
            if not _same(context.cache.source, (ids, context.memory_mask)):
                raise ValueError("the cache was made for another source or attention_mask: begin a new KVCache")
            return
        positions = positions_of(ids, positions, limit=self.config.max_positions, past=0, real=real)
        reading = AttentionContext(maps=context.maps)
        x = self.encoder_inputs(self.tokens(ids), positions)
        context.memory = self.encoder(x, positions, real, reading)

    def _write(self, ids: Tensor, mask: Tensor | None, positions: Tensor | None, context: AttentionContext) -> Tensor:
        """Run the decoder over the new target tokens."""
        check_ids(ids, self.config.vocab_size, name="decoder_input_ids")
        batch, length = ids.shape
        past = context.cache.length if context.cache is not None else 0
        check_length(length, self.config.max_positions, past=past, name="decoder_input_ids")
        partial = context.cache is not None
        real = read_mask(mask, batch, past + length, partial=partial, name="decoder_attention_mask")
        remember_padding(context.cache, mask, real)
        positions = positions_of(
            ids, positions, limit=self.config.max_positions, past=past, real=real, name="decoder_position_ids"
        )
        x = self.decoder_inputs(self.tokens(ids), positions)
        return self.decoder(x, positions, real, context)


def _same(one: tuple[Tensor | None, ...], two: tuple[Tensor | None, ...]) -> bool:
    return all(a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in zip(one, two))
