"""Support for overlap: right and wrong ways to compare words."""

import math
from collections import Counter
from functools import cache

EXERCISES = ()  # the exercises are in overlap.py


def _f1(length, prediction, reference):
    return 2 * length / (len(prediction) + len(reference)) if length else 0.0


def rouge_l_by_rows(prediction, reference):
    """Right: one row of the table at a time."""
    row = [0] * (len(reference) + 1)
    for word in prediction:
        above, row = row, [0]
        for j, other in enumerate(reference):
            row.append(above[j] + 1 if word == other else max(row[j], above[j + 1]))
    return _f1(row[-1], prediction, reference)


def rouge_l_with_memory(prediction, reference):
    """Right: by recursion that remembers."""

    @cache
    def length(i, j):
        if not i or not j:
            return 0
        if prediction[i - 1] == reference[j - 1]:
            return length(i - 1, j - 1) + 1
        return max(length(i - 1, j), length(i, j - 1))

    common = length(len(prediction), len(reference))
    if common == 0:
        return 0.0
    p, r = common / len(prediction), common / len(reference)
    return 2 * p * r / (p + r)


def one_row_overwritten(prediction, reference):
    row = [0] * (len(reference) + 1)
    for word in prediction:
        for j, other in enumerate(reference, 1):
            row[j] = row[j - 1] + 1 if word == other else max(row[j], row[j - 1])
    return _f1(row[-1], prediction, reference)


def only_empty_texts_guarded(prediction, reference):
    if not prediction or not reference:
        return 0.0
    common = rouge_l_by_rows(prediction, reference) * (len(prediction) + len(reference)) / 2
    p, r = common / len(prediction), common / len(reference)
    return 2 * p * r / (p + r)


def substring(prediction, reference):
    longest = 0
    for i in range(len(prediction)):
        for j in range(len(reference)):
            k = 0
            while i + k < len(prediction) and j + k < len(reference) and prediction[i + k] == reference[j + k]:
                k += 1
            longest = max(longest, k)
    return _f1(longest, prediction, reference)


def order_ignored(prediction, reference):
    return _f1((Counter(prediction) & Counter(reference)).total(), prediction, reference)


def greedy(prediction, reference):
    found, place = 0, 0
    for word in prediction:
        if word in reference[place:]:
            place += reference[place:].index(word) + 1
            found += 1
    return _f1(found, prediction, reference)


def different_words(prediction, reference):
    return _f1(len(set(prediction) & set(reference)), prediction, reference)


def ngrams(words, n):
    return Counter(zip(*(words[i:] for i in range(n))))


def bleu_by_counters(predictions, references):
    """Right."""
    return variant(predictions, references)


def bleu_by_loops(predictions, references):
    """Right."""
    logs = []
    for n in (1, 2, 3, 4):
        right = written = 0
        for ours, theirs in zip(predictions, references):
            left = [theirs[i : i + n] for i in range(len(theirs) - n + 1)]
            for i in range(len(ours) - n + 1):
                written += 1
                if ours[i : i + n] in left:
                    left.remove(ours[i : i + n])
                    right += 1
        if right == 0:
            return 0.0
        logs.append(math.log(right / written))
    c, r = sum(map(len, predictions)), sum(map(len, references))
    return 100 * math.exp(sum(logs) / 4 + min(0, 1 - r / c))


def variant(
    predictions, references, *, clipped=True, penalty="corpus", mean="geometric", recall=False, order=4
):  # fmt: skip
    """BLEU with one mistake, chosen by the arguments; without any, a right answer."""
    shares = []
    for n in range(1, order + 1):
        pairs = [(ngrams(p, n), ngrams(r, n)) for p, r in zip(predictions, references)]
        hits = sum((p & r).total() if clipped else sum(k for gram, k in p.items() if gram in r) for p, r in pairs)
        counted = sum((r if recall else p).total() for p, r in pairs)
        shares.append(hits / counted if counted else 0.0)
    if mean == "arithmetic":
        score = sum(shares) / order
    elif mean == "product":
        score = math.prod(shares)
    else:
        score = math.prod(shares) ** (1 / order)
    return 100 * score * _penalty(predictions, references, penalty)


def _penalty(predictions, references, kind):
    c, r = sum(map(len, predictions)), sum(map(len, references))
    if kind == "none" or not c:
        return 1.0
    if kind == "upside down":
        return min(1.0, math.exp(1 - c / r))
    if kind == "both":
        return math.exp(1 - r / c)
    if kind == "by sentence":
        each = [min(1.0, math.exp(1 - len(b) / len(a))) for a, b in zip(predictions, references)]
        return sum(each) / len(each)
    return min(1.0, math.exp(1 - r / c))


def negative_counts(predictions, references):
    product = 1.0
    for n in range(1, 5):
        hits = sum((ngrams(p, n) & ngrams(r, n)).total() for p, r in zip(predictions, references))
        if hits == 0:
            return 0.0
        product *= hits / sum(len(p) - n + 1 for p in predictions)
    return 100 * product**0.25 * _penalty(predictions, references, "corpus")


def divided_first(predictions, references):
    shares = []
    for n in range(1, 5):
        hits = sum((ngrams(p, n) & ngrams(r, n)).total() for p, r in zip(predictions, references))
        shares.append(hits / sum(ngrams(p, n).total() for p in predictions))
    return 100 * math.prod(shares) ** 0.25 * _penalty(predictions, references, "corpus")


def missing_words(predictions, references):
    score = variant(predictions, references, penalty="none")
    lacking = sum(max(0, len(r) - len(p)) for p, r in zip(predictions, references))
    return score * math.exp(-lacking / max(1, sum(map(len, predictions))))


def pooled(predictions, references):
    shares = []
    for n in range(1, 5):
        ours, theirs = Counter(), Counter()
        for p, r in zip(predictions, references):
            ours += ngrams(p, n)
            theirs += ngrams(r, n)
        shares.append((ours & theirs).total() / ours.total() if ours else 0.0)
    return 100 * math.prod(shares) ** 0.25 * _penalty(predictions, references, "corpus")
