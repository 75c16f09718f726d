"""Claims of the slides of 04_mlm_masking: the table of masking rates, the objective, the output layer."""

import math
import re
from functools import cache

import torch

from lib.models import MaskedLM, count_parameters, preset
from lib.slides.registry import Measured, recompute
from lib.slides.tables import example, load_table
from lib.text import MaskedBatch, mask_tokens

VOCABULARY, MASK = 30_522, 103  # BERT's


@recompute("A07")
def differences() -> tuple[float, ...]:
    """The difference of each score of C07's table from its 15 % row, without sign."""
    scores = load_table("masking_rate")[["mnli", "qnli", "squad_f1"]]
    return tuple(float(value) for value in (scores[1:] - scores.iloc[0]).abs().to_numpy().ravel())


@recompute("A08")
def masked_share_of_the_example() -> tuple[float, ...]:
    """Percentage of the 13 pieces of C07's sentence that are masked in each example."""
    total = len(example("E2")["text"].split())
    shown = load_table("masking_rate").masked_example.dropna()
    return tuple(100 * (total - len(re.findall(r"\w+|[-.]", text))) / total for text in shown)


@recompute("A09")
def kept_at_eighty_percent() -> tuple[float, ...]:
    """The scores at 80 % masking as percentages of those at 15 %."""
    table = load_table("masking_rate")
    scores = table[["mnli", "qnli", "squad_f1"]][table.rate.isin([0.15, 0.80])]
    return tuple(float(value) for value in 100 * scores.iloc[1] / scores.iloc[0])


@recompute("A10")
def perplexities_in_nats() -> Measured:
    """The logarithms of C07's perplexities."""
    nats = tuple(math.log(value) for value in load_table("masking_rate").ppl.dropna())
    return Measured(nats, f"guessing among {VOCABULARY:,} pieces would cost {math.log(VOCABULARY):.3f} nats")


@recompute("C08a")
def selected_share() -> float:
    """Percentage of tokens that are selected for prediction."""
    return _masking_shares()[0]


@recompute("W11a")
def fates_of_the_selected() -> tuple[float, ...]:
    """Percentages of the selected tokens that become [MASK], become a random token, stay unchanged."""
    selected, *fates = _masking_shares()
    return tuple(100 * share / selected for share in fates)


@recompute("A11")
def fates_of_all() -> tuple[float, ...]:
    """Percentages of all tokens: become [MASK], become random, selected but unchanged, not selected."""
    selected, *fates = _masking_shares()
    return (*fates, 100 - selected)


@recompute("X16")
def selected_and_what_becomes_of_them() -> tuple[float, ...]:
    """Percentage of tokens that are selected, then of these: become [MASK], become a random token, stay."""
    return (selected_share(), *fates_of_the_selected())


@recompute("F01")
def same_maximum() -> Measured:
    """Whether the same model maximises E[P] and E[log P], for a word that is one of two with odds 2 : 1."""
    p = torch.arange(1, 1000, dtype=torch.float64) / 1000  # the model's probability of the more frequent word
    likelihood = (2 * p + (1 - p)) / 3
    log_likelihood = (2 * p.log() + (1 - p).log()) / 3
    best = [float(p[values.argmax()]) for values in (likelihood, log_likelihood)]
    return Measured(best[0] == best[1], f"E[P] is largest at p = {best[0]:.3f}, E[log P] at {best[1]:.3f}")


@recompute("F03")
def mean_without_brackets() -> Measured:
    """Whether E over x of -log P, read without brackets as (E over x) - log P(x), is one number for all x."""
    losses = [-math.log(p) for p in (0.5, 0.25)]  # two equally frequent sentences and a model's P of their targets
    words = f"-log P is {losses[0]:.3f} for one x, {losses[1]:.3f} for another; in brackets {sum(losses) / 2:.3f}"
    return Measured(losses[0] == losses[1], words)


@recompute("F02")
def printed_denominator_normalises() -> Measured:
    """Whether C09's probabilities of all words at one position sum to 1."""
    generator = torch.Generator().manual_seed(0)
    words, hidden = (0.5 * torch.randn(50, 16, dtype=torch.float64, generator=generator) for _ in range(2))
    scores = (words @ hidden[0]).exp()  # exp(x_i . h_t) for t = 0 and every word i
    as_printed = float(scores.sum() / (words * hidden).sum(dim=-1).exp().sum())  # sum of exp(x_i . h_i)
    corrected = float((scores / scores.sum()).sum())
    words_measured = f"they sum to {as_printed:.3f} with h_i below the line, to {corrected:.3f} with h_t"
    return Measured(math.isclose(as_printed, 1, rel_tol=1e-9), words_measured)


@recompute("F07a")
def mask_falls_on_any_word() -> Measured:
    """Whether [MASK] may replace a word other than those that were selected for prediction."""
    _, masked = _masked()
    is_mask = masked.input_ids == MASK
    elsewhere = int((is_mask & (masked.labels == -100)).sum())
    words = f"{elsewhere} of {int(is_mask.sum()):,} [MASK] stand where nothing was selected"
    return Measured(elsewhere > 0, words)


@recompute("F07b")
def printed_head_is_berts() -> Measured:
    """Whether W11's output layer has the parameters of BERT's."""
    w11, bert = _added_by("slide"), _added_by("bert")
    return Measured(w11 == bert, f"W11 adds {w11:,} parameters to the encoder, BERT {bert:,}")


@recompute("X17")
def one_head_on_both_slides() -> Measured:
    """Whether C09's output layer, which is the embedding matrix again, has the parameters of W11's."""
    c09, w11 = _added_by("tied"), _added_by("slide")
    return Measured(c09 == w11, f"C09 adds {c09:,} parameters to the encoder, W11 {w11:,}")


def _added_by(head: str) -> int:
    """The parameters that an output layer adds to BERT-base."""
    with torch.device("meta"):
        model = MaskedLM(preset("bert-base"), head=head)
    return count_parameters(model) - count_parameters(model.encoder)


@cache
def _masked() -> tuple[torch.Tensor, MaskedBatch]:
    """A million tokens, masked as BERT does."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, VOCABULARY, (1000, 1000), generator=generator)
    return ids, mask_tokens(ids, mask_id=MASK, vocab_size=VOCABULARY, generator=generator)


@cache
def _masking_shares() -> tuple[float, ...]:
    """Percentages of all tokens: selected, became [MASK], became another token, selected but unchanged."""
    ids, masked = _masked()
    selected = masked.labels != -100
    became_mask, stayed = selected & (masked.input_ids == MASK), selected & (masked.input_ids == ids)
    groups = (selected, became_mask, selected & ~became_mask & ~stayed, stayed)
    return tuple(100 * float(group.double().mean()) for group in groups)
