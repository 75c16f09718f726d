"""Counts by arithmetic against built models, `transformers` on the meta device, and published counts."""

import re
import time
from dataclasses import replace

import pytest
import torch

from lib.accounting import (
    attention_parameters,
    feed_forward_parameters,
    non_embedding_parameters,
    parameter_breakdown,
)
from lib.models import PRESETS, count_parameters, preset

PUBLISHED = {
    "gpt-2": 124_439_808, "gpt-2-medium": 354_823_168, "gpt-2-large": 774_030_080, "gpt-2-xl": 1_557_611_200,
    "gpt-3-175b": 174_604_259_328, "bert-base": 109_482_240, "bert-large": 335_141_888,
    "llama-1-33b": 32_528_943_616, "t5-1.1-xl": 2_849_757_184, "t5-1.1-xxl": 11_135_332_352,
}  # fmt: skip


@pytest.mark.parametrize("name", PRESETS)
def test_the_parts_add_up_to_what_the_built_model_has(name):
    parts = parameter_breakdown(preset(name))
    assert sum(parts.values()) == count_parameters(preset(name))
    assert all(isinstance(count, int) and count > 0 for count in parts.values())


@pytest.mark.parametrize("name", ["llama-3-8b", "gpt-2", "t5-base"])
def test_biases_of_query_key_and_value_are_counted_by_themselves(name):
    for config in (replace(preset(name), qkv_bias=True), replace(preset(name), qkv_bias=False)):
        assert sum(parameter_breakdown(config).values()) == count_parameters(config)


@pytest.mark.parametrize("name, count", PUBLISHED.items())
def test_published_counts(name, count):
    assert sum(parameter_breakdown(preset(name)).values()) == count


def _theirs(name):
    """A model of `transformers` on the meta device, by a preset's own dimensions."""
    import transformers as hf

    c = preset(name)
    if name.startswith("gpt"):
        config = hf.GPT2Config(vocab_size=c.vocab_size, n_positions=c.max_positions, n_embd=c.d_model,
                               n_layer=c.num_layers, n_head=c.num_heads, n_inner=c.d_ff)  # fmt: skip
        return hf.GPT2Model(config)
    sizes = {"hidden_size": c.d_model, "num_hidden_layers": c.num_layers, "num_attention_heads": c.num_heads,
             "intermediate_size": c.d_ff, "vocab_size": c.vocab_size}  # fmt: skip
    if name.startswith("bert"):
        return hf.BertModel(hf.BertConfig(**sizes))
    if name.startswith("roberta"):
        config = hf.RobertaConfig(**sizes, max_position_embeddings=514, type_vocab_size=1)
        return hf.RobertaModel(config, add_pooling_layer=c.pooler)
    if name.startswith("llama"):
        config = hf.LlamaConfig(**sizes, num_key_value_heads=c.kv_heads, tie_word_embeddings=False)
        return hf.LlamaForCausalLM(config)
    if name.startswith("t5"):
        old = not c.gated
        config = hf.T5Config(vocab_size=c.vocab_size, d_model=c.d_model, d_kv=c.head_width, d_ff=c.d_ff,
                             num_layers=c.num_layers, num_heads=c.num_heads, tie_word_embeddings=old,
                             feed_forward_proj="relu" if old else "gated-gelu")  # fmt: skip
        return hf.T5Model(config)  # without the head, which this version of theirs ties in T5 1.1 too
    config = hf.BartConfig(vocab_size=c.vocab_size, d_model=c.d_model, encoder_layers=c.encoder_layers,
                           decoder_layers=c.num_layers, encoder_attention_heads=c.num_heads,
                           decoder_attention_heads=c.num_heads, encoder_ffn_dim=c.d_ff,
                           decoder_ffn_dim=c.d_ff)  # fmt: skip
    return hf.BartModel(config)


FAMILIES = ("gpt", "bert", "roberta", "llama", "t5", "bart")


@pytest.mark.parametrize("name", [n for n in PRESETS if n.startswith(FAMILIES) and n != "gpt-1"])
def test_as_many_as_transformers(name):
    with torch.device("meta"):
        theirs = sum(p.numel() for p in _theirs(name).parameters())
    parts = parameter_breakdown(preset(name))
    if name.startswith("t5"):
        parts.pop("output_head", None)
    assert sum(parts.values()) == theirs


def test_the_misprints_of_gpt3s_table():
    """Brown et al. 2020, table 2.1: 13B: d = 5,140 for 40 heads of 128; XL: d = 2,048 for 24 of 128."""
    thirteen, xl = preset("gpt-3-13b"), preset("gpt-3-xl")
    assert 5140 % 40, "no width of a head makes 5,140 out of 40 heads"
    printed = replace(thirteen, d_model=5140, d_ff=4 * 5140, head_dim=128)
    counts = [sum(parameter_breakdown(config).values()) for config in (thirteen, printed)]
    assert [f"{count / 1e9:.2f}B" for count in counts] == ["12.85B", "12.94B"]
    literal = replace(xl, num_heads=24, head_dim=128)  # attention 3,072 wide in a model 2,048 wide
    extra = sum(parameter_breakdown(literal).values()) - sum(parameter_breakdown(xl).values())
    assert extra == xl.num_layers * (4 * 2048 * 1024 + 3 * 1024)


def test_non_embedding_parameters_are_kaplans():
    for name in ("gpt-2", "gpt-2-xl", "gpt-3-175b"):
        config = preset(name)
        kaplan = 12 * config.num_layers * config.d_model**2
        assert non_embedding_parameters(config) == pytest.approx(kaplan, rel=2e-3)
    llama = preset("llama-3-8b")  # with an output head of its own
    assert count_parameters(llama) - non_embedding_parameters(llama) == 2 * 128_000 * 4096


def test_one_layer_of_each_kind():
    gpt2, llama = preset("gpt-2"), preset("llama-3-8b")
    assert attention_parameters(gpt2) == 4 * 768**2 + 4 * 768
    assert attention_parameters(llama) == 2 * 4096 * 4096 + 2 * 4096 * 1024
    assert feed_forward_parameters(gpt2) == 8 * 768**2 + 5 * 768
    assert feed_forward_parameters(llama) == 3 * 4096 * 14336


def test_all_presets_in_well_under_a_second():
    start = time.process_time()
    for config in PRESETS.values():
        parameter_breakdown(config)
    assert time.process_time() - start < 0.5


def test_bad_input(unchecked):
    functions = (parameter_breakdown, attention_parameters, feed_forward_parameters, non_embedding_parameters)
    for count in functions:
        with pytest.raises(TypeError, match=re.escape("config must be a TransformerConfig, got str")):
            count("gpt-2")
