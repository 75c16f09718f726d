"""The gradient of a result with respect to some inputs: part of the answer where training needs it.

An exercise names these inputs (`Exercise.gradient`); its cases then carry them as tensors that require grad. The answer
is called twice: on inputs without gradients, for its result, and on inputs with them, for the gradient. So an answer
that leaves PyTorch is told about its gradient, not about an error of `.numpy()`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lib.exercises.engine.compare import Difference, Tolerance, difference
from lib.exercises.engine.values import Array, shorten, to_plain

DETACHED = (
    "The number is right, but it is cut off from the inputs: no gradient comes back from it, so nothing would be learned. "
    "Stay with tensors to the end, without `.item()`, `.detach()`, `float(…)`, NumPy or `torch.tensor(…)` on the way."
)
"""The hint of the misconception "detached", the same in every exercise."""

CUT = "`.item()`, `.detach()`, NumPy, `torch.tensor(…)` and `torch.no_grad()` cut the result off from the inputs"

_grad = torch.autograd.grad  # kept here, as in `values`: a notebook may replace it


def require_grad(value: Any) -> Any:
    """A copy of an input whose decimal tensors, also those in lists and tuples, require grad.

    >>> require_grad([torch.ones(1), 2])
    [tensor([1.], requires_grad=True), 2]
    """
    if type(value) is Tensor and value.is_floating_point():
        return value.detach().clone().requires_grad_()
    if type(value) in (list, tuple):
        return type(value)(require_grad(entry) for entry in value)
    return value


def tensors(value: Any, *, decimal: bool = False) -> Iterator[Tensor]:
    """All tensors (with `decimal`, those of decimal numbers) in a value and its lists, tuples and dicts, in order."""
    if isinstance(value, Tensor):
        if not decimal or value.is_floating_point():
            yield value
    elif isinstance(value, list | tuple | dict):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from tensors(entry, decimal=decimal)


def leaves(inputs: Any) -> list[Tensor]:
    """The tensors among the inputs of a case that require grad, in order."""
    return [tensor for tensor in tensors(inputs) if tensor.requires_grad]


def gradient(result: Any, inputs: Sequence[Tensor]) -> tuple[Array, ...] | str:
    """The gradient of `result` with respect to each of `inputs` as plain data, or in words why there is none.

    A number is differentiated itself. Other results are multiplied by fixed random weights in [0.5, 1.5) and added up:
    a plain sum would not do, as that of a softmax is 1 whatever the logits are. An input that the result does not
    depend on has the gradient 0.
    """
    parts = list(tensors(result, decimal=True))
    if not any(part.requires_grad for part in parts):
        return f"there is none: {CUT}"
    drawn = torch.Generator().manual_seed(0)
    weights = [(0.5 + torch.rand(part.shape, generator=drawn, dtype=torch.float64)).to(part) for part in parts]
    if len(parts) == 1 and parts[0].ndim == 0:
        weights = [torch.ones_like(parts[0])]
    outputs, vectors = zip(*((part, weight) for part, weight in zip(parts, weights) if part.requires_grad))
    return to_plain(_grad(outputs, inputs, vectors, allow_unused=True, materialize_grads=True))


def gradient_difference(got: Any, expected: tuple[Array, ...], names: Sequence[str]) -> Difference | None:
    """The first difference between two gradients; None if they agree, or if the expected one is 0 and there is none.

    Allowed are 0.1 % and 1e-5 of the largest expected value: sums of some hundred float32 terms stay below.
    """
    if type(got) is not tuple or len(got) != len(expected):
        if not any(each.values.any() for each in expected):
            return None
        why = got if type(got) is str else "there is not one for each input"
        return Difference("gradient", f"with respect to {' and '.join(names)}", shorten(why, 400))
    for name, mine, wanted in zip(names, got, expected):
        scale = float(np.abs(wanted.values[np.isfinite(wanted.values)]).max(initial=0.0))  # of a mistake, NaN too
        if found := difference(mine, wanted, Tolerance(1e-3, 1e-5 * scale), f"with respect to {name}"):
            return Difference("gradient", found.where, found.what, found.detail)
    return None
