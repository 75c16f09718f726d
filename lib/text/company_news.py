"""Eighty sentences about companies, each good or bad news for its company, written for the course."""

from lib import DATA
from lib.files import read_csv

FILE = DATA / "company_news.csv"
LABELS = ("Positive", "Negative")


def company_news() -> list[tuple[str, str]]:
    """Pairs of a sentence and its label, "Positive" and "Negative" in turn. Raises ValueError for another label.

    >>> company_news()[0]
    ('Sales rose sharply in the third quarter.', 'Positive')
    """
    rows = []
    for line, (text, label) in read_csv(FILE, ["text", "label"]):
        if label not in LABELS:
            raise ValueError(f"{FILE.name}, line {line}: label must be Positive or Negative, got {label!r}")
        rows.append((text, label))
    return rows
