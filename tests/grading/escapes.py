"""What answers try from within their walls, and a server that lets them."""

import json
import platform
import subprocess
import sys

import pytest

from lib import DATA, ROOT
from lib.grading import walls

# A server such as the grader's: it forks, and the child encloses itself before it runs what it was given.
SERVER = """
import json, os, signal, sys, tempfile
from pathlib import Path
import numpy, torch
from lib.grading import walls
from lib.grading.walls import landlock

scratch, secret, *readable = map(Path, sys.argv[1:])

def run(code, limits, has, folder):
    signal.alarm(60)
    if has is not None:
        walls.probe = lambda: walls.Kernel(*has)
        landlock.version = lambda: has[0]
    status = open("/proc/self/status") if sys.platform == "linux" else None  # is read later
    walls.enclose(folder, walls.Limits(**limits), readable)
    names = {"numpy": numpy, "torch": torch, "os": os, "secret": str(secret), "status": status}
    try:
        exec(code, names)
        return {"value": names.get("result")}
    except BaseException as error:
        return {"error": type(error).__name__, "number": getattr(error, "errno", None), "message": str(error)}

walls.probe()
for name, code, limits, has in json.load(sys.stdin):
    folder = Path(tempfile.mkdtemp(dir=scratch))
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(sink, json.dumps(run(code, limits, has, folder)).encode())
        finally:
            os._exit(0)
    os.close(sink)
    with os.fdopen(source) as pipe:
        said = pipe.read()
    leads = os.getsid(child) == child
    status = os.waitpid(child, 0)[1]
    ended = {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else json.loads(said or "{}")
    print(json.dumps([name, ended | {"left": sorted(os.listdir(folder)), "leads": leads}]), flush=True)
"""

HAS = walls.probe()
KERNELS = {
    "bubblewrap": None,
    "plain": None,
    "no namespaces": [HAS.landlock, HAS.seccomp, False],
    "hook": [0, False, False],
}

A_FILE = str(DATA / "style/pirate.jsonl")
X86 = platform.machine() == "x86_64"
LIBC = "import ctypes; libc = ctypes.CDLL(None, use_errno=True)"
RAISE = "if number == -1: raise OSError(ctypes.get_errno(), 'refused')"

