"""The random numbers that a module draws by itself, for dropout: seeded, kept in checkpoints and given back."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


def dropout_generators(parameters: Iterable[Tensor]) -> list[torch.Generator]:
    """PyTorch's own generators for the devices on which the parameters lie, the CPU's first: dropout takes no other.

    >>> [generator.device.type for generator in dropout_generators([torch.zeros(1)])]
    ['cpu']
    """
    gpus = sorted({p.device.index for p in parameters if p.device.type == "cuda"})
    return [torch.default_generator, *(torch.cuda.default_generators[index] for index in gpus)]


@contextmanager
def kept_states(generators: Sequence[torch.Generator]) -> Iterator[None]:
    """Whatever is drawn inside, the generators are as they were before; also after an error.

    >>> generator = torch.Generator().manual_seed(0)
    >>> with kept_states([generator]):
    ...     inside = torch.rand(3, generator=generator)
    >>> torch.equal(torch.rand(3, generator=generator), inside)
    True
    """
    states = [generator.get_state() for generator in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, states):
            generator.set_state(state)
