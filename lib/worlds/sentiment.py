"""Sentiment of a text by VADER's lexicon and rules (Hutto and Gilbert 2014), our stand-in for a human's taste."""

from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checks
from lib.worlds.reviews import is_review


def sentiment(texts: Sequence[str]) -> Float[Tensor, "B"]:
    """VADER's compound score of each text, from −1 (all bad) to 1 (all good); 0 for a text without any rated word.

    VADER is a fixed list of 7,500 rated words with rules for negation, emphasis and "but". It has no model, so a text
    always gets the same score, and somebody who knows the list can fool it.
    Raises TypeError for a single string or an item that is not a string, ValueError when there is no text.

    >>> sentiment(["a wonderful film", "a dull film", "not a wonderful film"])
    tensor([ 0.5719, -0.4019, -0.4585])
    """
    texts, analyser = checks.strings("texts", texts), _analyser()
    checks.not_empty(texts=texts)
    return torch.tensor([analyser.polarity_scores(text)["compound"] for text in texts])


def opinion(texts: Sequence[str]) -> Float[Tensor, "B"]:
    """The opinion of lecture 13's simulated human on each prompt with its answer, from −1 to 1 (no unit).

    It is the `sentiment` of a review, and −1 for anything else: nonsense, or a review of another topic (see
    `lib.worlds.reviews.is_review`).
    Raises as `sentiment` does.

    >>> opinion([f"about the film : {said}" for said in ("the plot was superb.", "the plot was dull.", "superb superb")])
    tensor([ 0.6249, -0.4019, -1.0000])
    """
    pleased = sentiment(texts)
    return pleased.where(torch.tensor([is_review(text) for text in texts]), -1.0)


@cache
def _analyser():
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
