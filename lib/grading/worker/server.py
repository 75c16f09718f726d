"""The process in which answers run: it forks one child for each exercise, and has no access to secrets.

    python -m lib.grading.worker.server SCRATCH READABLE…

Requests come on standard input, each followed by its cases, and replies go to standard output (see `protocol`). A
reply consists of the child's messages and, at the end, the server's message on how the child ended; one byte before
each message says whose it is. The child gets one case at a time: the next when its message on the last has arrived.
No code of a student runs in this process: it imports once what answers use, and waits.
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
from collections.abc import Iterator
from pathlib import Path

from lib import OPEN_ROOMS

FROM_CHILD, FROM_SERVER = b"c", b"s"  # whose message follows


class _ParentGone(Exception):
    """The grader has ended, or closed our input."""


def import_rooms() -> None:
    """Import every module of lib that an answer may use, as their files cannot be read later.

    Also import what the first optimizer needs, so that not every child with an optimizer waits for it.
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
    """Fork a child for one request, forward its messages and how it ended; return False if there is no request.

    The child itself reads the request, so that a student's code is never in the memory that the next student's child
    inherits. The server reads the cases, after the child was forked, so that it does not inherit them.
    """
    from lib.grading.worker import protocol

    source, sink = os.pipe()
    cases, give = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _answer(folder, readable, requests, sink, cases)
        finally:
            os._exit(1)
    os.close(sink)
    os.close(cases)
    os.set_blocking(give, False)
    ended = None
    try:
        begun = protocol.receive(source, protocol.MAX_TREE)  # from our own code: no code of a student has run yet
        if begun:
            ended = _forward(source, give, requests, replies, **protocol.decode(begun))
    finally:
        os.close(source)
        os.close(give)
        status = _end(child)
    if ended is None:
        ended = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
    if begun:
        protocol.send(replies, FROM_SERVER + protocol.encode({"ended": ended}, protocol.MAX_TREE))
    return bool(begun)


def _answer(folder: Path, readable: list[Path], requests: int, sink: int, cases: int) -> None:
    """In the child: read the request, report its limits to the server, and carry it out."""
    from lib.grading.worker import protocol
    from lib.grading.worker.answering import answer

    message = protocol.receive(requests, protocol.MAX_REQUEST)
    if message is None:
        return
    request = protocol.decode(message, inputs=True)
    limits = request["limits"]
    begun = {
        "size": limits["output_bytes"],
        "seconds": limits["elapsed_seconds"],
        "step_seconds": request["step_seconds"],
        "sizes": request["sizes"],
    }
    protocol.send(sink, protocol.encode(begun, protocol.MAX_TREE))
    kept = sorted((sink, cases))
    for first, last in zip((3, *(number + 1 for number in kept)), (*kept, os.sysconf("SC_OPEN_MAX"))):
        os.closerange(first, last)  # no wall blocks a file that is already open
    answer(request, folder, readable, sink, cases)


def _forward(
    source: int,
    give: int,
    requests: int,
    replies: int,
    *,
    size: int,
    seconds: float,
    step_seconds: float,
    sizes: list[int],
) -> str | None:
    """Forward the child's messages, give it a case whenever one asks for it, and return why it must end, or None if it
    closed its pipe itself.

    The messages are kept in a separate mapping of `size` bytes, which is released before the next child; the cases,
    which have these `sizes`, likewise.
    """
    from lib.grading.worker import protocol

    last = time.monotonic() + seconds
    room, cases = _mapping(size), _read_cases(requests, sizes)

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
        os.write(replies, FROM_CHILD)
        protocol.send(replies, room[:got])
        try:
            if protocol.asks(room[:got]):
                _give(next(cases, None), give, requests, min(last, time.monotonic() + step_seconds))
        except TimeoutError:
            return "time up"
        room = room[got:]


def _mapping(size: int) -> memoryview:
    return memoryview(mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def _read_cases(requests: int, sizes: list[int]) -> Iterator[memoryview]:
    """The cases of a request, each a message of these sizes: all are read now, from the grader."""
    from lib.grading.worker import protocol

    room, cases = _mapping(sum(sizes)), []
    for size in sizes:
        if not protocol.receive_into(requests, room[:size]):
            raise _ParentGone
        cases.append(room[:size])
        room = room[size:]
    return iter(cases)


def _give(case: memoryview | None, give: int, requests: int, deadline: float) -> None:
    """Write a case to the child, which may have ended; raise TimeoutError if it does not read it."""
    while case:
        rest = deadline - time.monotonic()
        gone, ready, _ = select.select([requests], [give], [], max(rest, 0))
        if gone:
            raise _ParentGone
        if not ready:
            raise TimeoutError
        try:
            case = case[os.write(give, case) :]
        except BrokenPipeError:
            return


def _end(child: int) -> int:
    """Kill what is left of a child and its session, and return its exit status."""
    deadline = time.monotonic() + 0.2  # a child that closed its pipe is about to end by itself with its status
    while not (found := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            found = os.waitpid(child, 0)
            break
        time.sleep(0.001)
    try:
        os.killpg(child, signal.SIGKILL)  # processes that a child could start belong to its session
    except (ProcessLookupError, PermissionError):
        pass
    return found[1]


if __name__ == "__main__":
    try:
        serve(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
    except (_ParentGone, BrokenPipeError):
        pass
