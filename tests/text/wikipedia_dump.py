"""How data/text was made: English prose out of the excerpt of Wikipedia that gensim ships for its own tests.

`python -m tests.text.wikipedia_dump`, with gensim installed, writes both files of data/text again; a test holds that
their bytes are the same. gensim's `filter_wiki` takes the wiki markup away. What it leaves behind (headings, table
cells, captions, lists of links, empty brackets, holes where a formula or a unit template stood) is taken away here,
paragraph by paragraph.
"""

import bz2
import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from lib import DATA
from lib.files import atomic_write
from lib.text.packages import package_file

DUMP = "test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
SHORTEST = 500
"""Articles with less prose than this, in characters, are disambiguation pages and lists: left out."""

_APPENDICES = frozenset(
    [
        "see also",
        "notes",
        "references",
        "notes and references",
        "further reading",
        "external links",
        "bibliography",
        "footnotes",
        "sources",
        "citations",
        "works cited",
        "gallery",
    ]
)
_HEADING = re.compile(r"(=+)\s*(.*?)\s*=+")
_HOLE = re.compile(r"[\w,($=]  +[a-z(.,;)]|[a-z] +\.(?:\s|$)|\$ ")  # "the  of", "of .": a template is gone
_MARKUP = re.compile(r"[|{}<>\\]|https?:|\w=\w|ISBN ")
_SENTENCE_END = re.compile(r"""[.!?]["'”’)]*$""")
_CREDIT = """\
# Who wrote `wikipedia.jsonl`

The prose of {number} articles of the English Wikipedia, © their authors, under
[CC BY-SA 3.0](https://creativecommons.org/licenses/by-sa/3.0/). The history of each article, linked below, names its
authors; the revision is the one whose text was taken. It comes from Wikimedia's dump of May 2016 (the latest revision
is of {date}).

Changed by this course: markup, headings, tables, captions, references and paragraphs with holes were taken away; what
is left is whole sentences, one paragraph a line. If you pass the text on, keep this notice and the licence.

| article | revision | of | authors |
|---|---|---|---|
"""
_SITE = "https://en.wikipedia.org/w/index.php"


class Article(NamedTuple):
    """One page of the dump."""

    title: str
    text: str  # prose, one paragraph a line
    page: str  # Wikipedia's number of the page, which stays when the page is renamed
    revision: str
    date: str  # of the revision, YYYY-MM-DD


def articles() -> list[Article]:
    """Every article with enough prose, in the order of the dump; takes seconds."""
    from gensim.corpora.wikicorpus import filter_wiki

    cleaned = (article._replace(text=prose(filter_wiki(article.text))) for article in _pages())
    return [article for article in cleaned if len(article.text) >= SHORTEST]


def text_file(found: Sequence[Article]) -> bytes:
    """data/text/wikipedia.jsonl: one article a line."""
    rows = ({"title": article.title, "text": article.text} for article in found)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def credit_file(found: Sequence[Article]) -> bytes:
    """data/text/ATTRIBUTION.md: where each article comes from."""
    rows = (
        f"| {each.title} | [{each.revision}]({_SITE}?oldid={each.revision}) | {each.date} "
        f"| [history]({_SITE}?curid={each.page}&action=history) |\n"
        for each in found
    )
    head = _CREDIT.format(number=len(found), date=max(each.date for each in found))
    return (head + "".join(rows)).encode()


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


def _pages() -> Iterator[Article]:
    """Each article with its markup; redirects and pages about Wikipedia itself are skipped."""
    with bz2.open(package_file("gensim", DUMP, "pip install gensim")) as file:
        for _, page in ElementTree.iterparse(file):
            if page.tag.endswith("}page"):
                if page.findtext("{*}ns") == "0" and page.find("{*}redirect") is None:
                    revision = page.find("{*}revision")
                    yield Article(
                        page.findtext("{*}title"),
                        revision.findtext("{*}text"),
                        page.findtext("{*}id"),
                        revision.findtext("{*}id"),
                        revision.findtext("{*}timestamp")[:10],
                    )
                page.clear()


def main() -> None:
    """Write both files."""
    found = articles()
    for name, content in (("wikipedia.jsonl", text_file(found)), ("ATTRIBUTION.md", credit_file(found))):
        with atomic_write(DATA / "text" / name, "wb") as file:
            file.write(content)
        print(f"data/text/{name}: {len(found)} articles, {len(content):,} bytes")


if __name__ == "__main__":
    main()
