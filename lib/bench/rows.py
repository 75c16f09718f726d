"""One line of `course bench`: what was measured, ours, theirs, and what the ratio should be; and how to measure it.

Time is taken in turns within one process. A peak of memory is a property of a process and never goes down, so each is
measured in a process of its own: the peak less what was resident when the inputs stood ready, as Linux counts it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from lib.errors import CourseError

if TYPE_CHECKING:  # the command line reads this module, and should not wait for PyTorch
    from torch import Tensor, nn


@dataclass(frozen=True)
class BenchRow:
    """A measurement of ours beside a named peer's, in the same unit and from the same run.

    >>> BenchRow("time", ours=1.0, theirs=2.0, ratio=0.5, target=1.0, unit="s", threads=1).met
    True
    """

    name: str  # what was measured, and against whom
    ours: float  # in `unit`
    theirs: float  # in `unit`
    ratio: float  # the number that is held against the target
    target: float  # the ratio to reach
    unit: str  # of `ours` and `theirs`
    threads: int  # that PyTorch used
    higher_is_better: bool = False  # a speed-up is to be high, a share of time or memory low

    @property
    def met(self) -> bool:
        """Whether the ratio reaches its target."""
        return self.ratio >= self.target if self.higher_is_better else self.ratio <= self.target


def speed_row(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], *, target: float, threads: int, repeats: int
) -> BenchRow:
    """How many times as fast `ours` is as `theirs`: medians of `repeats` runs in turns, in milliseconds.

    The two alternate, so that a busy moment slows both; a first run of each, which pays for what is loaded late, is
    not counted. Raises ValueError for fewer than one repeat.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    times: dict[Callable, list[float]] = {ours: [], theirs: []}
    for call in times:
        call()
    for _ in range(repeats):
        for call, taken in times.items():
            start = perf_counter()
            call()
            taken.append((perf_counter() - start) * 1e3)
    our_time, their_time = (median(taken) for taken in times.values())
    return BenchRow(name, our_time, their_time, their_time / our_time, target, "ms", threads, higher_is_better=True)


def memory_row(
    name: str, module: str, ours: str, theirs: str, *, target: float, threads: int, repeats: int = 3
) -> BenchRow:
    """What share of the memory of `theirs` is the peak of `ours`: medians of `repeats` processes in turns, in MB.

    `python -m module ours threads` has to print it (see `in_a_process` and `peak_of`).
    Raises ValueError for fewer than one repeat, CourseError when a process fails.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    peaks: dict[str, list[float]] = {ours: [], theirs: []}
    for _ in range(repeats):
        for variant, taken in peaks.items():
            taken.append(in_a_process(module, variant, threads))
    our_peak, their_peak = (median(taken) for taken in peaks.values())
    return BenchRow(f"{name}: peak memory", our_peak, their_peak, our_peak / their_peak, target, "MB", threads)


def in_a_process(module: str, variant: str, threads: int) -> Any:
    """Run `python -m module variant threads` and return the JSON of its last line. Raises CourseError when it fails."""
    run = subprocess.run(
        [sys.executable, "-m", module, variant, str(threads)],
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise CourseError(f"the benchmark of {variant!r} failed (exit {run.returncode}):\n{run.stderr.strip()}")
    return json.loads(run.stdout.splitlines()[-1])


def peak_of(work: Callable[[], object]) -> float:
    """MB that this process has taken up for `work`, at the most, beside what it held before; 0 where it took none.

    (Linux counts in batches: its highest may lie some pages below what it has just told.)
    """
    before = resident("VmRSS")
    work()
    return max(0.0, resident("VmHWM") - before)


def resident(which: str) -> float:
    """Resident memory of this process in MB: now ("VmRSS") or at its highest ("VmHWM").

    Not ru_maxrss: a process started by a larger one inherits its peak, which would hide a small one.
    Raises CourseError anywhere but on Linux.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError as error:
        raise CourseError("the memory benchmark reads /proc/self/status, which only Linux has") from error
    line = next(line for line in status.splitlines() if line.startswith(which + ":"))
    return int(line.split()[1]) * 1024 / 1e6  # the file counts in KiB


def training_step(model: "nn.Module", loss_of: Callable[[], "Tensor"]) -> Callable[[], None]:
    """Forward, backward and an update by AdamW of what `model` trains: the same for ours and theirs."""
    import torch

    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def step() -> None:
        loss_of().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step
