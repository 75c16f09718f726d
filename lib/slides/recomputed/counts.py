"""Claims of the slides of 09_scaling_laws about sizes: GPT-3 and Llama, table T43.

One rule for all of them: a size in a column of parameters is checked to the digits that it prints, like any
other figure. A size that is only part of a model's name ("Llama 3 70B") may be off by one unit of its last
digit, since names are truncated as often as rounded.
"""

import math
from dataclasses import replace
from functools import cache

import torch

from lib.kernels import rotary_angles
from lib.models import PRESETS, count_parameters, preset
from lib.slides.claimed import claims
from lib.slides.registry import Measured, recompute
from lib.slides.sizes import SizeRange, parse_range, parse_size
from lib.slides.tables import load_table

SPEECH = {
    "wav2vec2": (94_371_712, 315_438_720),  # base and large of Baevski et al. 2020
    "HuBERT": (94_371_712, 962_497_408),  # base and x-large of Hsu et al. 2021
    "Whisper": (37_760_640, 1_543_304_960),  # tiny and large of Radford et al. 2022
}
"""Parameters of the smallest and the largest of each, without heads; a test counts them with `transformers`."""

LLAMA3 = ("llama-3-8b", "llama-3-70b", "llama-3-405b")


@recompute("A19a")
def gpt3_rows_that_round() -> tuple[int, ...]:
    """GPT-3 Small, Large, XL, 2.7B and 6.7B from their layers."""
    return _counts("gpt-3-small", "gpt-3-large", "gpt-3-xl", "gpt-3-2.7b", "gpt-3-6.7b")


@recompute("A19b")
def gpt3_medium() -> int:
    """GPT-3 Medium from its layers."""
    return _count("gpt-3-medium")


@recompute("A19c")
def gpt3_rows_with_a_digit_too_many() -> Measured:
    """GPT-3 13B and 175B from their layers, with widths that are multiples of their head width."""
    width = int(load_table("gpt3_sizes").set_index("name").d_model_ext["GPT-3 13B"])
    as_printed = count_parameters(replace(preset("gpt-3-13b"), d_model=width, d_ff=4 * width, num_heads=20))
    words = f"13B: {as_printed:,} with the paper's width of {width:,}, which is not 40 heads of 128"
    return Measured(_counts("gpt-3-13b", "gpt-3-175b"), words)


@recompute("A20")
def llama3_by_its_names() -> tuple[int, ...]:
    """Llama 3 from the layers that C28 prints."""
    return _counts(*LLAMA3)


@recompute("A21a")
def llama1() -> tuple[int, ...]:
    """Llama 1 from its layers."""
    return _counts("llama-1-7b", "llama-1-13b", "llama-1-33b", "llama-1-65b")


@recompute("A21b")
def llama2() -> tuple[int, ...]:
    """Llama 2 from its layers, without the largest."""
    return _counts("llama-2-7b", "llama-2-13b", "llama-2-34b")


@recompute("A21c")
def llama2_70b() -> int:
    """The largest Llama 2 from its layers."""
    return _count("llama-2-70b")


@recompute("A22a")
def head_width_and_groups() -> tuple[int, ...]:
    """Width of a head of the three Llama 3, then how many query heads share a key and value head."""
    table = load_table("llama3_arch")
    widths, groups = table.model_dim // table.attention_heads, table.attention_heads // table.kv_heads
    return (*map(int, widths), *map(int, groups))


@recompute("A22c")
def feed_forward_ratio() -> tuple[float, ...]:
    """Feed-forward width over model width of the three Llama 3."""
    table = load_table("llama3_arch")
    return tuple(float(ratio) for ratio in table.ffn_dim / table.model_dim)


@recompute("C28a")
def context_lengths() -> tuple[int, int]:
    """The context lengths, in tokens, of Llama 1 and Llama 2."""
    return preset("llama-1-7b").max_positions, preset("llama-2-7b").max_positions


@recompute("C28b")
def grouped_queries() -> bool:
    """Whether C28's column GQA marks the models whose query heads share key and value heads."""
    table = load_table("llama")
    names = (f"{row.family}-{row.params}".lower().replace(" ", "-") for row in table.itertuples())
    return [PRESETS[name].kv_heads < PRESETS[name].num_heads for name in names] == table.gqa.tolist()


