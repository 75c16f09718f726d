"""A decoder: each token sees only those before it, and predicts the next (GPT, Llama)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lib.models.attention import AttentionContext
from lib.models.cache import KVCache
from lib.models.config import TransformerConfig
from lib.models.encoder import require
from lib.models.inputs import AttentionMask, check_ids, check_length, positions_of, read_mask
from lib.models.layers import InputLayer, TransformerStack, initialise
from lib.models.linear import Embedding, Linear, PackedMatrix, project, undrawn


class Decoder(nn.Module):
    """A causal Transformer: ids in, logits of the next token out at every position (slides C19, C20).

    Weights are drawn from `generator` (None: the global one). Raises ValueError if `config` is no decoder's.

    >>> import torch
    >>> config = TransformerConfig(architecture="decoder", vocab_size=10, d_model=8, num_layers=1,
    ...                            num_heads=2, d_ff=16, max_positions=6)
    >>> Decoder(config)(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 10])
    """

    def __init__(self, config: TransformerConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        require(config, "decoder")
        self.config = config
        with undrawn():
            self.tokens = Embedding(config.vocab_size, config.d_model)
            self.inputs = InputLayer(config)
            self.stack = TransformerStack(config, config.num_layers, causal=True)
            self.output = None if config.tie_embeddings else Linear(config.d_model, config.vocab_size, bias=False)
        initialise(self, config, generator)

    def forward(
        self,
        input_ids: Int[Tensor, "B T"],
        attention_mask: AttentionMask | None = None,
        cache: KVCache | None = None,
        *,
        position_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Logits z_t for the token after each position: P(x_{t+1} | x_≤t) = softmax(z_t).

        `attention_mask` is 1 for real tokens; positions are counted over them, so padding on either side
        changes nothing (`position_ids` overrides that). With a `cache`, `input_ids` are only the new tokens,
        while the mask covers all S.
        Raises ValueError for an empty batch, an id outside the vocabulary, or more tokens than the context.
        """
        return self.logits(self.hidden(input_ids, attention_mask, cache, position_ids=position_ids))

    def hidden(
        self,
        input_ids: Int[Tensor, "B T"],
        attention_mask: AttentionMask | None = None,
        cache: KVCache | None = None,
        *,
        position_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """The vectors from which the logits are computed, after the final norm: for heads, and for the chunked loss."""
        return self._run(input_ids, attention_mask, position_ids, AttentionContext(cache=cache))

    @property
    def output_weight(self) -> Float[Tensor, "V D"]:
        """The matrix that turns a hidden vector into logits: the token embedding itself when tied."""
        return self.tokens.weight if self.output is None else self.output.weight

    def logits(self, hidden: Float[Tensor, "B T D"]) -> Float[Tensor, "B T V"]:
        """Logits of hidden states; pass only the last position when only that is needed."""
        if self.config.logit_scale != 1.0:
            hidden = hidden * self.config.logit_scale
        head = self.tokens if self.output is None else self.output
        if isinstance(head, PackedMatrix):
            return head.map(hidden)
        return project(hidden, head.weight)

    @torch.no_grad()
    def attention_maps(
        self, input_ids: Int[Tensor, "B T"], attention_mask: AttentionMask | None = None
    ) -> list[Float[Tensor, "B H T T"]]:
        """Each layer's attention weights, rows summing to 1 and nothing above the diagonal."""
        context = AttentionContext(maps=[])
        self._run(input_ids, attention_mask, None, context)
        return context.maps

    def _run(
        self, input_ids: Tensor, attention_mask: Tensor | None, position_ids: Tensor | None, context: AttentionContext
    ) -> Tensor:
        check_ids(input_ids, self.config.vocab_size)
        batch, length = input_ids.shape
        past = context.cache.length if context.cache is not None else 0
        check_length(length, self.config.max_positions, past=past)
        real = read_mask(attention_mask, batch, past + length, partial=context.cache is not None)
        remember_padding(context.cache, attention_mask, real)
        positions = positions_of(input_ids, position_ids, limit=self.config.max_positions, past=past, real=real)
        x = self.inputs(self.tokens(input_ids), positions)
        return self.stack(x, positions, real, context)


def remember_padding(cache: KVCache | None, given: Tensor | None, real: Tensor | None) -> None:
    """Raise ValueError if a cache with padding is continued without a mask: the padding would be attended to."""
    if cache is None:
        return
    if given is None and cache.padded:
        raise ValueError("the cache holds padded sequences: pass the attention_mask of all tokens so far")
    cache.padded = real is not None
