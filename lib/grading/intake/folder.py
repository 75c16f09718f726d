"""A folder of submissions: its files, the student and the notebook of each."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lib.errors import CourseError
from lib.grading.intake.file_names import (
    composed,
    is_exact,
    readable,
    safe_students,
    student_of,
    which_notebook,
)
from lib.grading.intake.notebook_json import Unreadable, marked_exercise, read_cells

DEPTH_LIMIT = 20  # nested folders
_IGNORED = ("__MACOSX",)  # in addition to hidden ones
_LINK = "it is a link, but links are not followed: hand in the file itself"
_GUESS_LIMIT = 20 * 10**6  # bytes of a file that is opened to find out which notebook it is


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


def find_submissions(folder: Path, notebooks: Mapping[str, Sequence[str]]) -> list[Found]:
    """The submissions in `folder`, by student and notebook, always in the same order.

    `notebooks` has the exercise ids of each released notebook. Hidden folders are ignored, links never followed. Of
    several files of one student for one notebook, the one with the released name is graded, and the others are
    noted. Raises CourseError if `folder` cannot be listed.
    """
    walk = _Walk(folder, notebooks)
    safe = safe_students(one.student for one in walk.found)
    by_notebook: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for one in walk.found:
        by_notebook[safe[one.student], one.notebook or one.file].append(
            replace(one, student=safe[one.student], notes=tuple(walk.notes[one.student]))
        )
    chosen = [_first(several) for several in by_notebook.values()]
    return sorted(chosen, key=lambda one: (one.student, one.notebook, one.file))


def _first(several: list[Found]) -> Found:
    """Of several files for the same notebook, the one to grade, with notes on the others."""

    def rank(one: Found) -> tuple:
        name = one.path.name
        named = which_notebook(name, [one.notebook]) if one.notebook else ""
        return (bool(one.problem), not is_exact(name, one.notebook), not named, len(one.path.parts), one.file)

    first, *others = sorted(several, key=rank)
    notes = [f"{other.file} was also handed in for this notebook and is not graded" for other in others]
    return replace(first, notes=(*first.notes, *notes))


class _Walk:
    """All files of a folder as `found`, with original student names, and `notes` by student."""

    def __init__(self, folder: Path, notebooks: Mapping[str, Sequence[str]]) -> None:
        self.folder, self.notebooks = folder, notebooks
        self.found: list[Found] = []
        self.notes: dict[str, list[str]] = defaultdict(list)
        try:
            entries = _listed(folder)
        except OSError as error:
            raise CourseError(f"{folder} cannot be listed: {error.strerror}") from None
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                self._walk(composed(entry.name), Path(entry.path))
            elif _is_notebook(entry):
                notebook, problem = self._which(entry)
                self._add(student_of(entry.name, notebook), entry, notebook, problem)
            elif entry.is_symlink() and entry.is_dir():
                self._add(composed(entry.name), entry, "", _LINK)

    def _walk(self, student: str, top: Path) -> None:
        before = len(self.found)
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                entries = _listed(folder)
            except OSError as error:
                self.notes[student].append(f"{self._shown(folder)} cannot be listed: {error.strerror}")
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif _is_notebook(entry):
                    self._add(student, entry, *self._which(entry))
                elif entry.is_symlink() and entry.is_dir():
                    self.notes[student].append(f"{self._shown(entry.path)} is a link and was not followed")
            if len(folder.parts) - len(top.parts) >= DEPTH_LIMIT:
                self.notes[student].append(f"{self._shown(folder)}: deeper folders were not read")
                waiting = [other for other in waiting if other.parent != folder]
        if len(self.found) == before:
            problem = "there is no notebook (.ipynb) in this folder"
            self.found.append(Found(student, "", top, file=self._shown(top), problem=problem))

    def _add(self, student: str, entry: os.DirEntry, notebook: str, problem: str) -> None:
        size = entry.stat(follow_symlinks=False).st_size
        self.found.append(Found(student, notebook, Path(entry.path), (), self._shown(entry.path), size, problem))

    def _shown(self, path: str | Path) -> str:
        return readable(Path(path).relative_to(self.folder).as_posix())

    def _which(self, entry: os.DirEntry) -> tuple[str, str]:
        """The notebook of a file, and why it cannot be graded."""
        if entry.is_symlink():
            problem = _LINK
        else:
            problem = "" if entry.is_file(follow_symlinks=False) else "it is not an ordinary file"
        notebook = which_notebook(entry.name, self.notebooks)
        if not notebook and len(self.notebooks) == 1:
            notebook = next(iter(self.notebooks))
        if not notebook and not problem:
            notebook = self._by_exercises(entry)
        if not notebook:
            problem = problem or f"unknown notebook: its name contains none of {', '.join(self.notebooks)}"
        return notebook, problem

    def _by_exercises(self, entry: os.DirEntry) -> str:
        """The notebook that shares most exercises with the file; "" if that is not unique."""
        if entry.stat(follow_symlinks=False).st_size > _GUESS_LIMIT:
            return ""
        try:
            cells = read_cells(Path(entry.path).read_bytes())
        except (OSError, Unreadable):
            return ""
        there = {marked_exercise(cell.get("metadata")) for cell in cells if isinstance(cell, dict)}
        shared = Counter({name: len(there & set(ids)) for name, ids in self.notebooks.items()}).most_common(2)
        best = [name for name, count in shared if count and count == shared[0][1]]
        return best[0] if len(best) == 1 else ""


def _listed(folder: Path) -> Iterable[os.DirEntry]:
    with os.scandir(folder) as entries:
        wanted = [entry for entry in entries if not _is_hidden(entry.name) and entry.name not in _IGNORED]
    return sorted(wanted, key=lambda entry: entry.name)


def _is_hidden(name: str) -> bool:
    """Whether the name begins with exactly one dot, as for files of programs. Two dots probably come from a person."""
    return name.startswith(".") and not name.startswith("..")


def _is_notebook(entry: os.DirEntry) -> bool:
    return entry.name.casefold().endswith(".ipynb")
