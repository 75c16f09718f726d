r"""BLEU: how many n-grams of a translation stand in a reference (Papineni et al. 2002; slide C49).

$\text{BLEU} = 100 \cdot \text{BP} \cdot \exp\big(\tfrac14 \sum_{n=1}^4 \ln p_n\big)$, where $p_n$ are shares over the
whole corpus, and $\text{BP} = \min(1, e^{1 - r/c})$ for $c$ words written and $r$ in the references. What a word is
decides the result: `bleu_words` has the three rules that are in use (Post 2018).
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import regex

from lib import checks

ORDER = 4  # the longest n-grams
TOKENIZERS = ("13a", "intl", "none")
SMOOTHING = ("exp", "none")

_13A = [
    (re.compile(r"([{-~\[-` -&(-+:-@/])"), r" \1 "),  # all punctuation but , - . and '
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),  # a stop or a comma, unless within a number
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
]
_INTL = [
    (regex.compile(r"(\P{N})(\p{P})"), r"\1 \2 "),
    (regex.compile(r"(\p{P})(\P{N})"), r" \1 \2"),
    (regex.compile(r"(\p{S})"), r" \1 "),
]
_ENTITIES = (("<skipped>", ""), ("-\n", ""), ("\n", " "), ("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))


class Bleu(NamedTuple):
    """BLEU of a corpus, and what it is made of."""

    score: float  # 0 to 100
    precisions: tuple[float, ...]  # of 1-grams to 4-grams, in per cent, smoothed where asked
    brevity_penalty: float
    length: int  # c, words written
    reference_length: int  # r, words of the references that are nearest in length


def bleu_words(text: str, tokenize: str = "13a") -> list[str]:
    """The words of a text: by "13a", the rule of WMT; "intl", for all scripts; "none", between white space.

    >>> [len(bleu_words("Well-known, isn't it?", name)) for name in TOKENIZERS]
    [5, 9, 3]
    """
    checks.one_of("tokenize", tokenize, TOKENIZERS)
    text = checks.instance("text", text, str).rstrip()
    if tokenize == "13a":
        for old, new in _ENTITIES:
            text = text.replace(old, new)
        text = f" {text} "
    for pattern, new in {"13a": _13A, "intl": _INTL, "none": []}[tokenize]:
        text = pattern.sub(new, text)
    return text.split()


def bleu(
    predictions: Sequence[str],
    references: Sequence[str | Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    smoothing: str = "exp",
) -> Bleu:
    """BLEU of a corpus: for each prediction one reference, or a sequence of them.

    With "exp", the default of sacrebleu, the k-th order without a match counts as 1/2^k of a match; with "none" the
    score is then 0, as it is in any case where not one word matches.
    Raises ValueError when there is no prediction, another number of references, or a prediction without a reference.

    >>> round(bleu(["the cat sat on the mat"], ["the cat is on the mat"]).score, 2)
    37.99
    """
    checks.one_of("smoothing", smoothing, SMOOTHING)
    checks.strings("predictions", predictions)
    checks.not_empty(predictions=predictions)
    checks.same_length(predictions=predictions, references=references)
    split = lambda text: bleu_words(text.lower() if lowercase else text, tokenize)  # noqa: E731
    hits, counted, length, reference_length = [0] * ORDER, [0] * ORDER, 0, 0
    for prediction, given in zip(predictions, references):
        ours, theirs = split(prediction), [split(text) for text in _several(given)]
        length += len(ours)
        reference_length += min((abs(len(words) - len(ours)), len(words)) for words in theirs)[1]
        for n in range(ORDER):
            found = _ngrams(ours, n + 1)
            most = Counter[tuple[str, ...]]()
            for words in theirs:
                most |= _ngrams(words, n + 1)
            hits[n] += (found & most).total()
            counted[n] += found.total()
    return _combine(hits, counted, length, reference_length, smoothing)


def _combine(hits: list[int], counted: list[int], length: int, reference_length: int, smoothing: str) -> Bleu:
    penalty = 1.0 if length >= reference_length else math.exp(1 - reference_length / length) if length else 0.0
    if not any(hits):
        return Bleu(0.0, (0.0,) * ORDER, penalty, length, reference_length)
    precisions, halved = [], 1.0
    for found, total in zip(hits, counted):
        if found == 0 and total and smoothing == "exp":
            halved /= 2
            precisions.append(100 * halved / total)
        else:
            precisions.append(100 * found / total if total else 0.0)
    mean = math.exp(sum(map(math.log, precisions)) / ORDER) if all(precisions) else 0.0
    return Bleu(penalty * mean, tuple(precisions), penalty, length, reference_length)


def _several(given: str | Sequence[str]) -> Sequence[str]:
    texts = checks.strings("each of references", [given] if isinstance(given, str) else given)
    checks.not_empty(references=texts)
    return texts


def _ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
