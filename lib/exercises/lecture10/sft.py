"""Exercises of lecture 10: the probability of a response, labels and loss of fine-tuning.

Several turns are in `conversation`, the connecting wall of slide T20 is in `wall`.
"""

import math
from collections.abc import Callable, Sequence

import torch

from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import log_prob_of_sequence
from lib.exercises.lecture10.sft_batch_loss import SFT_LOSS
from lib.exercises.lecture10.sft_tokens import RESPONSE_LABELS


# --- sft.conditional_log_prob -----------------------------------------------------------------------------------------
def conditional_log_prob(
    log_prob: Callable[[list[int]], float], prompt: Sequence[int], response: Sequence[int]
) -> float:
    """log P(response | prompt) = log P(prompt, response) − log P(prompt) (slide C33).

    >>> conditional_log_prob(lambda ids: -2.0 * len(ids), [1, 2], [3])
    -2.0
    """
    return log_prob([*prompt, *response]) - log_prob([*prompt])


def _token_by_token(log_prob, prompt, response):
    ids, total = [*prompt, *response], 0.0
    for t in range(len(prompt), len(ids)):
        total += log_prob(ids[: t + 1]) - log_prob(ids[:t])
    return total


def _log_of_ratio(log_prob, prompt, response):
    return math.log(math.exp(log_prob([*prompt, *response])) / math.exp(log_prob([*prompt])))


def _log_of_probability(log_prob, prompt, response):
    return math.log(math.exp(log_prob([*prompt, *response]) - log_prob([*prompt])))


def _prompt_extended(log_prob, prompt, response):
    prompt += response
    return log_prob(prompt) - log_prob(prompt)


def _questions(generator):
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
    model = Made(log_prob_of_sequence, (5, seed))
    many = Made(log_prob_of_sequence, (2000, seed))  # with 2000 tokens each costs some 8 nats
    return [
        case("a prompt of three tokens, a response of two", model, [0, 3, 1], [4, 2]),
        case("a long prompt, a response of one token", model, [2, 2, 0, 1, 4, 3], [1]),
        case("no prompt: the response's own probability", model, [], [3, 0, 2]),
        case("an empty response: probability 1", model, [1, 2], []),
        case("a text of 520 tokens, whose probability no float holds", model, [3, 1, 4] * 140, [0, 2] * 50),
        case("an answer whose own probability no float holds", many, [3, 1], [0, 2] * 60),
        case("another model", Made(log_prob_of_sequence, (3, seed + 1)), [1], [2, 0, 1, 1]),
    ]


CONDITIONAL = Exercise(
    id="sft.conditional_log_prob",
    slides=("C33",),
    points=2,
    minutes=8,
    title="The probability of a response, given the instruction",
    reference=conditional_log_prob,
    cases=_questions,
    accepts=(_token_by_token,),
    misconceptions=(
        Misconception(
            "joint",
            lambda log_prob, prompt, response: log_prob([*prompt, *response]),
            "This is log P(prompt, response): a long question would make every answer unlikely. Subtract log "
            "P(prompt).",
        ),
        Misconception(
            "response_alone",
            lambda log_prob, prompt, response: log_prob([*response]),
            "This is the probability of the response without a question: the model has to read the prompt before it.",
        ),
        Misconception(
            "as_if_independent",
            lambda log_prob, prompt, response: log_prob([*response]) - log_prob([*prompt]),
            "log P(response) − log P(prompt) treats the two texts separately. The first term needs both, joined.",
        ),
        Misconception(
            "quotient_of_logs",
            lambda log_prob, prompt, response: (
                log_prob([*prompt, *response]) / log_prob([*prompt]) if prompt else log_prob([*response])
            ),
            "Probabilities are divided, so their logarithms are subtracted.",
        ),
        Misconception(
            "through_probabilities",
            _log_of_ratio,
            "You leave the logarithms: the probability of a long text is too small for any float and becomes 0. "
            "Subtract the logarithms themselves.",
        ),
        Misconception(
            "through_one_probability",
            _log_of_probability,
            "You take exp of the difference and its logarithm again: a long response's own probability is too small for any "
            "float and becomes 0. The difference is the result already.",
        ),
        Misconception(
            "response_first",
            lambda log_prob, prompt, response: log_prob([*response, *prompt]) - log_prob([*prompt]),
            "You join the lists the other way round: the response follows the prompt.",
        ),
        Misconception(
            "each_token_alone",
            lambda log_prob, prompt, response: float(sum(log_prob([token]) for token in response)),
            "You score each token of the response alone. It stands after the prompt and the tokens before it.",
        ),
        Misconception(
            "in_bits",
            lambda log_prob, prompt, response: conditional_log_prob(log_prob, prompt, response) / math.log(2),
            "Your logarithm has base 2; log P is in nats here, as log_prob gives it.",
        ),
        Misconception(
            "against_the_response_alone",
            lambda log_prob, prompt, response: conditional_log_prob(log_prob, prompt, response) - log_prob([*response]),
            "You subtract log P(response) as well: that says how much the prompt helps. Only log P(prompt) is subtracted.",
        ),
        Misconception(
            "prompt_extended",
            _prompt_extended,
            "`+=` changes the prompt itself, so the second term is the whole text again: make a new list, "
            "`[*prompt, *response]`.",
        ),
        Misconception(
            "wrong_way_round",
            lambda log_prob, prompt, response: log_prob([*prompt, *response]) - log_prob([*response]),
            "You subtract the response's own log-probability. The prompt is given, so subtract log P(prompt).",
        ),
        Misconception(
            "probability",
            lambda log_prob, prompt, response: math.exp(conditional_log_prob(log_prob, prompt, response)),
            "This is the probability; the exercise asks for its logarithm.",
        ),
        Misconception(
            "per_token",
            lambda log_prob, prompt, response: conditional_log_prob(log_prob, prompt, response) / max(len(response), 1),
            "You divide by the response's length: that is (minus) the loss per token. The log-probability of a "
            "response is "
            "the plain sum.",
        ),
        Misconception(
            "sign",
            lambda log_prob, prompt, response: -conditional_log_prob(log_prob, prompt, response),
            "This is the loss, which is positive. A log-probability is at most 0.",
        ),
    ),
    hints=(
        "P(response | prompt) = P(prompt, response) / P(prompt).",
        "The logarithm of a quotient is a difference; join two lists with +.",
    ),
)

EXERCISES = (CONDITIONAL, RESPONSE_LABELS, SFT_LOSS)
