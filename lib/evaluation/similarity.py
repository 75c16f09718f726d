"""What lies near what: neighbours, analogies, agreement with people, senses, and how crowded the space is."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from lib import checks
from lib.evaluation.classification import spearman_correlation
from lib.models.word_vectors import WordVectors
from lib.text.words import RatedPair

ANALOGIES_AT_ONCE = 512  # questions whose scores of all words are in memory together


def neighbours(
    vectors: WordVectors, query: Float[Tensor, "D"], number: int = 5, *, exclude: Iterable[str] = ()
) -> list[tuple[str, float]]:
    """The words with the largest cosines with `query`, and these, the largest first; words of `exclude` left out.

    Raises ValueError for a word without a vector.

    >>> vectors = WordVectors(("cat", "dog", "car"), torch.tensor([[2.0, 1.0], [1.0, 1.0], [0.0, 3.0]]))
    >>> [word for word, cosine in neighbours(vectors, vectors["cat"], 2, exclude=["cat"])]
    ['dog', 'car']
    """
    cosines = vectors.unit @ normalize(query, dim=0)
    cosines[vectors.rows(exclude)] = -torch.inf
    left = int((cosines > -torch.inf).sum())
    best = cosines.topk(min(checks.whole("number", number), left))
    return [(vectors.words[row], cosines[row].item()) for row in best.indices.tolist()]


def solve_analogies(
    vectors: WordVectors, questions: Int[Tensor, "N 3"], *, exclude_question: bool = True
) -> Int[Tensor, "N"]:
    """The row nearest to b − a + c, all at length 1, for rows (a, b, c) of questions "a is to b as c is to …".

    The words of a question cannot be its answer (Mikolov et al. 2013), unless `exclude_question` is False.
    Raises ValueError for a row that there is not.

    >>> table = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    >>> solve_analogies(WordVectors("abcd", table), torch.tensor([[0, 1, 2]])).tolist()
    [3]
    """
    checks.ids_below(len(vectors.words), questions=questions)
    answers = [torch.empty(0, dtype=torch.long)]
    for some in questions.split(ANALOGIES_AT_ONCE):
        a, b, c = vectors.unit[some].unbind(dim=1)
        scores = (b - a + c) @ vectors.unit.T
        if exclude_question:
            scores.scatter_(1, some, -torch.inf)
        answers.append(scores.argmax(dim=1))
    return torch.cat(answers)


class Agreement(NamedTuple):
    """How well cosines agree with people's ratings."""

    spearman: float  # rank correlation
    pairs: int  # both words of which have a vector


def word_similarity(vectors: WordVectors, pairs: Sequence[RatedPair]) -> Agreement:
    """Spearman's correlation between the cosines and the ratings of the pairs of which both words have a vector.

    Words are looked up in small letters. Raises ValueError for fewer than two such pairs.
    """
    known = [p for p in pairs if p.first.lower() in vectors and p.second.lower() in vectors]
    if len(known) < 2:
        raise ValueError(f"pairs must be at least 2 of which both words have a vector, got {len(known)}")
    first = vectors.unit[vectors.rows(p.first.lower() for p in known)]
    second = vectors.unit[vectors.rows(p.second.lower() for p in known)]
    ratings = torch.tensor([p.rating for p in known], dtype=torch.float64)
    return Agreement(spearman_correlation((first * second).sum(dim=1), ratings), len(known))


def mean_cosine(x: Float[Tensor, "N D"]) -> float:
    """The mean cosine of two different rows: 0 where directions are spread evenly, 1 where all are the same.

    The measure of anisotropy of Ethayarajh 2019. Raises ValueError for fewer than two rows.

    >>> mean_cosine(torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]))
    0.3333333333333333
    """
    rows = checks.whole("the number of rows of x", len(x), 2)
    unit = normalize(x.double(), dim=1)
    cosines = unit @ unit.T
    return ((cosines.sum() - cosines.diagonal().sum()) / (rows * (rows - 1))).item()


def centred(x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """`x` without the mean of its rows. Raises ValueError if there are none.

    >>> centred(torch.tensor([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    checks.not_empty(x=x)
    return x - x.mean(dim=0)


def same_sense(x: Float[Tensor, "N D"], words: Sequence[str], senses: Sequence[str]) -> Bool[Tensor, "N"]:
    """Whether the nearest of the other uses of the same word, by cosine, has the same sense: one truth value for each use.

    Of equally near ones the first counts. Raises ValueError for a word with one use only.

    >>> x = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    >>> same_sense(x, ["bank"] * 3, ["river", "river", "money"]).tolist()
    [True, True, False]
    """
    checks.same_length(x=x, words=words, senses=senses)
    for word in set(words):
        if list(words).count(word) < 2:
            raise ValueError(f"words must each be used at least twice, but {word!r} is used once")
    unit = normalize(x, dim=1)
    same_word = torch.tensor([[a == b for b in words] for a in words])
    cosines = (unit @ unit.T).masked_fill(~same_word, -torch.inf).fill_diagonal_(-torch.inf)
    return torch.tensor([senses[i] == senses[j] for i, j in enumerate(cosines.argmax(dim=1).tolist())])
