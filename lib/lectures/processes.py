"""An executor with fresh, single-threaded processes."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait


@contextmanager
def processes(jobs: int) -> Iterator[Executor]:
    """An executor with `jobs` fresh, single-threaded processes. None outlives this process, however it ends."""
    os.environ["OMP_NUM_THREADS"] = "1"  # more threads than cores slow each other down
    executor = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_follow_parent)
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
