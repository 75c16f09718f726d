"""Claims of the slides of 14_lora_and_peft about numbers of parameters, counted in an adapted GPT-3.

The model is built on the meta device, which stores shapes but no numbers.
"""

from functools import cache

import torch
from torch import nn

from lib.adapters import (
    LoraSettings,
    PrefixTuning,
    PromptTuning,
    count_trainable,
    inject_bitfit,
    inject_bottleneck,
    inject_lora,
)
from lib.models import Decoder, preset
from lib.slides.claimed import claims
from lib.slides.registry import Measured, recompute

HALF = torch.float16.itemsize  # bytes per number in W28, for frozen and for stored weights


@recompute("A43")
def lora_of_gpt3() -> tuple[int, int]:
    """LoRA on queries and values, r = 1 and r = 8."""
    return _lora(1), _lora(8)


@recompute("A44a")
def bottlenecks_and_prompt() -> tuple[int, ...]:
    """Houlsby's adapters of width 1 and 8, two per layer; a prompt of 256 + 8 vectors."""
    counts = []
    for rank in (1, 8):
        model = _gpt3()
        inject_bottleneck(model, rank)
        counts.append(count_trainable(model))
    with torch.device("meta"):
        return (*counts, count_trainable(PromptTuning(_gpt3(), 256 + 8)))


@recompute("A44b")
def prefix_in_every_layer() -> int:
    """8 + 8 vectors in every layer: the size of the keys and values of 8 tokens."""
    with torch.device("meta"):
        return count_trainable(PrefixTuning(_gpt3(), 8))


@recompute("A44c")
def biases_of_gpt3() -> Measured:
    """All biases, including those of the norms."""
    model = _gpt3()
    count = sum(model.get_parameter(name).numel() for name in inject_bitfit(model))
    return Measured(count, f"{count // (model.config.num_layers * model.config.d_model)} vectors per layer")


@recompute("A42a")
def stored_for_a_task() -> Measured:
    """Bytes of LoRA's parameters for r = 4, in 16 bits."""
    size = HALF * _lora(4)
    return Measured(size, f"{size / 2**20:.2f} MiB; smaller than 350 GB by a factor of {350e9 / size:,.0f}")


@recompute("A42b")
def memory_of_training() -> Measured:
    """GB of the frozen weights in 16 bits, plus LoRA with r = 4 and its Adam state in float32."""
    frozen, trained = HALF * claims()["C18c"].value, claims()["T46a"].value * _lora(4)
    words = f"{frozen / 1e9:.0f} GB frozen, {trained / 1e9:.2f} GB for what is trained"
    return Measured((frozen + trained) / 1e9, words)


@recompute("A59")
def break_even_rank() -> Measured:
    """The r at which BA has as many parameters as W0, for d = k = 12,288."""
    weights, for_each_rank = _square(12_288)
    small_weights, for_each = _square(4096)
    words = f"4096 by 4096 has {small_weights / (4 * for_each):.0f} times the parameters of its LoRA of r = 4"
    return Measured(weights / for_each_rank, words)


def _gpt3() -> Decoder:
    with torch.device("meta"):
        return Decoder(preset("gpt-3-175b"))


@cache
def _lora(rank: int) -> int:
    model = _gpt3()
    inject_lora(model, LoraSettings(rank=rank))
    return count_trainable(model)


def _square(width: int) -> tuple[int, int]:
    """Parameters of a square matrix, and those of a LoRA of rank 1 on it."""
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(width, width, bias=False))
    inject_lora(model, LoraSettings(rank=1, targets=("0",)))
    return model[0].weight.numel(), count_trainable(model)
