"""Calculators take numbers out of a table as they take Python's own: nothing overflows, and an int comes back."""

import numpy as np
import pandas as pd
import pytest
import torch

from lib.accounting import (
    activation_bytes,
    adapter_parameters,
    break_even_rank,
    co2_kg,
    energy_kwh,
    explain_bytes_per_parameter,
    format_bytes,
    forward_flops,
    gb,
    gib,
    gpus_needed,
    kv_cache_bytes,
    low_rank_parameters,
    megatron_activation_bytes,
    palm_flops_per_token,
    quantized_bytes,
    training_flops,
    training_memory,
    zero_memory,
)
from lib.models import preset

GPT2 = preset("gpt-2")
BIG = 4_000_000_000_000  # its square does not fit into 64 bits

CALCULATORS = {
    "activation_bytes": lambda n: activation_bytes(GPT2, n(2), n(64), bytes_per_value=n(2)),
    "adapter_parameters": lambda n: adapter_parameters("lora", num_layers=n(96), d_model=n(12_288), rank=n(8)),
    "break_even_rank": lambda n: break_even_rank(n(BIG), n(BIG)),
    "explain_bytes_per_parameter": lambda n: explain_bytes_per_parameter(n(12), n(0)),
    "format_bytes": lambda n: format_bytes(n(28_000_000_000)),
    "forward_flops": lambda n: forward_flops(GPT2, n(2), n(64)),
    "gb": lambda n: gb(n(10**9)),
    "gib": lambda n: gib(n(2**30)),
    "gpus_needed": lambda n: gpus_needed(n(112_000_000_000), n(80_000_000_000)),
    "kv_cache_bytes": lambda n: kv_cache_bytes(GPT2, n(BIG), n(BIG), bytes_per_value=n(2), window=n(BIG)),
    "low_rank_parameters": lambda n: low_rank_parameters(n(BIG), n(BIG), n(BIG)),
    "megatron_activation_bytes": lambda n: megatron_activation_bytes(
        length=n(BIG), batch_size=n(2), width=n(BIG), heads=n(4), layers=n(3), tensor_parallel=n(2)
    ),
    "palm_flops_per_token": lambda n: palm_flops_per_token(
        n(BIG), layers=n(BIG), heads=n(BIG), head_width=n(2), length=n(3)
    ),
    "quantized_bytes": lambda n: quantized_bytes(n(2**62), n(32), group_size=n(32), scale_bytes=n(2)),
    "training_flops": lambda n: training_flops(n(BIG), n(BIG)),
    "training_memory": lambda n: training_memory(n(2**62), "adam-fp32", trainable=n(5), kv_cache=n(2)),
    "zero_memory": lambda n: zero_memory(n(2**62), "adam-mixed", devices=n(3), stage=n(2), activations=n(7)),
}
READ_AS = {"numpy": np.int64, "pandas": lambda n: pd.DataFrame({"n": [n]})["n"].iloc[0], "torch": torch.tensor}


def kinds(result):
    """The types of the numbers in a result."""
    if isinstance(result, dict):
        return {type(value) for value in result.values()}
    return {type(value) for value in result.items().values()} if hasattr(result, "items") else {type(result)}


@pytest.mark.parametrize("source", READ_AS)
@pytest.mark.parametrize("name", CALCULATORS)
def test_whole_numbers_of_any_kind(name, source):
    wanted, found = CALCULATORS[name](int), CALCULATORS[name](READ_AS[source])
    assert found == wanted and kinds(found) == kinds(wanted)


def test_floats_of_any_kind():
    exact = energy_kwh(0.5, 4.0, pue=1.25), co2_kg(0.5, 0.25), gb(0.5)
    for kind in (np.float32, np.float64, torch.tensor):
        found = energy_kwh(kind(0.5), kind(4.0), pue=kind(1.25)), co2_kg(kind(0.5), kind(0.25)), gb(kind(0.5))
        assert found == exact and {type(value) for value in found} == {float}


@pytest.mark.parametrize("bad", [np.float64(2.0), np.bool_(True), torch.tensor(1.5), torch.tensor([1, 2]), np.ones(2)])
def test_what_is_no_whole_number(bad, unchecked):
    with pytest.raises(TypeError, match="parameters must be a whole number, got"):
        training_memory(bad, "adam-fp32")
