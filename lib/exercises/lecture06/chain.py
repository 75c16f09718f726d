"""Exercises of notebook 06: the chain rule, term by term and as a number."""

import math
from collections.abc import Callable, Sequence

import torch

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import next_probs_of_prefix, next_probs_of_steps


# --- chain.terms ------------------------------------------------------------------------------------------------------
def chain_terms(words: Sequence[str]) -> list[tuple[list[str], str]]:
    """The factors of P(words), left to right, as (context, next word); every context begins with [BOS] (slide C19).

    >>> chain_terms(["The", "cat"])
    [(['[BOS]'], 'The'), (['[BOS]', 'The'], 'cat')]
    """
    return [(["[BOS]", *words[:t]], word) for t, word in enumerate(words)]


_SUBJECTS = [
    "cat", "dog", "child", "baker", "teacher", "sailor", "painter", "farmer", "robot", "poet", "queen", "clown",
    "judge", "nurse", "pilot", "thief",
]  # fmt: skip
_VERBS = [
    "sat", "slept", "danced", "sang", "waited", "read", "laughed", "cooked", "shouted", "dreamt", "worked",
    "rested",
]  # fmt: skip
_PLACES = [
    "mat", "roof", "train", "bridge", "beach", "market", "garden", "boat", "hill", "stage", "bench", "ladder",
    "carpet", "island",
]  # fmt: skip
_SMALL = ["on", "under", "near", "behind", "beside", "above", "below", "opposite"]


def _sentences(generator):
    def pick(words, number=1):
        return [words[i] for i in torch.randperm(len(words), generator=generator)[:number].tolist()]

    sentence = ["The", *pick(_SUBJECTS), *pick(_VERBS), *pick(_SMALL), "the", *pick(_PLACES)]
    verse = pick(_VERBS + _PLACES, int(torch.randint(3, 7, (1,), generator=generator)))
    return [
        case("the slide's sentence", ["The", "cat", "sat", "on", "the", "mat"]),
        case("one word", ["Yes"]),
        case("a repeated word", ["tick", "tock", "tick"]),
        case("no words", []),
        case("a random sentence", sentence),
        case("random words, the first of them repeated at the end", [*verse, verse[0]]),
    ]


def _no_start(words):
    return [(list(words[:t]), word) for t, word in enumerate(words)]


def _sees_itself(words):
    return [(["[BOS]", *words[: t + 1]], word) for t, word in enumerate(words)]


def _last_missing(words):
    return chain_terms(words)[:-1]


def _start_predicted(words):
    return [([], "[BOS]"), *chain_terms(words)]


def _from_the_right(words):
    return [(["[BOS]", *words[t + 1 :]], word) for t, word in enumerate(words)]


def _bigrams(words):
    return [([before], word) for before, word in zip(["[BOS]", *words], words)]


def _accumulated(words):
    terms, context = [], ["[BOS]"]
    for word in words:
        terms.append((context.copy(), word))
        context.append(word)
    return terms


def _one_list(words):
    """All contexts are the same list, which grows on."""
    terms, context = [], ["[BOS]"]
    for word in words:
        terms.append((context, word))
        context.append(word)
    return terms


def _in_place(words):
    words.insert(0, "[BOS]")
    return [(words[:t], words[t]) for t in range(1, len(words))]


TERMS = Exercise(
    id="chain.terms",
    slides=("C19", "N37"),
    points=2,
    minutes=8,
    title="The terms of the chain rule",
    reference=chain_terms,
    cases=_sentences,
    accepts=(_accumulated,),
    misconceptions=(
        Misconception(
            "empty_first_context",
            _no_start,
            "Your first word has an empty context. A network needs something to read: every context begins with [BOS].",
        ),
        Misconception(
            "sees_itself",
            _sees_itself,
            "Each context contains the word that is to be predicted. Its probability is then 1, and nothing is "
            "predicted.",
        ),
        Misconception(
            "last_word_missing",
            _last_missing,
            "A sentence of six words has six terms; the term of the last word is missing.",
        ),
        Misconception(
            "first_word_missing",
            lambda words: chain_terms(words)[1:],
            "The first word has a term as well: its context is [BOS] alone.",
        ),
        Misconception(
            "end_predicted",
            lambda words: [*chain_terms(words), (["[BOS]", *words], "[EOS]")],
            "You have one term too many: an end token. Here each of the words has a term, and nothing else.",
        ),
        Misconception(
            "one_list_for_all",
            _one_list,
            "All your contexts are one and the same list, and it grows on after it is stored. Store a copy in each pair.",
        ),
        Misconception(
            "place_by_index",
            lambda words: [(["[BOS]", *words[: words.index(word)]], word) for word in words],
            "words.index(word) finds the first place of a word. Where a word comes twice its context is too short: enumerate "
            "the words.",
        ),
        Misconception(
            "contexts_as_text",
            lambda words: [(" ".join(context), word) for context, word in chain_terms(words)],
            "Your contexts are texts. A context is a list of words, which a model can read one by one.",
        ),
        Misconception(
            "in_place",
            _in_place,
            "You write [BOS] into the list that you were given. Build a new list: ['[BOS]', *words].",
        ),
        Misconception(
            "start_predicted",
            _start_predicted,
            "[BOS] is given, not predicted: nothing comes before it. You have one term too many.",
        ),
        Misconception(
            "right_to_left",
            _from_the_right,
            "Your contexts are the words after each word. The chain rule goes from left to right here: use the words "
            "before it.",
        ),
        Misconception(
            "one_word_of_context",
            _bigrams,
            "You keep only the previous word: that is a bigram model. The chain rule conditions on all previous words.",
        ),
    ),
    hints=(
        "Word number t (from 0) is predicted from [BOS] and words[:t].",
        "A list comprehension over enumerate(words) with (['[BOS]', *words[:t]], word).",
    ),
)


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
    ]


def _factors(next_probs, ids):
    return [next_probs(list(ids[:t]))[token] for t, token in enumerate(ids)]


def _by_logs(next_probs, ids):
    factors = _factors(next_probs, ids)
    return math.exp(sum(map(math.log, factors))) if all(factors) else 0.0


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
        Misconception(
            "log_of_a_little_more",
            lambda next_probs, ids: math.exp(sum(math.log(p + 1e-8) for p in _factors(next_probs, ids))),
            "You add a small number to every probability, so that an impossible sequence becomes possible. Its probability is "
            "exactly 0: multiply, without logarithms.",
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

EXERCISES = (TERMS, SEQUENCE)
