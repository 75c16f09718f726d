"""LoRA on a whole model: put adapters on, take them off, swap them, fold one in (slides W26 to W28).

    inject_lora(model, LoraSettings(rank=8, targets=("q", "v")))      # ours
    inject_lora(model, LoraSettings(targets=("q_proj", "v_proj")))    # transformers' Llama
    inject_lora(model, LoraSettings(targets=("c_attn",)))             # transformers' GPT-2

The base is never written to: with all adapters removed the model is bit for bit what it was. An adapted model
deep-copies, but cannot be pickled whole: save its `state_dict`, or the adapter alone with `save_adapter`.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.adapters.freezing import freeze, unfreeze
from lib.adapters.lora_layer import Adapter, LoraLayer, LoraSettings, lora_class
from lib.adapters.targets import Target, select_targets
from lib.names import nearest


def inject_lora(
    model: nn.Module, settings: LoraSettings, *, name: str = "default",
    generator: torch.Generator | None = None,
) -> list[str]:
    """Add s BA to the matrices that `settings.targets` name, in place: W₀ + ΔW = W₀ + s BA (slide W27).

    A is drawn from `generator` (None: the global one), B is zero: the model's outputs do not change. From
    then on A and B are all that is trained, and this adapter is the one at work; others stay in memory.
    Returns the names of the adapted matrices.
    Raises ValueError, and changes nothing, if a target names no layer, `rank` is above min(d, k), `name` is
    no identifier or taken, or an adapter is merged.

    >>> from lib.adapters import count_trainable
    >>> from lib.models import Decoder, preset
    >>> with torch.device("meta"):
    ...     gpt3 = Decoder(preset("gpt-3-175b"))
    >>> len(inject_lora(gpt3, LoraSettings(rank=1))), count_trainable(gpt3)
    (192, 4718592)
    """
    require_free(model, name)
    chosen = select_targets(model, settings.targets)
    for target in chosen:
        most = min(target.outputs, target.inputs)
        if settings.rank > most:
            raise ValueError(f"rank {settings.rank} is above min(d, k) = {most} of {target.name}: "
                             f"{target.outputs} by {target.inputs} has no more ranks to give")
    attach(model, name, settings, chosen, generator)
    return [target.name for target in chosen]


def attach(
    model: nn.Module, name: str, settings: LoraSettings, targets: Sequence[Target],
    generator: torch.Generator | None = None,
) -> dict[str, nn.Parameter]:
    """Put a checked adapter on, at work and trained; its factors by "target.A" and "target.B"."""
    groups: dict[nn.Module, list[Target]] = {}
    for target in targets:
        groups.setdefault(target.module, []).append(target)
    adapters = {module: Adapter(settings, group, generator) for module, group in groups.items()}
    freeze(model)  # all memory is there: from here on nothing can fail half-way
    for module, adapter in adapters.items():
        if not isinstance(module, LoraLayer):
            module.__class__ = lora_class(type(module))
            module.wear()
        adapter.train(module.training)
        module.adapters[name] = adapter
    set_adapter(model, name)
    factors = {}
    for target in targets:
        part = target.module.adapters[name][target.part]
        factors |= {f"{target.name}.A": part.A, f"{target.name}.B": part.B}
    return factors


def adapter_names(model: nn.Module) -> list[str]:
    """The adapters that a model has in memory, in the order in which they came."""
    return list(dict.fromkeys(name for _, layer in lora_layers(model) for name in layer.adapters))


def lora_parameters(model: nn.Module, name: str | None = None) -> dict[str, nn.Parameter]:
    """A and B of one adapter, or of all, by their names in the model.

    Raises ValueError if there is no such adapter.
    """
    if name is not None:
        _require(model, name)
    return {
        f"{prefix}.adapters.{adapter}.{key}".lstrip("."): parameter
        for prefix, layer in lora_layers(model)
        for adapter in ([name] if name in layer.adapters else [] if name is not None else layer.adapters)
        for key, parameter in layer.adapters[adapter].named_parameters()
    }


def weight_changes(model: nn.Module, name: str = "default") -> dict[str, Float[Tensor, "_ _"]]:
    """ΔW = s BA of every adapted matrix, (d, k), by the layer's name; a fused matrix is one.

    Raises ValueError if there is no such adapter.
    """
    _require(model, name)
    return {prefix: layer.change(name) for prefix, layer in lora_layers(model) if name in layer.adapters}


def base_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """The state dict that the model would have without adapters: the same names, the same numbers.

    Raises ValueError if an adapter was merged for good.
    """
    state = model.state_dict()
    layers = lora_layers(model)
    for prefix, layer in layers:
        if layer.merged is not None:
            _require_kept(layer, prefix)
            state[f"{prefix}.weight".lstrip(".")] = layer.kept[0].detach()
    added = tuple(f"{prefix}.adapters.".lstrip(".") for prefix, _ in layers)
    return {key: value for key, value in state.items() if not key.startswith(added)} if added else dict(state)


def set_adapter(model: nn.Module, name: str | None) -> None:
    """Let another adapter work and be trained, or (None) the base alone.

    Raises ValueError if there is no such adapter, or one is merged.
    """
    _require_unmerged(model)
    if name is not None:
        _require(model, name)
    for _, layer in lora_layers(model):
        layer.active = name if name in layer.adapters else None
        for other, adapter in layer.adapters.items():
            adapter.requires_grad_(other == name)


@contextmanager
def use_adapter(model: nn.Module, name: str | None) -> Iterator[nn.Module]:
    """Another adapter, or the base alone, for the calls inside; what is trained stays the same.

    Raises ValueError as `set_adapter` does.

    >>> model = nn.Sequential(nn.Linear(4, 4))
    >>> _ = inject_lora(model, LoraSettings(rank=2, targets=("0",)))
    >>> with use_adapter(model, None) as base:
    ...     y = base(torch.zeros(1, 4))
    """
    _require_unmerged(model)
    if name is not None:
        _require(model, name)
    before = [(layer, layer.active) for _, layer in lora_layers(model)]
    for layer, _ in before:
        layer.active = name if name in layer.adapters else None
    try:
        yield model
    finally:
        for layer, active in before:
            layer.active = active


def merge(model: nn.Module, name: str | None = None, *, keep_base: bool = True) -> None:
    """W ← W₀ + s BA: the model computes as fast as without an adapter (slide T47: no overhead).

    `name` None takes the adapter at work. W₀ is kept beside, so that `unmerge` brings it back bit for bit;
    `keep_base=False` saves that memory, and then there is no way back.
    Raises ValueError if there is nothing to merge or an adapter is merged already.
    """
    _require_unmerged(model)
    layers = _require_layers(model)
    if name is None:
        name = next((layer.active for _, layer in layers if layer.active is not None), None)
        if name is None:
            raise ValueError("no adapter is at work: name the one to merge")
    _require(model, name)
    for _, layer in layers:
        if name in layer.adapters:
            layer.merge(name, keep_base=keep_base)
        layer.active = name if name in layer.adapters else None


def unmerge(model: nn.Module) -> None:
    """Undo `merge`: the base weights are the very ones from before, the adapter works beside them again.

    Raises ValueError if nothing is merged, or the base was not kept.
    """
    merged = [(prefix, layer) for prefix, layer in _require_layers(model) if layer.merged is not None]
    if not merged:
        raise ValueError("no adapter is merged: there is nothing to unmerge")
    for prefix, layer in merged:
        _require_kept(layer, prefix)
    for _, layer in merged:
        layer.unmerge()


def remove_lora(model: nn.Module, name: str | None = None) -> None:
    """Take one adapter away, or (None) all of them; without any the model is bit for bit what it was.

    What was trained before is trained again. A merged adapter is unmerged first; one that was merged for good
    (`keep_base=False`) stays in the weights, and only its factors go.
    Raises ValueError if there is no such adapter.
    """
    layers = _require_layers(model)
    if name is not None:
        _require(model, name)
    if any(layer.kept for _, layer in layers):
        unmerge(model)
    for _, layer in layers:
        for gone in list(layer.adapters) if name is None else {name} & set(layer.adapters):
            del layer.adapters[gone]
            layer.active = None if layer.active == gone else layer.active
        if not layer.adapters:
            layer.shed()
    if not lora_layers(model):
        unfreeze(model)


def lora_layers(model: nn.Module) -> list[tuple[str, LoraLayer]]:
    """The adapted layers and their names.

    Raises TypeError if `model` is no module.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, got {type(model).__name__}")
    return [(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)]


