"""Two tasks from text to text on real sentences: give back case and punctuation, and ask what a sentence answers.

A task is a prefix, as in T5 (slides C46, N31; Raffel et al. 2020): the same model reads "restore: …" and "ask: …".
Training and test sentences come from different articles.
"""

import re
from collections.abc import Sequence

from lib import checks
from lib.text import Tokenizer, load_corpus
from lib.text.passages import split_sentences
from lib.worlds.wikipedia_questions import wikipedia_questions

RESTORE, ASK = "restore: ", "ask: "


def plain(text: str) -> str:
    """A text in small letters, without punctuation.

    >>> plain("In 1913, Bohr's model of the atom appeared.")
    'in 1913 bohrs model of the atom appeared'
    """
    return " ".join(re.sub(r"[^\w\s]", "", checks.instance("text", text, str)).lower().split())


def capital_and_stop(text: str) -> str:
    """What a rule of two lines makes of a plain text: a capital at the beginning and a stop at the end.

    >>> capital_and_stop("it rains")
    'It rains.'
    """
    return f"{text[:1].upper()}{text[1:]}."


def restore_pairs(split: str, tokenizer: Tokenizer, longest: int = 45) -> list[tuple[str, str]]:
    """("restore: " and a plain sentence, the sentence) for those of 6 to 25 words and at most `longest` tokens.

    Raises ValueError for an unknown split or `longest` below 1.
    """
    checks.whole("longest", longest)
    corpus = load_corpus("wikipedia").splits
    documents = corpus[checks.one_of("split", split, corpus)]
    whole = [s for d in documents for s in split_sentences(d.text) if _is_sentence(s)]
    ids = tokenizer.encode_batch(whole)
    return [(RESTORE + plain(s), s) for s, tokens in zip(whole, ids) if len(tokens) <= longest]


def ask_pairs(split: str) -> list[tuple[str, str]]:
    """("ask: " and a sentence that says what something is, the question that it answers), made by rule.

    >>> ask_pairs("validation")[3][0][:22], ask_pairs("validation")[3][1]
    ('ask: Rugby is a tradit', 'What is Rugby?')
    """
    return [(ASK + pair.answer, pair.question) for pair in wikipedia_questions(split)]


def article_of(split: str, sentences: Sequence[str]) -> list[int]:
    """For each sentence the number of its article in the split, from 0: the first one in which it stands.

    Sentences of one article are alike, so an interval draws articles. Raises ValueError for an unknown split, and for
    a sentence that stands in no article of it.

    >>> article_of("validation", [pair[0].removeprefix(ASK) for pair in ask_pairs("validation")[:3]])
    [1, 2, 2]
    """
    corpus = load_corpus("wikipedia").splits
    documents = corpus[checks.one_of("split", split, corpus)]
    found = []
    for sentence in checks.strings("sentences", sentences):
        numbers = (number for number, document in enumerate(documents) if sentence in document.text)
        if (number := next(numbers, None)) is None:
            raise ValueError(f"sentences must stand in articles of {split!r}, got {sentence!r}")
        found.append(number)
    return found


def _is_sentence(text: str) -> bool:
    return text.endswith(".") and text[0].isupper() and 6 <= len(text.split()) <= 25
