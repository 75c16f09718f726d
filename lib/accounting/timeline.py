"""The bytes of all tensors that live at the same time, after each operation: what a step holds at its peak.

`MemoryTimeline` sees every operation of PyTorch, in the backward pass too. It counts a storage from the operation that returns
it until Python and autograd have let go of it. It does not see what an operation needs inside itself, nor what an allocator
rounds up or leaves unused.
"""

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from lib import checks


@dataclass
class Timeline:
    """Live bytes after each operation, and every allocation and release in order."""

    live: list[int] = field(default_factory=list)  # bytes after each operation
    phase: list[str] = field(default_factory=list)  # the phase that each operation belongs to
    events: list[tuple[int, int]] = field(default_factory=list)  # (number of the storage, bytes; negative: released)

    @property
    def peak(self) -> int:
        """The most bytes that lived at the same time."""
        return max(self.live)

    def peak_of(self, phase: str) -> int:
        """The same within a phase. Raises ValueError when there is no such phase."""
        checks.one_of("phase", phase, self.phase)
        return max(size for size, name in zip(self.live, self.phase, strict=True) if name == phase)


class MemoryTimeline(TorchDispatchMode):
    """Record a `Timeline` of everything that runs inside `with MemoryTimeline(...) as memory:`.

    `before` are the tensors that live already: a module's parameters, a batch. `memory.phase("backward")` names what follows.

    >>> import torch
    >>> with MemoryTimeline([]) as memory:
    ...     x = torch.zeros(1000)
    ...     y = x.exp()
    ...     del x
    ...     z = y + 1
    >>> memory.timeline.live
    [4000, 8000, 8000]
    """

    def __init__(self, before: nn.Module | Iterable[Tensor]) -> None:
        super().__init__()
        self.timeline, self._now, self._phase = Timeline(), 0, ""
        self._known: dict[int, int] = {}  # id of a living storage -> its number
        tensors = [*before.parameters(), *before.buffers()] if isinstance(before, nn.Module) else before
        for tensor in tensors:
            self._meet(checks.instance("each tensor of before", tensor, Tensor))

    def phase(self, name: str) -> None:
        """The operations that follow belong to the phase `name`."""
        self._phase = name

    def __torch_dispatch__(self, operation: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        for value in tree_flatten(result)[0]:
            if isinstance(value, Tensor):
                self._meet(value)
        self.timeline.live.append(self._now)
        self.timeline.phase.append(self._phase)
        return result

    def _meet(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if id(storage) in self._known:
            return
        number, size = len(self.timeline.events), storage.nbytes()
        self._known[id(storage)] = number
        self._now += size
        self.timeline.events.append((number, size))
        weakref.finalize(storage, self._release, id(storage), number, size).atexit = False

    def _release(self, key: int, number: int, size: int) -> None:
        del self._known[key]
        self._now -= size
        self.timeline.events.append((number, -size))
