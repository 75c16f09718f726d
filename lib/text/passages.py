"""Whole sentences of a text, as many in a row as a model can read, and tokens that stand for what was taken out."""

import re
from collections.abc import Sequence

import torch
from tokenizers import AddedToken

from lib import checks
from lib.text.spelling import copied
from lib.text.tokenizers import Tokenizer

_BREAK = re.compile(r"(?<=[a-z)\]\"'0-9][.!?])\s+(?=[A-Z\"])|\n")


def split_sentences(text: str) -> list[str]:
    """The sentences of `text`, by a rule: a stop after a small letter, a digit or a bracket, before a capital.

    >>> split_sentences("J. S. Bach wrote it in 1723. Who heard it?")
    ['J. S. Bach wrote it in 1723.', 'Who heard it?']
    """
    return [part.strip() for part in _BREAK.split(checks.instance("text", text, str)) if part.strip()]


def passages(sentences: Sequence[Sequence[int]], longest: int) -> list[list[int]]:
    """From each sentence on, as many whole sentences (of ids) as fit into `longest` tokens; none where not one does.

    Raises ValueError when `longest` is below 1.

    >>> passages([[1, 2], [3], [4, 5, 6, 7], [8]], longest=4)
    [[1, 2, 3], [3], [4, 5, 6, 7], [8]]
    """
    checks.whole("longest", longest)
    found = []
    for first in range(len(sentences)):
        passage: list[int] = []
        for sentence in sentences[first:]:
            if len(passage) + len(sentence) > longest:
                break
            passage += sentence
        if passage:
            found.append(passage)
    return found


def with_sentinels(tokenizer: Tokenizer, count: int = 0) -> Tokenizer:
    """The tokenizer with a <mask> token and, as T5 has them, <extra_id_0>, <extra_id_1>, …, from the last id down.

    Raises ValueError for a negative `count`.

    >>> from lib.text import train_bpe
    >>> larger = with_sentinels(train_bpe(["low lower"], 258), 2)
    >>> larger.mask_id, sentinel_ids(larger), larger.vocab_size
    (258, [260, 259], 261)
    """
    checks.whole("count", count, 0)
    backend = copied(tokenizer.backend)
    names = ["<mask>", *(f"<extra_id_{i}>" for i in reversed(range(count)))]
    backend.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return Tokenizer(backend, tokenizer.chat_template, tokenizer.roles)


def sentinel_ids(tokenizer: Tokenizer) -> list[int]:
    """The ids of <extra_id_0>, <extra_id_1>, … in this order, as many as the tokenizer has."""
    vocabulary = tokenizer.backend.get_vocab()
    found: list[int] = []
    while (name := f"<extra_id_{len(found)}>") in vocabulary:
        found.append(vocabulary[name])
    return found


def padded(rows: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    """Rows of ids as one tensor (B, T), filled up on the right. Raises ValueError when there is no row.

    >>> padded([[1, 2], [3]], -100)
    tensor([[   1,    2],
            [   3, -100]])
    """
    checks.not_empty(rows=rows)
    width = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])
