"""FLOPs against PyTorch's own counter, energy and adapters against the papers' figures."""

import re
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lib.accounting import (
    POUND,
    adapter_parameters,
    break_even_rank,
    co2_kg,
    energy_kwh,
    forward_flops,
    low_rank_parameters,
    palm_flops_per_token,
    parameter_breakdown,
    training_flops,
)
from lib.models import Decoder, Encoder, EncoderDecoder, TransformerConfig, preset

# "reference": the counter does not see the CPU's fused kernel
BASE = TransformerConfig(architecture="decoder", vocab_size=70, d_model=32, num_layers=2, num_heads=4,
                         d_ff=96, max_positions=64, attention="reference")  # fmt: skip
KINDS = {
    "gpt": BASE,
    "llama": replace(BASE, norm="rmsnorm", bias=False, position="rotary", gated=True, num_kv_heads=2),
    "untied, wide heads": replace(BASE, tie_embeddings=False, head_dim=16),
    "bert": replace(BASE, architecture="encoder", norm_position="post", final_norm=False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_counted_as_pytorch_counts(kind):
    config = KINDS[kind]
    model = (Decoder if config.architecture == "decoder" else Encoder)(config)
    ids = torch.zeros(3, 17, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        out = model(ids)
    forward = counter.get_total_flops()
    assert sum(forward_flops(config, 3, 17).values()) == forward
    with FlopCounterMode(display=False) as counter:
        out.sum().backward()
    assert counter.get_total_flops() == 2 * forward


TWO_SIDED = replace(BASE, architecture="encoder_decoder", num_encoder_layers=3)
SEQ2SEQ = {
    "bart": TWO_SIDED,
    "t5": replace(
        TWO_SIDED, norm="rmsnorm", bias=False, position="relative", head_dim=16, gated=True, tie_embeddings=False
    ),
    "grouped heads": replace(TWO_SIDED, num_kv_heads=2),
}


@pytest.mark.parametrize("kind", SEQ2SEQ)
@pytest.mark.parametrize("source, target", [(17, 5), (4, 11)])
def test_an_encoder_decoder_is_counted_as_pytorch_counts(kind, source, target):
    config = SEQ2SEQ[kind]
    model = EncoderDecoder(config)
    with FlopCounterMode(display=False) as counter:
        out = model(torch.zeros(3, source, dtype=torch.long), torch.zeros(3, target, dtype=torch.long))
    forward = counter.get_total_flops()
    assert sum(forward_flops(config, 3, source, target_length=target).values()) == forward
    with FlopCounterMode(display=False) as counter:
        out.sum().backward()
    assert counter.get_total_flops() == 2 * forward


def test_palms_count_is_that_of_the_layers():
    """Three forward passes; N counts the matrices that are multiplied with, and no others."""
    config = replace(BASE, bias=False, norm="rmsnorm", position="rotary")
    parts = parameter_breakdown(config)
    matrices = parts["attention"] + parts["feed_forward"] + parts["token_embedding"]  # tied: the output head
    found = palm_flops_per_token(matrices, layers=2, heads=4, head_width=8, length=17)
    assert 17 * 3 * found == 3 * sum(forward_flops(config, 3, 17).values())
    assert palm_flops_per_token(7e9, layers=1, heads=1, head_width=1, length=1) == 42 * 10**9 + 12


def test_palms_utilization():
    """Table 3 of the paper: 540.35B parameters, 238.3K tokens a second on 6,144 chips of 275 TFLOP/s."""
    flops = palm_flops_per_token(540.35e9, layers=118, heads=48, head_width=256, length=2048)
    assert 238_300 * flops / (6144 * 275e12) == pytest.approx(0.462, abs=0.0005)


def test_the_counter_misses_the_scores_of_the_fused_kernel_on_a_cpu():
    """If this fails, PyTorch has learned to count them, and the warning in `forward_flops` can go."""
    fused = replace(BASE, attention="fused")
    with FlopCounterMode(display=False) as counter:
        Decoder(fused)(torch.zeros(3, 17, dtype=torch.long))
    parts = forward_flops(fused, 3, 17)
    assert counter.get_total_flops() == sum(parts.values()) - parts["scores"] and parts["scores"] > 0


def test_six_n_d_is_what_the_layers_cost_where_the_context_is_short():
    config = preset("gpt-3-175b")
    tokens = 2048
    counted = 3 * sum(forward_flops(config, 1, tokens).values())
    rule = training_flops(sum(parameter_breakdown(config).values()), tokens)
    assert counted == pytest.approx(rule, rel=0.05)


def test_no_integer_overflows():
    assert training_flops(7_000_000_000, 10**12) == 42 * 10**21 > 2**63
    assert training_flops(7e9, 1e12) == 42 * 10**21
    assert isinstance(sum(forward_flops(preset("llama-3-405b"), 10**6, 8192).values()), int)


def test_the_papers_energy_of_bert():
    energy = energy_kwh(12_041.5, 79)
    assert energy == pytest.approx(1507, rel=0.005) and energy_kwh(1000.0, 2.0, pue=1.5) == 3.0
    assert co2_kg(energy) / POUND / 1984 == pytest.approx(0.72, abs=0.01)
    assert co2_kg(10.0, 0.5) == 5.0


GPT3 = {"num_layers": 96, "d_model": 12_288}


@pytest.mark.parametrize(
    "method, options, count",
    [
        ("lora", {"rank": 1}, 4_718_592),
        ("lora", {"rank": 8}, 37_748_736),
        ("lora", {"rank": 4}, 18_874_368),
        ("lora", {"rank": 1, "matrices": 4}, 9_437_184),
        ("prefix_embed", {}, 3_244_032),
        ("bottleneck", {"rank": 1}, 7_077_888 + 192),
        ("bottleneck", {"rank": 8}, 192 * (2 * 12_288 * 8 + 8 + 12_288)),
        ("bitfit", {}, 12_976_128),
        ("bitfit", {"vectors": 12}, 14_155_776),
        ("prefix_layer", {"tokens": 16}, 18_874_368),
    ],
)
def test_the_rows_of_w28(method, options, count):
    assert adapter_parameters(method, **GPT3, **options) == count


def test_from_the_break_even_rank_on_lora_saves_nothing():
    assert break_even_rank(12_288, 12_288) == 6144
    assert low_rank_parameters(100, 300, 75) == 100 * 300 and break_even_rank(100, 300) == 75


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: training_flops(0, 5), "parameters must be a finite number of at least 1, got 0"),
        (lambda: training_flops(5, float("inf")), "tokens must be a finite number of at least 1, got inf"),
        (lambda: forward_flops(BASE, 1, 0), "length must be at least 1"),
        (
            lambda: forward_flops(preset("bart-base"), 1, 8),
            "needs it: config is an encoder_decoder's, got target_length=None",
        ),
        (lambda: forward_flops(BASE, 1, 8, target_length=8), "target_length is for an encoder-decoder"),
        (lambda: forward_flops(preset("bart-base"), 1, 8, target_length=0), "target_length must be at least 1, got 0"),
        (lambda: palm_flops_per_token(1, layers=1, heads=0, head_width=1, length=1), "heads must be at least 1, got 0"),
        (lambda: energy_kwh(-1.0, 5.0), "power_watts must be a finite number of at least 0"),
        (lambda: energy_kwh(1.0, 5.0, pue=0.9), "pue must be a finite number of at least 1"),
        (lambda: energy_kwh(1.0, -5.0), "hours must be a finite number of at least 0"),
        (lambda: energy_kwh(1.0, 5.0, pue=float("inf")), "pue must be a finite number of at least 1"),
        (lambda: co2_kg(1.0, -1.0), "kg_per_kwh must be a finite number of at least 0"),
        (lambda: training_flops(5, 0.5), "tokens must be a finite number of at least 1, got 0.5"),
        (lambda: training_flops(float("nan"), 5), "parameters must be a finite number of at least 1, got nan"),
        (lambda: palm_flops_per_token(0, layers=1, heads=1, head_width=1, length=1), "parameters must be"),
        (lambda: forward_flops(BASE, 0, 8), "batch_size must be at least 1"),
        (lambda: break_even_rank(4, 0), "k must be at least 1"),
        (lambda: low_rank_parameters(0, 4, 1), "d must be at least 1"),
        (lambda: low_rank_parameters(4, 8, 5), "rank must lie in [1, 4], got 5"),
        (lambda: co2_kg(-1.0), "kwh must be a finite number of at least 0"),
        (lambda: adapter_parameters("lorra", **GPT3), "did you mean lora?"),
        (lambda: adapter_parameters("lora", num_layers=0, d_model=8), "num_layers must be at least 1"),
        (lambda: adapter_parameters("lora", num_layers=2, d_model=8, rank=9), "rank must lie in [1, 8], got 9"),
        (lambda: low_rank_parameters(8, 4, 5), "rank must lie in [1, 4], got 5"),
        (lambda: break_even_rank(0, 4), "d must be at least 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("name", ["layers", "heads", "head_width", "length"])
def test_every_size_of_palm_counts_and_is_at_least_one(name):
    sizes = {"layers": 2, "heads": 3, "head_width": 5, "length": 7}
    assert palm_flops_per_token(1, **sizes) == 6 + 12 * 2 * 3 * 5 * 7
    assert palm_flops_per_token(1, **sizes | {name: 11}) == 6 + 12 * 2 * 3 * 5 * 7 // sizes[name] * 11
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        palm_flops_per_token(1, **sizes | {name: 0})


@pytest.mark.parametrize("name", ["num_layers", "d_model", "rank", "matrices", "tokens", "vectors"])
@pytest.mark.parametrize("method", ["lora", "bitfit", "prefix_embed", "prefix_layer", "bottleneck"])
def test_every_size_of_an_adapter_is_at_least_one(method, name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        adapter_parameters(method, **{"num_layers": 2, "d_model": 8, name: 0})


def test_usual_adapters_and_what_has_no_rank_above_its_width():
    assert adapter_parameters("lora", **GPT3) == adapter_parameters("lora", **GPT3, rank=1, matrices=2)
    assert adapter_parameters("bottleneck", **GPT3) == adapter_parameters("bottleneck", **GPT3, rank=1)
    assert adapter_parameters("prefix_layer", num_layers=3, d_model=8) == 3 * 264 * 8
    assert adapter_parameters("prefix_layer", num_layers=3, d_model=8, tokens=5) == 3 * adapter_parameters(
        "prefix_embed", num_layers=3, d_model=8, tokens=5
    )
    assert adapter_parameters("bottleneck", num_layers=2, d_model=8, rank=9) == 2 * 2 * (2 * 9 * 8 + 9 + 8)
    assert adapter_parameters("lora", num_layers=2, d_model=8, rank=8) == 2 * 2 * 8 * 16
    assert break_even_rank(2, 6) == 1.5 and low_rank_parameters(2, 6, 2) == 16


def test_the_parts_of_a_forward_pass_by_hand():
    """Three texts of five tokens through two blocks of width 32, four heads of 8, 96 inside, 70 pieces."""
    assert forward_flops(BASE, 3, 5) == {
        "projections": 2 * 2 * 15 * 4 * 32 * 32, "scores": 2 * 2 * 15 * 2 * 5 * 32,
        "feed_forward": 2 * 2 * 15 * 2 * 32 * 96, "output_head": 2 * 15 * 32 * 70,
    }  # fmt: skip
    assert "output_head" not in forward_flops(KINDS["bert"], 3, 5)
    found = forward_flops(SEQ2SEQ["bart"], 1, 4, target_length=3)  # three blocks for the source, two for the target
    assert found["cross_attention"] == 2 * 2 * (2 * 32 * 32 * (3 + 4) + 2 * 3 * 4 * 32)
    assert found["scores"] == 2 * 2 * 32 * (3 * 4 * 4 + 2 * 3 * 3) and found["output_head"] == 2 * 3 * 32 * 70


def test_the_overhead_and_the_grid_that_are_usual():
    assert energy_kwh(1000.0, 2.0) == pytest.approx(2 * 1.58) and energy_kwh(0.0, 5.0) == energy_kwh(5.0, 0.0) == 0
    assert energy_kwh(1000.0, 2.0, pue=1.0) == 2.0
    assert co2_kg(10.0) == pytest.approx(9.54 * 0.45359237) and co2_kg(0.0) == co2_kg(5.0, 0.0) == 0
