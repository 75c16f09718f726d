"""The registry of claims: what the slides print, and what a computation gives.

data/slides/claims.csv has one line per claim: id, slide(s), what is printed, the figure as a value (the
grammar is in `verdicts`), its unit, a tolerance where the slide says "about", the verdict that a person
wrote, the claim or claims from which it follows (`cause`), and a note. `exact` and `rounded` come out of the
computation, and only a claim that the computation does not confirm may carry one of the other four verdicts: if what
is written and what is computed do not go together, a check fails (`Claim.agrees`).

One mistake, one cause: where several claims go back to one misprint, all but one name it as their cause, and they are
counted once (`count_causes`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path

from lib.files import read_csv
from lib.names import nearest
from lib.slides.decks import DIRECTORY, check_slide
from lib.slides.registry import Measured, recomputations
from lib.slides.verdicts import DIFFERS, JUDGED, VERDICTS, compare, plain, read_number, read_printed

HEADER = ["id", "slide", "printed", "value", "unit", "tolerance", "verdict", "cause", "note"]
"""The columns of claims.csv."""


@dataclass(frozen=True, repr=False)
class Claim:
    """One claim of the slides. Its computation runs when a result is first needed."""

    id: str  # the number of a check ("A04"), or the slide with a letter ("C19a")
    slides: tuple[str, ...]  # where it is printed, the main slide first
    printed: str  # what is printed, in our words; "implies" marks what is not printed but follows
    text: str  # the figure as it stands in the file, see verdicts.read_printed
    unit: str
    tolerance: Decimal | None  # in the unit of the value
    expected: str  # the verdict that a person wrote down
    causes: tuple[str, ...]  # the claims from which this one follows; it is not counted beside them
    note: str

    @property
    def slide(self) -> str:
        """The slide, or several separated by spaces."""
        return " ".join(self.slides)

    @property
    def value(self) -> object:
        """The printed figure as a number, a bool, a string or a tuple of these."""
        return plain(read_printed(self.text))

    @property
    def recomputed(self) -> object:
        """The value that the computation gives."""
        return self._measured.value

    @property
    def detail(self) -> str:
        """What else was measured, in words; often empty."""
        return self._measured.detail

    @cached_property
    def computed(self) -> str:
        """`exact`, `rounded` or `differs`, by the computation alone."""
        recomputed = self.recomputed
        try:
            return compare(read_printed(self.text), recomputed, tolerance=self.tolerance)
        except (TypeError, ValueError) as error:
            raise type(error)(f"claim {self.id}: {error}") from error

    @property
    def verdict(self) -> str:
        """The computed verdict; where the computation differs, the one of the other four that a person wrote.

        It stays `differs` where a person wrote `exact` or `rounded` and the computation does not confirm it.
        """
        return self.expected if self.computed == DIFFERS and self.expected in JUDGED else self.computed

    @property
    def agrees(self) -> bool:
        """Whether the computation allows the verdict that a person wrote."""
        return self.verdict == self.expected

    @cached_property
    def _measured(self) -> Measured:
        if self.id not in recomputations():
            raise ValueError(f"claim {self.id} has no function that recomputes it in lib.slides.recomputed")
        result = recomputations()[self.id]()
        return result if isinstance(result, Measured) else Measured(result)

    def __repr__(self) -> str:
        follows = f", as {' and '.join(self.causes)}" if self.causes else ""
        lines = [
            f"{self.id} (slide {', '.join(self.slides)}): {self.verdict}{follows}",
            f"  printed     {self.printed}",
            f"  value       {self.text} {self.unit}".rstrip(),
            f"  recomputed  {as_text(self.recomputed)} {self.unit}".rstrip(),
        ]
        remarks = {"measured": self.detail, "note": self.note}
        return "\n".join(lines + [f"  {name:10}  {words}" for name, words in remarks.items() if words])


def read_claims(path: Path = DIRECTORY / "claims.csv") -> dict[str, Claim]:
    """The claims of a file by their ids, in the order of the file.

    Raises ValueError, naming the line, for a malformed row, a repeated id, an unknown slide, an unreadable value
    or tolerance, an unknown verdict, one of the four judged verdicts without a note, or a cause that cannot be one.
    """
    known: dict[str, Claim] = {}
    lines: dict[str, int] = {}
    for line, row in read_csv(path, HEADER):
        try:
            claim = _read_claim(dict(zip(HEADER, row)))
            if claim.id in known:
                raise ValueError(f"id {claim.id} is repeated")
        except ValueError as error:
            raise ValueError(f"{path.name}, line {line}: {error}") from None
        known[claim.id], lines[claim.id] = claim, line
    for claim in known.values():
        if wrong := _wrong_cause(claim, known):
            raise ValueError(f"{path.name}, line {lines[claim.id]}: {wrong}")
    return known


def claims() -> dict[str, Claim]:
    """All claims by their ids, in the order of the file.

    >>> claims()["A48"].slide
    'N09'
    """
    return dict(_packaged())


def claim(claim_id: str) -> Claim:
    """One claim: `.printed`, `.value`, `.recomputed`, `.verdict`, `.note`, `.slide`.

    Raises ValueError for an unknown id and names the nearest known one.

    >>> claim("A48").verdict
    'exact'
    """
    known = claims()
    if claim_id not in known:
        raise ValueError(f"claim_id must be one of data/slides/claims.csv, got {claim_id!r}{near(claim_id)}")
    return known[claim_id]


def audit(*, slide: str | None = None, verdict: str | None = None) -> list[Claim]:
    """The claims, or those of one slide, or those with one verdict.

    Raises ValueError for an unknown slide or verdict.

    >>> [row.id for row in audit(slide="N09")]
    ['A48']
    """
    if slide is not None:
        check_slide(slide)
    if verdict is not None and verdict not in VERDICTS:
        raise ValueError(f"verdict must be one of {', '.join(VERDICTS)}, got {verdict!r}")
    rows = [row for row in claims().values() if slide is None or slide in row.slides]
    return [row for row in rows if verdict is None or row.verdict == verdict]


def count_causes(rows: Iterable[Claim]) -> dict[str, int]:
    """How many different causes the claims among `rows` have that are neither exact nor rounded, by verdict.

    >>> count_causes([claim("A47"), claim("X07")])  # one misprint, seen on its slide and against the others
    {'convention': 0, 'imprecise': 0, 'slip': 1, 'error': 0}
    """
    judged = {row.id: row for row in rows if row.verdict in JUDGED}
    causes = {cause for row in judged.values() for cause in row.causes or (row.id,)}
    verdicts = [(judged.get(cause) or claim(cause)).expected for cause in causes]
    return {verdict: verdicts.count(verdict) for verdict in JUDGED}


def as_text(value: object) -> str:
    """A value in readable form: thousands separated, floats to six digits.

    >>> as_text((109482240, 0.99662))
    '109,482,240; 0.99662'
    """
    if isinstance(value, tuple):
        return "; ".join(as_text(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return str(value) if isinstance(value, str) else f"{float(value):,.6g}"


def near(claim_id: str) -> str:
    """The end of the message about an unknown claim: the parts of a claim that was split, or the nearest id."""
    parts = [known for known in claims() if known[:-1] == claim_id]
    return f"; it has the parts {', '.join(parts)}" if parts else f"; {nearest(claim_id, claims())}"


@cache
def _packaged() -> dict[str, Claim]:
    return read_claims()


def _wrong_cause(claim: Claim, known: dict[str, Claim]) -> str:
    """What speaks against the causes of a claim, or ""."""
    for cause in claim.causes:
        if cause not in known:
            return f"cause must be the id of a claim, got {cause!r}"
        if known[cause].causes or known[cause].expected not in JUDGED:
            return f"cause must be a claim with one of {', '.join(JUDGED)} and no cause of its own, got {cause!r}"
    worst = max((known[cause].expected for cause in claim.causes), key=VERDICTS.index, default=claim.expected)
    return "" if claim.expected == worst else f"verdict must be that of its cause, {worst}, got {claim.expected}"


def _read_claim(row: dict[str, str]) -> Claim:
    for name in ("id", "slide", "printed", "value", "verdict"):
        if not row[name].strip():
            raise ValueError(f"{name} is empty")
    slides = tuple(check_slide(slide) for slide in row["slide"].split())
    of_slide = re.fullmatch(r"([CTNW]\d\d)[a-z]", row["id"])
    if not re.fullmatch(r"[AFX]\d\d[a-z]?", row["id"]) and not (of_slide and of_slide[1] in slides):
        raise ValueError(f"id must be a check (A04) or its slide with a letter (C19a), got {row['id']!r}")
    if row["verdict"] not in VERDICTS:
        raise ValueError(f"verdict must be one of {', '.join(VERDICTS)}, got {row['verdict']!r}")
    if row["verdict"] in JUDGED and not row["note"].strip():
        raise ValueError(f"note is empty, and must say why the claim is {row['verdict']!r}")
    read_printed(row["value"])
    tolerance = read_number(row["tolerance"]).value if row["tolerance"] else None
    return Claim(
        id=row["id"],
        slides=slides,
        printed=row["printed"],
        text=row["value"],
        unit=row["unit"],
        tolerance=tolerance,
        expected=row["verdict"],
        causes=tuple(row["cause"].split()),
        note=row["note"],
    )
