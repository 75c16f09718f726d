"""Grade a folder of submissions in parallel, and write grades and pages.

Results are written as they finish. After an interruption a second call grades what is missing, and the same
submissions give the same bytes.
"""

import hashlib
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib.errors import CourseError, UsageError
from lib.grading.assignment.asked import Assignment, grading_hash, of_lectures, of_release
from lib.grading.batch import run_batch
from lib.grading.intake.file_names import readable
from lib.grading.intake.submission import read_bytes
from lib.grading.judging.key import default_path, fingerprint, load_key
from lib.grading.reports.publish import publish
from lib.grading.results.manual import MANUAL, read_manual
from lib.grading.results.store import Planned, Store, plan_of
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
        _warn(batch.assignment, {submission.planned.student for submission in batch.submissions})
        faults = _grade_missing(options, store, batch, work)
        publish(store, batch.assignment, [each.planned for each in batch.submissions])
    print(f"{len(batch.submissions)} submissions, {len(batch.assignment.items)} exercises: grades.csv, class.html")
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
    """The assignment, the submissions and the key of one run."""

    assignment: Assignment
    submissions: tuple[Submitted, ...]
    key: bytes


def _prepare(options: Options, store: Store, key: bytes) -> Batch:
    """Find the submissions and compute what their results depend on. All faults are reported here, before the first
    submission is graded."""
    from lib.grading.walls import describe

    assignment = _assignment(options.release, store)
    found, assignment = _find(options.submissions, assignment)
    submissions = tuple(_planned(found, assignment, key))
    planned = [each.planned for each in submissions]
    read_manual(store.out / MANUAL, assignment.items, assignment.students(each.student for each in planned))
    store.write_assignment(assignment, planned, describe())
    return Batch(assignment, submissions, key)


def _assignment(release: Path | None, store: Store) -> Assignment:
    """The assignment: of the release, else of the previous run's release, else of the lectures. Changed points are
    kept."""
    last = store.read_assignment()
    if release is None and last and last[0].release:
        return last[0]
    assignment = of_release(release) if release else of_lectures()
    known = {item.exercise for item in assignment.items}
    return assignment.with_points({i: p for i, p in (last[0].changed_points if last else {}).items() if i in known})


def _find(folder: Path, assignment: Assignment) -> "tuple[list[Found], Assignment]":
    """The files to grade, one for each student and notebook, and the assignment: without a release, only the
    notebooks that were handed in.

    If it is unknown which notebook a file is, it is listed for every notebook that its student has not handed in,
    and each of these rows says why it is not graded.
    """
    from lib.grading.intake.submission import find_submissions

    everything = find_submissions(folder, assignment.notebooks)
    found = {(each.student, each.notebook): each for each in everything if each.notebook}
    if not found:
        raise CourseError(f"{folder} contains no submission of {', '.join(assignment.notebooks)}")
    if not assignment.release:
        assignment = assignment.only({notebook for _, notebook in found})
    for each in everything:
        if not each.notebook:
            _say(f"{each.file}: {each.problem}")
            for notebook in assignment.notebooks:
                found.setdefault((each.student, notebook), replace(each, notebook=notebook))
    return _named([found[key] for key in sorted(found)], assignment.roster), assignment


def _named(found: "list[Found]", roster: tuple[str, ...]) -> "list[Found]":
    """The submissions under the names of the roster, where names differ only in case or in Unicode's form."""
    on_roster = {_folded(name): name for name in roster}
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
        plan = plan_of(sha256, about, ids, hashes[each.notebook], which)
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
    manual = tuple(item.exercise for item in items if item.manual)
    return Task(found, content, tuple(item.exercise for item in items), manual, batch.key, submitted.planned.plan)


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
