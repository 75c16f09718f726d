"""Grading many submissions in parallel, until each has a result, even if workers die."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import AbstractContextManager
from dataclasses import replace

from lib.grading.work import Task, not_graded

ATTEMPTS = 3  # for a task whose worker died; all but the first run alone


def run_batch(
    tasks: Iterable[Task],
    work: Callable[[Task], dict],
    open_workers: Callable[[], AbstractContextManager[Executor]],
    window: int,
) -> Iterator[dict]:
    """The results of the tasks, in the order in which they finish; at most `window` tasks run at a time.

    When a worker dies, a pool may break and lose its other tasks. The lost tasks are tried again, each alone with
    fresh workers, so that the faulty one affects no other. A task that failed `ATTEMPTS` times gets a result that
    reports this.
    """
    waiting = iter(tasks)
    while True:
        lost: list[tuple[Task, str]] = []
        with open_workers() as workers:
            yield from _until_loss(waiting, work, workers, window, lost)
        if not lost:
            return
        for task, _ in lost:
            yield _alone(task, work, open_workers)


def _until_loss(
    waiting: Iterator[Task], work: Callable, workers: Executor, window: int, lost: list[tuple[Task, str]]
) -> Iterator[dict]:
    """Results until all tasks are done or one is lost; then every submitted task has a result or is in `lost`."""
    running: dict[Future, Task] = {}
    while True:
        while not lost and len(running) < window and (task := next(waiting, None)):
            try:
                running[workers.submit(work, task)] = task
            except RuntimeError as error:  # the pool broke since the last result
                lost.append((task, f"{type(error).__name__}: {error}"))
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            task = running.pop(future)
            if error := future.exception():
                lost.append((task, f"{type(error).__name__}: {error}"))
            else:
                yield future.result()


def _alone(task: Task, work: Callable, open_workers: Callable) -> dict:
    """The result of one task that runs alone, or a result that reports that it cannot be graded."""
    for attempt in range(1, ATTEMPTS):
        with open_workers() as workers:
            try:
                return workers.submit(work, replace(task, attempt=attempt)).result()
            except Exception as error:  # noqa: BLE001 – a pool and a cluster raise different errors
                why = f"{type(error).__name__}: {error}"
    return not_graded(task, f"no worker finished it in {ATTEMPTS} attempts: {why}")
