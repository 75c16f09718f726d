"""Limits that the system keeps for every process: time, memory, files. Lowered once, for good."""

import resource
from pathlib import Path

from lib.grading.walls.kernel import ON_LINUX

_STATUS = Path("/proc/self/status")


def lower(
    *, cpu_seconds: int, memory_bytes: int, open_files: int, file_bytes: int, processes: int | None
) -> None:
    """Set the limits of this process and of what it may start.

    memory_bytes counts from what the process has now; `processes` (of this user) is None where something
    better than a count keeps it from starting any. Who catches the signal at the end of the CPU time has one
    second more. The stack keeps its limit: less of it would make right answers that recurse fail.
    """
    _lower(resource.RLIMIT_CPU, cpu_seconds, beyond=1)
    _lower(resource.RLIMIT_NOFILE, open_files)
    _lower(resource.RLIMIT_FSIZE, file_bytes)
    _lower(resource.RLIMIT_CORE, 0)
    if ON_LINUX:  # elsewhere the limit exists and limits nothing
        _lower(resource.RLIMIT_DATA, writable_bytes() + memory_bytes)
    if processes is not None:
        _lower(resource.RLIMIT_NPROC, processes)


def writable_bytes() -> int:
    """What the kernel counts against RLIMIT_DATA at this moment: private writable memory, touched or not.

    RLIMIT_AS would count torch's libraries and reserved addresses as well, many times what is really used.
    """
    return 1024 * int(status("VmData").split()[0])


def status(name: str) -> str:
    """One line of what Linux says about this process.

    >>> status("Threads").isdecimal() or not ON_LINUX
    True
    """
    if not ON_LINUX:
        return ""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    raise KeyError(f"{_STATUS} has no line {name!r}")


def _lower(which: int, value: int, beyond: int = 0) -> None:
    """Never above what was the limit before: only a privileged process may do that, and none should."""
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value, beyond = min(value, hard), min(beyond, max(hard - value, 0))
    resource.setrlimit(which, (value, value + beyond))
