"""The rows of `course bench`: a measurement, ours and theirs, with a target for the ratio; and how to measure them.

Times are measured alternately within one process. Peak memory is a property of a process and never decreases, so each
peak is measured in its own process: the peak minus the resident memory when the inputs are ready, as counted by Linux.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from lib.errors import CourseError

if TYPE_CHECKING:  # the command line imports this module and should not load PyTorch
    from torch import Tensor, nn


TIMES = ("s", "ms")


@dataclass(frozen=True)
class BenchRow:
    """A measurement of ours and of a named peer, in the same unit and from the same run.

    Every ratio has one direction by its unit: a time becomes *times as fast*, theirs / ours, which is better above 1;
    all else a *share* of theirs, ours / theirs, better below 1. A peer that is not there is NaN, and so is the ratio.

    >>> BenchRow("a step", ours=1.0, theirs=2.0, target=1.5, unit="s", threads=1).ratio
    2.0
    >>> BenchRow("a step: peak memory", ours=1.0, theirs=2.0, target=0.6, unit="MB", threads=1).met
    True
    """

    name: str  # what was measured, and against which peer
    ours: float  # in `unit`
    theirs: float  # in `unit`
    target: float  # the ratio to reach
    unit: str  # of `ours` and `theirs`: s, ms, MB, perplexity
    threads: int  # that PyTorch used

    @property
    def is_time(self) -> bool:
        """Whether the ratio says how many times as fast ours is, and is to be large."""
        return self.unit in TIMES

    @property
    def ratio(self) -> float:
        """Times as fast as theirs, or the share of theirs."""
        return self.theirs / self.ours if self.is_time else self.ours / self.theirs

    @property
    def met(self) -> bool:
        """Whether the ratio reaches its target; False if there was no peer."""
        return self.ratio >= self.target if self.is_time else self.ratio <= self.target


def interleaved(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median time of each call in milliseconds, by name: one run of each in turn, `repeats` times.

    The runs alternate, so that other load on the machine affects all. A first run of each, which includes lazy
    loading, is not counted. Raises ValueError for fewer than one repeat.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            start = perf_counter()
            call()
            times[name].append((perf_counter() - start) * 1e3)
    return {name: median(taken) for name, taken in times.items()}


def speed_row(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], *, target: float, threads: int, repeats: int
) -> BenchRow:
    """How many times as fast `ours` is as `theirs`, from medians of `repeats` runs that alternate, in milliseconds.

    Raises ValueError for fewer than one repeat.
    """
    times = interleaved({"ours": ours, "theirs": theirs}, repeats)
    return BenchRow(name, times["ours"], times["theirs"], target, "ms", threads)


def memory_row(
    name: str, module: str, ours: str, theirs: str, *, target: float, threads: int, repeats: int = 3
) -> BenchRow:
    """The peak memory of `ours` relative to `theirs`: medians of `repeats` alternating processes, in MB.

    `python -m module ours threads` must print it (see `in_a_process` and `peak_of`).
    Raises ValueError for fewer than one repeat, CourseError when a process fails.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    peaks: dict[str, list[float]] = {ours: [], theirs: []}
    for _ in range(repeats):
        for variant, taken in peaks.items():
            taken.append(in_a_process(module, variant, threads))
    our_peak, their_peak = (median(taken) for taken in peaks.values())
    return BenchRow(f"{name}: peak memory", our_peak, their_peak, target, "MB", threads)


def in_a_process(module: str, variant: str, threads: int) -> Any:
    """Run `python -m module variant threads` and return the JSON of its last line. Raises CourseError if it fails."""
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
    """Peak memory in MB that this process needed for `work`, in addition to what it had before; at least 0.

    (Linux counts in batches: the reported peak may be some pages below the current value.)
    """
    before = resident("VmRSS")
    work()
    return max(0.0, resident("VmHWM") - before)


def resident(which: str) -> float:
    """Resident memory of this process in MB: at present ("VmRSS") or its peak ("VmHWM").

    Not ru_maxrss: a process inherits the peak of a larger parent, which would hide its own.
    Raises CourseError on other systems than Linux.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError as error:
        raise CourseError("the memory benchmark reads /proc/self/status, which exists only on Linux") from error
    line = next(line for line in status.splitlines() if line.startswith(which + ":"))
    return int(line.split()[1]) * 1024 / 1e6  # the file counts in KiB


def training_step(model: "nn.Module", loss_of: Callable[[], "Tensor"]) -> Callable[[], None]:
    """Forward pass, backward pass and an AdamW update of the trainable parameters, the same for ours and theirs."""
    import torch

    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def step() -> None:
        loss_of().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step
