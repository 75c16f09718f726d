"""One frozen description of a Transformer, for every family that the decks name.

Each field is one choice that an architecture makes, so that BERT, GPT-2, Llama, BART and T5 differ in
*values*, not in code: the same layers read this object. A configuration that no model could have (heads that
do not divide the width, an odd rotary width) is refused when it is made, not when the first matrix product
fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from lib import checks
from lib.kernels import RopeScaling

CHOICES = {
    "architecture": ("encoder", "decoder", "encoder_decoder"),
    "norm": ("layernorm", "rmsnorm"),
    "norm_position": ("pre", "post"),
    "activation": ("gelu", "gelu_tanh", "relu", "silu"),
    "position": ("learned", "rotary", "relative", "sinusoidal", "none"),
    "attention": ("fused", "reference", "tiled"),
}
"""The values that the fields of type `str` may take."""

MAY_BE_ZERO = ("position_offset", "type_vocab_size", "pad_id")
"""Whole numbers that may be 0; all others are at least 1."""


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """The shape and the choices of one Transformer (slides C05, C19; Vaswani et al. 2017).

    `head_width`, `kv_heads` and `encoder_layers` give the values behind the fields that may be left `None`.
    Raises TypeError for a value of the wrong type; ValueError, naming the field, for one no model can have.

    >>> gpt = TransformerConfig(architecture="decoder", vocab_size=50257, d_model=768, num_layers=12,
    ...                         num_heads=12, d_ff=3072, max_positions=1024, activation="gelu_tanh")
    >>> gpt.head_width, gpt.kv_heads
    (64, 12)
    """

    architecture: str  # "encoder" (BERT), "decoder" (GPT, Llama) or "encoder_decoder" (BART, T5)
    vocab_size: int  # V, number of distinct tokens
    d_model: int  # D, width of the residual stream
    num_layers: int  # L, blocks; of the decoder in an encoder-decoder
    num_heads: int  # H, query heads per layer
    d_ff: int  # F, width inside the feed-forward layer
    max_positions: int | None = None  # context in tokens; None: no limit (learned positions need one)
    num_encoder_layers: int | None = None  # blocks of an encoder-decoder's encoder; None: num_layers
    num_kv_heads: int | None = None  # G, key and value heads per layer, H % G == 0; None: num_heads
    head_dim: int | None = None  # K, width of one head; None: d_model / num_heads (T5-3B and 11B differ)
    norm: str = "layernorm"  # "layernorm", or "rmsnorm" (no mean, no bias: Llama, T5)
    norm_position: str = "pre"  # "pre": before each sublayer (GPT-2, Llama, T5); "post": after the sum (BERT)
    norm_eps: float = 1e-5  # added to the variance (layernorm) or the mean square (rmsnorm)
    embedding_norm: bool = False  # a norm between the embeddings and the first block (BERT, BART)
    final_norm: bool = True  # a norm after the last block (pre-norm models)
    activation: str = "gelu"  # "gelu" (exact), "gelu_tanh" (GPT-2's approximation), "relu" or "silu"
    gated: bool = False  # times a second projection: SwiGLU (Llama, silu), GEGLU (T5 1.1, gelu_tanh)
    bias: bool = True  # biases in linear layers and layer norms (Llama and T5 have none)
    qkv_bias: bool | None = None  # biases of query, key and value; None: as `bias` (Qwen2 has these alone)
    position: str = "learned"  # "learned", "rotary", "relative" (T5's bias), "sinusoidal" or "none"
    position_offset: int = 0  # rows of the learned position table before position 0 (RoBERTa, BART: 2)
    rope_theta: float = 10_000.0  # base of the rotary wavelengths, in radians^-1 (Llama 3: 500,000)
    rope_scaling: RopeScaling | Mapping[str, Any] | None = (
        None  # slower pairs for a longer context (Llama 3.1); or its dict
    )
    relative_buckets: int = 32  # distances that T5's relative bias tells apart
    relative_max_distance: int = 128  # tokens beyond which all distances share the last bucket
    type_vocab_size: int = 0  # segment embeddings (BERT: 2); 0: none
    pooler: bool = False  # BERT's dense + tanh over the first token, part of its 109,482,240 parameters
    tie_embeddings: bool = True  # the output layer is the token embedding
    embedding_scale: float = 1.0  # factor on token embeddings (the original Transformer: sqrt(d_model))
    logit_scale: float = 1.0  # factor on the vector before the output layer (T5 1.0: d_model ** -0.5)
    logits_bias: bool = False  # a constant, untrained vector added to the logits (BART's final_logits_bias)
    scale_attention: bool = True  # divide scores by sqrt(head width); T5 does not
    sliding_window: int | None = None  # tokens that a decoder's query sees, itself included (Mistral: 4096); None: all
    attention: str = "fused"  # kernel: "fused" (PyTorch's), "reference" (blackboard), "tiled"
    dropout: float = 0.0  # probability, after embeddings and sublayers; attention weights are never dropped
    init_std: float = 0.02  # standard deviation of fresh weights
    pad_id: int | None = None  # the padding token's id, if the vocabulary has one

    def __post_init__(self) -> None:
        self._check_fields()
        self._check_combinations()

    @property
    def head_width(self) -> int:
        """K: the width of one attention head."""
        return self.head_dim if self.head_dim is not None else self.d_model // self.num_heads

    @property
    def kv_heads(self) -> int:
        """G: key and value heads; fewer than query heads in grouped-query attention."""
        return self.num_kv_heads if self.num_kv_heads is not None else self.num_heads

    @property
    def has_qkv_bias(self) -> bool:
        """Whether the matrices of query, key and value have biases."""
        return self.qkv_bias if self.qkv_bias is not None else self.bias

    @property
    def encoder_layers(self) -> int:
        """Blocks on the encoder's side: all of an encoder, none of a decoder."""
        if self.architecture == "decoder":
            return 0
        return self.num_encoder_layers if self.num_encoder_layers is not None else self.num_layers

    def _check_fields(self) -> None:
        for field in fields(self):
            value, declared = getattr(self, field.name), field.type
            if value is not None or not declared.endswith("| None"):
                read = _READERS[declared.removesuffix(" | None")]
                object.__setattr__(self, field.name, read(field.name, value))

    def _check_combinations(self) -> None:
        if self.pad_id is not None:
            checks.whole("pad_id", self.pad_id, 0, self.vocab_size - 1)
        if self.head_dim is None and self.d_model % self.num_heads:
            raise ValueError(
                f"d_model={self.d_model} is not a multiple of num_heads={self.num_heads}; "
                "choose a multiple, or give head_dim"
            )
        if self.num_heads % self.kv_heads:
            raise ValueError(
                f"num_heads={self.num_heads} is not a multiple of num_kv_heads={self.kv_heads}: "
                "each key head serves the same number of query heads"
            )
        if self.position == "rotary" and self.head_width % 2:
            raise ValueError(f"rotary positions turn pairs: head width must be even, got {self.head_width}")
        if self.position == "sinusoidal" and self.d_model % 2:
            raise ValueError(f"sinusoidal positions come in pairs: d_model must be even, got {self.d_model}")
        if self.position == "learned" and self.max_positions is None:
            raise ValueError("max_positions must be given for learned positions: their table has that size")
        if self.position == "relative":
            self._check_relative()
        if self.num_encoder_layers is not None and self.architecture != "encoder_decoder":
            raise ValueError(f"num_encoder_layers is for encoder_decoder, not for {self.architecture!r}")
        if self.rope_scaling is not None and self.position != "rotary":
            raise ValueError(f"rope_scaling is for rotary positions, not for {self.position!r}")
        if self.sliding_window is not None and self.architecture != "decoder":
            raise ValueError(f"sliding_window is for a decoder, not for {self.architecture!r}")
        if self.architecture != "encoder" and (self.pooler or self.type_vocab_size):
            raise ValueError(f"pooler and type_vocab_size belong to an encoder, not to {self.architecture!r}")

    def _check_relative(self) -> None:
        # Half of a direction's buckets are exact, half logarithmic; an encoder has two directions.
        if self.relative_buckets % 4:
            raise ValueError(f"relative_buckets must be a multiple of 4, got {self.relative_buckets}")
        if self.relative_max_distance <= self.relative_buckets // 2:
            raise ValueError(
                f"relative_max_distance={self.relative_max_distance} must exceed half of "
                f"relative_buckets={self.relative_buckets}, the exact distances"
            )


def _rope_scaling(name: str, value: Any) -> RopeScaling:
    """Also out of the dict that `dataclasses.asdict` and JSON make of it."""
    return RopeScaling(**value) if isinstance(value, Mapping) else checks.instance(name, value, RopeScaling)


_READERS = {
    "int": lambda name, value: checks.whole(name, value, at_least=0 if name in MAY_BE_ZERO else 1),
    "float": lambda name, value: checks.number(name, value, "[0, 1)" if name == "dropout" else "(0, inf)"),
    "bool": lambda name, value: checks.instance(name, value, bool),
    "str": lambda name, value: checks.one_of(name, checks.instance(name, value, str), CHOICES[name]),
    "RopeScaling | Mapping[str, Any]": _rope_scaling,
}
"""How a field of each declared type is checked."""
