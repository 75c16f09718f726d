"""seccomp: the kernel carries out only the system calls that an answer needs, and refuses every other number.

What is not listed here is refused, so a call that a later kernel adds is refused too. A filter checks the number of a
call and its plain arguments, never the target of a pointer. So it cannot distinguish files (Landlock does). It needs
no privileges and cannot be removed.
See seccomp(2); the numbers are those of <asm/unistd_64.h> and <asm-generic/unistd.h>.
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

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # the kernel's codes of the architectures
_COLUMN = {"x86_64": 0, "aarch64": 1}

# The calls that are carried out, under the name of the C library's function: number on x86-64, number on aarch64 (None
# where that function makes a call that is listed already), and what needs it. Not one of them reaches another process.
ALLOWED: dict[str, tuple[int, int | None, str]] = {
    "read": (0, 63, "files, and the next case"),
    "write": (1, 64, "files, and the outcome of a case"),
    "readv": (19, 65, "the next case"),
    "pread64": (17, 67, "the loader of libraries"),
    "lseek": (8, 62, "every file that Python opens"),
    "openat": (257, 56, "files; Landlock decides which"),
    "close": (3, 57, "files"),
    "fstat": (5, 80, "every file that Python opens"),
    "stat": (4, None, "imports, with a C library before 2.33"),
    "lstat": (6, None, "os.path, with a C library before 2.33"),
    "newfstatat": (262, 79, "imports, os.path"),
    "getdents64": (217, 61, "imports list their folders"),
    "access": (21, 48, "os.access; names and modes can be asked for anyway"),
    "readlink": (89, 78, "os.path.realpath"),
    "getcwd": (79, 17, "relative paths"),
    "chdir": (80, 49, "os.chdir"),
    "mkdir": (83, 34, "temporary folders; Landlock decides where"),
    "rename": (82, 38, "files in its folder"),
    "unlink": (87, None, "temporary files"),
    "unlinkat": (263, 35, "temporary files, shutil.rmtree"),
    "rmdir": (84, None, "temporary folders"),
    "ftruncate": (77, 46, "files that it has opened for writing"),
    "fcntl": (72, 25, "some commands"),
    "ioctl": (16, 29, "some commands"),
    "mmap": (9, 222, "memory that RLIMIT_DATA counts, files"),
    "munmap": (11, 215, "memory"),
    "mprotect": (10, 226, "the stacks of threads, libraries"),
    "mremap": (25, 216, "memory that grows"),
    "madvise": (28, 233, "some kinds of advice"),
    "brk": (12, 214, "memory"),
    "clone": (56, 220, "threads of its own"),
    "futex": (202, 98, "locks between its threads"),
    "set_robust_list": (273, 99, "each new thread"),
    "rseq": (334, 293, "each new thread"),
    "gettid": (186, 178, "threads"),
    "exit": (60, 93, "the end of a thread"),
    "exit_group": (231, 94, "its own end"),
    "sched_yield": (24, 124, "threads that wait for each other"),
    "sched_getaffinity": (204, 123, "the number of processors"),
    "rt_sigaction": (13, 134, "the alarm of a call"),
    "rt_sigprocmask": (14, 135, "threads and the alarm"),
    "rt_sigreturn": (15, 139, "the alarm of a call"),
    "sigaltstack": (131, 132, "threads of Rust libraries (tokenizers)"),
    "restart_syscall": (219, 128, "a sleep that was interrupted"),
    "kill": (62, 129, "os.kill of itself"),
    "tgkill": (234, 131, "abort() of itself"),
    "setitimer": (38, 103, "the alarm of a call"),
    "clock_gettime": (228, 113, "time, where the kernel's shared page has no clock"),
    "clock_nanosleep": (230, 115, "time.sleep"),
    "nanosleep": (35, 101, "the sleep of C libraries"),
    "getrandom": (318, 278, "seeds"),
    "getpid": (39, 172, "os.getpid, random numbers"),
    "getppid": (110, 173, "os.getppid; a number, and nothing more"),
    "prctl": (157, 167, "some commands"),
    "prlimit64": (302, 261, "its own limits, which can only be lowered"),
    "sysinfo": (99, 179, "qsort asks for the size of the memory"),
    "uname": (63, 160, "platform"),
    "socketpair": (53, 199, "asyncio wakes itself"),
    "getsockname": (51, 204, "asyncio's pair"),
    "sendto": (44, 206, "asyncio's pair"),
    "recvfrom": (45, 207, "asyncio's pair"),
    "epoll_create1": (291, 20, "asyncio waits for its pair"),
    "epoll_ctl": (233, 21, "asyncio waits for its pair"),
    "epoll_wait": (232, 22, "asyncio waits for its pair"),
}

# The commands of these calls that are carried out, and what needs them: the command is argument 1, of prctl argument 0.
FCNTL = {
    1: "F_GETFD: os.get_inheritable",
    2: "F_SETFD: a file is not inherited",
    3: "F_GETFL: fdopen",
    1030: "F_DUPFD_CLOEXEC: os.dup",
}
IOCTL = {
    0x5401: "TCGETS: open() asks whether it is a terminal",
    0x802C542A: "TCGETS2: the same, with a newer C library",
    0x5413: "TIOCGWINSZ: how wide is the terminal?",
    0x5421: "FIONBIO: asyncio's pair does not block",
    0x5451: "FIOCLEX: a file is not inherited",
}
PRCTL = {
    2: "PR_GET_PDEATHSIG: only tells",
    15: "PR_SET_NAME: threads of torch have names",
    16: "PR_GET_NAME: only tells",
    39: "PR_GET_NO_NEW_PRIVS: only tells",
}
MADVISE = {
    0: "MADV_NORMAL", 1: "MADV_RANDOM", 2: "MADV_SEQUENTIAL", 3: "MADV_WILLNEED: files that are read as memory",
    4: "MADV_DONTNEED: memory is given back", 8: "MADV_FREE: the same, later", 14: "MADV_HUGEPAGE: torch",
    15: "MADV_NOHUGEPAGE", 16: "MADV_DONTDUMP: stacks",
}  # fmt: skip

_CLONE3, _CLONE_THREAD = 435, 0x00010000  # the number is the same on every architecture
_AF_UNIX = 1
_STREAMS = (0x1, 0x80001, 0x801, 0x80801)  # SOCK_STREAM, with and without SOCK_CLOEXEC and SOCK_NONBLOCK
_MAP_SHARED, _MAP_ANONYMOUS, _MAP_GROWSDOWN = 0x01, 0x20, 0x0100


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
    """Refuse every other call from now on. The process must have one thread and must have given up privileges.

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
    column, conditions = _COLUMN[machine], _conditions(process)
    code = [_load(_ARCHITECTURE), _jump(_EQUAL, _AUDIT[machine], 1, 0), _return(_KILL), _load(_NUMBER)]
    code += _case(_CLONE3, [_return(_ERROR | errno.ENOSYS)])  # its flags are behind a pointer; glibc then uses clone
    for name, row in ALLOWED.items():
        code += _case(row[column], [*conditions.get(name, []), _PASS])
    return [*code, _REFUSE]


