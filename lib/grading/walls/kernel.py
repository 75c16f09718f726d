"""Calls to the Linux kernel that Python does not offer, and the namespaces around one answer."""

import ctypes
import os
import signal
import sys
import tempfile
from pathlib import Path

from lib.lectures.network import CLONE_NEWNET, enter_namespaces

_CLONE_NEWNS, _CLONE_NEWIPC = 0x00020000, 0x08000000  # <linux/sched.h>
_MS_NOSUID, _MS_NODEV, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x4000, 0x40000  # <linux/mount.h>
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # <linux/prctl.h>
_CAPABILITY_VERSION_3 = 0x20080522  # <linux/capability.h>

ON_LINUX = sys.platform.startswith("linux")


def libc(name: str, *arguments: object) -> int:
    """Call a function of the C library that returns an int. Raises OSError if the result is -1.

    >>> libc("getpid") == os.getpid()
    True
    """
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    result = function(*[ctypes.c_long(value) if isinstance(value, int) else value for value in arguments])
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def die_with_parent() -> None:
    """Make the kernel kill this process when its parent ends."""
    libc("prctl", _PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def give_up_privileges() -> None:
    """Drop all capabilities permanently: without them root can neither raise limits nor bypass file modes."""
    libc("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    libc("capset", ctypes.byref(header), ctypes.byref(none))


def namespaces_possible() -> bool:
    """Whether `enter_private_namespaces` works here, tested in a child that ends at once."""
    if not ON_LINUX:
        return False
    child = os.fork()
    if child == 0:
        try:
            enter_private_namespaces(Path(tempfile.gettempdir()), 2**20)
            os._exit(0)
        finally:
            os._exit(1)  # it failed; the child must not continue as a second copy of the caller
    return os.waitpid(child, 0)[1] == 0


def enter_private_namespaces(folder: Path, size: int) -> None:
    """Enter namespaces without network or shared memory, with `folder` as an empty file system of `size` bytes.

    The file system limits *all* files of an answer together; RLIMIT_FSIZE limits each of them. It leaves nothing on
    disk. Raises OSError if the system refuses.
    """
    if not enter_namespaces(CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWNS):
        raise PermissionError("the system refuses namespaces")
    libc("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)  # otherwise all processes would see the mount below
    options = f"size={size},nr_inodes=4096,mode=0700".encode()
    libc("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", _MS_NOSUID | _MS_NODEV, options)
