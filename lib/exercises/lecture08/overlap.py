"""Exercises of notebook 08: ROUGE-L (C45) and BLEU (C49), on lists of words."""

import torch

from lib.evaluation.bleu import bleu
from lib.evaluation.rouge import lcs_length
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture08 import overlap_answers as wrong

_WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "in", "mat", "hat"]


def _split(text):
    return text.split()


def _sentence(generator, length):
    return [_WORDS[i] for i in torch.randint(len(_WORDS), (length,), generator=generator).tolist()]


# --- overlap.rouge_l --------------------------------------------------------------------------------------------------
def rouge_l(prediction, reference):
    """F1 of the longest common subsequence of two lists of words."""
    length = lcs_length(prediction, reference)
    return 2 * length / (len(prediction) + len(reference)) if length else 0.0


def _pairs(generator):
    return [
        case("the sentences of the section", _split("the mat sat on the cat"), _split("the cat sat on the mat")),
        case("a prediction that is a beginning", ["the", "cat"], _split("the cat sat on the mat")),
        case("a prediction that is longer", _split("so the cat then sat down on the red mat"), ["the", "cat", "sat"]),
        case("words in the opposite order", ["a", "b", "c", "d"], ["d", "c", "b", "a"]),
        case("common words that are no neighbours", ["a", "x", "b", "y", "c"], ["a", "b", "z", "c"]),
        case("the next common word is not always the right one", ["d", "a", "b", "c"], ["a", "b", "c", "d"]),
        case("the same, the other way round", ["a", "b", "c", "d"], ["d", "a", "b", "c"]),
        case("a word again and again", ["the"] * 4, ["the", "cat", "the"]),
        case("a word that stands twice in the reference alone", ["the", "cat"], _split("the dog and the cat")),
        case("a word that stands twice in the prediction alone", _split("the dog and the cat"), ["the", "cat"]),
        case("nothing in common", ["a", "b"], ["c", "d", "e"]),
        case("an empty prediction", [], ["a", "b"]),
        case("an empty reference", ["a"], []),
        case("two empty texts", [], []),
        case("the same text", ["a", "b", "c"], ["a", "b", "c"]),
        case("two long texts", _sentence(generator, 40), _sentence(generator, 35)),
    ]


