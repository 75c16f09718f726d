"""Student editions in `work/`, beside which no newer edition ever replaces a student's own
work.

What was written is remembered by its checksum in `.editions.json`. A notebook that still has it is nobody's
work and may be replaced; any other stays, and a newer edition is laid beside it.
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
class Written:
    """What became of one notebook: "created", "updated", "unchanged", "kept" or "beside" (then `path` is
    new)."""

    action: str
    path: Path

    def __str__(self) -> str:
        remark = {
            "kept": "yours, and of the current edition",
            "beside": "a newer edition; yours is kept as it is",
        }.get(self.action, "")
        return f"{self.action:<10}{self.path}" + (f"  ({remark})" if remark else "")


def write_editions(notebooks: list[Path], out: Path) -> list[Written]:
    """Write the student editions of `notebooks` into the folder `out` and say what became of each.

    All editions are made before the first is written, so a notebook that is at fault changes nothing.
    Raises CourseError for a faulty notebook or manifest, or an `out` that is no folder; UsageError where
    `out` is the folder of the sources.
    """
    if out.exists() and not out.is_dir():
        raise CourseError(f"{out} is a file; --out names a folder for the notebooks")
    if out.resolve() in {NOTEBOOKS.resolve(), *(path.resolve().parent for path in notebooks)}:
        raise UsageError(f"{out} holds the notebooks with solutions; choose another folder with --out")
    editions = {path.name: text_of(student_edition(load(path), path.name)) for path in notebooks}
    with file_lock(out / MANIFEST):
        known = _read_manifest(out / MANIFEST)
        return [_write_one(out / name, text, known) for name, text in editions.items()]


def _write_one(path: Path, text: str, known: dict[str, str]) -> Written:
    """Write one edition, or lay it beside; the manifest is brought up to date at once, for we may be
    interrupted."""
    new = hashlib.sha256(text.encode()).hexdigest()
    if path.is_dir():
        raise CourseError(f"{path} is a folder; a notebook of this name belongs there")
    now = sha256(path) if path.exists() else None
    if now is not None and now not in (new, known.get(path.name)):  # the student's own
        return _keep(path, text, new, known)
    if now != new:
        _replace(path, text, now)
    known[path.name] = new
    _write_manifest(path.parent / MANIFEST, known)
    return Written("created" if now is None else "unchanged" if now == new else "updated", path)


def _keep(path: Path, text: str, new: str, known: dict[str, str]) -> Written:
    if known.get(path.name) == new:
        return Written("kept", path)
    beside = path.with_name(f"{path.stem}.new-{new[:8]}.ipynb")
    if not beside.exists():  # it may have been opened and worked in since
        _replace(beside, text, None)
    return Written("beside", beside)


def _replace(path: Path, text: str, now: str | None) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode())
        if (sha256(path) if path.exists() else None) != now:  # saved in this very moment, from Jupyter
            raise CourseError(f"{path} changed while its new edition was written; it is kept: run this again")


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
