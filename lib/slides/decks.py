"""The four decks, and the names of their slides."""

import re

DECKS = {"C": 52, "T": 48, "N": 47, "W": 31}
"""Each deck's letter, and how many slides it has."""


def check_slide(slide: str) -> str:
    """Return `slide` if it names a slide of the decks, otherwise raise ValueError."""
    match = re.fullmatch(r"([CTNW])(\d\d)", slide)
    if match is None or not 1 <= int(match[2]) <= DECKS[match[1]]:
        decks = ", ".join(f"{deck}01-{deck}{count}" for deck, count in DECKS.items())
        raise ValueError(f"slide must be one of {decks}, got {slide!r}")
    return slide
