"""Reading submissions: untrusted files from students.

A notebook is read as plain JSON; nothing in it is executed, written or trusted here. A problem with a file is
reported in its own submission and does not affect the others.
"""

import hashlib
from dataclasses import dataclass, field

from lib.grading.intake.folder import HandedIn, read_folder
from lib.grading.intake.found import FILE_LIMIT, Found, NotTaken, read_bytes
from lib.grading.intake.notebook_json import Cells, Unreadable, read_cells
from lib.lectures.notebooks import all_notebooks
from lib.lectures.renamed import present_name

__all__ = ["Found", "HandedIn", "NotTaken", "Submission", "load_submission", "read_bytes", "read_folder",
           "read_submission"]  # fmt: skip

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
    faults: dict[str, str] = field(default_factory=dict)  # exercise id -> why its cell has no answer; "": all of them


def load_submission(found: Found) -> Submission:
    """Read the file that was found. Never raises because of the kind, size or content of the file."""
    return read_submission(*read_bytes(found))


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
    faults, notes = cells.faults, (*found.notes, *cells.notes)
    if wrong := _another_lecture(found.notebook, cells.asked):
        faults, notes = {"": wrong}, (wrong, *notes)
    if len(notes) > NOTES_LIMIT:
        notes = (*notes[:NOTES_LIMIT], f"there are {len(notes) - NOTES_LIMIT} more notes")
    return Submission(
        found.student, found.notebook, found.file, sha256, tuple(cells.code), "", cells.written, notes, faults
    )


def _another_lecture(notebook: str, asked: set[str]) -> str:
    """What to say if all exercises that the cells are marked with belong to other lectures than `notebook`, or ""."""
    from lib.exercises.engine.registry import modules

    home = {name: path.split(".")[2].removeprefix("lecture") for name, path in modules().items()}
    lectures = {home[module] for id in asked if (module := id.split(".")[0]) in home}
    this = present_name(notebook.removesuffix(".ipynb"))
    if not lectures or this[:2] in lectures or this[:2] not in home.values():
        return ""
    names = [path.stem for path in all_notebooks() if path.stem[:2] in lectures]
    return f"this is another lecture: its exercises are those of {', '.join(names)}, and none is of {this}"


def _refused(found: Found, problem: str, sha256: str = "") -> Submission:
    return Submission(found.student, found.notebook, found.file, sha256, problem=problem, notes=found.notes)
