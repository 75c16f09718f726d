"""Sizes that the claims take from elsewhere, against models built by `transformers` on the meta device."""

import pytest
import torch

from lib.slides import claim
from lib.slides.recomputed.counts import SPEECH
from lib.slides.recomputed.large import CHINCHILLA, MEGATRON_TURING, PALM


def built(make) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in make().parameters())


def whisper(width, layers, heads):
    from transformers import WhisperConfig, WhisperModel

    return WhisperModel(WhisperConfig(
        d_model=width, encoder_layers=layers, decoder_layers=layers, encoder_attention_heads=heads,
        decoder_attention_heads=heads, encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width))  # fmt: skip


def test_whisper_tiny_and_large_have_the_parameters_of_transformers():
    assert SPEECH["Whisper"] == (built(lambda: whisper(384, 4, 6)), built(lambda: whisper(1280, 32, 20)))


@pytest.mark.parametrize("name, family, width, layers", [
    ("wav2vec2", "Wav2Vec2", 1024, 24), ("HuBERT", "Hubert", 1280, 48),
])  # fmt: skip
def test_speech_encoders_have_the_parameters_of_transformers(name, family, width, layers):
    import transformers

    config, model = (getattr(transformers, family + kind) for kind in ("Config", "Model"))
    large = config(hidden_size=width, num_hidden_layers=layers, num_attention_heads=16,
                   intermediate_size=4 * width, feat_extract_norm="layer", conv_bias=True,
                   do_stable_layer_norm=True)  # fmt: skip
    assert SPEECH[name] == (built(lambda: model(config())), built(lambda: model(large)))


def test_palm_and_megatron_by_hand():
    width, layers = PALM.d_model, PALM.num_layers
    attention = 2 * width * 48 * 256 + 2 * width * 256  # queries and output; one head of keys, one of values
    norms = 2 * layers + 1
    by_hand = layers * (attention + 3 * width * 4 * width) + norms * width + 256_000 * width
    assert claim("A51d").recomputed == claim("N47a").recomputed == claim("T22d").recomputed == by_hand
    width, layers = MEGATRON_TURING.d_model, MEGATRON_TURING.num_layers
    by_hand = layers * (12 * width**2 + 13 * width) + 2 * width + (51_200 + 2048) * width
    assert claim("N47b").recomputed == by_hand


def test_chinchilla_by_hand_and_gopher_by_the_same_rule():
    width, layers = CHINCHILLA.d_model, CHINCHILLA.num_layers
    by_hand = layers * (13 * width**2 + 2 * width) + width + 32_000 * width  # twelve matrices, one for positions
    assert claim("T22e").recomputed == by_hand and claim("T22e").verdict == "rounded"
    gopher = layers * 13 * 16_384**2 + 32_000 * 16_384  # the same layers, twice as wide: 280B in its paper
    assert round(gopher / 1e9) == 280
    assert round(layers * 12 * width**2 / 1e9) == 64  # without that matrix it would not be 70B


def test_what_c27_and_c28_print_gives_these_exact_numbers():
    assert claim("A19a").recomputed[0] == 125_226_240 and claim("A19b").recomputed == 355_871_744
    assert claim("A19c").recomputed == (12_853_386_240, 174_604_259_328)
    assert claim("A19c").detail.startswith("13B: 12,952,938,780 with the paper's width of 5,140")
    assert claim("A20").recomputed == (8_028_164_096, 70_549_512_192, 405_845_000_192)
    assert claim("A21a").recomputed[2] == 32_528_943_616 and claim("A21c").recomputed == 68_976_648_192


def test_a_name_may_be_cut_but_a_column_of_parameters_is_judged_by_its_digits():
    assert [row.id for row in map(claim, ("A20", "A21c", "A51c", "C18b")) if row.tolerance] == ["A20"]


def test_the_tables_that_disagree_are_named_with_their_sizes():
    assert claim("X02").detail == "54B; 520B; 540B"
    assert claim("X19").detail == "7B to 65B; 7B to 70B; 7B to 405B"
    assert claim("A66").recomputed == pytest.approx((2_559_200, 54_410), rel=1e-4)
