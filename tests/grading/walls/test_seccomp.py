"""The filter of system calls, run by an interpreter of its few instructions: both architectures, on any."""

import errno
import os
import random
import re
import struct
from functools import cache

import pytest

from lib.grading.walls import seccomp

ME = 4711
REFUSED, NO_SUCH_CALL, ALLOWED, KILLED = "refused", "no such call", "allowed", "killed"
VERDICTS = {
    0x50000 | errno.EPERM: REFUSED, 0x50000 | errno.ENOSYS: NO_SUCH_CALL, 0x7FFF0000: ALLOWED,
    0x80000000: KILLED,
}  # fmt: skip
OWN_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# Some of what must be refused, written down once more: <asm/unistd_64.h> and <asm-generic/unistd.h>.
ALWAYS = {
    "x86_64": {"fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "socket": 41, "connect": 42, "sendmsg": 46,
               "ptrace": 101, "process_vm_writev": 311, "pidfd_send_signal": 424, "flock": 73, "sync": 162,
               "bpf": 321, "mount": 165, "unshare": 272, "setns": 308, "keyctl": 250, "perf_event_open": 298,
               "userfaultfd": 323, "io_uring_setup": 425, "chmod": 90, "memfd_create": 319, "shmget": 29,
               "shmctl": 31, "semctl": 66, "msgctl": 71, "setpriority": 141, "sched_setaffinity": 203,
               "inotify_init": 253, "inotify_add_watch": 254, "inotify_init1": 294, "fanotify_init": 300,
               "fanotify_mark": 301},
    "aarch64": {"execve": 221, "execveat": 281, "socket": 198, "connect": 203, "sendmsg": 211,
                "ptrace": 117, "process_vm_writev": 271, "pidfd_send_signal": 424, "flock": 32, "sync": 81,
                "bpf": 280, "mount": 40, "unshare": 97, "setns": 268, "keyctl": 219, "perf_event_open": 241,
                "userfaultfd": 282, "io_uring_setup": 425, "fchmodat": 53, "memfd_create": 279, "shmget": 194,
                "shmctl": 195, "semctl": 191, "msgctl": 187, "setpriority": 140, "sched_setaffinity": 122,
                "inotify_init1": 26, "inotify_add_watch": 27, "fanotify_init": 262, "fanotify_mark": 263},
}  # fmt: skip
# Some of what every program does.
NEVER = {
    "x86_64": {"read": 0, "write": 1, "close": 3, "munmap": 11, "futex": 202, "openat": 257, "exit": 60},
    "aarch64": {"read": 63, "write": 64, "close": 57, "munmap": 215, "futex": 98, "openat": 56, "exit": 93},
}
NUMBERS = {
    "x86_64": {"clone": 56, "clone3": 435, "kill": 62, "tgkill": 234, "prlimit64": 302, "socketpair": 53,
               "mmap": 9, "madvise": 28, "fcntl": 72, "ioctl": 16, "prctl": 157},
    "aarch64": {"clone": 220, "clone3": 435, "kill": 129, "tgkill": 131, "prlimit64": 261, "socketpair": 199,
                "mmap": 222, "madvise": 233, "fcntl": 25, "ioctl": 29, "prctl": 167},
}  # fmt: skip
A_THREAD, A_PROCESS = 0x3D0F00, 0x1200011  # the flags with which glibc calls clone for each

machines = pytest.mark.parametrize("machine", ["x86_64", "aarch64"])


@cache
def program(machine):
    return [struct.unpack("HBBI", line) for line in seccomp.program(machine, ME)]


def verdict(machine, number, *arguments, architecture=None):
    """Run the filter as the kernel would: a word register, loads, jumps forward, and a return."""
    padded = [value % 2**64 for value in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<IIQ6Q", number, architecture or OWN_ARCHITECTURE[machine], 0, *padded)
    code, at, word = program(machine), 0, None
    while True:
        what, if_true, if_false, value = code[at]
        at += 1
        if what == 0x20:
            (word,) = struct.unpack_from("<I", data, value)
        elif what == 0x06:
            return VERDICTS[value]
        else:
            at += if_true if (word == value if what == 0x15 else word & value) else if_false


@machines
def test_calls_that_reach_beyond_the_process_are_refused(machine):
    for name, number in ALWAYS[machine].items():
        assert verdict(machine, number) == REFUSED, name
    for name, number in NEVER[machine].items():
        assert verdict(machine, number) == ALLOWED, name


@machines
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (A_THREAD,), ALLOWED),
        ("clone", (A_PROCESS,), REFUSED),
        ("clone3", (), NO_SUCH_CALL),  # so that glibc takes clone
        ("socketpair", (1, 0x80001), ALLOWED),
        ("socketpair", (1, 2), REFUSED),  # datagrams, which take an address
        ("socketpair", (16, 1), REFUSED),
        ("kill", (ME, 9), ALLOWED),
        ("kill", (1, 9), REFUSED),
        ("kill", (0, 9), REFUSED),
        ("kill", (-1, 9), REFUSED),
        ("kill", (-ME, 9), REFUSED),
        ("tgkill", (ME, ME + 1, 9), ALLOWED),
        ("tgkill", (1, ME, 9), REFUSED),
        ("prlimit64", (0,), ALLOWED),
        ("prlimit64", (ME,), ALLOWED),
        ("prlimit64", (1,), REFUSED),
        ("mmap", (0, 4096, 3, 0x22), ALLOWED),  # private, anonymous
        ("mmap", (0, 4096, 3, 0x01, 5), ALLOWED),  # a shared file
        ("mmap", (0, 4096, 3, 0x21), REFUSED),  # shared, anonymous
        ("mmap", (0, 4096, 3, 0x122), REFUSED),  # growing downwards
        ("madvise", (0, 4096, 4), ALLOWED),  # memory is given back
        ("madvise", (0, 4096, 12), REFUSED),  # MADV_MERGEABLE: its pages are compared with those of others
        ("fcntl", (3, 1), ALLOWED),
        ("fcntl", (3, 6), REFUSED),  # F_SETLK: a lock on a file that others write
        ("fcntl", (3, 8, 1), REFUSED),  # F_SETOWN
        ("fcntl", (3, 10, 9), REFUSED),  # F_SETSIG
        ("fcntl", (3, 1024, 1), REFUSED),  # F_SETLEASE: others wait until it lets go
        ("fcntl", (3, 1026, 1), REFUSED),  # F_NOTIFY
        ("ioctl", (0, 0x5401), ALLOWED),  # is it a terminal?
        ("ioctl", (0, 0x5412), REFUSED),  # type a character into it
        ("prctl", (15, 0), ALLOWED),  # the name of a thread
        ("prctl", (1, 0), REFUSED),  # PR_SET_PDEATHSIG: it would outlive its server
        ("prctl", (4, 1), REFUSED),  # PR_SET_DUMPABLE
    ],
)
def test_some_calls_depend_on_their_arguments(machine, name, arguments, expected):
    assert verdict(machine, NUMBERS[machine][name], *arguments) == expected


