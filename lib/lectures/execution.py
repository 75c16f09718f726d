"""Executing notebooks as jobs: plain data in, plain data out, on this machine or on a Dask cluster.

Each job runs in its own process (`lib.lectures.process`) in a temporary folder. Whatever a notebook does to its
kernel, its worker or the clock, the other jobs continue, and an interrupted job leaves nothing behind.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from lib import ROOT
from lib.errors import CourseError, UsageError
from lib.lectures.process import STOP

BUDGET_SECONDS = 60.0
BUDGET_BYTES = 2 * 10**9

SCHEDULER_SECONDS = 10.0  # how long a Dask scheduler may take to answer
WORKER = [sys.executable, "-m", "lib.lectures.process"]

_running: set[subprocess.Popen] = set()
"""The running workers, which are stopped when this process is interrupted."""


@dataclass(frozen=True)
class Job:
    """One notebook to execute."""

    name: str  # its stem
    notebook: dict  # its JSON
    cwd: str  # the folder in which its kernel starts
    parameters: dict = field(default_factory=dict)
    timeout: float = 600.0  # seconds for the whole notebook


@dataclass(frozen=True)
class Execution:
    """The result of executing one notebook."""

    name: str
    verdict: str  # "ok", or the reason of the failure in two or three words
    cells: int  # code cells that ran
    seconds: float | None = None
    peak_bytes: int | None = None  # largest resident memory of the kernel
    cell: str = ""  # id of the cell that failed
    traceback: str = ""
    notebook: dict | None = None  # the executed notebook, complete or partial

    @property
    def ok(self) -> bool:
        """Whether every cell ran."""
        return self.verdict == "ok"

    @property
    def over_budget(self) -> bool:
        """Whether it used more time or memory than the limit for a lecture."""
        return (self.seconds or 0) > BUDGET_SECONDS or (self.peak_bytes or 0) > BUDGET_BYTES


def execute(job: Job) -> Execution:
    """Execute one notebook in its own process. Errors in the notebook are reported in the result, never raised."""
    with tempfile.TemporaryDirectory(prefix="course-") as name:
        folder = Path(name)
        (folder / "source.ipynb").write_text(json.dumps(job.notebook))
        request = {"name": job.name, "cwd": job.cwd, "parameters": job.parameters}
        (folder / "job.json").write_text(json.dumps(request))
        timed_out = _run_worker(folder, job.timeout)
        result = _read_json(folder / "result.json")
        if result is not None:
            return _execution(job, result)
        kind = f"over {job.timeout:g} s" if timed_out else "worker died"
        cell = (folder / "cell").read_text() if (folder / "cell").exists() else ""
        log = "" if timed_out else (folder / "log").read_text(errors="replace")[-2000:]
        partial = _read_json(folder / "partial.ipynb")
        return Execution(job.name, kind, _executed(partial), cell=cell, traceback=log, notebook=partial)


def _run_worker(folder: Path, timeout: float) -> bool:
    """Run the worker until it ends or reaches its time limit; return whether it timed out."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",  # parallel kernels with more threads than cores slow each other down
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "HF_HUB_OFFLINE": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    with open(folder / "log", "wb") as log:
        worker = subprocess.Popen(
            [*WORKER, str(folder)],
            stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT, env=environment, start_new_session=True,
        )  # fmt: skip
        _running.add(worker)
        try:
            worker.wait(timeout)
            return False
        except subprocess.TimeoutExpired:
            return True
        finally:
            _stop(worker)
            _running.discard(worker)


def _stop(worker: subprocess.Popen) -> None:
    """Stop a worker and its kernel: by a message to its input, after 5 seconds by force."""
    if worker.stdin and not worker.stdin.closed:
        with suppress(BrokenPipeError):  # it has already ended
            worker.stdin.write(STOP)
            worker.stdin.close()
    try:
        worker.wait(5)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def stop_all() -> None:
    """Stop every worker of this process, with its kernel."""
    for worker in list(_running):
        _stop(worker)


def _execution(job: Job, result: dict) -> Execution:
    failure = result["failure"] or {"kind": "ok", "cell": "", "traceback": ""}
    return Execution(
        job.name,
        failure["kind"],
        _executed(result["notebook"]),
        result["seconds"],
        result["peak_bytes"],
        failure["cell"],
        re.sub(r"\x1b\[[0-9;]*m", "", failure["traceback"]),
        result["notebook"],
    )


def _executed(notebook: dict | None) -> int:
    return sum(cell.get("execution_count") is not None for cell in (notebook or {}).get("cells", ()))


def _read_json(path: Path) -> dict | None:
    """The content of a JSON file, or None: a worker that was stopped may have left a partial file or none."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def default_jobs() -> int:
    """The number of cores, or fewer if memory would not suffice for that many notebooks."""
    import psutil

    return max(1, min(os.cpu_count() or 1, psutil.virtual_memory().available // BUDGET_BYTES))


@contextmanager
def open_executor(jobs: int | None = None, scheduler: str | None = None) -> Iterator[Executor]:
    """An executor for jobs: threads that each wait for a process, or the workers of a Dask cluster.

    Raises UsageError for `jobs` below 1, and CourseError if no scheduler answers.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be at least 1, got {jobs}")
    if scheduler:
        with _dask_client(scheduler) as client:
            yield client.get_executor()
        return
    executor = ThreadPoolExecutor(jobs or default_jobs())
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        stop_all()
        executor.shutdown()


def _dask_client(scheduler: str):
    try:
        from distributed import Client
    except ImportError:
        raise CourseError("--scheduler needs Dask: pip install -e '.[cluster]'") from None
    try:
        return Client(scheduler, timeout=SCHEDULER_SECONDS)
    except (OSError, ValueError) as error:
        raise CourseError(f"no Dask scheduler answers at {scheduler}: {error}") from None
