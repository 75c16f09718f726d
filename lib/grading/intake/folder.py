"""A folder of submissions: its files, the student and the notebook of each, and what is not taken."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lib.errors import CourseError
from lib.grading.intake.archives import members
from lib.grading.intake.choosing import choose
from lib.grading.intake.file_names import (
    composed,
    is_companion,
    is_hidden,
    is_silent,
    kind_of,
    readable,
    safe_students,
    student_of,
    which_notebook,
)
from lib.grading.intake.found import FILE_LIMIT, Found, NotTaken, read_bytes
from lib.grading.intake.notebook_json import Unreadable, marked_exercise, read_cells

DEPTH_LIMIT = 20  # nested folders
NOTED = 20  # files of one student that a note names; the list of what is not taken has all
_LINK = "it is a link, but links are not followed: hand in the file itself"
_NESTED = "it is an archive inside an archive: hand in the notebooks, or one archive of them"
_HIDDEN = "its name begins with a dot, as files of programs do"
_UNKNOWN = "unknown notebook"


@dataclass(frozen=True)
class HandedIn:
    """What a folder of submissions contains: one file for each student and notebook, and what is not taken."""

    found: tuple[Found, ...]
    not_taken: tuple[NotTaken, ...]


def read_folder(folder: Path, notebooks: Mapping[str, Sequence[str]]) -> HandedIn:
    """The submissions in `folder`, by student and notebook, always in the same order, and everything else in it.

    `notebooks` has the exercise ids of each released notebook. Zip archives are read as folders; links are never
    followed. Of several files of one student for one notebook one is chosen, see `choosing.choose`. Only what systems
    and programs write by themselves, and the lectures' own drawings, is passed over in silence. Raises CourseError if
    `folder` cannot be listed.
    """
    walk = _Walk(folder, notebooks)
    safe = safe_students(one.student for one in walk.found)
    by_notebook: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for one in walk.found:
        one = replace(one, student=safe[one.student])
        by_notebook[one.student, one.notebook or f"? {one.file}"].append(one)
    choices = [choose(several, notebooks.get(several[0].notebook, ())) for several in by_notebook.values()]
    left = [replace(each, student=safe.get(each.student, "")) for each in walk.not_taken]
    left += [NotTaken(one.student, one.file, one.problem) for one, _ in choices if not one.notebook]
    noted = [replace(one, notes=(*_notes(one, left), *one.notes)) for one, _ in choices]
    left += [other for _, others in choices for other in others]
    return HandedIn(
        tuple(sorted(noted, key=lambda one: (one.student, one.notebook, one.file))),
        tuple(sorted(left, key=lambda each: (each.student, each.file))),
    )


def _notes(one: Found, left: Iterable[NotTaken]) -> tuple[str, ...]:
    """A note on each of the student's other files that is not taken; the first ones, and how many more there are."""
    theirs = sorted((each for each in left if each.student == one.student and each.file != one.file), key=str)
    more = len(theirs) - NOTED
    return (*map(str, theirs[:NOTED]), *([f"{more} more files were not taken"] if more > 0 else []))


