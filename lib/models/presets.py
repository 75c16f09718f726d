"""The models that the decks name and whose dimensions are public, as configurations.

A preset is an architecture, not weights, and holds no choice of training: dropout is 0 everywhere. Build one
on the meta device to count it without memory. Variants are one `dataclasses.replace` away: BERT with the
30,000 pieces of slide W10 is `replace(preset("bert-base"), vocab_size=30_000)`.

Not here, because their makers published no dimensions: InstructGPT, ChatGPT and GPT-4 (slide C18).
"""

from dataclasses import replace

from lib import checks
from lib.models.config import TransformerConfig

# The families: what all sizes of one paper have in common.

# Devlin et al. 2019, section 3, and the released vocabulary of 30,522 pieces (slide W08; W10 says 30,000).
_BERT = TransformerConfig(
    architecture="encoder",
    vocab_size=30_522,
    d_model=768,
    num_layers=12,
    num_heads=12,
    d_ff=3072,
    max_positions=512,
    norm_position="post",
    norm_eps=1e-12,
    embedding_norm=True,
    final_norm=False,
    type_vocab_size=2,
    pooler=True,
    pad_id=0,
)

# Liu et al. 2019, appendix A: BERT's sizes with 50,265 byte-level pieces; positions count from pad_id + 1 =
# 2.
_ROBERTA = replace(_BERT, vocab_size=50_265, norm_eps=1e-5, position_offset=2, type_vocab_size=1, pad_id=1)

# Radford et al. 2018, section 4.1: 40,000 merges, which with the 478 basic and special tokens make 40,478.
_GPT1 = TransformerConfig(
    architecture="decoder",
    vocab_size=40_478,
    d_model=768,
    num_layers=12,
    num_heads=12,
    d_ff=3072,
    max_positions=512,
    norm_position="post",
    final_norm=False,
    activation="gelu_tanh",
)

# Radford et al. 2019, section 2.3 and table 2: norms before the sublayers and one at the end, 1024 tokens.
_GPT2 = replace(_GPT1, vocab_size=50_257, max_positions=1024, norm_position="pre", final_norm=True)

# Touvron et al. 2023a, section 2.2: RMSNorm, SwiGLU, rotary positions, no biases, 32,000 pieces.
_LLAMA1 = TransformerConfig(
    architecture="decoder",
    vocab_size=32_000,
    d_model=4096,
    num_layers=32,
    num_heads=32,
    d_ff=11_008,
    max_positions=2048,
    norm="rmsnorm",
    norm_eps=1e-6,
    activation="silu",
    gated=True,
    bias=False,
    position="rotary",
    tie_embeddings=False,
)

# Touvron et al. 2023b, table 1: 4096 tokens, grouped-query attention in 34B and 70B.
_LLAMA2 = replace(_LLAMA1, max_positions=4096, norm_eps=1e-5)

# Slide C28, which is table 3 of Dubey et al. 2024 and says V = 128,000. The released files have 128,256 rows,
# 256 of them for special tokens. 8192 tokens is the context before it was extended (section 3.4.2).
_LLAMA3 = replace(_LLAMA2, vocab_size=128_000, max_positions=8192, num_kv_heads=8, rope_theta=500_000.0)

# Lewis et al. 2020, section 2.1, and the released checkpoints for the vocabulary and the positions' offset.
_BART = TransformerConfig(
    architecture="encoder_decoder",
    vocab_size=50_265,
    d_model=768,
    num_layers=6,
    num_heads=12,
    d_ff=3072,
    max_positions=1024,
    norm_position="post",
    embedding_norm=True,
    final_norm=False,
    position_offset=2,
    logits_bias=True,
    pad_id=1,
)

# Raffel et al. 2020, sections 2.1 and 3.1.1: relative biases, no biases, scores not scaled, 32,000 pieces
# padded with sentinels and fill to 32,128. The final hidden vector is scaled because the output layer is the
# embedding.
_T5 = TransformerConfig(
    architecture="encoder_decoder",
    vocab_size=32_128,
    d_model=768,
    num_layers=12,
    num_heads=12,
    d_ff=3072,
    head_dim=64,
    norm="rmsnorm",
    norm_eps=1e-6,
    activation="relu",
    bias=False,
    position="relative",
    scale_attention=False,
    logit_scale=768**-0.5,
    pad_id=0,
)

# Shazeer 2020 (GLU variants), as released in 2020 as T5 1.1: GEGLU, an output layer of its own.
_T5_1_1 = replace(_T5, activation="gelu_tanh", gated=True, tie_embeddings=False, logit_scale=1.0)


def _sized(family: TransformerConfig, width: int, layers: int, heads: int, d_ff: int, **more) -> TransformerConfig:
    return replace(family, d_model=width, num_layers=layers, num_heads=heads, d_ff=d_ff, **more)


def _gpt(width: int, layers: int, heads: int, context: int = 1024) -> TransformerConfig:
    return _sized(_GPT2, width, layers, heads, 4 * width, max_positions=context)


def _t5(width: int, layers: int, heads: int, d_ff: int, head_dim: int = 64) -> TransformerConfig:
    return _sized(_T5, width, layers, heads, d_ff, head_dim=head_dim, logit_scale=width**-0.5)


