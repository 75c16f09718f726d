"""A model with its matrices in 8 or 4 bits: a quarter of the memory or less, at a small loss (slide T47).

Only linear layers are made small. Embeddings, norms and what stands on top (the output matrix, tied or not,
and every head) stay as they are, as in LLM.int8() (Dettmers et al. 2022): in a large model they are few, and
sensitive. In a small one the output matrix is the largest of all, and `output=True` takes it in. The small matrices
are buffers, not parameters: they are saved and moved with the model, but not trained, and `count_parameters` does not
see them.

What it saves is memory: a matrix that is only stored in few bits is unpacked for every product. "int8-dynamic" saves
time instead: it multiplies the integers as they are, and decoding one token is as slow as the bytes it reads. On such
a model LoRA can be trained (`lib.adapters.inject_lora`), which in 4-bit NormalFloat is QLoRA (Dettmers et al. 2023).
"""

from collections.abc import Sequence
from copy import deepcopy
from fnmatch import fnmatchcase

import torch
from torch import nn

from lib import checks
from lib.models.decoder import Decoder
from lib.models.linear import Linear
from lib.models.quantized_layers import Compute, GroupedInt4Linear, Int8Embedding, Int8Linear, NF4Linear
from lib.names import nearest

SCHEMES = ("bf16", "int8-tensor", "int8-channel", "int8-vector", "int8-outlier", "int8-dynamic", "int4-group", "nf4")
COMPUTE: dict[str, Compute] = {"int8-vector": "int8", "int8-outlier": "outlier", "int8-dynamic": "dynamic"}
"""How layers of a scheme compute where they do not compute in float."""
HEADS = ("output", "backbone.output", "head.*")
"""Names of what is on top of our models; not quantised, because some of them give their weight to other code."""
WITH_OUTPUT = ("int8-channel", "int8-dynamic")
"""Schemes in which a decoder's output matrix can be quantised too."""


def quantize_model(
    model: nn.Module,
    *,
    scheme: str,
    skip: Sequence[str] = (),
    group_size: int = 32,
    threshold: float = 6.0,
    output: bool = False,
    inplace: bool = False,
) -> nn.Module:
    """A model whose plain linear layers hold fewer bits; the given one is untouched unless `inplace`.

    Schemes: "int8-tensor" and "int8-channel" store W in 8 bits with one scale, or one per output, and compute
    in float; "int8-vector" rounds the inputs too, a scale per token, and multiplies integers; "int8-outlier"
    does that except for inputs with an outlier, |x| ≥ `threshold` (LLM.int8()); "int8-dynamic" rounds as "int8-vector"
    does and multiplies by `dynamic_int8_matmul`, the fastest for decoding; "int4-group" stores 4 bits
    with a scale for every `group_size` weights; "nf4" stores 4-bit NormalFloats with scales in 8 bits, QLoRA's
    base; "bf16" casts the whole model, including its embeddings.

    Embeddings, norms, the heads named in `HEADS`, and layers whose full name matches a pattern in `skip`
    ("*.down") are not changed; with `output`, for a `Decoder` and the schemes of `WITH_OUTPUT`, the output matrix is
    quantised too, and with it the token embedding if they are tied (one matrix for both, as before). A copy shares no
    memory with the given model, and does not copy the matrices that it replaces. Raises TypeError if `model` is no
    module, ValueError for an unknown scheme, a pattern that matches nothing, nothing to quantise, a group size that
    does not divide, a layer with an adapter on it (merge it first), or `output` where there is none to quantise.

    >>> model = nn.Sequential(nn.Linear(32, 32, bias=False), nn.Linear(32, 32, bias=False))
    >>> model_bytes(model), model_bytes(quantize_model(model, scheme="int8-tensor", skip=["1"]))
    (8192, 5124)
    """
    checks.instance("model", model, nn.Module)
    checks.one_of("scheme", scheme, SCHEMES)
    if scheme == "bf16":
        if skip or output:
            asked = f"skip must be empty with bf16, which casts the whole model, got {skip!r}"
            raise ValueError(asked if skip else "output must be False with bf16, which casts the whole model")
        return (model if inplace else deepcopy(model)).to(torch.bfloat16)
    chosen: dict[str, nn.Linear | nn.Embedding] = {**_linear_layers(model, skip)}
    if output:
        chosen |= _output(model, scheme)
    if inplace and "" in chosen:
        raise ValueError("inplace must be False for a model that is itself the layer to replace")
    small: dict[int, nn.Module] = {}  # by identity: a layer that stands in two places stays one
    for name, linear in chosen.items():
        if id(linear) not in small:
            small[id(linear)] = _quantize_layer(name, linear, scheme, group_size, threshold)
    if not inplace:
        return deepcopy(model, dict(small))  # deepcopy takes these for copies that it has made already
    for name, linear in chosen.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, small[id(linear)])
    return model


def model_bytes(model: nn.Module) -> int:
    """Bytes of all parameters and buffers, a tied one counted once.

    Raises TypeError if `model` is no module.

    >>> model_bytes(nn.Linear(10, 10))
    440
    """
    checks.instance("model", model, nn.Module)
    return sum(t.numel() * t.element_size() for held in (model.parameters(), model.buffers()) for t in held)


def _linear_layers(model: nn.Module, skip: Sequence[str]) -> dict[str, nn.Linear]:
    """The layers to replace, by every name that they have."""
    skip = checks.strings("skip", skip)
    linear = {
        name: module for name, module in model.named_modules(remove_duplicate=False) if isinstance(module, nn.Linear)
    }
    for pattern in skip:
        if not any(fnmatchcase(name, pattern) for name in linear):
            raise ValueError(f"skip must match linear layers, got {pattern!r}; {nearest(pattern, linear)}")
    kept = {
        id(module) for name, module in linear.items() if any(fnmatchcase(name, pattern) for pattern in (*HEADS, *skip))
    }
    chosen = {name: module for name, module in linear.items() if id(module) not in kept}
    for name, module in chosen.items():
        if type(module) not in (nn.Linear, Linear):
            raise ValueError(
                f"model must have plain linear layers, got {type(module).__name__} at {name!r}: "
                "merge or remove its adapter first, or skip it"
            )
    if not chosen:
        raise ValueError(
            "model must have a linear layer to quantise that is neither a head nor skipped, "
            "got none (is it quantised already?)"
        )
    return chosen


def _output(model: nn.Module, scheme: str) -> dict[str, nn.Linear | nn.Embedding]:
    """The matrix that makes a decoder's logits, by name: a layer of its own, or the token embedding."""
    checks.one_of("scheme with output=True", scheme, WITH_OUTPUT)
    if not isinstance(model, Decoder):
        raise ValueError(f"model must be a Decoder with output=True, got {type(model).__name__}")
    return {"tokens": model.tokens} if model.output is None else {"output": model.output}


def _quantize_layer(
    name: str, linear: nn.Linear | nn.Embedding, scheme: str, group_size: int, threshold: float
) -> nn.Module:
    compute: Compute = COMPUTE.get(scheme, "float")
    try:
        if isinstance(linear, nn.Embedding):
            return Int8Embedding.from_embedding(linear, compute=compute)
        if scheme == "nf4":
            return NF4Linear.from_linear(linear)
        if scheme == "int4-group":
            return GroupedInt4Linear.from_linear(linear, group_size=group_size)
        return Int8Linear.from_linear(linear, per_channel=scheme != "int8-tensor", compute=compute, threshold=threshold)
    except ValueError as error:
        raise ValueError(f"the layer {name!r} cannot be quantised: {error}") from error