def _conditions(process: int) -> dict[str, list[bytes]]:
    """Tests of arguments, by the name of the call: each goes on if the call is to be carried out, or refuses it."""
    return {
        "kill": _is_one_of(0, (process,)),
        "tgkill": _is_one_of(0, (process,)),
        "prlimit64": _is_one_of(0, (0, process)),
        "clone": _has(0, _CLONE_THREAD, _REFUSE),
        "socketpair": [*_is_one_of(0, (_AF_UNIX,)), *_is_one_of(1, _STREAMS)],  # a datagram could be sent elsewhere
        "mmap": _only_counted_memory(),
        "madvise": _is_one_of(2, tuple(MADVISE)),
        "fcntl": _is_one_of(1, tuple(FCNTL)),
        "ioctl": _is_one_of(1, tuple(IOCTL)),
        "prctl": _is_one_of(0, tuple(PRCTL)),
    }


def _only_counted_memory() -> list[bytes]:
    """For mmap: refuse memory that RLIMIT_DATA does not count, which is stacks and shared memory without a file."""
    stack = [_load(_ARGUMENTS + 8 * 3), _jump(_ANY_BIT, _MAP_GROWSDOWN, 0, 1), _REFUSE]
    return [*stack, *_has(3, _MAP_SHARED, _PASS), *_has(3, _MAP_ANONYMOUS, _PASS), _REFUSE]


def _case(number: int | None, then: list[bytes]) -> list[bytes]:
    """`then`, which ends with a decision, for the call with this number; nothing if there is none."""
    return [] if number is None else [_jump(_EQUAL, number, 0, len(then)), *then]


def _is_one_of(argument: int, values: tuple[int, ...]) -> list[bytes]:
    """Continue if the argument is one of the values, else refuse."""
    tests = [_jump(_EQUAL, value, len(values) - index, 0) for index, value in enumerate(values)]
    return [_load(_ARGUMENTS + 8 * argument), *tests, _REFUSE]


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
