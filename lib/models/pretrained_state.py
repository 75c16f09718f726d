"""A state dict as it was saved, made ready for our tables: names without wrappers, tied copies, numbers we can use."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lib import checks
from lib.models.pretrained_maps import CONSTANTS, COPIES, PREFIX

WRAPPERS = r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
"""Parts that `torch.compile`, FSDP and activation checkpointing put into names; DistributedDataParallel begins them
with "module."."""

OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
"""What BERT's files, which came from TensorFlow, call the parameters of a norm."""

FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def read_state(source: nn.Module | Mapping[str, Any], family: str) -> dict[str, Tensor]:
    """The tensors of a `transformers` model or of its state dict, under the names that our tables know.

    Raises TypeError for anything but tensors of numbers that a model can compute with (int8 and float8 need their
    scales), ValueError for NaN or an infinity, or if two keys come to one name.
    """
    state = source.state_dict() if isinstance(source, nn.Module) else checks.instance("source", source, Mapping)
    found: dict[str, Tensor] = {}
    keys: dict[str, str] = {}
    for key, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"source[{key!r}] must be a tensor, got {type(tensor).__name__}: give the state dict itself"
            )
        name = plain_name(key, family)
        if name in found:
            raise ValueError(f"the state dict holds {name} twice: as {keys[name]} and as {key}")
        found[name], keys[name] = tensor, key
        if not is_constant(name):
            _check_numbers(key, tensor)
    return found


def plain_name(key: str, family: str) -> str:
    """A key without what wrappers, older files and the class with a head made of it.

    >>> plain_name("module.bert.embeddings.LayerNorm.gamma", "bert")
    'embeddings.LayerNorm.weight'
    """
    name = re.sub(r"^(module\.)+", "", re.sub(WRAPPERS, "", key)).removeprefix(PREFIX[family])
    for old, new in OLD_NAMES.items():
        if name.endswith(old):
            name = name.removesuffix(old) + new
    return name


def is_constant(name: str) -> bool:
    """Whether a key holds nothing that a model is made of."""
    return any(re.fullmatch(pattern, name) for pattern in CONSTANTS)


def fill_from_copies(state: dict[str, Tensor], family: str, *, tied: bool) -> None:
    """Of a matrix with several names a file may hold any one: give it its first name. An untied head is no copy."""
    for copy, original in COPIES[family].items():
        if original not in state and copy in state and (tied or copy != "lm_head.weight"):
            state[original] = state[copy]


def _check_numbers(key: str, tensor: Tensor) -> None:
    if tensor.dtype not in FLOATS:
        known = ", ".join(str(dtype).removeprefix("torch.") for dtype in FLOATS)
        raise TypeError(f"{key} must be of {known}, got {tensor.dtype}: quantised weights are not supported")
    if tensor.is_meta or not tensor.numel():
        return
    low, high = tensor.aminmax()  # both are NaN if any number is; no second tensor is made
    if not (low.isfinite() and high.isfinite()):
        checks.finite(**{key: tensor})
