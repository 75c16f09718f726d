"""Grade a folder of submissions in parallel, and write grades and pages.

Results are written as they finish. After an interruption a second call grades what is missing, and the same
submissions give the same bytes.
"""

import hashlib
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib.errors import CourseError, UsageError
from lib.grading.assignment.asked import Assignment, grading_hash, of_lectures, of_release
from lib.grading.batch import run_batch
from lib.grading.intake.file_names import readable
from lib.grading.intake.submission import read_bytes, read_folder
from lib.grading.judging.key import default_path, fingerprint, load_key
from lib.grading.reports.publish import publish
from lib.grading.results.earlier import kept_from, kept_pages, kept_words, still_not_taken, told
from lib.grading.results.manual import MANUAL, read_manual
from lib.grading.results.store import Planned, Record, Store, plan_of
from lib.grading.work import Task, grade_file
from lib.lectures.execution import default_jobs, open_executor
from lib.lectures.processes import processes

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from rich.console import Console

    from lib.grading.intake.submission import Found


IN_FLIGHT = 64  # submissions on a cluster at a time

Work = Callable[[Task], dict]


@dataclass(frozen=True)
class Options:
    """What to grade, the folder for the results, and how to grade."""

    submissions: Path
    out: Path
    release: Path | None = None
    jobs: int | None = None
    scheduler: str | None = None
    regrade: bool = False
    remove_missing: bool = False
    key: Path | None = None


def grade_folder(options: Options, work: Work = grade_file) -> int:
    """Grade what has no result yet, publish, and return how many submissions failed through our own fault.

    `work` grades one submission; it is called in other processes.
    Raises UsageError for options that contradict each other, and CourseError for faults found before grading.
    """
    _check(options)
    key = load_key(options.key or default_path())
    store = Store(options.out)
    with store.held():
        batch = _prepare(options, store, key)
        _warn(batch.assignment, {each.student for each in batch.record.submissions})
        faults = _grade_missing(options, store, batch, work)
        for line in kept_pages(publish(store, batch.record, remove=options.remove_missing), options.remove_missing):
            print(line)
    total = len(batch.record.submissions)
    print(f"{total} submissions, {len(batch.assignment.items)} exercises: grades.csv, class.html")
    return faults


def _check(options: Options) -> None:
    """Raise UsageError for options that contradict each other."""
    if options.jobs is not None and options.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, got {options.jobs}")
    if not options.submissions.is_dir():
        raise UsageError(f"{options.submissions} is not a folder of submissions")
    submissions, out = options.submissions.resolve(), options.out.resolve()
    if submissions == out or submissions in out.parents or out in submissions.parents:
        raise UsageError(f"--out and the submissions must not be inside each other: {options.out}")
    key = (options.key or default_path()).resolve()
    if {submissions, out} & set(key.parents):
        raise UsageError(f"the key must be neither in --out nor in the folder of submissions: {key}")


@dataclass(frozen=True)
class Submitted:
    """A submission that was found, and the plan of its result."""

    found: "Found"
    planned: Planned


@dataclass(frozen=True)
class Batch:
    """The assignment, the submissions and the key of one run, and what is written down of it."""

    assignment: Assignment
    submissions: tuple[Submitted, ...]
    key: bytes
    record: Record  # with the earlier submissions that are kept


def _prepare(options: Options, store: Store, key: bytes) -> Batch:
    """Find the submissions and compute what their results depend on. All faults are reported here, before the first
    submission is graded."""
    from lib.grading.walls import describe

    last = store.read_record()
    assignment = _assignment(options.release, last)
    handed_in = read_folder(options.submissions, assignment.notebooks)
    for line in told(handed_in.not_taken):
        _say(line)
    earlier = [each.student for each in last.submissions] if last else []
    found = _named(handed_in.found, (*earlier, *assignment.roster))
    if not any(each.notebook for each in found):
        raise CourseError(f"{options.submissions} contains no submission of {', '.join(assignment.notebooks)}")
    kept = kept_from(None if options.remove_missing else last, found, store)
    if not assignment.release:
        assignment = assignment.only({each.notebook for each in (*found, *kept)})
    for line in kept_words(kept, assignment.notebooks, store):
        print(line)
    submissions = tuple(_planned(_placed(found, kept, assignment), assignment, key))
    planned = tuple(sorted((*(each.planned for each in submissions), *kept), key=lambda p: (p.student, p.notebook)))
    read_manual(store.out / MANUAL, assignment.items, assignment.students(each.student for each in planned))
    left = (*handed_in.not_taken, *still_not_taken(last, {each.student for each in found}, planned))
    record = Record(assignment, planned, describe(), left)
    store.write_record(record)
    return Batch(assignment, submissions, key, record)


def _assignment(release: Path | None, last: Record | None) -> Assignment:
    """The assignment: of the release, else of the previous run's release, else of the lectures. Changed points are
    kept."""
    if release is None and last and last.assignment.release:
        return last.assignment
    assignment = of_release(release) if release else of_lectures()
    known = {item.exercise for item in assignment.items}
    return assignment.with_points(
        {i: p for i, p in (last.assignment.changed_points if last else {}).items() if i in known}
    )