# Name -> code; each must raise an OSError of "not permitted", in every mode.
FORBIDDEN = {
    "forks": "os.fork()",
    "starts a program": "import subprocess; subprocess.run(['/bin/true'])",
    "becomes a program": "os.execv('/bin/true', ['true'])",
    "signals its parent": "os.kill(os.getppid(), 9)",
    "asks whether its parent takes signals": "os.kill(os.getppid(), 0)",
    "signals its group": "os.killpg(0, 0)",
    "opens a socket": "import socket; socket.socket()",
    "opens a local socket": "import socket; socket.socket(socket.AF_UNIX)",
    "reads a secret": "open(secret).read()",
    "reads a secret beside its folder": "open('../secret').read()",
    "reads a secret through a link": "os.symlink(secret, 'link'); open('link').read()",
    "reads lib": f"open({str(ROOT / 'lib/exercises/engine/checking.py')!r}).read()",
    "lists the tests": f"os.listdir({str(ROOT / 'tests')!r})",
    "lists where the folders of all are": "os.listdir('..')",
    "reads its parent's environment": "open(f'/proc/{os.getppid()}/environ', 'rb').read()",
    "opens its parent's memory": "open(f'/proc/{os.getppid()}/mem', 'r+b')",
    "reads who has an account": "open('/etc/passwd').read()",
    "writes beside its folder": "open('../mine', 'w')",
    "writes over the secret": "open(secret, 'w')",
    "removes the secret": "os.remove(secret)",
    "moves the secret": "os.rename(secret, secret + '2')",
    "changes who may read the secret": "os.chmod(secret, 0o777)",
    "changes when the secret was written": "os.utime(secret, (0, 0))",
    "shortens the secret": "os.truncate(secret, 0)",
    "opens memory that no limit counts": "open('/dev/zero', 'r+b')",
    "writes into the data": f"open({str(DATA / 'mine')!r}, 'w')",
}
# The same, where the kernel helps: Python's hook does not see these, or RLIMIT_NPROC does not bind a root.
FORBIDDEN_BY_THE_KERNEL = {
    "forks behind Python's back": f"{LIBC}; number = libc.fork()\nif number == 0: os._exit(0)\n{RAISE}",
    "limits its parent": "import resource; resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
    "slows its parent down": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "sets the priority of everybody": "os.setpriority(os.PRIO_USER, 0, 0)",
    "pins its parent": "os.sched_setaffinity(os.getppid(), {0})",
    "has its parent signalled": "import fcntl; mine = os.open('mine', os.O_CREAT);"
    " fcntl.fcntl(mine, fcntl.F_SETOWN, os.getppid())",
    "opens a pair that can send elsewhere": "import socket; socket.socketpair(type=socket.SOCK_DGRAM)",
    "holds its parent": "os.pidfd_open(os.getppid())",
    "takes memory that no limit counts": "import mmap; mmap.mmap(-1, 2**20)",
    "takes a file in memory": "os.memfd_create('mine')",
    "changes the mode of what it may read": f"os.fchmod(os.open({str(DATA)!r}, os.O_RDONLY), 0o755)",
    "becomes root of a namespace": f"{LIBC}; number = libc.unshare(0x10000000)\n{RAISE}",
    "is told of others' files": f"{LIBC}; number = libc.inotify_init1(0)\n{RAISE}",
    "watches others' files": f"{LIBC}; number = libc.inotify_add_watch(99, b'/tmp', 0xFFF)\n{RAISE}",
    "makes writers of the data wait for it": f"import fcntl; fcntl.fcntl(os.open({A_FILE!r}, os.O_RDONLY), 1024, 1)",
    "holds a lease on the data": f"import fcntl; fcntl.fcntl(os.open({A_FILE!r}, os.O_RDONLY), 1024, 0)",
    "is told when the data change": f"import fcntl; fcntl.fcntl(os.open({str(DATA)!r}, os.O_RDONLY), 1026, 2)",
    "locks the data": f"import fcntl; fcntl.flock(os.open({A_FILE!r}, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)",
    "locks a part of the data": f"import fcntl; fcntl.lockf(os.open({A_FILE!r}, os.O_RDONLY),"
    " fcntl.LOCK_SH | fcntl.LOCK_NB)",
    "will outlive its server": f"{LIBC}; number = libc.prctl(1, 0, 0, 0, 0)\n{RAISE}",
    "lets others look into it": f"{LIBC}; number = libc.prctl(4, 1, 0, 0, 0)\n{RAISE}",
    "asks about shared memory": f"{LIBC}; number = libc.shmctl(0, 14, ctypes.create_string_buffer(999))\n{RAISE}",
    "asks about semaphores": f"{LIBC}; number = libc.semctl(0, 0, 19, ctypes.create_string_buffer(999))\n{RAISE}",
    "asks about message queues": f"{LIBC}; number = libc.msgctl(0, 12, ctypes.create_string_buffer(999))\n{RAISE}",
    "writes every disk out": f"{LIBC}; number = libc.syscall({162 if X86 else 81})\n{RAISE}",
    "makes a call that no kernel has yet": f"{LIBC}; number = libc.syscall(1000, 1, 2, 3)\n{RAISE}",
    "is told of everybody's files": f"{LIBC}; number = libc.fanotify_init(0, 0)\n{RAISE}",
}
MEMORY = {
    "numpy": "result = numpy.ones(10 * 2**27).sum()",
    "torch": "result = torch.ones(10 * 2**28).sum().item()",
    "Python": "result = len(bytearray(10 * 2**30))",
    "a list": "result = len([0] * (10 * 2**27))",
}
WORKS = {
    "writes in its folder": "open('a', 'w').write('b'); os.mkdir('c'); os.rename('a', 'c/d');"
    " result = open('c/d').read()",
    "makes temporary files": "import tempfile; f = tempfile.NamedTemporaryFile('w+');"
    " f.write('b'); f.seek(0);"
    " result = f.read() if f.name.startswith(os.getcwd()) else f.name",
    "computes": "torch.set_num_threads(2); x = torch.ones(300, 300, requires_grad=True);"
    " (x @ x).sum().backward();"
    " result = 'b' if x.grad.eq(600).all() else x.grad.sum().item()",
    "has threads": "import threading; told = []; t = threading.Thread(target=told.append, args='b');"
    " t.start(); t.join();"
    " result = told[0]",
    "imports late": "import colorsys, numpy.ma; result = 'b'",
    "reads the data": f"result = open({str(DATA / 'style/pirate.jsonl')!r}).read() and 'b'",
    "uses the devices": "open('/dev/null', 'w').write('x'); os.urandom(1); result = 'b'",
    "signals itself": "import signal; signal.signal(10, lambda *a: globals().update(result='b'));"
    " os.kill(os.getpid(), 10)",
    "sets an alarm": "import signal, time; signal.signal(14, lambda *a: globals().update(result='b'));"
    " signal.setitimer(0, 0.01); time.sleep(0.1)",
}
OTHERS = {
    "tells its time": ("import resource; result = resource.getrlimit(resource.RLIMIT_CPU)", {"cpu_seconds": 7}),
    "tells who ends it": (
        f"{LIBC}; n = ctypes.c_int(); libc.prctl(2, ctypes.byref(n), 0, 0, 0); result = n.value",
        {},
    ),
    "runs a coroutine": ("import asyncio\nasync def f(): return 'b'\nresult = asyncio.run(f())", {}),
    "kills itself": ("os.kill(os.getpid(), 9)", {}),
    "runs a shell": ("result = os.system('echo hello > mine') or os.path.exists('mine')", {}),
    "writes a large file": ("open('a', 'wb').write(bytes(2**21))", {"file_bytes": 2**20}),
    "writes many files": ("for n in range(6): open(str(n), 'wb').write(bytes(2**20))", {"file_bytes": 2**20}),
    "opens many files": ("f = [open('/dev/null') for _ in range(100)]", {"open_files": 40}),
    "raises its limits": ("import resource as r; r.setrlimit(r.RLIMIT_DATA, (-1, -1))", {}),
    "takes what it may": ("result = len(bytearray(390 * 2**20))", {"memory_bytes": 400 * 2**20}),
    "takes more than it may": ("result = len(bytearray(600 * 2**20))", {"memory_bytes": 400 * 2**20}),
    "tells its environment": (
        "os.close(os.open('a', os.O_CREAT, 0o777)); result = [dict(os.environ), os.getcwd(), os.stat('a').st_mode & 0o777]",
        {},
    ),
    "tells its privileges": (
        "told = dict(line.split(':', 1) for line in status.read().splitlines());"
        " result = [int(told[f'Cap{kind}'], 16) for kind in ('Inh', 'Prm', 'Eff')] + [int(told['NoNewPrivs'])]",
        {},
    ),
}


