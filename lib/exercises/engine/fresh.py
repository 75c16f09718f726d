"""The settings of PyTorch and NumPy as in a new notebook, while the engine builds cases or runs an answer.

A cell of a notebook, or an answer, may have set another default device or dtype, switched gradients off, or made NumPy
raise at overflow. None of this may break a check, or make a right answer wrong.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch


@contextmanager
def fresh_settings() -> Iterator[None]:
    """Default device CPU, default dtype float32, gradients on, NumPy's errors ignored; afterwards all is as before.

    >>> torch.set_default_dtype(torch.float64)
    >>> with fresh_settings():
    ...     torch.zeros(1).dtype
    torch.float32
    >>> torch.zeros(1).dtype, torch.set_default_dtype(torch.float32)
    (torch.float64, None)
    """
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    with ExitStack() as stack:
        stack.callback(_restore, dtype, device)
        torch.set_default_dtype(torch.float32)
        if device.type != "cpu":
            torch.set_default_device(None)
            stack.enter_context(torch.device("cpu"))  # inside `with torch.device(…)` the default is not asked
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(np.errstate(all="ignore"))
        yield


def _restore(dtype: torch.dtype, device: torch.device) -> None:
    torch.set_default_dtype(dtype)
    if torch.get_default_device() != device:
        torch.set_default_device(None if device.type == "cpu" else device)
