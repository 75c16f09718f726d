"""An encoder: every token sees every other one (BERT, RoBERTa)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lib import checks
from lib.models.attention import AttentionContext
from lib.models.config import TransformerConfig
from lib.models.inputs import AttentionMask, check_ids, check_length, positions_of, read_mask
from lib.models.layers import InputLayer, TransformerStack, initialise
from lib.models.linear import Embedding, Linear, undrawn


class Encoder(nn.Module):
    """A bidirectional Transformer: ids in, one vector per token out (slides C06, C10; Devlin et al. 2019).

    Weights are drawn from `generator` (None: the global one). Raises ValueError if `config` is no encoder's.

    >>> import torch
    >>> config = TransformerConfig(architecture="encoder", vocab_size=10, d_model=8, num_layers=1,
    ...                            num_heads=2, d_ff=16, max_positions=6)
    >>> Encoder(config)(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 8])
    """

    def __init__(self, config: TransformerConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        require(config, "encoder")
        self.config = config
        with undrawn():
            self.tokens = Embedding(config.vocab_size, config.d_model)
            self.inputs = InputLayer(config)
            self.stack = TransformerStack(config, config.num_layers, causal=False)
            self.pooler = Linear(config.d_model, config.d_model) if config.pooler else None
        initialise(self, config, generator)

    def forward(
        self,
        input_ids: Int[Tensor, "B T"],
        attention_mask: AttentionMask | None = None,
        token_type_ids: Int[Tensor, "B T"] | None = None,
        *,
        position_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Hidden states of the last layer; those of padding tokens mean nothing.

        `attention_mask` is 1 for real tokens; positions are counted over them, so padding on either side
        changes nothing (`position_ids` overrides that). `token_type_ids` are BERT's segments (default 0).
        Raises ValueError for an empty batch, an id outside the vocabulary, or more tokens than the context.
        """
        return self._run(input_ids, attention_mask, token_type_ids, position_ids, AttentionContext())

    def pool(self, hidden: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
        """BERT's summary of a sequence, tanh(W h_[CLS] + b). Raises ValueError where there is no pooler."""
        if self.pooler is None:
            raise ValueError("this encoder has no pooler: set pooler=True in its config")
        return torch.tanh(self.pooler(hidden[:, 0]))

    @torch.no_grad()
    def attention_maps(
        self,
        input_ids: Int[Tensor, "B T"],
        attention_mask: AttentionMask | None = None,
        token_type_ids: Int[Tensor, "B T"] | None = None,
    ) -> list[Float[Tensor, "B H T T"]]:
        """Each layer's attention weights, rows summing to 1: who looks at whom."""
        context = AttentionContext(maps=[])
        self._run(input_ids, attention_mask, token_type_ids, None, context)
        return context.maps

    def hidden_states(
        self,
        input_ids: Int[Tensor, "B T"],
        attention_mask: AttentionMask | None = None,
        token_type_ids: Int[Tensor, "B T"] | None = None,
    ) -> list[Float[Tensor, "B T D"]]:
        """What enters the first layer, and what leaves each: 1 + L tensors. A final norm is not part of them."""
        context = AttentionContext(states=[])
        self._run(input_ids, attention_mask, token_type_ids, None, context)
        return context.states

    def _run(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        context: AttentionContext,
    ) -> Tensor:
        check_ids(input_ids, self.config.vocab_size)
        batch, length = input_ids.shape
        check_length(length, self.config.max_positions)
        self._check_types(token_type_ids, input_ids.shape)
        real = read_mask(attention_mask, batch, length)
        positions = positions_of(input_ids, position_ids, limit=self.config.max_positions, past=0, real=real)
        x = self.inputs(self.tokens(input_ids), positions, token_type_ids)
        return self.stack(x, positions, real, context)

    def _check_types(self, types: Tensor | None, shape: torch.Size) -> None:
        if types is None:
            return
        if not self.config.type_vocab_size:
            raise ValueError("token_type_ids given, but this encoder has no segments (type_vocab_size=0)")
        check_ids(types, self.config.type_vocab_size, name="token_type_ids")
        checks.shape("token_type_ids", types, *shape)


def require(config: TransformerConfig, architecture: str) -> None:
    """Raise ValueError unless `config` describes this architecture."""
    if config.architecture != architecture:
        raise ValueError(
            f"config.architecture must be {architecture!r}, got {config.architecture!r} "
            f"(dataclasses.replace makes a changed copy)"
        )
