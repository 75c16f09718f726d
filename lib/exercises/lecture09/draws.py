"""Numbers for the cases of notebook 09."""

import torch

Number = float | int


def uniform(generator, size: int, low: Number, high: Number) -> list[float]:
    """`size` numbers between `low` and `high`, in double precision."""
    return (low + (high - low) * torch.rand(size, generator=generator, dtype=torch.float64)).tolist()