@recompute("A65")
def learning_rate_exponents() -> tuple[float, ...]:
    """The power of the size that Llama 3's peak learning rate follows: 8B to 405B, and 8B to 70B."""
    rates, sizes = load_table("llama3_arch").peak_lr, _llama3_sizes()
    return tuple(math.log(rates[i] / rates[0]) / math.log(sizes[i] / sizes[0]) for i in (2, 1))


@recompute("A66")
def longest_wavelengths() -> tuple[float, ...]:
    """Wavelength in tokens of the slowest rotation in a head of width 128, for C28's base and for 10^4."""
    bases = (float(load_table("llama3_arch").rope_theta[0]), 10_000.0)
    angles = [rotary_angles(torch.arange(2), 128, theta=base) for base in bases]
    return tuple(2 * math.pi / float(sine[1, -1].double().asin()) for _, sine in angles)


@recompute("C36a")
def all_llamas() -> tuple[int, int]:
    """The smallest and the largest Llama of C28."""
    sizes = [parse_size(size) for name in ("llama", "llama3_arch") for size in load_table(name).params]
    return min(sizes), max(sizes)


@recompute("T22a")
def first_llamas() -> tuple[int, int]:
    """The smallest and the largest Llama 1 of C28."""
    sizes = [parse_size(size) for size in _llama("Llama 1").params]
    return min(sizes), max(sizes)


@recompute("X19")
def one_range_of_llamas() -> Measured:
    """Whether T22, T43 and C36 give LLaMA one range of sizes."""
    table = load_table("foundation_models").set_index("model").params
    ends = {claims()["T22a"].value, claims()["C36a"].value, _ends(table["LLaMA"])}
    words = (f"{low / 1e9:g}B to {high / 1e9:g}B" for low, high in sorted(ends))
    return Measured(len(ends) == 1, "; ".join(words))


@recompute("A35a")
def from_bert_to_gpt3() -> tuple[bool, int, int]:
    """Whether the largest BERT has less than 1B parameters; the largest T5; GPT-3."""
    return (_count("bert-large") < 10**9, *_counts("t5-11b", "gpt-3-175b"))


@recompute("A35b")
def growth_on_slide_t15() -> tuple[float, float]:
    """How many times larger T5-11B is than W08's BERT-large, and GPT-3 than T5-11B, by the slides' sizes."""
    bert, (_, t5, gpt3) = claims()["A05a"].value, claims()["A35a"].value
    return t5 / bert, gpt3 / t5


@recompute("A63")
def sizes_of_emergence() -> tuple[int | float, ...]:
    """GPT-1, 2 and 3 by C18."""
    return tuple(parse_size(size) for size in load_table("gpt_models").params[:3])


@recompute("A51a")
def encoders_of_t43() -> tuple[int, ...]:
    """DistilBERT; RoBERTa, base and large; Sentence-BERT, which is a BERT-base."""
    return _counts("distilbert", "roberta-base", "roberta-large", "bert-base")


@recompute("A51b")
def bart() -> tuple[int, ...]:
    """BART, base and large."""
    return _counts("bart-base", "bart-large")


@recompute("A51c")
def t5() -> tuple[int, ...]:
    """The smallest and the largest T5."""
    return _counts("t5-small", "t5-11b")


@recompute("A51e")
def wav2vec2() -> tuple[int, ...]:
    """The smallest and the largest wav2vec 2.0."""
    return SPEECH["wav2vec2"]


@recompute("A51f")
def hubert() -> tuple[int, ...]:
    """The smallest and the largest HuBERT."""
    return SPEECH["HuBERT"]


@recompute("A51g")
def whisper() -> tuple[int, ...]:
    """The smallest and the largest Whisper."""
    return SPEECH["Whisper"]


@recompute("A51h")
def llama_of_t43() -> tuple[int, ...]:
    """The smallest and the largest Llama 1, the LLaMA whose year and data T43 gives."""
    return _counts("llama-1-7b", "llama-1-65b")


@cache
def _count(name: str) -> int:
    return count_parameters(preset(name))


def _counts(*names: str) -> tuple[int, ...]:
    return tuple(map(_count, names))


def _llama(family: str):
    table = load_table("llama")
    return table[table.family == family]


def _llama3_sizes() -> list[int]:
    return [parse_size(size) for size in load_table("llama3_arch").params]


def _ends(text: str) -> tuple[int | float, int | float]:
    sizes: SizeRange = parse_range(text)
    return sizes.low, sizes.high
