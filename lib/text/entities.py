"""48 short sentences with persons, places and organisations marked, written for this course (data/labelled/entities.txt)."""

import re
from pathlib import Path
from typing import NamedTuple

from lib import DATA

FILE = DATA / "labelled" / "entities.txt"
KINDS = ("PER", "LOC", "ORG")
TAGS = ("O", *(f"{mark}-{kind}" for kind in KINDS for mark in "BI"))
"""Every tag, in the order of its number."""

_MARKED = re.compile(r"\[([^|\[\]]+)\|(\w+)\]|(\S+)")


class Tagged(NamedTuple):
    """The words of a sentence and a BIO tag for each."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


def tagged_sentences(path: Path = FILE) -> list[Tagged]:
    """All sentences, in the order of the file.

    Raises ValueError if the file is missing or damaged (naming the line).

    >>> tagged_sentences()[3]
    Tagged(words=('Lincoln', 'was', 'born', 'in', 'Kentucky', '.'), tags=('B-PER', 'O', 'O', 'O', 'B-LOC', 'O'))
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ValueError(f"{path.name} is missing; restore it from version control") from None
    return [_read(line, f"{path.name}, line {number}") for number, line in enumerate(lines, 1)]


def _read(line: str, where: str) -> Tagged:
    words: list[str] = []
    tags: list[str] = []
    for name, kind, word in _MARKED.findall(line):
        if word and any(c in word for c in "[]|") or kind and kind not in KINDS:
            raise ValueError(f"{where}: expected words and [names|KIND] with a kind of {KINDS}, got {line!r}")
        inside = name.split()
        words += inside or [word]
        tags += [f"{'I' if i else 'B'}-{kind}" for i in range(len(inside))] or ["O"]
    if not words:
        raise ValueError(f"{where}: expected a sentence, got {line!r}")
    return Tagged(tuple(words), tuple(tags))
