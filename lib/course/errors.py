"""Errors that are meant for the person at the terminal: one line, no traceback."""


class CourseError(Exception):
    """Something went wrong that the user can put right; the message says what, where and what to do."""

    exit_code = 1


class UsageError(CourseError):
    """The command itself was wrong: an unknown notebook, parameter or option value."""

    exit_code = 2


def nearest(name: str, known: list[str]) -> str:
    """A hint that ends an error about an unknown name: the nearest known one, else all of them.

    >>> nearest("03_mlm_maskng", ["00_start_here", "03_mlm_masking"])
    'did you mean 03_mlm_masking?'
    >>> nearest("zzz", ["a", "b"])
    'known: a, b'
    """
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else "known: " + (", ".join(known) or "none")
