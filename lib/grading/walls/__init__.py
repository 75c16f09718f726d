"""The isolation of an untrusted answer from the machine that runs it.

There are several walls of different kinds, so that a hole in one of them is not enough:

* bubblewrap, around the server and its children, where it is installed and works (`command`);
* namespaces, Landlock, seccomp and limits, around every single answer (`enclose`); none of them needs
  privileges;
* where the kernel has no Landlock or no seccomp, an audit hook inside Python (see `audit_hook` for its limits).

`describe` reports which walls this machine has. The walls do not stop an answer from using its whole allowance of
time and memory, including thousands of threads, or from testing whether a file exists (without bubblewrap), and they
depend on the kernel. To protect against these, run the grader in a container or a virtual machine.
"""

import functools
import os
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from lib import CACHE, DATA, ROOT
from lib.errors import CourseError, UsageError
from lib.grading.walls import audit_hook, bubblewrap, kernel, landlock, rlimits, seccomp

_AROUND = "COURSE_WALLED"  # tells the server what it runs in: "bubblewrap", or "plain" for nothing
_ALWAYS_READABLE = ("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")  # read by numeric libraries
_FOLDER_SHARE = 4  # limit of an answer's files together, in multiples of the limit of one file


class WallError(CourseError):
    """A wall that this machine supports could not be set up; nothing may run without it."""


@dataclass(frozen=True)
class Limits:
    """The limits of one answer.

    >>> Limits(cpu_seconds=5).cpu_seconds
    5
    """

    cpu_seconds: int = 30  # of all its threads together
    elapsed_seconds: int = 60  # of real time, enforced by the server
    memory_bytes: int = 3 * 2**30  # in addition to what the process has at the start
    open_files: int = 64  # at once, including those that are open at the start
    processes: int = 0  # that it starts; threads are not limited
    file_bytes: int = 16 * 2**20  # of one file; four times that for all files, where there are namespaces
    output_bytes: int = 64 * 2**20  # that it sends back, enforced by the server

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 1 and field.name != "processes":
                raise ValueError(f"{field.name} must be at least 1, got {value!r}")
        if self.processes != 0:
            raise ValueError(f"processes must be 0, as no answer may start another, got {self.processes}")


@dataclass(frozen=True)
class Kernel:
    """The walls that the kernel of this machine supports."""

    landlock: int  # version of its interface, 0 for none
    seccomp: bool
    namespaces: bool


@functools.cache
def probe() -> Kernel:
    """The kernel's walls, determined once. A server should call this before it forks, for all its children."""
    return Kernel(landlock.version(), seccomp.available(), kernel.namespaces_possible())


