"""Two exercises of `autoregressive`: the vector of the last token, and perplexity."""

import math

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED


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
        case(
            "first row padded on the left, second on the right", draw(2, 4), torch.tensor([[0, 1, 1, 1], [1, 1, 1, 0]])
        ),
        case(
            "first row padded on the right, second on the left", draw(2, 4), torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1]])
        ),
        case("padding on both sides of a row", draw(2, 5), torch.tensor([[0, 1, 1, 0, 0], [0, 0, 1, 0, 0]])),
        case("one token", draw(1, 1), torch.ones(1, 1, dtype=torch.long)),
        case(
            "a last real vector of zeros",
            _with_a_zero(draw(2, 4), 0, 2),
            torch.tensor([[0, 1, 1, 0], [1, 1, 1, 1]]),
        ),
    ]


def _with_a_zero(hidden, row, place):
    hidden[row, place] = 0.0
    return hidden


def _by_position(hidden, attention_mask):
    places = torch.arange(attention_mask.shape[1]) * attention_mask
    return torch.stack([row[place] for row, place in zip(hidden, places.argmax(dim=1))])


def _masked_mean(hidden, attention_mask):
    weights = attention_mask[..., None].to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def _before_the_first_padding(hidden, attention_mask):
    return hidden[torch.arange(len(hidden)), (attention_mask == 0).int().argmax(dim=1) - 1]


def _left_or_right(hidden, attention_mask):
    places = [len(mask) - 1 if mask[-1] else int(mask.sum()) - 1 for mask in attention_mask]
    return hidden[torch.arange(len(hidden)), torch.tensor(places)]


def _not_zero(hidden, attention_mask):
    """Padding is set to 0, and the last vector that is not 0 is taken."""
    real = (hidden * attention_mask[..., None]).abs().sum(-1) > 0
    return _pool(hidden, real.long())


def _side_of_first_row(hidden, attention_mask):
    if attention_mask[0, -1]:
        return hidden[:, -1]
    return hidden[torch.arange(len(hidden)), attention_mask.sum(1) - 1]


LAST_TOKEN = Exercise(
    id="autoregressive.last_token",
    slides=("C22",),
    points=3,
    minutes=10,
    title="Last-token pooling",
    reference=_pool,
    cases=_pool_cases,
    gradient=("hidden",),
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
            "side_of_the_first_row",
            _side_of_first_row,
            "You find out from the first row on which side the padding is. Each row may have its own: look row by row.",
        ),
        Misconception(
            "left_or_right",
            _left_or_right,
            "You take the last column, or count where that is padding. A row may have padding on both sides: look for the last 1 "
            "of its mask.",
        ),
        Misconception(
            "before_the_first_padding",
            _before_the_first_padding,
            "You take the token before the first padding. In a row with padding on both sides the first padding stands at the "
            "beginning: look for the last 1 of the mask, not for a 0.",
        ),
        Misconception(
            "not_zero",
            _not_zero,
            "You look for the last vector that is not zero. A real token's vector may be zero, too: ask the mask.",
        ),
        Misconception(
            "axis_kept",
            lambda hidden, attention_mask: _pool(hidden, attention_mask)[:, None],
            "The axis of the tokens is still there, with length 1. One vector a sentence has the shape (B, D): squeeze(1).",
        ),
        Misconception(
            "squeezed",
            lambda hidden, attention_mask: _pool(hidden, attention_mask)[:, None].squeeze(),
            "squeeze() without an axis also takes away the batch when it holds one sentence. Name the axis: squeeze(1).",
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
            "You average all tokens. That is a sensible pooling, but asked for is the last real token's vector, which has "
            "read all the others.",
        ),
        Misconception(
            "one_before",
            lambda hidden, attention_mask: _pool(hidden.roll(1, dims=1), attention_mask),
            "Off by one: this is the token before the last real one.",
        ),
        Misconception("detached", lambda hidden, attention_mask: _pool(hidden, attention_mask).detach(), DETACHED),
    ),
    hints=(
        "Flip the mask: the first 1 of the flipped mask is the last 1 of the mask. argmax finds a first 1.",
        "Place k of the flipped mask is place T − 1 − k of the mask. hidden[torch.arange(B), places] takes one vector a row.",
    ),
)


# --- autoregressive.perplexity ----------------------------------------------------------------------------------------
def _perplexity(log_probs):
    every = [value for sentence in log_probs for value in sentence]
    return math.exp(-sum(every) / len(every))


def _log_prob_cases(generator):
    def draw(count):
        return torch.rand(count, generator=generator, dtype=torch.float64).clamp(min=0.01).log().tolist()

    def unlikely(count):
        return [value - 10.0 for value in draw(count)]

    return [
        case("four tokens of a uniform model of eight", [[math.log(1 / 8)] * 4]),
        case("two sentences of different length", [draw(2), draw(9)]),
        case("three sentences", [draw(1), draw(6), draw(3)]),
        case("a perfect model", [[0.0, 0.0]]),
        case("a text so improbable that its probability is 0 in floating point", [unlikely(40), unlikely(60)]),
        case("a single token", [draw(1)]),
    ]


def _product_and_root(log_probs):
    every = [math.exp(value) for sentence in log_probs for value in sentence]
    return math.prod(every) ** (-1 / len(every))


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
    withheld=("lib.evaluation.perplexity.perplexity", "lib.evaluation.perplexity._total"),
    misconceptions=(
        Misconception(
            "mean_over_sentences",
            lambda log_probs: sum(math.exp(-sum(row) / len(row)) for row in log_probs) / len(log_probs),
            "You average the perplexities of sentences. The mean is taken over all tokens, in the exponent.",
        ),
        Misconception(
            "mean_of_sentence_means",
            lambda log_probs: math.exp(-sum(sum(row) / len(row) for row in log_probs) / len(log_probs)),
            "You average each sentence first, so that tokens of short sentences weigh more. Take one mean over all tokens.",
        ),
        Misconception(
            "divided_by_sentences",
            lambda log_probs: math.exp(-sum(map(sum, log_probs)) / len(log_probs)),
            "You divide by the number of sentences. The mean is per token: divide by the number of all tokens.",
        ),
        Misconception(
            "product_and_root",
            _product_and_root,
            "You multiply probabilities: for a long text the product rounds to 0. Add up the logarithms instead.",
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
            "mean_of_probabilities",
            lambda log_probs: sum(map(len, log_probs)) / sum(math.exp(v) for row in log_probs for v in row),
            "You average the probabilities, and take one over the mean. The mean is taken over logarithms, in the exponent.",
        ),
        Misconception(
            "end_counted",
            lambda log_probs: math.exp(-sum(map(sum, log_probs)) / sum(len(row) + 1 for row in log_probs)),
            "You count one token more for each sentence than there are log-probabilities. Each of those is one token, and there "
            "is no other.",
        ),
        Misconception(
            "first_left_out",
            lambda log_probs: _perplexity([row[1:] for row in log_probs]),
            "You leave out the first token of each sentence. It has a probability here, too: every number counts.",
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