@machines
def test_no_number_is_carried_out_but_those_of_the_list(machine):
    draw, column = random.Random(7), ["x86_64", "aarch64"].index(machine)
    listed = {row[column] for row in seccomp.ALLOWED.values()} - {None}
    for number in range(1024):
        for _ in range(5):
            arguments = [draw.choice([draw.getrandbits(64), draw.randrange(64), ME]) for _ in range(6)]
            what = verdict(machine, number, *arguments)
            if number == NUMBERS[machine]["clone3"]:
                assert what == NO_SUCH_CALL
            else:
                assert what == REFUSED or (what == ALLOWED and number in listed), (number, arguments)


@pytest.mark.parametrize("name, listed", [("fcntl", seccomp.FCNTL), ("ioctl", seccomp.IOCTL), ("prctl", seccomp.PRCTL)])
@machines
def test_no_command_is_carried_out_but_those_of_the_list(machine, name, listed):
    number, at = NUMBERS[machine][name], 0 if name == "prctl" else 1
    for command in [*range(2048), *range(0x5400, 0x5500), 2**31, 2**32 - 1, *listed]:
        arguments = [3, 3, 3]
        arguments[at] = command
        assert verdict(machine, number, *arguments) == (ALLOWED if command in listed else REFUSED), command


NEEDED = (
    "read write readv pread64 lseek openat close fstat stat lstat newfstatat getdents64 access readlink getcwd chdir mkdir "
    "rename unlink unlinkat rmdir ftruncate fcntl ioctl mmap munmap mprotect mremap madvise brk clone futex set_robust_list "
    "rseq gettid exit exit_group sched_yield sched_getaffinity rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack "
    "restart_syscall kill tgkill setitimer clock_gettime clock_nanosleep nanosleep getrandom getpid getppid prctl prlimit64 "
    "sysinfo uname socketpair getsockname sendto recvfrom epoll_create1 epoll_ctl epoll_wait"
)


def test_what_python_torch_and_asyncio_need_is_carried_out():
    """Without one of these some answer on some machine would be refused what every program does."""
    assert set(seccomp.ALLOWED) == set(NEEDED.split())
    assert (set(seccomp.FCNTL), set(seccomp.PRCTL)) == ({1, 2, 3, 1030}, {2, 15, 16, 39})
    assert set(seccomp.IOCTL) == {0x5401, 0x802C542A, 0x5413, 0x5421, 0x5451}
    assert set(seccomp.MADVISE) == {0, 1, 2, 3, 4, 8, 14, 15, 16}


@pytest.mark.parametrize("header, column", [
    ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0), ("/usr/include/asm-generic/unistd.h", 1),
])  # fmt: skip
def test_numbers_are_the_kernels(header, column):
    if not os.path.exists(header):
        pytest.skip(f"{header} is not installed")
    with open(header) as file:
        theirs = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", file.read()))
    for name, row in seccomp.ALLOWED.items():
        if row[column] is not None and name in theirs:
            assert int(theirs[name]) == row[column], name


def test_the_lists_are_short_and_each_entry_has_its_reason():
    assert len(seccomp.ALLOWED) <= 64 and all(len(reason) > 4 for *_, reason in seccomp.ALLOWED.values())
    for column in (0, 1):
        numbers = [row[column] for row in seccomp.ALLOWED.values() if row[column] is not None]
        assert len(set(numbers)) == len(numbers)
    for commands in (seccomp.FCNTL, seccomp.IOCTL, seccomp.PRCTL, seccomp.MADVISE):
        assert len(commands) < 10 and all(commands.values())


@machines
def test_another_family_of_calls_is_no_way_around(machine):
    assert verdict(machine, 1, architecture=0x40000003) == KILLED  # the 32-bit one, with other numbers
    if machine == "x86_64":
        assert verdict(machine, 0x40000000 | 59) == REFUSED  # x32


@machines
def test_the_filter_is_short_enough_for_the_kernel(machine):
    assert len(seccomp.program(machine, ME)) < 4096
    assert {len(instruction) for instruction in seccomp.program(machine, ME)} == {8}


def test_an_architecture_whose_numbers_are_unknown_has_no_filter(monkeypatch):
    monkeypatch.setattr(seccomp.platform, "machine", lambda: "riscv64")
    assert seccomp.available() is False
    with pytest.raises(KeyError):
        seccomp.program("riscv64", os.getpid())
