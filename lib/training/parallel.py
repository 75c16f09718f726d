"""Training one model in several processes: each works on its own rows, and they exchange sums.

Data parallelism: every process holds the whole model, reads its share of each batch, and the gradients are added (all-reduce).
`ShardedAdamW` also cuts the optimizer's state, as ZeRO's stage 1 does (Rajbhandari et al. 2020). `lib.training.processes` starts
the processes.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn

from lib import checks
from lib.training.processes import Place, place


def own_rows(batch: Any, where: Place | None = None) -> Any:
    """The rows of a global batch that this process works on: a tensor's, or those of each tensor of a named tuple.

    The processes take consecutive parts of equal size, so the batch must be a multiple of their number.
    Raises ValueError otherwise, TypeError for another kind of batch.

    >>> own_rows(torch.arange(6).view(6, 1), Place(1, 3)).flatten()
    tensor([2, 3])
    """
    where = where or place()
    if where.processes == 1:
        return batch
    tensors = (batch,) if isinstance(batch, Tensor) else batch
    if not isinstance(tensors, tuple) or not all(isinstance(part, Tensor) and part.dim() for part in tensors):
        raise TypeError(f"batch must be a tensor or a tuple of tensors, with rows, got {type(batch).__name__}")
    cut = []
    for part in tensors:
        if len(part) % where.processes:
            raise ValueError(f"batch of {len(part)} rows cannot be divided evenly among {where.processes} processes")
        cut.append(part.tensor_split(where.processes)[where.rank])
    return cut[0] if isinstance(batch, Tensor) else type(batch)(*cut) if hasattr(batch, "_fields") else tuple(cut)


def add_up(numbers: Sequence[float | int]) -> list[float]:
    """Each number summed over all processes, in float64.

    >>> add_up([1.5, 2])
    [1.5, 2.0]
    """
    total = torch.tensor(numbers, dtype=torch.float64)
    if place().processes > 1:
        distributed.all_reduce(total)
    return total.tolist()


def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """All-reduce: every process gets the sum of all processes' gradients. A missing gradient counts as zeros."""
    if place().processes == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        distributed.all_reduce(parameter.grad)


class ShardedAdamW:
    """AdamW whose two moments are cut among the processes: ZeRO, stage 1.

    The parameters become views of one flat buffer, and so do their gradients. Process r updates the r-th part of the buffer
    with moments for that part alone; then all processes collect all parts (all-gather). The gradients must have been summed
    before (`add_gradients`). In one process it is AdamW.

    Raises ValueError for no parameters, or parameters of several dtypes.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: checks.Number = 1e-3, **settings: Any):
        self.parameters = [p for p in parameters if p.requires_grad]
        checks.not_empty(parameters=self.parameters)
        if len(kinds := {p.dtype for p in self.parameters}) > 1:
            raise ValueError(f"parameters must have one dtype, got {sorted(map(str, kinds))}")
        self.place = place()
        self.size = -(-sum(p.numel() for p in self.parameters) // self.place.processes)  # numbers per process
        like = {"dtype": self.parameters[0].dtype, "device": self.parameters[0].device}
        self.values = torch.zeros(self.size * self.place.processes, **like)  # with a few zeros at the end
        self.gradients = torch.zeros_like(self.values)
        self._into_the_buffers()
        own = slice(self.place.rank * self.size, (self.place.rank + 1) * self.size)
        self.shard = nn.Parameter(self.values[own])  # views: no second copy
        self.shard.grad = self.gradients[own]
        self.optimizer = torch.optim.AdamW([self.shard], lr=lr, **settings)

    @torch.no_grad()
    def _into_the_buffers(self) -> None:
        start = 0
        for parameter in self.parameters:
            end = start + parameter.numel()
            self.values[start:end] = parameter.flatten()
            parameter.data = self.values[start:end].view_as(parameter)
            parameter.grad = self.gradients[start:end].view_as(parameter)
            start = end

    def zero_grad(self) -> None:
        """All gradients become zero. They are not freed, for they are views of the buffer."""
        self.gradients.zero_()

    @torch.no_grad()
    def step(self) -> None:
        """Update this process's part, then collect the parts of all."""
        self.optimizer.step()
        if self.place.processes > 1:
            parts = list(self.values.split(self.size))
            distributed.all_gather(parts, self.shard.detach().clone())
