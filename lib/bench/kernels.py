"""Our kernels against plain peers: time and peak memory, for `course bench`.

Every run has its own process (see `rows`), whose peak includes buffers, saved tensors and gradients. Runs of ours and
theirs alternate; a row is the median of each.
"""

import json
import sys
import time
from statistics import median

import torch

from lib.bench.rows import BenchRow, in_a_process, peak_of
from lib.kernels import attention_fused, attention_reference, attention_tiled, chunked_cross_entropy, cross_entropy

T, HEADS, HEAD_WIDTH = 8192, 8, 64  # tokens, heads, width of one: a batch of one
ROWS, WIDTH, VOCABULARY = 1024, 256, 128_000  # tokens, width of the hidden vectors, words
REPEATS = 3
ATTENTION = {"tiled": attention_tiled, "reference": attention_reference, "fused": attention_fused}
WORK = ("forward", "forward+backward", "causal forward", "causal forward+backward")


def rows(threads: int) -> list[BenchRow]:
    """Measure the whole suite with this number of threads; takes some minutes."""
    return attention_rows(threads) + loss_rows(threads)


def attention_rows(threads: int) -> list[BenchRow]:
    """Tiled attention at T = 8192 against the reference and against PyTorch's fused kernel, which is what people use.

    Against the reference: at least as fast, a tenth of the memory. The fused one is compiled for each processor, and
    ours calls PyTorch for each tile: half as fast, and no more memory than twice as much, is what it is held to.
    """
    found = []
    for work in WORK:
        peers = {f"reference {work}": (1.0, 0.1), f"fused {work}": (0.5, 2.0)}
        found += _compare(f"attention T={T} {work}, tiled", f"tiled {work}", peers, threads)
    return found


def loss_rows(threads: int) -> list[BenchRow]:
    """Chunked against plain cross-entropy at V = 128,000, forward and backward: at most a fifth of the memory.

    The time target allows for one more matrix product, 4 instead of 3.
    """
    label = f"cross-entropy N={ROWS} V={VOCABULARY}, chunked"
    return _compare(label, "chunked", {"plain": (3 / 4, 0.2)}, threads)


def _compare(label: str, ours: str, peers: dict[str, tuple[float, float]], threads: int) -> list[BenchRow]:
    """Time and peak memory of ours against each peer, whose targets are given: how fast, and which share of the memory."""
    runs: dict[str, list[dict[str, float]]] = {variant: [] for variant in (ours, *peers)}
    for _ in range(REPEATS):
        for variant, taken in runs.items():
            taken.append(in_a_process("lib.bench.kernels", variant, threads))
    result = []
    for peer, targets in peers.items():
        for column, unit, target in zip(("seconds", "megabytes"), ("s", "MB"), targets):
            a, b = (median(run[column] for run in runs[variant]) for variant in (ours, peer))
            name = f"{label} / {peer.partition(' ')[0]}" + (": peak memory" if unit == "MB" else "")
            result.append(BenchRow(name, a, b, target, unit, threads))
    return result


def _measure(variant: str, threads: int) -> dict[str, float]:
    """Run one variant once in this process, after a small run that loads shared libraries."""
    torch.set_num_threads(threads)
    _job(variant, small=True)()
    job = _job(variant, small=False)
    start = time.perf_counter()
    peak = peak_of(job)
    return {"seconds": time.perf_counter() - start, "megabytes": peak}


def _job(variant: str, small: bool):
    """Create the inputs and return the function to measure."""
    generator = torch.Generator().manual_seed(0)
    if variant in ("chunked", "plain"):
        n, V = (8, 100) if small else (ROWS, VOCABULARY)
        hidden = torch.randn(n, WIDTH, generator=generator, requires_grad=True)
        weight = torch.randn(V, WIDTH, generator=generator).mul_(WIDTH**-0.5).requires_grad_()
        targets = torch.randint(V, (n,), generator=generator)
        if variant == "chunked":
            return lambda: chunked_cross_entropy(hidden, weight, targets).backward()
        return lambda: cross_entropy(hidden @ weight.T, targets).backward()
    name, _, work = variant.partition(" ")
    shape = 1, HEADS, 16 if small else T, HEAD_WIDTH
    backward = work.endswith("backward")
    q, k, v = (torch.randn(*shape, generator=generator, requires_grad=backward) for _ in range(3))

    def attend():
        out = ATTENTION[name](q, k, v, causal=work.startswith("causal"))
        if backward:
            out.sum().backward()

    return attend


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], int(sys.argv[2]))))
