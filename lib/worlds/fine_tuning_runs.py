"""The runs behind data/experiments/fine_tuning.csv, made by `course train fine-tuning`.

The learning rate of each way and size (of "words" and probes: the penalty) is chosen with a seed of its own, by the loss on
validation films. With it the seeds 0, 1, 2, … are run, which nothing was chosen on, and measured on test films.
"""

import json
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from lib import DATA
from lib.files import atomic_write
from lib.training.sweeps import append_row, has_row, read_rows
from lib.worlds.fine_tuning import WARM_UP, drawn, measure, read_with, reviews

FILE = DATA / "experiments" / "fine_tuning.csv"
PROBABILITIES = "fine_tuning_probabilities.json"  # beside it
TEST, VALIDATION = 500, 300
EPOCHS = {16: 15, 80: 6, 400: 2, 2000: 1}
"""How often each review is read, by their number: with few there is time to read them more than once."""
RATES = {
    "words": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
    "probe": (1e-3, 1e-2, 1e-1, 1.0), "probe on [CLS]": (1e-3, 1e-2, 1e-1, 1.0),
    "last two layers": (1e-4, 4e-4), "full": (1e-4, 4e-4), "scratch": (1e-4, 4e-4),
}  # fmt: skip
CHOOSING_SEED = 100
SEEDS = tuple(range(5))
STEEP, STEEP_EXAMPLES = 1e-3, 80  # the rate, and the reviews, at which runs with and without a warm-up are compared


class Point(NamedTuple):
    """One way of training on so many reviews; with `rate` 0 at the one chosen for it."""

    method: str
    examples: int
    rate: float = 0.0
    warm_up: float = WARM_UP


KEY = (*Point._fields, "seed")
POINTS = (
    *(Point(method, examples) for method in ("words", "probe", "probe on [CLS]", "full") for examples in EPOCHS),
    *(Point("full", STEEP_EXAMPLES, STEEP, warm_up) for warm_up in (0.0, WARM_UP)),
    Point("scratch", 2000),
    Point("last two layers", 400),
)
"""What is compared, with each of SEEDS."""


class Result(NamedTuple):
    """What the runs of one point gave on the test reviews, a number for each seed, in the order of SEEDS."""

    accuracy: list[float]
    nll: list[float]  # nats per review
    confidence: list[float]  # mean probability of the class that is named


def run(point: Point, seed: int, split: str) -> tuple[dict[str, Any], list[float]]:
    """Train one way once, and measure it on "validation" or "test": a row of the table, and P(fresh) of each review.

    Raises ValueError for an unknown method or number of examples.
    """
    if point.examples not in EPOCHS:
        raise ValueError(f"examples must be one of {list(EPOCHS)}, got {point.examples!r}")
    started = time.process_time()
    held_out = reviews(split, TEST if split == "test" else VALIDATION)
    logits: Tensor = read_with(point.method, drawn(point.examples, seed), point.rate, epochs=EPOCHS[point.examples],
                               warm_up=point.warm_up, seed=seed, held_out=held_out)  # fmt: skip
    found = {name: round(value, 4) for name, value in measure(logits, held_out.labels)._asdict().items()}
    row = {**point._asdict(), "seed": seed, "split": split, **found}
    fresh = [round(p, 4) for p in logits.double().softmax(dim=1)[:, 1].tolist()]
    return row | {"seconds": round(time.process_time() - started, 1)}, fresh


def run_all(file: Path = FILE, points: Sequence[Point] = POINTS, seeds: Sequence[int] = SEEDS) -> None:
    """Make every run that the table lacks, point after point: first those that choose its rate."""
    for point in points:
        if not point.rate:
            for rate in RATES[point.method]:
                _run_missing(file, point._replace(rate=rate), CHOOSING_SEED, "validation")
        rate = point.rate or chosen_rate(read_rows(file, KEY), point.method, point.examples)
        for seed in seeds:
            _run_missing(file, point._replace(rate=rate), seed, "test")


def _run_missing(file: Path, point: Point, seed: int, split: str) -> None:
    if has_row(file, (*point, seed), KEY):
        return
    row, fresh = run(point, seed, split)
    if seed in SEEDS and (point.examples == max(EPOCHS) or point.method == "full" and point.examples == STEEP_EXAMPLES):
        # before the row, which says that all is done
        beside = file.parent / PROBABILITIES
        kept = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
        with atomic_write(beside) as text:
            entries = (kept | {name_of(point, seed): fresh}).items()
            text.write("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(p)}" for name, p in entries) + "\n}\n")
    append_row(file, row, KEY)


def name_of(point: Point, seed: int) -> str:
    """What a run is called among the stored probabilities."""
    if point.examples == max(EPOCHS):
        return f"{point.method}, seed {seed}"
    return f"{point.method}, {point.examples} reviews, rate {point.rate:g}, warm-up {point.warm_up:g}, seed {seed}"


def chosen_rate(rows: Sequence[dict[str, str]], method: str, examples: int) -> float:
    """The rate with the smallest loss on the validation reviews, with so many examples and the seed for choosing.

    Raises ValueError if the table has no such run.
    """
    tried = [
        row
        for row in rows
        if (row["method"], int(row["examples"]), int(row["seed"])) == (method, examples, CHOOSING_SEED)
    ]
    if not tried:
        raise ValueError(f"the table has no run that chooses a rate for {method!r} with {examples} examples")
    return float(min(tried, key=lambda row: float(row["nll"]))["rate"])


@cache
def results(file: Path = FILE) -> dict[Point, Result]:
    """The stored runs of every point, by the point as `POINTS` has it.

    Raises ValueError for a table that lacks one.
    """
    rows = read_rows(file, KEY)
    found = {}
    for point in POINTS:
        rate = point.rate or chosen_rate(rows, point.method, point.examples)
        wanted = tuple(str(value) for value in point._replace(rate=rate))
        runs = [row for row in rows if tuple(row[name] for name in Point._fields) == wanted and row["split"] == "test"]
        runs.sort(key=lambda row: int(row["seed"]))
        if [int(row["seed"]) for row in runs] != list(SEEDS):
            raise ValueError(f"the table must have the seeds {SEEDS} of {point}, got {[row['seed'] for row in runs]}")
        found[point] = Result(*([float(row[name]) for row in runs] for name in Result._fields))
    return found


def stored_probabilities(file: Path = FILE) -> dict[str, list[float]]:
    """P(fresh) for each test review by each run on 2,000 reviews, by "method, seed n".

    Raises FileNotFoundError if the file is missing.
    """
    return json.loads((file.parent / PROBABILITIES).read_text(encoding="utf-8"))
