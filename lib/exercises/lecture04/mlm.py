"""Exercises of notebook 04: masking, the distribution at one position, the loss."""

import math

import torch
from torch.nn import functional as F

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.exercises.lecture04.mask_answers import (
    check_masking,
    fixed_number,
    in_place,
    loss_cases,
    mask_tokens,
    no_copy,
    split_of_all,
    wrong_masking,
)
from lib.exercises.lecture04.slots import SLOT_PROBABILITIES
from lib.objectives import mlm_loss


# --- mlm.mask_tokens --------------------------------------------------------------------------------------------------
def _mask_cases(generator):
    def batch(rows, length, rate):
        ids = torch.randint(5, 1000, (rows, length), generator=generator)
        ids[:, 0], ids[:, -1] = 2, 3
        return ids, 4, 1000, [0, 1, 2, 3, 4], rate, seeded()

    def seeded():
        return torch.Generator().manual_seed(int(torch.randint(1, 10_000, (1,), generator=generator)))

    small = torch.randint(
        4, 63, (64, 256), generator=generator
    )  # and id 0; 1, 2 and 3 are special, 63 is not in the text
    small = small.masked_fill(torch.rand(64, 256, generator=generator) < 0.1, 0)
    small[:, 0], small[:, -1] = 1, 2

    only_special = torch.tensor([[2, 3, 0, 0], [2, 1, 3, 0]])
    return [
        case("64 rows of 256 tokens, 15 %", *batch(64, 256, 0.15)),
        case("64 rows of 128 tokens, 40 %", *batch(64, 128, 0.40)),
        case("every ordinary token is selected", *batch(64, 64, 1.0)),
        case("every ordinary token of a small vocabulary", small, 3, 64, [1, 2, 3], 1.0, seeded()),
        case("nothing is selected", *batch(2, 8, 0.0)),
        case("only special tokens", only_special, 4, 1000, [0, 1, 2, 3, 4], 1.0, torch.Generator().manual_seed(0)),
    ]


MASK_TOKENS = Exercise(
    id="mlm.mask_tokens",
    slides=("C08", "W11"),
    points=4,
    minutes=20,
    title="Masking as BERT does it",
    reference=mask_tokens,
    cases=_mask_cases,
    decide=check_masking,
    accepts=(wrong_masking(), fixed_number),  # the first one without a mistake
    withheld=(
        "lib.training.recipes.mlm_sampler",
        "lib.text.masking._chance",
        "lib.text.masking._draw_words",
        "lib.text.masking._replace",
    ),
    misconceptions=(
        Misconception(
            "always_mask",
            wrong_masking((1.0, 0.0)),
            "Every selected token becomes [MASK]. BERT does this to 80 %: the model must also learn to doubt the "
            "tokens that it can read, since the texts it is used on contain no [MASK].",
        ),
        Misconception(
            "labels_everywhere",
            wrong_masking(labels="everywhere"),
            "Every token has a label. The model reads 85 % of them unchanged, and would mostly learn to copy. "
            "Elsewhere the label is −100.",
        ),
        Misconception(
            "labels_at_mask_only",
            wrong_masking(labels="masked"),
            "Your random tokens have no label. All selected tokens are predicted, whatever they were replaced with.",
        ),
        Misconception(
            "no_labels_on_kept",
            wrong_masking(labels="changed"),
            "The tokens that were selected and kept have no label, so they do not differ from the rest. They are "
            "predicted too: this makes the model check visible words.",
        ),
        Misconception(
            "special_tokens_selected",
            wrong_masking(specials=True),
            "[CLS], [SEP] or padding are selected as well. They are always there, so predicting them teaches nothing.",
        ),
        Misconception(
            "split_of_all_tokens",
            split_of_all,
            "You apply 80/10/10 to all tokens. First select with the rate, then split the selected ones.",
        ),
        Misconception(
            "never_kept",
            wrong_masking((0.8, 0.2)),
            "A fifth becomes random and nothing is kept. Of the selected tokens, a tenth becomes random and a tenth is "
            "kept.",
        ),
        Misconception(
            "never_random",
            wrong_masking((0.8, 0.0)),
            "No selected token becomes random: a fifth is kept. Of the selected tokens, a tenth becomes a random token.",
        ),
        Misconception(
            "tenth_of_the_rest",
            wrong_masking(rest=True),
            "Your second draw takes a tenth of those that [MASK] left over: 2 % of the selected. Take half of them.",
        ),
        Misconception(
            "labels_from_corrupted",
            wrong_masking(labels="corrupted"),
            "Your labels come from the corrupted ids: the right answer to [MASK] would be [MASK]. Take them from ids.",
        ),
        Misconception(
            "same_for_every_row",
            wrong_masking(per_column=True),
            "The same positions are selected in all rows: draw a number for each token of the batch, not for each "
            "column.",
        ),
        Misconception("rate_ignored", wrong_masking(rate_used=0.15), "You always select 15 %, whatever `rate` is."),
        Misconception(
            "one_random_word",
            wrong_masking(one_word=True),
            "All random replacements are the same token: draw a new one for each position.",
        ),
        Misconception(
            "not_every_id",
            wrong_masking(lowest=1),
            "Some ids never come as a random token. torch.randint(vocab_size, …) draws from 0 to vocab_size − 1: its upper "
            "end is left out already, and 0 is an id like any other.",
        ),
        Misconception(
            "generator_unused",
            wrong_masking(own_draws=True),
            "You draw without `generator`. Pass it to every draw (generator=generator): with the same seed the same tokens "
            "are masked.",
        ),
        Misconception(
            "no_copy",
            no_copy,
            "`corrupted = ids` makes no copy: both names are the same tensor, so the labels hold corrupted ids, and the text "
            "itself is overwritten. Work on ids.clone().",
        ),
        Misconception(
            "in_place",
            in_place,
            "You overwrite the text itself, so the next epoch would read the corrupted text. Work on ids.clone().",
        ),
    ),
    hints=(
        "One random number for each token decides whether it is chosen. torch.isin finds the special ones.",
        "A second random number for each chosen token decides its fate. Where would you cut the numbers from 0 to 1?",
        "Both results begin with ids, and ids must stay: masked_fill and torch.where return new tensors.",
    ),
)


