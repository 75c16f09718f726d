"""What this machine lacks of the walls, and what to type so that it has them."""

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib.grading.walls import bubblewrap, kernel

if TYPE_CHECKING:
    from lib.grading.walls import Kernel

_OTHER_MACHINE = "grade in a virtual machine with a recent Linux on x86-64 or arm64"
_OUTSIDE = "on the machine that runs the container: "

# A setting of the kernel, the value with which it refuses namespaces, and what to type.
_NAMESPACE_SETTINGS = (
    ("kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1",
     "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
    ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
)  # fmt: skip


@dataclass(frozen=True)
class Missing:
    """One wall that does not hold: whether answers are safe without it, why it does not hold, and what to type."""

    wall: str
    needed: bool  # against an attack; the others are a second wall behind one that holds
    why: str
    command: str


def missing(has: "Kernel", read: Callable[[str], str | None] = lambda name: _setting(name)) -> list[Missing]:
    """The walls that do not hold here. `read` gives a file below /proc/sys or /sys as text, None if there is none."""
    if not kernel.ON_LINUX:
        why = f"{platform.system()} has no walls that an answer cannot break"
        return [Missing("Landlock and seccomp", True, why, _OTHER_MACHINE)]
    found = []
    if not has.landlock:
        found.append(_landlock(read))
    if not has.seccomp:
        found.append(_seccomp())
    if not has.namespaces:
        found.append(_namespaces(read))
    if not bubblewrap.works():
        found.append(_bubblewrap(read))
    elif os.environ.get("COURSE_WALLS") == "plain":
        found.append(Missing("bubblewrap", False, "COURSE_WALLS=plain disables it", "unset COURSE_WALLS"))
    return found


def _landlock(read: Callable[[str], str | None]) -> Missing:
    modules = (read("/sys/kernel/security/lsm") or "").strip()
    if modules and "landlock" not in modules.split(","):
        line = f"add lsm=landlock,{modules} to GRUB_CMDLINE_LINUX in /etc/default/grub; sudo update-grub; sudo reboot"
        return Missing("Landlock", True, "this kernel was started without it", line)
    why = f"Linux {platform.release()} has none, or a container forbids it (it came with 5.13)"
    return Missing("Landlock", True, why, _OTHER_MACHINE)


def _seccomp() -> Missing:
    why = f"this kernel has none, or the numbers of the calls of {platform.machine()} are unknown"
    return Missing("seccomp", True, why, _OTHER_MACHINE)


def _namespaces(read: Callable[[str], str | None]) -> Missing:
    for name, refusing, command in _NAMESPACE_SETTINGS:
        if (read(f"/proc/sys/{name}") or "").strip() == refusing:
            return Missing("namespaces", False, f"{name.replace('/', '.')} is {refusing}", command)
    why = "this system refuses them, as most containers do"
    return Missing("namespaces", False, why, f"{_OUTSIDE}podman run --security-opt seccomp=unconfined …, or go without")


def _bubblewrap(read: Callable[[str], str | None]) -> Missing:
    if not shutil.which("bwrap"):
        manager = next((name for name in ("apt", "dnf", "zypper", "pacman") if shutil.which(name)), "apt")
        install = "-S" if manager == "pacman" else "install"
        return Missing("bubblewrap", False, "it is not installed", f"sudo {manager} {install} bubblewrap")
    why = "it is installed, but this system refuses it"
    return Missing("bubblewrap", False, why, _namespaces(read).command)


def _setting(name: str) -> str | None:
    try:
        return Path(name).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
