"""seccomp: the kernel refuses system calls with which an answer could affect other processes.

A filter checks the number of a call and its plain arguments, never the target of a pointer. So it cannot distinguish
files (Landlock does), but it stops processes, sockets, signals, changes of limits and memory that no limit counts.
It needs no privileges and cannot be removed.
See seccomp(2); the numbers are those of <asm/unistd.h>.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

from lib.grading.walls import kernel

_PR_SET_SECCOMP, _FILTER = 22, 2
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # BPF: load a word, two jumps, return
_KILL, _ERROR, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000  # the bit of a third family of calls on some x86-64 kernels

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # the kernel's codes of the architectures
_COLUMN = {"x86_64": 0, "aarch64": 1}

# Refused for all arguments: (number on x86-64, number on aarch64), None where the call does not exist.
_REFUSED = {
    # another program or process (clone is below; fork on aarch64 uses it)
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    # sockets; also connect and similar calls, for a socket that already exists
    "socket": (41, 198), "bind": (49, 200), "listen": (50, 201),
    "connect": (42, 203), "accept": (43, 202), "accept4": (288, 242),
    # other processes: their memory, descriptors, signals
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "migrate_pages": (256, 238),
    "move_pages": (279, 239), "ioprio_set": (251, 30),
    # memory that RLIMIT_DATA does not count, and messages that outlast the process
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
    "map_shadow_stack": (453, 453),
    # modes, owners, times: Landlock does not cover them, and the grader's files have the same owner
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "file_setattr": (469, 469), "truncate": (76, 45),
    # the file system tree, and namespaces in which a process would be root
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "open_tree_attr": (467, 467), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265), "unshare": (272, 97), "setns": (308, 268),
    # parts of the kernel with the most known vulnerabilities
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "syslog": (103, 116),
    # notification of reads and writes, even of files that Landlock does not let it open
    "inotify_init": (253, None), "inotify_init1": (294, 26), "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262), "fanotify_mark": (301, 263),
}  # fmt: skip

# The first argument is a process: only this one is allowed.
_ON_SELF = {"kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
            "rt_tgsigqueueinfo": (297, 240)}  # fmt: skip
# The same, where 0 means this process.
_ON_SELF_OR_0 = {"prlimit64": (302, 261), "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119),
                 "sched_setparam": (142, 118), "sched_setattr": (314, 274)}  # fmt: skip

_CLONE, _CLONE3, _CLONE_THREAD = (56, 220), (435, 435), 0x00010000
_SOCKETPAIR, _AF_UNIX = (53, 199), 1
_STREAMS = (0x1, 0x80001, 0x801, 0x80801)  # SOCK_STREAM, with and without SOCK_CLOEXEC and SOCK_NONBLOCK
_MMAP, _MAP_SHARED, _MAP_ANONYMOUS, _MAP_GROWSDOWN = (9, 222), 0x01, 0x20, 0x0100
_SETPRIORITY, _PRIO_PROCESS = (141, 140), 0
_FCNTL, _OWNER_OF_A_FILE = (72, 25), (8, 15, 10)  # F_SETOWN, F_SETOWN_EX, F_SETSIG: which process gets which signal
_IOCTL = (16, 29)
_TYPING_FOR_OTHERS = (0x5412, 0x541C, 0x8901, 0x8902)  # TIOCSTI, TIOCLINUX; and setting the owner of a socket


def available() -> bool:
    """Whether this kernel filters system calls, on an architecture whose call numbers we know.

    Tested with a filter at address 0, which a kernel with seccomp rejects as a bad address.
    """
    if not kernel.ON_LINUX or platform.machine() not in _AUDIT or sys.maxsize < 2**32:
        return False
    try:
        kernel.libc("prctl", _PR_SET_SECCOMP, _FILTER, 0, 0, 0)
    except OSError as error:
        return error.errno == errno.EFAULT
    return False


def restrict() -> None:
    """Refuse these calls from now on. The process must have one thread and must have given up privileges.

    Raises OSError if the kernel rejects the filter; the caller must then stop.
    """
    instructions = program(platform.machine(), os.getpid())
    code = ctypes.create_string_buffer(b"".join(instructions))
    header = struct.pack("HxxxxxxQ", len(instructions), ctypes.addressof(code))  # struct sock_fprog
    kernel.libc("prctl", _PR_SET_SECCOMP, _FILTER, header, 0, 0)


def program(machine: str, process: int) -> list[bytes]:
    """The filter for process number `process` on "x86_64" or "aarch64", as a list of BPF instructions.

    >>> [len(instruction) for instruction in program("x86_64", 1)[:2]]
    [8, 8]
    """
    column = _COLUMN[machine]
    code = [_load(_ARCHITECTURE), _jump(_EQUAL, _AUDIT[machine], 1, 0), _return(_KILL), _load(_NUMBER)]
    code += [_jump(_ANY_BIT, _X32, 0, 1), _REFUSE]
    for numbers in _REFUSED.values():
        code += _case(numbers[column], [_REFUSE])
    code += _case(_CLONE3[column], [_return(_ERROR | errno.ENOSYS)])  # its flags are behind a pointer; glibc
    code += _case(_CLONE[column], [*_has(0, _CLONE_THREAD, _REFUSE), _PASS])  # then uses clone
    pair = [*_is_one_of(0, (_AF_UNIX,), _REFUSE), *_is_one_of(1, _STREAMS, _REFUSE)]
    code += _case(
        _SOCKETPAIR[column], [*pair, _PASS]
    )  # asyncio uses it internally; a datagram socket could send elsewhere
    for numbers in _ON_SELF.values():
        code += _case(numbers[column], [*_is_one_of(0, (process,), _REFUSE), _PASS])
    for numbers in _ON_SELF_OR_0.values():
        code += _case(numbers[column], [*_is_one_of(0, (0, process), _REFUSE), _PASS])
    mine = [*_is_one_of(0, (_PRIO_PROCESS,), _REFUSE), *_is_one_of(1, (0, process), _REFUSE)]
    code += _case(_SETPRIORITY[column], [*mine, _PASS])
    code += _case(_MMAP[column], _only_counted_memory())
    code += _case(_FCNTL[column], [*_is_one_of(1, _OWNER_OF_A_FILE, _PASS), _REFUSE])
    code += _case(_IOCTL[column], [*_is_one_of(1, _TYPING_FOR_OTHERS, _PASS), _REFUSE])
    return [*code, _PASS]


def _only_counted_memory() -> list[bytes]:
    """For mmap: refuse memory that RLIMIT_DATA does not count, which is stacks and shared memory without a file."""
    stack = [_load(_ARGUMENTS + 8 * 3), _jump(_ANY_BIT, _MAP_GROWSDOWN, 0, 1), _REFUSE]
    return [*stack, *_has(3, _MAP_SHARED, _PASS), *_has(3, _MAP_ANONYMOUS, _PASS), _REFUSE]


def _case(number: int | None, then: list[bytes]) -> list[bytes]:
    """`then`, which ends with a decision, for the call with this number; nothing if the call does not exist."""
    return [] if number is None else [_jump(_EQUAL, number, 0, len(then)), *then]


def _is_one_of(argument: int, values: tuple[int, ...], otherwise: bytes) -> list[bytes]:
    """Continue if the argument is one of the values, else decide `otherwise`."""
    tests = [_jump(_EQUAL, value, len(values) - index, 0) for index, value in enumerate(values)]
    return [_load(_ARGUMENTS + 8 * argument), *tests, otherwise]


def _has(argument: int, bits: int, otherwise: bytes) -> list[bytes]:
    return [_load(_ARGUMENTS + 8 * argument), _jump(_ANY_BIT, bits, 1, 0), otherwise]


def _load(offset: int) -> bytes:
    """Load the word at `offset`; of an argument this is the lower half, as both architectures are little-endian."""
    return struct.pack("HBBI", _LOAD, 0, 0, offset)


def _jump(test: int, value: int, if_true: int, if_false: int) -> bytes:
    """A conditional jump: the number of instructions to skip, counted from the next one."""
    return struct.pack("HBBI", test, if_true, if_false, value)


def _return(action: int) -> bytes:
    return struct.pack("HBBI", _RETURN, 0, 0, action)


_PASS, _REFUSE = _return(_ALLOW), _return(_ERROR | errno.EPERM)
