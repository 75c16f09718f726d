"""LoRA on a whole model: add adapters and switch between them (slides W26 to W28).

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

from lib import checks
from lib.adapters.freezing import begin_adapter
from lib.adapters.lora_layer import Adapter, LoraLayer, lora_class
from lib.adapters.settings import LoraSettings
from lib.adapters.targets import Target, select_targets
from lib.names import nearest


def inject_lora(
    model: nn.Module,
    settings: LoraSettings,
    *,
    name: str = "default",
    generator: torch.Generator | None = None,
) -> list[str]:
    """Add s BA to the matrices that `settings.targets` name, in place: W₀ + ΔW = W₀ + s BA (slide W27).

    A is drawn from `generator` (None: the global one), B is zero: the model's outputs do not change. From
    then on only A and B are trained, and this adapter is the active one; others stay in memory. The base may be
    in 16 bits, or in few (`quantize_model`; with "nf4" it is QLoRA): A and B are float32.
    Returns the names of the adapted matrices.
    Raises ValueError, and changes nothing, if a target names no layer or a pattern of ranks or alphas no target,
    `rank` is above min(d, k), `name` is no identifier or taken, or an adapter is merged.

    >>> from lib.adapters import count_trainable
    >>> from lib.models import Decoder, preset
    >>> with torch.device("meta"):
    ...     gpt3 = Decoder(preset("gpt-3-175b"))
    >>> len(inject_lora(gpt3, LoraSettings(rank=1))), count_trainable(gpt3)
    (192, 4718592)
    """
    require_free(model, name)
    chosen = select_targets(model, settings.targets)
    settings.require_patterns(target.name for target in chosen)
    for target in chosen:
        most, rank = min(target.outputs, target.inputs), settings.rank_of(target.name)
        if rank > most:
            raise ValueError(
                f"rank {rank} is above min(d, k) = {most} of {target.name}: "
                f"a matrix of {target.outputs} by {target.inputs} has no higher rank"
            )
    attach(model, name, settings, chosen, generator)
    return [target.name for target in chosen]


def attach(
    model: nn.Module,
    name: str,
    settings: LoraSettings,
    targets: Sequence[Target],
    generator: torch.Generator | None = None,
) -> dict[str, nn.Parameter]:
    """Add a checked adapter, active and trained; returns its factors as "target.A" and "target.B"."""
    groups: dict[nn.Module, list[Target]] = {}
    for target in targets:
        groups.setdefault(target.module, []).append(target)
    adapters = {module: Adapter(settings, group, generator) for module, group in groups.items()}
    begin_adapter(model, "lora")  # all memory is there: from here on nothing can fail half-way
    for module, adapter in adapters.items():
        if not isinstance(module, LoraLayer):
            module.__class__ = lora_class(type(module))
            module.attach()
        adapter.train(module.training)
        module.adapters[name] = adapter
    set_adapter(model, name)
    factors = {}
    for target in targets:
        part = target.module.adapters[name][target.part]
        factors |= {f"{target.name}.A": part.A, f"{target.name}.B": part.B}
    return factors


def adapter_names(model: nn.Module) -> list[str]:
    """The adapters that a model has in memory, in the order in which they were added.

    >>> model = nn.Sequential(nn.Linear(4, 4))
    >>> _ = inject_lora(model, LoraSettings(rank=1, targets=("0",)), name="poems")
    >>> adapter_names(model)
    ['poems']
    """
    return list(dict.fromkeys(name for _, layer in lora_layers(model) for name in layer.adapters))


def lora_parameters(model: nn.Module, name: str | None = None) -> dict[str, nn.Parameter]:
    """A and B of one adapter, or of all, by their names in the model.

    Raises ValueError if there is no such adapter.

    >>> model = nn.Sequential(nn.Linear(4, 6))
    >>> _ = inject_lora(model, LoraSettings(rank=1, targets=("0",)))
    >>> {name: tuple(factor.shape) for name, factor in lora_parameters(model).items()}
    {'0.adapters.default.whole.A': (1, 4), '0.adapters.default.whole.B': (6, 1)}
    """
    if name is not None:
        require_name(model, name)
    return {
        f"{prefix}.adapters.{adapter}.{key}".lstrip("."): parameter
        for prefix, layer in lora_layers(model)
        for adapter in ([name] if name in layer.adapters else [] if name is not None else layer.adapters)
        for key, parameter in layer.adapters[adapter].named_parameters()
    }


def weight_changes(model: nn.Module, name: str = "default") -> dict[str, Float[Tensor, "_ _"]]:
    """ΔW = s BA of every adapted matrix, (d, k), by the layer's name; a fused matrix is one.

    Raises ValueError if there is no such adapter.

    >>> model = nn.Sequential(nn.Linear(4, 6))
    >>> _ = inject_lora(model, LoraSettings(rank=1, targets=("0",)))
    >>> weight_changes(model)["0"].abs().max()  # B is zero at the start
    tensor(0.)
    """
    require_name(model, name)
    return {prefix: layer.change(name) for prefix, layer in lora_layers(model) if name in layer.adapters}


def set_adapter(model: nn.Module, name: str | None) -> None:
    """Activate and train another adapter, or (None) use the base alone.

    Raises ValueError if there is no such adapter, or one is merged.

    >>> model = nn.Sequential(nn.Linear(4, 6))
    >>> for name in ("poems", "recipes"):
    ...     _ = inject_lora(model, LoraSettings(rank=1, targets=("0",)), name=name)
    >>> set_adapter(model, "poems")
    >>> [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    ['0.adapters.poems.whole.A', '0.adapters.poems.whole.B']
    """
    require_unmerged(model)
    if name is not None:
        require_name(model, name)
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
    require_unmerged(model)
    if name is not None:
        require_name(model, name)
    before = [(layer, layer.active) for _, layer in lora_layers(model)]
    for layer, _ in before:
        layer.active = name if name in layer.adapters else None
    try:
        yield model
    finally:
        for layer, active in before:
            layer.active = active


def lora_layers(model: nn.Module) -> list[tuple[str, LoraLayer]]:
    """The adapted layers and their names.

    Raises TypeError if `model` is no module.
    """
    checks.instance("model", model, nn.Module)
    return [(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)]


def require_free(model: nn.Module, name: str) -> None:
    """Raise ValueError unless an adapter of this name can be added to the model."""
    # A module's own attributes (train, items, ...) cannot be keys of a ModuleDict.
    if not re.fullmatch(r"[A-Za-z0-9_-]+", str(name)) or hasattr(nn.ModuleDict(), name):
        raise ValueError(f"name must be letters, digits, _ and -, and no method of a module, got {name!r}")
    if name in adapter_names(model):
        raise ValueError(f"there is already an adapter {name!r}: remove it, or give this one another name")
    require_unmerged(model)


def require_layers(model: nn.Module) -> list[tuple[str, LoraLayer]]:
    """The adapted layers and their names; ValueError if there are none."""
    layers = lora_layers(model)
    if not layers:
        raise ValueError(f"this {type(model).__name__} has no adapter: call inject_lora first")
    return layers


def require_name(model: nn.Module, name: str) -> None:
    """Raise ValueError if the model has no adapter of this name."""
    names = adapter_names(model)
    if name not in names:
        raise ValueError(f"there is no adapter {name!r}; {nearest(name, names)}")


def require_unmerged(model: nn.Module) -> None:
    """Raise ValueError if an adapter is merged."""
    merged = next((layer.merged for _, layer in lora_layers(model) if layer.merged is not None), None)
    if merged is not None:
        raise ValueError(f"the adapter {merged!r} is merged into the weights: call unmerge first")
