"""Each preset holds exactly as many parameters as its paper, the slides or transformers say."""

import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch
import transformers as hf

from lib import ROOT
from lib.models import config_from_transformers, count_parameters
from lib.models.presets import PRESETS, preset

# To the last digit: what the released checkpoints hold (for GPT-3 and Llama 3, what slides C27 and C28
# imply).
COUNTS = {
    "bert-base": 109_482_240,
    "bert-large": 335_141_888,
    "roberta-base": 124_645_632,
    "roberta-large": 355_359_744,
    "distilbert": 66_362_880,
    "minilm-l6": 22_713_216,
    "gpt-1": 116_534_784,
    "gpt-2": 124_439_808,
    "gpt-2-medium": 354_823_168,
    "gpt-2-large": 774_030_080,
    "gpt-2-xl": 1_557_611_200,
    "gpt-3-small": 125_226_240,
    "gpt-3-medium": 355_871_744,
    "gpt-3-large": 760_300_032,
    "gpt-3-xl": 1_315_723_264,
    "gpt-3-2.7b": 2_651_553_280,
    "gpt-3-6.7b": 6_658_404_352,
    "gpt-3-13b": 12_853_386_240,
    "gpt-3-175b": 174_604_259_328,
    "llama-1-7b": 6_738_415_616,
    "llama-1-13b": 13_015_864_320,
    "llama-1-33b": 32_528_943_616,
    "llama-1-65b": 65_285_660_672,
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-34b": 33_743_970_304,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_028_164_096,
    "llama-3-70b": 70_549_512_192,
    "llama-3-405b": 405_845_000_192,
    "smollm2-135m": 134_515_008,
    "bart-base": 139_420_416,
    "bart-large": 406_291_456,
    "t5-small": 60_506_624,
    "t5-base": 222_903_552,
    "t5-large": 737_668_096,
    "t5-3b": 2_851_598_336,
    "t5-11b": 11_307_321_344,
    "t5-1.1-small": 76_961_152,
    "t5-1.1-base": 247_577_856,
    "t5-1.1-large": 783_150_080,
    "t5-1.1-xl": 2_849_757_184,
    "t5-1.1-xxl": 11_135_332_352,
}

# What slides C18, C27, C28, T43 and W08 print for them, in units of 1e9.
PRINTED = {
    "bert-base": 0.110,
    "gpt-1": 0.117,
    "gpt-2-xl": 1.5,
    "distilbert": 0.066,
    "roberta-large": 0.355,
    "gpt-3-small": 0.125,
    "gpt-3-medium": 0.350,
    "gpt-3-large": 0.760,
    "gpt-3-xl": 1.3,
    "gpt-3-2.7b": 2.7,
    "gpt-3-6.7b": 6.7,
    "gpt-3-13b": 13,
    "gpt-3-175b": 175,
    "llama-1-7b": 7,
    "llama-1-13b": 13,
    "llama-1-33b": 33,
    "llama-1-65b": 65,
    "llama-2-7b": 7,
    "llama-2-13b": 13,
    "llama-2-34b": 34,
    "llama-2-70b": 70,
    "llama-3-8b": 8,
    "llama-3-70b": 70,
    "llama-3-405b": 405,
    "t5-11b": 11,
    "bart-large": 0.400,
}


def _llama(layers: int, width: int, heads: int, kv_heads: int, d_ff: int, vocabulary: int = 32_000, **more):
    return hf.LlamaForCausalLM, hf.LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        intermediate_size=d_ff,
        tie_word_embeddings=False,
        **more,
    )


def _gpt2(layers: int, width: int, heads: int, context: int = 1024):
    return hf.GPT2LMHeadModel, hf.GPT2Config(n_layer=layers, n_embd=width, n_head=heads, n_positions=context)


def _t5(layers: int, width: int, heads: int, d_ff: int, d_kv: int):
    return hf.T5ForConditionalGeneration, hf.T5Config(
        vocab_size=32_128, d_model=width, num_layers=layers, num_heads=heads, d_ff=d_ff, d_kv=d_kv
    )


def _theirs() -> dict:
    """The same models, written down once more from the papers for transformers."""
    large = dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
    return {
        "bert-base": (hf.BertModel, hf.BertConfig()),
        "bert-large": (hf.BertModel, hf.BertConfig(**large)),
        "roberta-base": (
            hf.RobertaModel,
            hf.RobertaConfig(vocab_size=50_265, max_position_embeddings=514, type_vocab_size=1),
        ),
        "distilbert": (hf.DistilBertModel, hf.DistilBertConfig()),
        "gpt-1": (hf.OpenAIGPTLMHeadModel, hf.OpenAIGPTConfig()),
        "gpt-2": _gpt2(12, 768, 12),
        "gpt-2-xl": _gpt2(48, 1600, 25),
        "gpt-3-175b": _gpt2(96, 12_288, 96, 2048),
        "llama-1-33b": _llama(60, 6656, 52, 52, 17_920),
        "llama-2-70b": _llama(80, 8192, 64, 8, 28_672),
        "llama-3-405b": _llama(126, 16_384, 128, 8, 53_248, 128_000),
        "bart-base": (
            hf.BartForConditionalGeneration,
            hf.BartConfig(
                vocab_size=50_265,
                d_model=768,
                encoder_layers=6,
                decoder_layers=6,
                encoder_attention_heads=12,
                decoder_attention_heads=12,
                encoder_ffn_dim=3072,
                decoder_ffn_dim=3072,
            ),
        ),
        "bart-large": (hf.BartForConditionalGeneration, hf.BartConfig(vocab_size=50_265)),
        "t5-base": _t5(12, 768, 12, 3072, 64),
        "t5-11b": _t5(24, 1024, 128, 65_536, 128),
    }


