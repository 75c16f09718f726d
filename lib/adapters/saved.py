"""Adapters on disk, in the format of `peft`: adapter_config.json and adapter_model.safetensors in a folder.

For transformers' models `peft.PeftModel.from_pretrained` reads what we write, and we read what it wrote, with
ranks and alphas by pattern and rank-stabilised scales. What is more than W + s BA (DoRA, trained biases) is refused.
For our own models the files are the same with our names, "…attention.qkv.q" for rows of a fused matrix; `peft`
has no such models.
"""

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lib.adapters.lora import attach, lora_layers, require_free
from lib.adapters.lora_layer import Adapter
from lib.adapters.peft_config import CONFIG, named_targets, read_config, read_settings
from lib.adapters.settings import LoraSettings
from lib.adapters.targets import WHOLE, Target, find_targets, is_conv1d
from lib.files import atomic_path, atomic_write
from lib.names import nearest

WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."  # what peft puts before the names of the model's own modules
Factors = dict[str, dict[str, Tensor]]  # A and B by target
SHOWN = 6  # an error names so many of the layers that are lacking
KEY = re.compile(rf"{re.escape(PREFIX)}(?:(?P<target>.+)\.)?lora_(?P<factor>[AB])\.weight")


def save_adapter(model: nn.Module, folder: Path | str, name: str = "default") -> None:
    """Write one adapter's A and B, and its settings, in PEFT's format: megabytes instead of the model (W28).

    Files are replaced whole, the configuration last.
    Raises ValueError if there is no such adapter.

    >>> import tempfile
    >>> from lib.adapters import inject_lora
    >>> model = nn.Sequential(nn.Linear(4, 6))
    >>> _ = inject_lora(model, LoraSettings(rank=1, targets=("0",)))
    >>> folder = Path(tempfile.mkdtemp())
    >>> save_adapter(model, folder)
    >>> sorted(file.name for file in folder.iterdir())
    ['adapter_config.json', 'adapter_model.safetensors']
    """
    adapters = [(prefix, layer) for prefix, layer in lora_layers(model) if name in layer.adapters]
    if not adapters:
        names = list(dict.fromkeys(known for _, layer in lora_layers(model) for known in layer.adapters))
        raise ValueError(f"there is no adapter {name!r} to save; {nearest(name, names)}")
    tensors: dict[str, Tensor] = {}
    names_of = {(target.module, target.part): target.name for target in find_targets(model).values()}
    targets = []
    for _, layer in adapters:
        for part, factors in layer.adapters[name].items():
            target = names_of[layer, part]
            targets.append(target)
            for factor in "AB":
                tensors[_key(target, factor)] = getattr(factors, factor).detach().contiguous()
    fan_in_fan_out = any(is_conv1d(layer) for _, layer in adapters)
    config = _described(adapters[0][1].adapters[name], targets, fan_in_fan_out)
    folder = Path(folder)
    with atomic_path(folder / WEIGHTS) as beside:
        save_file(tensors, beside, metadata={"format": "pt"})
    with atomic_write(folder / CONFIG) as file:
        json.dump(config, file, indent=2)
        file.write("\n")


def load_adapter(model: nn.Module, folder: Path | str, name: str = "default") -> list[str]:
    """Add an adapter that `save_adapter` or `peft` wrote to a model and make it active, as `inject_lora` does.

    Returns the names of the adapted matrices.
    Raises FileNotFoundError if a file is missing; ValueError, and changes nothing, if one is damaged or lacks
    layers that its configuration names, if the adapter is for a model with other names or shapes, if it is more
    than plain LoRA, or if `name` is taken.

    >>> import tempfile
    >>> from lib.adapters import inject_lora
    >>> one, other = nn.Sequential(nn.Linear(4, 6)), nn.Sequential(nn.Linear(4, 6))
    >>> _ = inject_lora(one, LoraSettings(rank=1, targets=("0",)))
    >>> folder = tempfile.mkdtemp()
    >>> save_adapter(one, folder)
    >>> load_adapter(other, folder)
    ['0']
    """
    require_free(model, name)
    folder = Path(folder)
    _require_file(folder / CONFIG)
    config = read_config(folder / CONFIG)
    settings = read_settings(config)
    factors = _read_factors(folder / WEIGHTS)
    found = find_targets(model)
    factors = _under_todays_names(factors, config, found)
    _require_fit(model, factors, found, settings)
    _refuse_overlap(factors, found)
    _require_named(factors, named_targets(config, found))
    attached = attach(model, name, settings, [found[target] for target in factors])
    with torch.no_grad():
        for target, pair in factors.items():
            for factor, values in pair.items():
                attached[f"{target}.{factor}"].copy_(values)
    return list(factors)


