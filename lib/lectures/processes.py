"""An executor with fresh, single-threaded processes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess


class _Worker(SpawnProcess):
    """A process that Ctrl-C does not reach: its parent ends it. Interrupted, it would print a traceback."""

    def start(self) -> None:
        """Start with SIGINT blocked, which a new process inherits; for this one the signal only waits a moment."""
        resource_tracker.ensure_running()  # it unblocks SIGINT when it starts
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Context(SpawnContext):
    Process = _Worker


@contextmanager
def processes(jobs: int) -> Iterator[Executor]:
    """An executor with `jobs` fresh, single-threaded processes. None outlives this process, however it ends."""
    os.environ["OMP_NUM_THREADS"] = "1"  # more threads than cores slow each other down
    executor = ProcessPoolExecutor(jobs, _Context(), initializer=_follow_parent)
    try:
        yield executor
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    """End this worker when its parent ends, since a parent that was killed cannot stop its workers."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only a worker calls this"
    threading.Thread(target=lambda sentinel=parent.sentinel: wait([sentinel]) and os._exit(1), daemon=True).start()
