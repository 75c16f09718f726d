"""How pleased a text sounds: VADER's lexicon and rules (Hutto and Gilbert 2014), our stand-in for a human's taste."""

from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from lib import checks
from lib.worlds.reviews import is_review


def sentiment(texts: Sequence[str]) -> Float[Tensor, "B"]:
    """VADER's compound score of each text, from −1 (all bad) to 1 (all good); 0 for a text without a word of feeling.

    A fixed list of 7,500 rated words with rules for negation, emphasis and "but", not a model: the same text always
    gets the same score, and anyone who has read the list can fool it.
    Raises TypeError for a single string or what is no string, ValueError when there is no text.

    >>> sentiment(["a wonderful film", "a dull film", "not a wonderful film"])
    tensor([ 0.5719, -0.4019, -0.4585])
    """
    texts, analyser = checks.strings("texts", texts), _analyser()
    checks.not_empty(texts=texts)
    return torch.tensor([analyser.polarity_scores(text)["compound"] for text in texts])


def opinion(texts: Sequence[str]) -> Float[Tensor, "B"]:
    """What the hidden human of lecture 13 thinks of prompts with their answers: the `sentiment` of a review, −1 of others.

    Praise pleases; nonsense, or a review of something else, annoys: `lib.worlds.reviews.is_review` tells them apart.
    Between −1 and 1, in no unit.
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