def _key(target: str, factor: str) -> str:
    return f"{PREFIX}{target}.lora_{factor}.weight" if target else f"{PREFIX}lora_{factor}.weight"


def _described(adapter: Adapter, targets: list[str], fan_in_fan_out: bool) -> dict[str, Any]:
    settings = adapter.settings
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
        "use_rslora": settings.rslora,
        "rank_pattern": settings.rank_pattern,
        "alpha_pattern": settings.alpha_pattern,
        "target_modules": targets,
        "fan_in_fan_out": fan_in_fan_out,
        "bias": "none",
        "init_lora_weights": True,
    }


def _read_factors(path: Path) -> Factors:
    """A and B by target."""
    _require_file(path)
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path.name} is damaged ({error}): save the adapter again") from error
    factors: Factors = {}
    for key, tensor in tensors.items():
        match = KEY.fullmatch(key)
        if match is None:
            raise ValueError(f"{path.name} holds {key!r}, which is no A or B of a linear layer")
        if not tensor.isfinite().all():
            raise ValueError(f"{path.name} is damaged ({key} is not finite): save the adapter again")
        factors.setdefault(match["target"] or "", {})[match["factor"]] = tensor
    for target, pair in factors.items():
        if len(pair) != 2:
            raise ValueError(f"{path.name} is damaged ({target} has {''.join(pair)} only): save it again")
    if not factors:
        raise ValueError(f"{path.name} holds no adapter")
    return factors


def _under_todays_names(factors: Factors, config: dict[str, Any], found: dict[str, Target]) -> Factors:
    """Once the halves of a gated layer's fused matrix were called "up.gate" and "up.up", and the whole of it "up"."""
    names = {}
    for target, pair in factors.items():
        layer, _, end = target.partition(".feed_forward.up")
        whole = found.get(f"{layer}.feed_forward.gate_up")
        if whole and end in (".gate", ".up"):
            names[target] = f"{layer}.feed_forward{end}"
        elif whole and target.endswith(".feed_forward.up") and len(pair["B"]) == whole.outputs:
            names[target] = whole.name
    if isinstance(config["target_modules"], list):
        config["target_modules"] = [names.get(target, target) for target in config["target_modules"]]
    return {names.get(target, target): pair for target, pair in factors.items()}


def _require_fit(model: nn.Module, factors: Factors, found: dict[str, Target], settings: LoraSettings) -> None:
    """Raise ValueError unless the model has every target, in the factors' shapes."""
    for target, pair in factors.items():
        if target not in found:
            raise ValueError(
                f"the adapter changes {target!r}, which this {type(model).__name__} "
                f"does not have; {nearest(target, found, most=3)}"
            )
        here, rank = found[target], settings.rank_of(target)
        for factor, shape in {"A": (rank, here.inputs), "B": (here.outputs, rank)}.items():
            if tuple(pair[factor].shape) != shape:
                raise ValueError(
                    f"the adapter is for another model: {factor} of {target} has shape "
                    f"{tuple(pair[factor].shape)}, expected {shape}"
                )


def _refuse_overlap(factors: Factors, found: dict[str, Target]) -> None:
    whole = {found[target].module: target for target in factors if found[target].part == WHOLE}
    for target in factors:
        if found[target].part != WHOLE and found[target].module in whole:
            fused = whole[found[target].module]
            raise ValueError(f"the adapter changes {fused} and a part of it, {target}: it is damaged")


def _require_named(factors: Factors, named: list[str]) -> None:
    """Raise ValueError unless the factors are for the layers that the configuration names, all of them and no other."""
    lacking = [target for target in named if target not in factors]
    if lacking:
        raise ValueError(
            f"{CONFIG} names {len(named)} layers of this model, but {WEIGHTS} lacks {len(lacking)} of them: "
            f"{_listed(lacking)}; copy both files again, or load it onto the model it was trained on"
        )
    if extra := [target for target in factors if target not in named]:
        raise ValueError(f"{WEIGHTS} holds layers that {CONFIG} does not name: {_listed(extra)}; copy both files again")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path.name} in {path.parent.name or path.parent}: "
            f"an adapter is two files, {CONFIG} and {WEIGHTS}"
        )
