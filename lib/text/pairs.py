"""Two texts in one row, as BERT reads them: packed, cut to fit, in windows, and drawn from articles (slides C11, W10, W14)."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from lib import checks

from .corpus import Document

NEGATIVES = ("other article", "same article")
_ENDS = re.compile(r"(?<=[a-z0-9)\"”]\.)\s+(?=[A-Z\"“])")


class PackedPairs(NamedTuple):
    """Rows [CLS] first [SEP] second [SEP], padded on the right."""

    input_ids: Int[Tensor, "B T"]
    token_type_ids: Int[
        Tensor, "B T"
    ]  # 0: [CLS], the first text and its [SEP]; 1: the second and its [SEP]; 0: padding
    attention_mask: Int[Tensor, "B T"]


class SentencePair(NamedTuple):
    """Two sentences, and whether the second followed the first in its article."""

    first: str
    second: str
    is_next: bool


def cut_longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens are kept of two texts of these lengths: the longer loses its last one until both fit.

    Of two that are equally long the second loses one (`_truncate_seq_pair` of Devlin et al. 2019's code).
    Raises ValueError for a negative number.

    >>> cut_longest_first(3, 10, 8), cut_longest_first(6, 6, 7)
    ((3, 5), (4, 3))
    """
    for name, value in {"first": first, "second": second, "room": room}.items():
        checks.whole(name, value, 0)
    if first + second <= room:
        return first, second
    if min(first, second) <= room // 2:  # the shorter is not reached
        short = min(first, second)
        return (short, room - short) if first <= second else (room - short, short)
    return room - room // 2, room // 2


def pack_pairs(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    max_length: int,
    *,
    cls_id: int,
    sep_id: int,
    pad_id: int = 0,
) -> PackedPairs:
    """One row for each pair of texts, given as ids, cut by `cut_longest_first` to `max_length` tokens with the special ones.

    Raises ValueError for no pair, a `max_length` below 3, or a negative id; TypeError for ids that are no integers.

    >>> packed = pack_pairs([([7, 8], [9]), ([7], [8, 9, 10])], 6, cls_id=1, sep_id=2)
    >>> packed.input_ids.tolist(), packed.token_type_ids.tolist()
    ([[1, 7, 8, 2, 9, 2], [1, 7, 2, 8, 9, 2]], [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1]])
    """
    checks.not_empty(pairs=pairs)
    checks.whole("max_length", max_length, 3)
    rows, types = [], []
    for pair in pairs:
        first, second = (_ids(text) for text in pair)
        a, b = cut_longest_first(len(first), len(second), max_length - 3)
        rows.append(torch.tensor([cls_id, *first[:a], sep_id, *second[:b], sep_id]))
        types.append(torch.tensor([0] * (a + 2) + [1] * (b + 1)))

    def padded(parts: list[Tensor], value: int) -> Tensor:
        return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=value)

    return PackedPairs(padded(rows, pad_id), padded(types, 0), padded([torch.ones_like(row) for row in rows], 0))


def _ids(text: Sequence[int]) -> list[int]:
    ids = torch.as_tensor(text)
    if ids.numel():
        checks.integers(pairs=ids)
        if int(ids.min()) < 0:
            raise ValueError(f"pairs must be ids of at least 0, got {int(ids.min())}")
    return [int(token) for token in text]


def sliding_windows(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """(begin, end) of windows of `size` tokens that cover a text of `length`; each begins `stride` after the one before.

    The last one may be shorter. Raises ValueError unless 1 ≤ stride ≤ size (else tokens would be left out), or for a
    `length` below 1.

    >>> sliding_windows(10, 6, 3)
    [(0, 6), (3, 9), (6, 10)]
    """
    checks.whole("length", length)
    checks.whole("stride", stride, 1, checks.whole("size", size))
    starts = range(0, max(length - size, 0) + stride, stride)
    return [(start, min(start + size, length)) for start in starts]


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, by a rule: they end in a full stop after a small letter, a digit or a bracket.

    >>> sentences_of("The U.S. won. It was late.\\nNobody saw it.")
    ['The U.S. won.', 'It was late.', 'Nobody saw it.']
    """
    return [s.strip() for line in text.split("\n") for s in _ENDS.split(line) if s.strip()]


def next_sentence_pairs(
    documents: Sequence[Document],
    number: int,
    negatives: str = "other article",
    *,
    generator: torch.Generator | None = None,
) -> list[SentencePair]:
    """`number` pairs of neighbours and of strangers, turn by turn, with first sentences drawn from all articles.

    The stranger is a sentence of another article, as in BERT's pre-training, or of the same one, and there any but the
    first sentence itself and the one that follows it. Sentences have 5 to 40 words.
    Raises ValueError for a number below 1, an unknown kind of negatives, or too few articles or sentences.

    >>> from lib.text import load_corpus
    >>> articles = load_corpus("wikipedia").splits["validation"]
    >>> [pair.is_next for pair in next_sentence_pairs(articles, 3)]
    [True, False, True]
    """
    checks.whole("number", number)
    checks.one_of("negatives", negatives, NEGATIVES)
    articles = [[s for s in sentences_of(d.text) if 5 <= len(s.split()) <= 40] for d in documents]
    articles = [sentences for sentences in articles if len(sentences) >= 4]
    if not articles or (negatives == "other article" and len(articles) < 2):
        raise ValueError(f"documents must be at least 2 articles of four sentences or more, got {len(articles)}")
    places = [(i, j) for i, sentences in enumerate(articles) for j in range(len(sentences) - 1)]

    def draw(size: int) -> int:
        return int(torch.randint(size, (), generator=generator))

    pairs = []
    for turn in range(number):
        i, j = places[draw(len(places))]
        first, follows = articles[i][j : j + 2]
        if turn % 2 == 0:
            pairs.append(SentencePair(first, follows, True))
            continue
        other = i if negatives == "same article" else (i + 1 + draw(len(articles) - 1)) % len(articles)
        while (stranger := articles[other][draw(len(articles[other]))]) in (first, follows):
            pass
        pairs.append(SentencePair(first, stranger, False))
    return pairs
