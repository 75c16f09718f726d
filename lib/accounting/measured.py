"""Bytes as measured: of tensors, of an optimizer's state, of what autograd saves."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from lib import checks


def tensor_bytes(tensors: nn.Module | Tensor | Iterable[Tensor]) -> int:
    """Bytes of a module's parameters and buffers, of a tensor, or of several; shared storage counts once.

    >>> tensor_bytes(torch.zeros(10, dtype=torch.float16))
    20
    """
    if isinstance(tensors, nn.Module):
        tensors = [*tensors.parameters(), *tensors.buffers()]
    elif isinstance(tensors, Tensor):
        tensors = [tensors]
    storages = {}
    for tensor in tensors:
        checks.instance("each of tensors", tensor, Tensor)
        storage = tensor.untyped_storage()
        storages[storage.data_ptr() or id(tensor)] = storage.nbytes()  # on the meta device every address is 0
    return sum(storages.values())


def gradient_bytes(model: nn.Module) -> int:
    """Bytes of the gradients that a model's parameters hold now."""
    return tensor_bytes(p.grad for p in model.parameters() if p.grad is not None)


def optimizer_state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Bytes of the tensors that an optimizer keeps; nothing before its first step.

    PyTorch's Adam keeps, beside its two moments, a step counter of 4 bytes for each parameter tensor.

    >>> weight = nn.Parameter(torch.zeros(100))
    >>> adam = torch.optim.Adam([weight])
    >>> before = optimizer_state_bytes(adam)
    >>> weight.sum().backward(); adam.step()
    >>> before, optimizer_state_bytes(adam)
    (0, 804)
    """
    checks.instance("optimizer", optimizer, torch.optim.Optimizer)
    values = (value for state in optimizer.state.values() for value in state.values())
    return tensor_bytes(value for value in values if isinstance(value, Tensor))


def saved_bytes(forward: Callable[[], object], *, parameters: Iterable[Tensor] = ()) -> int:
    """Bytes that autograd saves for the backward pass while `forward()` runs, each storage once.

    `parameters`, which are there anyway, do not count.

    >>> x = torch.zeros(1000, requires_grad=True)
    >>> saved_bytes(lambda: x.exp())
    4000
    """
    known = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    kept: dict[int, Tensor] = {}  # the tensors too: the address of a freed storage may be used again

    def pack(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in known:
            kept[address] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward()
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