LOOP = "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"


def rows(mode):
    """What is tried in one mode: (mode, name), code, limits, which walls the kernel is said to have."""
    tried = [(name, code, {}) for name, code in (FORBIDDEN | FORBIDDEN_BY_THE_KERNEL | WORKS).items()]
    tried += [(f"10 GB: {name}", code, {}) for name, code in MEMORY.items()]
    tried += [(name, code, limits) for name, (code, limits) in OTHERS.items()]
    return [((mode, name), code, limits, KERNELS[mode]) for name, code, limits in tried]


def rows_for_once():
    """What takes long, or is about the versions of Landlock."""
    every = [(("plain", "computes for ever"), LOOP, {"cpu_seconds": 1}, None)]
    for abi in range(1, HAS.landlock + 1):
        has = [abi, HAS.seccomp, False]
        every.append((("plain", f"writes under version {abi}"), "open('a', 'w').write('b')", {}, has))
        every.append((("plain", f"reads under version {abi}"), "open(secret)", {}, has))
    return every


def serve(tried, wrapped, folder):
    """Try those rows in turn, in `folder`: pairs of (mode, name) and how it ended."""
    scratch, secret = folder / "scratch", folder / "secret"
    scratch.mkdir()
    for place in (secret, scratch / "secret"):
        place.write_text("the seed")
    before = secret.stat()
    readable = walls.default_readable()
    argv = [sys.executable, "-c", SERVER, str(scratch), str(secret), *map(str, readable)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_WALLS", "bubblewrap" if wrapped else "plain")
        patch.setenv("PASSWORD", "of the caller")
        line = walls.command(argv, scratch, [*readable, ROOT / "lib"])
        done = subprocess.run(
            line, check=False, env=walls.environment(scratch), cwd=scratch, input=json.dumps(tried),
            capture_output=True, text=True, timeout=400,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr  # the server outlived them all
    after = secret.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_size) == (before.st_mode, before.st_mtime_ns, 8)
    assert (scratch / "secret").read_text() == "the seed"
    return [json.loads(line) for line in done.stdout.splitlines()]
