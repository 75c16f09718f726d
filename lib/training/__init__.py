"""Training: one loop, its schedules, its checkpoints, and several processes that train together."""

from lib.training.checkpoint import load_checkpoint, save_checkpoint
from lib.training.fit import FitSettings, History, fit
from lib.training.nonfinite import NonFiniteGradientError, NonFiniteLossError
from lib.training.parallel import ShardedAdamW, add_gradients, own_rows
from lib.training.processes import GroupError, launch, place, torchrun_group
from lib.training.schedules import SCHEDULES, lr_multiplier
from lib.training.sweeps import SweepError, append_row, sweep
from lib.training.tokens import predicted_tokens

__all__ = [
    "SCHEDULES",
    "FitSettings",
    "GroupError",
    "History",
    "NonFiniteGradientError",
    "NonFiniteLossError",
    "ShardedAdamW",
    "SweepError",
    "add_gradients",
    "append_row",
    "fit",
    "launch",
    "load_checkpoint",
    "lr_multiplier",
    "own_rows",
    "place",
    "predicted_tokens",
    "save_checkpoint",
    "sweep",
    "torchrun_group",
]
