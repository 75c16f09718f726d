"""bubblewrap: the whole server in namespaces of its own, seeing only the files it needs.

Optional, and only on Linux. Where it is installed the system may still refuse it (a container without user
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
    """Whether it is installed and this system lets it start this Python."""
    python = [sys.executable, "-S", "-c", "pass"]
    line = wrap(python, Path("/tmp"), [Path(sys.prefix), Path(sys.base_prefix)], {"PATH": "/usr/bin"})
    try:
        return subprocess.run(line, check=False, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def wrap(
    argv: Sequence[str], scratch: Path, readable: Sequence[Path], environment: Mapping[str, str]
) -> list[str]:
    """The command line that runs `argv` in a private system with `environment` and nothing else.

    Only `readable` (under the names given and their real ones) and the system's libraries are there,
    read-only; `scratch` is there to be written, and is where it starts. Users, processes, network, shared
    memory, host name and control groups are private; everything ends when the caller's thread does.
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
    """A path and where it leads, which are two places to whoever sees only one of them; [] if not there."""
    return [str(path.absolute()), str(path.resolve())] if path.exists() else []
