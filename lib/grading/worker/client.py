"""The grader's side of the pipe: start the server, send requests, and restart it after a crash."""

import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lib import ROOT
from lib.errors import CourseError
from lib.grading import walls
from lib.grading.worker import protocol
from lib.grading.worker.server import FROM_CHILD

START_SECONDS = 120  # imports of torch on a busy machine
GRACE_SECONDS = 20  # beyond the limit of elapsed time, after which the server itself counts as dead
STEP_GRACE_SECONDS = 2  # beyond the limit of one call, so that the answer's own alarm comes first

DIED = "the process that ran it died"


@dataclass(frozen=True)
class Reply:
    """A child's messages, in order, and how it ended: "exit 0", "signal 9", "time up", …

    `turns` are those after which it was given the next case: the first before its first case, then one for each case.
    """

    said: tuple[dict[str, Any], ...]
    ended: str
    turns: tuple[dict[str, Any], ...] = ()

    def all(self, name: str) -> list[Any]:
        """The value of `name` in each message that has it."""
        return [message[name] for message in self.said if name in message]


class Server:
    """One server process, started when it is first needed and again after it dies."""

    def __init__(self, limits: walls.Limits = walls.Limits()) -> None:
        self.limits = limits
        self.walls: dict[str, str] = {}  # the walls of this machine, known after the start
        self._process: subprocess.Popen | None = None
        self._scratch: Path | None = None

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the process unless it is running. Raises CourseError if it cannot start."""
        if self._process and self._process.poll() is None:
            return
        self.close()
        self._scratch = Path(tempfile.mkdtemp(prefix="course-grading-")).resolve()
        readable = walls.default_readable()
        argv = [sys.executable, "-m", "lib.grading.worker.server", str(self._scratch), *map(str, readable)]
        self._process = subprocess.Popen(
            walls.command(argv, self._scratch, [*readable, ROOT / "lib"]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            cwd=self._scratch, env=walls.environment(self._scratch), start_new_session=True,
        )  # fmt: skip
        try:
            self.walls = protocol.decode(self._receive(time.monotonic() + START_SECONDS))["ready"]
        except (protocol.BadMessage, TimeoutError, EOFError):
            self._process.kill()
            last = (self._process.communicate()[1].decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            self.close()
            raise CourseError(f"the process in which answers run cannot be started: {last}") from None
        self._process.stderr.close()

    def ask(self, request: dict[str, Any], *, cases: Sequence[bytes] = ()) -> Reply:
        """Let a child carry out one request on these encoded cases. Never raises because of what an answer does."""
        self.start()
        limits = self.limits
        full = request | {
            "sizes": [len(case) for case in cases],
            "limits": asdict(limits),
            "step_seconds": request["seconds"] + STEP_GRACE_SECONDS,
        }
        said: list[dict[str, Any]] = []
        turns: list[dict[str, Any]] = []
        bad = ""  # messages after an unreadable one are ignored
        deadline = time.monotonic() + limits.elapsed_seconds + GRACE_SECONDS
        try:
            for message in (protocol.encode(full, protocol.MAX_REQUEST), *cases):
                protocol.send(self._process.stdin.fileno(), message)
            while True:
                origin = self._read(1, deadline)
                message = self._receive(deadline)
                if origin != FROM_CHILD:
                    return Reply(tuple(said), bad or protocol.decode(message)["ended"], tuple(turns))
                bad = bad or _read_into(said, message)
                turns += said[-1:] if protocol.asks(message) and not bad else []
        except (EOFError, TimeoutError, BrokenPipeError, protocol.BadMessage) as error:
            self.close()  # the rest of the pipe cannot be trusted either
            why = str(error) if isinstance(error, protocol.BadMessage) else DIED
            return Reply(tuple(said), why, tuple(turns))
        except BaseException:  # the pipe is not usable for another request either
            self.close()
            raise

    def _receive(self, deadline: float) -> bytes:
        message = protocol.receive(self._process.stdout.fileno(), protocol.MAX_REQUEST, _until(deadline))
        if message is None:
            raise EOFError
        return message

    def _read(self, size: int, deadline: float) -> bytes:
        _until(deadline)(self._process.stdout.fileno())
        got = self._process.stdout.read(size)
        if not got:
            raise EOFError
        return got

    def close(self) -> None:
        """Stop the process, if there is one, and remove its folder."""
        process, self._process = self._process, None
        if process:
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None


def _until(deadline: float) -> Any:
    def wait(pipe: int) -> None:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            raise TimeoutError

    return wait


def _read_into(said: list[dict[str, Any]], message: bytes) -> str:
    """Append a child's message to `said` and return ""; or return why it cannot be read."""
    try:
        said.append(_dict(protocol.decode(message)))
    except protocol.BadMessage as error:
        return str(error)
    return ""


def _dict(message: Any) -> dict[str, Any]:
    if type(message) is not dict or any(type(key) is not str for key in message):
        raise protocol.BadMessage("a message that is not a dict")
    return message