PRESETS: dict[str, TransformerConfig] = {
    "bert-base": _BERT,  # Devlin et al. 2019, section 3; slide W08
    "bert-large": _sized(_BERT, 1024, 24, 16, 4096),
    "roberta-base": _ROBERTA,  # Liu et al. 2019; slides C05, T43
    "roberta-large": _sized(_ROBERTA, 1024, 24, 16, 4096),
    "distilbert": replace(_BERT, num_layers=6, type_vocab_size=0, pooler=False),  # Sanh et al. 2019; T43
    "minilm-l6": _sized(_BERT, 384, 6, 12, 1536),  # all-MiniLM-L6-v2's config.json; Wang et al. 2020
    "gpt-1": _GPT1,  # Radford et al. 2018, section 4.1; slide C18
    "gpt-2": _GPT2,  # Radford et al. 2019, table 2; slide C18 (heads: the released files)
    "gpt-2-medium": _gpt(1024, 24, 16),
    "gpt-2-large": _gpt(1280, 36, 20),
    "gpt-2-xl": _gpt(1600, 48, 25),
    # Brown et al. 2020, table 2.1; slide C27. Two of its rows contradict themselves, and no model could be
    # built from them: XL prints 24 heads of 128 for a width of 2048 (16 are), 13B a width of 5140 for 40
    # heads of 128 (5120 is). The sparse layers that alternate with dense ones hold the same parameters.
    "gpt-3-small": _gpt(768, 12, 12, 2048),
    "gpt-3-medium": _gpt(1024, 24, 16, 2048),
    "gpt-3-large": _gpt(1536, 24, 16, 2048),
    "gpt-3-xl": _gpt(2048, 24, 16, 2048),
    "gpt-3-2.7b": _gpt(2560, 32, 32, 2048),
    "gpt-3-6.7b": _gpt(4096, 32, 32, 2048),
    "gpt-3-13b": _gpt(5120, 40, 40, 2048),
    "gpt-3-175b": _gpt(12_288, 96, 96, 2048),
    "llama-1-7b": _LLAMA1,  # Touvron et al. 2023a, table 2; slide C28 (widths of F: the released files)
    "llama-1-13b": _sized(_LLAMA1, 5120, 40, 40, 13_824),
    "llama-1-33b": _sized(_LLAMA1, 6656, 60, 52, 17_920),
    "llama-1-65b": _sized(_LLAMA1, 8192, 80, 64, 22_016),
    "llama-2-7b": _LLAMA2,  # Touvron et al. 2023b, table 1; slide C28 (34B: as its Code Llama was released)
    "llama-2-13b": _sized(_LLAMA2, 5120, 40, 40, 13_824),
    "llama-2-34b": _sized(_LLAMA2, 8192, 48, 64, 22_016, num_kv_heads=8),
    "llama-2-70b": _sized(_LLAMA2, 8192, 80, 64, 28_672, num_kv_heads=8),
    "llama-3-8b": _sized(_LLAMA3, 4096, 32, 32, 14_336),  # Dubey et al. 2024, table 3; slide C28
    "llama-3-70b": _sized(_LLAMA3, 8192, 80, 64, 28_672),
    "llama-3-405b": _sized(_LLAMA3, 16_384, 126, 128, 53_248),
    "smollm2-135m": _sized(  # Ben Allal et al. 2025; the numbers are those in the packaged GGUF file
        _LLAMA2,
        576,
        30,
        9,
        1536,
        vocab_size=49_152,
        max_positions=8192,
        num_kv_heads=3,
        rope_theta=100_000.0,
        tie_embeddings=True,
    ),
    "bart-base": _BART,  # Lewis et al. 2020, section 2.1; slides C05, T43
    "bart-large": _sized(_BART, 1024, 12, 16, 4096),
    "t5-small": _t5(512, 6, 8, 2048),  # Raffel et al. 2020, section 3.7; slides C05, T43
    "t5-base": _t5(768, 12, 12, 3072),
    "t5-large": _t5(1024, 24, 16, 4096),
    "t5-3b": _t5(1024, 24, 32, 16_384, head_dim=128),
    "t5-11b": _t5(1024, 24, 128, 65_536, head_dim=128),
    "t5-1.1-small": _sized(_T5_1_1, 512, 8, 6, 1024),  # the released checkpoints of T5 1.1
    "t5-1.1-base": _sized(_T5_1_1, 768, 12, 12, 2048),
    "t5-1.1-large": _sized(_T5_1_1, 1024, 24, 16, 2816),
    "t5-1.1-xl": _sized(_T5_1_1, 2048, 24, 32, 5120),
    "t5-1.1-xxl": _sized(_T5_1_1, 4096, 24, 64, 10_240),
}
"""Name: configuration, for every model of the decks with public dimensions."""


def preset(name: str) -> TransformerConfig:
    """The configuration of a model that the decks name (slides C18, C27, C28, T43, W08).

    Raises TypeError if `name` is no string, and ValueError, with the nearest names, if it is unknown.

    >>> preset("llama-3-8b").kv_heads, preset("llama-3-8b").head_width
    (8, 128)
    """
    return PRESETS[checks.one_of("name", checks.instance("name", name, str), PRESETS)]
