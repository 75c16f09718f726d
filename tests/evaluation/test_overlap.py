"""ROUGE and BLEU against the field's packages (a table of their numbers), enumeration and properties."""

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.evaluation.bleu import TOKENIZERS, bleu, bleu_words
from lib.evaluation.rouge import lcs_length, lead, rouge_l, rouge_l_sum, rouge_n, rouge_words

TABLE = json.loads((Path(__file__).parent / "overlap_reference.json").read_text(encoding="utf-8"))
KINDS = {"rouge1": rouge_n, "rouge2": lambda p, r: rouge_n(p, r, 2), "rougeL": rouge_l, "rougeLsum": rouge_l_sum}


@pytest.mark.parametrize("kind", KINDS)
def test_rouge_is_that_of_rouge_score(kind):
    for row in (row for row in TABLE["rouge"] if kind in row):
        ours = KINDS[kind](row["prediction"], row["reference"])
        assert ours == pytest.approx(row[kind], abs=1e-8), row


def test_bleu_is_that_of_sacrebleu():
    seen = set()
    for row in TABLE["bleu"]:
        for tokenize, lowercase, smoothing, score, penalty, *lengths in row["scores"]:
            ours = bleu(
                row["predictions"], row["references"], tokenize=tokenize, lowercase=lowercase, smoothing=smoothing
            )
            assert (ours.score, ours.brevity_penalty) == pytest.approx((score, penalty), abs=1e-6), row
            assert [ours.length, ours.reference_length] == lengths
            seen.add((tokenize, lowercase, smoothing))
    assert len(seen) == 12


WORDS = st.lists(st.sampled_from("abc"), max_size=6)


@given(WORDS, WORDS)
def test_the_longest_common_subsequence_is_the_longest_of_all(a, b):
    found = {part for k in range(len(a) + 1) for part in itertools.combinations(a, k)}
    found &= {part for k in range(len(b) + 1) for part in itertools.combinations(b, k)}
    assert lcs_length(a, b) == max(map(len, found))


@given(WORDS, WORDS)
def test_precision_is_recall_the_other_way_round(a, b):
    for measure in KINDS.values():
        one, other = measure(" ".join(a), " ".join(b)), measure(" ".join(b), " ".join(a))
        if measure is not rouge_l_sum:  # of several longest subsequences it takes one
            assert (one.precision, one.f1) == pytest.approx((other.recall, other.f1))
        assert 0 <= one.f1 <= 1


def test_the_sentences_of_the_lecture():
    false, reference = "the mat sat on the cat", "the cat sat on the mat"
    assert [round(measure(false, reference).f1, 4) for measure in KINDS.values()] == [1.0, 0.8, 0.6667, 0.6667]
    assert bleu([false], [reference]).precisions == pytest.approx((100, 80, 25, 100 / 6))
    assert bleu([false], [reference], smoothing="none").score == 0.0


def test_a_list_of_references_takes_the_nearest_length_and_the_best_match():
    both = bleu(["a b c d e"], [["a b c d", "x x x x x x", "a b c d e f g h"]], tokenize="none")
    assert both.reference_length == 4 and both.precisions[0] == 100.0  # two are one word off: the shorter one


def test_lead_and_words():
    assert lead("One.\n\nTwo.\nThree.", 2) == "One.\nTwo." and lead("One.", 3) == "One."
    assert rouge_words("Ünder_score") == ["nder", "score"]  # as the package does: a to z and digits alone
    assert [bleu_words("It costs 3.50, or 1,000-ish &amp; more.", name)[2] for name in TOKENIZERS] == [
        "3.50", "3.50", "3.50,",
    ]  # fmt: skip


def test_empty_texts():
    for measure in KINDS.values():
        assert measure("", "") == measure("a", "") == measure("", "a") == (0.0, 0.0, 0.0)
    assert bleu([""], ["a b"]).score == 0.0 and bleu(["a b"], [""]).score == 0.0


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: rouge_n("a", "a", 0), "n must be at least 1"),
        (lambda: rouge_l(["a"], "a"), "parameter 'prediction'"),
        (lambda: rouge_l_sum("a", None), "parameter 'reference'"),
        (lambda: lead("a", 0), "sentences must be"),
        (lambda: bleu([], []), "predictions must not be empty"),
        (lambda: bleu(["a"], ["a", "b"]), "must be equally long|predictions"),
        (lambda: bleu(["a"], [[]]), "references must not be empty"),
        (lambda: bleu(["a"], ["a"], tokenize="15a"), "'13a', 'intl' or 'none'"),
        (lambda: bleu(["a"], ["a"], smoothing="add"), "'exp' or 'none'"),
        (lambda: bleu_words(3), "parameter 'text'"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
