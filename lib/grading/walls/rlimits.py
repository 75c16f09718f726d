"""Resource limits that the system enforces for every process: time, memory, files. They are lowered once."""

import resource
from pathlib import Path

from lib.grading.walls.kernel import ON_LINUX

_STATUS = Path("/proc/self/status")


def lower(*, cpu_seconds: int, memory_bytes: int, open_files: int, file_bytes: int, processes: int | None) -> None:
    """Set the limits of this process and its children.

    `memory_bytes` is in addition to what the process has now. `processes` (of this user) is None where something
    better than a count prevents new ones. A process that catches the signal at the end of its CPU time has one more
    second. The stack keeps its limit, as right answers that recurse need it.
    """
    _lower(resource.RLIMIT_CPU, cpu_seconds, beyond=1)
    _lower(resource.RLIMIT_NOFILE, open_files)
    _lower(resource.RLIMIT_FSIZE, file_bytes)
    _lower(resource.RLIMIT_CORE, 0)
    if ON_LINUX:  # elsewhere the limit has no effect
        _lower(resource.RLIMIT_DATA, writable_bytes() + memory_bytes)
    if processes is not None:
        _lower(resource.RLIMIT_NPROC, processes)


def writable_bytes() -> int:
    """The memory that counts against RLIMIT_DATA at present: private writable memory, used or not.

    RLIMIT_AS would also count torch's libraries and reserved addresses, many times the memory in use.
    """
    return 1024 * int(status("VmData").split()[0])


def status(name: str) -> str:
    """One entry of /proc/self/status.

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
    """Lower a limit, never raise it: only a privileged process could, and none should."""
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value, beyond = min(value, hard), min(beyond, max(hard - value, 0))
    resource.setrlimit(which, (value, value + beyond))
