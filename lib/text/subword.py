"""Byte-pair encoding and WordPiece as one does them on paper: a dozen lines each, to be read and to be held against.

The tokenizers that are used (`train_bpe`, `train_wordpiece`, `bert_tokenizer`) are the `tokenizers` library's, in Rust.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence

from lib import checks

Pair = tuple[str, str]

LONGEST_WORD = 100  # characters; BERT's tokenizer takes a longer word for unknown


def count_pairs(words: Mapping[tuple[str, ...], int]) -> Counter[Pair]:
    """How often two pieces stand next to each other, in words that are cut into pieces, each with its number.

    >>> count_pairs({("s", "e", "a"): 2, ("s", "e", "e"): 1}).most_common(1)
    [(('s', 'e'), 3)]
    """
    counts: Counter[Pair] = Counter()
    for pieces, number in words.items():
        for pair in zip(pieces, pieces[1:]):
            counts[pair] += number
    return counts


def merge_pair(pieces: Sequence[str], pair: Pair) -> tuple[str, ...]:
    """`pieces`, in which the two of `pair` are one wherever they follow each other, from left to right.

    >>> merge_pair("aaab", ("a", "a"))
    ('aa', 'a', 'b')
    """
    merged: list[str] = []
    i = 0
    while i < len(pieces):
        found = tuple(pieces[i : i + 2]) == tuple(pair)
        merged.append("".join(pair) if found else pieces[i])
        i += 2 if found else 1
    return tuple(merged)


def learn_merges(words: Mapping[str, int], merges: int) -> list[Pair]:
    """The first `merges` merges of byte-pair encoding (Sennrich et al. 2016), for words with their numbers.

    Each joins the pair that is most frequent now; of equally frequent ones, the pair that comes first in the words. The
    list is shorter where no pair is left. Characters stand for bytes here. Raises ValueError for a number below 0.

    >>> learn_merges({"sea": 2, "shore": 1}, 2)
    [('s', 'e'), ('se', 'a')]
    """
    checks.whole("merges", merges, at_least=0)
    pieces = {tuple(word): number for word, number in words.items()}
    learned: list[Pair] = []
    while len(learned) < merges and (counts := count_pairs(pieces)):
        best = max(counts, key=counts.__getitem__)
        learned.append(best)
        pieces = {merge_pair(word, best): number for word, number in pieces.items()}
    return learned


def bpe_encode(word: str, merges: Iterable[Pair]) -> list[str]:
    """`word` cut into characters, and then every merge done in the order in which they were learned; "" gives [].

    This is what a trained tokenizer does: not the longest piece first, but the earliest merge first.

    >>> bpe_encode("seas", [("e", "a"), ("s", "e")])
    ['s', 'ea', 's']
    """
    pieces = tuple(checks.instance("word", word, str))
    for pair in merges:
        pieces = merge_pair(pieces, pair)
    return list(pieces)


def wordpiece_encode(word: str, vocabulary: Container[str], unknown: str = "[UNK]") -> list[str]:
    """`word` as BERT cuts it: the longest piece of the vocabulary first, then the longest that continues ("##ing").

    Where no piece fits, the *whole* word is `unknown`, and so it is for a word of more than 100 characters; "" gives [].

    >>> wordpiece_encode("hugging", {"hug", "##g", "##ging", "##ing"})
    ['hug', '##ging']
    """
    if len(checks.instance("word", word, str)) > LONGEST_WORD:
        return [unknown]
    pieces: list[str] = []
    start = 0
    while start < len(word):
        prefix = "##" if start else ""
        ends = range(len(word), start, -1)
        end = next((end for end in ends if prefix + word[start:end] in vocabulary), None)
        if end is None:
            return [unknown]
        pieces.append(prefix + word[start:end])
        start = end
    return pieces
