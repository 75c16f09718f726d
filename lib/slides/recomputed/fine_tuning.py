"""Claims of the slides of 05_bert_fine_tuning: BERT's input and texts, next sentences, GLUE."""

import torch

from lib.models import Encoder, TransformerConfig
from lib.slides.registry import Measured, recompute
from lib.slides.tables import example, load_table

GLUE = {"CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI", "QNLI", "RTE", "WNLI"}
"""The nine tasks of Wang et al. 2018."""

W09_TASKS = {"MNLI", "QQP", "QNLI", "STS-B", "MRPC", "RTE", "SWAG", "SST-2", "CoLA"}


@recompute("A06")
def words_of_pre_training() -> float:
    """BooksCorpus and Wikipedia together, in words."""
    return 800e6 + 2_500e6


@recompute("A12")
def masked_share() -> tuple[float, ...]:
    """Percentage of the ordinary tokens of W14's two examples that are [MASK]."""
    rows = [text.split() for text in example("E15")["texts"]]
    ordinary = [[token for token in row if token not in ("[CLS]", "[SEP]")] for row in rows]
    return tuple(100 * row.count("[MASK]") / len(row) for row in ordinary)


def _averages() -> dict[str, float]:
    table = load_table("glue").set_index("system").drop(index="train_size", columns="average").astype(float)
    return {str(system): float(value) for system, value in table.mean(axis=1).items()}


@recompute("A29a")
def glue_averages() -> tuple[float, ...]:
    """The mean of the nine columns, for the four systems without ELMo."""
    return tuple(value for system, value in _averages().items() if "ELMo" not in system)


@recompute("A29b")
def glue_average_of_elmo() -> float:
    """The mean of the nine columns for BiLSTM+ELMo+Attn."""
    return _averages()["BiLSTM+ELMo+Attn"]


@recompute("A30a")
def largest_is_best_everywhere() -> bool:
    """Whether BERT-large leads in each of the nine columns."""
    table = load_table("glue").set_index("system").drop(index="train_size", columns="average").astype(float)
    return bool((table.idxmax() == "BERT-large").all())


@recompute("A30b")
def gains_over_gpt() -> tuple[float, ...]:
    """How far the printed averages of BERT-base and BERT-large lie above GPT's."""
    printed = load_table("glue").set_index("system").average
    return tuple(round(float(printed[name]) - float(printed["OpenAI GPT"]), 1) for name in ("BERT-base", "BERT-large"))


@recompute("F23")
@torch.no_grad()
def invariant_without_positions() -> Measured:
    """Whether an encoder without positions gives each place the same vector when the words change places."""
    config = TransformerConfig(architecture="encoder", vocab_size=20, d_model=16, num_layers=2, num_heads=2, d_ff=32,
                               max_positions=8, position="learned")  # fmt: skip
    encoder = Encoder(config, generator=torch.Generator().manual_seed(0)).double().eval()
    encoder.inputs.positions.weight.zero_()
    order = torch.tensor([3, 0, 2, 1])
    ids = torch.tensor([[5, 6, 7, 8]])
    one, other = encoder(ids)[0], encoder(ids[:, order])[0]
    words = (f"place by place {(one - other).abs().max():.1e}, each word by itself {(one[order] - other).abs().max():.0e}, "
             f"the mean {(one.mean(0) - other.mean(0)).abs().max():.0e}")  # fmt: skip
    return Measured(torch.allclose(one, other), words)


@recompute("F25a")
def glue_tasks() -> bool:
    """Whether the tasks that W09 lists are GLUE's."""
    return W09_TASKS <= GLUE


@recompute("F25b")
def classes_of_sts() -> bool:
    """Whether STS-B is scored as a classification: its measure, on N30, is a rank correlation."""
    return False