ROUGE_L = Exercise(
    id="overlap.rouge_l",
    slides=("C45",),
    points=4,
    minutes=20,
    title="ROUGE-L",
    reference=rouge_l,
    cases=_pairs,
    accepts=(wrong.rouge_l_by_rows, wrong.rouge_l_with_memory),
    withheld=(
        "lib.evaluation.rouge.rouge_l",
        "lib.evaluation.rouge.rouge_l_sum",
        "lib.evaluation.rouge._lcs_table",
        "lib.evaluation.rouge._lcs_places",
        "lib.evaluation.rouge._score",
    ),
    misconceptions=(
        Misconception(
            "recall",
            lambda p, r: lcs_length(p, r) / len(r) if r else 0.0,
            "You divide by the length of the reference: that is the recall. The F1 also asks how much of the prediction is "
            "right.",
        ),
        Misconception(
            "precision",
            lambda p, r: lcs_length(p, r) / len(p) if p else 0.0,
            "You divide by the length of the prediction: that is the precision. The F1 also asks how much of the "
            "reference is there.",
        ),
        Misconception(
            "length_alone",
            lambda p, r: float(lcs_length(p, r)),
            "You return the length of the longest common subsequence itself. It must be related to both lengths.",
        ),
        Misconception(
            "substring",
            wrong.substring,
            "You look for the longest run of neighbours that both have. In a subsequence there may be other words between.",
        ),
        Misconception(
            "order_ignored",
            wrong.order_ignored,
            "You count common words in whatever order they come: that is ROUGE-1. A subsequence keeps the order.",
        ),
        Misconception(
            "greedy",
            wrong.greedy,
            "You take each common word as soon as it comes. An early match far away can cost several later ones: try both, "
            "with a table.",
        ),
        Misconception(
            "different_words",
            wrong.different_words,
            "You count each different word once. A word that comes twice in both texts counts twice.",
        ),
        Misconception(
            "one_row_overwritten",
            wrong.one_row_overwritten,
            "You keep one row and overwrite it from the left. L[i−1][j−1] is then gone when you need it, and a word of one "
            "text is counted with two of the other: keep the row above.",
        ),
        Misconception(
            "nothing_in_common_divided",
            wrong.only_empty_texts_guarded,
            "Where nothing is common P + R is 0, and you divide by it. Ask for a common length of 0 first: the result is 0.",
        ),
        Misconception(
            "mean_of_both",
            lambda p, r: lcs_length(p, r) * (1 / len(p) + 1 / len(r)) / 2 if p and r else 0.0,
            "You took the mean of precision and recall. F1 is their harmonic mean, 2PR / (P + R).",
        ),
        Misconception(
            "per_cent",
            lambda p, r: 100 * rouge_l(p, r),
            "Your result is 100 times as large. Papers print per cent; asked for is a number from 0 to 1.",
        ),
        Misconception(
            "empty_texts_are_equal",
            lambda p, r: rouge_l(p, r) if p or r else 1.0,
            "Two empty texts score 0, as in the field's package: nothing of the reference was found.",
        ),
        Misconception(
            "longer_length",
            lambda p, r: lcs_length(p, r) / max(len(p), len(r)) if p and r else 0.0,
            "You divide by the longer of the two lengths. F1 divides twice the common length by their sum.",
        ),
    ),
    hints=(
        "Let L[i][j] be the length of the longest common subsequence of the first i words of one text and the first j of "
        "the other. What is L[0][j]?",
        "If word i and word j are the same, L[i][j] = L[i−1][j−1] + 1. If not, one of the two is left out: the larger of "
        "L[i−1][j] and L[i][j−1].",
        "With ℓ = L at the end, P = ℓ/|prediction|, R = ℓ/|reference|. Where ℓ = 0 the result is 0.",
    ),
)


# --- overlap.bleu -----------------------------------------------------------------------------------------------------
def corpus_bleu(predictions, references):
    """lib's bleu on words, without smoothing."""
    joined = ([" ".join(words) for words in texts] for texts in (predictions, references))
    return bleu(*joined, tokenize="none", smoothing="none").score


def _corpora(generator):
    split = lambda *texts: [text.split() for text in texts]  # noqa: E731
    base = _sentence(generator, 14)
    near = [word if i % 5 else "so" for i, word in enumerate(base)]
    return [
        case("one sentence", split("the cat sat on the mat today"), split("the cat sat on the mat now")),
        case(
            "two sentences of different lengths",
            split("the cat sat on the mat", "so it rained all day long and all the night"),
            split("the cat sat on the mat", "it rained all day long and all night"),
        ),
        case("shorter than the reference", split("the cat sat on"), split("the cat sat on the red mat")),
        case("longer than the reference", split("oh the cat sat on the mat again"), split("the cat sat on the mat")),
        case(
            "one too short, one too long",
            split("the cat sat on", "oh then the dog ran in the big hat again"),
            split("the cat sat on the red mat", "then the dog ran in the hat"),
        ),
        case(
            "a word again and again",
            split("the the the cat sat on the mat"),
            split("the cat sat on the mat by day"),
        ),
        case(
            "n-grams of another sentence's reference",
            split("the cat sat on the mat", "the dog ran in the hat"),
            split("the cat sat on the mat and the dog ran", "a cat ran in the hat"),
        ),
        case(
            "a prediction of two words beside a long one",
            split("the cat", "the dog ran in the hat"),
            split("the cat", "the dog ran in the hat"),
        ),
        case("no common run of four words", split("the cat sat by the mat"), split("the cat sat on the mat")),
        case("nothing in common", split("a b c d"), split("e f g h")),
        case("an empty prediction", [[]], split("the cat")),
        case("no sentence of four words", split("the cat sat"), split("the cat sat")),
        case(
            "a prediction of one word beside a long one",
            split("so", "the dog ran in the hat"),
            split("so", "the dog ran in the hat"),
        ),
        case("a drawn sentence, changed here and there", [near], [base]),
    ]


