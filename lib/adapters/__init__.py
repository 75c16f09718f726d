"""Fine-tuning with few parameters: LoRA and its neighbours of slide W28."""

from lib.adapters.bitfit import inject_bitfit
from lib.adapters.bottleneck import Bottleneck, inject_bottleneck, remove_bottleneck
from lib.adapters.freezing import (
    count_trainable,
    freeze,
    freeze_layers,
    trainable_parameters,
    unfreeze,
)
from lib.adapters.lora import (
    adapter_names,
    inject_lora,
    lora_parameters,
    set_adapter,
    use_adapter,
    weight_changes,
)
from lib.adapters.merging import base_state_dict, merge, remove_lora, unmerge
from lib.adapters.prefix import PrefixTuning, PromptTuning
from lib.adapters.saved import load_adapter, save_adapter
from lib.adapters.settings import LoraSettings
from lib.adapters.subspace import RandomSubspace

__all__ = [
    "Bottleneck",
    "LoraSettings",
    "PrefixTuning",
    "PromptTuning",
    "RandomSubspace",
    "adapter_names",
    "base_state_dict",
    "count_trainable",
    "freeze",
    "freeze_layers",
    "inject_bitfit",
    "inject_bottleneck",
    "inject_lora",
    "load_adapter",
    "lora_parameters",
    "merge",
    "remove_bottleneck",
    "remove_lora",
    "save_adapter",
    "set_adapter",
    "trainable_parameters",
    "unfreeze",
    "unmerge",
    "use_adapter",
    "weight_changes",
]
