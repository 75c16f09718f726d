"""Student editions in `work/`, where a newer edition never replaces a student's own work.

`.editions.json` records, for every edition that was written, the checksum of its text and that of its cells. A
notebook that still has these cells was not changed, whatever else Jupyter wrote into the file when it was opened and
saved, and may be replaced. Any other is kept, and a newer edition is written next to it. The drawings and explorables
that an edition shows lie beside it; one that the student has put there or changed stays.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib import NOTEBOOKS, __version__
from lib.errors import CourseError, UsageError
from lib.files import atomic_path, atomic_write, file_lock, sha256
from lib.lectures.companions import beside, check_place
from lib.lectures.edition import student_edition
from lib.lectures.notebooks import load, text_of

MANIFEST = ".editions.json"

_BESIDE = re.compile(r"\.new-[0-9a-f]{8}(?=\.ipynb)")


@dataclass(frozen=True)
class EditionResult:
    """The result for one notebook: "created", "updated", "unchanged", "kept" or "beside" (then `path` is a new
    file); for a file beside it "created", "updated", "unchanged", "yours" or "missing"."""

    action: str
    path: Path

    def __str__(self) -> str:
        remark = {
            "kept": "yours, from the current edition",
            "beside": "a newer edition; your notebook is not changed",
            "yours": "not changed; the course's own is beside the lectures",
            "missing": "a lecture shows it: restore it from version control",
        }.get(self.action, "")
        return f"{self.action:<10}{self.path}" + (f"  ({remark})" if remark else "")


def write_editions(notebooks: list[Path], out: Path) -> list[EditionResult]:
    """Write the student editions of `notebooks` into the folder `out`, and return the result for each, then for each
    file that they show.

    All editions are made before the first is written, so a faulty notebook changes nothing.
    Raises CourseError for a faulty notebook or manifest, or if `out` is not a folder, and UsageError if `out` is
    the folder of the sources.
    """
    if out.exists() and not out.is_dir():
        raise CourseError(f"{out} is a file; --out must name a folder for the notebooks")
    if out.resolve() in {NOTEBOOKS.resolve(), *(path.resolve().parent for path in notebooks)}:
        raise UsageError(f"{out} contains the notebooks with solutions; choose another folder with --out")
    editions = {path.name: _Edition.of(path) for path in notebooks}
    with file_lock(out / MANIFEST):
        known = _read_manifest(out / MANIFEST)
        results = [_write_one(out / name, edition, known) for name, edition in editions.items()]
        shown = {name: content for edition in editions.values() for name, content in edition.shows.items()}
        return results + [_write_beside(out, name, content, known) for name, content in sorted(shown.items())]


@dataclass(frozen=True)
class _Edition:
    """The student edition of one lecture: its text under the lecture's own name, its two checksums, and the files that
    it shows."""

    notebook: Any
    name: str
    text: str
    shows: dict[str, bytes | None]

    @staticmethod
    def of(source: Path) -> "_Edition":
        notebook = load(source)
        edition = student_edition(notebook, source.name)
        return _Edition(notebook, source.name, text_of(edition), beside(source, edition))

    @property
    def known(self) -> "_Known":
        return _Known(hashlib.sha256(self.text.encode()).hexdigest(), cells_hash(self.text.encode()))

    def text_as(self, name: str) -> str:
        """The text for a file that is called `name`: its last cell validates that file."""
        return text_of(student_edition(self.notebook, self.name, file=name))


@dataclass(frozen=True)
class _Known:
    """The checksums of an edition, or of a file beside it, that was written."""

    sha256: str  # of its text
    cells: str  # see `cells_hash`; "" for a file, and in a manifest of a former version


def cells_hash(content: bytes) -> str:
    """A checksum of what a notebook's cells say and show: their kinds, sources, outputs and attached pictures.

    Metadata do not count, nor do ids, empty cells and the name under which an edition lies beside another: opening and
    saving a notebook changes nothing, running or editing it does. "" for bytes that are no notebook.
    """
    try:
        cells = json.loads(content)["cells"]
        told = [_told(cell) for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return hashlib.sha256(json.dumps([each for each in told if any(each[1:])]).encode()).hexdigest()


def _told(cell: dict[str, Any]) -> list[Any]:
    source = "".join(cell["source"])
    return [cell["cell_type"], _BESIDE.sub("", source.rstrip()), cell.get("outputs", []), cell.get("attachments", {})]


def plain_name(name: str) -> str:
    """The name of the notebook for an edition that lies beside it.

    >>> plain_name("04_mlm_masking.new-0123abcd.ipynb")
    '04_mlm_masking.ipynb'
    """
    return _BESIDE.sub("", name)


def _write_one(path: Path, edition: _Edition, known: dict[str, _Known]) -> EditionResult:
    """Write one edition, under a new name if the student's must be kept. The manifest is updated at once, in case
    of an interruption."""
    if path.is_dir():
        raise CourseError(f"{path} is a folder, but the notebook needs this name")
    new, last = edition.known, known.get(path.name)
    content = path.read_bytes() if path.exists() else None
    now = None if content is None else hashlib.sha256(content).hexdigest()
    action = "created" if content is None else _action(now, cells_hash(content), new, last)
    if action == "kept":  # the student's own
        return _keep(path, edition, last)
    if action in ("created", "updated"):
        _replace(path, edition.text.encode(), now)
    known[path.name] = new
    _write_manifest(path.parent / MANIFEST, known)
    return EditionResult(action, path)


def _action(now: str | None, cells: str, new: _Known, last: _Known | None) -> str:
    """What to do with a file that is there, of these checksums: "unchanged", "updated" or "kept"."""
    untouched = last is not None and (now == last.sha256 or (cells != "" and cells == last.cells))
    if now == new.sha256 or (untouched and last is not None and last.sha256 == new.sha256):
        return "unchanged"
    if untouched:
        return "updated"
    return "unchanged" if cells == new.cells else "kept"


def _keep(path: Path, edition: _Edition, last: _Known | None) -> EditionResult:
    new = edition.known.sha256
    if last is not None and last.sha256 == new:
        return EditionResult("kept", path)
    newer = path.with_name(f"{path.stem}.new-{new[:8]}.ipynb")
    if not newer.exists():  # the student may have worked in it
        _replace(newer, edition.text_as(newer.name).encode(), None)
    return EditionResult("beside", newer)


def _write_beside(out: Path, name: str, content: bytes | None, known: dict[str, _Known]) -> EditionResult:
    """Write a drawing or an explorable beside the editions, unless a file of the student's is in its place."""
    path = out / name
    check_place(path)
    if content is None:
        return EditionResult("missing", path)
    new, last = hashlib.sha256(content).hexdigest(), known.get(name)
    now = sha256(path) if path.exists() else None
    if now not in (None, new, last and last.sha256):
        return EditionResult("yours", path)
    if now != new:
        _replace(path, content, now)
    if last is None or last.sha256 != new:
        known[name] = _Known(new, "")
        _write_manifest(out / MANIFEST, known)
    return EditionResult("created" if now is None else "unchanged" if now == new else "updated", path)


def _replace(path: Path, content: bytes, now: str | None) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
        if (sha256(path) if path.exists() else None) != now:  # saved at this moment, from Jupyter
            raise CourseError(f"{path} was saved while its new edition was written, so it was kept. Run this again")


def _read_manifest(path: Path) -> dict[str, _Known]:
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        editions, cells = manifest["editions"], manifest.get("cells", {})
        known = {name: _Known(digest, cells.get(name, "")) for name, digest in editions.items()}
        if not all(isinstance(text, str) for each in known.values() for text in (each.sha256, each.cells)):
            raise TypeError("checksums must be strings")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CourseError(
            f"{path} cannot be read ({error}). Nothing was written. Delete it and run this again: each "
            "notebook that differs from the current edition then counts as yours and is kept"
        ) from None
    return known


def _write_manifest(path: Path, known: dict[str, _Known]) -> None:
    editions = {name: each.sha256 for name, each in known.items()}
    cells = {name: each.cells for name, each in known.items()}
    with atomic_write(path) as file:
        json.dump({"course": __version__, "editions": editions, "cells": cells}, file, indent=1, sort_keys=True)
        file.write("\n")
