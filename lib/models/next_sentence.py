"""BERT with both heads of its pre-training: the words behind the masks, and whether one sentence follows the other."""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lib.models.config import TransformerConfig
from lib.models.encoder import Encoder
from lib.models.heads import MLMHead
from lib.models.inputs import AttentionMask
from lib.models.layers import initialise
from lib.models.linear import Linear, undrawn


class PreTrainingLogits(NamedTuple):
    """What `PreTrainingModel` returns."""

    words: Float[Tensor, "B T V"]  # of the token at each position
    next_sentence: Float[Tensor, "B 2"]  # class 0: the second segment follows the first; 1: it was drawn at random


class PreTrainingModel(nn.Module):
    """The whole BERT of Devlin et al. 2019, section 3.1: encoder, `MLMHead`, and a next-sentence head on the pooler.

    It is what the released files hold; `encoder` and `head` are those of a `MaskedLM`, the pooler besides.
    Weights are drawn from `generator` (None: the global one). Raises ValueError if `config` is no encoder's.

    >>> from lib.models import count_parameters, preset
    >>> with torch.device("meta"):
    ...     model = PreTrainingModel(preset("bert-base"))
    >>> count_parameters(model)
    110106428
    """

    def __init__(self, config: TransformerConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if config.architecture == "encoder":
            config = replace(config, pooler=True)
        self.config = config
        self.encoder = Encoder(config, generator=generator)
        with undrawn():
            self.head = MLMHead(config, self.encoder.tokens)
            self.next_sentence = Linear(config.d_model, 2)
        initialise(self.head, config, generator)
        initialise(self.next_sentence, config, generator)

    def forward(
        self,
        input_ids: Int[Tensor, "B T"],
        attention_mask: AttentionMask | None = None,
        token_type_ids: Int[Tensor, "B T"] | None = None,
    ) -> PreTrainingLogits:
        """Logits of both tasks; segments 0 and 1 are the two sentences. Raises ValueError as `Encoder` does."""
        hidden = self.encoder(input_ids, attention_mask, token_type_ids)
        return PreTrainingLogits(self.head(hidden), self.next_sentence(self.encoder.pool(hidden)))
