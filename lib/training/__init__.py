"""Training: one loop, its schedules and its checkpoints."""

from lib.training.checkpoint import load_checkpoint, save_checkpoint
from lib.training.fit import FitSettings, History, NonFiniteLossError, fit
from lib.training.schedules import SCHEDULES, lr_multiplier
from lib.training.sweeps import SweepError, append_row, sweep

__all__ = [
    "SCHEDULES",
    "FitSettings",
    "History",
    "NonFiniteLossError",
    "SweepError",
    "append_row",
    "fit",
    "load_checkpoint",
    "lr_multiplier",
    "save_checkpoint",
    "sweep",
]
