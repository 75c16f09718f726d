"""Real English text, nothing to download: `load_corpus("wikipedia")`, `load_corpus("python_docs")`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from lib import checks

from .python_docs import python_topics
from .wikipedia import wikipedia_articles

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Document:
    """One article or topic."""

    title: str
    text: str  # paragraphs, one a line in "wikipedia"; as printed by help() in "python_docs"


@dataclass(frozen=True)
class Corpus:
    """Documents in three splits, with where they come from."""

    name: str
    source: str
    licence: str
    splits: dict[str, tuple[Document, ...]]  # "train", "validation", "test"

    def text(self, split: str) -> str:
        """All documents of `split`, each after a line with its title, separated by empty lines.

        Raises ValueError for an unknown split.

        >>> Corpus("c", "", "", {"train": (Document("A", "a."), Document("B", "b."))}).text("train")
        'A\\na.\\n\\nB\\nb.'
        """
        checks.one_of("split", split, self.splits)
        return "\n\n".join(f"{document.title}\n{document.text}" for document in self.splits[split])


@dataclass(frozen=True)
class _Source:
    source: str
    licence: str
    read: Callable[[], list[tuple[str, str]]]


_SOURCES = {
    "wikipedia": _Source(
        source="English Wikipedia, 96 articles of May 2016",
        licence="CC BY-SA 3.0 (the authors of each article, named in data/text/ATTRIBUTION.md)",
        read=wikipedia_articles,
    ),
    "python_docs": _Source(
        source="The Python language reference, pydoc_data.topics of the standard library",
        licence="PSF License Agreement",
        read=python_topics,
    ),
}


def load_corpus(name: str) -> Corpus:
    """The corpus "wikipedia" or "python_docs", split by document into "train", "validation" and "test".

    In documents and thousands of characters (Python 3.11; other versions have other topics):

    ============  ===========  ===========  ===========
    corpus        train        validation   test
    ============  ===========  ===========  ===========
    wikipedia     76 (1,973)   10 (166)     10 (248)
    python_docs   45 (236)     6 (36)       6 (102)
    ============  ===========  ===========  ===========

    The split of a document depends only on its title (see `split_documents`), so it is the same on every machine,
    and no document is in two splits.

    Raises ValueError for an unknown name or a damaged file, FileNotFoundError if the file is missing,
    ModuleNotFoundError for "python_docs" where Python was installed without its documentation.

    >>> corpus = load_corpus("python_docs")
    >>> corpus.splits["train"][0].title
    'assert'
    """
    source = _SOURCES[checks.one_of("name", name, _SOURCES)]
    documents = [Document(title, text) for title, text in source.read()]
    return Corpus(name, source.source, source.licence, split_documents(name, documents))


def split_documents(name: str, documents: Sequence[Document]) -> dict[str, tuple[Document, ...]]:
    """A tenth of the documents (rounded up) for test, a tenth for validation, the rest for training.

    Documents are ranked by the SHA-256 of "name/title": the first tenth is test, the second validation.
    Within a split they keep their order. Raises ValueError for fewer than three documents.

    >>> parts = split_documents("c", [Document(title, "") for title in "abcdefghijkl"])
    >>> {split: "".join(document.title for document in part) for split, part in parts.items()}
    {'train': 'abcdgjkl', 'validation': 'fi', 'test': 'eh'}
    """
    if len(documents) < 3:
        raise ValueError(f"documents must be at least 3, one for each split, got {len(documents)}")
    ranked = sorted(documents, key=lambda document: sha256(f"{name}/{document.title}".encode()).digest())
    tenth = -(-len(documents) // 10)
    held_out = {document.title: "test" for document in ranked[:tenth]}
    held_out |= {document.title: "validation" for document in ranked[tenth : 2 * tenth]}
    splits: dict[str, list[Document]] = {split: [] for split in SPLITS}
    for document in documents:
        splits[held_out.get(document.title, "train")].append(document)
    return {split: tuple(part) for split, part in splits.items()}
