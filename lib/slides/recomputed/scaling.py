"""Claims of the slides of 09_scaling_laws about data and size: training text, tokens per parameter, T5."""

import numpy as np

from lib.models import count_parameters, preset
from lib.slides.registry import Measured, recompute
from lib.slides.sizes import parse_size
from lib.slides.tables import load_table

GPT2_DOCUMENTS = 8_000_000  # slide C23

GPT3_EPOCHS = (0.44, 2.9, 1.9, 0.43, 3.4)
"""Epochs over each data set of C27 in 300B training tokens, as Brown et al. 2020 print them (table 2.2)."""

GPT3_TRAINING_TOKENS = 300 * 10**9  # Brown et al. 2020, section 2.2

WEBTEXT2_BYTES_PER_TOKEN = 96e9 / 22.9e9  # Kaplan et al. 2020, section 2.3: GPT-2's tokens

T5_SIZES = {"T5-Small": "t5-small", "T5-Base": "t5-base", "T5-Large": "t5-large", "T5-3B": "t5-3b", "T5-11B": "t5-11b"}


@recompute("A15")
def bytes_per_document() -> float:
    """Bytes of GPT-2's text per document."""
    text = load_table("gpt_models").set_index("model").training_data["GPT-2"]
    return parse_size(text) / GPT2_DOCUMENTS


@recompute("X05")
def gpt2_read_common_crawl() -> Measured:
    """Whether T43 names Common Crawl as the training text of GPT-2."""
    text = load_table("foundation_models").set_index("model").pretrain_data["GPT-2"]
    return Measured("Common Crawl" in text, f"T43: {text}")


@recompute("X06")
def gpt1_read_what_c22_says() -> Measured:
    """Whether T43 gives GPT-1 the one training text that C22 gives it, BooksCorpus."""
    text = load_table("foundation_models").set_index("model").pretrain_data["GPT-1"]
    return Measured(text == "BooksCorpus", f"T43: {text}")


@recompute("A16")
def proportions_add_up() -> int:
    """The sum of C27's proportions."""
    return int(load_table("gpt3_data").weight_pct.sum())


@recompute("A17b")
def proportions_by_the_papers_epochs() -> tuple[float, ...]:
    """Percentages of the 300B tokens, computed from the paper's epochs over each data set of C27."""
    tokens = load_table("gpt3_data").tokens_billion
    read = (1e9 * count * epochs for count, epochs in zip(tokens, GPT3_EPOCHS))
    return tuple(100 * tokens_read / GPT3_TRAINING_TOKENS for tokens_read in read)


@recompute("A18")
def bytes_per_token() -> float:
    """Bytes of text per token, if C27's tokens were 570 GB of text."""
    return _gpt3_text() / (1e9 * load_table("gpt3_data").tokens_billion.sum())


@recompute("X13")
def gigabytes_of_all_sets() -> Measured:
    """GB of C27's tokens, with WebText2's bytes per token."""
    billions = load_table("gpt3_data").tokens_billion
    words = f"at WebText2's {WEBTEXT2_BYTES_PER_TOKEN:.2f} bytes per token; 570 GB would be"
    words += f" {_gpt3_text() / WEBTEXT2_BYTES_PER_TOKEN / 1e9:.0f}B of the {billions.sum()}B tokens"
    return Measured(float(billions.sum() * WEBTEXT2_BYTES_PER_TOKEN), words)


@recompute("A23a")
def llama1_tokens_per_parameter() -> tuple[float, ...]:
    """Training tokens per parameter of the four Llama 1."""
    return _tokens_per_parameter("Llama 1")


@recompute("A23b")
def llama2_tokens_per_parameter() -> tuple[float, ...]:
    """Training tokens per parameter of the four Llama 2."""
    return _tokens_per_parameter("Llama 2")


@recompute("A23c")
def llama3_tokens_per_parameter() -> tuple[float, ...]:
    """Training tokens per parameter of the three Llama 3."""
    table = load_table("llama3_arch")
    return tuple(parse_size(tokens) / parse_size(size) for tokens, size in zip(table.tokens, table.params))


@recompute("T22b")
def trillions_of_tokens() -> Measured:
    """Whether every Llama 1 of C28 was trained on two trillion tokens or more."""
    table = load_table("llama")
    read = sorted({parse_size(text) for text in table[table.family == "Llama 1"].tokens})
    return Measured(read[0] >= 2e12, f"{' to '.join(f'{tokens / 1e12:.1f}T' for tokens in read)}")


@recompute("A26a")
def gains_of_t5() -> tuple[float, ...]:
    """Points by which T5-11B is above the previous best on GLUE, SQuAD, SuperGLUE."""
    scores = load_table("t5_nlu").set_index("model")
    return tuple(float(gain) for gain in scores.loc["T5-11B"] - scores.loc["Previous best"])


@recompute("A26b")
def larger_is_better() -> bool:
    """Whether each T5 is better than the next smaller one in all three columns of C48."""
    return all(load_table("t5_nlu").set_index("model").loc[list(T5_SIZES), column].is_monotonic_increasing
               for column in ("glue_avg", "squad_f1", "superglue_avg"))  # fmt: skip


@recompute("A26c")
def first_to_beat_the_best() -> tuple[str, ...]:
    """The smallest T5 above the previous best on GLUE, SQuAD, SuperGLUE."""
    scores = load_table("t5_nlu").set_index("model")
    ahead = scores.loc[list(T5_SIZES)] > scores.loc["Previous best"]
    return tuple(ahead[column].idxmax() for column in ahead)


@recompute("A55")
def slopes_of_t5() -> tuple[float, ...]:
    """The exponent of the size in a power law for 100 − score: GLUE, SQuAD, SuperGLUE."""
    scores = load_table("t5_nlu").set_index("model").loc[list(T5_SIZES)]
    log_sizes = np.log([count_parameters(preset(name)) for name in T5_SIZES.values()])
    return tuple(float(np.polyfit(log_sizes, np.log(100 - scores[column]), 1)[0]) for column in scores)


def _gpt3_text() -> int | float:
    return parse_size(load_table("gpt_models").set_index("model").training_data["GPT-3"])


def _tokens_per_parameter(family: str) -> tuple[float, ...]:
    table = load_table("llama")
    table = table[table.family == family]
    return tuple(parse_size(tokens) / parse_size(size) for tokens, size in zip(table.tokens, table.params))
