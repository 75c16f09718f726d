"""Help for whoever mistypes a name: one way of saying "did you mean" for every room."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: object, known: Iterable[str], most: int = 1) -> str:
    """The end of an error about an unknown name: the nearest known ones (at most `most`), else all that are known.

    Case does not count, nor whether words are parted by hyphens, underscores or spaces.

    >>> nearest("BERT base", ["bert-base", "gpt-2"])
    'did you mean bert-base?'
    >>> nearest("zzz", ["a", "b"])
    'known are a, b'
    """
    known = list(known)
    close = closest(name, known, most)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return "known are " + (", ".join(known) or "none yet")


def closest(name: object, known: Iterable[str], most: int = 1, cutoff: float = 0.5) -> list[str]:
    """The names that are nearest to a mistyped one, at most `most`; none where nothing resembles it by `cutoff`.

    >>> closest("adam-fp23", ["sgd-fp32", "adam-fp32"])
    ['adam-fp32']
    """
    folded = {_folded(other): other for other in known}
    return [folded[near] for near in get_close_matches(_folded(name), folded, n=most, cutoff=cutoff)]


def _folded(name: object) -> str:
    return str(name).casefold().replace("_", "-").replace(" ", "-")
