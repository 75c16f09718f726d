"""The last resort where the kernel offers no isolation: Python itself refuses.

An audit hook sees every file, socket, process and library that Python opens, from any module, and cannot be
removed. Its limits: it does not see an extension that calls the C library directly, it does not recognise a file
opened relative to a folder's descriptor, and code that finds it in memory can disable it. It stops accidents and
curiosity, not an attack. Landlock, seccomp and bubblewrap also stop attacks.
"""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_REFUSED = (
    "socket.", "subprocess.", "pty.", "os.fork", "os.exec", "os.posix_spawn", "os.spawn", "os.system",
    "os.startfile", "os.killpg", "ctypes.dlopen", "ctypes.dlsym", "ctypes.call_function", "resource.",
    "syslog.", "webbrowser.", "fcntl.",
)  # fmt: skip
_READING = ("os.listdir", "os.scandir", "os.chdir", "os.getxattr", "os.listxattr")  # argument 0
_CHANGING = {
    "os.remove": (0,), "os.rmdir": (0,), "os.mkdir": (0,), "os.truncate": (0,), "os.chmod": (0,),
    "os.chown": (0,), "os.utime": (0,), "os.chflags": (0,), "os.setxattr": (0,), "os.removexattr": (0,),
    "os.rename": (0, 1), "os.link": (0, 1), "os.symlink": (1,), "sqlite3.connect": (0,),
}  # fmt: skip


class AccessRefused(PermissionError):
    """An answer tried to access something that no exercise needs."""


def install(folder: Path, readable: Iterable[Path]) -> None:
    """Refuse permanently to write outside `folder`, to read outside it and `readable`, and everything except files."""
    sys.addaudithook(_hook(folder, readable))


def _hook(folder: Path, readable: Iterable[Path]) -> Callable[[str, tuple], None]:
    """The hook, with everything that it needs bound here, since names in a module could be replaced."""
    real, fspath, fsdecode, sep, self = os.path.realpath, os.fspath, os.fsdecode, os.sep, os.getpid()
    inside = (real(folder),)
    seen = (*inside, *map(real, readable), "/dev/null", "/dev/urandom")
    written = (*inside, "/dev/null")
    reading, changing, refused, writes = _READING, dict(_CHANGING), _REFUSED, _WRITES

    def demand(event: str, path: object, places: tuple[str, ...]) -> None:
        if path is None or isinstance(path, int):  # the current folder, or a file that is already open
            return
        name = real(fsdecode(fspath(path)))
        if not any(name == place or name.startswith(place + sep) for place in places):
            raise AccessRefused(f"refused: {event} of {name!r}")

    def hook(event: str, arguments: tuple) -> None:
        if event == "open":
            demand(event, arguments[0], written if (arguments[2] or 0) & writes else seen)
        elif event in reading:
            demand(event, arguments[0], seen)
        elif event in changing:
            for index in changing[event]:
                demand(event, arguments[index], written)
        elif event.startswith(refused) or (event == "os.kill" and arguments[0] != self):
            raise AccessRefused(f"refused: {event}")

    return hook
