"""A `transformers` configuration, read into ours: one function per family, and nothing silently left out."""

from collections.abc import Mapping
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

from lib import checks
from lib.kernels import RopeScaling
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
    """Our configuration of a BERT, RoBERTa, GPT-2, Llama, Mistral, Qwen2, BART or T5 (1.0, 1.1) of `transformers`.

    `hf_config` may also be what a config.json says, as a dict. Dropout of attention weights is the one
    difference: ours drops only embeddings and sublayers, which concerns training alone. What a model here could
    not compute (YaRN's rotary positions, another activation, quantised weights) is refused: raises ValueError
    naming the option, or the families that are known.

    >>> from transformers import GPT2Config
    >>> config_from_transformers(GPT2Config()).activation
    'gelu_tanh'
    """
    hf = as_attributes(hf_config)
    family = checks.one_of("hf_config.model_type", getattr(hf, "model_type", None), FAMILIES)
    if quantised := _of(hf, "quantization_config", None):
        method = quantised.get("quant_method") if isinstance(quantised, Mapping) else type(quantised).__name__
        raise ValueError(f"the weights are quantised ({method}), which is not supported: take the model's plain ones")
    try:
        return FAMILIES[family](hf)
    except AttributeError as error:
        raise ValueError(f"hf_config has no {error.name!r}: it is no whole {family} configuration") from error


def as_attributes(hf_config: Any) -> Any:
    """A configuration whose options are attributes, also where it came as the dict of a config.json."""
    return SimpleNamespace(**hf_config) if isinstance(hf_config, Mapping) else hf_config


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
        pad_id=_pad_id(hf),
    )


def _roberta(hf: Any) -> TransformerConfig:
    if _pad_id(hf) is None:
        raise ValueError(f"pad_token_id={hf.pad_token_id} is not supported for roberta: its positions begin after it")
    return _bert(hf, offset=hf.pad_token_id + 1)  # the padding token's row comes before the first position


def _gpt2(hf: Any) -> TransformerConfig:
    _refuse_unless(hf, scale_attn_by_inverse_layer_idx=False, reorder_and_upcast_attn=False, add_cross_attention=False)
    return TransformerConfig(
        architecture="decoder",
        vocab_size=hf.vocab_size,
        d_model=hf.n_embd,
        num_layers=hf.n_layer,
        num_heads=hf.n_head,
        d_ff=_of(hf, "n_inner", 4 * hf.n_embd),
        max_positions=hf.n_positions,
        norm_eps=hf.layer_norm_epsilon,
        activation=_activation(hf.activation_function),
        scale_attention=_of(hf, "scale_attn_weights", True),
        tie_embeddings=_of(hf, "tie_word_embeddings", True),
        dropout=float(hf.resid_pdrop),
        init_std=hf.initializer_range,
        pad_id=_pad_id(hf),
    )


def _llama(hf: Any) -> TransformerConfig:
    _refuse_unless(hf, pretraining_tp=1)
    bias = _of(hf, "attention_bias", False)
    if bias != _of(hf, "mlp_bias", False):
        raise ValueError(f"attention_bias={bias} with mlp_bias={not bias} is not supported: only both or neither are")
    return TransformerConfig(
        architecture="decoder",
        vocab_size=hf.vocab_size,
        d_model=hf.hidden_size,
        num_layers=hf.num_hidden_layers,
        num_heads=hf.num_attention_heads,
        d_ff=hf.intermediate_size,
        max_positions=hf.max_position_embeddings,
        num_kv_heads=_of(hf, "num_key_value_heads", None) if hf.model_type == "llama" else hf.num_key_value_heads,
        head_dim=_of(hf, "head_dim", None),
        norm="rmsnorm",
        norm_eps=hf.rms_norm_eps,
        activation=_activation(hf.hidden_act),
        gated=True,
        bias=bias,
        position="rotary",
        **_rope(hf),
        tie_embeddings=_of(hf, "tie_word_embeddings", False),
        init_std=hf.initializer_range,
        pad_id=_pad_id(hf),
    )


def _mistral(hf: Any) -> TransformerConfig:
    return _windowed(_llama(hf), getattr(hf, "sliding_window", 4096))


