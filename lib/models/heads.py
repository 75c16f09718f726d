"""What is put on top of a Transformer to predict words, classes, tags, spans or a reward (slides C14, C22, W11, T26).

A head is small and new, the backbone below it large and pre-trained; each class here takes the backbone as it
is and adds its own few parameters.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lib import checks
from lib.models.config import TransformerConfig
from lib.models.decoder import Decoder
from lib.models.encoder import Encoder
from lib.models.inputs import AttentionMask
from lib.models.layers import ACTIVATIONS, initialise, make_norm
from lib.models.linear import Linear, project, undrawn

MLM_HEADS = ("bert", "tied", "slide")


class MLMHead(nn.Module):
    """Hidden vectors to logits over the vocabulary, in one of three ways (F07 of the slides compares them).

    * "bert": E · LayerNorm(GELU(W d + b)) + c, as in BERT; E is the token embedding, c a number per token.
    * "tied": E · d, the dot product of slide C09, without a parameter of its own.
    * "slide": W₂ σ(W₁ d + b), as slide W11 prints it, σ the sigmoid; W₂ is a second matrix of E's size.

    Raises ValueError for another `kind`.

    >>> from lib.models import preset
    >>> with torch.device("meta"):
    ...     tokens = nn.Embedding(30_522, 768)
    ...     head = MLMHead(preset("bert-base"), tokens, "tied")
    >>> head(torch.zeros(2, 768, device="meta")).shape
    torch.Size([2, 30522])
    """

    def __init__(self, config: TransformerConfig, tokens: nn.Embedding, kind: str = "bert") -> None:
        super().__init__()
        self.kind = checks.one_of("head", kind, MLM_HEADS)
        # In a tuple, so that the encoder's embedding is used but not registered a second time: it is counted,
        # moved and saved once.
        self._tied = (tokens,)
        self.dense = Linear(config.d_model, config.d_model) if kind != "tied" else None
        self.norm = make_norm(config) if kind == "bert" else None
        self.bias = nn.Parameter(torch.zeros(config.vocab_size)) if kind == "bert" else None
        self.decoder = Linear(config.d_model, config.vocab_size, bias=False) if kind == "slide" else None
        self.activation = ACTIVATIONS[config.activation] if kind == "bert" else torch.sigmoid

    def forward(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Logits; their softmax is P(w | d)."""
        if self.dense is not None:
            hidden = self.activation(self.dense(hidden))
        if self.norm is not None:
            hidden = self.norm(hidden)
        weight = self._tied[0].weight if self.decoder is None else self.decoder.weight
        return project(hidden, weight, self.bias)


