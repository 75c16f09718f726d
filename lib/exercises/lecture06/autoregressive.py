"""Exercises of notebook 06: the loss, last-token pooling, perplexity."""

import math

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.objectives import autoregressive_loss


# --- autoregressive.loss ----------------------------------------------------------------------------------------------
def _loss_cases(generator):
    def draw(B, T, V):
        logits = 2 * torch.randn(B, T, V, generator=generator)
        return logits, torch.randint(0, V, (B, T), generator=generator)

    short = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    left = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    return [
        case("one sentence", *draw(1, 4, 5), torch.ones(1, 4, dtype=torch.long)),
        case("a batch without padding", *draw(3, 6, 7), torch.ones(3, 6, dtype=torch.long)),
        case("padding on the right", *draw(2, 5, 6), short),
        case("padding on the left", *draw(2, 4, 6), left),
        case("two tokens: one prediction", *draw(1, 2, 3), torch.ones(1, 2, dtype=torch.long)),
    ]


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
            "The slide maximises log P; a loss is minimised. The minus sign is missing.",
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


# --- autoregressive.last_token ----------------------------------------------------------------------------------------
def _pool(hidden, attention_mask):
    last = attention_mask.shape[1] - 1 - attention_mask.flip(1).argmax(dim=1)
    return hidden[torch.arange(len(hidden)), last]


def _pool_cases(generator):
    def draw(B, T):
        return torch.randn(B, T, 3, generator=generator)

    return [
        case("no padding", draw(2, 4), torch.ones(2, 4, dtype=torch.long)),
        case("padding on the right", draw(3, 5), torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]])),
        case("padding on the left", draw(2, 4), torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1]])),
        case("one token", draw(1, 1), torch.ones(1, 1, dtype=torch.long)),
    ]


def _by_position(hidden, attention_mask):
    places = torch.arange(attention_mask.shape[1]) * attention_mask
    return torch.stack([row[place] for row, place in zip(hidden, places.argmax(dim=1))])


def _masked_mean(hidden, attention_mask):
    weights = attention_mask[..., None].to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


LAST_TOKEN = Exercise(
    id="autoregressive.last_token",
    slides=("C22",),
    points=3,
    minutes=10,
    title="Last-token pooling",
    reference=_pool,
    cases=_pool_cases,
    accepts=(_by_position, lambda hidden, mask: torch.stack([row[m.bool()][-1] for row, m in zip(hidden, mask)])),
    withheld=("lib.models.heads.last_real_token", "lib.objectives.reduction.last_counted"),
    misconceptions=(
        Misconception(
            "last_column",
            lambda hidden, attention_mask: hidden[:, -1],
            "You take the last column. In a batch padded on the right it is padding, except for the longest sentence.",
        ),
        Misconception(
            "count_minus_one",
            lambda hidden, attention_mask: hidden[torch.arange(len(hidden)), attention_mask.sum(1) - 1],
            "Counting the real tokens finds the last one only with padding on the right. With padding on the left it "
            "does "
            "not: look for the last 1 of the mask.",
        ),
        Misconception(
            "first_token",
            lambda hidden, attention_mask: hidden[torch.arange(len(hidden)), attention_mask.argmax(dim=1)],
            "That is the first token, as BERT uses [CLS]. In a causal model the first token has seen only itself.",
        ),
        Misconception(
            "first_column",
            lambda hidden, attention_mask: hidden[:, 0],
            "Column 0 is the first token (or padding): with causal attention it sees nothing of the rest.",
        ),
        Misconception(
            "mean",
            _masked_mean,
            "You average all tokens. That is a sensible pooling, but slide C22 uses the last hidden vector, which has "
            "seen "
            "all the others.",
        ),
        Misconception(
            "one_before",
            lambda hidden, attention_mask: _pool(hidden.roll(1, dims=1), attention_mask),
            "Off by one: this is the token before the last real one.",
        ),
    ),
    hints=(
        "Flip the mask: the first 1 of the flipped mask is the last 1 of the mask. argmax finds a first 1.",
        "last = T − 1 − mask.flip(1).argmax(dim=1); then hidden[torch.arange(B), last].",
    ),
)


# --- autoregressive.perplexity ----------------------------------------------------------------------------------------
def _perplexity(log_probs):
    every = [value for sentence in log_probs for value in sentence]
    return math.exp(-sum(every) / len(every))


def _log_prob_cases(generator):
    def draw(count):
        return torch.rand(count, generator=generator, dtype=torch.float64).clamp(min=0.01).log().tolist()

    return [
        case("four tokens of a uniform model of eight", [[math.log(1 / 8)] * 4]),
        case("two sentences of different length", [draw(2), draw(9)]),
        case("three sentences", [draw(1), draw(6), draw(3)]),
        case("a perfect model", [[0.0, 0.0]]),
        case("a single token", [draw(1)]),
    ]


PERPLEXITY = Exercise(
    id="autoregressive.perplexity",
    slides=("T17", "C07"),
    points=3,
    minutes=10,
    title="Perplexity",
    reference=_perplexity,
    cases=_log_prob_cases,
    accepts=(
        lambda log_probs: 2 ** (-sum(map(sum, log_probs)) / math.log(2) / sum(map(len, log_probs))),
        lambda log_probs: math.prod(math.exp(-v / sum(map(len, log_probs))) for row in log_probs for v in row),
    ),
    withheld=(
        "lib.evaluation.perplexity.perplexity",
        "lib.evaluation.perplexity._total",
    ),
    misconceptions=(
        Misconception(
            "mean_over_sentences",
            lambda log_probs: sum(math.exp(-sum(row) / len(row)) for row in log_probs) / len(log_probs),
            "You average the perplexities of sentences. The mean is taken over all tokens, in the exponent.",
        ),
        Misconception(
            "mean_of_inverse_probabilities",
            lambda log_probs: sum(math.exp(-v) for row in log_probs for v in row) / sum(map(len, log_probs)),
            "You average 1/p. Perplexity is the exponential of a mean of logarithms: the geometric mean of 1/p.",
        ),
        Misconception(
            "two_to_the_nats",
            lambda log_probs: _perplexity(log_probs) ** math.log(2),
            "These are natural logarithms, and you raised 2 to them. Base and logarithm must match: e here, 2 with "
            "T17's bits.",
        ),
        Misconception(
            "no_minus",
            lambda log_probs: 1 / _perplexity(log_probs),
            "This is below 1: the minus sign is missing. Less probability means more perplexity.",
        ),
        Misconception(
            "not_divided",
            lambda log_probs: math.exp(-sum(v for row in log_probs for v in row)),
            "You did not divide by the number of tokens: long texts would always have a higher perplexity.",
        ),
        Misconception(
            "entropy",
            lambda log_probs: math.log(_perplexity(log_probs)),
            "That is the cross-entropy in nats, the exponent. Perplexity is its exponential.",
        ),
    ),
    hints=(
        "Collect all log-probabilities of all sentences in one list.",
        "exp of minus their mean.",
    ),
)

EXERCISES = (LOSS, LAST_TOKEN, PERPLEXITY)