def test_every_preset_has_the_known_count():
    assert {name: count_parameters(config) for name, config in PRESETS.items()} == COUNTS


@pytest.mark.parametrize(
    "name",
    [
        "bert-base",
        "bert-large",
        "roberta-base",
        "distilbert",
        "gpt-1",
        "gpt-2",
        "gpt-2-xl",
        "gpt-3-175b",
        "llama-1-33b",
        "llama-2-70b",
        "llama-3-405b",
        "bart-base",
        "bart-large",
        "t5-base",
        "t5-11b",
    ],
)
def test_transformers_counts_the_same(name):
    model_class, config = _theirs()[name]
    with torch.device("meta"):
        assert model_class(config).num_parameters() == COUNTS[name]


LLAMA_3 = dict(
    max_position_embeddings=8192, rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 500_000.0}
)


@pytest.mark.parametrize(
    "name, config",
    [
        ("bert-base", hf.BertConfig()),
        (
            "roberta-base",
            hf.RobertaConfig(vocab_size=50_265, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5),
        ),
        ("gpt-2", hf.GPT2Config()),
        ("llama-1-7b", _llama(32, 4096, 32, 32, 11_008, max_position_embeddings=2048)[1]),
        ("llama-2-7b", _llama(32, 4096, 32, 32, 11_008, max_position_embeddings=4096, rms_norm_eps=1e-5)[1]),
        ("llama-3-8b", _llama(32, 4096, 32, 8, 14_336, 128_000, **LLAMA_3)[1]),
        ("bart-large", hf.BartConfig(vocab_size=50_265)),
        ("t5-small", hf.T5Config()),
        (
            "t5-1.1-base",
            hf.T5Config(
                d_model=768,
                d_ff=2048,
                num_layers=12,
                num_heads=12,
                tie_word_embeddings=False,
                feed_forward_proj="gated-gelu",
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_count_shows_agrees_with_transformers(name, config):
    """Epsilons, activations, rotary bases, scales: every field that is not a choice of training."""
    theirs, ours = asdict(config_from_transformers(config)), asdict(preset(name))
    for fields in (theirs, ours):
        fields["num_encoder_layers"] = fields["num_encoder_layers"] or fields["num_layers"]
        fields["num_kv_heads"] = fields["num_kv_heads"] or fields["num_heads"]
        fields["head_dim"] = fields["head_dim"] or fields["d_model"] // fields["num_heads"]
        for choice in ("dropout", "init_std", "pad_id"):
            del fields[choice]
    if ours["position"] == "relative":
        del theirs["max_positions"], ours["max_positions"]
    assert ours == theirs


def test_printed_sizes_are_off_by_less_than_six_per_cent():
    deviations = {name: COUNTS[name] / (billions * 1e9) - 1 for name, billions in PRINTED.items()}
    assert all(abs(deviation) < 0.06 for deviation in deviations.values()), deviations


def test_variants_that_the_decks_name():
    assert count_parameters(replace(preset("bert-base"), vocab_size=30_000)) == 109_081_344
    assert count_parameters(replace(preset("bert-large"), vocab_size=30_000)) == 334_607_360
    released = {"llama-3-8b": 8_030_261_248, "llama-3-70b": 70_553_706_496}
    for name, count in released.items():
        assert count_parameters(replace(preset(name), vocab_size=128_256)) == count


def test_all_llama_3_have_heads_of_128_and_eight_key_heads():
    for size, group in (("8b", 4), ("70b", 8), ("405b", 16)):
        config = preset(f"llama-3-{size}")
        assert (config.head_width, config.kv_heads, config.num_heads // config.kv_heads) == (128, 8, group)


def test_gpt_3_rows_whose_misprints_no_model_could_have():
    assert 5140 % 40 and preset("gpt-3-13b").head_width == 128
    assert 24 * 128 != 2048 == 16 * preset("gpt-3-xl").head_width


def test_bad_input(unchecked):
    with pytest.raises(ValueError, match="did you mean bert-base"):
        preset("bert_bse")
    with pytest.raises(ValueError, match="llama-3-8b"):
        preset("Llama 3 8B")
    with pytest.raises(ValueError, match="known are bert-base"):
        preset("zzz")
    with pytest.raises(TypeError, match="name must be a str"):
        preset(3)


def test_counting_loads_no_compiler():
    """PyTorch would import one, at a second's cost, to draw numbers on the meta device."""
    script = (
        "import sys; from lib.models import *; count_parameters(preset('t5-small')); "
        "count_parameters(preset('bert-base')); print('torch._dynamo' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "False"
