"""One training loop for every notebook: what a step is, what is recorded, and how a run is resumed.

The order within a step is the one that everybody uses: batch, loss, gradient, clip, learning rate, update. All
randomness of a run (batches, dropout) is part of its state, so an interrupted run that is called again with its
checkpoint ends with the same bits as one that was left alone.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from lib import checks
from lib.models import eval_mode
from lib.progress import progress
from lib.training.checkpoint import load_checkpoint, load_whole, save_checkpoint
from lib.training.nonfinite import NonFiniteGradientError, NonFiniteLossError, trained_parameters
from lib.training.parallel import add_gradients, add_up, own_rows
from lib.training.processes import place
from lib.training.random_state import dropout_generators, kept_states
from lib.training.schedules import lr_multiplier

LossFunction = Callable[[nn.Module, Any], Tensor | tuple[Tensor, dict[str, float]]]
"""(model, batch) -> the loss, or the loss and what was measured beside it."""


@dataclass(frozen=True)
class FitSettings:
    """How long, how fast and how carefully to train."""

    steps: int  # parameter updates
    learning_rate: float = 1e-3  # peak, after the warm-up
    schedule: str = "cosine"  # constant, linear or cosine: see lr_multiplier
    warmup_steps: int = 0  # updates
    floor: float = 0.0  # the last learning rate as a fraction of the peak
    weight_decay: float = 0.01  # AdamW's, on matrices only: biases and norms are not decayed
    betas: tuple[float, float] = (0.9, 0.95)  # AdamW's
    max_grad_norm: float | None = 1.0  # the global gradient norm is clipped to this; None: never
    gradient_accumulation_steps: int = 1  # batches drawn for each update, one after the other through the model
    eval_every: int | None = None  # updates between evaluations; the end is always evaluated
    checkpoint_every: int = 100  # updates between checkpoints
    seed: int = 0  # of the batches and of dropout

    def __post_init__(self) -> None:
        checks.whole("steps", self.steps)
        checks.whole("checkpoint_every", self.checkpoint_every)
        checks.whole("gradient_accumulation_steps", self.gradient_accumulation_steps)
        checks.positive("learning_rate", self.learning_rate)
        checks.number("weight_decay", self.weight_decay, "[0, inf)")
        if self.max_grad_norm is not None:
            checks.positive("max_grad_norm", self.max_grad_norm, infinite=True)
        if self.eval_every is not None:
            checks.whole("eval_every", self.eval_every)
        lr_multiplier(0, self.steps, self.warmup_steps, self.schedule, self.floor)  # checks the other three


@dataclass
class History:
    """What a run recorded: one entry for each update, and one for each evaluation."""

    loss: list[float] = field(default_factory=list)  # of the batch, before the update, in the loss's own unit
    learning_rate: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)  # before clipping
    evaluations: list[tuple[int, float]] = field(default_factory=list)  # (updates done, result of `evaluate`)
    metrics: dict[str, list[float]] = field(default_factory=dict)  # what the loss returned beside its number, by name
    tokens: list[int] = field(default_factory=list)  # that the loss was a mean over, if `count_tokens` was given
    seconds: list[float] = field(default_factory=list, compare=False)  # batch and update; evaluations do not count

    @property
    def tokens_per_second(self) -> float | None:
        """Over all updates; None if no tokens were counted."""
        return sum(self.tokens) / sum(self.seconds) if self.tokens else None

    def record(
        self, loss: float, learning_rate: float, grad_norm: float, seconds: float, metrics: dict[str, float]
    ) -> None:
        """Write down an update. Raises ValueError when it has other metrics than those before."""
        if self.loss and metrics.keys() != self.metrics.keys():
            raise ValueError(f"loss_fn must measure the same each time, {list(self.metrics)}, got {list(metrics)}")
        self.loss.append(loss)
        self.learning_rate.append(learning_rate)
        self.grad_norm.append(grad_norm)
        self.seconds.append(seconds)
        for name, value in metrics.items():
            self.metrics.setdefault(name, []).append(value)

    def latest(self) -> dict[str, str]:
        """The last loss, and the speed, for a progress bar."""
        speed = self.tokens_per_second
        return {"loss": f"{self.loss[-1]:.3f}"} | ({} if speed is None else {"tokens/s": f"{speed:,.0f}"})


def fit(
    model: nn.Module,
    loss_fn: LossFunction,
    sample_batch: Callable[[torch.Generator], Any],
    settings: FitSettings,
    *,
    evaluate: Callable[[nn.Module], float] | None = None,
    count_tokens: Callable[[Any], int] | None = None,
    checkpoint: Path | str | None = None,
    description: str = "training",
    show_progress: bool = True,
) -> History:
    """Train `model` in place with AdamW and return what happened.

    `sample_batch(generator)` draws a batch with the generator it is given and nothing else; `loss_fn(model, batch)`
    returns a scalar, or a scalar and a dict of numbers for `History.metrics`; `evaluate(model)` is called in eval mode,
    without gradients, and cannot disturb the run's randomness. Each module is then in the mode it was in before.
    `count_tokens(batch)` says how many tokens the loss of a batch is a mean over (for a loss over pairs or rows: how
    many of these), see `predicted_tokens`. It is what the speed is measured in. With gradient accumulation it is also
    the weight of each batch, so that the update is that of one large batch, whatever the padding.
    With `checkpoint`, the state is written there every `checkpoint_every` updates, and a run that finds its own
    checkpoint goes on from it, bit for bit.
    In a group of processes (`lib.training.processes`) each draws the same batches and works on its own rows of them. The
    gradients are added, so that each update is that of one process (but for rounding, and dropout). This needs
    `count_tokens`. The first process writes the checkpoint.

    Raises NonFiniteLossError, or NonFiniteGradientError, before the update, so the model keeps its last good weights;
    ValueError when the checkpoint is of a run with other settings, another model or damaged, and for a batch whose rows
    cannot be divided evenly among the processes.

    >>> import torch
    >>> line = torch.nn.Linear(1, 1)
    >>> def square_error(model, x):
    ...     return (model(x) - 3 * x).pow(2).mean()
    >>> history = fit(line, square_error, lambda g: torch.randn(8, 1, generator=g),
    ...               FitSettings(steps=200, learning_rate=0.1), show_progress=False)
    >>> history.loss[-1] < 0.01 < history.loss[0]
    True
    """
    run = _Run(model, settings, count_tokens, Path(checkpoint) if checkpoint is not None else None)
    with kept_states(run.generators), eval_mode(model):  # both are as they were at the end
        run.resume()
        bar = progress(description=description, total=settings.steps, disable=not show_progress or run.place.rank > 0)
        bar.update(run.done)
        with bar:
            while run.done < settings.steps:
                run.step(loss_fn, sample_batch)
                bar.set_postfix(run.history.latest(), refresh=False)
                bar.update()
                last = run.done == settings.steps
                if evaluate and (last or (settings.eval_every and run.done % settings.eval_every == 0)):
                    run.evaluate(evaluate)
                if last or run.done % settings.checkpoint_every == 0:
                    run.save()
    return run.history


class _Run:
    """The whole state of a training run: everything that the next update depends on."""

    def __init__(
        self,
        model: nn.Module,
        settings: FitSettings,
        count_tokens: Callable[[Any], int] | None,
        checkpoint: Path | None,
    ):
        self.place = place()
        if count_tokens is None and (settings.gradient_accumulation_steps > 1 or self.place.processes > 1):
            what = "accumulated batches" if self.place.processes == 1 else "the parts of a batch"
            raise ValueError(f"count_tokens is missing: {what} are weighted by the tokens of their losses")
        self.model, self.settings, self.count_tokens, self.checkpoint = model, settings, count_tokens, checkpoint
        self.done = 0
        self.history = History()
        self.batches = torch.Generator().manual_seed(settings.seed)
        trained = trained_parameters(model=model)
        matrices, rest = [p for p in trained if p.dim() >= 2], [p for p in trained if p.dim() < 2]
        groups = [{"params": matrices}, {"params": rest, "weight_decay": 0.0}]
        self.trained, self.generators = trained, dropout_generators(trained)
        self.optimizer = torch.optim.AdamW(
            groups, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
        )

    def step(self, loss_fn: LossFunction, sample_batch: Callable[[torch.Generator], Any]) -> None:
        """Draw the batches of one update, do it, and write down what it was."""
        started, s = time.perf_counter(), self.settings
        batches = [own_rows(sample_batch(self.batches)) for _ in range(s.gradient_accumulation_steps)]
        count = self.count_tokens or (lambda batch: 1)
        counted = [checks.whole("count_tokens(batch)", count(batch)) for batch in batches]
        tokens = int(add_up([sum(counted)])[0])  # of all processes
        loss, metrics = self._backward(loss_fn, batches, [n / tokens for n in counted])
        norm = nn.utils.clip_grad_norm_(self.trained, math.inf if s.max_grad_norm is None else s.max_grad_norm).item()
        if not math.isfinite(norm):
            shown = batches if len(batches) > 1 else batches[0]
            self._stop(NonFiniteGradientError, f"the gradient's norm is {norm} (the loss is {loss})", shown)
        rate = s.learning_rate * lr_multiplier(self.done, s.steps, s.warmup_steps, s.schedule, s.floor)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.done += 1
        self.history.record(loss, rate, norm, time.perf_counter() - started, metrics)
        if self.count_tokens:
            self.history.tokens.append(tokens)

    def _backward(self, loss_fn: LossFunction, batches: list[Any], weights: list[float]) -> tuple[float, dict]:
        """The gradient of the weighted mean of the batches' losses, one graph at a time; that mean, and its metrics."""
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        total, metrics = 0.0, {}
        for batch, weight in zip(batches, weights):
            found = loss_fn(self.model, batch)
            loss, measured = found if isinstance(found, tuple) else (found, {})
            checks.shape("the result of loss_fn", loss)
            if not torch.isfinite(loss):
                self._stop(NonFiniteLossError, f"the loss is {loss.item()}", batch)
            (weight * loss).backward()
            total += weight * loss.item()
            metrics = {name: metrics.get(name, 0.0) + weight * float(value) for name, value in measured.items()}
        add_gradients(self.trained)
        total, *sums = add_up([total, *metrics.values()])
        return total, dict(zip(metrics, sums))

    def _stop(self, error: type[NonFiniteLossError], found: str, batch: Any) -> NoReturn:
        self.optimizer.zero_grad(set_to_none=True)  # nobody goes on with half a gradient
        raise error(self.done, found, batch, self.checkpoint)

    def evaluate(self, evaluate: Callable[[nn.Module], float]) -> None:
        """In eval mode, without gradients, and on random numbers that the run does not miss."""
        self.model.eval()
        with torch.no_grad(), kept_states(self.generators):
            self.history.evaluations.append((self.done, float(evaluate(self.model))))

    def save(self) -> None:
        if self.checkpoint is None or self.place.rank > 0:
            return
        save_checkpoint(
            self.checkpoint,
            {
                "settings": self._identity(),
                "done": self.done,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "batches": self.batches.get_state(),
                "dropout": [generator.get_state() for generator in self.generators],
                "history": asdict(self.history),
            },
        )

    def resume(self) -> None:
        for generator in self.generators:
            generator.manual_seed(self.settings.seed + self.place.rank)  # dropout: another in each process
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        state = load_checkpoint(self.checkpoint, self._identity())
        try:
            self.optimizer.load_state_dict(state["optimizer"])
            load_whole(self.model, state["model"])
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"checkpoint {self.checkpoint.name} is of another model: {error}") from error
        self.done = state["done"]
        self.batches.set_state(state["batches"])
        if self.place.rank == 0:  # whose states these are
            for generator, kept in zip(self.generators, state["dropout"], strict=True):
                generator.set_state(kept)
        self.history = History(**state["history"])

    def _identity(self) -> dict[str, Any]:
        """What makes it this run and no other: how often it is written down does not."""
        devices = [str(generator.device) for generator in self.generators]
        return {name: value for name, value in asdict(self.settings).items() if name != "checkpoint_every"} | {
            "devices": devices,
            **({"processes": self.place.processes} if self.place.processes > 1 else {}),
        }
