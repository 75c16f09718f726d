"""A world of small reviews: one-line opinions that a tiny decoder learns to write in seconds, for RLHF to work on.

Every review is made by rule from the words below, so there are as many as one likes, and nobody's opinion is copied. Some
words please a reader and some do not (`lib.worlds.sentiment` rates them); the rest are neutral.
"""

import re

import torch

from lib import checks
from lib.text.tokenizer_training import train_wordpiece
from lib.text.tokenizers import Tokenizer

TOPICS = {
    "film": ("acting", "plot", "music", "ending"),
    "hotel": ("room", "staff", "breakfast", "garden"),
    "meal": ("soup", "fish", "dessert", "wine"),
    "book": ("story", "language", "hero", "cover"),
    "concert": ("singer", "piano", "hall", "programme"),
    "walk": ("path", "view", "weather", "company"),
}
PRAISE = ("wonderful", "great", "good", "charming", "lovely", "pleasant", "superb", "excellent")
PLAIN = ("long", "short", "simple", "old", "new", "quiet", "modern", "ordinary")
BLAME = ("dull", "awful", "poor", "bad", "weak", "terrible", "boring", "disappointing")
DEGREES = ("", "", "", "very ", "rather ", "quite ")
JOINTS = (" and ", " , ", " but ")


def review_prompts() -> list[str]:
    """What is asked, one prompt per topic: "about the film :".

    >>> review_prompts()[0]
    'about the film :'
    """
    return [f"about the {topic} :" for topic in TOPICS]


def write_reviews(number: int, *, generator: torch.Generator | None = None) -> list[tuple[str, str]]:
    """`number` pairs of prompt and review; each opinion is equally likely to praise, to blame or to do neither.

    A review has one or two clauses on different aspects of its topic and ends with a full stop. No adjective occurs
    twice in one review.
    Raises ValueError when `number` is less than 1.

    >>> write_reviews(1, generator=torch.Generator().manual_seed(0))
    [('about the meal :', 'the fish was quite excellent and the soup was awful .')]
    """
    checks.whole("number", number)

    def draw(options):
        return options[int(torch.randint(len(options), (), generator=generator))]

    def some(options, k):
        return [options[i] for i in torch.randperm(len(options), generator=generator)[:k].tolist()]

    written = []
    for _ in range(number):
        topic = draw(tuple(TOPICS))
        sides = some(TOPICS[topic], 1 + int(torch.randint(2, (), generator=generator)))
        adjectives = [draw(words) for words in some((PRAISE, PLAIN, BLAME), 3)]
        clauses = [f"the {side} was {draw(DEGREES)}{word}" for side, word in zip(sides, adjectives)]
        text = clauses[0] + "".join(draw(JOINTS) + clause for clause in clauses[1:])
        written.append((f"about the {topic} :", f"{text} ."))
    return written


def is_review(text: str) -> bool:
    """Whether a prompt with its answer is one that `write_reviews` could have written, spaces and case aside.

    The answer must be a sentence of the right form about the topic, and must not repeat an aspect or an adjective.

    >>> [is_review(f"about the film : {answer}") for answer in ("the plot was dull.", "the soup was dull.", "dull dull.")]
    [True, False, False]
    """
    found = _REVIEW.fullmatch(" ".join(text.lower().split()))
    if found is None or found["side"] == found["other"] or found["word"] == found["same"]:
        return False
    return {found["side"], found["other"]} - {None} <= set(TOPICS[found["topic"]])


def _pattern() -> re.Pattern:
    sides = "|".join(side for topic in TOPICS.values() for side in topic)
    words = "|".join(PRAISE + PLAIN + BLAME)
    first = rf"the (?P<side>{sides}) was ({'|'.join(DEGREES)})(?P<word>{words})"
    second = rf"the (?P<other>{sides}) was ({'|'.join(DEGREES)})(?P<same>{words})"
    return re.compile(rf"about the (?P<topic>{'|'.join(TOPICS)}) ?: {first}(( and | ?, | but ){second})? ?\.")


_REVIEW = _pattern()


def review_tokenizer() -> Tokenizer:
    """A tokenizer whose pieces are the words of the reviews; [SEP] ends a review, [PAD] fills a row.

    >>> tokenizer = review_tokenizer()
    >>> tokenizer.decode(tokenizer.encode("the acting was superb ."))
    'the acting was superb.'
    """
    sides = [side for topic in TOPICS.values() for side in topic]
    words = [*review_prompts(), *sides, *PRAISE, *PLAIN, *BLAME, "the was very rather quite and , but ."]
    return train_wordpiece([" ".join(words)] * 4, vocab_size=1000)
