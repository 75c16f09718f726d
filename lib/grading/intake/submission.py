"""Submissions as they come: files from strangers, read without trust.

A notebook is read as plain JSON: nothing of it is executed, written or believed here. Whatever is wrong with
a file is said in words, in its own submission; the others are not concerned.
"""

import hashlib
import os
import stat
from dataclasses import dataclass, field, replace

from lib.grading.intake.folder import Found, find_submissions
from lib.grading.intake.notebook_json import Cells, Unreadable, read_cells

__all__ = ["Found", "Submission", "find_submissions", "load_submission", "read_bytes", "read_submission"]

FILE_LIMIT = 20 * 10**6  # bytes of a file
NOTES_LIMIT = 20  # notes of one submission


@dataclass(frozen=True)
class Submission:
    """What a file holds, in plain data that is safe to encode."""

    student: str
    notebook: str
    file: str
    sha256: str  # of the bytes that were read; "" where none were
    cells: tuple[dict, ...] = ()  # code cells only: {"number": from 1, "source", "exercise": its id or ""}
    problem: str = ""  # why it cannot be read; then there are no cells
    written: dict[str, str] = field(default_factory=dict)  # exercise id -> text of a manually graded cell
    notes: tuple[str, ...] = ()


def load_submission(found: Found) -> Submission:
    """Read the file that was found, if it is one and not too large; never raises for what it is or holds."""
    return read_submission(*read_bytes(found))


def read_bytes(found: Found) -> tuple[Found, bytes]:
    """What was found with its bytes; with the problem, and no bytes, where there is one.

    No link is followed that took the file's place since, no pipe waited for, and of a file that is too large
    no more read than shows that it is.
    """
    if found.problem:
        return found, b""
    try:
        handle = os.open(found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                return found, file.read(FILE_LIMIT + 1)
        return replace(found, problem="it is no ordinary file"), b""
    except OSError as error:
        return replace(found, problem=f"it cannot be opened: {error.strerror}"), b""


def read_submission(found: Found, content: bytes) -> Submission:
    """The cells of a notebook file, from its bytes; never raises for what they hold.

    What is no notebook, or too large, gives a submission with a `problem`; a cell that is none is left out,
    with a note.

    >>> from pathlib import Path
    >>> read_submission(Found("ada", "04_mlm_masking.ipynb", Path("a.ipynb")), b"").problem
    'the file is empty'
    """
    sha256 = hashlib.sha256(content).hexdigest() if content else ""
    if found.problem:
        return _refused(found, found.problem, sha256)
    size = max(len(content), found.size)
    if size > FILE_LIMIT:
        large = f"the file is larger than {FILE_LIMIT // 10**6} MB: clear its outputs and save it again"
        return _refused(found, large, sha256)
    try:
        cells = Cells(read_cells(content))
    except Unreadable as error:
        return _refused(found, str(error), sha256)
    notes = (*found.notes, *cells.notes)
    if len(notes) > NOTES_LIMIT:
        notes = (*notes[:NOTES_LIMIT], f"there are {len(notes) - NOTES_LIMIT} more notes")
    return Submission(
        found.student, found.notebook, found.file, sha256, tuple(cells.code), "", cells.written, notes
    )


def _refused(found: Found, problem: str, sha256: str = "") -> Submission:
    return Submission(found.student, found.notebook, found.file, sha256, problem=problem, notes=found.notes)
