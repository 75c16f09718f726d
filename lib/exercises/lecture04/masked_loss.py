"""An exercise of notebook 04: the loss of masked language modelling (slide C09)."""

import math

import torch
from torch.nn import functional as F

from lib.exercises.engine.exercise import Exercise, Misconception
from lib.exercises.engine.gradients import DETACHED
from lib.exercises.lecture04.mask_answers import loss_cases
from lib.objectives import mlm_loss


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


def _bounded(logits, labels, input_ids, mask_id):
    chosen = labels != -100
    return -(torch.softmax(logits[chosen], dim=-1).gather(1, labels[chosen][:, None]) + 1e-9).log().mean()


def _shifted_by_the_batch(logits, labels, input_ids, mask_id):
    chosen, z = labels != -100, logits - logits.max()
    return (z.exp().sum(dim=-1).log()[chosen] - z[chosen].gather(1, labels[chosen][:, None])[:, 0]).mean()


def _zero_times_infinity(logits, labels, input_ids, mask_id):
    chosen = (labels != -100).float()
    logs = torch.softmax(logits, dim=-1).log().gather(2, labels.clamp(min=0)[..., None])[..., 0]
    return -(logs * chosen).sum() / chosen.sum()


def _overwrites_labels(logits, labels, input_ids, mask_id):
    chosen = labels != -100
    labels[~chosen] = 0
    logs = torch.log_softmax(logits, dim=-1).gather(2, labels[..., None])[..., 0]
    return -(logs * chosen).sum() / chosen.sum()


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
        Misconception(
            "one_element",
            lambda z, y, x, m: _by_hand(z, y, x, m).reshape(1),
            "The number is right, but it has the shape (1,). A scalar has none: mean() of all elements returns one.",
        ),
        Misconception(
            "bounded",
            _bounded,
            "With logits in the thousands your loss has an upper limit: an ε inside the logarithm, or limits for the logits, "
            "hide how surprised the model was. torch.log_softmax needs neither.",
        ),
        Misconception(
            "shifted_by_the_batch",
            _shifted_by_the_batch,
            "You subtract the largest logit of the whole batch. Where the largest of a row is far below, all its exponentials "
            "round to 0: each row needs its own maximum (torch.log_softmax does that).",
        ),
        Misconception(
            "zero_times_infinity",
            _zero_times_infinity,
            "Positions without a label get the weight 0, but 0 · ∞ is NaN. Pick the chosen positions first, and let "
            "torch.log_softmax keep the logarithms finite.",
        ),
        Misconception(
            "overwrites_labels",
            _overwrites_labels,
            "The loss is right, but you have written into `labels`: whoever uses the batch next finds no −100. Work on a copy "
            "(masked_fill returns one).",
        ),
        Misconception("detached", lambda z, y, x, m: _by_hand(z, y, x, m).detach(), DETACHED),
    ),
    hints=(
        "Which positions are chosen? A boolean tensor of them picks rows of the logits and of the labels.",
        "What is left are M rows of logits and M ids: which function of PyTorch takes these two?",
    ),
)
