"""Training: one loop, its schedules and its checkpoints."""

from lib.training.checkpoint import load_checkpoint, save_checkpoint
from lib.training.fit import FitSettings, History, fit
from lib.training.nonfinite import NonFiniteGradientError, NonFiniteLossError
from lib.training.schedules import SCHEDULES, lr_multiplier
from lib.training.sweeps import SweepError, append_row, sweep
from lib.training.tokens import predicted_tokens

__all__ = [
    "SCHEDULES",
    "FitSettings",
    "History",
    "NonFiniteGradientError",
    "NonFiniteLossError",
    "SweepError",
    "append_row",
    "fit",
    "load_checkpoint",
    "lr_multiplier",
    "predicted_tokens",
    "save_checkpoint",
    "sweep",
]
