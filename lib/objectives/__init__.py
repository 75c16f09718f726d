"""Losses: what training lowers. Pure functions of tensors; each docstring says what is averaged over what."""

from lib.objectives.autoregressive import autoregressive_loss, sequence_log_prob, shift_labels
from lib.objectives.masked import mlm_loss

__all__ = ["autoregressive_loss", "mlm_loss", "sequence_log_prob", "shift_labels"]
