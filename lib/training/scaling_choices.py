"""Runs beside the scaling sweep, along isoFLOP curves, in which the learning rate differs.

* `tuned`: the sweep's own recipe at three budgets C = 6 N D with embeddings in N: the learning rate is 0.64/width and falls to
  zero at the end of each run.
* `low rate`, `high rate`: the same runs, all sizes with the learning rate that suits the largest model of the sweep (width 224),
  or the smallest (width 16).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from lib import checks
from lib.training.fit import FitSettings
from lib.training.scaling import (
    BATCH,
    LENGTH,
    RATE_TIMES_WIDTH,
    TOKENS,
    VOCAB_SIZE,
    ScalingPoint,
    one_pass,
    scaling_data,
    train_decoder,
)

BUDGETS = (1.2e10, 3.2e10, 8e10)  # FLOPs, counted as 6 N D with the embeddings in N, which are also the output layer
WIDTHS = ((1, 8), (1, 12), (1, 16), (1, 20), (1, 24), (1, 32), (2, 32), (2, 48))
"""(layers, width) along the isoFLOP curves: 4,888 to 80,112 parameters."""
FEWEST = 40_000  # tokens: shorter runs are left out
RATES = {"low rate": RATE_TIMES_WIDTH / 224, "high rate": RATE_TIMES_WIDTH / 16}
EXPERIMENTS = ("tuned", *RATES)


@dataclass(frozen=True)
class ChoicePoint(ScalingPoint):
    """One run: a point of the sweep, and what is different about it."""

    experiment: str = "tuned"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.one_of("experiment", self.experiment, EXPERIMENTS)

    def settings(self) -> FitSettings:
        """The sweep's, with the learning rate of the experiment."""
        settings = super().settings()
        return replace(settings, learning_rate=RATES.get(self.experiment, settings.learning_rate))


def choices_grid() -> tuple[ChoicePoint, ...]:
    """All runs: 19 points on three isoFLOP curves, each with three learning rates, one seed.

    >>> len(choices_grid())
    57
    """
    return tuple(
        ChoicePoint(layers, width, _whole(budget / 6 / _parameters(layers, width)), 0, experiment=experiment)
        for experiment in EXPERIMENTS
        for budget in BUDGETS
        for layers, width in WIDTHS
        if FEWEST <= _whole(budget / 6 / _parameters(layers, width)) <= TOKENS[-1]
    )


def train_choice(point: ChoicePoint, *, show_progress: bool = False) -> dict[str, float | int | str]:
    """Train one decoder and return `parameters`, `all_parameters`, `loss`, `learning_rate`, `seconds` and `machine`, as
    `lib.training.scaling.train_point` does.

    >>> row = train_choice(ChoicePoint(1, 16, tokens=2048, seed=0, experiment="high rate"))
    >>> row["parameters"], row["loss"] < 6.6
    (3120, True)
    """
    train = scaling_data()[0].to(point.device)
    if point.tokens > train.numel():
        raise ValueError(f"tokens must be at most {train.numel():,}, what the text has; got {point.tokens:,}")
    settings = point.settings()
    _, _, row = train_decoder(point, settings, shuffled_twice(train), show_progress)
    return {
        **{name: row[name] for name in ("parameters", "all_parameters", "loss")},
        "learning_rate": round(settings.learning_rate, 6),
        **{name: row[name] for name in ("seconds", "machine")},
    }


def shuffled_twice(windows: Int[Tensor, "N T"]) -> Callable[[torch.Generator], Int[Tensor, "B T"]]:
    """A `sample_batch` for `fit`: each window once, as `one_pass` of windows in a drawn order (so the table was made).

    >>> sample, generator = shuffled_twice(torch.arange(16)[:, None]), torch.Generator().manual_seed(0)
    >>> sorted(torch.cat([sample(generator), sample(generator)]).flatten().tolist()) == list(range(16))
    True
    """
    passes: list[Callable[[torch.Generator], Tensor]] = []

    def sample(generator: torch.Generator) -> Int[Tensor, "B T"]:
        if not passes:
            passes.append(one_pass(windows[torch.randperm(len(windows), generator=generator)], BATCH))
        return passes[0](generator)

    return sample


def _parameters(layers: int, width: int) -> int:
    """All of them: the table, 12 d² a layer for attention and feed-forward, two norms a layer and one at the end."""
    return VOCAB_SIZE * width + layers * (12 * width**2 + 2 * width) + width


def _whole(tokens: float) -> int:
    """The nearest number of tokens that is whole batches."""
    return round(tokens / (BATCH * LENGTH)) * BATCH * LENGTH
