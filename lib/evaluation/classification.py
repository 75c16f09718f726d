r"""How good are predicted classes? Accuracy, F1, Matthews' and Spearman's correlations, an interval, and a paired test.

With one class of two taken as positive, TP, FP, FN and TN count true and false positives and negatives.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib import checks

Labels = Int[Tensor, "N"]


class Scores(NamedTuple):
    """Of one class: what share of its predictions is right, what share of its members is found, and F1 of the two."""

    precision: float
    recall: float
    f1: float


class Interval(NamedTuple):
    """From `low` to `high`."""

    low: float
    high: float


def scores_of(hit: int, named: int, there: int) -> Scores:
    """The scores of `hit` right ones among the `named` and among those that are `there`; 0 where the denominator is 0.

    Raises ValueError unless 0 ≤ hit ≤ named and hit ≤ there; TypeError for other than integers.

    >>> scores_of(1, 1, 2)
    Scores(precision=1.0, recall=0.5, f1=0.6666666666666666)
    """
    checks.whole("hit", hit, 0)
    checks.whole("named", named, hit)
    checks.whole("there", there, hit)
    return Scores(_share(hit, named), _share(hit, there), _share(2 * hit, named + there))


def confusion_matrix(labels: Labels, predictions: Labels, classes: int) -> Int[Tensor, "C C"]:
    """How often each class (row) was taken for each class (column).

    Raises ValueError for no example, different lengths or an id outside 0 to classes − 1; TypeError for other than
    integers.

    >>> confusion_matrix(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    checks.whole("classes", classes, 2)
    _check(labels, predictions)
    checks.ids_below(classes, labels=labels, predictions=predictions)
    return torch.bincount(labels * classes + predictions, minlength=classes**2).view(classes, classes)


def accuracy(labels: Labels, predictions: Labels) -> float:
    """The share of examples whose class was named. Raises as `confusion_matrix` does.

    >>> accuracy(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 1, 1, 0]))
    0.75
    """
    _check(labels, predictions)
    return (labels == predictions).double().mean().item()


def class_scores(labels: Labels, predictions: Labels, positive: int = 1) -> Scores:
    r"""Precision TP/(TP + FP), recall TP/(TP + FN) and $F_1=2TP/(2TP+FP+FN)$ of one class; 0 where the denominator is 0.

    Raises as `accuracy` does.

    >>> class_scores(torch.tensor([1, 1, 0, 0]), torch.tensor([1, 0, 0, 0]))
    Scores(precision=1.0, recall=0.5, f1=0.6666666666666666)
    """
    _check(labels, predictions)
    named, there = predictions == positive, labels == positive
    return scores_of(int((named & there).sum()), int(named.sum()), int(there.sum()))


def macro_f1(labels: Labels, predictions: Labels, classes: int) -> float:
    """The mean of the classes' F1, each counting the same however rare it is; a class that never occurs counts 0.

    Raises as `confusion_matrix` does.

    >>> round(macro_f1(torch.tensor([1, 1, 1, 0]), torch.tensor([1, 1, 1, 1]), 2), 3)
    0.429
    """
    cells = confusion_matrix(labels, predictions, classes)
    counts = zip(cells.diagonal().tolist(), cells.sum(dim=0).tolist(), cells.sum(dim=1).tolist())
    return sum(scores_of(*each).f1 for each in counts) / classes


def matthews_correlation(labels: Labels, predictions: Labels, classes: int = 2) -> float:
    r"""Matthews' correlation coefficient, CoLA's metric: 1 if all is right, 0 for one class throughout or for guessing.

    For two classes $(TP\cdot TN-FP\cdot FN)/\sqrt{(TP+FP)(TP+FN)(TN+FP)(TN+FN)}$ (Matthews 1975); for more, Gorodkin's
    form of it (2004). It is 0 where the denominator is 0. Raises as `confusion_matrix` does.

    >>> matthews_correlation(torch.tensor([1, 1, 1, 0]), torch.tensor([1, 1, 1, 1]))
    0.0
    """
    table = confusion_matrix(labels, predictions, classes).double()
    true, named, number = table.sum(dim=1), table.sum(dim=0), table.sum()
    above = table.trace() * number - true @ named
    below = (number**2 - true @ true) * (number**2 - named @ named)
    return (above / below.sqrt()).item() if below > 0 else 0.0


def pearson_correlation(x: Float[Tensor, "N"], y: Float[Tensor, "N"]) -> float:
    """The correlation of two rows of numbers; NaN where one of them is constant.

    Raises ValueError for different lengths, fewer than two numbers, or any that is not finite.

    >>> pearson_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 9.0])) < 0.95
    True
    """
    checks.same_shape(x=x, y=y)
    checks.finite(x=x, y=y)
    if len(x) < 2:
        raise ValueError(f"x and y must hold at least 2 numbers, got {len(x)}")
    a, b = (v.double() - v.double().mean() for v in (x, y))
    below = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / below if below else math.nan


def spearman_correlation(x: Float[Tensor, "N"], y: Float[Tensor, "N"]) -> float:
    """The correlation of the ranks, STS-B's metric; equal numbers share the mean of their ranks. Raises as Pearson's does.

    >>> spearman_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 9.0]))
    1.0
    """
    checks.same_shape(x=x, y=y)
    checks.finite(x=x, y=y)
    return pearson_correlation(_ranks(x), _ranks(y))


def _ranks(x: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
    _, place, counts = x.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts - 1) / 2)[place]


def wilson_interval(right: int, number: int, confidence: float = 0.95) -> Interval:
    r"""Wilson's interval for a share of which `right` of `number` examples were seen (Wilson 1927).

    $(\hat p+z^2/2n\pm z\sqrt{\hat p(1-\hat p)/n+z^2/4n^2})/(1+z^2/n)$; sensible also at 0 and at 1.
    Raises ValueError unless 0 ≤ right ≤ number ≥ 1 and 0 < confidence < 1.

    >>> [round(end, 3) for end in wilson_interval(80, 100)]
    [0.711, 0.867]
    """
    checks.whole("right", right, 0, checks.whole("number", number))
    z = NormalDist().inv_cdf((1 + checks.share("confidence", confidence, "(0, 1)")) / 2)
    share, extra = right / number, z * z / number
    middle = (share + extra / 2) / (1 + extra)
    half = z * math.sqrt(share * (1 - share) / number + extra / (4 * number)) / (1 + extra)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def paired_test(first_right: Bool[Tensor, "N"], second_right: Bool[Tensor, "N"]) -> float:
    """The exact two-sided P value of McNemar's test for two classifiers on the same examples (McNemar 1947).

    Only examples count on which one is right and the other wrong. If both were equally good, each of these would fall to
    either side like a coin: P is the chance of a split at least as uneven. 1 if there is none.
    Raises ValueError for no example or different lengths.

    >>> paired_test(torch.tensor([True] * 6 + [False]), torch.tensor([False] * 6 + [False]))
    0.03125
    """
    checks.same_shape(first_right=first_right, second_right=second_right)
    checks.not_empty(first_right=first_right)
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    differ, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(differ, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / 2**differ)


def _check(labels: Labels, predictions: Labels) -> None:
    checks.integers(labels=labels, predictions=predictions)
    checks.same_shape(labels=labels, predictions=predictions)
    checks.not_empty(labels=labels)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
