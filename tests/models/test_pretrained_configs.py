"""Configurations as their files say them, old and new, and what no model here computes is refused in true words."""

import pytest
import torch
import transformers as hf

from lib.kernels import RopeScaling
from lib.models import config_from_transformers, count_parameters, load_transformers
from tests.models import small, theirs

LLAMA3 = dict(rope_type="llama3", low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)
LLAMA = dict(
    model_type="llama",
    hidden_act="silu",
    initializer_range=0.02,
    rms_norm_eps=1e-5,
    rope_theta=500_000.0,
    num_key_value_heads=8,
    vocab_size=128_256,
    max_position_embeddings=131_072,
)
MISTRAL = LLAMA | dict(
    model_type="mistral",
    hidden_size=4096,
    intermediate_size=14_336,
    num_hidden_layers=32,
    num_attention_heads=32,
    rope_theta=10_000.0,
    sliding_window=4096,
    max_position_embeddings=32_768,
    vocab_size=32_000,
)
QWEN2 = LLAMA | dict(
    model_type="qwen2",
    hidden_size=896,
    intermediate_size=4864,
    num_hidden_layers=24,
    num_attention_heads=14,
    num_key_value_heads=2,
    max_window_layers=24,
    sliding_window=131_072,
    use_sliding_window=False,
    tie_word_embeddings=True,
    rms_norm_eps=1e-6,
    rope_theta=1_000_000.0,
    vocab_size=151_936,
)


def llama_of(width, d_ff, layers, heads, factor, **more):
    sizes = dict(hidden_size=width, intermediate_size=d_ff, num_hidden_layers=layers, num_attention_heads=heads)
    return LLAMA | sizes | dict(rope_scaling=LLAMA3 | {"factor": factor}) | more


RELEASED = {  # what the released config.json says: its number of parameters
    "llama-3.1-8b": (llama_of(4096, 14_336, 32, 32, 8.0), 8_030_261_248),
    "llama-3.3-70b": (llama_of(8192, 28_672, 80, 64, 8.0), 70_553_706_496),
    "llama-3.2-1b": (llama_of(2048, 8192, 16, 32, 32.0, head_dim=64, tie_word_embeddings=True), 1_235_814_400),
    "llama-3.2-3b": (llama_of(3072, 8192, 28, 24, 32.0, head_dim=128, tie_word_embeddings=True), 3_212_749_824),
    "mistral-7b-v0.1": (MISTRAL, 7_241_732_096),
    "qwen2-0.5b": (QWEN2, 494_032_768),
}


@pytest.mark.parametrize("name", RELEASED)
def test_released_configurations_have_the_published_counts(name):
    raw, count = RELEASED[name]
    config = config_from_transformers(raw)
    assert count_parameters(config) == count
    read = getattr(hf, {"l": "LlamaConfig", "m": "MistralConfig", "q": "Qwen2Config"}[name[0]])(**raw)
    as_read = config_from_transformers(read)
    assert as_read.head_width == config.head_width
    for field in ("rope_theta", "rope_scaling", "sliding_window", "qkv_bias", "tie_embeddings", "pad_id", "norm_eps"):
        assert getattr(as_read, field) == getattr(config, field), field


def test_what_they_say_arrives():
    config = config_from_transformers(RELEASED["llama-3.2-1b"][0])
    assert config.rope_scaling == RopeScaling(
        factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192
    )
    assert (config.rope_theta, config.head_width, config.tie_embeddings) == (500_000.0, 64, True)
    assert config_from_transformers(MISTRAL).sliding_window == 4096
    assert config_from_transformers(MISTRAL | {"sliding_window": None}).sliding_window is None
    unsaid = {key: value for key, value in MISTRAL.items() if key != "sliding_window"}
    assert config_from_transformers(unsaid).sliding_window == hf.MistralConfig(**unsaid).sliding_window == 4096
    del unsaid["num_key_value_heads"]  # theirs would take 8 of any number of heads
    with pytest.raises(ValueError, match="hf_config has no 'num_key_value_heads': it is no whole mistral config"):
        config_from_transformers(unsaid)
    qwen = config_from_transformers(QWEN2)
    assert (qwen.has_qkv_bias, qwen.bias, qwen.sliding_window) == (True, False, None)


