"""Claims of the slides of 00_start_here: sizes of models, eras, families, the course's own arithmetic."""

from dataclasses import replace

import torch

from lib.models import PRESETS, Decoder, MaskedLM, TransformerConfig, count_parameters, preset
from lib.slides.claimed import claims
from lib.slides.eras import classify_era, era_ranges
from lib.slides.registry import Measured, recompute
from lib.slides.sizes import SizeRange, parse_range, parse_size
from lib.slides.tables import example, load_table

FAMILIES = {
    "Encoder-Only": ("BERT", "RoBERTa"),
    "Decoder-Only": ("GPT-1", "GPT-2", "GPT-3", "InstructGPT"),
    "Encoder-Decoder": ("BART", "T5"),
}
"""Slide C05, restricted to the models that slide T43 has too."""

SHOWN_IN_ERA = {"Transfer DL": ("BERT", "T5"), "LLMs": ("GPT-2", "GPT-3", "GPT-4")}
"""Models that deck N shows between the table of one era and the next (slides N28-N31, N35-N47)."""


@recompute("A48")
def grading() -> tuple[int, int]:
    """Two assignments of 25 % and a project of 50 %; the project's presentation and report."""
    return 2 * 25 + 50, 20 + 30


@recompute("A04")
def bert_base() -> Measured:
    """Encoder and pooler, with the published vocabulary."""
    return _bert("bert-base")


@recompute("A05a")
def bert_large() -> Measured:
    """The 340M of slide W08."""
    return _bert("bert-large")


@recompute("A05b")
def bert_large_as_330m() -> Measured:
    """The 330M of slide W03; BERT-large is the nearest BERT."""
    return _bert("bert-large")


@recompute("C18a")
def gpt1() -> int:
    """GPT-1 from its layers."""
    return count_parameters(preset("gpt-1"))


@recompute("C18b")
def gpt2_xl() -> int:
    """GPT-2, the largest of four, from its layers."""
    return count_parameters(preset("gpt-2-xl"))


@recompute("C18c")
def gpt3() -> int:
    """GPT-3 from its layers."""
    return count_parameters(preset("gpt-3-175b"))


@recompute("C18d")
def chatgpt_can_be_counted() -> Measured:
    """Whether ChatGPT is among the models whose layers are published: those of T43 and our presets."""
    known = [*load_table("foundation_models").model, *PRESETS]
    data = load_table("gpt_models").set_index("model").training_data["ChatGPT (GPT-3.5-turbo)"]
    words = f"no layers to count among {len(set(known))} models; its training data, by C18: {data}"
    return Measured(any("chatgpt" in name.lower() for name in known), words)


@recompute("A13")
def growth() -> tuple[float, ...]:
    """How many times larger each numbered GPT is than the previous one, by slide C18's sizes."""
    sizes = _gpt_sizes()
    steps = (("GPT-1", "GPT-2"), ("GPT-2", "GPT-3"), ("GPT-3", "GPT-4"))
    return tuple(sizes[after] / sizes[before] for before, after in steps)


@recompute("A14")
def bytes_per_parameter() -> tuple[float, ...]:
    """Bytes of training text per parameter, by slide C18."""
    table = load_table("gpt_models")[:3]
    return tuple(parse_size(text) / parse_size(size) for text, size in zip(table.training_data, table.params))


@recompute("C05a")
def families() -> bool:
    """Whether C05 puts the models where T43 does, and where our own presets do."""
    arch = load_table("foundation_models").set_index("model").arch
    presets = {"encoder": "bert-base", "decoder": "gpt-2", "encoder_decoder": "bart-base"}
    return all(arch[model] == family for family, models in FAMILIES.items() for model in models) and all(
        preset(name).architecture == architecture for architecture, name in presets.items()
    )


@recompute("C50a")
def kinds_of_transformer() -> int:
    """How many architectures T43 lists, without "Close-Sourced"."""
    return len(set(load_table("foundation_models").arch) - {"Close-Sourced"})


