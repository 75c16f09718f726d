"""A `transformers` configuration, read into ours: one function per family, and nothing silently left out."""

from typing import Any

from lib import checks
from lib.models.config import TransformerConfig

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
"""Names in transformers, and ours; its three tanh approximations differ in the last digits only."""


def config_from_transformers(hf_config: Any) -> TransformerConfig:
    """Our configuration of a BERT, RoBERTa, GPT-2, Llama, BART or T5 (1.0, 1.1) of `transformers`.

    Dropout of attention weights is the one difference: ours drops only embeddings and sublayers, which
    concerns training alone. What a model here could not compute (scaled rotary positions, another activation)
    is refused: raises ValueError naming the option, or the families that are known.

    >>> from transformers import GPT2Config
    >>> config_from_transformers(GPT2Config()).activation
    'gelu_tanh'
    """
    family = getattr(hf_config, "model_type", None)
    return FAMILIES[checks.one_of("hf_config.model_type", family, FAMILIES)](hf_config)


def _bert(hf: Any, offset: int = 0) -> TransformerConfig:
    _refuse_unless(
        hf, position_embedding_type="absolute", is_decoder=False, add_cross_attention=False, tie_word_embeddings=True
    )
    return TransformerConfig(
        architecture="encoder",
        vocab_size=hf.vocab_size,
        d_model=hf.hidden_size,
        num_layers=hf.num_hidden_layers,
        num_heads=hf.num_attention_heads,
        d_ff=hf.intermediate_size,
        max_positions=hf.max_position_embeddings - offset,
        position_offset=offset,
        norm_position="post",
        norm_eps=hf.layer_norm_eps,
        embedding_norm=True,
        final_norm=False,
        activation=_activation(hf.hidden_act),
        type_vocab_size=hf.type_vocab_size,
        pooler=True,
        dropout=float(hf.hidden_dropout_prob),
        init_std=hf.initializer_range,
        pad_id=hf.pad_token_id,
    )


def _roberta(hf: Any) -> TransformerConfig:
    return _bert(hf, offset=hf.pad_token_id + 1)  # the padding token's row comes before the first position


def _gpt2(hf: Any) -> TransformerConfig:
    _refuse_unless(hf, scale_attn_by_inverse_layer_idx=False, reorder_and_upcast_attn=False, add_cross_attention=False)
    return TransformerConfig(
        architecture="decoder",
        vocab_size=hf.vocab_size,
        d_model=hf.n_embd,
        num_layers=hf.n_layer,
        num_heads=hf.n_head,
        d_ff=hf.n_inner or 4 * hf.n_embd,
        max_positions=hf.n_positions,
        norm_eps=hf.layer_norm_epsilon,
        activation=_activation(hf.activation_function),
        scale_attention=hf.scale_attn_weights,
        tie_embeddings=hf.tie_word_embeddings,
        dropout=float(hf.resid_pdrop),
        init_std=hf.initializer_range,
        pad_id=hf.pad_token_id,
    )


def _llama(hf: Any) -> TransformerConfig:
    _refuse_unless(hf, pretraining_tp=1, mlp_bias=hf.attention_bias)
    return TransformerConfig(
        architecture="decoder",
        vocab_size=hf.vocab_size,
        d_model=hf.hidden_size,
        num_layers=hf.num_hidden_layers,
        num_heads=hf.num_attention_heads,
        d_ff=hf.intermediate_size,
        max_positions=hf.max_position_embeddings,
        num_kv_heads=hf.num_key_value_heads,
        head_dim=hf.head_dim,
        norm="rmsnorm",
        norm_eps=hf.rms_norm_eps,
        activation=_activation(hf.hidden_act),
        gated=True,
        bias=hf.attention_bias,
        position="rotary",
        rope_theta=_rope_theta(hf),
        tie_embeddings=hf.tie_word_embeddings,
        init_std=hf.initializer_range,
        pad_id=hf.pad_token_id,
    )


def _bart(hf: Any) -> TransformerConfig:
    _refuse_unless(
        hf,
        encoder_attention_heads=hf.decoder_attention_heads,
        encoder_ffn_dim=hf.decoder_ffn_dim,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
        tie_word_embeddings=True,
    )
    return TransformerConfig(
        architecture="encoder_decoder",
        vocab_size=hf.vocab_size,
        d_model=hf.d_model,
        num_layers=hf.decoder_layers,
        num_encoder_layers=hf.encoder_layers,
        num_heads=hf.decoder_attention_heads,
        d_ff=hf.decoder_ffn_dim,
        max_positions=hf.max_position_embeddings,
        norm_position="post",
        embedding_norm=True,
        final_norm=False,
        activation=_activation(hf.activation_function),
        position_offset=2,
        logits_bias=True,
        embedding_scale=hf.d_model**0.5 if hf.scale_embedding else 1.0,
        dropout=float(hf.dropout),
        init_std=hf.init_std,
        pad_id=hf.pad_token_id,
    )


def _t5(hf: Any) -> TransformerConfig:
    # T5 1.0 ties its head and scales for it, 1.1 does neither: transformers 5 keeps that in this flag alone.
    tied = getattr(hf, "scale_decoder_outputs", hf.tie_word_embeddings)
    return TransformerConfig(
        architecture="encoder_decoder",
        vocab_size=hf.vocab_size,
        d_model=hf.d_model,
        num_layers=hf.num_decoder_layers,
        num_encoder_layers=hf.num_layers,
        num_heads=hf.num_heads,
        d_ff=hf.d_ff,
        head_dim=hf.d_kv,
        norm="rmsnorm",
        norm_eps=hf.layer_norm_epsilon,
        bias=False,
        activation=_activation(hf.dense_act_fn),
        gated=hf.is_gated_act,
        position="relative",
        relative_buckets=hf.relative_attention_num_buckets,
        relative_max_distance=hf.relative_attention_max_distance,
        tie_embeddings=tied,
        logit_scale=hf.d_model**-0.5 if tied else 1.0,
        scale_attention=False,
        dropout=float(hf.dropout_rate),
        pad_id=hf.pad_token_id,
    )


FAMILIES = {"bert": _bert, "roberta": _roberta, "gpt2": _gpt2, "llama": _llama, "bart": _bart, "t5": _t5}


def _activation(name: str) -> str:
    if name not in ACTIVATIONS:
        raise ValueError(f"the activation {name!r} is not supported: only {', '.join(ACTIVATIONS)} are")
    return ACTIVATIONS[name]


def _rope_theta(hf: Any) -> float:
    """The base of plain rotary positions; stretched ones (Llama 3.1's, YaRN) compute other angles."""
    rope = hf.rope_parameters
    if rope.get("rope_type", "default") != "default" or rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise ValueError(f"rope_parameters={rope} is not supported: only plain rotary positions are")
    return float(rope["rope_theta"])


def _refuse_unless(hf: Any, **supported: Any) -> None:
    """Raise for an option whose value differs from the only one that is supported; an absent one is fine."""
    for name, value in supported.items():
        found = getattr(hf, name, value)
        if found != value:
            raise ValueError(f"{name}={found!r} is not supported for {hf.model_type}: only {value!r} is")
