"""The works that lectures and docstrings cite: data/references.csv, and a link to each."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

from lib import DATA
from lib.names import nearest
from lib.slides.tables import read_csv

FILE = DATA / "references.csv"
HEADER = ["key", "authors", "year", "title", "arxiv", "doi"]

_FORMS = {
    "key": (r"[a-z]+\d{4}[b-z]?", "like hu2021, or hu2021b for a second one"),
    "authors": (r"\S.*\S", "as they are cited, like 'Hu et al.'"),
    "year": (r"(19|20)\d\d", "a year"),
    "title": (r"[^\s\[\]*][^\[\]*]*[^\s\[\]*]", "a title without Markdown"),
    "arxiv": (r"(\d{4}\.\d{4,5})?", "a number like 1706.03762, or nothing"),
    "doi": (r"(10\.\d{4,9}/[^\s\"<>]+)?", "like 10.1007/BF00992696, or nothing"),
}


@dataclass(frozen=True)
class Reference:
    """One work. Where neither arXiv nor a DOI has it, both are empty."""

    key: str
    authors: str  # as cited: "Hu et al."
    year: int
    title: str
    arxiv: str
    doi: str

    @property
    def url(self) -> str:
        """Where it can be read: arXiv before the publisher; "" where neither has it."""
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return f"https://doi.org/{quote(self.doi, safe='/')}" if self.doi else ""

    @property
    def markdown(self) -> str:
        """The work as a lecture's further reading has it: authors, year and title, linked where there is a link."""
        text = f"{self.authors} {self.year}, *{self.title}*"
        return f"[{text}]({self.url})" if self.url else text


def reference(key: str) -> str:
    """A work as Markdown. Raises ValueError for a key that the list does not have, with the nearest.

    >>> reference("hu2021")
    '[Hu et al. 2021, *LoRA: Low-Rank Adaptation of Large Language Models*](https://arxiv.org/abs/2106.09685)'
    """
    known = references()
    if key not in known:
        raise ValueError(f"key must be one of data/references.csv, got {key!r}; {nearest(key, known, most=3)}")
    return known[key].markdown


@cache
def references() -> dict[str, Reference]:
    """All works by their keys."""
    return read_references(FILE)


def read_references(path: Path) -> dict[str, Reference]:
    """The works of a file by their keys.

    Raises ValueError, naming the line, for a cell that is not of its form, a key that is not the year's, rows that are
    not in the order of their keys, and a key, arXiv number or DOI that comes twice.
    """
    found: dict[str, Reference] = {}
    seen: set[str] = set()
    for line, cells in read_csv(path, HEADER):
        row = dict(zip(HEADER, cells))
        problem = _problem(row) or _disorder(row, found, seen)
        if problem:
            raise ValueError(f"{path.name}, line {line}: {problem}")
        seen |= {row["arxiv"], row["doi"].lower()} - {""}
        found[row["key"]] = Reference(**{**row, "year": int(row["year"])})  # type: ignore[arg-type]
    return found


def _problem(row: dict[str, str]) -> str:
    for name, (form, words) in _FORMS.items():
        if not re.fullmatch(form, row[name]):
            return f"{name} must be {words}, got {row[name]!r}"
    return "" if row["year"] in row["key"] else f"key must hold the year {row['year']}, got {row['key']!r}"


def _disorder(row: dict[str, str], before: dict[str, Reference], seen: set[str]) -> str:
    if row["key"] in before:
        return f"the key {row['key']} comes twice"
    if before and row["key"] < (last := next(reversed(before))):
        return f"rows stand in the order of their keys: {row['key']} belongs before {last}"
    twice = [row[name] for name in ("arxiv", "doi") if row[name].lower() in seen]
    return f"{twice[0]} comes twice" if twice else ""
