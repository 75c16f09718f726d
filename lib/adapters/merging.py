"""Merging an adapter into the weights and unmerging it, and removing adapters."""

from torch import Tensor, nn

from lib.adapters.freezing import end_adapter
from lib.adapters.lora import (
    lora_layers,
    require_layers,
    require_name,
    require_unmerged,
)
from lib.adapters.lora_layer import LoraLayer
from lib.models.linear import PackedLinear


def base_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """The state dict that the model would have without adapters: the same names, the same numbers.

    Raises ValueError if an adapter was merged for good.

    >>> from lib.adapters import LoraSettings, inject_lora
    >>> model = nn.Sequential(nn.Linear(4, 6))
    >>> _ = inject_lora(model, LoraSettings(rank=1, targets=("0",)))
    >>> list(base_state_dict(model))
    ['0.weight', '0.bias']
    """
    state = model.state_dict()
    layers = lora_layers(model)
    for prefix, layer in layers:
        if layer.merged is not None:
            _require_kept(layer, prefix)
            state[f"{prefix}.weight".lstrip(".")] = layer.kept[0].detach()
    added = tuple(f"{prefix}.adapters.".lstrip(".") for prefix, _ in layers)
    return {key: value for key, value in state.items() if not key.startswith(added)} if added else dict(state)


def merge(model: nn.Module, name: str | None = None, *, keep_base: bool = True) -> None:
    """W ← W₀ + s BA: the model computes as fast as without an adapter (slide T47: no overhead).

    `name` None takes the active adapter. W₀ is kept as well, so that `unmerge` restores it bit for bit;
    `keep_base=False` saves that memory, and then there is no way back.
    Raises ValueError, and changes nothing, if there is nothing to merge, an adapter is merged already, or a base is
    in few bits, which cannot hold the sum.

    >>> from lib.adapters import LoraSettings, inject_lora
    >>> model = nn.Sequential(nn.Linear(4, 6))
    >>> _ = inject_lora(model, LoraSettings(rank=1, targets=("0",)))
    >>> merge(model)
    >>> merge(model)
    Traceback (most recent call last):
    ValueError: the adapter 'default' is merged into the weights: call unmerge first
    """
    require_unmerged(model)
    layers = require_layers(model)
    if name is None:
        name = next((layer.active for _, layer in layers if layer.active is not None), None)
        if name is None:
            raise ValueError("no adapter is active: name the one to merge")
    require_name(model, name)
    for prefix, layer in layers:
        if name in layer.adapters and isinstance(layer, PackedLinear):
            raise ValueError(
                f"{prefix or 'the layer'} is quantised: W + s BA would have to be rounded to its few bits again; "
                f"leave the adapter beside it, or load it onto the model in full precision and merge there"
            )
    for _, layer in layers:
        if name in layer.adapters:
            layer.merge(name, keep_base=keep_base)
        layer.active = name if name in layer.adapters else None


def unmerge(model: nn.Module) -> None:
    """Undo `merge`: the base weights are the same objects as before, and the adapter is separate again.

    Raises ValueError if nothing is merged, or the base was not kept.

    >>> from lib.adapters import LoraSettings, inject_lora
    >>> model = nn.Sequential(nn.Linear(4, 6))
    >>> before = model[0].weight
    >>> _ = inject_lora(model, LoraSettings(rank=1, targets=("0",)))
    >>> merge(model)
    >>> unmerge(model)
    >>> model[0].weight is before
    True
    """
    merged = [(prefix, layer) for prefix, layer in require_layers(model) if layer.merged is not None]
    if not merged:
        raise ValueError("no adapter is merged: there is nothing to unmerge")
    for prefix, layer in merged:
        _require_kept(layer, prefix)
    for _, layer in merged:
        layer.unmerge()


def remove_lora(model: nn.Module, name: str | None = None) -> None:
    """Remove one adapter, or (None) all of them; without any the model is bit for bit what it was.

    What was trained before is trained again when the last is gone. A merged adapter is unmerged first; one that was
    merged for good (`keep_base=False`) stays in the weights, and only its factors go.
    Raises ValueError if there is no such adapter.

    >>> from lib.adapters import LoraSettings, inject_lora
    >>> model = nn.Sequential(nn.Linear(4, 6))
    >>> _ = inject_lora(model, LoraSettings(rank=1, targets=("0",)))
    >>> remove_lora(model)
    >>> model
    Sequential(
      (0): Linear(in_features=4, out_features=6, bias=True)
    )
    """
    layers = require_layers(model)
    if name is not None:
        require_name(model, name)
    if any(layer.kept for _, layer in layers):
        unmerge(model)
    for _, layer in layers:
        for gone in list(layer.adapters) if name is None else {name} & set(layer.adapters):
            del layer.adapters[gone]
            layer.active = None if layer.active == gone else layer.active
        if not layer.adapters:
            layer.detach()
    if not lora_layers(model):
        end_adapter(model, "lora")


def _require_kept(layer: LoraLayer, prefix: str) -> None:
    if not layer.kept:
        raise ValueError(
            f"the adapter {layer.merged!r} was merged for good (keep_base=False): "
            f"the base of {prefix or 'the layer'} is gone"
        )
