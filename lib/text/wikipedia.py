"""English prose out of the Wikipedia excerpt that gensim ships for its own tests (206 pages of a 2016 dump).

gensim's `filter_wiki` takes the wiki markup away. What it leaves behind (headings, table cells, captions,
lists of links, empty brackets, holes where a formula or a unit template stood) is taken away here, paragraph
by paragraph.
"""

import bz2
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from .packages import package_file

FILE = "test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
INSTALL = "pip install gensim"
SHORTEST = 500
"""Articles with less prose than this, in characters, are disambiguation pages and lists: left out."""

_APPENDICES = frozenset(
    "see also|notes|references|notes and references|further reading|external links|bibliography|footnotes"
    "|sources|citations|works cited|gallery".split("|")
)
_HEADING = re.compile(r"(=+)\s*(.*?)\s*=+")
_HOLE = re.compile(r"[\w,($=]  +[a-z(.,;)]|[a-z] +\.(?:\s|$)|\$ ")  # "the  of", "of .": a template is gone
_MARKUP = re.compile(r"[|{}<>\\]|https?:|\w=\w|ISBN ")
_SENTENCE_END = re.compile(r"""[.!?]["'”’)]*$""")


def wikipedia_articles() -> list[tuple[str, str]]:
    """The (title, prose) of every article with enough prose, in the order of the dump; takes seconds.

    Raises ModuleNotFoundError without gensim, OSError if its file cannot be read.
    """
    source = package_file("gensim", FILE, INSTALL)
    from gensim.corpora.wikicorpus import filter_wiki

    articles = ((title, prose(filter_wiki(markup))) for title, markup in _pages(source))
    return [(title, text) for title, text in articles if len(text) >= SHORTEST]


def prose(text: str) -> str:
    """The sentences of `text`, a page after `filter_wiki`: one paragraph a line, no headings, no leftovers.

    >>> prose("==History==\\nThe '''aardvark''' ( ; ''O. afer'') is a mammal of Africa.\\n==Notes==\\n* x")
    'The aardvark (O. afer) is a mammal of Africa.'
    """
    paragraphs, in_appendix = [], False
    for line in text.splitlines():
        line = line.strip()
        heading = _HEADING.fullmatch(line)
        if heading:
            if len(heading[1]) <= 2:  # an appendix ends with the next section, not with its own subsections
                in_appendix = heading[2].lower() in _APPENDICES
        elif not in_appendix and (paragraph := _tidy(line)):
            paragraphs.append(paragraph)
    return "\n".join(paragraphs)


def _tidy(line: str) -> str:
    """The line as readable prose, or "" if it is not a sentence of at least eight words without holes."""
    line = re.sub("'{2,}", "", line.lstrip("*#:; "))  # bold and italic
    line = re.sub(r"\(\W*\)", "", line)  # a pronunciation that was all template
    line = re.sub(r"\((\s*[,;:])+\s*", "(", line)
    if _HOLE.search(line) or _MARKUP.search(line) or not _SENTENCE_END.search(line):
        return ""
    line = re.sub(r"\s+([,.;:)?!])", r"\1", line)
    line = " ".join(line.split())
    return line if line.count(" ") >= 7 else ""


def _pages(source: Path) -> Iterator[tuple[str, str]]:
    """The (title, markup) of each article; redirects and pages about Wikipedia itself are skipped."""
    try:
        with bz2.open(source) as file:
            for _, element in ElementTree.iterparse(file):
                if element.tag.endswith("}page"):
                    page = {child.tag.rpartition("}")[2]: child.text for child in element.iter()}
                    if page["ns"] == "0" and "redirect" not in page:
                        yield page["title"], page["text"] or ""
                    element.clear()
    except (EOFError, OSError, ElementTree.ParseError) as error:
        raise OSError(
            f"gensim's file {source.name} cannot be read ({error}): install it again with `{INSTALL}`"
        ) from error
