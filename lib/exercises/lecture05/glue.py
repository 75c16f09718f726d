"""Exercises of lecture 05 about measures: `glue.matthews`, `glue.entity_f1` and `glue.calibration_error`."""

import math

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture05.glue_calibration import CALIBRATION_ERROR
from lib.exercises.lecture05.glue_entities import ENTITY_F1


# --- glue.matthews ----------------------------------------------------------------------------------------------------
def matthews(labels, predictions):
    """Matthews' correlation of two rows of 0 and 1; 0 where it is not defined."""
    tp, tn = int((labels * predictions).sum()), int(((1 - labels) * (1 - predictions)).sum())
    fp, fn = int(((1 - labels) * predictions).sum()), int((labels * (1 - predictions)).sum())
    below = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / math.sqrt(below) if below else 0.0


def _counted(labels, predictions):
    pairs = list(zip(labels, predictions))
    return pairs.count((1, 1)), pairs.count((0, 0)), pairs.count((0, 1)), pairs.count((1, 0))


def _of(formula):
    """An answer that is a formula of TP, TN, FP and FN."""
    return lambda labels, predictions: formula(*_counted(labels.tolist(), predictions.tolist()))


def _ratio(above, below, undefined=0.0):
    return above / below if below else undefined


def _root(tp, tn, fp, fn):
    return math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))


def _as_correlation(labels, predictions):
    x, y = labels.double() - labels.double().mean(), predictions.double() - predictions.double().mean()
    below = (x.square().sum() * y.square().sum()).sqrt()
    return float((x * y).sum() / below) if below > 0 else 0.0


def _whole_tensors(labels, predictions):
    tp, fp = (labels * predictions).sum(), ((1 - labels) * predictions).sum()
    fn, tn = (labels * (1 - predictions)).sum(), ((1 - labels) * (1 - predictions)).sum()
    below = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return float((tp * tn - fp * fn) / below.double().sqrt()) if below != 0 else 0.0


def _guarded_by_predictions(undefined):
    """An answer that asks only whether one class is named throughout; else `undefined` is what a denominator of 0 gives."""

    def answer(labels, predictions):
        constant = len(predictions.unique()) == 1
        return 0.0 if constant else _of(lambda *n: undefined(n[0] * n[1] - n[2] * n[3], _root(*n)))(labels, predictions)

    return answer


def _matthews_cases(generator):
    def rows(labels, predictions):
        return torch.tensor(labels), torch.tensor(predictions)

    labels = (torch.rand(200, generator=generator) < 0.3).long()
    flipped = torch.where(torch.rand(200, generator=generator) < 0.2, 1 - labels, labels)
    many = torch.arange(300_000) % 2
    return [
        case("half right of each", *rows([1, 1, 0, 0], [1, 0, 0, 1])),
        case("all right", *rows([1, 0, 1, 0, 0], [1, 0, 1, 0, 0])),
        case("all wrong", *rows([1, 0, 1], [0, 1, 0])),
        case("one class throughout", *rows([1, 1, 1, 0], [1, 1, 1, 1])),
        case("one class throughout, all right", *rows([1, 1, 1], [1, 1, 1])),
        case("the other class throughout", *rows([1, 1, 1, 0], [0, 0, 0, 0])),
        case("one true class", *rows([0, 0, 0], [0, 1, 0])),
        case("a rare class", *rows([0] * 18 + [1, 1], [0] * 17 + [1, 1, 0])),
        case("more often named than there", *rows([1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0])),
        case("two hundred, a fifth of them flipped", labels, flipped),
        case("three hundred thousand", many, torch.where(torch.arange(300_000) % 10 == 3, 1 - many, many)),
    ]


