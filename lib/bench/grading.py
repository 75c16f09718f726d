"""Grading a class of 300 synthetic students, compared with nbgrader's autograde on ten of the same submissions.

Both grade a student's whole file: nbgrader runs all of it, ours only what an answer needs. Memory is the peak of all
processes together, with each shared page counted once (PSS).
"""

import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from lib import NOTEBOOKS, ROOT
from lib.bench.rows import BenchRow
from lib.errors import CourseError

NOTEBOOK = NOTEBOOKS / "11_bradley_terry_reward.ipynb"
STUDENTS, LOOPS, SEED = 300, 3, 5
THEIRS = 10  # submissions that nbgrader grades
TARGET = 10.0  # times as fast per submission
MEMORY_LIMIT = 4000.0  # MB, on two cores
_SAMPLES = 0.25  # seconds between two measurements of memory
_ASSIGNMENT = "assignment"


def rows(threads: int) -> list[BenchRow]:
    """Time per submission and memory. `threads` is the number of submissions that ours grades at a time, and the
    number of PyTorch threads in nbgrader's kernel.

    Raises CourseError if the class cannot be made or graded.
    """
    with tempfile.TemporaryDirectory(prefix="course-bench-") as folder:
        return _rows(Path(folder), threads)


def _rows(folder: Path, threads: int) -> list[BenchRow]:
    names = hand_in(folder / "submissions")
    seconds, memory = grade(folder, threads)
    ours = seconds / STUDENTS
    what = f"grading {STUDENTS} students, {threads} at a time"
    peak = BenchRow(f"{what}: peak memory, ours / limit", memory, MEMORY_LIMIT, 1.0, "MB", threads)
    if find_spec("nbgrader") is None:
        name = f"{what}, per submission (nbgrader is not installed)"
        return [BenchRow(name, ours, math.nan, TARGET, "s", threads), peak]
    theirs = autograde(folder, names, threads) / len(names)
    name = f"{what}, per submission, ours / nbgrader's autograde of {len(names)}"
    return [BenchRow(name, ours, theirs, TARGET, "s", threads), peak]


def hand_in(folder: Path) -> list[str]:
    """Write the submissions of the class; return the names of those that nbgrader grades too.

    They include neither broken files, at which nbgrader would stop, nor endless loops, for which it would wait.
    Raises CourseError outside the repository, whose tests are needed to make a class.
    """
    if find_spec("tests") is None:
        raise CourseError(
            "making the class needs the tests of this repository: run `course bench grading` in its folder"
        )
    from lib.bench.classroom import Lecture, hand_in, make_class

    lecture = Lecture(NOTEBOOK)
    students = make_class(lecture, STUDENTS, SEED, loops=LOOPS)
    hand_in(lecture, students, folder)
    whole = [s.name for s in students if not s.broken and not {"loop", "crash"} & set(s.kinds.values())]
    return sorted(random.Random(SEED).sample(whole, min(THEIRS, len(whole))))


def grade(folder: Path, jobs: int) -> tuple[float, float]:
    """Seconds (from start to end) and MB that `course grade` needs for all submissions in `folder`."""
    where = [str(folder / "submissions"), "--out", str(folder / "grades"), "--key", str(folder / "key")]
    start = time.monotonic()
    memory = _watched([sys.executable, "-m", "lib.course", "grade", *where, "--jobs", str(jobs)], ROOT, os.environ)
    return time.monotonic() - start, memory


def autograde(folder: Path, names: Sequence[str], threads: int) -> float:
    """Seconds that nbgrader's autograde needs for the submissions of these students."""
    course = folder / "nbgrader"
    (course / "source" / _ASSIGNMENT).mkdir(parents=True)
    shutil.copy(NOTEBOOK, course / "source" / _ASSIGNMENT)
    for name in names:
        shutil.copytree(folder / "submissions" / name, course / "submitted" / name / _ASSIGNMENT)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])  # it calls alembic
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT), "PATH": path}
    nbgrader = [sys.executable, "-m", "nbgrader"]
    _watched([*nbgrader, "generate_assignment", _ASSIGNMENT], course, environment)
    start = time.monotonic()
    command = [*nbgrader, "autograde", _ASSIGNMENT, "--ExecutePreprocessor.timeout=600"]
    _watched(command, course, environment)
    seconds = time.monotonic() - start
    graded = len(list((course / "autograded").glob(f"*/{_ASSIGNMENT}/{NOTEBOOK.name}")))
    if graded < len(names):
        raise CourseError(f"nbgrader graded {graded} of {len(names)} submissions")
    return seconds


def _watched(command: Sequence[str], folder: Path, environment: "os._Environ | dict") -> float:
    """Run a command to its end and return its peak memory in MB.

    Raises CourseError with the end of its output if it fails.
    """
    peak = 0.0
    with tempfile.TemporaryFile("w+") as said:
        run = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT)
        while run.poll() is None:
            peak = max(peak, memory_of_tree(run.pid))
            time.sleep(_SAMPLES)
        said.seek(0)
        if run.returncode:
            raise CourseError(f"{' '.join(command[1:5])} failed (exit {run.returncode}): {said.read().strip()[-500:]}")
    return peak


def memory_of_tree(process: int) -> float:
    """Memory in MB of a process and its descendants together, with shared pages counted once.

    Raises CourseError on other systems than Linux.
    """
    if not Path("/proc/self/smaps_rollup").exists():
        raise CourseError("the memory of processes is read from /proc, which exists only on Linux")
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):  # the process has ended
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    total, waiting = 0, [process]
    while waiting:
        one = waiting.pop()
        waiting += children.get(one, [])
        total += _shared_out(one)
    return total * 1024 / 1e6  # the files count in KiB


def _shared_out(process: int) -> int:
    """Memory of one process in KiB, with its share of shared pages; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
