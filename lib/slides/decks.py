"""The four decks: the names of their slides, their titles, and the slides that no lecture has to tell."""

import re
from pathlib import Path

from lib import DATA
from lib.files import read_csv

DECKS = {"C": 52, "T": 48, "N": 47, "W": 31}
"""Each deck's letter, and how many slides it has."""

SLIDES = tuple(f"{deck}{number:02d}" for deck, count in DECKS.items() for number in range(1, count + 1))
"""All 178 slides, deck by deck."""

DIRECTORY = DATA / "slides"


def check_slide(slide: str) -> str:
    """Return `slide` if it names a slide of the decks, otherwise raise ValueError."""
    match = re.fullmatch(r"([CTNW])(\d\d)", slide)
    if match is None or not 1 <= int(match[2]) <= DECKS[match[1]]:
        decks = ", ".join(f"{deck}01-{deck}{count}" for deck, count in DECKS.items())
        raise ValueError(f"slide must be one of {decks}, got {slide!r}")
    return slide


def check_slides(slides: object) -> tuple[str, ...]:
    """The slides that a cell's metadata name; raise ValueError for anything but a list of different ones.

    >>> check_slides(["C08", "W11"])
    ('C08', 'W11')
    """
    if not isinstance(slides, list) or not slides or not all(isinstance(slide, str) for slide in slides):
        raise ValueError(f"course.slides must be a list like ['C08', 'W11'], got {slides!r}")
    if repeated := sorted({slide for slide in slides if slides.count(slide) > 1}):
        raise ValueError(f"course.slides must name each slide once, got {', '.join(repeated)} twice")
    return tuple(check_slide(slide) for slide in slides)


def slide_titles(path: Path = DIRECTORY / "titles.csv") -> dict[str, str]:
    """The title of every slide, in the order of `SLIDES`; "" where the slide has none.

    Raises ValueError for a damaged file, an unknown or repeated slide, and one that is missing.

    >>> slide_titles()["C07"]
    'Should you mask 15% in mask language modeling?'
    """
    titles = _by_slide(path, "title")
    if missing := [slide for slide in SLIDES if slide not in titles]:
        raise ValueError(f"{path.name} must have a title for every slide; there is none for {', '.join(missing)}")
    return titles


def excused_slides(path: Path = DIRECTORY / "excused.csv") -> dict[str, str]:
    """The slides that no lecture is aligned with, each with the reason: `metadata.course.slides` names the others.

    Raises ValueError for a damaged file, an unknown or repeated slide, and an empty reason.

    >>> excused_slides()["C01"]
    'title page'
    """
    reasons = _by_slide(path, "reason")
    if empty := [slide for slide, reason in reasons.items() if not reason.strip()]:
        raise ValueError(f"{path.name}: slide {empty[0]} is excused without a reason")
    return reasons


def _by_slide(path: Path, column: str) -> dict[str, str]:
    """A table of two columns, the first of which is a slide."""
    values: dict[str, str] = {}
    for line, (slide, value) in read_csv(path, ["slide", column]):
        try:
            if check_slide(slide) in values:
                raise ValueError(f"slide {slide} is repeated")
        except ValueError as error:
            raise ValueError(f"{path.name}, line {line}: {error}") from None
        values[slide] = value
    return values