def require_free(model: nn.Module, name: str) -> None:
    """Raise ValueError unless an adapter of this name can be put on the model."""
    # A module's own attributes (train, items, ...) cannot be keys of a ModuleDict.
    if not re.fullmatch(r"[A-Za-z0-9_-]+", str(name)) or hasattr(nn.ModuleDict(), name):
        raise ValueError(f"name must be letters, digits, _ and -, and no method of a module, got {name!r}")
    if name in adapter_names(model):
        raise ValueError(f"there is already an adapter {name!r}: remove it, or give this one another name")
    _require_unmerged(model)


def _require_layers(model: nn.Module) -> list[tuple[str, LoraLayer]]:
    layers = lora_layers(model)
    if not layers:
        raise ValueError(f"this {type(model).__name__} has no adapter: call inject_lora first")
    return layers


def _require(model: nn.Module, name: str) -> None:
    names = adapter_names(model)
    if name not in names:
        raise ValueError(f"there is no adapter {name!r}; {nearest(name, names)}")


def _require_unmerged(model: nn.Module) -> None:
    merged = next((layer.merged for _, layer in lora_layers(model) if layer.merged is not None), None)
    if merged is not None:
        raise ValueError(f"the adapter {merged!r} is merged into the weights: call unmerge first")


def _require_kept(layer: LoraLayer, prefix: str) -> None:
    if not layer.kept:
        raise ValueError(f"the adapter {layer.merged!r} was merged for good (keep_base=False): "
                         f"the base of {prefix or 'the layer'} is gone")
