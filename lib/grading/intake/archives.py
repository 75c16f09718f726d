"""Zip archives of strangers: listed and read in memory, within limits; nothing is ever extracted to a path.

A member's name is only looked at, so `../` and absolute names lead nowhere; such members are refused all the same.
"""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lib.grading.intake.notebook_json import Unreadable

ARCHIVE_LIMIT = 200 * 10**6  # bytes of an archive
DIRECTORY_LIMIT = 10**6  # bytes of its list of members, which is read whole
MEMBER_LIMIT = 1000  # members
TOTAL_LIMIT = 200 * 10**6  # bytes of all notebooks in it, as they say of themselves
RATIO_LIMIT = 200  # bytes out of one byte in the archive; text of a notebook gives 5 to 50
SMALL = 10**6  # bytes below which the ratio does not count

_END, _END_64 = b"PK\x05\x06", b"PK\x06\x07"
_END_BYTES, _LOCATOR_BYTES, _COMMENT_BYTES = 22, 20, 65535
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Member:
    """One file in an archive. `problem` says why it is not read; "" if it can be."""

    number: int  # in the archive's list
    name: str  # with / between folders
    size: int  # bytes, as the archive says
    problem: str


def members(path: Path) -> list[Member]:
    """The files in a zip archive, in its order, without its folders.

    Raises Unreadable, with words for the student, for a file that is no ordinary zip archive or exceeds a limit, and
    OSError if it cannot be opened.
    """
    with _opened(path) as archive:
        files = [(n, info) for n, info in enumerate(archive.infolist()) if not info.is_dir()]
    if len(files) > MEMBER_LIMIT:
        raise Unreadable(f"it has {len(files)} files, more than {MEMBER_LIMIT}: hand in the notebooks alone")
    total, listed = 0, []
    for number, info in files:
        name, problem = info.filename.replace("\\", "/"), _problem(info)
        if name.casefold().endswith(".ipynb") and not problem:
            total += info.file_size
        listed.append(Member(number, name, info.file_size, problem))
    if total > TOTAL_LIMIT:
        raise Unreadable(f"its notebooks have {total:,} bytes, more than {TOTAL_LIMIT:,}: clear their outputs")
    return listed


def _problem(info: zipfile.ZipInfo) -> str:
    """Why a member is not read, or ""."""
    name = info.filename.replace("\\", "/")
    if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/"):
        return "its name leads out of the archive"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "it is a link, but links are not followed"
    if info.flag_bits & 0x1:
        return "it is encrypted: make the archive without a password"
    if info.compress_type not in _METHODS:
        return "it is compressed in an unusual way: make an ordinary zip archive"
    if info.file_size > max(SMALL, RATIO_LIMIT * info.compress_size):
        return f"it unfolds to more than {RATIO_LIMIT} times its size, as no notebook does"
    return ""


def read_member(path: Path, number: int, most: int) -> bytes:
    """At most `most` bytes of a member, by its number in the archive.

    Raises Unreadable if the archive has changed or the member is damaged, and OSError if it cannot be opened.
    """
    with _opened(path) as archive:
        listed = archive.infolist()
        if number >= len(listed):
            raise Unreadable("the archive was changed while it was read")
        if problem := _problem(listed[number]):
            raise Unreadable(problem)
        try:
            with archive.open(listed[number]) as file:
                return file.read(most)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError):
            raise Unreadable("it is damaged in its archive: make the archive again") from None


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, once its list of members is known to be small; no link is followed, no pipe waited for."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Unreadable("it is not an ordinary file")
        _check_directory(file, os.fstat(handle).st_size)
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error):
            raise Unreadable("it is damaged, or no zip archive: make it again") from None
        with archive:
            yield archive


def _check_directory(file: BinaryIO, size: int) -> None:
    """Raise Unreadable for an archive that is too large, or whose list of members is; zipfile would read it whole."""
    if size > ARCHIVE_LIMIT:
        raise Unreadable(f"the archive is larger than {ARCHIVE_LIMIT // 10**6} MB: hand in the notebooks alone")
    file.seek(max(0, size - _END_BYTES - _LOCATOR_BYTES - _COMMENT_BYTES))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise Unreadable("it is damaged, or no zip archive: make it again")
    if _END_64 in tail[max(0, at - _LOCATOR_BYTES) : at]:
        raise Unreadable("it is a zip archive for huge files (zip64): make an ordinary one, of the notebooks alone")
    if struct.unpack("<L", tail[at + 12 : at + 16])[0] > DIRECTORY_LIMIT:
        raise Unreadable(f"its list of files is longer than {DIRECTORY_LIMIT // 10**6} MB: hand in the notebooks alone")
    file.seek(0)
