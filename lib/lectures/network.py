"""Block the network for this process and everything that it starts.

Where the system allows it, a network namespace does this: a private network that contains only loopback, which
Jupyter needs (a kernel talks to its client over 127.0.0.1). Elsewhere, a guard runs in every Python process
(`guard/`). COURSE_SANDBOX=guard selects the guard; its test uses this on a system that has namespaces.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

from lib.errors import UsageError

GUARD = Path(__file__).with_name("guard")

CLONE_NEWNET, _CLONE_NEWUSER = 0x40000000, 0x10000000  # <linux/sched.h>
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1  # <linux/sockios.h>, <linux/if.h>


def block_network() -> str:
    """Block the network for this process and its future children; return "namespace" or "guard".

    Call it early, while the process has one thread, since a namespace applies only to later threads. The guard
    works in Python processes that start after this call, not in this one.
    """
    wanted = os.environ.get("COURSE_SANDBOX", "namespace")
    if wanted not in ("namespace", "guard"):
        raise UsageError(f"COURSE_SANDBOX must be 'namespace' or 'guard', got {wanted!r}")
    if wanted == "namespace" and _possible_in_a_child() and _enter_empty_network():
        return "namespace"
    folders = [str(GUARD), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ |= {"COURSE_NETWORK": "guarded", "PYTHONPATH": os.pathsep.join(folders)}
    return "guard"


def _possible_in_a_child() -> bool:
    """Try in a child first: a failure halfway would leave this process in a broken namespace."""
    if not sys.platform.startswith("linux"):
        return False
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if _enter_empty_network() else 1)
        finally:
            os._exit(1)  # after an error the child must not continue as a second copy of the caller
    return os.waitpid(child, 0)[1] == 0


def _enter_empty_network() -> bool:
    """Move into a new network namespace with loopback up; False if the system refuses."""
    if not enter_namespaces(CLONE_NEWNET):
        return False
    _bring_loopback_up()
    return True


def enter_namespaces(kinds: int) -> bool:
    """Move this process, which must have one thread, into new namespaces of the `kinds` (CLONE_NEW… flags).

    Returns False if the system refuses. Raises OSError if it refuses halfway, when the namespace is not usable.
    """
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(kinds) != 0:  # only root may do that; other users need a user namespace around it
        if libc.unshare(_CLONE_NEWUSER | kinds) != 0:
            return False
        _stay_the_same_user(user, group)
    return True


def _stay_the_same_user(user: int, group: int) -> None:
    """Map the user to itself; otherwise every file would appear to belong to nobody."""
    for name, line in [
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ]:
        Path("/proc/self", name).write_text(line)


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh22x", b"lo", 0)  # struct ifreq: a name and a union whose first short is flags
        flags = struct.unpack("16sh22x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))
