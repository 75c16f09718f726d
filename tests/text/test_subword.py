"""Pieces by hand: counting, merging and cutting, held against the `tokenizers` library and against brute force."""

import string

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.models import BPE

from lib.text import bert_tokenizer
from lib.text.subword import LONGEST_WORD, bpe_encode, count_pairs, learn_merges, merge_pair, wordpiece_encode

WORDS = st.text("abc", min_size=1, max_size=8)
VOCABULARY = frozenset(bert_tokenizer().backend.get_vocab())


@given(st.dictionaries(WORDS, st.integers(1, 5), min_size=1, max_size=5))
def test_each_merge_is_of_a_most_frequent_pair(words):
    pieces = {tuple(word): number for word, number in words.items()}
    for pair in learn_merges(words, 4):
        counts = count_pairs(pieces)
        assert counts[pair] == max(counts.values())
        pieces = {merge_pair(word, pair): number for word, number in pieces.items()}


def test_merging_stops_where_no_pair_is_left():
    assert learn_merges({"ab": 1}, 9) == [("a", "b")]
    assert learn_merges({}, 3) == learn_merges({"a": 2}, 3) == []
    assert learn_merges({"sea": 1}, 0) == []


@given(words=st.dictionaries(WORDS, st.integers(1, 5), min_size=1, max_size=5), word=st.text("abc", max_size=10))
def test_a_word_is_cut_as_the_library_cuts_it(words, word):
    merges = learn_merges(words, 6)
    vocabulary = dict.fromkeys(["a", "b", "c", *("".join(pair) for pair in merges)])
    library = tokenizers.Tokenizer(BPE({piece: i for i, piece in enumerate(vocabulary)}, merges))
    expected = library.encode(word).tokens if word else []
    if len({"".join(pair) for pair in merges}) == len(merges):  # the library keeps one merge for each text
        assert bpe_encode(word, merges) == expected
    assert "".join(bpe_encode(word, merges)) == word


@given(st.text(string.ascii_lowercase, min_size=1, max_size=20))
def test_wordpiece_is_bert_s(word):
    bert = bert_tokenizer()
    assert wordpiece_encode(word, VOCABULARY) == [bert.token_of(i) for i in bert.encode(word)]


def test_what_does_not_fit_is_unknown_as_a_whole():
    vocabulary = {"hug", "##s"}
    assert wordpiece_encode("hugs", vocabulary) == ["hug", "##s"]
    assert wordpiece_encode("hugz", vocabulary) == wordpiece_encode("s", vocabulary) == ["[UNK]"]
    assert wordpiece_encode("", vocabulary) == bpe_encode("", [("a", "b")]) == []
    assert wordpiece_encode("h" * (LONGEST_WORD + 1), {"h", "##h"}, "?") == ["?"]


def test_bad_input_is_named(unchecked):
    with pytest.raises(ValueError, match="merges must be at least 0"):
        learn_merges({"a": 1}, -1)
    for cut in (lambda: bpe_encode(3, []), lambda: wordpiece_encode(None, set())):
        with pytest.raises(TypeError, match="word must be a str"):
            cut()
