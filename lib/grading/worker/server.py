"""The process in which answers run: it forks one child for each exercise, and never sees what is secret.

    python -m lib.grading.worker.server SCRATCH READABLE…

Requests come on standard input and messages go to standard output (see `protocol`); each is followed, after
one byte that says whose it is, by what the child said, and in the end by the server's own word on how it
ended. No line of a student runs in this process: it imports what answers use, once, and waits.
"""

import importlib
import mmap
import os
import pkgutil
import select
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from lib import OPEN_ROOMS

CHILDS, SERVERS = b"c", b"s"  # whose message follows


class _ParentGone(Exception):
    """The grader has ended, or closed our input."""


def import_rooms() -> None:
    """Import every module of lib that an answer may use: their files cannot be read later.

    And what the first optimizer would import: each child that makes one would wait for it.
    """
    for room in OPEN_ROOMS:
        package = importlib.import_module(f"lib.{room}")
        for module in pkgutil.walk_packages(package.__path__, f"lib.{room}."):
            importlib.import_module(module.name)
    importlib.import_module("torch._dynamo")


def serve(scratch: Path, readable: list[Path]) -> None:
    """Answer requests until standard input ends."""
    from lib.grading import walls
    from lib.grading.worker import protocol

    import_rooms()
    requests, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    protocol.send(replies, protocol.encode({"ready": walls.describe()}, protocol.MAX_TREE))
    while True:
        select.select([requests], [], [])
        folder = Path(tempfile.mkdtemp(dir=scratch))
        try:
            if not _run(folder, readable, requests, replies):
                return
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, readable: list[Path], requests: int, replies: int) -> bool:
    """One child for one request: forward what it says, and how it ended; False where there is no request.

    The child itself reads the request: what one student wrote must not lie in the memory that the child of
    the next one inherits.
    """
    from lib.grading.worker import protocol

    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _answer(folder, readable, requests, sink)
        finally:
            os._exit(1)
    os.close(sink)
    ended = None
    try:
        begun = protocol.receive(source, protocol.MAX_TREE)  # of our own code: no line of a student has run
        if begun:
            ended = _forward(source, requests, replies, **protocol.decode(begun))
    finally:
        os.close(source)
        status = _end(child)
    if ended is None:
        ended = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
    if begun:
        protocol.send(replies, SERVERS + protocol.encode({"ended": ended}, protocol.MAX_TREE))
    return bool(begun)


def _answer(folder: Path, readable: list[Path], requests: int, sink: int) -> None:
    """In the child: read the request, tell the server its limits, and carry it out."""
    from lib.grading.worker import protocol
    from lib.grading.worker.answering import answer

    message = protocol.receive(requests, protocol.MAX_REQUEST)
    if message is None:
        return
    request = protocol.decode(message, inputs=True)
    limits = request["limits"]
    begun = {"size": limits["output_bytes"], "seconds": limits["wall_seconds"], "step_seconds": request["step_seconds"]}
    protocol.send(sink, protocol.encode(begun, protocol.MAX_TREE))
    os.closerange(3, sink)  # an open file is beyond every wall
    os.closerange(sink + 1, os.sysconf("SC_OPEN_MAX"))
    answer(request, folder, readable, sink)


def _forward(
    source: int, requests: int, replies: int, *, size: int, seconds: float, step_seconds: float
) -> str | None:
    """Pass the child's messages on; why it has to end, or None where it closed its pipe by itself.

    They are held in memory of their own, `size` bytes of it, that is given back before the next child.
    """
    from lib.grading.worker import protocol

    last = time.monotonic() + seconds
    room = memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))

    def wait(pipe: int) -> None:
        rest = min(last, step) - time.monotonic()
        ready = select.select([pipe, requests], [], [], rest)[0] if rest > 0 else []
        if requests in ready:
            raise _ParentGone
        if not ready:
            raise TimeoutError

    while True:
        step = time.monotonic() + step_seconds
        try:
            got = protocol.receive_into(source, room, wait)
        except TimeoutError:
            return "time up"
        except protocol.BadMessage as error:
            return str(error)
        if not got:
            return None
        os.write(replies, CHILDS)
        protocol.send(replies, room[:got])
        room = room[got:]


def _end(child: int) -> int:
    """Kill what is left of a child and of its session, and return how it ended."""
    deadline = time.monotonic() + 0.2  # one that closed its pipe is about to end by itself, and says how
    while not (found := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            found = os.waitpid(child, 0)
            break
        time.sleep(0.001)
    try:
        os.killpg(child, signal.SIGKILL)  # where a child could start others, they are of its session
    except (ProcessLookupError, PermissionError):
        pass
    return found[1]


if __name__ == "__main__":
    try:
        serve(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
    except (_ParentGone, BrokenPipeError):
        pass
