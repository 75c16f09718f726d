"""Answers that are pieces of a text: entities in BIO tags, and the span that answers a question (slide C14, c and d)."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib import checks
from lib.evaluation.classification import Scores, scores_of

_ARTICLES = re.compile(r"\b(a|an|the)\b")


class Entity(NamedTuple):
    """Words `begin` to `end` − 1 of a sentence, of one kind."""

    kind: str
    begin: int
    end: int


def entities_of(tags: Sequence[str]) -> list[Entity]:
    """The entities of one sentence's BIO tags: B-PER begins a person, I-PER goes on, O is outside.

    As conlleval does it, an I- that does not continue its kind begins an entity. Raises ValueError for another tag.

    >>> entities_of(["B-PER", "I-PER", "O", "B-LOC"])
    [Entity(kind='PER', begin=0, end=2), Entity(kind='LOC', begin=3, end=4)]
    """
    found: list[Entity] = []
    before = "O"
    for place, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        if tag != "O" and not (mark in ("B", "I") and kind):
            raise ValueError(f"tags must be O, B-KIND or I-KIND, got {tag!r}")
        if tag != "O":
            if mark == "I" and before.partition("-")[2] == kind:
                found[-1] = found[-1]._replace(end=place + 1)
            else:
                found.append(Entity(kind, place, place + 1))
        before = tag
    return found


def entity_scores(labels: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]]) -> Scores:
    """Precision, recall and F1 over whole entities: right only with the same kind, beginning and end (CoNLL-2003).

    Raises ValueError for no sentence, or sentences whose tags differ in number.

    >>> entity_scores([["B-PER", "I-PER", "O"]], [["B-PER", "O", "O"]]).f1
    0.0
    """
    checks.not_empty(labels=labels)
    checks.same_length(labels=labels, predictions=predictions)
    hit = there = named = 0
    for true, guess in zip(labels, predictions):
        checks.same_length(labels=true, predictions=guess)
        a, b = set(entities_of(true)), set(entities_of(guess))
        hit, there, named = hit + len(a & b), there + len(a), named + len(b)
    return scores_of(hit, named, there)


def best_span(
    start: Float[Tensor, "T"], end: Float[Tensor, "T"], allowed: Bool[Tensor, "T"], longest: int
) -> tuple[int, int]:
    """The first and the last token of the likeliest answer: the largest start[i] + end[j] with i ≤ j < i + longest.

    Both must be `allowed` (tokens of the passage, not of the question). Of equals, the first in order of (i, j).
    Raises ValueError if nothing is allowed, or `longest` is below 1.

    >>> best_span(torch.tensor([0.0, 5.0, 1.0]), torch.tensor([9.0, 1.0, 3.0]), torch.tensor([True] * 3), 2)
    (0, 0)
    """
    checks.same_length(start=start, end=end, allowed=allowed)
    checks.whole("longest", longest)
    if not allowed.any():
        raise ValueError("allowed must hold at least one True")
    scores = start[:, None] + end[None]
    within = torch.ones_like(scores, dtype=torch.bool).triu().tril(longest - 1)
    scores = scores.masked_fill(~(within & allowed[:, None] & allowed[None]), -torch.inf)
    place = int(scores.flatten().argmax())
    return divmod(place, len(end))


def normalised(answer: str) -> list[str]:
    """The words of an answer as SQuAD counts them: small letters, without punctuation and the articles a, an, the.

    >>> normalised("The U.S. Navy!")
    ['us', 'navy']
    """
    kept = "".join(c for c in answer.lower() if c not in string.punctuation)
    return _ARTICLES.sub(" ", kept).split()


def answer_scores(prediction: str, truth: str) -> tuple[bool, float]:
    """Whether two answers are equal after normalisation, and the F1 of their words (Rajpurkar et al. 2016).

    Two answers without words are equal; one alone without words has F1 0.

    >>> answer_scores("the year 1913", "1913")
    (False, 0.6666666666666666)
    """
    named, there = normalised(prediction), normalised(truth)
    if not named or not there:
        return named == there, float(named == there)
    common = sum((Counter(named) & Counter(there)).values())
    return named == there, 2 * common / (len(named) + len(there))
