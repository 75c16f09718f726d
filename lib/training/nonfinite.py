"""Against weights that become NaN or infinite: what cannot be trained, and what stops a run, with its last good state."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def trained_parameters(**models: nn.Module) -> list[nn.Parameter]:
    """The parameters that require a gradient, each once: a value model may stand on the policy's own layers.

    Raises ValueError for a model that has none, or has them in float16: there Adam's ε, 1e-8, is 0, and every weight
    without a gradient becomes 0/0.

    >>> len(trained_parameters(model=nn.Linear(2, 1)))
    2
    """
    found: dict[nn.Parameter, None] = {}
    for name, model in models.items():
        own = [p for p in model.parameters() if p.requires_grad]
        if not own:
            raise ValueError(f"{name} has no parameter that requires a gradient: it would not be trained")
        if any(p.dtype == torch.float16 for p in own):
            raise ValueError(f"{name} has float16 parameters, which Adam makes NaN: train in float32 or bfloat16")
        found.update(dict.fromkeys(own))
    return list(found)


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite. `step` (from 0) and `batch` are kept for a look at what did it."""

    def __init__(self, step: int, found: str, batch: Any, checkpoint: Path | None):
        self.step, self.batch = step, batch
        kept = f"; the last good state is in {checkpoint.name}" if checkpoint and checkpoint.exists() else ""
        super().__init__(
            f"{found} at step {step}; the model was not updated with it{kept}. "
            f"The batch is in this error's .batch: {_describe(batch)}"
        )


class NonFiniteGradientError(NonFiniteLossError):
    """The loss is finite, but the norm of its gradient is not: an update would make NaN of the weights.

    √x at 0 is the usual cause, or a 0 · ∞ in a branch that `torch.where` leaves out. After gradient accumulation
    `batch` is the list of the update's batches.
    """


def _describe(batch: Any) -> str:
    """Shapes of the tensors in a batch, for an error message."""
    if isinstance(batch, Tensor):
        return f"{str(batch.dtype).removeprefix('torch.')} tensor of shape {tuple(batch.shape)}"
    if isinstance(batch, dict):
        return "{" + ", ".join(f"{key}: {_describe(value)}" for key, value in batch.items()) + "}"
    if isinstance(batch, (tuple, list)):
        return "(" + ", ".join(_describe(value) for value in batch) + ")"
    return type(batch).__name__
