"""What stands between an answer that nobody has read and the machine that runs it.

Several walls, each of another make, so that a hole in one is not a way out:

* bubblewrap, around the server and its children, where it is installed and works (`command`);
* namespaces, Landlock, seccomp and limits, around every single answer (`enclose`), none of which needs
  privileges;
* where the kernel has no Landlock or no seccomp, an audit hook inside Python (`audit_hook` says what that
  is worth).

`describe` says what holds on this machine. What no wall here stops: an answer that uses its whole allowance
of time and memory, thousands of threads among it; one that asks whether a file of some name exists (without
bubblewrap); a hole in the kernel itself. For those the grader belongs in a container or a virtual machine.
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
_ALWAYS_READABLE = ("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")  # numeric libraries ask
_FOLDER_SHARE = 4  # an answer's files together, in multiples of the largest one


class WallError(CourseError):
    """A wall that this machine has could not be built; nothing may run without it."""


@dataclass(frozen=True)
class Limits:
    """What one answer may use up.

    >>> Limits(cpu_seconds=5).cpu_seconds
    5
    """

    cpu_seconds: int = 30  # of all its threads together
    wall_seconds: int = 60  # kept by the server, which kills
    memory_bytes: int = 3 * 2**30  # beyond what the process has when it begins
    open_files: int = 64  # at once, with those that are open when it begins
    processes: int = 0  # of its own; threads are free
    file_bytes: int = 16 * 2**20  # of one file; all together four times that, where there are namespaces
    output_bytes: int = 64 * 2**20  # that it sends back, kept by the server

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 1 and field.name != "processes":
                raise ValueError(f"{field.name} must be at least 1, got {value!r}")
        if self.processes != 0:
            raise ValueError(f"processes must be 0, no answer starts another: got {self.processes}")


@dataclass(frozen=True)
class Kernel:
    """Which walls the kernel of this machine offers."""

    landlock: int  # version of its interface, 0 for none
    seccomp: bool
    namespaces: bool


@functools.cache
def probe() -> Kernel:
    """Ask the kernel once. A server should, before it forks: its children then need not ask again."""
    return Kernel(landlock.version(), seccomp.available(), kernel.namespaces_possible())


def default_readable() -> list[Path]:
    """What an answer may read: this Python and its packages, the system's libraries, the course's data.

    Neither `lib`, which holds the solutions, nor the notebooks, the tests or the history. Python's folders
    come under the names in use and under those that symbolic links lead to.

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
    """The path, or what lies in it beside the course: a clone in /usr/src is not readable because /usr is."""
    if not ROOT.is_relative_to(path):
        return [path]
    return [part for child in sorted(path.iterdir()) if child != ROOT for part in _beside_the_course(child)]


def environment(scratch: Path) -> dict[str, str]:
    """The whole environment of the server: nothing of the caller's, who may have passwords there.

    >>> environment(Path("/scratch"))["HOME"]
    '/scratch'
    """
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "USER": "student",  # who asks for a name gets one without reading /etc/passwd
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
        "TQDM_DISABLE": "1",  # a bar shows the time, and what is printed stands in the result
        "COURSE_CACHE": str(CACHE),
        _AROUND: "plain",
    }


def command(argv: list[str], scratch: Path, readable: Sequence[Path]) -> list[str]:
    """`argv` in bubblewrap where that works, seeing `readable` and writing `scratch`; else `argv` itself.

    To be started with `environment(scratch)`. COURSE_WALLS=plain does without bubblewrap, which is how a test
    sees what a machine without it would do. Raises UsageError for a value that is neither that nor
    "bubblewrap".
    """
    if not _bubblewrap_wanted():
        return argv
    return bubblewrap.wrap(argv, scratch, readable, environment(scratch) | {_AROUND: "bubblewrap"})


def enclose(folder: Path, limits: Limits, readable: Sequence[Path]) -> None:
    """Wall this process off, for good: the last thing that happens before a student's first line.

    For a freshly forked process of one thread that has imported all it needs: beneath `readable` it can read,
    in `folder`, where it is put, also write, and nothing else is within reach. Raises WallError where a wall
    that `probe` has promised cannot be built; the process must then end.
    """
    if rlimits.status("Threads") not in ("", "1"):
        raise WallError("walls hold for one thread: enclose() came after a second one was started")
    if not folder.is_dir():
        raise WallError(f"the answer's folder must exist: {folder}")
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
        raise WallError(f"a wall cannot be built: {error}") from error


def _leave_everybody(folder: Path, limits: Limits, has: Kernel) -> None:
    """A session, a folder, limits and a view of the machine of its own."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    if kernel.ON_LINUX:
        kernel.die_with_parent()
        Path("/proc/self/oom_score_adj").write_text("1000")  # should memory run out, this one goes first
    if has.namespaces:
        kernel.enter_private_namespaces(folder, _FOLDER_SHARE * limits.file_bytes)
    os.chdir(folder)
    os.umask(0o077)
    os.environ.update(HOME=str(folder), TMPDIR=str(folder))
    tempfile.tempdir = None  # it remembers what TMPDIR was
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
    """Which wall is made of what on this machine, in words for a report.

    >>> sorted(describe())
    ['disk', 'files', 'memory', 'network', 'processes', 'signals']
    """
    has, around = probe(), os.environ.get(_AROUND)  # None: not in the server, which is still to be started
    hook = "Python's audit hook (against accidents, not against an attack)"
    outer = ["bubblewrap"] if around == "bubblewrap" or (around is None and _bubblewrap_wanted()) else []
    empty = ["an empty network namespace"] if has.namespaces else []
    calls = ["seccomp"] if has.seccomp else [hook]
    disk = "a file system of its own" if has.namespaces else "RLIMIT_FSIZE (each file, not their number)"
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
