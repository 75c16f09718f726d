"""How many tokens the loss of a batch is a mean over: for the speed of a run, and the weights of accumulated batches."""

from typing import Any

from torch import Tensor

from lib.generation import Rollout
from lib.text import MaskedBatch
from lib.training.denoising import PairBatch


def predicted_tokens(batch: Any) -> int:
    """The predicted tokens of a batch, which `next_token_loss`, `masked_loss` and `demonstration_loss` average over.

    Of windows (B, T) all but the first token of each row, of a `MaskedBatch` the selected ones, of a `Rollout` those
    of the answers, of a `PairBatch` those of the targets. Raises TypeError for another kind of batch.

    >>> import torch
    >>> predicted_tokens(torch.zeros(2, 5, dtype=torch.long))
    8
    """
    if isinstance(batch, MaskedBatch | PairBatch):
        return int((batch.labels != -100).sum())
    if isinstance(batch, Rollout):
        return int(batch.response_mask.sum())
    if isinstance(batch, Tensor) and batch.dim() == 2 and not batch.is_floating_point():
        return batch[:, 1:].numel()
    raise TypeError(
        f"batch must be windows of ids (B, T), a MaskedBatch, a PairBatch or a Rollout, got {type(batch).__name__}"
    )