@torch.no_grad()
def test_the_scaling_is_what_changes_the_logits():
    """Without it the same weights compute something else: the parity tests would notice."""
    model, ids = theirs.llama_3_1(), small.some_ids(length=60)
    scaled, expected = load_transformers(model), model(ids).logits
    torch.testing.assert_close(scaled(ids), expected, atol=1e-5, rtol=0)
    plain = hf.LlamaConfig(**model.config.to_dict() | dict(rope_parameters=dict(rope_type="default", rope_theta=100.0)))
    assert (load_transformers(model.state_dict(), plain)(ids) - expected).abs().max() > 0.01


@torch.no_grad()
@pytest.mark.parametrize(
    "make",
    [theirs.bert, theirs.roberta, theirs.gpt2, theirs.llama_3_1, theirs.mistral, theirs.qwen2, theirs.bart, theirs.t5],
)
def test_the_dict_of_a_configuration_says_the_same(make):
    config = make().config
    assert config_from_transformers(config.to_dict()) == config_from_transformers(config)


def test_files_from_before_leave_options_out():
    gpt2 = dict(model_type="gpt2", vocab_size=50_257, n_embd=768, n_layer=12, n_head=12, n_positions=1024)
    gpt2 |= dict(layer_norm_epsilon=1e-5, activation_function="gelu_new", resid_pdrop=0.1, initializer_range=0.02)
    assert count_parameters(config_from_transformers(gpt2)) == 124_439_808
    t5 = dict(model_type="t5", vocab_size=32_128, d_model=512, d_ff=2048, d_kv=64, num_layers=6, num_heads=8)
    t5 |= dict(layer_norm_epsilon=1e-6, relative_attention_num_buckets=32, dropout_rate=0.1)
    assert config_from_transformers(t5 | {"pad_token_id": 0}) == config_from_transformers(hf.T5Config())
    newer = config_from_transformers(t5 | dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False))
    assert (newer.gated, newer.activation, newer.tie_embeddings) == (True, "gelu_tanh", False)
    old = {key: value for key, value in RELEASED["llama-3.1-8b"][0].items() if key != "num_key_value_heads"}
    old |= dict(rope_scaling=None, pad_token_id=-1)
    del old["rope_theta"]
    config = config_from_transformers(old)
    assert (config.kv_heads, config.rope_theta, config.rope_scaling, config.pad_id) == (32, 10_000.0, None, None)


@pytest.mark.parametrize(
    "changes, message",
    [
        *(
            ({"rope_scaling": {key: kind, "factor": 2.0}}, f"of rope_type '{kind}' are not supported: only 'default'")
            for kind in ("linear", "dynamic", "yarn", "longrope")
            for key in ("type", "rope_type")
        ),
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            "'llama3' need low_freq_factor, high_freq_factor, or",
        ),
        ({"rope_scaling": LLAMA3 | {"factor": 0.5}}, "factor must be a finite number of at least 1, got 0.5"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5 is not supported: only 1.0 is"),
        (
            {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.25}},
            "partial_rotary_factor=0.25 is not supported",
        ),
        ({"mlp_bias": True}, "attention_bias=False with mlp_bias=True is not supported"),
        ({"pad_token_id": -2}, r"hf_config.pad_token_id must lie in \[0, 128255\], got -2"),
        ({"pad_token_id": 128_256}, r"hf_config.pad_token_id must lie in \[0, 128255\], got 128256"),
        ({"quantization_config": {"quant_method": "fp8"}}, r"the weights are quantised \(fp8\)"),
    ],
)
def test_what_no_llama_here_computes(changes, message):
    with pytest.raises(ValueError, match=message):
        config_from_transformers(RELEASED["llama-3.1-8b"][0] | changes)


def test_a_window_in_some_layers_only_matters_in_a_longer_context():
    mixed = QWEN2 | dict(use_sliding_window=True, sliding_window=4096, max_window_layers=21)
    with pytest.raises(ValueError, match="a sliding window in 3 of 24 layers is not supported: only in all or in none"):
        config_from_transformers(mixed)
    with pytest.raises(ValueError, match="a sliding window in 1 of 24 layers"):
        config_from_transformers(mixed | dict(layer_types=["full_attention"] * 23 + ["sliding_attention"]))
    assert config_from_transformers(mixed | dict(sliding_window=131_072)).sliding_window is None
    assert config_from_transformers(mixed | dict(max_window_layers=28)).sliding_window is None
    assert config_from_transformers(mixed | dict(max_window_layers=0)).sliding_window == 4096


def test_a_roberta_counts_from_its_padding_token():
    raw = theirs.roberta().config.to_dict()
    for pad in (None, -1):
        with pytest.raises(ValueError, match=f"pad_token_id={pad} is not supported for roberta"):
            config_from_transformers(raw | {"pad_token_id": pad})
