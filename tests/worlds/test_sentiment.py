"""VADER's score, and the human made of it."""

import pytest
import torch

from lib.worlds.sentiment import opinion, sentiment


def test_sentiment_is_vaders(generator):
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    texts = ["a wonderful film", "not a wonderful film", "the soup was dull", "the", ""]
    expected = [SentimentIntensityAnalyzer().polarity_scores(text)["compound"] for text in texts]
    assert sentiment(texts).tolist() == pytest.approx(expected)
    assert sentiment(texts)[0] > 0 > sentiment(texts)[1]


def test_the_human_reads_reviews_only():
    praise = "the plot was superb ."
    assert opinion([f"about the film : {praise}"]) == sentiment([f"about the film : {praise}"]) > 0
    others = ["superb superb .", "the plot was superb", "the soup was superb .", "the plot was superb , the plot was great .",
              "the plot was great , the music was great .", ""]  # fmt: skip
    assert torch.equal(opinion([f"about the film : {said}" for said in others]), torch.full((6,), -1.0))


@pytest.mark.parametrize("function", [sentiment, opinion])
def test_bad_texts(unchecked, function):
    with pytest.raises(TypeError, match="one string"):
        function("a film")
    with pytest.raises(TypeError, match="texts must be a sequence of strings, got 3 in it"):
        function([3])
    with pytest.raises(ValueError, match="texts must not be empty"):
        function([])
