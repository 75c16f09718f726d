"""Groups of processes that compute together: torchrun starts them, or `launch` does on this machine.

They talk over gloo, which needs no GPU and, on one machine, no network but its loopback.
"""

import multiprocessing
import os
import pickle
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import distributed

from lib import checks

PATIENCE = timedelta(seconds=90)
"""How long a process waits for the others before it gives up."""


class GroupError(RuntimeError):
    """The processes of a group do not find each other, or one of them failed."""


class Place(NamedTuple):
    """Which process this is, and of how many."""

    rank: int = 0
    processes: int = 1


def place() -> Place:
    """The rank of this process and the number of processes; (0, 1) outside a group.

    >>> place()
    Place(rank=0, processes=1)
    """
    if not distributed.is_available() or not distributed.is_initialized():
        return Place()
    return Place(distributed.get_rank(), distributed.get_world_size())


@contextmanager
def torchrun_group() -> Iterator[Place]:
    """The group of processes that torchrun started, for as long as the block runs; without torchrun this process alone.

    Raises GroupError when some, but not all, of what torchrun sets is set, or when the processes do not meet.
    """
    if "RANK" not in os.environ and "WORLD_SIZE" not in os.environ:
        yield Place()
        return
    needed = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if missing := [name for name in needed if not os.environ.get(name)]:
        raise GroupError(
            f"the processes cannot find each other: {', '.join(missing)} not set; start them with torchrun"
        )
    try:
        numbers = Place(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    except ValueError as error:
        raise GroupError(f"RANK and WORLD_SIZE must be whole numbers: {error}") from error
    if not 0 <= numbers.rank < numbers.processes:
        raise GroupError(f"RANK must be below WORLD_SIZE = {numbers.processes}, got {numbers.rank}")
    with _group("env://", numbers):
        yield numbers


@contextmanager
def _group(meeting_point: str, where: Place) -> Iterator[None]:
    if os.environ.get("MASTER_ADDR", "127.0.0.1") in ("127.0.0.1", "localhost"):  # one machine: no other interface
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    try:
        distributed.init_process_group(
            "gloo", init_method=meeting_point, timeout=PATIENCE, rank=where.rank, world_size=where.processes
        )
    except (RuntimeError, ValueError) as error:
        raise GroupError(f"process {where.rank} of {where.processes} did not find the others: {error}") from error
    try:
        yield
    finally:
        distributed.destroy_process_group()


def launch(
    function: Callable[..., Any], processes: checks.Whole, *arguments: Any, timeout: checks.Number = 300
) -> list:
    """`function(*arguments)` in each of several new processes of one group; what each returned, by rank.

    Function, arguments and results must be picklable, so the function stands in a module. Each process has one thread. When
    one fails, all are ended. Raises GroupError with the traceback of the first that failed, or after `timeout` seconds.
    """
    checks.whole("processes", processes)
    checks.positive("timeout", timeout)
    spawn, work = multiprocessing.get_context("spawn"), pickle.dumps((function, arguments))  # copies, no shared memory
    with tempfile.TemporaryDirectory(prefix="course-group-") as folder:
        workers, ends = [], []
        try:
            for rank in range(processes):
                ours, theirs = spawn.Pipe(duplex=False)
                given = (Path(folder), Place(rank, processes), theirs, work)
                workers.append(spawn.Process(target=_work, args=given, daemon=True))
                workers[-1].start()
                theirs.close()  # so that we notice when the process ends
                ends.append(ours)
            results = _collect(ends, timeout)
            for worker in workers:
                worker.join(10)  # they end by themselves
            return results
        finally:
            for worker in workers:
                if worker.pid is not None:
                    worker.kill()
                    worker.join()


def _work(folder: Path, where: Place, end: Connection, work: bytes) -> None:
    torch.set_num_threads(1)
    try:
        function, arguments = pickle.loads(work)
        with _group((folder / "meet").as_uri(), where):
            end.send_bytes(pickle.dumps((function(*arguments), None)))
            distributed.barrier()  # nobody leaves while another still needs it
    except BaseException:
        end.send_bytes(pickle.dumps((None, traceback.format_exc())))
    sys.stdout.flush()
    os._exit(0)  # Python's own end may meet threads of gloo that still run, and then complains on stderr


def _collect(ends: list, timeout: float | int) -> list:
    """The results by rank, as they come; an error as soon as there is one."""
    last, found = time.monotonic() + timeout, {}
    while len(found) < len(ends):
        ready = wait([end for rank, end in enumerate(ends) if rank not in found], max(0, last - time.monotonic()))
        if not ready:
            raise GroupError(f"the processes did not finish within {timeout:g} s")
        for end in ready:
            rank = ends.index(end)
            try:
                found[rank], error = pickle.loads(end.recv_bytes())
            except EOFError:
                error = "it ended without a result"
            if error is not None:
                raise GroupError(f"process {rank} of {len(ends)} failed:\n{error}")
    return [found[rank] for rank in range(len(ends))]
