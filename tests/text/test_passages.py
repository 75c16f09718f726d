import pytest

from lib.text import load_corpus, train_bpe
from lib.text.passages import padded, passages, sentinel_ids, split_sentences, with_sentinels


def test_sentences_put_together_are_the_text():
    for document in load_corpus("wikipedia").splits["test"][:3]:
        assert " ".join(split_sentences(document.text)).split() == document.text.split()
    assert split_sentences("He won 3.5 (or 4).  She lost!\nNext") == ["He won 3.5 (or 4).", "She lost!", "Next"]
    assert split_sentences("") == []


def test_passages_are_as_long_as_they_can_be():
    sentences = [[i] * n for i, n in enumerate([3, 2, 9, 1, 1, 4])]
    found = passages(sentences, 6)
    assert found == [[0] * 3 + [1] * 2, [1, 1], [3, 4, 5, 5, 5, 5], [4, 5, 5, 5, 5], [5] * 4]
    assert passages([], 5) == []


def test_sentinels_are_new_tokens_from_the_last_id_down():
    plain = train_bpe(["low lower lowest"], 262)
    larger = with_sentinels(plain, 3)
    ids = sentinel_ids(larger)
    assert larger.mask_id == plain.vocab_size and ids == [larger.vocab_size - 1 - i for i in range(3)]
    assert larger.encode("low<mask>er<extra_id_1>") == [
        *plain.encode("low"),
        larger.mask_id,
        *plain.encode("er"),
        ids[1],
    ]
    assert {larger.mask_id, *ids} <= set(larger.special_ids) and sentinel_ids(plain) == []
    assert plain.mask_id is None  # the one that was given stays as it is


def test_bad_input():
    with pytest.raises(ValueError, match="longest must be"):
        passages([[1]], 0)
    with pytest.raises(ValueError, match="rows must not be empty"):
        padded([], 0)
    with pytest.raises(ValueError, match="count must be"):
        with_sentinels(train_bpe(["low"], 260), -1)
    with pytest.raises(TypeError, match="parameter 'text'"):
        split_sentences(3)
