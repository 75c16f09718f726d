"""Pairs keep what fits and lose the right tokens; windows cover a text; next sentences are what they say."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.text import load_corpus
from lib.text.corpus import Document
from lib.text.pairs import cut_longest_first, next_sentence_pairs, pack_pairs, sentences_of, sliding_windows

texts = st.lists(st.integers(3, 9), max_size=12)


def by_popping(first, second, room):
    """`_truncate_seq_pair` of the code that Devlin et al. published."""
    while len(first) + len(second) > room:
        (first if len(first) > len(second) else second).pop()
    return len(first), len(second)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 40))
def test_the_longer_text_loses_its_tokens(first, second, room):
    assert cut_longest_first(first, second, room) == by_popping([0] * first, [0] * second, room)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4), st.integers(3, 20))
def test_rows_are_as_transformers_lays_them_out(pairs, max_length):
    packed = pack_pairs(pairs, max_length, cls_id=1, sep_id=2)
    assert packed.input_ids.shape == packed.token_type_ids.shape == packed.attention_mask.shape
    assert packed.input_ids.shape[1] <= max_length
    for (first, second), ids, types, mask in zip(pairs, *(part.tolist() for part in packed)):
        a, b = by_popping(list(first), list(second), max_length - 3)
        row = [1, *first[:a], 2, *second[:b], 2]
        assert [i for i, m in zip(ids, mask) if m] == row and set(ids[len(row) :]) <= {0}
        assert types == [0] * (a + 2) + [1] * (b + 1) + [0] * (len(ids) - len(row))


def test_rows_without_cutting_are_those_of_transformers():
    from transformers import BertTokenizerFast

    from lib.text import bert_tokenizer

    ours = bert_tokenizer()
    theirs = BertTokenizerFast(tokenizer_object=ours.backend)
    pairs = [("a dog", "it barks loudly"), ("the man went to the store", "why")]
    packed = pack_pairs([tuple(map(ours.encode, pair)) for pair in pairs], 30, cls_id=ours.cls_id, sep_id=ours.sep_id)
    expected = theirs([a for a, _ in pairs], [b for _, b in pairs], padding=True, return_tensors="pt")
    assert torch.equal(packed.input_ids, expected["input_ids"])
    assert torch.equal(packed.attention_mask, expected["attention_mask"])


@given(st.integers(1, 60), st.integers(1, 20), st.data())
def test_windows_cover_every_token_and_the_last_ends_the_text(length, size, data):
    windows = sliding_windows(length, size, data.draw(st.integers(1, size)))
    assert {i for a, b in windows for i in range(a, b)} == set(range(length))
    assert windows[-1][1] == length and all(b - a <= size for a, b in windows)
    assert all(end < length for _, end in windows[:-1])


def test_next_sentences_are_neighbours_and_strangers_are_not():
    articles = load_corpus("wikipedia").splits["validation"]
    follows = {pair for d in articles for s in [sentences_of(d.text)] for pair in zip(s, s[1:])}
    home = {s: d.title for d in articles for s in sentences_of(d.text)}
    for kind in ("other article", "same article"):
        pairs = next_sentence_pairs(articles, 200, kind, generator=torch.Generator().manual_seed(0))
        assert sum(pair.is_next for pair in pairs) == 100
        for first, second, is_next in pairs:
            if not is_next:
                assert first != second and (kind == "same article") == (home[first] == home[second])
        assert sum((a, b) in follows for a, b, is_next in pairs if is_next) > 80  # the rest: a short sentence between


def test_bad_input_is_named(unchecked):
    with pytest.raises(ValueError, match="max_length"):
        pack_pairs([([1], [2])], 2, cls_id=1, sep_id=2)
    with pytest.raises(ValueError, match="pairs"):
        pack_pairs([], 9, cls_id=1, sep_id=2)
    with pytest.raises(TypeError, match="pairs"):
        pack_pairs([([0.5], [2])], 9, cls_id=1, sep_id=2)
    with pytest.raises(ValueError, match="stride"):
        sliding_windows(10, 4, 5)
    with pytest.raises(ValueError, match="at least 2 articles"):
        next_sentence_pairs([Document("A", "One. Two.")], 2)
    with pytest.raises(ValueError, match="negatives"):
        next_sentence_pairs([], 2, "elsewhere")
