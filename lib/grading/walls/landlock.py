"""Landlock: the kernel lets this process read only beneath some folders and write only beneath one.

It needs Linux 5.13 or later and no privileges, and cannot be undone. No version covers these: file *names* and
modes can be queried everywhere (stat), and a file that is already open stays open.
See the kernel's Documentation/userspace-api/landlock.rst.
"""

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from lib.grading.walls import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_FLAG, _PATH_BENEATH = 1, 1

_EXECUTE, _WRITE, _READ, _READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_SOCKET, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_TRUNCATE, _DEVICE_IOCTL = 1 << 14, 1 << 15
_ON_A_FILE = _EXECUTE | _WRITE | _READ | _TRUNCATE | _DEVICE_IOCTL  # the others apply only to folders

_NEWEST_RIGHT = {1: 12, 2: 13, 3: 14, 4: 14, 5: 15}  # ABI version -> number of the last right to a file
_TCP_BIND_AND_CONNECT, _ABSTRACT_SOCKETS_AND_SIGNALS = 0b11, 0b11

_RANDOM = ("/dev/urandom", "/dev/random")  # not /dev/zero: a shared mapping of it is memory that no limit counts


def version() -> int:
    """The ABI version of this kernel; 0 if there is no Landlock."""
    if not kernel.ON_LINUX:
        return 0
    try:
        return kernel.libc("syscall", _CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def restrict(folder: Path, readable: Iterable[Path]) -> None:
    """Allow permanently only reading beneath `readable` and `folder`, and writing beneath `folder`.

    From version 4 on, TCP is blocked too; from version 6 on, signals to outside processes and abstract sockets. A
    path that does not exist is ignored. Raises OSError if the kernel refuses a rule; the caller must then stop.
    """
    abi = version()
    handled = 2 ** (_NEWEST_RIGHT[min(abi, 5)] + 1) - 1
    attributes = (ctypes.c_uint64 * 3)(
        handled,
        _TCP_BIND_AND_CONNECT if abi >= 4 else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0,
    )
    size = 8 if abi < 4 else 16 if abi < 6 else 24  # the structure grew with the versions
    rules = kernel.libc("syscall", _CREATE_RULESET, ctypes.byref(attributes), size, 0)
    try:
        for path in [*readable, *map(Path, _RANDOM)]:
            _allow(rules, path, handled & (_EXECUTE | _READ | _READ_FOLDER))
        _allow(rules, Path(os.devnull), _READ | _WRITE)
        _allow(rules, folder, handled & ~(_EXECUTE | _MAKE_CHAR | _MAKE_BLOCK | _MAKE_SOCKET | _DEVICE_IOCTL))
        kernel.libc("syscall", _RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"  # Python 3.14 requires the layout of a packed structure
    _fields_ = [("rights", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def _allow(rules: int, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # a path that cannot be opened now cannot be read later either
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= _ON_A_FILE
        rule = _PathBeneath(rights, opened)
        kernel.libc("syscall", _ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(opened)
