"""Reading submissions: untrusted files from students.

A notebook is read as plain JSON; nothing in it is executed, written or trusted here. A problem with a file is
reported in its own submission and does not affect the others.
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
    """The content of a file, as plain data that is safe to encode."""

    student: str
    notebook: str
    file: str
    sha256: str  # of the bytes that were read; "" if none were
    cells: tuple[dict, ...] = ()  # code cells only: {"number": from 1, "source", "exercise": its id or ""}
    problem: str = ""  # why it cannot be read; then there are no cells
    written: dict[str, str] = field(default_factory=dict)  # exercise id -> text of a manually graded cell
    notes: tuple[str, ...] = ()


def load_submission(found: Found) -> Submission:
    """Read the file that was found. Never raises because of the kind, size or content of the file."""
    return read_submission(*read_bytes(found))


def read_bytes(found: Found) -> tuple[Found, bytes]:
    """The submitted file with its bytes; if there is a problem, with the problem and without bytes.

    It follows no link that has replaced the file, does not wait for a pipe, and reads at most one byte more than the
    limit of a file.
    """
    if found.problem:
        return found, b""
    try:
        handle = os.open(found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                return found, file.read(FILE_LIMIT + 1)
        return replace(found, problem="it is not an ordinary file"), b""
    except OSError as error:
        return replace(found, problem=f"it cannot be opened: {error.strerror}"), b""


def read_submission(found: Found, content: bytes) -> Submission:
    """The cells of a notebook file, from its bytes. Never raises because of its content.

    A file that is not a notebook, or too large, gives a submission with a `problem`; an invalid cell is left out,
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
    return Submission(found.student, found.notebook, found.file, sha256, tuple(cells.code), "", cells.written, notes)


def _refused(found: Found, problem: str, sha256: str = "") -> Submission:
    return Submission(found.student, found.notebook, found.file, sha256, problem=problem, notes=found.notes)