class _Walk:
    """All files of a folder, as `found` and `not_taken`, with original student names."""

    def __init__(self, folder: Path, notebooks: Mapping[str, Sequence[str]]) -> None:
        self.folder, self.notebooks = folder, notebooks
        self.found: list[Found] = []
        self.not_taken: list[NotTaken] = []
        try:
            entries = _listed(folder)
        except OSError as error:
            raise CourseError(f"{folder} cannot be listed: {error.strerror}") from None
        for entry in entries:
            if is_hidden(entry.name):
                self._leave("", entry.path, _HIDDEN)
            elif entry.is_dir(follow_symlinks=False):
                self._walk(composed(entry.name), Path(entry.path))
            elif entry.is_symlink() and entry.is_dir():
                self.found.append(
                    Found(composed(entry.name), "", Path(entry.path), file=self._shown(entry.path), problem=_LINK)
                )
            else:
                self._loose(entry)

    def _loose(self, entry: os.DirEntry) -> None:
        """A file in no student's folder: its name contains the student."""
        if _is_archive(entry.name):
            self._all_of(student_of(entry.name, which_notebook(entry.name, self.notebooks)), [entry], "archive")
            return
        one = self._one(entry)
        if one:
            self.found.append(replace(one, student=student_of(entry.name, one.notebook)))
        else:
            self._leave(student_of(entry.name, ""), entry.path, _why_not(entry))

    def _walk(self, student: str, top: Path) -> None:
        waiting, files = [top], []
        while waiting:
            folder = waiting.pop()
            try:
                entries = _listed(folder)
            except OSError as error:
                self._leave(student, folder, f"it cannot be listed: {error.strerror}")
                continue
            deepest = len(folder.parts) - len(top.parts) >= DEPTH_LIMIT
            for entry in entries:
                if is_hidden(entry.name) or not entry.is_dir(follow_symlinks=False):
                    files.append(entry)
                elif deepest:
                    self._leave(student, entry.path, "deeper folders are not read")
                else:
                    waiting.append(Path(entry.path))
        self._all_of(student, files, "folder", top)

    def _all_of(self, student: str, entries: list[os.DirEntry], where: str, top: Path | None = None) -> None:
        """The files of one student; if no notebook is among them, the folder or archive itself is found instead."""
        before, problem = len(self.found), f"there is no notebook (.ipynb) in this {where}"
        for entry in entries:
            if is_hidden(entry.name):
                self._leave(student, entry.path, _HIDDEN)
            elif _is_archive(entry.name):
                if closed := self._archive(student, Path(entry.path)):
                    if top:
                        self._leave(student, entry.path, closed)
                    problem = problem if top else closed
            elif one := self._one(entry):
                self.found.append(replace(one, student=student))
            else:
                self._leave(student, entry.path, _why_not(entry))
        if len(self.found) == before:
            path = top or Path(entries[0].path)
            self.found.append(Found(student, "", path, file=self._shown(path), problem=problem))

    def _one(self, entry: os.DirEntry) -> Found | None:
        """The file if it is a notebook, or is at least called like one that is asked for."""
        size = entry.stat(follow_symlinks=False).st_size
        problem = _LINK if entry.is_symlink() else _odd(entry)
        one = Found("", "", Path(entry.path), (), self._shown(entry.path), size, problem)
        return self._identified(one, entry.name)

    def _archive(self, student: str, path: Path) -> str:
        """Take the files in a zip archive as those of a folder; return why it cannot be opened, or ""."""
        try:
            listed = members(path)
        except Unreadable as error:
            return str(error)
        except OSError as error:
            return _LINK if path.is_symlink() else f"it cannot be opened: {error.strerror}"
        hidden = set()
        for each in listed:
            parts = composed(each.name).strip("/").split("/")
            if any(map(is_silent, parts)) or is_companion(parts):
                continue
            shown = f"{self._shown(path)}/{readable(each.name)}"
            if some := [n for n, part in enumerate(parts) if is_hidden(part)]:
                hidden.add(f"{self._shown(path)}/{readable('/'.join(parts[: some[0] + 1]))}")
                continue
            one = Found(student, "", path, (), shown, each.size, each.problem, each.number)
            one = self._identified(one, parts[-1], path.name)
            reason = each.problem or (_NESTED if _is_archive(each.name) else kind_of(each.name))
            if one:
                self.found.append(one)
            else:
                self.not_taken.append(NotTaken(student, shown, reason))
        self.not_taken += [NotTaken(student, shown, _HIDDEN) for shown in sorted(hidden)]
        return ""

    def _identified(self, one: Found, name: str, around: str = "") -> Found | None:
        """`one` with its notebook, or with the reason why it is none; None for other files. `around` is its archive."""
        named = which_notebook(name, self.notebooks)
        if not name.casefold().endswith(".ipynb"):
            return replace(one, notebook=named, problem=one.problem or kind_of(name)) if named else None
        only = next(iter(self.notebooks)) if len(self.notebooks) == 1 else ""
        named = named or only or self._by_exercises(one) or which_notebook(around, self.notebooks)
        unknown = "" if named else f"{_UNKNOWN}: its name contains none of {', '.join(self.notebooks)}"
        return replace(one, notebook=named, problem=one.problem or unknown)

    def _by_exercises(self, one: Found) -> str:
        """The notebook that shares most exercises with the file; "" if that is not unique."""
        if one.size > FILE_LIMIT:
            return ""
        one, content = read_bytes(one)
        try:
            cells = read_cells(content)
        except Unreadable:
            return ""
        there = {marked_exercise(cell.get("metadata")) for cell in cells if isinstance(cell, dict)}
        shared = Counter({name: len(there & set(ids)) for name, ids in self.notebooks.items()}).most_common(2)
        best = [name for name, count in shared if count and count == shared[0][1]]
        return best[0] if len(best) == 1 else ""

    def _leave(self, student: str, path: str | Path, reason: str) -> None:
        self.not_taken.append(NotTaken(student, self._shown(path), reason))

    def _shown(self, path: str | Path) -> str:
        return readable(Path(path).relative_to(self.folder).as_posix())


def _listed(folder: Path) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        named = [entry for entry in entries if not (is_silent(entry.name) or is_companion([folder.name, entry.name]))]
    return sorted(named, key=lambda entry: entry.name)


def _is_archive(name: str) -> bool:
    return name.casefold().endswith(".zip")


def _odd(entry: os.DirEntry) -> str:
    return "" if entry.is_file(follow_symlinks=False) else "it is not an ordinary file"


def _why_not(entry: os.DirEntry) -> str:
    return _LINK if entry.is_symlink() else _odd(entry) or kind_of(entry.name)
