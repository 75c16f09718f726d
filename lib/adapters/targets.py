"""Which matrices of a model an adapter goes to: linear layers by name, and the named rows of fused ones.

Our attention keeps query, key and value in one matrix, "…attention.qkv"; LoRA's paper adapts query and value
only. So the rows have names of their own, "…attention.qkv.q" and so on, and can be asked for like layers. The
same holds for a gated feed-forward layer: "…feed_forward.gate" and "…feed_forward.up" are the halves of one matrix,
which is called "…feed_forward.gate_up". So "q", "k", "v", "gate", "up" and "down" each mean one linear map, in our
models as in others.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate
from typing import Any

import torch
from torch import nn

from lib.models import Decoder, EncoderDecoder, MLMHead
from lib.models.attention import CrossAttention, SelfAttention
from lib.models.layers import FeedForward
from lib.models.linear import Linear, PackedLinear
from lib.names import nearest

WHOLE = "whole"  # the part of a matrix that is not cut


@dataclass(frozen=True, eq=False)
class Target:
    """One matrix, or some rows of a fused one, that an adapter can be put on."""

    name: str  # as patterns see it, unique in the model
    module: nn.Module
    part: str  # WHOLE, or q, k, v, gate, up
    start: int  # first output that it makes
    stop: int  # one past the last
    inputs: int  # k in W ∈ R^{d×k}
    fused: bool = False  # whether it holds several matrices, which are targets themselves

    @property
    def outputs(self) -> int:
        """d in W ∈ R^{d×k}."""
        return self.stop - self.start


def find_targets(model: nn.Module) -> dict[str, Target]:
    """Every linear layer of a model by name, and after each fused one its parts.

    Linear layers are `nn.Linear`, ours, ours in few bits, and transformers' `Conv1D`. Output layers of ours whose
    matrix is used without calling the layer are left out: an adapter on the layer would have no effect.

    >>> from lib.models import preset
    >>> import torch
    >>> with torch.device("meta"):
    ...     names = list(find_targets(Decoder(preset("gpt-2"))))
    >>> names[:5]  # doctest: +NORMALIZE_WHITESPACE
    ['stack.blocks.0.attention.qkv', 'stack.blocks.0.attention.qkv.q', 'stack.blocks.0.attention.qkv.k',
     'stack.blocks.0.attention.qkv.v', 'stack.blocks.0.attention.output']
    """
    modules = dict(model.named_modules())
    found = {}
    for name, module in modules.items():
        if not is_linear(module):
            continue
        parent_name, _, child = name.rpartition(".")
        parent = modules[parent_name] if name else None
        if _bypassed(parent, child):
            continue
        outputs, inputs = linear_shape(module)
        parts = _parts(parent, child)
        gated = isinstance(parent, FeedForward) and bool(parts)
        whole = f"{parent_name}.gate_up".lstrip(".") if gated else name
        found[whole] = Target(whole, module, WHOLE, 0, outputs, inputs, fused=bool(parts))
        for part, start, stop in parts:
            own = f"{parent_name if gated else name}.{part}".lstrip(".")
            found[own] = Target(own, module, part, start, stop, inputs)
    return found


def select_targets(model: nn.Module, patterns: Iterable[str]) -> list[Target]:
    """The targets that some pattern names.

    A pattern is a name, or the end of one after a dot, with the wildcards *, ? and [..] of a shell: "q_proj",
    "attention.output", "*.3.attention.qkv.q". Wildcards at the end stand for the matrices as the architecture has
    them: "*" takes q, k and v, not the matrix that they lie in. One of those is adapted whole, with one A, where
    its own name is asked for ("qkv", "kv", "gate_up"), whatever other pattern names a part of it.
    Raises ValueError for a pattern that names nothing, with the nearest names.
    """
    found = find_targets(model)
    chosen: dict[str, Target] = {}
    for pattern in patterns:
        matched = {name: target for name, target in found.items() if _matches(target, pattern)}
        if not matched:
            raise ValueError(
                f"targets: {pattern!r} names no linear layer of this "
                f"{type(model).__name__}; {nearest(pattern, _known(found, pattern), most=3)}"
            )
        chosen |= matched
    whole = {id(target.module) for target in chosen.values() if target.part == WHOLE}
    return [
        target
        for name, target in found.items()
        if name in chosen and (target.part == WHOLE or id(target.module) not in whole)
    ]


def is_linear(module: nn.Module) -> bool:
    """Whether a module is y = x Wᵀ + b and nothing else; a subclass with a forward of its own is not."""
    kind = getattr(module, "base_class", type(module))
    return kind in (nn.Linear, Linear) or issubclass(kind, PackedLinear) or is_conv1d(module)


def is_conv1d(module: nn.Module) -> bool:
    """Whether it is the linear layer of transformers' GPT-2, whose weight lies (inputs, outputs)."""
    kind = getattr(module, "base_class", type(module))
    return kind.__name__ == "Conv1D" and kind.__module__ == "transformers.pytorch_utils"


def linear_shape(module: nn.Module) -> tuple[int, int]:
    """Outputs and inputs, d and k."""
    if isinstance(module, PackedLinear):
        return module.out_features, module.in_features
    rows, columns = module.weight.shape
    return (columns, rows) if is_conv1d(module) else (rows, columns)


def trained_like(module: nn.Module) -> dict[str, Any]:
    """Device and dtype for what is trained beside a linear layer: float32, or float64 beside float64.

    In 16 bits a number near 1 does not notice a step below 0.004 (bfloat16): training at small rates would stop.
    """
    like = module.stored()[-1] if isinstance(module, PackedLinear) else module.weight
    return {"device": like.device, "dtype": torch.promote_types(like.dtype, torch.float32)}


def _parts(parent: nn.Module | None, child: str) -> list[tuple[str, int, int]]:
    """Name, first row and end of each matrix that is laid into a fused one."""
    if isinstance(parent, SelfAttention) and child == "qkv":
        names, sizes = ("q", "k", "v"), parent.sizes
    elif isinstance(parent, CrossAttention) and child == "kv":
        names, sizes = ("k", "v"), [linear_shape(parent.kv)[0] // 2] * 2
    elif isinstance(parent, FeedForward) and child == "up" and parent.gated:
        names, sizes = ("gate", "up"), [linear_shape(parent.up)[0] // 2] * 2
    else:
        return []
    ends = list(accumulate(sizes))
    return [(name, end - size, end) for name, size, end in zip(names, sizes, ends)]


def _bypassed(parent: nn.Module | None, child: str) -> bool:
    if isinstance(parent, (Decoder, EncoderDecoder)):
        return child == "output"
    return isinstance(parent, MLMHead) and child == "decoder"


def _matches(target: Target, pattern: str) -> bool:
    name = target.name
    if target.fused and name.rpartition(".")[2] != pattern.rpartition(".")[2]:
        return False
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"*.{pattern}")


def _known(found: dict[str, Target], pattern: str) -> list[str]:
    """The names to suggest: a layer's own name, or its path where a path was asked for, each once."""
    if "." in pattern:
        return list(dict.fromkeys(re.sub(r"\.\d+\.", ".*.", name) for name in found))
    return list(dict.fromkeys(name.rpartition(".")[2] for name in found))