BLEU = Exercise(
    id="overlap.bleu",
    slides=("C49",),
    points=4,
    minutes=25,
    title="BLEU of a corpus",
    reference=corpus_bleu,
    cases=_corpora,
    accepts=(wrong.bleu_by_counters, wrong.bleu_by_loops),
    withheld=("lib.evaluation.bleu._combine", "lib.evaluation.bleu._ngrams"),
    misconceptions=(
        Misconception(
            "mean_of_sentences",
            lambda p, r: sum(wrong.bleu_by_counters([a], [b]) for a, b in zip(p, r)) / len(p),
            "You took the mean of the sentences' BLEU. Matches and n-grams are added up over the corpus first, then "
            "divided.",
        ),
        Misconception(
            "not_clipped",
            lambda p, r: wrong.variant(p, r, clipped=False),
            "An n-gram that is written more often than the reference has it counts too often. Clip: no more matches than "
            "the reference has.",
        ),
        Misconception(
            "no_brevity_penalty",
            lambda p, r: wrong.variant(p, r, penalty="none"),
            "A text that is too short is not punished: the brevity penalty is missing.",
        ),
        Misconception(
            "penalty_upside_down",
            lambda p, r: wrong.variant(p, r, penalty="upside down"),
            "In the exponent of the penalty stands 1 − r/c: the reference's length over that of the prediction.",
        ),
        Misconception(
            "penalty_for_length_too",
            lambda p, r: wrong.variant(p, r, penalty="both"),
            "Your penalty exceeds 1 where the text is longer than its reference. It is 1 at most.",
        ),
        Misconception(
            "penalty_by_sentence",
            lambda p, r: wrong.variant(p, r, penalty="by sentence"),
            "You punish each sentence by itself. The penalty compares the lengths of the whole corpus.",
        ),
        Misconception(
            "missing_words",
            wrong.missing_words,
            "You add up what each short sentence lacks, so a long one does not make up for it. The penalty compares the "
            "lengths of the whole corpus.",
        ),
        Misconception(
            "negative_counts",
            wrong.negative_counts,
            "A sentence of fewer than n − 1 words has a negative len − n + 1 and takes n-grams away from the others. It has "
            "none: count at least 0.",
        ),
        Misconception(
            "divided_first",
            wrong.divided_first,
            "Where no sentence has n words you divide 0 by 0. Ask whether there are matches before you divide: if not, the "
            "result is 0.",
        ),
        Misconception(
            "arithmetic_mean",
            lambda p, r: wrong.variant(p, r, mean="arithmetic"),
            "You took the arithmetic mean of the four precisions. It is the geometric one, so that one 0 makes the whole 0.",
        ),
        Misconception(
            "product",
            lambda p, r: wrong.variant(p, r, mean="product"),
            "You multiply the four precisions, but take no fourth root.",
        ),
        Misconception(
            "recall",
            lambda p, r: wrong.variant(p, r, recall=True),
            "You divide by the n-grams of the reference: that is ROUGE's recall. BLEU divides by those of the prediction.",
        ),
        Misconception(
            "up_to_three",
            lambda p, r: wrong.variant(p, r, order=3),
            "You stop at 3-grams. BLEU goes up to 4.",
        ),
        Misconception(
            "share",
            lambda p, r: wrong.bleu_by_counters(p, r) / 100,
            "Your result lies between 0 and 1. Asked for is 100 times as much.",
        ),
        Misconception(
            "pooled",
            wrong.pooled,
            "You clip with the n-grams of all references together. A sentence is held against its own reference.",
        ),
    ),
    hints=(
        "Two numbers for each n from 1 to 4, summed over the sentences: matches, and n-grams written.",
        "collections.Counter: `(Counter(ours) & Counter(theirs)).total()` counts matches, clipped.",
        "If any of the four numbers of matches is 0, the result is 0 (ln 0 is not a number). Else exp of the mean of the "
        "four logarithms, times min(1, exp(1 − r/c)), times 100.",
    ),
)

EXERCISES = (ROUGE_L, BLEU)
