"""Which inputs an output can see: the picture behind the family trees of Transformers (slides W07, C20)."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib import checks


def receptive_field(
    f: Callable[[Float[Tensor, "T D"]], Float[Tensor, "T E"]], x: Float[Tensor, "T D"]
) -> Bool[Tensor, "T T"]:
    r"""True at [i, j] where output i of `f` depends on input j: $\partial f(x)_i / \partial x_j \neq 0$.

    Every entry of the (E, D) block counts, not their sum: derivatives may cancel. The result holds at `x`; a unit
    that happens to be switched off there (ReLU) hides the inputs that it depends on.

    Raises ValueError unless `x` and `f(x)` have one row per position.

    >>> receptive_field(lambda x: x.cumsum(dim=0), torch.ones(3, 2)).int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    checks.shape("x", x, "T", "D")
    checks.not_empty(x=x)
    with torch.enable_grad():
        jacobian = torch.autograd.functional.jacobian(f, x)
    if jacobian.dim() != 4 or jacobian.shape[0] != len(x):
        raise ValueError(f"f must return one row for each of the {len(x)} rows of x, got {tuple(jacobian.shape[:-2])}")
    return (jacobian != 0).any(dim=3).any(dim=1)  # (T, E, T, D) -> (T, T)
