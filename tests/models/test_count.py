"""Parameter counts, held against the published ones and against torch's own sum."""

import pytest
import torch

from lib.models import Decoder, Encoder, EncoderDecoder, TransformerConfig, count_parameters
from tests.models import small

BERT = dict(
    architecture="encoder",
    vocab_size=30_522,
    max_positions=512,
    type_vocab_size=2,
    pooler=True,
    embedding_norm=True,
    final_norm=False,
    norm_position="post",
)
LLAMA3 = dict(
    architecture="decoder",
    vocab_size=128_000,
    norm="rmsnorm",
    bias=False,
    gated=True,
    activation="silu",
    position="rotary",
    tie_embeddings=False,
    num_kv_heads=8,
)
GPT2 = dict(architecture="decoder", vocab_size=50_257, max_positions=1024)


@pytest.mark.parametrize(
    "fields, width, layers, heads, inner, expected",
    [
        (BERT, 768, 12, 12, 3072, 109_482_240),
        (BERT, 1024, 24, 16, 4096, 335_141_888),
        (GPT2, 768, 12, 12, 3072, 124_439_808),
        (LLAMA3, 4096, 32, 32, 14_336, 8_028_164_096),
        (LLAMA3, 8192, 80, 64, 28_672, 70_549_512_192),
        (LLAMA3, 16_384, 126, 128, 53_248, 405_845_000_192),
    ],
    ids=["bert-base", "bert-large", "gpt2", "llama3-8b", "llama3-70b", "llama3-405b"],
)
def test_published_counts(fields, width, layers, heads, inner, expected):
    config = TransformerConfig(d_model=width, num_layers=layers, num_heads=heads, d_ff=inner, **fields)
    assert count_parameters(config) == expected


def test_a_model_and_its_configuration_agree():
    cases = (
        (Encoder, small.encoder(pooler=True)),
        (Decoder, small.llama()),
        (Decoder, small.decoder()),
        (Decoder, small.llama(qkv_bias=True)),
        (EncoderDecoder, small.seq2seq()),
        (EncoderDecoder, small.seq2seq(logits_bias=True)),
    )
    for cls, config in cases:
        assert count_parameters(cls(config)) == count_parameters(config) > 0


def test_a_tied_matrix_counts_once():
    tied, untied = (count_parameters(small.decoder(tie_embeddings=tie)) for tie in (True, False))
    assert untied - tied == small.VOCABULARY * 16


def test_any_module_can_be_counted():
    layer = torch.nn.Linear(3, 4)
    assert count_parameters(torch.nn.Sequential(layer, layer)) == 16


def test_other_things_cannot(unchecked):
    with pytest.raises(TypeError, match="model must be an nn.Module or a TransformerConfig, got str"):
        count_parameters("bert-base")
