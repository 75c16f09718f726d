"""The runs behind data/experiments/peft.csv: ways to fine-tune compared on the task of `swapped`, made by `course train peft`.

Every way, and every rank, prompt length and dimension, is first run with each of five learning rates on a seed of its
own. The rate with the best validation accuracy is then run with the seeds 0, 1, 2, …, which nothing was chosen on.
"""

import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from lib import DATA, checks
from lib.training.sweeps import append_row, has_row, read_rows
from lib.worlds.swapped import STEPS, swap_accuracy, swap_finder, train_swap_finder, trained_numbers

FILE = DATA / "experiments" / "peft.csv"
KEY = ("method", "size", "targets", "steps", "learning_rate", "seed")
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
CHOOSING_SEED = 100  # of the runs on which the learning rate is chosen
SEEDS = tuple(range(4))
ALL_LINEAR = "q+k+v+output+up+down"


class Way(NamedTuple):
    """One way to fine-tune, as `swap_finder` takes it, and how many updates."""

    method: str
    size: int = 0
    targets: str = ""
    steps: int = STEPS

    @property
    def label(self) -> str:
        """What a table calls it.

        >>> Way("lora", 8, ALL_LINEAR).label, Way("subspace", 16).label
        ('LoRA, r = 8, all matrices', 'random subspace, m = 16')
        """
        targets = {ALL_LINEAR: "all matrices", "q+k+v+output": "q, k, v, output"}
        where = targets.get(self.targets, self.targets.replace("+", ", "))
        named = {
            "head": "head alone",
            "full": "full fine-tuning",
            "lora": f"LoRA, r = {self.size}, {where}",
            "qlora": f"QLoRA, r = {self.size}, {where}",
            "subspace": f"random subspace, m = {self.size}",
            "bottleneck": f"bottleneck adapters, r = {self.size}",
            "prompt": f"prompt of {self.size} vectors",
            "bitfit": "BitFit",
        }
        return named.get(self.method, self.method)


WAYS = (
    Way("head"), Way("full"), Way("last layer"),
    *(Way("lora", rank, "q+v") for rank in (8, 1, 2, 4, 16, 32)),
    *(Way("lora", 8, targets) for targets in ("q+k+v+output", "up+down", ALL_LINEAR)), Way("lora", 1, ALL_LINEAR),
    *(Way("subspace", dim) for dim in (1, 16, 64, 256, 1024, 4096, 16384, 65536)),
    Way("bitfit"), Way("bottleneck", 8), Way("prompt", 8), Way("qlora", 8, ALL_LINEAR),
)  # fmt: skip
"""What is compared at the same number of updates of the same windows."""


class Result(NamedTuple):
    """What the runs of one way gave: accuracies on the test windows, one for each seed."""

    way: Way
    learning_rate: float  # the chosen one
    trained: int  # numbers, without the head
    accuracies: list[float]

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return mean(self.accuracies)

    @property
    def spread(self) -> float:
        """The standard deviation over the seeds."""
        return stdev(self.accuracies)


def run(way: Way, learning_rate: float, seed: int) -> dict[str, Any]:
    """Train one way once, and measure it on both held-out splits: a row of the table.

    Raises ValueError for a way that `swap_finder` does not know, or a rate that is not positive.
    """
    started = time.process_time()
    model = swap_finder(way.method, way.size, way.targets, seed=seed)
    losses = train_swap_finder(model, learning_rate, seed, way.steps)
    model.eval()
    return {
        **way._asdict(),
        "learning_rate": learning_rate,
        "seed": seed,
        "trained": trained_numbers(model),
        "loss": round(mean(losses[-10:]), 4),
        "validation": round(swap_accuracy(model, "validation"), 4),
        "test": round(swap_accuracy(model, "test"), 4),
        "seconds": round(time.process_time() - started, 1),
    }


def run_all(file: Path = FILE, ways: Sequence[Way] = WAYS, seeds: Sequence[int] = SEEDS) -> None:
    """Make every run that the table lacks: first those that choose the rates, then seed after seed."""
    for way in ways:
        for rate in RATES:
            _run_missing(file, way, rate, CHOOSING_SEED)
    for seed in seeds:
        for way in ways:
            _run_missing(file, way, chosen_rate(_rows(file), way), seed)


def _run_missing(file: Path, way: Way, rate: float, seed: int) -> None:
    if not has_row(file, (*way, rate, seed), KEY):
        append_row(file, run(way, rate, seed), KEY)


def _rows(file: Path) -> list[dict[str, str]]:
    return read_rows(file, KEY)


def chosen_rate(rows: Sequence[dict[str, str]], way: Way) -> float:
    """The learning rate with the best validation accuracy on the seed that is there for choosing.

    Raises ValueError if the table has no such run of this way.
    """
    tried = [row for row in _of(rows, way) if int(row["seed"]) == CHOOSING_SEED]
    if not tried:
        raise ValueError(f"the table has no run that chooses a learning rate for {way}")
    return float(max(tried, key=lambda row: float(row["validation"]))["learning_rate"])


def show_table(ways: Sequence[Way], file: Path = FILE) -> None:
    """Print for each way what it trains, its learning rate, and the mean and spread of its test accuracies.

    Raises KeyError for a way that the table lacks.
    """
    found = results(file)
    print(f"{'':<34}{'trained':>10}{'rate':>8}{'accuracy':>10}  ± over {len(found[ways[0]].accuracies)} seeds")
    for way in ways:
        one = found[way]
        print(f"{way.label:<34}{one.trained:>10,}{one.learning_rate:>8g}{one.mean:>10.3f}  ± {one.spread:.3f}")


def _of(rows: Sequence[dict[str, str]], way: Way) -> Iterator[dict[str, str]]:
    wanted = tuple(str(value) for value in way)
    return (row for row in rows if tuple(row[name] for name in Way._fields) == wanted)


def rate_curve(way: Way, file: Path = FILE) -> list[float]:
    """The validation accuracy of each of RATES, on the seed on which the rate is chosen.

    Raises ValueError if the table lacks one.
    """
    tried = {
        float(row["learning_rate"]): float(row["validation"])
        for row in _of(_rows(file), way)
        if int(row["seed"]) == CHOOSING_SEED
    }
    if sorted(tried) != list(RATES):
        raise ValueError(f"the table must have the rates {RATES} for {way}, got {sorted(tried)}")
    return [tried[rate] for rate in RATES]


def smallest_dimension(share: float = 0.9, file: Path = FILE) -> int | None:
    """The first stored dimension of a random subspace that reaches this share of the gain of full fine-tuning.

    The gain is what full fine-tuning adds to the accuracy of the head alone; with share 0.9 it is d90. None if no
    dimension reaches it. Raises ValueError if `share` is outside [0, 1].
    """
    found = results(file)
    low, high = found[Way("head")].mean, found[Way("full")].mean
    wanted = low + checks.share("share", share) * (high - low)
    dims = sorted(way.size for way in found if way.method == "subspace")
    return next((dim for dim in dims if found[Way("subspace", dim)].mean >= wanted), None)


@cache
def results(file: Path = FILE) -> dict[Way, Result]:
    """The stored runs of every way at its chosen rate.

    Raises ValueError for a table that lacks one.
    """
    rows = _rows(file)
    found = {}
    for way in WAYS:
        rate = chosen_rate(rows, way)
        runs = [row for row in _of(rows, way) if int(row["seed"]) in SEEDS and float(row["learning_rate"]) == rate]
        checks.not_empty(runs=runs)
        found[way] = Result(way, rate, int(runs[0]["trained"]), [float(row["test"]) for row in runs])
    return found
