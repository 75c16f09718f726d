"""Every system call by its number, thrown at the kernel with random arguments from inside the walls.

A call may end the process, stop it, or write over it, so nothing that the process itself says counts: it notes in
memory that it shares with its parent which number it tries and what came of it, and the parent goes on with the next
number in a new process. A call that is carried out, and be it exit(0), leaves no refusal there.
"""

import errno
import platform
import subprocess
import sys

import pytest

from lib import ROOT
from lib.grading import walls
from lib.grading.walls import seccomp

LAST, TRIES = 1023, 3
UNTRIED, BEGUN, CARRIED_OUT = -1, -2, 0  # what stands in the table, or the number of an error
# uretprobe and uprobe on x86-64: recent kernels let them pass without asking any filter, and end a process that makes
# them anywhere but in the code that the kernel itself has put there (SIGILL), or answer ENXIO.
PAST_EVERY_FILTER = (335, 336)

THROWER = """
import ctypes, mmap, os, random, signal, sys, tempfile, time
from pathlib import Path
from lib.grading import walls

last, tries, untried, begun, carried_out = map(int, sys.argv[2:])
room = mmap.mmap(-1, 4 * (last + 1) * tries)
table = (ctypes.c_int32 * ((last + 1) * tries)).from_buffer(room)
table[:] = [untried] * len(table)
libc = ctypes.CDLL(None, use_errno=True)
scratch = ctypes.create_string_buffer(4096)
walls.probe()

def throw(first):
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    walls.enclose(Path(tempfile.mkdtemp(dir=sys.argv[1])), walls.Limits(), [])
    for slot in range(first, len(table)):
        draw = random.Random(slot)
        kinds = (lambda: draw.getrandbits(64), lambda: draw.randrange(64), lambda: ctypes.addressof(scratch), os.getpid)
        words = [ctypes.c_ulong(draw.choice(kinds)()) for _ in range(6)]
        table[slot] = begun
        result = libc.syscall(ctypes.c_long(slot // tries), *words)
        table[slot] = ctypes.get_errno() if result == -1 else carried_out

slot = started = 0
while slot < len(table):
    started += 1
    assert started < 500, f"it always ends before number {slot // tries}"
    child = os.fork()
    if child == 0:
        try:
            throw(slot)
        finally:
            os._exit(1)
    seen, since = -1, time.monotonic()
    while not os.waitpid(child, os.WNOHANG)[0]:
        reached = next((n for n in range(slot, len(table)) if table[n] in (untried, begun)), len(table))
        if reached > seen:
            seen, since = reached, time.monotonic()
        elif time.monotonic() - since > (0.2 if table[reached % len(table)] == begun else 20):
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
    slot = next((n for n in range(slot, len(table)) if table[n] in (untried, begun)), len(table))
    slot += slot < len(table) and table[slot] == begun  # else it ended between two calls: of an alarm, say
print(*table)
"""


@pytest.mark.skipif(not walls.probe().seccomp, reason="this kernel has no seccomp, or we do not know its numbers")
def test_the_kernel_refuses_every_number_that_is_not_listed(tmp_path):
    line = [sys.executable, "-c", THROWER, str(tmp_path), *map(str, (LAST, TRIES, UNTRIED, BEGUN, CARRIED_OUT))]
    done = subprocess.run(line, check=False, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    table = list(map(int, done.stdout.split()))
    came = {number: set(table[TRIES * number :][:TRIES]) for number in range(LAST + 1)}
    column = ["x86_64", "aarch64"].index(platform.machine())
    listed = {row[column] for row in seccomp.ALLOWED.values()} - {None}
    assert came.pop(435) == {errno.ENOSYS}, "clone3: glibc then uses clone"
    for number in PAST_EVERY_FILTER if platform.machine() == "x86_64" else ():
        assert CARRIED_OUT not in came.pop(number)
    assert {n: what for n, what in came.items() if n not in listed and what != {errno.EPERM}} == {}
    assert all(UNTRIED not in what for what in came.values()), "every number was thrown"
    assert any(what & {CARRIED_OUT, BEGUN} for what in came.values()), "and some were carried out"
