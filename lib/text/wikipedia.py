"""The prose of 96 articles of the English Wikipedia, which the course ships: data/README.md says how it was made."""

import json
from hashlib import sha256
from pathlib import Path

from lib import DATA

FILE = DATA / "text" / "wikipedia.jsonl"
SHA256 = "b698c648c1d32562558e5498189b2d19fb97aea16f0f9239b4b496fcb20f4647"
"""Of the file: the shipped models and the stored outputs of the notebooks were made with exactly this text."""


def wikipedia_articles(path: Path = FILE) -> list[tuple[str, str]]:
    """The (title, prose) of every article, one paragraph a line, in the order of the dump.

    Raises FileNotFoundError if the file is missing, ValueError if it is damaged.

    >>> title, prose = wikipedia_articles()[0]
    >>> title, prose[:47]
    ('Anarchism', 'Anarchism is a political philosophy that advoca')
    """
    restore = "restore it from version control"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"the text of Wikipedia, {path.name}, is missing: {restore}") from None
    if sha256(content).hexdigest() != SHA256:
        raise ValueError(f"the text of Wikipedia, {path.name}, is damaged (its checksum differs): {restore}")
    rows = (json.loads(line) for line in content.splitlines())
    return [(row["title"], row["text"]) for row in rows]
