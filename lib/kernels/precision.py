"""Half precision is for storing and for products; sums, exponentials and scales are computed in float32."""

import torch
from torch import Tensor


def widened(x: Tensor) -> Tensor:
    """x in float32 if it is in half precision: bfloat16 keeps three digits, float16 ends at 65,504.

    >>> widened(torch.ones(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
