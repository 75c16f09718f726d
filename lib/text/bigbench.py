"""Articles and their summaries out of BIG-bench's source archive, where somebody has it (optional; 358 MB).

The archive is `bigbench-1.0.0.tar.gz` of the Python package index. It is read where it lies: nothing is unpacked,
installed or committed, and nothing is trained on it, as each of its files asks (they bear a canary).
"""

import json
import re
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from lib.errors import CourseError

ARCHIVE_SHA256 = "1bb398a5512c6d798cdebe0dfa0ac03f67f6033fa6b39c6ef71df978c7cbc5c2"
"""Of `bigbench-1.0.0.tar.gz`."""

_STOP = re.compile(
    r"""(?<=[.!?])\s+(?=["'“‘(A-Z])|(?<=[.!?]["'”’)])\s+"""
)  # a news text's, which may have a space before it

_TASKS = "bigbench-1.0.0/bigbench/benchmark_tasks/"


class Summarised(NamedTuple):
    """An article and its reference summary, one sentence per line."""

    article: str
    summary: str


def _candidates(text: str) -> Iterable[tuple[str, str]]:
    """A JSON object per line, below two lines of comment; the reference is the candidate that `lbl` names."""
    for line in text.splitlines()[2:]:
        if line.strip():
            row = json.loads(line)
            yield row["source"], row["list_candidates"][row["lbl"]]


def _examples(text: str) -> Iterable[tuple[str, str]]:
    return ((row["input"], row["target"]) for row in json.loads(text)["examples"])


SETS: dict[str, tuple[str, Callable[[str], Iterable[tuple[str, str]]]]] = {
    "CNN/DailyMail": ("factuality_of_summary/cnn_dm.json", _candidates),
    "XSum factuality": ("factuality_of_summary/xsum.json", _candidates),
    "XSum GEM": ("gem/xsum/task.json", _examples),
}
"""Each set's file among the tasks, and how it is read. Only CNN/DailyMail's articles come without line breaks."""


def read_summaries(archive: Path | str) -> dict[str, list[Summarised]]:
    """The three sets of `SETS` by name, in one pass over the archive.

    Raises CourseError when the archive is missing, is no archive, lacks one of the files, or a file has another form.
    """
    wanted, found = {_TASKS + name: key for key, (name, _) in SETS.items()}, {}
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                if member.name in wanted and (file := tar.extractfile(member)):
                    key = wanted[member.name]
                    found[key] = _rows(key, file.read())
                if len(found) == len(wanted):
                    break
    except FileNotFoundError:
        raise CourseError(f"there is no file {archive}; get it by `pip download bigbench==1.0.0 --no-deps`") from None
    except (OSError, EOFError, tarfile.TarError) as error:
        raise CourseError(f"{archive} cannot be read as BIG-bench's archive: {error}") from error
    if missing := [name for name, key in wanted.items() if key not in found]:
        raise CourseError(f"{archive} has no {missing[0]}: is it bigbench-1.0.0.tar.gz?")
    return {key: found[key] for key in SETS}


def _rows(key: str, content: bytes) -> list[Summarised]:
    name, read = SETS[key]
    try:
        rows = [_by_sentence(key, *pair) for pair in read(content.decode())]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise CourseError(
            f"{name} has another form than BIG-bench 1.0.0's ({type(error).__name__}: {error})"
        ) from error
    if not rows:
        raise CourseError(f"{name} holds no article")
    return rows


def _by_sentence(key: str, article: Any, summary: Any) -> Summarised:
    if not (isinstance(article, str) and isinstance(summary, str)):
        raise TypeError("an article and its summary must be texts")
    return Summarised(article if key.startswith("XSum") else _STOP.sub("\n", article), summary)
