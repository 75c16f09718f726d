"""Exercises of notebook 06 on the chain rule: its terms; the number comes from `chain_sequence`."""

from collections.abc import Sequence

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture06.chain_sequence import SEQUENCE


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


def _one_term_per_word(words):
    """A dict from word to context: a repeated word keeps only its last context."""
    return [(context, word) for word, context in {word: context for context, word in chain_terms(words)}.items()]


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
            "one_term_per_word",
            _one_term_per_word,
            "A word that comes twice has only one term: in a dict with words as keys the second one replaces the first. "
            "Append to a list.",
        ),
        Misconception(
            "words_to_the_end",
            lambda words: [["[BOS]", *words[: t + 1]] for t in range(len(words))],
            "Each of your entries is one list with the word at its end. Asked for are pairs: the context, then the word.",
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
        "enumerate(words) gives t and the word. Its context is a new list each time: [BOS], then what stands before place t.",
    ),
)

EXERCISES = (TERMS, SEQUENCE)