def _placed(found: "list[Found]", kept: Sequence[Planned], assignment: Assignment) -> "list[Found]":
    """The files to grade, one for each student and notebook.

    If it is unknown which notebook a file is, it is listed for every notebook that its student has not handed in,
    now or before, and each of these rows says why it is not graded.
    """
    placed = {(each.student, each.notebook): each for each in found if each.notebook}
    before = {(each.student, each.notebook) for each in kept}
    for each in found:
        for notebook in () if each.notebook else assignment.notebooks:
            if (each.student, notebook) not in before:
                placed.setdefault((each.student, notebook), replace(each, notebook=notebook))
    return [placed[key] for key in sorted(placed)]


def _named(found: "Sequence[Found]", known: Sequence[str]) -> "list[Found]":
    """The submissions under the names that are known (the later ones first), where names differ only in case or in
    Unicode's form."""
    on_roster = {_folded(name): name for name in known}
    alike = Counter(_folded(student) for student in {each.student for each in found})
    return [
        replace(each, student=on_roster.get(fold, each.student)) if alike[fold] == 1 else each
        for each in found
        for fold in [_folded(each.student)]
    ]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _planned(found: "list[Found]", assignment: Assignment, key: bytes) -> Iterator[Submitted]:
    """Each submission with the hash of what its result depends on."""
    hashes, which = {}, fingerprint(key)
    for each in found:
        ids = assignment.notebooks[each.notebook]
        if each.notebook not in hashes:
            hashes[each.notebook] = grading_hash([id for id in ids if id in assignment.definitions])
        opened, content = read_bytes(each)
        about = [opened.file, opened.problem, *opened.notes]
        sha256 = hashlib.sha256(content).hexdigest()
        asked = [*ids, *(assignment.questions[id] for id in ids if id in assignment.questions)]
        plan = plan_of(sha256, about, asked, hashes[each.notebook], which)
        yield Submitted(each, Planned(each.student, each.notebook, plan))


def _warn(assignment: Assignment, students: set[str]) -> None:
    """Print warnings that a person may want to look into."""
    if assignment.changed:
        _say(f"the definition has changed since the release: {', '.join(assignment.changed)}")
    strangers = sorted(students - set(assignment.roster)) if assignment.roster else []
    if strangers:
        _say(f"not on the roster, but graded: {', '.join(strangers)}")


def _say(warning: str) -> None:
    print(f"course: warning: {readable(warning)}", file=sys.stderr)


def _grade_missing(options: Options, store: Store, batch: Batch, work: Work) -> int:
    """Grade what has no result yet, write and print each result, and return how many have a fault."""
    missing = [each for each in batch.submissions if options.regrade or not _is_kept(store, each.planned)]
    if kept := len(batch.submissions) - len(missing):
        print(f"{kept} results already exist")
    if not missing:
        return 0
    jobs = options.jobs or default_jobs()
    results = run_batch(
        (_task(each, batch) for each in missing),
        work,
        lambda: _workers(options.scheduler, jobs),
        IN_FLIGHT if options.scheduler else 2 * jobs,
    )
    faults = 0
    for result in _show(missing, results):
        store.write_result(result)
        faults += "fault" in result
    return faults


def _is_kept(store: Store, planned: Planned) -> bool:
    result = store.read_result(planned)
    return result is not None and "fault" not in result


def _task(submitted: Submitted, batch: Batch) -> Task:
    found, content = read_bytes(submitted.found)
    items = [item for item in batch.assignment.items if item.notebook == found.notebook]
    titles = {item.exercise: item.title for item in items if item.manual}
    asked = {id: (title, batch.assignment.questions.get(id, "")) for id, title in titles.items()}
    ids = tuple(item.exercise for item in items)
    return Task(found, content, ids, tuple(titles), batch.key, submitted.planned.plan, questions=asked)


def _workers(scheduler: str | None, jobs: int) -> "AbstractContextManager[Executor]":
    return open_executor(scheduler=scheduler) if scheduler else processes(jobs)


def _show(missing: list[Submitted], results: Iterator[dict]) -> Iterator[dict]:
    """Print the row of each result, with a progress bar if there is a terminal, and yield the result."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(highlight=False, soft_wrap=True)
    widths = [max(len(getattr(each.found, name)) for each in missing) for name in ("student", "notebook")]
    widths = [max(width, len(head)) for width, head in zip(widths, ("student", "notebook"), strict=True)]
    console.print(f"{'student':{widths[0]}}  {'notebook':{widths[1]}}  {'right':>5}  verdict", style="bold")
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("grading", total=len(missing))
        for result in results:
            bar.advance(task)
            _print_row(console, result, widths)
            yield result


def _print_row(console: "Console", result: dict, widths: list[int]) -> None:
    statuses: dict[str, list[str]] = {}
    for each in result["exercises"]:
        statuses.setdefault(each["status"], []).append(each["id"])
    right = f"{len(statuses.pop('right', []))}/{len(result['exercises'])}"
    verdict = "; ".join(f"{status}: {', '.join(ids)}" for status, ids in statuses.items())
    verdict = result.get("fault") or result["problem"] or verdict or "all right"
    row = f"{result['student']:{widths[0]}}  {result['notebook']:{widths[1]}}  {right:>5}  "
    console.print(readable(row), end="", markup=False)
    style = "red" if "fault" in result else "yellow" if result["problem"] else None
    console.print(readable(verdict), style=style, markup=False)
