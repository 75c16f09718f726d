r"""Real sentences and a reader whose taste is known exactly, for a reward model to recover from comparisons alone.

The prompt x is an article of Wikipedia, the answers y are sentences of it. The reader likes short words and, a little, long
sentences, and has a favour for each topic that no comparison of two sentences of one article can reveal. Lecture 11 trains a
reward model on this reader's noisy choices (slides T26–T28).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib import checks
from lib.kernels import sigmoid
from lib.objectives import simulate_preferences
from lib.text import Tokenizer
from lib.text.wikipedia import wikipedia_articles

SHORTEST, LONGEST = 6, 16  # words of a sentence
_BREAK = re.compile(r"(?<=[a-z)0-9]\.)\s+(?=[A-Z])|\n")


def article_sentences(fewest: int = 20) -> list[tuple[str, list[str]]]:
    """(title, sentences of 6 to 16 words) of each article that has at least `fewest` of them, in the corpus's order.

    Raises ValueError when `fewest` is less than 1.

    >>> title, sentences = article_sentences()[0]
    >>> all(6 <= len(sentence.split()) <= 16 for sentence in sentences)
    True
    """
    checks.whole("fewest", fewest)
    found = []
    for title, text in wikipedia_articles():
        whole = (part.strip() for part in _BREAK.split(text))
        kept = dict.fromkeys(s for s in whole if SHORTEST <= len(s.split()) <= LONGEST and s.endswith("."))
        if len(kept) >= fewest:
            found.append((title, list(kept)))
    return found


def letters_per_word(text: str) -> float:
    """The mean length of the words of a text, 0 without any.

    >>> letters_per_word("It was a 12th hit.")
    2.2
    """
    words = re.findall(r"[A-Za-z]+", text)
    return sum(map(len, words)) / len(words) if words else 0.0


@dataclass(frozen=True)
class SentencePairs:
    """N comparisons of two sentences of one article: what was preferred, what was not, and which article it was."""

    better: list[str]
    worse: list[str]
    article: Int[Tensor, "N"]

    def __len__(self) -> int:
        return len(self.better)


def draw_pairs(
    articles: Sequence[tuple[str, Sequence[str]]], taste, number: int, *, generator: torch.Generator | None = None
) -> SentencePairs:
    r"""`number` pairs of sentences, each of one article, chosen with Bradley and Terry's probability σ(taste(y₁) − taste(y₂)).

    `taste(text)` gives one number. Raises ValueError when `number` is less than 1 or there is no article.
    """
    checks.whole("number", number)
    if not articles:
        raise ValueError("articles must hold at least one article, got none")
    which = torch.randint(len(articles), (number,), generator=generator)
    first, second = [], []
    for a in which.tolist():
        sentences = articles[a][1]
        i, j = torch.randperm(len(sentences), generator=generator)[:2].tolist()
        first.append(sentences[i])
        second.append(sentences[j])
    rewards = (torch.tensor([float(taste(text)) for text in side]) for side in (first, second))
    wins = simulate_preferences(*rewards, generator=generator).tolist()
    better = [a if won else b for a, b, won in zip(first, second, wins)]
    worse = [b if won else a for a, b, won in zip(first, second, wins)]
    return SentencePairs(better, worse, which)


def as_batch(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
    """(ids, mask) of the texts, filled up on the right; the mask is True on real tokens.

    Raises ValueError when there is no text.
    """
    checks.not_empty(texts=texts)
    rows = [tokenizer.encode(text) for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    return ids, torch.arange(width) < torch.tensor([len(row) for row in rows])[:, None]


def word_differences(tokenizer: Tokenizer, pairs: SentencePairs) -> Float[Tensor, "N V"]:
    """Row i: how often each token occurs in the preferred sentence, minus how often in the other."""
    counts = torch.zeros(len(pairs), tokenizer.vocab_size)
    for sign, texts in ((1.0, pairs.better), (-1.0, pairs.worse)):
        ids, mask = as_batch(tokenizer, texts)
        counts.scatter_add_(1, ids, sign * mask.float())
    return counts


def best_accuracy(first: Float[Tensor, "N"], second: Float[Tensor, "N"]) -> float:
    r"""$\mathbb{E}[\sigma(|r^*_1 - r^*_2|)]$: how often somebody who knows both true rewards names the chosen answer.

    Raises ValueError when the shapes differ or there is no pair.

    >>> round(best_accuracy(torch.tensor([2.0]), torch.tensor([1.0])), 4)
    0.7311
    """
    checks.same_shape(first=first, second=second)
    checks.not_empty(first=first)
    return sigmoid((first - second).abs()).mean().item()