def default_readable() -> list[Path]:
    """The paths that an answer may read: this Python and its packages, the system's libraries, the course's data.

    They exclude `lib`, which contains the solutions, the notebooks, the tests and the history. Python's folders are
    listed under the names in use and under those to which symbolic links lead.

    >>> ROOT / "lib" in default_readable(), DATA in default_readable()
    (False, True)
    """
    python = [Path(place) for place in (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)]
    python += [Path(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
    python += [Path(place) for place in sys.path if Path(place).name in ("site-packages", "dist-packages")]
    python += [Path(sys.executable).resolve().parent]
    system = [Path(place) for place in ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime")]
    every = [*python, *system, DATA, CACHE]
    both = [name for path in every if path.exists() for name in (path.absolute(), path.resolve())]
    return list(dict.fromkeys(part for path in both for part in _beside_the_course(path)))


def _beside_the_course(path: Path) -> list[Path]:
    """The path, or its content without the course: a clone in /usr/src is not readable just because /usr is."""
    if not ROOT.is_relative_to(path):
        return [path]
    return [part for child in sorted(path.iterdir()) if child != ROOT for part in _beside_the_course(child)]


def environment(scratch: Path) -> dict[str, str]:
    """The whole environment of the server, without the caller's variables, which may contain passwords.

    >>> environment(Path("/scratch"))["HOME"]
    '/scratch'
    """
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "USER": "student",  # code that asks for the user name gets one without reading /etc/passwd
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        **dict.fromkeys(threads, "1"),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "MPLBACKEND": "Agg",
        "TQDM_DISABLE": "1",  # a progress bar prints times, and printed text is part of the result
        "COURSE_CACHE": str(CACHE),
        _AROUND: "plain",
    }


def command(argv: list[str], scratch: Path, readable: Sequence[Path]) -> list[str]:
    """`argv` in bubblewrap if that works, with `readable` read-only and `scratch` writable; else `argv` itself.

    Start it with `environment(scratch)`. COURSE_WALLS=plain disables bubblewrap; tests use this to simulate a
    machine without it. Raises UsageError for a value other than "plain" and "bubblewrap".
    """
    if not _bubblewrap_wanted():
        return argv
    return bubblewrap.wrap(argv, scratch, readable, environment(scratch) | {_AROUND: "bubblewrap"})


def enclose(folder: Path, limits: Limits, readable: Sequence[Path]) -> None:
    """Isolate this process permanently, directly before the first line of a student runs.

    Call it in a freshly forked process with one thread that has imported everything it needs. Afterwards it can read
    beneath `readable` and write in `folder`, its working directory, and reach nothing else. Raises WallError if a
    wall that `probe` found cannot be set up; the process must then end.
    """
    if rlimits.status("Threads") not in ("", "1"):
        raise WallError("walls apply to one thread: call enclose() before a second thread starts")
    if not folder.is_dir():
        raise WallError(f"the answer's folder does not exist: {folder}")
    has = probe()
    try:
        _leave_everybody(folder, limits, has)
        seen = [*readable, *map(Path, _ALWAYS_READABLE)]
        if has.landlock:
            landlock.restrict(folder, seen)
        if has.seccomp:
            seccomp.restrict()
        if not (has.landlock and has.seccomp):
            audit_hook.install(folder, seen)
    except (OSError, ValueError) as error:
        raise WallError(f"a wall cannot be set up: {error}") from error


def _leave_everybody(folder: Path, limits: Limits, has: Kernel) -> None:
    """Give this process its own session, folder, limits and namespaces."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    if kernel.ON_LINUX:
        kernel.die_with_parent()
        Path("/proc/self/oom_score_adj").write_text("1000")  # if memory runs out, this process is killed first
    if has.namespaces:
        kernel.enter_private_namespaces(folder, _FOLDER_SHARE * limits.file_bytes)
    os.chdir(folder)
    os.umask(0o077)
    os.environ.update(HOME=str(folder), TMPDIR=str(folder))
    tempfile.tempdir = None  # forget the previous TMPDIR
    rlimits.lower(
        cpu_seconds=limits.cpu_seconds,
        memory_bytes=limits.memory_bytes,
        open_files=limits.open_files,
        file_bytes=limits.file_bytes,
        processes=None if has.seccomp else limits.processes,
    )
    if kernel.ON_LINUX:
        kernel.give_up_privileges()


def describe() -> dict[str, str]:
    """The mechanism behind each wall on this machine, in words for a report.

    >>> sorted(describe())
    ['disk', 'files', 'memory', 'network', 'processes', 'signals']
    """
    has, around = probe(), os.environ.get(_AROUND)  # None: not in the server, which has not started yet
    hook = "Python's audit hook (against accidents, not against attacks)"
    outer = ["bubblewrap"] if around == "bubblewrap" or (around is None and _bubblewrap_wanted()) else []
    empty = ["an empty network namespace"] if has.namespaces else []
    calls = ["seccomp"] if has.seccomp else [hook]
    disk = "a file system of its own" if has.namespaces else "RLIMIT_FSIZE (size of a file, not the number of files)"
    scope = ["Landlock"] if has.landlock >= 6 else []
    beyond = [] if has.seccomp else ["RLIMIT_NPROC (not for root)"]
    return {
        "files": " + ".join([*outer, "Landlock" if has.landlock else hook]),
        "network": " + ".join([*outer, *empty, *calls]),
        "processes": " + ".join([*outer, *calls, *beyond]),
        "signals": " + ".join([*outer, *scope, *calls]),
        "memory": "RLIMIT_DATA" if kernel.ON_LINUX else "not limited on this system",
        "disk": disk,
    }


def _bubblewrap_wanted() -> bool:
    wanted = os.environ.get("COURSE_WALLS", "")
    if wanted not in ("", "bubblewrap", "plain"):
        raise UsageError(f"COURSE_WALLS must be 'bubblewrap' or 'plain', got {wanted!r}")
    return wanted != "plain" and bubblewrap.works()