class MaskedLM(nn.Module):
    """BERT as it learns masked words: an encoder and an `MLMHead` (slides C08, C09, W11).

    Nobody reads a pooler here: `config` loses it, and its weights are left out where a state dict brings them
    (`PreTrainingModel` has one).

    Weights are drawn from `generator` (None: the global one). Raises ValueError if `config` is no encoder's
    or `head` is unknown.

    >>> from lib.models import preset
    >>> with torch.device("meta"):
    ...     model = MaskedLM(preset("bert-base"))
    >>> sum(parameter.numel() for parameter in model.head.parameters())
    622650
    """

    def __init__(
        self, config: TransformerConfig, head: str = "bert", *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.config = config = replace(config, pooler=False)
        self.encoder = Encoder(config, generator=generator)
        self.encoder.register_load_state_dict_pre_hook(_leave_out_pooler)
        with undrawn():
            self.head = MLMHead(config, self.encoder.tokens, head)
        initialise(self.head, config, generator)

    def forward(
        self,
        input_ids: Int[Tensor, "B T"],
        attention_mask: AttentionMask | None = None,
        token_type_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Logits of the token at each position. Raises ValueError as `Encoder` does."""
        return self.head(self.encoder(input_ids, attention_mask, token_type_ids))


def _leave_out_pooler(module: nn.Module, state: dict[str, Tensor], prefix: str, *rest: object) -> None:
    for kind in ("weight", "bias"):
        state.pop(f"{prefix}pooler.{kind}", None)


class OnBackbone(nn.Module):
    """A linear layer on the hidden states of an encoder or decoder, whose weights stay what they are."""

    def __init__(
        self,
        backbone: Encoder | Decoder,
        outputs: int,
        *,
        bias: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        checks.instance("backbone", backbone, Encoder, Decoder)
        checks.whole("num_labels", outputs)
        self.config = backbone.config
        self.backbone = backbone
        with torch.device(backbone.tokens.weight.device), undrawn():
            self.output = Linear(self.config.d_model, outputs, bias=bias)
        initialise(self.output, self.config, generator)

    def hidden(
        self,
        input_ids: Int[Tensor, "B T"],
        attention_mask: AttentionMask | None,
        token_type_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """The backbone's last hidden states."""
        if isinstance(self.backbone, Encoder):
            return self.backbone(input_ids, attention_mask, token_type_ids)
        if token_type_ids is not None:
            raise ValueError("token_type_ids are for an encoder: a decoder has no segments")
        return self.backbone.hidden(input_ids, attention_mask)

    def read_out(self, features: Float[Tensor, "*B D"]) -> Float[Tensor, "*B C"]:
        """Dropout (in training) and the new linear layer."""
        return self.output(F.dropout(features, self.config.dropout, self.training))


class SequenceClassifier(OnBackbone):
    """One class for a whole sequence, read off one token (slides C14 a and b, C22).

    * `pool="first"` is BERT's: the first real token, [CLS], through the encoder's pooler if there is one,
      then W h + b.
    * `pool="last"` is GPT's: the last real token, the only one that sees the whole text in a decoder, then
      h W_y, without bias (C22).

    One label makes it a regression (STS-B). `generator` draws the new weights.
    Raises TypeError for another backbone, ValueError for another `pool` or `num_labels` < 1.

    >>> from lib.models import preset
    >>> with torch.device("meta"):
    ...     model = SequenceClassifier(Decoder(preset("gpt-1")), num_labels=2, pool="last")
    >>> model(torch.ones(3, 5, dtype=torch.long, device="meta")).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        backbone: Encoder | Decoder,
        num_labels: int,
        pool: str = "first",
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        checks.one_of("pool", pool, ("first", "last"))
        super().__init__(backbone, num_labels, bias=pool == "first", generator=generator)
        self.pool = pool

    def forward(
        self,
        input_ids: Int[Tensor, "B T"],
        attention_mask: AttentionMask | None = None,
        token_type_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B C"]:
        """Logits of the classes."""
        hidden = self.hidden(input_ids, attention_mask, token_type_ids)
        if self.pool == "last":
            return self.read_out(pick(hidden, last_real_token(input_ids, attention_mask)))
        first = pick(hidden, first_real_token(input_ids, attention_mask))
        if getattr(self.backbone, "pooler", None) is not None:
            first = self.backbone.pool(first[:, None])
        return self.read_out(first)


class TokenClassifier(OnBackbone):
    """A class for every token: tagging, such as named entities (slide C14 d).

    Raises as `SequenceClassifier` does.

    >>> from lib.models import preset
    >>> with torch.device("meta"):
    ...     model = TokenClassifier(Encoder(preset("bert-base")), num_labels=9)
    >>> model(torch.ones(3, 5, dtype=torch.long, device="meta")).shape
    torch.Size([3, 5, 9])
    """

    def __init__(
        self, backbone: Encoder | Decoder, num_labels: int, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(backbone, num_labels, generator=generator)

    def forward(
        self,
        input_ids: Int[Tensor, "B T"],
        attention_mask: AttentionMask | None = None,
        token_type_ids: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T C"]:
        """Logits of the classes of each token; those of padding mean nothing."""
        return self.read_out(self.hidden(input_ids, attention_mask, token_type_ids))


class Span(NamedTuple):
    """Logits of where an answer begins and where it ends; −∞ at padding, so that no answer lies there."""

    start: Float[Tensor, "B T"]
    end: Float[Tensor, "B T"]


class SpanExtractor(OnBackbone):
    """Where in the text an answer is: P(start = i) = softmax_i(S · h_i), and the same for its end.

    Slide C14 c, SQuAD; Devlin et al. 2019, section 4.2. Raises TypeError for another backbone.

    >>> from lib.models import preset
    >>> with torch.device("meta"):
    ...     model = SpanExtractor(Encoder(preset("bert-base")))
    >>> model(torch.ones(3, 5, dtype=torch.long, device="meta")).start.shape
    torch.Size([3, 5])
    """

    def __init__(self, backbone: Encoder | Decoder, *, generator: torch.Generator | None = None) -> None:
        super().__init__(backbone, 2, generator=generator)

    def forward(
        self,
        input_ids: Int[Tensor, "B T"],
        attention_mask: AttentionMask | None = None,
        token_type_ids: Int[Tensor, "B T"] | None = None,
    ) -> Span:
        """Logits over the positions."""
        logits = self.read_out(self.hidden(input_ids, attention_mask, token_type_ids))  # (B, T, 2)
        if attention_mask is not None:
            logits = logits.masked_fill(~attention_mask.bool()[..., None], -torch.inf)
        return Span(*logits.unbind(dim=-1))


def pick(hidden: Float[Tensor, "B T D"], index: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
    return hidden[torch.arange(len(hidden), device=hidden.device), index]


def first_real_token(input_ids: Int[Tensor, "B T"], attention_mask: AttentionMask | None = None) -> Int[Tensor, " B"]:
    """The index of each row's first token that is no padding.

    >>> first_real_token(torch.zeros(1, 3, dtype=torch.long), torch.tensor([[0, 1, 1]])).tolist()
    [1]
    """
    if attention_mask is None:
        return torch.zeros_like(input_ids[:, 0])
    return attention_mask.int().argmax(dim=1)  # the first of equal maxima


def last_real_token(input_ids: Int[Tensor, "B T"], attention_mask: AttentionMask | None = None) -> Int[Tensor, " B"]:
    """The index of each row's last token that is no padding, whichever side the padding is on (slide C22).

    >>> last_real_token(torch.zeros(1, 3, dtype=torch.long), torch.tensor([[1, 1, 0]])).tolist()
    [1]
    """
    length = input_ids.shape[1]
    if attention_mask is None:
        return torch.full_like(input_ids[:, 0], length - 1)
    return length - 1 - attention_mask.flip(1).int().argmax(dim=1)
