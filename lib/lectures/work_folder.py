"""Student editions in `work/`, where a newer edition never replaces a student's own work.

`.editions.json` records the checksum of every edition that was written. A notebook that still has its checksum
was not changed and may be replaced. Any other is kept, and a newer edition is written next to it.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from lib import NOTEBOOKS, __version__
from lib.errors import CourseError, UsageError
from lib.files import atomic_path, atomic_write, file_lock, sha256
from lib.lectures.edition import student_edition
from lib.lectures.notebooks import load, text_of

MANIFEST = ".editions.json"


@dataclass(frozen=True)
class EditionResult:
    """The result for one notebook: "created", "updated", "unchanged", "kept" or "beside" (then `path` is a new
    file)."""

    action: str
    path: Path

    def __str__(self) -> str:
        remark = {
            "kept": "yours, from the current edition",
            "beside": "a newer edition; your notebook is not changed",
        }.get(self.action, "")
        return f"{self.action:<10}{self.path}" + (f"  ({remark})" if remark else "")


def write_editions(notebooks: list[Path], out: Path) -> list[EditionResult]:
    """Write the student editions of `notebooks` into the folder `out`, and return the result for each.

    All editions are made before the first is written, so a faulty notebook changes nothing.
    Raises CourseError for a faulty notebook or manifest, or if `out` is not a folder, and UsageError if `out` is
    the folder of the sources.
    """
    if out.exists() and not out.is_dir():
        raise CourseError(f"{out} is a file; --out must name a folder for the notebooks")
    if out.resolve() in {NOTEBOOKS.resolve(), *(path.resolve().parent for path in notebooks)}:
        raise UsageError(f"{out} contains the notebooks with solutions; choose another folder with --out")
    editions = {path.name: text_of(student_edition(load(path), path.name)) for path in notebooks}
    with file_lock(out / MANIFEST):
        known = _read_manifest(out / MANIFEST)
        return [_write_one(out / name, text, known) for name, text in editions.items()]


def _write_one(path: Path, text: str, known: dict[str, str]) -> EditionResult:
    """Write one edition, under a new name if the student's must be kept. The manifest is updated at once, in case
    of an interruption."""
    new = hashlib.sha256(text.encode()).hexdigest()
    if path.is_dir():
        raise CourseError(f"{path} is a folder, but the notebook needs this name")
    now = sha256(path) if path.exists() else None
    if now is not None and now not in (new, known.get(path.name)):  # the student's own
        return _keep(path, text, new, known)
    if now != new:
        _replace(path, text, now)
    known[path.name] = new
    _write_manifest(path.parent / MANIFEST, known)
    return EditionResult("created" if now is None else "unchanged" if now == new else "updated", path)


def _keep(path: Path, text: str, new: str, known: dict[str, str]) -> EditionResult:
    if known.get(path.name) == new:
        return EditionResult("kept", path)
    beside = path.with_name(f"{path.stem}.new-{new[:8]}.ipynb")
    if not beside.exists():  # the student may have worked in it
        _replace(beside, text, None)
    return EditionResult("beside", beside)


def _replace(path: Path, text: str, now: str | None) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode())
        if (sha256(path) if path.exists() else None) != now:  # saved at this moment, from Jupyter
            raise CourseError(f"{path} was saved while its new edition was written, so it was kept. Run this again")


def _read_manifest(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        editions = json.loads(path.read_text(encoding="utf-8"))["editions"]
        if not all(isinstance(name, str) and isinstance(digest, str) for name, digest in editions.items()):
            raise TypeError("checksums must be strings")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CourseError(
            f"{path} cannot be read ({error}). Nothing was written. Delete it and run this again: each "
            "notebook that differs from the current edition then counts as yours and is kept"
        ) from None
    return editions


def _write_manifest(path: Path, known: dict[str, str]) -> None:
    with atomic_write(path) as file:
        json.dump({"course": __version__, "editions": known}, file, indent=1, sort_keys=True)
        file.write("\n")
