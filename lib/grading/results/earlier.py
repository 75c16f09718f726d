"""What was graded before and is not in the folder now is kept, unless somebody says otherwise; and what the command
says of it, and of files that are not taken."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lib.errors import CourseError
from lib.grading.results.store import Planned, Record, Store

if TYPE_CHECKING:
    from lib.grading.intake.found import Found, NotTaken

NAMED = 20  # students, or files of one student, that a message names
REMOVE = "--remove-missing"


def kept_from(last: Record | None, found: "Sequence[Found]", store: Store) -> tuple[Planned, ...]:
    """The earlier submissions for which this folder has no file.

    A file that names no notebook, or a folder without one, replaces nothing that was graded. Raises CourseError if
    the result of such a submission is damaged, or was never finished.
    """
    if last is None:
        return ()
    here = {(each.student, each.notebook) for each in found}
    kept = tuple(each for each in last.submissions if (each.student, each.notebook) not in here)
    if lost := [f"{each.student}, {each.notebook}" for each in kept if store.read_result(each) is None]:
        raise CourseError(
            f"there is no complete result from before, and no file in this folder, of {_named(lost, '; ')}: grade the "
            f"whole class's folder, or leave them out with {REMOVE}"
        )
    return kept


def still_not_taken(last: Record | None, students: set[str], planned: Sequence[Planned]) -> "tuple[NotTaken, ...]":
    """What was not taken of the files of those students of the record who are not among `students`."""
    kept = {each.student for each in planned} - students
    return tuple(each for each in last.not_taken if each.student in kept) if last else ()


def kept_words(kept: Sequence[Planned], asked: Mapping[str, Sequence[str]], store: Store) -> Iterator[str]:
    """What to say of results that are kept, and of those among them that lack an exercise that is graded now."""
    if not kept:
        return
    whose = ", ".join(f"{each.student} ({each.notebook})" for each in kept[:NAMED])
    more = f" and {len(kept) - NAMED} more" if len(kept) > NAMED else ""
    yield f"kept {len(kept)} earlier results without a file in this folder ({REMOVE} removes them): {whose}{more}"
    lacking = {each.student for each in kept if set(asked.get(each.notebook, ())) - _graded(each, store)}
    if lacking:
        yield f"kept results lack exercises that are graded now; grade the files again of {_named(sorted(lacking))}"


def _graded(planned: Planned, store: Store) -> set[str]:
    return {entry["id"] for entry in (store.read_result(planned) or {"exercises": ()})["exercises"]}


def kept_pages(pages: Sequence[str], removed: bool) -> Iterator[str]:
    """What to say of pages that belong to nobody in the class, as `publish` names them."""
    if pages:
        done = "removed" if removed else "kept"
        yield f"{done} {len(pages)} pages in students/ of nobody who is graded or on the roster: {_named(pages)}"


def told(left: "Sequence[NotTaken]") -> Iterator[str]:
    """A line for each file that is not taken; of many of one student, the first ones and how many more there are."""
    count: Counter[str] = Counter()
    for each in left:
        count[each.student] += 1
        if count[each.student] <= NAMED or not each.student:
            yield str(each)
    for student, number in count.items():
        if student and number > NAMED:
            yield f"{number - NAMED} more files of {student} were not taken; grades.json lists them"


def _named(names: Sequence[str], between: str = ", ") -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return between.join(names[:NAMED]) + more
