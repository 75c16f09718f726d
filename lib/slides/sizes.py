"""Sizes as slides write them: "117M", "16*110B (guessed)", "110-340M", "7B -> 1T".

Suffixes are decimal, as in all four decks: K = 10^3, M = 10^6, B (or G before bytes) = 10^9, T = 10^12.
"""

import math
import re
from dataclasses import dataclass
from decimal import Decimal

SUFFIXES = {
    "": 0,
    "K": 3,
    "M": 6,
    "G": 9,
    "B": 9,
    "T": 12,
    "MILLION": 6,
    "BILLION": 9,
    "TRILLION": 12,
    "TRIL": 12,
}
"""Powers of ten, by the upper-case suffix."""

_NUMBER = r"(?P<digits>\d[\d,]*(?:\.\d+)?)"
_SIZE = re.compile(
    rf"(?:(?P<times>\d+)\s*\*\s*)?{_NUMBER}\s*(?P<suffix>billion|million|trillion|tril|[KMGBT])?B?",
    re.IGNORECASE,
)
_REMARK = re.compile(r"\([^)]*\)|\?|\b(?:parameters|params|tokens|words|bytes)\b", re.IGNORECASE)
_ARROW = re.compile(r"\s*(?:->|→|–|-|\bto\b)\s*")


@dataclass(frozen=True)
class SizeRange:
    """From `low` to `high`, both included, unless an end is marked open.

    >>> 3_000_000_000 in parse_range("7B -> 1T")
    False
    """

    low: int | float = 0  # in units (parameters, tokens, bytes)
    high: int | float = math.inf
    low_open: bool = False  # "> 1B" leaves 1B itself out
    high_open: bool = False  # "< 100M" leaves 100M itself out

    def __contains__(self, size: int | float) -> bool:
        above = size > self.low if self.low_open else size >= self.low
        below = size < self.high if self.high_open else size <= self.high
        return above and below


def parse_size(text: str) -> int | float:
    """The number that a printed size stands for, an int where it is whole.

    Remarks in parentheses and a unit word (parameters, tokens, words, bytes) are ignored.
    Raises ValueError for anything else, and for a range (see `parse_range`).

    >>> parse_size("117M"), parse_size("16*110B (guessed)"), parse_size("5GB")
    (117000000, 1760000000000, 5000000000)
    """
    bare = _bare(text)
    match = _SIZE.fullmatch(bare)
    if match is None:
        hint = "; for a range use parse_range" if re.match(r"[<>≤≥]|\d.*(-|–|→|\bto\b)", bare) else ""
        raise ValueError(f"text must be a size such as '117M' or '16*110B', got {text!r}{hint}")
    return as_number(Decimal(match["digits"].replace(",", "")) * scale(match))


def parse_range(text: str) -> SizeRange:
    """The range that a slide prints: "7B -> 1T", "110-340M", "7B to 65B", "< 100M", ">= 1B", or one size.

    Where only the second size has a suffix, the first shares it. Raises ValueError if there is no size, or if
    the larger end comes first.

    >>> parse_range("110-340M")
    SizeRange(low=110000000, high=340000000, low_open=False, high_open=False)
    """
    bare = _bare(text)
    if match := re.fullmatch(r"(<=|>=|<|>|≤|≥)\s*(.+)", bare):
        sign, size = match[1], parse_size(match[2])
        is_open = sign in "<>"
        if sign[0] in "<≤":
            return SizeRange(high=size, high_open=is_open)
        return SizeRange(low=size, low_open=is_open)
    ends = _ARROW.split(bare)
    if len(ends) == 2 and ends[0].replace(".", "", 1).isdigit():
        ends[0] += re.sub(r"[\d.,\s]", "", ends[1])
    if len(ends) > 2 or not all(map(match_size, ends)):
        raise ValueError(f"text must be a size or a range such as '7B -> 1T', got {text!r}")
    low, high = parse_size(ends[0]), parse_size(ends[-1])
    if low > high:
        raise ValueError(f"text must give the smaller end first, got {text!r}")
    return SizeRange(low, high)


def scale(match: re.Match) -> Decimal:
    """The factor for the digits of a size: its suffix, times the 16 in "16*110B"."""
    return Decimal(int(match["times"] or 1)).scaleb(SUFFIXES[(match["suffix"] or "").upper()])


def as_number(value: Decimal) -> int | float:
    """An int where the value is whole, else the nearest float."""
    return int(value) if value == value.to_integral_value() else float(value)


def match_size(text: str) -> re.Match | None:
    """The parts of a size (`times`, `digits`, `suffix`), or None if the whole text isn't one."""
    return _SIZE.fullmatch(text)


def _bare(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"text must be a string, got {type(text).__name__}")
    return _REMARK.sub("", text).strip()