@recompute("A52a")
def eras_hold_their_examples() -> Measured:
    """Whether the models that deck N shows in an era have a size in its range."""
    sizes = {"GPT-4": (_gpt_sizes()["GPT-4"],)}
    table = load_table("foundation_models").set_index("model").params
    for models in SHOWN_IN_ERA.values():
        sizes |= {name: _ends(parse_range(table[name])) for name in models if name not in sizes}
    astray = [
        f"{name} ({_short(size)}) is in {classify_era(size) or 'no era'}"
        for era, models in SHOWN_IN_ERA.items() for name in models for size in sizes[name]
        if classify_era(size) != era
    ]  # fmt: skip
    return Measured(not astray, "; ".join(astray))


@recompute("A52b")
def eras_leave_no_gap() -> Measured:
    """Whether each era's range of sizes begins where the previous one ends."""
    ranges = list(era_ranges().values())
    gaps = [(a.high, b.low) for a, b in zip(ranges, ranges[1:]) if b.low > a.high]
    inside = [
        row.name
        for row in load_table("gpt3_sizes").itertuples()
        if any(low < parse_size(row.params) < high for low, high in gaps)
    ]
    words = ", ".join(f"{_short(low)} to {_short(high)}" for low, high in gaps)
    return Measured(not gaps, f"between two eras: {words}; there lie {', '.join(inside)}")


@recompute("X01")
def one_size_of_bert() -> Measured:
    """Whether W03, W08 and T43 give one size for the largest BERT."""
    table = load_table("foundation_models").set_index("model").params
    sizes = {claims()["A05b"].value, claims()["A05a"].value, parse_range(table["BERT"]).high}
    return Measured(len(sizes) == 1, " and ".join(_short(size) for size in sorted(sizes)))


@recompute("X04")
def one_guess_of_gpt4() -> Measured:
    """Whether C18's guess for GPT-4 lies in N46's range for LLMs and in N47's guess."""
    guess, llms, other_guess = _gpt_sizes()["GPT-4"], era_ranges()["LLMs"], parse_range("1-100 Tril ?")
    inside = {"N46's range": guess in llms, "N47's guess": guess in other_guess}
    words = (f"{'in' if is_in else 'out of'} {name}" for name, is_in in inside.items())
    return Measured(all(inside.values()), f"16*110B = {_short(guess)}: {', '.join(words)}")


@recompute("X09")
def bart_is_large() -> Measured:
    """Whether BART, which W03 lists as a large language model, is one by N46's range of sizes."""
    sizes = (count_parameters(preset("bart-base")), count_parameters(preset("bart-large")))
    eras = [classify_era(size) for size in sizes]
    words = ", ".join(f"{_short(size)} is {era}" for size, era in zip(sizes, eras))
    return Measured(set(eras) == {"LLMs"}, words)


@recompute("X10")
def a_prompt_trains() -> Measured:
    """Whether any parameter changes while a model reads a few-shot prompt."""
    config = TransformerConfig(
        architecture="decoder", vocab_size=256, d_model=16, num_layers=2, num_heads=2, d_ff=32, max_positions=512
    )
    model = Decoder(config, generator=torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    shots = example("E6a")
    prompt = "\n".join(f"{text} // {label or ''}" for text, label in zip(shots["texts"], shots["labels"]))
    model(torch.tensor([list(prompt.encode())]))
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    return Measured(bool(changed), f"{len(changed)} of {len(before)} parameter tensors changed")


def _bert(name: str) -> Measured:
    """The count; the detail gives it with the heads, and with another vocabulary size."""
    config = preset(name)
    count = count_parameters(config)
    rounded_vocabulary = count_parameters(replace(config, vocab_size=30_000))
    with torch.device("meta"):
        model = MaskedLM(config, head="bert")
        head = count_parameters(model) - count_parameters(model.encoder)
    next_sentence = 2 * config.d_model + 2
    words = f"{count + head + next_sentence:,} with MLM and NSP heads"
    return Measured(count, f"{words}; {rounded_vocabulary:,} with W10's V = 30,000")


def _gpt_sizes() -> dict[str, int]:
    table = load_table("gpt_models")
    return dict(zip(table.model, table.params.map(parse_size)))


def _short(size: int | float) -> str:
    unit, letter = next((unit, letter) for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M")) if size >= unit)
    return f"{size / unit:.4g}{letter}"


def _ends(sizes: SizeRange) -> tuple[int | float, ...]:
    return (sizes.low, sizes.high) if sizes.low < sizes.high else (sizes.low,)
