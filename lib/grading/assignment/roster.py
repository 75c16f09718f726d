"""The roster of a release: who gets a copy, and the seed that each copy carries."""

import csv
import hashlib
import unicodedata
from pathlib import Path

from lib.errors import CourseError
from lib.names import nearest

COLUMN = "student"
RESERVED = ("manifest.json", "readme.md")  # lie beside the students' folders

_LONGEST = 200  # bytes; file systems allow 255 for a name, and we write beside it


def read_roster(path: Path) -> list[str]:
    """The students of a CSV file with a column `student`, in the order of the file.

    Raises CourseError, with the line, for a file that cannot be read, a missing column, a name that cannot
    be a folder's, a name that comes twice (capitals do not count: some file systems do not see them), or no
    student at all.
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
            raise CourseError(f"{path}, line {line}: more fields than columns; a comma needs quotes")
        name = folder_name(row[COLUMN] or "", f"{path}, line {line}")
        if name.casefold() in seen:
            raise CourseError(f"{path}, line {line}: {name!r} is in line {seen[name.casefold()]} already")
        seen[name.casefold()] = line
        students.append(name)
    if not students:
        raise CourseError(f"{path} names no student")
    return students


def _check_header(path: Path, header: list[str]) -> None:
    if header.count(COLUMN) != 1:
        found = nearest(COLUMN, header) if COLUMN not in header else "it is there twice"
        raise CourseError(f"{path} needs one column {COLUMN!r}: {found}")


def folder_name(name: str, where: str) -> str:
    """`name` in Unicode's composed form, if a folder may be called so; else CourseError, with `where`.

    Letters, digits and "._-+@ " are allowed; neither the first nor the last character is a dot or a space,
    and the first no hyphen.

    >>> folder_name("ada.lovelace", "line 2")
    'ada.lovelace'
    """
    composed = unicodedata.normalize("NFC", name)
    allowed = all(unicodedata.category(c)[0] in "LMN" or c in "._-+@ " for c in composed)
    if not composed or not allowed or composed[0] in ".- " or composed[-1] in ". ":
        raise CourseError(
            f"{where}: {name!r} cannot be a folder's name: letters, digits and '._-+@ ' may stand in it, "
            "no dot or space at its ends and no hyphen in front"
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
