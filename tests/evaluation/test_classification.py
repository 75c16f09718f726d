"""Measures of classification against scikit-learn and SciPy, at their limits, and for bad input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.evaluation.calibration import calibrated_errors, fit_temperature, reliability
from lib.evaluation.classification import (
    accuracy,
    class_scores,
    confusion_matrix,
    macro_f1,
    matthews_correlation,
    paired_test,
    pearson_correlation,
    scores_of,
    spearman_correlation,
    wilson_interval,
)
from lib.evaluation.spans import answer_scores, best_span, entities_of, entity_scores, normalised

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@settings(max_examples=25)
@given(rows)
def test_as_scikit_learn_has_it(pairs):
    metrics = pytest.importorskip("sklearn.metrics")
    labels, predictions = torch.tensor(pairs).T
    y, p = labels.tolist(), predictions.tolist()
    everything = {"labels": range(4), "zero_division": 0}
    assert confusion_matrix(labels, predictions, 4).tolist() == metrics.confusion_matrix(y, p, labels=range(4)).tolist()
    assert accuracy(labels, predictions) == pytest.approx(metrics.accuracy_score(y, p))
    assert macro_f1(labels, predictions, 4) == pytest.approx(metrics.f1_score(y, p, average="macro", **everything))
    theirs = metrics.precision_recall_fscore_support(y, p, average=None, **everything)
    assert class_scores(labels, predictions, 2) == pytest.approx([part[2] for part in theirs[:3]])
    assert matthews_correlation(labels, predictions, 4) == pytest.approx(metrics.matthews_corrcoef(y, p), abs=1e-12)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=3, max_size=30))
def test_correlations_are_scipys_ties_and_all(pairs):
    stats = pytest.importorskip("scipy.stats")
    x, y = torch.tensor(pairs, dtype=torch.float64).T
    if len(set(x.tolist())) < 2 or len(set(y.tolist())) < 2:
        assert math.isnan(spearman_correlation(x, y)) and math.isnan(pearson_correlation(x, y))
        return
    assert spearman_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert pearson_correlation(x, y) == pytest.approx(stats.pearsonr(x, y).statistic)


@given(st.integers(0, 50), st.integers(1, 50))
def test_intervals_and_the_paired_test_are_scipys(right, number):
    stats = pytest.importorskip("scipy.stats")
    right = min(right, number)
    theirs = stats.binomtest(right, number).proportion_ci(0.95, "wilson")
    assert wilson_interval(right, number) == pytest.approx([theirs.low, theirs.high], abs=1e-9)
    first = torch.tensor([True] * right + [False] * (number - right) + [True])
    second = torch.tensor([False] * right + [True] * (number - right) + [True])
    assert paired_test(first, second) == pytest.approx(stats.binomtest(right, number).pvalue)


def test_one_class_throughout():
    labels = torch.tensor([1, 1, 1, 0])
    assert matthews_correlation(labels, torch.ones_like(labels)) == 0
    assert class_scores(labels, torch.zeros_like(labels)) == (0, 0, 0)
    assert macro_f1(torch.tensor([0, 0]), torch.tensor([0, 0]), 3) == pytest.approx(1 / 3)
    assert paired_test(torch.tensor([True]), torch.tensor([True])) == 1


def test_bad_input_is_named(unchecked):
    one, two = torch.tensor([1]), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="labels"):
        accuracy(one, two)
    with pytest.raises(TypeError, match="predictions"):
        accuracy(two, two.float())
    with pytest.raises(ValueError, match="labels"):
        confusion_matrix(torch.tensor([0, 2]), two, 2)
    with pytest.raises(ValueError, match="named"):
        scores_of(2, 1, 2)
    with pytest.raises(ValueError, match="there"):
        scores_of(2, 2, 1)
    with pytest.raises(ValueError, match="finite"):
        spearman_correlation(torch.tensor([1.0, math.nan]), torch.tensor([1.0, 2.0]))
    with pytest.raises(ValueError, match="right"):
        wilson_interval(3, 2)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        reliability(torch.tensor([1.5]), torch.tensor([True]))
    with pytest.raises(ValueError, match="tags"):
        entities_of(["PER"])
    with pytest.raises(ValueError, match="allowed"):
        best_span(torch.zeros(2), torch.zeros(2), torch.zeros(2, dtype=torch.bool), 2)


def test_reliability_of_a_calibrated_forecaster_and_of_the_edges():
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(20_000, generator=generator, dtype=torch.float64)
    assert reliability(p, torch.rand(20_000, generator=generator, dtype=torch.float64) < p).error < 0.02
    assert reliability(torch.tensor([0.0, 0.25, 0.5, 1.0]), torch.ones(4).bool(), 4).size.tolist() == [2, 1, 0, 1]


def test_the_temperature_is_the_one_that_was_put_in():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20_000, 3, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.05)


@given(st.lists(st.lists(st.sampled_from(("O", "B-X", "I-X", "B-Y", "I-Y")), max_size=8), min_size=1, max_size=3))
def test_entities_cover_what_is_tagged_and_are_all_right_against_themselves(tags):
    for sentence in tags:
        inside = {i for e in entities_of(sentence) for i in range(e.begin, e.end)}
        assert inside == {i for i, tag in enumerate(sentence) if tag != "O"}
    assert entity_scores(tags, tags).f1 == (1.0 if any(tag != "O" for s in tags for tag in s) else 0.0)


@given(st.integers(1, 8), st.integers(1, 8), st.randoms())
def test_the_best_span_is_the_one_of_two_loops(T, longest, random):
    start, end = (torch.tensor([float(random.randint(-3, 3)) for _ in range(T)]) for _ in range(2))
    allowed = torch.tensor([random.random() < 0.7 for _ in range(T)])
    allowed[random.randrange(T)] = True
    spans = [(i, j) for i in range(T) for j in range(i, min(T, i + longest)) if allowed[i] and allowed[j]]
    assert best_span(start, end, allowed, longest) == max(spans, key=lambda s: float(start[s[0]] + end[s[1]]))


def test_answers_are_compared_as_squad_does():
    assert normalised("The  Eiffel-Tower, a tower.") == ["eiffeltower", "tower"]
    assert answer_scores("the dog", "Dog!") == (True, 1.0)
    assert answer_scores("dog dog", "dog") == (False, pytest.approx(2 / 3))
    assert answer_scores("", "the") == (True, 1.0) and answer_scores("", "dog") == (False, 0.0)


def test_the_error_of_a_forecaster_whose_claims_come_true():
    generator = torch.Generator().manual_seed(0)
    one = calibrated_errors(torch.tensor([0.8], dtype=torch.float64), generator=generator)  # right: 0.2 off, else 0.8
    assert set(one.mul(10).round().int().tolist()) == {2, 8} and one.mean() == pytest.approx(2 * 0.8 * 0.2, abs=0.03)
    claims = 0.5 + 0.5 * torch.rand(300, generator=generator)
    drawn = calibrated_errors(claims, 10, 1, generator=torch.Generator().manual_seed(1))
    right = torch.rand(1, 300, generator=torch.Generator().manual_seed(1), dtype=torch.float64)[0] < claims.double()
    assert drawn.tolist() == pytest.approx([reliability(claims, right).error])
    many = torch.full((2000,), 0.7)  # one bin: the mean distance of a share from its truth, sqrt(2 p (1 - p) / (pi N))
    expected = math.sqrt(2 * 0.21 / math.pi / 2000)
    assert calibrated_errors(many, generator=generator).mean().item() == pytest.approx(expected, rel=0.1)
    assert calibrated_errors(torch.ones(5)).max() == 0
    for bad in (
        {"confidence": torch.tensor([1.2])},
        {"confidence": torch.ones(0)},
        {"confidence": torch.ones(2), "draws": 0},
    ):
        with pytest.raises(ValueError):
            calibrated_errors(**bad)
