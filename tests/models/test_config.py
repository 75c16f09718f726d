"""A configuration is right when it is made, or not made at all."""

import json
from dataclasses import FrozenInstanceError, asdict, replace

import pytest

from lib.kernels import RopeScaling
from lib.models import TransformerConfig
from tests.models import small


def test_a_configuration_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        small.decoder().d_model = 3


SCALING = RopeScaling(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8)


def test_a_configuration_survives_json():
    config = small.llama(rope_scaling=SCALING, sliding_window=5, qkv_bias=True)
    assert TransformerConfig(**json.loads(json.dumps(asdict(config)))) == config
    assert config.rope_scaling == SCALING


def test_what_is_left_out_follows_from_the_rest():
    config = small.decoder()
    assert (config.head_width, config.kv_heads, config.encoder_layers) == (4, 4, 0)
    grouped = small.llama(head_dim=6)
    assert (grouped.head_width, grouped.kv_heads) == (6, 2)
    assert small.decoder().has_qkv_bias and not small.llama().has_qkv_bias
    assert small.llama(qkv_bias=True).has_qkv_bias and not small.decoder(qkv_bias=False).has_qkv_bias
    assert small.encoder().encoder_layers == 2
    assert small.seq2seq().encoder_layers == 3
    assert small.seq2seq(num_encoder_layers=None).encoder_layers == 2


@pytest.mark.parametrize(
    "name, value",
    [
        ("architecture", "encoder-decoder"),
        ("norm", "batchnorm"),
        ("norm_position", "middle"),
        ("activation", "tanh"),
        ("position", "alibi"),
        ("attention", "flash"),
    ],
)
def test_a_choice_that_is_none_names_the_field_and_the_choices(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be '.*' or '.*', got '{value}'"):
        replace(small.decoder(), **{name: value})


@pytest.mark.parametrize(
    "name",
    [
        "vocab_size",
        "d_model",
        "num_layers",
        "num_heads",
        "d_ff",
        "max_positions",
        "num_kv_heads",
        "head_dim",
        "relative_buckets",
        "relative_max_distance",
        "sliding_window",
        "norm_eps",
        "rope_theta",
        "embedding_scale",
        "logit_scale",
        "init_std",
    ],
)
@pytest.mark.parametrize("value", [0, -1])
def test_sizes_and_scales_are_above_zero(name, value, unchecked):
    with pytest.raises(ValueError, match=f"{name} must be (at least 1|a finite number above 0), got {value}"):
        replace(small.decoder(), **{name: value})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"norm_eps": float("nan")}, "norm_eps must be a finite number"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"dropout": -0.1}, r"dropout must lie in \[0, 1\)"),
        ({"dropout": float("nan")}, r"dropout must lie in \[0, 1\), got nan"),
        ({"pad_id": small.VOCABULARY}, r"pad_id must lie in \[0, 39\], got 40"),
        ({"pad_id": -1}, "pad_id must be at least 0, got -1"),
        ({"position_offset": -1}, "position_offset must be at least 0, got -1"),
        ({"d_model": 18}, "d_model=18 is not a multiple of num_heads=4"),
        ({"num_kv_heads": 3}, "num_heads=4 is not a multiple of num_kv_heads=3"),
        ({"position": "rotary", "head_dim": 5}, "head width must be even, got 5"),
        ({"position": "sinusoidal", "d_model": 5, "num_heads": 1}, "d_model must be even, got 5"),
        ({"max_positions": None}, "max_positions must be given for learned positions"),
        ({"position": "relative", "relative_buckets": 6}, "relative_buckets must be a multiple of 4, got 6"),
        ({"position": "relative", "relative_max_distance": 16}, "relative_max_distance=16 must exceed half"),
        ({"num_encoder_layers": 2}, "num_encoder_layers is for encoder_decoder, not for 'decoder'"),
        ({"pooler": True}, "pooler and type_vocab_size belong to an encoder, not to 'decoder'"),
        ({"rope_scaling": SCALING}, "rope_scaling is for rotary positions, not for 'learned'"),
        ({"architecture": "encoder", "sliding_window": 4}, "sliding_window is for a decoder, not for 'encoder'"),
        ({"type_vocab_size": 2}, "pooler and type_vocab_size belong to an encoder"),
    ],
)
def test_combinations_that_no_model_has(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(small.decoder(), **changes)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"d_model": 16.0}, "d_model must be a whole number, got 16.0"),
        ({"num_layers": True}, "num_layers must be a whole number, got True"),
        ({"vocab_size": None}, "vocab_size must be a whole number, got None"),
        ({"norm": 3}, "norm must be a str, got int"),
        ({"gated": 1}, "gated must be a bool, got int"),
        ({"qkv_bias": 1}, "qkv_bias must be a bool, got int"),
        ({"rope_scaling": 8.0}, "rope_scaling must be a RopeScaling, got float"),
        ({"max_positions": "12"}, "max_positions must be a whole number, got '12'"),
    ],
)
def test_a_wrong_type_names_the_field(changes, message, unchecked):
    with pytest.raises(TypeError, match=message):
        replace(small.decoder(), **changes)


def test_fields_are_given_by_name_only():
    with pytest.raises(TypeError):
        TransformerConfig("decoder", 10, 4, 1, 1, 8)


def test_values_at_the_edge_of_their_range():
    edges = {"dropout": 0.0, "pad_id": 0, "vocab_size": 1, "d_model": 1, "num_heads": 1, "num_layers": 1, "d_ff": 1}
    assert small.decoder(**edges, max_positions=1, sliding_window=1).pad_id == 0
    assert small.decoder(pad_id=small.VOCABULARY - 1, dropout=0.999).pad_id == 39
    assert small.decoder(position="relative", relative_buckets=8, relative_max_distance=5).relative_max_distance == 5
    with pytest.raises(ValueError, match="relative_max_distance=4 must exceed half of relative_buckets=8"):
        small.decoder(position="relative", relative_buckets=8, relative_max_distance=4)
    with pytest.raises(ValueError, match="pooler and type_vocab_size belong to an encoder, not to 'encoder_decoder'"):
        small.seq2seq(pooler=True)
    with pytest.raises(ValueError, match="sliding_window is for a decoder, not for 'encoder_decoder'"):
        small.seq2seq(sliding_window=3)
    with pytest.raises(ValueError, match="num_encoder_layers is for encoder_decoder, not for 'encoder'"):
        small.encoder(num_encoder_layers=2)
    for position in ("rotary", "relative", "sinusoidal", "none"):
        assert small.decoder(position=position, max_positions=None).max_positions is None


def test_what_is_not_said_is_usual():
    least = {"architecture": "decoder", "vocab_size": 9, "d_model": 8, "num_layers": 1, "num_heads": 2, "d_ff": 8}
    config = TransformerConfig(**least, max_positions=4)
    assert (config.norm, config.norm_position, config.norm_eps, config.final_norm) == ("layernorm", "pre", 1e-5, True)
    assert (config.activation, config.gated, config.bias, config.position) == ("gelu", False, True, "learned")
    assert (config.rope_theta, config.relative_buckets, config.relative_max_distance) == (10_000, 32, 128)
    assert (config.embedding_scale, config.logit_scale, config.dropout, config.init_std) == (1, 1, 0, 0.02)
    assert config.tie_embeddings and config.scale_attention and config.attention == "fused" and config.pad_id is None
