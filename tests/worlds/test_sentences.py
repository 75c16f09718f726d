"""Real sentences and the pairs of a simulated reader."""

import pytest
import torch

from lib.text import train_bpe
from lib.worlds.sentences import (
    article_sentences,
    as_batch,
    best_accuracy,
    draw_pairs,
    letters_per_word,
    word_differences,
)

ARTICLES = [("a", ["one.", "two two.", "three."]), ("b", ["four.", "five."])]


def test_sentences_have_six_to_sixteen_words_and_none_comes_twice_in_an_article():
    found = article_sentences()
    assert len(found) > 60 and all(len(sentences) >= 20 for _, sentences in found)
    assert all(6 <= len(s.split()) <= 16 and s.endswith(".") for _, sentences in found for s in sentences)
    assert all(len(set(sentences)) == len(sentences) for _, sentences in found)
    assert len(article_sentences(100)) < len(found)


def test_both_sentences_of_a_pair_are_of_one_article_and_the_liked_one_wins():
    pairs = draw_pairs(ARTICLES, lambda text: 100.0 * len(text), 50, generator=torch.Generator().manual_seed(0))
    assert len(pairs) == 50 and set(pairs.article.tolist()) == {0, 1}
    for better, worse, article in zip(pairs.better, pairs.worse, pairs.article.tolist()):
        assert {better, worse} <= set(ARTICLES[article][1]) and better != worse
        assert len(better) >= len(worse)


def test_batches_are_padded_on_the_right_and_differences_counted():
    tokenizer = train_bpe(["one two three four five"] * 4, 270)
    ids, mask = as_batch(tokenizer, ["one.", "two two."])
    assert [row[real].tolist() for row, real in zip(ids, mask)] == [
        tokenizer.encode("one."),
        tokenizer.encode("two two."),
    ]
    pairs = draw_pairs(ARTICLES[1:], len, 3, generator=torch.Generator().manual_seed(0))
    counts = word_differences(tokenizer, pairs)
    for row, better, worse in zip(counts, pairs.better, pairs.worse):
        expected = torch.zeros(tokenizer.vocab_size)
        for sign, text in ((1, better), (-1, worse)):
            for id in tokenizer.encode(text):
                expected[id] += sign
        assert torch.equal(row, expected)


def test_letters_and_the_ceiling():
    assert letters_per_word("a bb cccc") == pytest.approx(7 / 3) and letters_per_word("12 ...") == 0
    assert best_accuracy(torch.tensor([3.0, 0.0]), torch.tensor([3.0, 90.0])) == pytest.approx(0.75)


@pytest.mark.parametrize(
    "call",
    [
        lambda: article_sentences(0),
        lambda: draw_pairs([], len, 1),
        lambda: draw_pairs(ARTICLES, len, 0),
        lambda: best_accuracy(torch.zeros(0), torch.zeros(0)),
        lambda: as_batch(train_bpe(["one two"] * 4, 270), []),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError):
        call()


def test_an_article_with_exactly_the_fewest_sentences_counts():
    every = article_sentences(1)
    number = max(len(sentences) for _, sentences in every)
    assert [len(sentences) for _, sentences in article_sentences(number)] == [number]
    assert article_sentences(number + 1) == []


def test_a_reader_is_noisy_and_the_favour_of_an_article_cancels():
    """Of pairs whose tastes differ by 1 the better one is chosen in σ(1) = 73 % of cases, whatever the article adds."""
    articles = [("a", ["0", "1"]), ("b", ["100", "101"])]
    pairs = draw_pairs(articles, float, 4000, generator=torch.Generator().manual_seed(0))
    right = [float(better) > float(worse) for better, worse in zip(pairs.better, pairs.worse)]
    p = 1 / (1 + 2.718281828**-1)
    for article in (0, 1):
        mine = [won for won, a in zip(right, pairs.article.tolist()) if a == article]
        assert abs(sum(mine) / len(mine) - p) < 4.5 * (p * (1 - p) / len(mine)) ** 0.5
        assert abs(len(mine) - 2000) < 4.5 * 1000**0.5
