import itertools

import pytest
import torch

from lib.worlds.topics import (
    WORDS,
    best_accuracy,
    draw_sentences,
    pair_probabilities,
    topic_posterior,
    word_probabilities,
)


def test_words_of_a_topic_have_the_probability_1():
    torch.testing.assert_close(word_probabilities().sum(dim=1), torch.ones(2).double())


def test_pairs_are_counted_right():
    ids = draw_sentences(60_000, 2, generator=torch.Generator().manual_seed(0)).ids
    counted = torch.bincount(12 * ids[:, 0] + ids[:, 1], minlength=144).view(12, 12) / len(ids)
    assert (counted - pair_probabilities()).abs().max() < 0.005


def test_no_reader_is_better_than_bayes():
    """Every sentence of two words, by a loop; and the posterior names the likelier topic."""
    given, right = word_probabilities(), 0.0
    for pair in itertools.product(range(12), repeat=2):
        likely = given[:, pair[0]] * given[:, pair[1]] / 2
        right += float(likely.max())
        torch.testing.assert_close(topic_posterior(torch.tensor([pair]))[0], likely / likely.sum())
    assert best_accuracy(2) == pytest.approx(right)
    assert topic_posterior(torch.zeros(1, 0).long()).tolist() == [[0.5, 0.5]]


def test_bank_says_nothing_about_the_topic():
    assert topic_posterior(torch.tensor([[WORDS.index("bank"), WORDS.index("the")]])).tolist() == [[0.5, 0.5]]


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"words must lie in \[0, 6\], got 7"):
        best_accuracy(7)
    with pytest.raises(ValueError, match="ids must be ids from 0 to 11"):
        topic_posterior(torch.tensor([[12]]))
    with pytest.raises(ValueError, match="number must be at least 1"):
        draw_sentences(0, 3)
