"""When the Triton kernels may be used, and how one is started: the checks, the choice and the launch behind `triton.py`."""

import importlib.util
import os
import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MAX_WIDTH = 256
"""The widest head whose tiles fit a GPU's shared memory."""

TWINS: dict[str, Callable] = {}
"""What `triton.py` offers in place of plain functions. It is filled there, so that these need not import it."""


def triton_serves(*tensors: Tensor) -> bool:
    """Return whether the kernels should do this work: tensors of one suitable type, on a GPU where Triton runs.

    >>> triton_serves(torch.zeros(2))  # never on the CPU
    False
    """
    first = tensors[0]
    return (
        first.is_cuda
        and first.dtype in DTYPES
        and all(x.dtype == first.dtype and x.device == first.device for x in tensors)
        and os.environ.get("COURSE_TRITON", "1") != "0"
        and _works(first.device)
    )


def triton_serves_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> bool:
    """Return whether `triton_serves` these tensors, and the kernel takes heads of this width and this mask.

    >>> triton_serves_attention(*[torch.zeros(1, 1, 1, 16)] * 3, mask=None)
    False
    """
    return triton_serves(q, k, v) and unfit_for_attention(q, v, mask) is None


def products(x: Tensor) -> dict:
    """How tiles are multiplied: in their own type, except where the interpreter has no bfloat16 product."""
    import triton.language as tl

    own = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}[x.dtype]
    exact = torch.get_float32_matmul_precision() == "highest"
    return {"DOT": tl.float32 if interpreted() else own, "PRECISION": "ieee" if exact else "tf32"}


def blocks(size: int, block: int) -> int:
    return -(-size // block)


def power_of_two(size: int) -> int:
    """The next power of two, and at least the 16 that a product of tiles needs."""
    return max(16, 1 << (size - 1).bit_length())


def launch(name: str, programs: int, first: Tensor, *rest, **options) -> None:
    kernel = getattr(_programs(), name)
    if programs:
        with torch.cuda.device_of(first):  # Triton launches on the current device
            kernel[(programs,)](first, *rest, enable_fp_fusion=True, **options)  # said, as Triton's default is changing


@cache
def _programs():
    """The module of the kernels, imported when first needed: Triton alone takes a second."""
    if importlib.util.find_spec("triton") is None:
        raise ImportError(
            "the Triton kernels need the package triton, which is not installed: pip install 'llm-course[gpu]'"
        )
    from lib.kernels import triton_programs

    return triton_programs


def interpreted() -> bool:
    import triton

    return not isinstance(_programs().softmax_forward, triton.JITFunction)


@cache
def _works(device: torch.device) -> bool:
    """Try a kernel once: a GPU that is too old, or a missing C compiler, is a warning and not an error."""
    if importlib.util.find_spec("triton") is None or interpreted():
        return False
    if torch.version.hip is None and torch.cuda.get_device_capability(device) < (8, 0):
        return False  # Triton's tiles need Ampere's instructions
    try:
        logit = torch.zeros(1, device=device)
        launch("softmax_forward", 1, logit, torch.empty_like(logit), 1, BLOCK=16)
    except Exception as error:  # whatever it is, PyTorch's operations do the same work
        warnings.warn(
            f"Triton does not work here, PyTorch's operations are used: {error}", RuntimeWarning, stacklevel=2
        )
        return False
    return True


def unfit_for_attention(q: Tensor, v: Tensor, mask: Tensor | None) -> str | None:
    """Why the attention kernels cannot take these, or None."""
    if max(q.shape[-1], v.shape[-1]) > MAX_WIDTH:
        return f"q and v must have heads at most {MAX_WIDTH} wide, got {q.shape[-1]} and {v.shape[-1]}"
    if mask is not None and mask.requires_grad:
        return "mask must not require a gradient: the kernels have none for it, attention_tiled has"
    if mask is not None and mask.device != q.device:
        return f"mask must be on {q.device} like q, got {mask.device}"
    return None


def check_tensors(**tensors: Tensor) -> None:
    """Refuse what the kernels cannot read, naming the argument."""
    _programs()
    (first_name, first), *_ = tensors.items()
    for name, x in tensors.items():
        if x.dtype not in DTYPES:
            raise TypeError(f"{name} must be float32, bfloat16 or float16 for the Triton kernels, got {x.dtype}")
        if x.dtype != first.dtype:
            raise TypeError(f"{name} must have the type {first.dtype} of {first_name}, got {x.dtype}")
    check_device(first.device, **tensors)


def check_device(device: torch.device, **tensors: Tensor) -> None:
    for name, x in tensors.items():
        if not x.is_cuda and not (x.device.type == "cpu" and interpreted()):
            raise ValueError(
                f"{name} must be on a GPU for the Triton kernels (on the CPU they run only in Triton's "
                f"interpreter: TRITON_INTERPRET=1, set before Python starts), got a tensor on {x.device}"
            )
        if x.device != device:
            raise ValueError(f"{name} must be on {device} like the others, got {x.device}")
