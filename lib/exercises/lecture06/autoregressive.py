"""Exercises of notebook 06: the loss; the others come from `autoregressive_reading` and `autoregressive_windows`."""

import math

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.exercises.lecture06.autoregressive_reading import LAST_TOKEN, PERPLEXITY
from lib.exercises.lecture06.autoregressive_windows import BITS_PER_BYTE
from lib.objectives import autoregressive_loss


# --- autoregressive.loss ----------------------------------------------------------------------------------------------
def _loss_cases(generator):
    def draw(B, T, V):
        logits = 2 * torch.randn(B, T, V, generator=generator)
        return logits, torch.randint(0, V, (B, T), generator=generator)

    short = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    left = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    both = torch.tensor([[0, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1], [1, 1, 0, 0, 0, 0]])
    lonely = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 1]])
    far = draw(2, 4, 5)
    return [
        case("one sentence", *draw(1, 4, 5), torch.ones(1, 4, dtype=torch.long)),
        case("a batch without padding", *draw(3, 6, 7), torch.ones(3, 6, dtype=torch.long)),
        case("padding on the right", *draw(2, 5, 6), short),
        case("padding on the left", *draw(2, 4, 6), left),
        case("padding on both sides", *draw(3, 6, 5), both),
        case("a sentence of one token: no pair", *draw(2, 4, 6), lonely),
        case("logits in the thousands", _against(*far), far[1], torch.ones(2, 4, dtype=torch.long)),
        case("two tokens: one prediction", *draw(1, 2, 3), torch.ones(1, 2, dtype=torch.long)),
    ]


def _against(logits, input_ids):
    """Logits that give all tokens but the next one 5,000 more: the probability of each target is 0 even in float64."""
    following = input_ids.roll(-1, dims=1)[..., None]
    return logits + 5000 * torch.ones_like(logits).scatter(-1, following, 0.0)


def _asked(attention_mask):
    return (attention_mask[:, 1:] * attention_mask[:, :-1]).bool()


def _nll(logits, input_ids):
    """Of token t + 1 at position t, (B, T - 1)."""
    log_probs = torch.log_softmax(logits[:, :-1], dim=-1)
    return -log_probs.gather(-1, input_ids[:, 1:, None]).squeeze(-1)


def _by_hand(logits, input_ids, attention_mask):
    return _nll(logits, input_ids)[_asked(attention_mask)].mean()


def _by_torch(logits, input_ids, attention_mask):
    labels = input_ids[:, 1:].masked_fill(~_asked(attention_mask), -100)
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels.flatten())


def _not_shifted(logits, input_ids, attention_mask):
    nll = -torch.log_softmax(logits, dim=-1).gather(-1, input_ids[..., None]).squeeze(-1)
    return nll[attention_mask.bool()].mean()


def _shifted_backwards(logits, input_ids, attention_mask):
    nll = -torch.log_softmax(logits[:, 1:], dim=-1).gather(-1, input_ids[:, :-1, None]).squeeze(-1)
    return nll[_asked(attention_mask)].mean()


def _mean_of_rows(logits, input_ids, attention_mask):
    asked = _asked(attention_mask)
    return ((_nll(logits, input_ids) * asked).sum(1) / asked.sum(1)).mean()


def _padding_in_the_mean(logits, input_ids, attention_mask):
    asked = _asked(attention_mask)
    return (_nll(logits, input_ids) * asked).sum() / asked.numel()


def _one_side(side):
    """Only the target ("right") or only the token that is read ("left") must be real."""

    def answer(logits, input_ids, attention_mask):
        real = attention_mask[:, 1:] if side == "right" else attention_mask[:, :-1]
        return _nll(logits, input_ids)[real.bool()].mean()

    return answer


def _divided_by_tokens(logits, input_ids, attention_mask):
    return (_nll(logits, input_ids) * _asked(attention_mask)).sum() / attention_mask.sum()


def _around_the_end(logits, input_ids, attention_mask):
    both = (attention_mask * attention_mask.roll(-1, dims=1)).bool()
    return torch.nn.functional.cross_entropy(logits[both], input_ids.roll(-1, dims=1)[both])


def _log_of_softmax(logits, input_ids, attention_mask):
    p = torch.softmax(logits[:, :-1], dim=-1).gather(-1, input_ids[:, 1:, None]).squeeze(-1)
    return -p[_asked(attention_mask)].log().mean()


