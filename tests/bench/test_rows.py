import itertools
import os
import sys
from pathlib import Path

import pytest
import torch

from lib.bench import rows as bench_rows
from lib.bench.rows import in_a_process, memory_row, peak_of, resident, speed_row, training_step
from lib.errors import CourseError


def test_takes_turns_warms_up_and_keeps_the_medians(monkeypatch):
    clock = itertools.chain.from_iterable(
        (start, start + took) for start, took in zip(range(99), [1.0, 4.0, 3.0, 8.0, 2.0, 90.0])
    )
    monkeypatch.setattr(bench_rows, "perf_counter", lambda: next(clock))
    order = []
    row = speed_row("n", lambda: order.append("a"), lambda: order.append("b"), target=3.0, threads=2, repeats=3)
    assert order == ["a", "b"] * 4
    assert (row.ours, row.theirs, row.ratio, row.unit) == (2000, 8000, 4, "ms")
    assert row.met and row.threads == 2


def test_peaks_are_medians_of_processes_in_turns(monkeypatch):
    asked, peaks = [], iter([1.0, 40.0, 9.0, 20.0, 2.0, 10.0])

    def run(module, variant, threads):
        asked.append((module, variant, threads))
        return next(peaks)

    monkeypatch.setattr(bench_rows, "in_a_process", run)
    row = memory_row("n", "m", "a", "b", target=0.1, threads=2)
    assert asked == [("m", "a", 2), ("m", "b", 2)] * 3
    assert (row.name, row.ours, row.theirs, row.ratio, row.unit) == ("n: peak memory", 2, 20, 0.1, "MB")
    assert row.met and row.threads == 2


def test_a_variant_that_fails_is_named():
    with pytest.raises(CourseError, match="the benchmark of 'triangular forward' failed"):
        in_a_process("lib.bench.kernels", "triangular forward", 1)


def test_the_peak_is_never_below_what_is_resident_now():
    assert 0 < resident("VmRSS") <= resident("VmHWM")
    assert peak_of(lambda: torch.ones(50_000_000)) >= 190  # 200 MB of ones


def test_a_training_step_moves_what_is_trained_and_clears_the_gradients():
    model = torch.nn.Linear(2, 1)
    model.bias.requires_grad_(False)
    before = model.weight.clone(), model.bias.clone()
    training_step(model, lambda: model(torch.ones(1, 2)).sum())()
    assert torch.allclose(before[0] - model.weight, torch.full((1, 2), 1e-4), atol=1e-5)  # Adam's first step is lr
    assert torch.equal(before[1], model.bias) and model.weight.grad is None


def test_bad_input():
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        speed_row("n", list, dict, target=1.0, threads=1, repeats=0)
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        memory_row("n", "m", "a", "b", target=1.0, threads=1, repeats=0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_resident_memory_is_counted_as_the_kernel_counts_it_in_pages():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert resident("VmRSS") == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, rel=0.01)


def test_what_is_left_of_a_process_is_its_last_line_and_its_threads_are_told(monkeypatch):
    seen = {}

    def run(command, env, **_):
        seen.update(command=command, env=env)
        return type("Run", (), {"returncode": 0, "stdout": "1\n[2]\n", "stderr": ""})

    monkeypatch.setattr(bench_rows.subprocess, "run", run)
    assert in_a_process("a.module", "ours", 3) == [2]
    assert seen["command"][1:] == ["-m", "a.module", "ours", "3"] and seen["env"]["OMP_NUM_THREADS"] == "3"
    assert set(os.environ) <= set(seen["env"])


def test_a_peak_is_what_came_on_top_and_never_below_nothing(monkeypatch):
    numbers = {"VmRSS": iter([100.0, 200.0]), "VmHWM": iter([130.0, 150.0])}
    monkeypatch.setattr(bench_rows, "resident", lambda which: next(numbers[which]))
    assert peak_of(lambda: None) == 30 and peak_of(lambda: None) == 0