# --- mlm.loss ---------------------------------------------------------------------------------------------------------
def loss(logits, labels, input_ids, mask_id):
    """mlm_loss. What a selected token was replaced with does not matter, so input_ids and mask_id are not used."""
    return mlm_loss(logits, labels)


def _token_losses(logits, labels):
    """Shape (B, T), 0 where nothing is selected."""
    return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")


def _over(logits, labels, which):
    return (_token_losses(logits, labels) * which).sum() / which.sum()


def _by_hand(logits, labels, input_ids, mask_id):
    chosen = labels != -100
    return -torch.log_softmax(logits[chosen], dim=-1).gather(1, labels[chosen][:, None]).mean()


def _mean_of_rows(logits, labels, input_ids, mask_id):
    counts = (labels != -100).sum(dim=1)
    return (_token_losses(logits, labels).sum(dim=1) / counts.clamp(min=1)).mean()


def _log_outside(logits, labels, input_ids, mask_id):
    chosen = labels != -100
    return -torch.softmax(logits[chosen], dim=-1).gather(1, labels[chosen][:, None]).mean().log()


def _log_of_softmax(logits, labels, input_ids, mask_id):
    chosen = labels != -100
    return -torch.softmax(logits[chosen], dim=-1).gather(1, labels[chosen][:, None]).log().mean()


def _shifted(logits, labels, input_ids, mask_id):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


LOSS = Exercise(
    id="mlm.loss",
    slides=("C09",),
    points=3,
    minutes=12,
    title="The loss of masked language modelling",
    reference=loss,
    cases=loss_cases,
    gradient=("logits",),
    accepts=(_by_hand, lambda z, y, x, m: F.cross_entropy(z.flatten(0, 1), y.flatten())),
    withheld=(
        "lib.kernels.loss.plain_losses",
        "lib.kernels.loss.plain_row_losses",
        "lib.kernels.loss.cross_entropy",
        "lib.training.recipes.masked_loss",
        "lib.kernels.loss._CrossEntropy",
        "lib.kernels.loss._reduce",
    ),
    misconceptions=(
        Misconception(
            "mean_over_all_tokens",
            lambda z, y, x, m: _token_losses(z, y).mean(),
            "You divide by the number of all tokens. Only the selected ones are predicted: divide by their number, or "
            "the loss shrinks with the masking rate.",
        ),
        Misconception(
            "sum",
            lambda z, y, x, m: _token_losses(z, y).sum(),
            "You add up and do not divide. A sum grows with the batch: take the mean over the chosen tokens, so that "
            "batches are comparable.",
        ),
        Misconception(
            "mask_only",
            lambda z, y, x, m: _over(z, y, (x == m) & (y != -100)),
            "You count only the [MASK] tokens. Random and kept tokens were selected too: see the labels, not "
            "input_ids.",
        ),
        Misconception(
            "changed_only",
            lambda z, y, x, m: _over(z, y, (x != y) & (y != -100)),
            "You leave out the selected tokens that were kept. They count like the others.",
        ),
        Misconception(
            "mean_of_rows",
            _mean_of_rows,
            "You average within each row, then over rows. Tokens in rows with few selected tokens then weigh too much. "
            "Take "
            "one mean over all selected tokens of the batch.",
        ),
        Misconception(
            "ignored_as_word_0",
            lambda z, y, x, m: _token_losses(z, y.clamp(min=0)).mean(),
            "You treat −100 as a word. It means: no prediction here.",
        ),
        Misconception(
            "log_outside",
            _log_outside,
            "You take the logarithm of the mean probability. The logarithm belongs inside: the mean of ln P.",
        ),
        Misconception(
            "log_of_softmax",
            _log_of_softmax,
            "For logits in the thousands the softmax rounds to 0, and log 0 is −∞. torch.log_softmax or F.cross_entropy "
            "stay finite.",
        ),
        Misconception(
            "id_0_ignored",
            lambda z, y, x, m: F.cross_entropy(z[y > 0], y[y > 0]),
            "You leave out labels of 0. Id 0 is a word like any other; only −100 means that nothing is predicted.",
        ),
        Misconception(
            "shifted",
            _shifted,
            "You compare position t with label t + 1, as a causal model does. Here position t predicts the token at t.",
        ),
        Misconception(
            "bits",
            lambda z, y, x, m: _by_hand(z, y, x, m) / math.log(2),
            "These are bits. The loss is in nats, as in PyTorch: use the natural logarithm.",
        ),
        Misconception(
            "no_minus",
            lambda z, y, x, m: -_by_hand(z, y, x, m),
            "The sign is wrong: the loss is the *negative* log-likelihood, and never below 0.",
        ),
        Misconception("detached", lambda z, y, x, m: _by_hand(z, y, x, m).detach(), DETACHED),
    ),
    hints=(
        "Which positions are chosen? A boolean tensor of them picks rows of the logits and of the labels.",
        "What is left are M rows of logits and M ids: which function of PyTorch takes these two?",
    ),
)

EXERCISES = (MASK_TOKENS, SLOT_PROBABILITIES, LOSS)
