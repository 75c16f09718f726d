"""One training loop for every notebook: what a step is, what is recorded, and how a run is resumed.

The order within a step is the one that everybody uses: batch, loss, gradient, clip, learning rate, update. All
randomness of a run (batches, dropout) is part of its state, so an interrupted run that is called again with its
checkpoint ends with the same bits as one that was left alone.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lib import checks
from lib.progress import progress
from lib.training.checkpoint import load_checkpoint, save_checkpoint
from lib.training.schedules import lr_multiplier


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
    eval_every: int | None = None  # updates between evaluations; the end is always evaluated
    checkpoint_every: int = 100  # updates between checkpoints
    seed: int = 0  # of the batches and of dropout

    def __post_init__(self) -> None:
        checks.whole("steps", self.steps)
        checks.whole("checkpoint_every", self.checkpoint_every)
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


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite. `step` (from 0) and `batch` are kept for a look at what did it."""

    def __init__(self, step: int, loss: float, batch: Any, checkpoint: Path | None):
        self.step, self.batch = step, batch
        kept = f"; the last good state is in {checkpoint.name}" if checkpoint and checkpoint.exists() else ""
        super().__init__(
            f"the loss is {loss} at step {step}; the model was not updated with it{kept}. "
            f"The batch is in this error's .batch: {_describe(batch)}"
        )


def fit(
    model: nn.Module,
    loss_fn: Callable[[nn.Module, Any], Tensor],
    sample_batch: Callable[[torch.Generator], Any],
    settings: FitSettings,
    *,
    evaluate: Callable[[nn.Module], float] | None = None,
    checkpoint: Path | str | None = None,
    description: str = "training",
    show_progress: bool = True,
) -> History:
    """Train `model` in place with AdamW and return what happened.

    `sample_batch(generator)` draws a batch with the generator it is given and nothing else; `loss_fn(model, batch)`
    returns a scalar; `evaluate(model)` is called in eval mode, without gradients, and cannot disturb the run's
    randomness. With `checkpoint`, the state is written there every `checkpoint_every` updates, and a run that finds
    its own checkpoint goes on from it, bit for bit.

    Raises NonFiniteLossError (before the update, so the model keeps its last good weights), ValueError when the
    checkpoint is of a run with other settings, another model or damaged.

    >>> import torch
    >>> line = torch.nn.Linear(1, 1)
    >>> def square_error(model, x):
    ...     return (model(x) - 3 * x).pow(2).mean()
    >>> history = fit(line, square_error, lambda g: torch.randn(8, 1, generator=g),
    ...               FitSettings(steps=200, learning_rate=0.1), show_progress=False)
    >>> history.loss[-1] < 0.01 < history.loss[0]
    True
    """
    run = _Run(model, settings, Path(checkpoint) if checkpoint is not None else None)
    with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator: leave the caller's alone
        run.resume()
        bar = progress(description=description, total=settings.steps, disable=not show_progress)
        bar.update(run.done)
        with bar:
            while run.done < settings.steps:
                batch = sample_batch(run.generator)
                loss = run.update(loss_fn, batch)
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                bar.update()
                last = run.done == settings.steps
                if evaluate and (last or (settings.eval_every and run.done % settings.eval_every == 0)):
                    run.history.evaluations.append((run.done, _evaluate(model, evaluate)))
                if last or run.done % settings.checkpoint_every == 0:
                    run.save()
    return run.history


class _Run:
    """The whole state of a training run: everything that the next update depends on."""

    def __init__(self, model: nn.Module, settings: FitSettings, checkpoint: Path | None):
        self.model, self.settings, self.checkpoint = model, settings, checkpoint
        self.done = 0
        self.history = History()
        self.generator = torch.Generator().manual_seed(settings.seed)
        trained = [p for p in model.parameters() if p.requires_grad]
        if not trained:
            raise ValueError("model has no parameter that requires a gradient: nothing would be trained")
        matrices, rest = [p for p in trained if p.dim() >= 2], [p for p in trained if p.dim() < 2]
        groups = [{"params": matrices}, {"params": rest, "weight_decay": 0.0}]
        self.trained = trained
        self.optimizer = torch.optim.AdamW(
            groups, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
        )

    def update(self, loss_fn: Callable[[nn.Module, Any], Tensor], batch: Any) -> float:
        """One step; returns the loss before it."""
        self.model.train()
        loss = loss_fn(self.model, batch)
        if not torch.isfinite(loss):
            raise NonFiniteLossError(self.done, loss.item(), batch, self.checkpoint)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        limit = self.settings.max_grad_norm
        norm = nn.utils.clip_grad_norm_(self.trained, float("inf") if limit is None else limit)
        s = self.settings
        rate = s.learning_rate * lr_multiplier(self.done, s.steps, s.warmup_steps, s.schedule, s.floor)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.done += 1
        self.history.loss.append(loss.item())
        self.history.learning_rate.append(rate)
        self.history.grad_norm.append(norm.item())
        return loss.item()

    def save(self) -> None:
        if self.checkpoint is None:
            return
        save_checkpoint(
            self.checkpoint,
            {
                "settings": asdict(self.settings),
                "done": self.done,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "batches": self.generator.get_state(),
                "dropout": torch.get_rng_state(),
                "history": asdict(self.history),
            },
        )

    def resume(self) -> None:
        torch.manual_seed(self.settings.seed)
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        state = load_checkpoint(self.checkpoint, asdict(self.settings))
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"checkpoint {self.checkpoint.name} is of another model: {error}") from error
        self.done = state["done"]
        self.generator.set_state(state["batches"])
        torch.set_rng_state(state["dropout"])
        self.history = History(**state["history"])


def _evaluate(model: nn.Module, evaluate: Callable[[nn.Module], float]) -> float:
    model.eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        return float(evaluate(model))


def _describe(batch: Any) -> str:
    """Shapes of the tensors in a batch, for an error message."""
    if isinstance(batch, Tensor):
        return f"{str(batch.dtype).removeprefix('torch.')} tensor of shape {tuple(batch.shape)}"
    if isinstance(batch, dict):
        return "{" + ", ".join(f"{key}: {_describe(value)}" for key, value in batch.items()) + "}"
    if isinstance(batch, (tuple, list)):
        return "(" + ", ".join(_describe(value) for value in batch) + ")"
    return type(batch).__name__
