"""The fourteen tables of the decks: their slides, columns and units.

The kinds of column: `text`; `size`, a number as printed ("117M"; see `parse_size`); `whole`; `number`;
`month` (YYYY-MM); `flag` (yes/no).
"""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("text", "size", "whole", "number", "month", "flag")


@dataclass(frozen=True)
class Column:
    """One column: its name in the file, how to read it, what it means and in which unit."""

    name: str
    kind: str
    meaning: str
    optional: bool = False  # True where the slide itself leaves cells empty

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")


@dataclass(frozen=True)
class Table:
    """One table of the decks and the slides that print it."""

    slides: tuple[str, ...]
    title: str
    columns: tuple[Column, ...]


def _numbers(meanings: dict[str, str], *, optional: bool = False) -> tuple[Column, ...]:
    return tuple(Column(name, "number", meaning, optional) for name, meaning in meanings.items())


def _text(name: str, meaning: str, *, optional: bool = False) -> Column:
    return Column(name, "text", meaning, optional)


_ROUGE = {
    f"{data}_{metric}": f"ROUGE-{metric[1].upper()} on {title}, %"
    for data, title in (("cnndm", "CNN/DailyMail"), ("xsum", "XSum"))
    for metric in ("r1", "r2", "rl")
}

TABLES: dict[str, Table] = {
    "masking_rate": Table(
        ("C07",),
        "What the masking rate does to a BERT-large",
        (
            _text("init", "pre-trained, or random weights"),
            Column("rate", "number", "share of tokens masked", optional=True),
            _text("masked_example", "as printed; [] is one mask, or several that merged", optional=True),
            *_numbers({"ppl": "validation perplexity"}, optional=True),
            *_numbers({"mnli": "accuracy, %", "qnli": "accuracy, %", "squad_f1": "F1, %"}),
            *_numbers(
                {
                    "d_mnli": "printed after ±, in points, with the sign of the change from the 15 % row",
                    "d_qnli": "the same",
                    "d_squad": "the same",
                },
                optional=True,
            ),
        ),
    ),
    "gpt_models": Table(
        ("C18",),
        "OpenAI GPT models",
        (
            _text("model", "name"),
            Column("date", "month", "release"),
            Column("params", "size", "parameters"),
            _text("training_data", "size of the text, as printed"),
        ),
    ),
    "gpt3_data": Table(
        ("C27",),
        "GPT-3's training mixture",
        (
            _text("dataset", "name"),
            Column("tokens_billion", "whole", "10^9 tokens"),
            Column("weight_pct", "whole", "share of the training mixture, %"),
        ),
    ),
    "gpt3_sizes": Table(
        ("C27",),
        "The eight GPT-3 models",
        (
            _text("name", "name"),
            Column("params", "size", "parameters"),
            Column("layers_ext", "whole", "layers; from the paper, not on the slide"),
            Column("d_model_ext", "whole", "model width; from the paper, not on the slide"),
        ),
    ),
    "llama": Table(
        ("C28",),
        "Llama 1 and 2",
        (
            _text("family", "name"),
            Column("date", "month", "release"),
            Column("params", "size", "parameters"),
            Column("context", "size", "tokens"),
            Column("gqa", "flag", "grouped-query attention"),
            Column("tokens", "size", "training tokens"),
            Column("peak_lr", "number", "peak learning rate"),
            _text("data", "training data, as printed"),
        ),
    ),
    "llama3_arch": Table(
        ("C28",),
        "Llama 3: the architecture",
        (
            Column("params", "size", "parameters"),
            Column("date", "month", "release"),
            Column("tokens", "size", "training tokens"),
            *(
                Column(name, "whole", meaning)
                for name, meaning in (
                    ("layers", "layers"),
                    ("model_dim", "D"),
                    ("ffn_dim", "F"),
                    ("attention_heads", "H"),
                    ("kv_heads", "G"),
                )
            ),
            Column("peak_lr", "number", "peak learning rate"),
            _text("activation", "feed-forward activation"),
            Column("vocabulary", "whole", "V, tokens"),
            Column("rope_theta", "whole", "base of the rotary positions"),
        ),
    ),
    "bart_rouge": Table(
        ("C45",),
        "Summarization: ROUGE",
        (
            _text("model", "name"),
            *_numbers({k: v for k, v in _ROUGE.items() if k.startswith("cnndm")}),
            *_numbers({k: v for k, v in _ROUGE.items() if k.startswith("xsum")}, optional=True),
        ),
    ),
    "t5_nlu": Table(
        ("C48",),
        "T5 on language understanding",
        (
            _text("model", "name"),
            *_numbers(
                {"glue_avg": "GLUE average, %", "squad_f1": "SQuAD F1, %", "superglue_avg": "SuperGLUE average, %"}
            ),
        ),
    ),
    "t5_generation": Table(
        ("C49",),
        "T5 on translation and summarization",
        (
            _text("model", "name"),
            *_numbers(
                {
                    "bleu_ende": "BLEU, WMT English-German",
                    "bleu_enfr": "BLEU, WMT English-French",
                    "bleu_enro": "BLEU, WMT English-Romanian",
                    "cnndm_rouge1": "ROUGE-1 on CNN/DailyMail, %",
                }
            ),
        ),
    ),
    "foundation_models": Table(
        ("T43",),
        "Language foundation models and their test sets",
        (
            Column("year", "whole", "year of release"),
            _text("model", "name"),
            _text("arch", "architecture"),
            _text("tasks", "tasks it is for", optional=True),
            Column("params", "size", "parameters, one size or a range", optional=True),
            _text("pretraining", "method", optional=True),
            _text("pretrain_data", "pre-training text", optional=True),
            _text("test_data", "test sets", optional=True),
        ),
    ),
    "memory": Table(
        ("T45", "T46"),
        "Memory of large models",
        (
            _text("slide", "slide that prints the row"),
            _text("model", "name"),
            *_numbers({"params_b": "10^9 parameters", "inference_gb": "GB (10^9 bytes)", "finetune_gb": "GB"}),
        ),
    ),
    "glue": Table(
        ("N30", "C15"),
        "GLUE test results; the row train_size: numbers of training examples",
        (
            _text("system", "name"),
            *_numbers(
                {
                    "mnli_m": "accuracy, %",
                    "mnli_mm": "accuracy, %; same training set as mnli_m",
                    "qqp": "F1, %",
                    "qnli": "accuracy, %",
                    "sst2": "accuracy, %",
                    "cola": "%",
                    "stsb": "Spearman, %",
                    "mrpc": "F1, %",
                    "rte": "accuracy, %",
                }
            ),
            *_numbers({"average": "mean as printed, %"}, optional=True),
        ),
    ),
    "lora_gpt3": Table(
        ("W28",),
        "GPT-3 fine-tuned eight ways",
        (
            _text("method", "name"),
            *_numbers(
                {
                    "trainable_m": "10^6 trainable parameters",
                    "wikisql": "accuracy, %",
                    "mnli_m": "accuracy, %",
                    "samsum_r1": "ROUGE-1, %",
                    "samsum_r2": "ROUGE-2, %",
                    "samsum_rl": "ROUGE-L, %",
                }
            ),
            _text("bold", "columns that the slide prints in bold", optional=True),
        ),
    ),
    "eras": Table(
        ("N17", "N21", "N32", "N46"),
        "Three eras of deep learning for language",
        (
            _text("era", "name"),
            _text("slide", "slide that prints the ranges"),
            _text("years", "from slide N17"),
            Column("model_size", "size", "range of parameters"),
            Column("data_size", "size", "range of tokens"),
            _text("architecture", "specialized or general"),
            _text("generalization", "how well it generalises"),
        ),
    ),
}
"""The tables by the name of their file in data/slides."""