LOSS = Exercise(
    id="autoregressive.loss",
    slides=("C19", "C21"),
    points=4,
    minutes=15,
    title="The autoregressive loss, with padding",
    reference=lambda logits, input_ids, attention_mask: autoregressive_loss(logits, input_ids, attention_mask),
    cases=_loss_cases,
    gradient=("logits",),
    accepts=(_by_hand, _by_torch),
    withheld=(
        "lib.evaluation.perplexity.bits_per_byte",
        "lib.evaluation.perplexity.perplexity",
        "lib.objectives.autoregressive.sequence_log_prob",
        "lib.objectives.autoregressive.shift_labels",
        "lib.objectives.log_probs.chunked_token_log_probs",
        "lib.objectives.log_probs.token_log_probs",
        "lib.objectives.sft.sft_loss",
        "lib.training.recipes.next_token_loss",
        "lib.evaluation.perplexity._total",
        "lib.objectives.autoregressive._labels_for",
        "lib.objectives.log_probs._after",
        "lib.objectives.log_probs._next_ids",
    ),
    misconceptions=(
        Misconception(
            "not_shifted",
            _not_shifted,
            "Position t is scored on token t, which it has just read. It should be scored on token t + 1: shift.",
        ),
        Misconception(
            "shifted_backwards",
            _shifted_backwards,
            "You shifted in the wrong direction: position t predicts token t − 1, which it has already seen.",
        ),
        Misconception(
            "padding_counts",
            lambda logits, input_ids, attention_mask: _nll(logits, input_ids).mean(),
            "Padded positions are part of your mean. Keep those where the token and the next one are both real.",
        ),
        Misconception(
            "padding_in_the_denominator",
            _padding_in_the_mean,
            "The sum is right, but you divide by the number of all positions, padding included. The loss becomes too "
            "small.",
        ),
        Misconception(
            "only_the_target_real",
            _one_side("right"),
            "You ask only whether the right one of a pair is real. With padding on the left, padding then predicts the first "
            "token: the left one must be real, too.",
        ),
        Misconception(
            "only_the_left_one_real",
            _one_side("left"),
            "You ask only whether the left one of a pair is real. The last token of a sentence then predicts padding.",
        ),
        Misconception(
            "divided_by_tokens",
            _divided_by_tokens,
            "You divide by the number of real tokens. The first token of a sentence is not predicted: divide by the number "
            "of pairs.",
        ),
        Misconception(
            "around_the_end",
            _around_the_end,
            "roll goes round the end: the last position is compared with the first token. A sentence of T tokens has T − 1 "
            "pairs.",
        ),
        Misconception(
            "log_of_softmax",
            _log_of_softmax,
            "For logits in the thousands the softmax rounds to 0, and log 0 is −∞. torch.log_softmax stays finite.",
        ),
        Misconception(
            "mean_of_sentence_means",
            _mean_of_rows,
            "You average each sentence first, so a token of a short sentence weighs more. The mean is over all tokens.",
        ),
        Misconception(
            "sum",
            lambda logits, input_ids, attention_mask: _nll(logits, input_ids)[_asked(attention_mask)].sum(),
            "This is the sum over tokens, −log P(x). The loss is the mean per predicted token.",
        ),
        Misconception(
            "sign",
            lambda logits, input_ids, attention_mask: -_by_hand(logits, input_ids, attention_mask),
            "Training makes log P larger; a loss is made smaller. The minus sign is missing.",
        ),
        Misconception(
            "bits",
            lambda logits, input_ids, attention_mask: _by_hand(logits, input_ids, attention_mask) / math.log(2),
            "This is in bits (log base 2). Losses are in nats: the natural logarithm.",
        ),
        Misconception(
            "detached",
            lambda logits, input_ids, attention_mask: _by_hand(logits, input_ids, attention_mask).detach(),
            DETACHED,
        ),
    ),
    hints=(
        "logits[:, :-1] predict input_ids[:, 1:]. Which of these pairs consist of two real tokens?",
        "gather picks the log-probability of the next token; index with the boolean mask and take the mean, negated.",
    ),
)

EXERCISES = (LOSS, LAST_TOKEN, PERPLEXITY, BITS_PER_BYTE)
