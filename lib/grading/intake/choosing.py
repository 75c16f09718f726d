"""Several files of one student for one notebook: which of them is graded."""

from collections.abc import Sequence
from dataclasses import replace

from lib.grading.intake.file_names import is_exact, which_notebook
from lib.grading.intake.found import Found, NotTaken, read_bytes
from lib.grading.intake.notebook_json import Unreadable, read_cells, written_exercises

OPENED = 50  # files of one student and notebook that are opened to compare them

UNREAD = -1


def choose(several: Sequence[Found], ids: Sequence[str]) -> tuple[Found, list[NotTaken]]:
    """The file to grade, with notes on the others, and the others with the reason.

    The file with most answers written wins, so an untouched stub never beats a finished copy; then the one with the
    released name, then any that contains it, then the least nested. `ids` are the exercises of the notebook.
    """
    if len(several) == 1:
        return several[0], []
    answers = {one: _answers(one, ids) for one in sorted(several, key=_by_name)[:OPENED]}

    def rank(one: Found) -> tuple:
        return (bool(one.problem), -answers.get(one, UNREAD), *_by_name(one))

    first, *others = sorted(several, key=rank)
    left, notes = [], []
    for other in others:
        reason = _reason(other, answers.get(other, UNREAD), first, answers.get(first, UNREAD))
        left.append(NotTaken(other.student, other.file, reason))
        notes.append(f"{other.file} was also handed in for this notebook and is not graded: {reason}")
    return replace(first, notes=(*first.notes, *notes)), left


def _by_name(one: Found) -> tuple:
    name = _name(one)
    named = which_notebook(name, [one.notebook]) if one.notebook else ""
    return (bool(one.problem), not is_exact(name, one.notebook), not named, one.file.count("/"), one.file)


def _name(one: Found) -> str:
    return one.file.rpartition("/")[2]


def _answers(one: Found, ids: Sequence[str]) -> int:
    """How many exercises are written; `UNREAD` for a file that cannot be read."""
    one, content = read_bytes(one)
    try:
        return UNREAD if one.problem else written_exercises(read_cells(content), ids)
    except Unreadable:
        return UNREAD


def _reason(other: Found, theirs: int, first: Found, best: int) -> str:
    """Why `other` is not the one, in words."""
    graded = f"{first.file} is graded"
    if other.problem or (theirs == UNREAD < best):
        return f"{graded}, for {other.problem or 'this one cannot be read'}"
    if theirs < best:
        return f"{graded}, which has more answers ({best}, not {theirs})"
    return f"{graded}, which is named as it was released" if is_exact(_name(first), first.notebook) else graded
