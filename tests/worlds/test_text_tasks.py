import pytest

from lib.models import load_small
from lib.text import load_corpus
from lib.worlds.text_tasks import ASK, RESTORE, article_of, ask_pairs, capital_and_stop, plain, restore_pairs
from lib.worlds.wikipedia_questions import wikipedia_questions


@pytest.fixture(scope="module")
def tokenizer():
    return load_small("bart-wiki-small").tokenizer


def test_restoring_begins_with_the_same_words(tokenizer):
    pairs = restore_pairs("validation", tokenizer)
    assert len(pairs) > 500
    for question, answer in pairs:
        assert question == RESTORE + plain(answer) and 6 <= len(answer.split()) <= 25
        assert question[len(RESTORE) :] == question[len(RESTORE) :].lower()
    assert max(len(tokenizer.encode(answer)) for _, answer in pairs) <= 45
    shorter = restore_pairs("validation", tokenizer, longest=15)
    assert 0 < len(shorter) < len(pairs) and set(shorter) < set(pairs)


def test_questions_are_asked_of_their_sentences():
    pairs = ask_pairs("test")
    assert len(pairs) > 30 and all(q.startswith(ASK) and a.startswith("What ") and a.endswith("?") for q, a in pairs)


def test_a_sentence_stands_in_its_article(tokenizer):
    titles = [document.title for document in load_corpus("wikipedia").splits["test"]]
    pairs = wikipedia_questions("test")
    assert [titles[n] for n in article_of("test", [pair.answer for pair in pairs])] == [pair.article for pair in pairs]
    numbers = article_of("test", [answer for _, answer in restore_pairs("test", tokenizer)])
    assert numbers == sorted(numbers) and {*numbers} <= {*range(len(titles))} and len({*numbers}) > 5
    assert article_of("test", []) == []


def test_the_rule_of_two_lines():
    assert capital_and_stop("the end of it") == "The end of it." and capital_and_stop("") == "."
    assert plain("  Don't\npanic — it's 42!") == "dont panic its 42"


def test_bad_input(tokenizer):
    with pytest.raises(ValueError, match="'train', 'validation' or 'test'"):
        restore_pairs("dev", tokenizer)
    with pytest.raises(ValueError, match="longest must be"):
        restore_pairs("test", tokenizer, longest=0)
    with pytest.raises(TypeError, match="parameter 'text'"):
        plain(3)
    with pytest.raises(ValueError, match="'train', 'validation' or 'test'"):
        article_of("dev", [])
    with pytest.raises(ValueError, match="must stand in articles of 'test', got 'No such line.'"):
        article_of("test", ["No such line."])
    with pytest.raises(TypeError, match="sentences"):
        article_of("test", "one text")
