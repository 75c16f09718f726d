"""bubblewrap: runs the whole server in private namespaces with only the files that it needs.

It is optional and only for Linux. Where it is installed, the system may still refuse it (a container without user
namespaces), so it is tried once.
"""

import functools
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_PROGRAM = "bwrap"
_TEMPORARY_BYTES = 64 * 2**20  # of /tmp, which is memory
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache",
           "/etc/alternatives", "/etc/localtime", "/sys/devices/system/cpu")  # fmt: skip


@functools.cache
def works() -> bool:
    """Whether bubblewrap is installed and can start this Python on this system."""
    python = [sys.executable, "-S", "-c", "pass"]
    line = wrap(python, Path("/tmp"), [Path(sys.prefix), Path(sys.base_prefix)], {"PATH": "/usr/bin"})
    try:
        return subprocess.run(line, check=False, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def wrap(argv: Sequence[str], scratch: Path, readable: Sequence[Path], environment: Mapping[str, str]) -> list[str]:
    """The command line that runs `argv` in a private system with exactly this `environment`.

    Only `readable` (under the given names and their real ones) and the system's libraries exist there, read-only.
    `scratch` is writable and the working directory. Users, processes, network, shared memory, host name and control
    groups are private; everything ends when the caller's thread ends.
    """
    line = [shutil.which(_PROGRAM) or _PROGRAM]
    line += ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    for name, value in environment.items():
        line += ["--setenv", name, value]
    line += ["--proc", "/proc", "--dev", "/dev", "--size", str(_TEMPORARY_BYTES), "--tmpfs", "/tmp"]
    for name in dict.fromkeys(name for path in map(Path, [*_SYSTEM, *readable]) for name in _names(path)):
        line += ["--ro-bind", name, name]
    for name in _names(scratch):
        line += ["--bind", name, name]
    return [*line, "--chdir", str(scratch), "--", *argv]


def _names(path: Path) -> list[str]:
    """A path and its target, since both names must exist inside; [] if the path does not exist."""
    return [str(path.absolute()), str(path.resolve())] if path.exists() else []
