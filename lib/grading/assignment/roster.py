"""The roster of a release: the students who get a copy, and the seed of each copy."""

import csv
import hashlib
import unicodedata
from pathlib import Path

from lib.errors import CourseError
from lib.names import nearest

COLUMN = "student"
RESERVED = ("manifest.json", "readme.md")  # next to the students' folders

_LONGEST = 200  # bytes; file systems allow 255 for a name, and temporary files need longer ones


def read_roster(path: Path) -> list[str]:
    """The students of a CSV file with a column `student`, in the order of the file.

    Raises CourseError, with the line, for a file that cannot be read, a missing column, a name that is not allowed
    for a folder, a repeated name (ignoring case, as some file systems do), or an empty roster.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_header(path, reader.fieldnames or [])
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CourseError(f"{path} cannot be read as a CSV file: {error}") from None
    seen: dict[str, int] = {}
    students = []
    for line, row in rows:
        if None in row:
            raise CourseError(f"{path}, line {line}: more fields than columns; put quotes around a comma")
        name = folder_name(row[COLUMN] or "", f"{path}, line {line}")
        if name.casefold() in seen:
            raise CourseError(f"{path}, line {line}: {name!r} is already in line {seen[name.casefold()]}")
        seen[name.casefold()] = line
        students.append(name)
    if not students:
        raise CourseError(f"{path} contains no students")
    return students


def _check_header(path: Path, header: list[str]) -> None:
    if header.count(COLUMN) != 1:
        found = nearest(COLUMN, header) if COLUMN not in header else "there are two"
        raise CourseError(f"{path} needs one column {COLUMN!r}: {found}")


def folder_name(name: str, where: str) -> str:
    """`name` in Unicode's composed form, if it is allowed as a folder name; else raises CourseError, with `where`.

    Letters, digits and "._-+@ " are allowed. The first and the last character must not be a dot or a space, and
    the first must not be a hyphen.

    >>> folder_name("ada.lovelace", "line 2")
    'ada.lovelace'
    """
    composed = unicodedata.normalize("NFC", name)
    allowed = all(unicodedata.category(c)[0] in "LMN" or c in "._-+@ " for c in composed)
    if not composed or not allowed or composed[0] in ".- " or composed[-1] in ". ":
        raise CourseError(
            f"{where}: {name!r} cannot be the name of a folder: it may have letters, digits and '._-+@ ', "
            "no dot or space at its ends and no hyphen at the beginning"
        )
    if len(composed.encode()) > _LONGEST:
        raise CourseError(f"{where}: the name {name[:20]!r}… has more than {_LONGEST} bytes")
    if composed.casefold() in RESERVED:
        raise CourseError(f"{where}: {name!r} is the name of a file of the release")
    return composed


def student_seed(seed: int, student: str) -> int:
    """The seed of one student's copy: 32 bits of SHA-256 of the release's seed and the name.

    >>> student_seed(0, "ada") == student_seed(0, "ada") != student_seed(1, "ada")
    True
    """
    digest = hashlib.sha256(f"course release\n{seed}\n{student}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
