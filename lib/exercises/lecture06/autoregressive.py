"""Exercises of notebook 06: the loss; the others come from `autoregressive_reading` and `autoregressive_windows`."""

import math

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.exercises.lecture06 import loss_answers as answers
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
    pairs = torch.tensor([[1, 1], [0, 1], [1, 1]])
    far = draw(2, 4, 5)
    uneven = draw(2, 4, 5)
    levels = 150.0 * (torch.arange(8).view(2, 4, 1) - 4)  # exp(-150) is 0 in float32
    return [
        case("one sentence", *draw(1, 4, 5), torch.ones(1, 4, dtype=torch.long)),
        case("a batch without padding", *draw(3, 6, 7), torch.ones(3, 6, dtype=torch.long)),
        case("padding on the right", *draw(2, 5, 6), short),
        case("padding on the left", *draw(2, 4, 6), left),
        case("padding on both sides", *draw(3, 6, 5), both),
        case("a sentence of one token: no pair", *draw(2, 4, 6), lonely),
        case("logits in the thousands", _against(*far), far[1], torch.ones(2, 4, dtype=torch.long)),
        case("two tokens: one prediction", *draw(1, 2, 3), torch.ones(1, 2, dtype=torch.long)),
        case("three sentences of two tokens", *draw(3, 2, 4), pairs),
        case("each position 150 above the last", uneven[0] + levels, uneven[1], torch.ones(2, 4, dtype=torch.long)),
    ]


def _against(logits, input_ids):
    """Logits that give all tokens but the next one 5,000 more: the probability of each target is 0 even in float64."""
    following = input_ids.roll(-1, dims=1)[..., None]
    return logits + 5000 * torch.ones_like(logits).scatter(-1, following, 0.0)


def _kept_from_0(epsilon):
    hint = (
        f"You keep the probability away from 0 with {epsilon:g}. The loss of an unlikely token then stops growing, and its "
        "gradient is 0. torch.log_softmax needs no such number."
    )
    return Misconception(f"kept_from_0_by_{epsilon:g}".replace("-", "_"), answers.kept_from_0(epsilon), hint)


LOSS = Exercise(
    id="autoregressive.loss",
    slides=("C19", "C21"),
    points=4,
    minutes=15,
    title="The autoregressive loss, with padding",
    reference=lambda logits, input_ids, attention_mask: autoregressive_loss(logits, input_ids, attention_mask),
    cases=_loss_cases,
    gradient=("logits",),
    accepts=(answers.by_hand, answers.by_torch),
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
            answers.not_shifted,
            "Position t is scored on token t, which it has just read. It should be scored on token t + 1: shift.",
        ),
        Misconception(
            "shifted_backwards",
            answers.shifted_backwards,
            "You shifted in the wrong direction: position t predicts token t − 1, which it has already seen.",
        ),
        Misconception(
            "padding_counts",
            lambda logits, input_ids, attention_mask: answers.pair_losses(logits, input_ids).mean(),
            "Padded positions are part of your mean. Keep those where the token and the next one are both real.",
        ),
        Misconception(
            "padding_in_the_denominator",
            answers.padding_in_the_mean,
            "The sum is right, but you divide by the number of all positions, padding included. The loss becomes too "
            "small.",
        ),
        Misconception(
            "only_the_target_real",
            answers.one_side("right"),
            "You ask only whether the right one of a pair is real. With padding on the left, padding then predicts the first "
            "token: the left one must be real, too.",
        ),
        Misconception(
            "only_the_left_one_real",
            answers.one_side("left"),
            "You ask only whether the left one of a pair is real. The last token of a sentence then predicts padding.",
        ),
        Misconception(
            "divided_by_tokens",
            answers.divided_by_tokens,
            "You divide by the number of real tokens. The first token of a sentence is not predicted: divide by the number "
            "of pairs.",
        ),
        Misconception(
            "around_the_end",
            answers.around_the_end,
            "roll goes round the end: the last position is compared with the first token. A sentence of T tokens has T − 1 "
            "pairs.",
        ),
        Misconception(
            "log_of_softmax",
            answers.log_of_softmax,
            "For logits in the thousands the softmax rounds to 0, and log 0 is −∞. torch.log_softmax stays finite.",
        ),
        *map(_kept_from_0, (1e-8, 1e-9, 1e-10, 1e-12)),
        Misconception(
            "one_maximum",
            answers.one_maximum,
            "You subtract the largest logit of the whole batch. Where the logits of a position lie far below it, all "
            "exponentials are 0. Each position needs its own maximum; torch.log_softmax does that.",
        ),
        Misconception(
            "token_0_ignored",
            answers.token_0_ignored,
            "Your padding has the label 0, and label 0 is ignored: but token 0 is a token like the others. Label padding "
            "with a number that is no token (-100 is what cross_entropy ignores by default), or select by the mask.",
        ),
        Misconception(
            "sentences_in_one_row",
            answers.sentences_in_one_row,
            "You put the sentences one after the other and then shift: the last token of one is asked for the first token of the "
            "next. Shift each sentence first.",
        ),
        Misconception(
            "padding_on_the_right",
            answers.padding_on_the_right,
            "Of a sentence of L tokens you take the first L positions. That is right only where the padding is on the right.",
        ),
        Misconception(
            "means_by_count",
            answers.means_by_count,
            "A sentence of one token has no pair: its mean is 0/0, and 0 times that is NaN. Add up, and divide once at the end.",
        ),
        Misconception(
            "one_less_in_all",
            answers.one_less_in_all,
            "You divide by the number of real tokens minus 1. Each sentence has one pair less than tokens, not the batch.",
        ),
        Misconception(
            "squeezed",
            answers.squeezed,
            "squeeze() without an axis takes away every axis of length 1: with one pair a sentence, also that of the pairs. Then "
            "(B,) and (B, 1) broadcast to (B, B). Use squeeze(-1).",
        ),
        Misconception(
            "mean_of_sentence_means",
            answers.mean_of_rows,
            "You average each sentence first, so a token of a short sentence weighs more. The mean is over all tokens.",
        ),
        Misconception(
            "sum",
            lambda logits, input_ids, attention_mask: answers.pair_losses(logits, input_ids)[
                answers.real_pairs(attention_mask)
            ].sum(),
            "This is the sum over tokens, −log P(x). The loss is the mean per predicted token.",
        ),
        Misconception(
            "sign",
            lambda logits, input_ids, attention_mask: -answers.by_hand(logits, input_ids, attention_mask),
            "Training makes log P larger; a loss is made smaller. The minus sign is missing.",
        ),
        Misconception(
            "bits",
            lambda logits, input_ids, attention_mask: answers.by_hand(logits, input_ids, attention_mask) / math.log(2),
            "This is in bits (log base 2). Losses are in nats: the natural logarithm.",
        ),
        Misconception(
            "detached",
            lambda logits, input_ids, attention_mask: answers.by_hand(logits, input_ids, attention_mask).detach(),
            DETACHED,
        ),
    ),
    hints=(
        "logits[:, :-1] predict input_ids[:, 1:]. Which of these pairs consist of two real tokens?",
        "gather picks the log-probability of the next token; index with the boolean mask and take the mean, negated.",
    ),
)

EXERCISES = (LOSS, LAST_TOKEN, PERPLEXITY, BITS_PER_BYTE)