def _qwen2(hf: Any) -> TransformerConfig:
    window = getattr(hf, "sliding_window", 4096) if _of(hf, "use_sliding_window", False) else None
    config = _windowed(replace(_llama(hf), qkv_bias=True), window)
    first = min(_of(hf, "max_window_layers", 28), config.num_layers)  # the layers before it see everything
    kinds = _of(hf, "layer_types", ["full_attention"] * first + ["sliding_attention"] * (config.num_layers - first))
    windowed = kinds.count("sliding_attention")
    if config.sliding_window is None or windowed == config.num_layers:
        return config
    if windowed:
        raise ValueError(
            f"a sliding window in {windowed} of {config.num_layers} layers is not supported: only in all or in none"
        )
    return replace(config, sliding_window=None)


def _windowed(config: TransformerConfig, window: int | None) -> TransformerConfig:
    """A window as wide as the context hides nothing."""
    return config if window is None or window >= config.max_positions else replace(config, sliding_window=window)


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
        pad_id=_pad_id(hf),
    )


def _t5(hf: Any) -> TransformerConfig:
    # T5 1.0 ties its head and scales for it, 1.1 does neither: transformers 5 keeps that in this flag alone.
    tied = getattr(hf, "scale_decoder_outputs", _of(hf, "tie_word_embeddings", True))
    _, gate, activation = _of(hf, "feed_forward_proj", "relu").rpartition("gated-")
    activation = "gelu_new" if gate and activation == "gelu" else activation
    return TransformerConfig(
        architecture="encoder_decoder",
        vocab_size=hf.vocab_size,
        d_model=hf.d_model,
        num_layers=_of(hf, "num_decoder_layers", hf.num_layers),
        num_encoder_layers=hf.num_layers,
        num_heads=hf.num_heads,
        d_ff=hf.d_ff,
        head_dim=hf.d_kv,
        norm="rmsnorm",
        norm_eps=hf.layer_norm_epsilon,
        bias=False,
        activation=_activation(_of(hf, "dense_act_fn", activation)),
        gated=_of(hf, "is_gated_act", bool(gate)),
        position="relative",
        relative_buckets=hf.relative_attention_num_buckets,
        relative_max_distance=_of(hf, "relative_attention_max_distance", 128),
        tie_embeddings=tied,
        logit_scale=hf.d_model**-0.5 if tied else 1.0,
        scale_attention=False,
        dropout=float(hf.dropout_rate),
        pad_id=_pad_id(hf),
    )


FAMILIES = {
    "bert": _bert,
    "roberta": _roberta,
    "gpt2": _gpt2,
    "llama": _llama,
    "mistral": _mistral,
    "qwen2": _qwen2,
    "bart": _bart,
    "t5": _t5,
}


def _of(hf: Any, name: str, default: Any) -> Any:
    """An option that older configurations, or a config.json, leave out or leave open."""
    value = getattr(hf, name, None)
    return default if value is None else value


def _pad_id(hf: Any) -> int | None:
    """The padding token's id; -1, which no token has, stands for none (Llama 1)."""
    pad = _of(hf, "pad_token_id", None)
    if pad is None or pad == -1:
        return None
    return checks.whole("hf_config.pad_token_id", pad, 0, hf.vocab_size - 1)


def _activation(name: str) -> str:
    if name not in ACTIVATIONS:
        raise ValueError(f"the activation {name!r} is not supported: only {', '.join(ACTIVATIONS)} are")
    return ACTIVATIONS[name]


def _rope(hf: Any) -> dict[str, Any]:
    """The base and the scaling of rotary positions: transformers 5 has both in one dict, a config.json in two places."""
    rope = {**_of(hf, "rope_scaling", {}), **_of(hf, "rope_parameters", {})}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ("default", "llama3"):
        raise ValueError(f"rotary positions of rope_type {kind!r} are not supported: only 'default' and 'llama3' are")
    if (part := rope.get("partial_rotary_factor", _of(hf, "partial_rotary_factor", 1.0))) != 1.0:
        raise ValueError(f"partial_rotary_factor={part} is not supported: only 1.0 is")
    found = {"rope_theta": float(rope.get("rope_theta", _of(hf, "rope_theta", 10_000.0)))}
    if kind == "llama3":
        wanted = [field.name for field in fields(RopeScaling)]
        if lacking := [name for name in wanted if name not in rope]:
            raise ValueError(f"rotary positions of rope_type 'llama3' need {', '.join(lacking)}, got {rope}")
        found["rope_scaling"] = RopeScaling(**{name: rope[name] for name in wanted})
    return found


def _refuse_unless(hf: Any, **supported: Any) -> None:
    """Raise for an option whose value differs from the only one that is supported; an absent one is fine."""
    for name, value in supported.items():
        found = getattr(hf, name, value)
        if found != value:
            raise ValueError(f"{name}={found!r} is not supported for {hf.model_type}: only {value!r} is")
