"""Exercise of notebook 06: the probability of a sequence; `chain` lists it."""

import math
from collections.abc import Callable, Sequence

import torch

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import next_probs_of_prefix, next_probs_of_steps


# --- chain.sequence_probability ---------------------------------------------------------------------------------------
def sequence_probability(next_probs: Callable[[list[int]], Sequence[float]], ids: Sequence[int]) -> float:
    """P(ids) as the product of `next_probs(ids[:t])[ids[t]]` over t (slides C19, N37).

    >>> sequence_probability(lambda prefix: [0.25, 0.75], [1, 0])
    0.1875
    """
    return math.prod((next_probs(list(ids[:t]))[token] for t, token in enumerate(ids)), start=1.0)


def _sequences(generator):
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
    model = Made(next_probs_of_prefix, (4, seed))
    return [
        case("three tokens", model, [2, 0, 3]),
        case("one token", model, [1]),
        case("a repeated token", model, [3, 3, 3, 3]),
        case("no tokens: the empty product", model, []),
        case("a token of probability 0", Made(next_probs_of_steps, (4,)), [1, 2, 0, 0]),
        case("two impossible steps", Made(next_probs_of_steps, (3,)), [0, 2, 1]),
        case("another model", Made(next_probs_of_prefix, (3, seed + 1)), [0, 2, 1, 1]),
        case("80 tokens: less than the smallest float32", model, torch.randint(4, (80,), generator=generator).tolist()),
    ]


def _factors(next_probs, ids):
    return [next_probs(list(ids[:t]))[token] for t, token in enumerate(ids)]


def _in_float32(next_probs, ids):
    return torch.tensor(_factors(next_probs, ids), dtype=torch.float32).prod().item()


def _softmax_again(next_probs, ids):
    rows = [torch.tensor(next_probs(list(ids[:t])), dtype=torch.float64) for t in range(len(ids))]
    return math.prod((row.softmax(0)[token].item() for row, token in zip(rows, ids)), start=1.0)


def _one_row_for_all(next_probs, ids):
    row = next_probs(list(ids[:-1]))
    return math.prod((row[token] for token in ids), start=1.0)


def _by_logs(next_probs, ids):
    factors = _factors(next_probs, ids)
    return math.exp(sum(map(math.log, factors))) if all(factors) else 0.0


def _log_of_a_little_more(epsilon):
    def answer(next_probs, ids):
        return math.exp(sum(math.log(p + epsilon) for p in _factors(next_probs, ids)))

    hint = (
        f"You add {epsilon:g} to every probability, so that an impossible sequence becomes possible. Its probability is "
        "exactly 0: multiply, without logarithms."
    )
    return Misconception(f"log_of_{epsilon:g}_more".replace("-", "_"), answer, hint)


SEQUENCE = Exercise(
    id="chain.sequence_probability",
    slides=("C19", "N37"),
    points=3,
    minutes=10,
    title="The probability of a sequence",
    reference=sequence_probability,
    cases=_sequences,
    tolerance=Tolerance(atol=0.0),  # a probability of 0 is 0, not 1e-9
    accepts=(_by_logs,),
    misconceptions=(
        Misconception(
            "sum",
            lambda next_probs, ids: float(sum(_factors(next_probs, ids))),
            "You add the conditional probabilities. The probability of one event and then another is a product; a sum "
            "can "
            "exceed 1.",
        ),
        Misconception(
            "last_factor_only",
            lambda next_probs, ids: next_probs(list(ids[:-1]))[ids[-1]] if ids else 1.0,
            "That is the probability of the last token given the others, one factor of many. Multiply the factors of all "
            "tokens.",
        ),
        Misconception(
            "prefix_of_one",
            lambda next_probs, ids: math.prod(
                (next_probs(list(ids[max(t - 1, 0) : t]))[i] for t, i in enumerate(ids)), start=1.0
            ),
            "You pass only the previous token. The model needs the whole prefix ids[:t].",
        ),
        Misconception(
            "no_context",
            lambda next_probs, ids: math.prod((next_probs([])[token] for token in ids), start=1.0),
            "Every factor has an empty context: you multiply as if the tokens were independent.",
        ),
        Misconception(
            "sees_itself",
            lambda next_probs, ids: math.prod(
                (next_probs(list(ids[: t + 1]))[i] for t, i in enumerate(ids)), start=1.0
            ),
            "The prefix of token t ends before it: ids[:t]. Yours already contains the token to be predicted.",
        ),
        Misconception(
            "log_of_zero",
            lambda next_probs, ids: math.exp(sum(math.log(p) for p in _factors(next_probs, ids))),
            "A probability may be 0, and math.log(0) is an error. The product has no such trouble: it is 0.",
        ),
        *map(_log_of_a_little_more, (1e-8, 1e-9, 1e-10, 1e-12)),
        Misconception(
            "zeros_left_out",
            lambda next_probs, ids: math.prod((p for p in _factors(next_probs, ids) if p > 0), start=1.0),
            "You leave out the factors that are 0. One impossible step makes the whole sequence impossible.",
        ),
        Misconception(
            "softmax_again",
            _softmax_again,
            "You take the softmax of probabilities. next_probs returns probabilities already, not logits.",
        ),
        Misconception(
            "one_row_for_all",
            _one_row_for_all,
            "You ask the model once and look all tokens up in that one row. Each token has a row of its own, after its own "
            "prefix.",
        ),
        Misconception(
            "in_float32",
            _in_float32,
            "PyTorch's float32 holds nothing below 1e-45, and keeps seven digits. Python's floats go down to 1e-308.",
        ),
        Misconception(
            "first_token_given",
            lambda next_probs, ids: math.prod(_factors(next_probs, ids)[1:], start=1.0),
            "You take the first token as given. It has a probability too: next_probs([])[ids[0]].",
        ),
        Misconception(
            "log_probability",
            lambda next_probs, ids: float(sum(math.log(p) for p in _factors(next_probs, ids))),
            "This is log P. In practice one computes that, but the exercise asks for the probability: take exp of it.",
        ),
        Misconception(
            "mean_per_token",
            lambda next_probs, ids: math.prod(_factors(next_probs, ids)) ** (1 / len(ids)) if ids else 1.0,
            "You took the geometric mean: that is 1/perplexity. The probability of a sequence is the plain product.",
        ),
    ),
    hints=(
        "Factor t is next_probs(ids[:t])[ids[t]]: first call the model, then look up the next token.",
        "math.prod multiplies a sequence of numbers, and gives 1 for none.",
    ),
)
