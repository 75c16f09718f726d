"""Stop an answer that loops.

In the main thread an interval timer interrupts it, even inside `try: … except Exception`. Elsewhere (a server's
thread, a system without SIGALRM) the answer runs in its own thread, which is asked to stop and, if it does not,
is abandoned. Neither way can interrupt a single long call into C, and neither protects against malicious code: only a
separate process does.

While a module is imported for the first time the clock stands still: `torch.func` takes seconds, and an import that is
interrupted leaves a broken module.
"""

import ctypes
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

_AGAIN = 0.05  # seconds between alarms; long enough that one never interrupts another
_IMPORTS = 60  # seconds that imports may take in all


class TimeUp(BaseException):
    """The answer exceeded its time limit. Not an Exception, so that `except Exception` does not catch it."""


def call_limited(function: Callable[[], Any], seconds: float | int) -> Any:
    """Return `function()`, or raise TimeUp after `seconds` of elapsed time.

    >>> call_limited(lambda: 6 * 7, seconds=1)
    42
    """
    if not seconds > 0:
        raise ValueError(f"seconds must be positive, got {seconds}")
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and hasattr(signal, "setitimer"):
        return _Alarm(seconds).call(function)
    return _in_thread(function, seconds)


class _Alarm:
    def __init__(self, seconds: float | int) -> None:
        self.seconds = seconds
        self.fired = False
        self.over = False
        self.importing = False
        self.latest = time.monotonic() + seconds + _IMPORTS

    def call(self, function: Callable[[], Any]) -> Any:
        before = signal.signal(signal.SIGALRM, self.on_alarm)
        rest, interval = signal.setitimer(signal.ITIMER_REAL, self.seconds, _AGAIN)
        try:
            result = self._answer(function)
        except BaseException as error:
            if self.fired and not isinstance(error, KeyboardInterrupt):
                raise TimeUp from None  # an alarm during a clean-up can appear as another error
            raise
        finally:
            self.over = True  # a pending alarm must not interrupt what follows
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            if rest:  # another alarm was set before (pytest-timeout): restore its remaining time
                signal.setitimer(signal.ITIMER_REAL, rest, interval)
        if self.fired:
            raise TimeUp
        return result

    def _answer(self, function: Callable[[], Any]) -> Any:
        return function()

    def on_alarm(self, signum: int, frame: FrameType | None) -> None:
        """Raise inside the answer, and again a moment later.

        A bare `except:` around the body of a loop catches the first TimeUp; a later one, at a random moment,
        hits the few instructions outside the `try`. It raises only in frames below `_answer`. `call` itself is not
        interrupted, as it must restore the previous alarm. After an import the answer has its whole time again.
        """
        if self.over or (not self.fired and self._waits_for_import(frame)):
            return
        self.fired = True
        while frame is not None and (frame.f_code.co_filename, frame.f_code.co_name) != (__file__, "_answer"):
            frame = frame.f_back
        if frame is not None:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 1e-4), _AGAIN)
            raise TimeUp

    def _waits_for_import(self, frame: FrameType | None) -> bool:
        was, self.importing = self.importing, time.monotonic() < self.latest and _imports(frame)
        if was and not self.importing and time.monotonic() < self.latest:
            signal.setitimer(signal.ITIMER_REAL, self.seconds, _AGAIN)
            return True
        return self.importing


def _imports(frame: FrameType | None) -> bool:
    """Whether an answer imports something: an import is going on in `frame` or its callers up to `_answer`."""
    while frame is not None and (frame.f_code.co_filename, frame.f_code.co_name) != (__file__, "_answer"):
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _in_thread(function: Callable[[], Any], seconds: float | int) -> Any:
    box: dict[str, Any] = {}

    def work() -> None:
        try:
            box["result"] = function()
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=work, name="answer", daemon=True)
    thread.start()
    latest = time.monotonic() + seconds + _IMPORTS
    thread.join(seconds)
    while _imports(sys._current_frames().get(thread.ident or 0)) and time.monotonic() < latest:
        thread.join(seconds)
    if thread.is_alive():
        _ask_to_stop(thread)
        raise TimeUp
    if "error" in box:
        raise box["error"]
    return box["result"]


def _ask_to_stop(thread: threading.Thread, tries: int = 50) -> None:
    for _ in range(tries):
        number = ctypes.c_ulong(thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(TimeUp))
        thread.join(0.01)
        if not thread.is_alive():
            return
