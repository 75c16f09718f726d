"""peft's adapter_config.json: what of it is read, what does not matter, and what is refused."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lib.adapters.settings import LoraSettings

CONFIG = "adapter_config.json"

# Fields of peft's configuration that are read, or do not change what the two factors mean.
# Any other that is set (DoRA, ...) means more than W + s BA, and is refused.
HARMLESS = {
    "task_type",
    "peft_type",
    "auto_mapping",
    "peft_version",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "r",
    "target_modules",
    "exclude_modules",
    "lora_alpha",
    "lora_dropout",
    "fan_in_fan_out",
    "use_rslora",
    "rank_pattern",
    "alpha_pattern",
    "layers_to_transform",
    "layers_pattern",
    "megatron_core",
    "qalora_group_size",
}
DORA = "DoRA gives every output of W + s BA a trained length besides, which LoRA has not: train with use_dora=False"
PLAIN = {"bias": ("none",), "init_lora_weights": (True, False, "gaussian", "orthogonal")}


def read_config(path: Path) -> dict[str, Any]:
    """peft's configuration. Raises ValueError if it is damaged, or says more than plain LoRA does."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = config["peft_type"]
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise _damaged(error) from error
    if kind != "LORA":
        raise ValueError(f"{CONFIG} describes {kind!r}: only 'LORA' can be read")
    for field, value in config.items():
        plain = value in PLAIN[field] if field in PLAIN else field in HARMLESS or not value
        if not plain:
            why = DORA if field == "use_dora" else "this is more than W + s BA"
            raise ValueError(f"{CONFIG} sets {field}={value!r}, and cannot be loaded: {why}")
    return config


def read_settings(config: dict[str, Any]) -> LoraSettings:
    """Our settings from such a configuration. Raises ValueError if a field is lacking or makes no sense."""
    try:
        targets = config["target_modules"]
        return LoraSettings(
            rank=config["r"],
            alpha=float(config["lora_alpha"]),
            rslora=config.get("use_rslora") or False,
            dropout=float(config.get("lora_dropout") or 0.0),
            targets=(targets,) if isinstance(targets, str) else tuple(targets),
            rank_pattern=config.get("rank_pattern") or {},
            alpha_pattern=config.get("alpha_pattern") or {},
        )
    except (KeyError, TypeError) as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> ValueError:
    return ValueError(f"{CONFIG} is damaged ({error!r}): save the adapter again")


def named_targets(config: dict[str, Any], targets: Iterable[str]) -> list[str]:
    """Those of a model's linear layers that peft would adapt (`peft.tuners.tuners_utils.check_target_module_exists`).

    Raises ValueError for names that are neither a list nor a regular expression.

    >>> named_targets({"target_modules": ["q"]}, ["0.q", "0.k", "1.q"])
    ['0.q', '1.q']
    """
    try:
        return [target for target in targets if _is_chosen(config, target)]
    except (TypeError, re.error) as error:
        raise _damaged(error) from error


def _is_chosen(config: dict[str, Any], target: str) -> bool:
    targets, excluded = config["target_modules"], config.get("exclude_modules") or []
    if _is_named(excluded, target) or not _is_named(targets, target):
        return False
    layers, patterns = config.get("layers_to_transform"), config.get("layers_pattern") or []
    if layers in (None, []) or isinstance(targets, str) or target in targets:
        return True
    layers = layers if isinstance(layers, list) else [layers]
    patterns = [patterns] if isinstance(patterns, str) else patterns
    numbered = [rf"(?:^|.*?\.){pattern}\.(\d+)\." for pattern in patterns] or [r".*?\.[^.]*\.(\d+)\."]
    index = next(filter(None, (re.match(pattern, target) for pattern in numbered)), None)
    return index is not None and int(index[1]) in layers


def _is_named(names: str | list[str], target: str) -> bool:
    """Whether one of the names is the target's, or the end of it after a dot; a single one is a regular expression."""
    if isinstance(names, str):
        return re.fullmatch(names, target) is not None
    return target in names or target.endswith(tuple(f".{name}" for name in names))
