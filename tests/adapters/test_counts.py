"""What is counted on a module is what the formulas of `lib.accounting` say (slide W28)."""

import pytest
import torch
from torch import nn

from lib.accounting import adapter_parameters, break_even_rank
from lib.accounting import low_rank_parameters as formula
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


def gpt(name):
    """A shape without numbers, and its sizes for the formulas."""
    config = preset(name)
    with torch.device("meta"):
        return Decoder(config), {"num_layers": config.num_layers, "d_model": config.d_model}


@pytest.mark.parametrize("name", ["gpt-2", "gpt-3-175b"])
@pytest.mark.parametrize("rank", [1, 8])
def test_lora_and_bottleneck(name, rank):
    model, sizes = gpt(name)
    inject_lora(model, LoraSettings(rank=rank))
    assert count_trainable(model) == adapter_parameters("lora", rank=rank, **sizes)
    model, sizes = gpt(name)
    inject_bottleneck(model, rank)
    assert count_trainable(model) == adapter_parameters("bottleneck", rank=rank, **sizes)


@pytest.mark.parametrize("name", ["gpt-2", "gpt-3-175b"])
def test_bitfit_and_trained_vectors(name):
    model, sizes = gpt(name)
    inject_bitfit(model)
    last_norm = sizes["d_model"]  # the formula counts blocks
    assert count_trainable(model) == adapter_parameters("bitfit", **sizes) + last_norm
    model, sizes = gpt(name)
    assert count_trainable(PromptTuning(model, 264)) == adapter_parameters("prefix_embed", **sizes)
    # A prefix vector is a key and a value: two of D numbers, where PreLayer has one.
    expected = adapter_parameters("prefix_layer", tokens=16, **sizes)
    assert count_trainable(PrefixTuning(model, 8)) == expected


def test_from_the_break_even_rank_on_the_factors_are_no_smaller():
    with torch.device("meta"):
        for rank, sign in ((29, -1), (30, 0), (31, 1)):
            model = nn.Sequential(nn.Linear(60, 60))
            inject_lora(model, LoraSettings(rank=rank, targets=("0",)))
            difference = count_trainable(model) - 60 * 60
            assert count_trainable(model) == formula(60, 60, rank)
            assert (difference > 0) - (difference < 0) == sign
    assert break_even_rank(60, 60) == 30
