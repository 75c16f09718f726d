"""Help for whoever mistypes a name."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: "; did you mean 'glue'?" if a known name is near, else all of them.

    >>> nearest("gleu", ["glue", "llama"])
    "; did you mean 'glue'?"
    """
    known = list(known)
    folded = {other.casefold(): other for other in known}
    close = difflib.get_close_matches(str(name).casefold(), folded, n=1, cutoff=0.5)
    return f"; did you mean {folded[close[0]]!r}?" if close else f"; known are {', '.join(known)}"