MATTHEWS = Exercise(
    id="glue.matthews",
    slides=("N30", "W09"),
    points=3,
    minutes=12,
    title="Matthews' correlation",
    reference=matthews,
    cases=_matthews_cases,
    accepts=(_as_correlation, _of(lambda *n: _ratio(n[0] * n[1] - n[2] * n[3], _root(*n)))),
    withheld=(
        "lib.evaluation.classification.matthews_correlation",
        "lib.evaluation.classification.confusion_matrix",
        "lib.evaluation.classification._ranks",
        "lib.evaluation.classification.pearson_correlation",
        "lib.evaluation.classification.spearman_correlation",
    ),
    misconceptions=(
        Misconception(
            "accuracy",
            _of(lambda tp, tn, fp, fn: (tp + tn) / (tp + tn + fp + fn)),
            "This is the accuracy, which rewards naming the commoner class. The correlation does not.",
        ),
        Misconception(
            "accuracy_rescaled",
            _of(lambda tp, tn, fp, fn: 2 * (tp + tn) / (tp + tn + fp + fn) - 1),
            "This is the accuracy from −1 to 1. It depends on how common the classes are; the correlation weighs both.",
        ),
        Misconception(
            "f1",
            _of(lambda tp, tn, fp, fn: _ratio(2 * tp, 2 * tp + fp + fn)),
            "This is F1, which never looks at TN, the right zeros.",
        ),
        Misconception(
            "no_root",
            _of(lambda *n: _ratio(n[0] * n[1] - n[2] * n[3], _root(*n) ** 2)),
            "The square root of the denominator is missing: a perfect answer must give 1.",
        ),
        Misconception(
            "plus",
            _of(lambda *n: _ratio(n[0] * n[1] + n[2] * n[3], _root(*n))),
            "You add FP · FN. Errors count against an answer: subtract them.",
        ),
        Misconception(
            "right_only",
            _of(lambda *n: _ratio(n[0] * n[1], _root(*n))),
            "You leave out FP · FN. An answer that is always wrong must give −1.",
        ),
        Misconception(
            "without_sign",
            lambda labels, predictions: abs(matthews(labels, predictions)),
            "You lose the sign. An answer that is wrong each time has the correlation −1.",
        ),
        Misconception(
            "mixed_up",
            _of(lambda tp, tn, fp, fn: _ratio(tp * fp - tn * fn, _root(tp, tn, fp, fn))),
            "You pair the counts in another way. Above the line stand the right ones together, TP · TN, minus the wrong ones.",
        ),
        Misconception(
            "nan",
            _of(lambda *n: _ratio(n[0] * n[1] - n[2] * n[3], _root(*n), math.nan)),
            "Where one class is named throughout you get NaN. The statement asks for 0 there.",
        ),
        Misconception(
            "divided_by_zero",
            _of(lambda *n: (n[0] * n[1] - n[2] * n[3]) / _root(*n)),
            "Where one of the four sums is 0 you divide by 0. The statement asks for 0 there.",
        ),
        Misconception(
            "one_true_class_forgotten",
            _guarded_by_predictions(lambda above, below: above / below),
            "You treat the case that one class is *named* throughout. One class may also be the only true one: the "
            "denominator is 0 there, too.",
        ),
        Misconception(
            "one_true_class_is_nan",
            _guarded_by_predictions(lambda above, below: _ratio(above, below, math.nan)),
            "You treat the case that one class is *named* throughout. Where one class is the only true one you give NaN; the "
            "statement asks for 0.",
        ),
        Misconception(
            "counts_overflow",
            _whole_tensors,
            "For many examples the product of four counts is too large for int64 tensors. Make Python ints or floats of the "
            "counts.",
        ),
        Misconception(
            "one_where_all_is_right",
            lambda labels, predictions: 1.0 if bool((labels == predictions).all()) else matthews(labels, predictions),
            "Where there is one class alone, being right all the time still shows no relation: the statement asks for 0.",
        ),
        Misconception(
            "accuracy_where_undefined",
            _of(lambda *n: _ratio(n[0] * n[1] - n[2] * n[3], _root(*n), (n[0] + n[1]) / sum(n))),
            "Where the denominator is 0 you give the accuracy. The statement asks for 0 there.",
        ),
        Misconception(
            "rounded_up_below",
            _of(lambda *n: (n[0] * n[1] - n[2] * n[3]) / max(1.0, _root(*n) + 1.0)),
            "You add something to the denominator so that it is never 0. This moves every other value: treat 0 by itself.",
        ),
        Misconception(
            "per_cent",
            lambda labels, predictions: 100 * matthews(labels, predictions),
            "This is a hundred times as much. GLUE's tables print it so; asked is a number from −1 to 1.",
        ),
        Misconception(
            "three_factors",
            _of(lambda tp, tn, fp, fn: _ratio(tp * tn - fp * fn, math.sqrt((tp + fp) * (tp + fn) * (tn + fp)))),
            "A factor is missing below the line: there are four sums, each of a right and a wrong count.",
        ),
        Misconception(
            "precision_and_recall",
            _of(lambda tp, tn, fp, fn: math.sqrt(_ratio(tp, tp + fp) * _ratio(tp, tp + fn))),
            "This is the geometric mean of precision and recall, which never looks at TN, the right zeros.",
        ),
    ),
    hints=(
        "Count first: TP, TN, FP, FN. Which of the four is `(labels == 1) & (predictions == 0)`?",
        "Python's whole numbers have no largest one; a product of four counts can leave the range of a tensor's.",
        "What is the denominator if one class is named throughout? Ask before you divide.",
    ),
)


EXERCISES = (MATTHEWS, ENTITY_F1, CALIBRATION_ERROR)
