"""A submitted file: whose it is, which notebook, where its bytes lie; and what was handed in but is not taken."""

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from lib.grading.intake.archives import read_member
from lib.grading.intake.notebook_json import Unreadable

FILE_LIMIT = 20 * 10**6  # bytes of a file


@dataclass(frozen=True)
class Found:
    """A submitted file. `student` is valid as the name of a folder; `file` is for display only."""

    student: str
    notebook: str  # the released name; "" if unknown
    path: Path
    notes: tuple[str, ...] = ()
    file: str = ""  # relative to the folder of submissions
    size: int = 0  # bytes
    problem: str = ""  # why it cannot be graded
    member: int | None = None  # its number in the zip archive `path`; None for a file of its own


@dataclass(frozen=True)
class NotTaken:
    """Something that was handed in and is not graded, and why."""

    student: str  # "" if unknown
    file: str  # relative to the folder of submissions, for display only
    reason: str

    def __str__(self) -> str:
        return f"{self.file} was not taken: {self.reason}"


def read_bytes(found: Found) -> tuple[Found, bytes]:
    """The submitted file with its bytes; if there is a problem, with the problem and without bytes.

    It follows no link that has replaced the file, does not wait for a pipe, and reads at most one byte more than the
    limit of a file.
    """
    if found.problem:
        return found, b""
    try:
        if found.member is not None:
            return found, read_member(found.path, found.member, FILE_LIMIT + 1)
        handle = os.open(found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                return found, file.read(FILE_LIMIT + 1)
        return replace(found, problem="it is not an ordinary file"), b""
    except Unreadable as error:
        return replace(found, problem=str(error)), b""
    except OSError as error:
        return replace(found, problem=f"it cannot be opened: {error.strerror}"), b""
