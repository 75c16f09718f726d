"""What is predicted against what is there: real tensors, a real optimizer, a real cache."""

import re

import pytest
import torch
from torch import nn

from lib.accounting import (
    MEMORY_RECIPES,
    MemoryRecipe,
    explain_bytes_per_parameter,
    format_bytes,
    gb,
    gib,
    gpus_needed,
    gradient_bytes,
    kv_cache_bytes,
    optimizer_state_bytes,
    parameter_breakdown,
    quantized_bytes,
    saved_bytes,
    tensor_bytes,
    training_memory,
    zero_memory,
)
from lib.models import (
    Decoder,
    GroupedInt4Linear,
    KVCache,
    TransformerConfig,
    model_bytes,
    preset,
)
from lib.slides import load_table

SHAPE = {"architecture": "decoder", "vocab_size": 50, "d_model": 32, "num_layers": 2, "num_heads": 4,
         "d_ff": 64, "max_positions": 40}  # fmt: skip
OPTIMIZERS = {
    "adam-fp32": lambda p: torch.optim.Adam(p, lr=1e-3),
    "adam-fp32 (AdamW)": lambda p: torch.optim.AdamW(p, lr=1e-3),
    "sgd-fp32": lambda p: torch.optim.SGD(p, lr=1e-3),
    "sgd-momentum-fp32": lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9),
}


@pytest.mark.parametrize("recipe", OPTIMIZERS)
def test_predicted_equals_measured_after_a_step(recipe):
    config = TransformerConfig(**SHAPE)
    model = Decoder(config)
    optimizer = OPTIMIZERS[recipe](model.parameters())
    assert optimizer_state_bytes(optimizer) == 0 and gradient_bytes(model) == 0
    model(torch.arange(8)[None]).sum().backward()
    optimizer.step()
    budget = training_memory(sum(parameter_breakdown(config).values()), recipe.split()[0])
    tensors = len(list(model.parameters()))
    counters = 4 * tensors if recipe.startswith("adam") else 0  # Adam's step, one number a tensor
    assert tensor_bytes(model) == budget.weights and gradient_bytes(model) == budget.gradients
    assert optimizer_state_bytes(optimizer) == budget.optimizer + counters
    assert budget.total == budget.weights + budget.gradients + budget.optimizer


def test_the_slides_figures():
    assert training_memory(7_000_000_000, "inference-fp32").total == 28_000_000_000  # T46
    assert training_memory(7_000_000_000, "adam-fp32").total == 112_000_000_000
    table = load_table("memory")
    per_parameter = dict(zip(table.model, table.finetune_gb / table.params_b))
    names = {m: [r.name for r in explain_bytes_per_parameter(float(b))] for m, b in per_parameter.items()}
    assert names["T5-11B"] == ["adam-fp32", "adam-mixed"]
    assert names["LLaMA2-33B"] == names["LLaMA2-70B"] == ["sgd-momentum-fp32", "adam-bf16-fp32-moments"]
    assert explain_bytes_per_parameter(1200 / 175) == []  # W28


def test_lora_holds_all_weights_and_trains_few():
    budget = training_memory(1000, "adam-mixed", trainable=10, activations=7, kv_cache=5)
    assert budget.items() == {
        "weights": 2000, "gradients": 20, "optimizer": 80, "master": 40, "activations": 7, "kv_cache": 5,
    }  # fmt: skip
    assert budget.total == 2152


def test_a_recipe_of_ones_own_and_half_bytes():
    own = MemoryRecipe("lion", weights=2.0, gradients=2.0, optimizer=2.0, master=4.0)
    assert own.per_parameter == 10 and training_memory(10**15 + 1, own).total == 10**16 + 10
    assert training_memory(3, "inference-int4").weights == 1
    assert all(name == recipe.name for name, recipe in MEMORY_RECIPES.items())


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_the_cache_takes_what_is_predicted(kv_heads):
    config = TransformerConfig(**SHAPE, num_kv_heads=kv_heads)
    cache = KVCache(capacity=5)
    with torch.no_grad():
        Decoder(config)(torch.zeros(3, 7, dtype=torch.long), cache=cache)
    assert cache.nbytes == kv_cache_bytes(config, 3, 7, bytes_per_value=4)


def test_grouped_heads_and_windows_make_it_smaller():
    llama = preset("llama-3-8b")
    whole = kv_cache_bytes(llama, 1, 8192)
    assert gib(whole) == 1.0 and kv_cache_bytes(llama, 2, 8192) == 2 * whole
    assert kv_cache_bytes(llama, 1, 8192, window=1024) == whole // 8
    assert kv_cache_bytes(llama, 1, 512, window=1024) == kv_cache_bytes(llama, 1, 512)
    per_token = [kv_cache_bytes(preset(f"llama-3-{size}"), 1, 1) for size in ("8b", "70b", "405b")]
    assert per_token == [131_072, 327_680, 516_096]


def test_shared_storage_counts_once():
    weight = torch.zeros(10, 10)
    assert tensor_bytes([weight, weight.T, weight[:5]]) == 400
    tied = nn.Linear(4, 4, bias=False)
    both = nn.Sequential(tied, nn.Linear(4, 4, bias=False))
    both[1].weight = tied.weight
    assert tensor_bytes(both) == 64
    with torch.device("meta"):
        assert tensor_bytes(nn.Linear(1000, 1000)) == 4 * (10**6 + 1000)


def test_saved_bytes_counts_storages_not_views():
    x = torch.zeros(100, requires_grad=True)
    assert saved_bytes(lambda: x.exp().exp()) == 800  # each result, for its own derivative
    w = torch.zeros(10, 10, requires_grad=True)
    inputs = torch.zeros(5, 10)
    assert saved_bytes(lambda: inputs @ w) == 200  # no gradient for the inputs: w is not needed
    assert saved_bytes(lambda: inputs.requires_grad_() @ w, parameters=[w]) == 200
    assert saved_bytes(lambda: None) == 0


def test_quantized_weights_and_their_scales():
    assert quantized_bytes(1000, 8) == 1000 and quantized_bytes(1001, 4) == 501
    assert quantized_bytes(1000, 8, group_size=100, scale_bytes=4) == 1040
    assert quantized_bytes(33, 4, group_size=32) == 17 + 2 * 2
    assert quantized_bytes(TINY, 8) == sum(parameter_breakdown(TINY).values())
    layer = GroupedInt4Linear.from_linear(nn.Linear(64, 48, bias=False), group_size=32)
    assert quantized_bytes(64 * 48, 4, group_size=32, scale_bytes=4) == model_bytes(layer)


def test_decimal_and_binary_units_differ():
    assert format_bytes(112_000_000_000, "GiB") == "104.31 GiB" and format_bytes(1536, "KiB", 1) == "1.5 KiB"
    assert gb(2**30) == 1.073741824 and gib(2**30) == 1.0
    assert format_bytes(0) == "0.00 GB"


@pytest.mark.parametrize("total, gpus", [(80e9, 1), (80e9 + 1, 2), (1, 1), (0, 0), (1120e9, 14)])
def test_gpus_are_rounded_up(total, gpus):
    assert gpus_needed(total, 80e9) == gpus


TINY = TransformerConfig(**SHAPE)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: training_memory(0, "adam-fp32"), "parameters must be at least 1, got 0"),
        (lambda: training_memory(10, "adam-fp32", trainable=11), "trainable must be at most parameters = 10"),
        (lambda: MemoryRecipe("mine", weights=-2.0), "weights must be a finite number of at least 0, got -2.0"),
        (lambda: training_memory(10, "adam-fp32", activations=-1), "activations must be at least 0, got -1"),
        (
            lambda: training_memory(10, "adam-fp23"),
            "recipe must be a known name, got 'adam-fp23'; did you mean adam-fp32",
        ),
        (lambda: explain_bytes_per_parameter(-1.0), "value must be a finite number of at least 0"),
        (lambda: kv_cache_bytes(TINY, 0, 5), "batch_size must be at least 1"),
        (lambda: kv_cache_bytes(TINY, 1, 5, window=0), "window must be at least 1"),
        (lambda: kv_cache_bytes(preset("bert-base"), 1, 5), "an encoder reads everything at once"),
        (lambda: quantized_bytes(10, 0), "bits must lie in [1, 32], got 0"),
        (lambda: quantized_bytes(10, 64), "bits must lie in [1, 32], got 64"),
        (lambda: quantized_bytes(10, 4, group_size=0), "group_size must be at least 1"),
        (lambda: format_bytes(1, "Gib"), "unit must be a known name, got 'Gib'; did you mean GiB"),
        (lambda: format_bytes(-1), "count must be a finite number of at least 0, got -1"),
        (lambda: gpus_needed(1.0, 0.0), "gpu_bytes must be a finite number of at least 1"),
        (lambda: gb(float("nan")), "count must be a finite number"),
    ],
)
def test_bad_values(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: training_memory(1e9, "adam-fp32"), "parameters must be a whole number, got 1000000000.0"),
        (lambda: training_memory(True, "adam-fp32"), "parameters must be a whole number, got True"),
        (lambda: gb("12"), "count must be a number, got '12'"),
        (lambda: tensor_bytes([1, 2]), "each of tensors must be a Tensor, got int"),
        (lambda: optimizer_state_bytes(nn.Linear(1, 1)), "optimizer must be an Optimizer, got Linear"),
        (lambda: kv_cache_bytes("gpt-2", 1, 1), "config must be a TransformerConfig, got str"),
    ],
)
def test_bad_types(call, message, unchecked):
    with pytest.raises(TypeError, match=re.escape(message)):
        call()


def test_the_figure_of_zero():
    """Rajbhandari et al. 2020, figure 1: 7.5B parameters, Adam in mixed precision, 64 GPUs."""
    for stage, gigabytes in enumerate((120, 31.4, 16.6, 1.9)):
        budget = zero_memory(7_500_000_000, "adam-mixed", devices=64, stage=stage)
        assert round(gb(budget.total), 1) == gigabytes
    assert zero_memory(10**12, "adam-mixed", devices=1024, stage=3).total == 16 * 10**12 / 1024  # a trillion, section 1


@pytest.mark.parametrize("stage, shared", [(0, 0), (1, 2), (2, 3), (3, 4)])
def test_each_stage_shares_one_thing_more(stage, shared):
    options = {"trainable": 11, "activations": 50}
    whole = training_memory(101, "adam-mixed", **options).items()
    mine = zero_memory(101, "adam-mixed", devices=4, stage=stage, **options).items()
    order = ["optimizer", "master", "gradients", "weights"]
    for name in order[:shared]:
        assert mine[name] == -(-whole[name] // 4) < whole[name]
    for name in {*whole} - {*order[:shared]}:
        assert mine[name] == whole[name]
    assert zero_memory(101, "adam-mixed", devices=1, stage=stage, **options).items() == whole


@pytest.mark.parametrize(
    "options, message",
    [
        ({"devices": 0, "stage": 1}, "devices must be at least 1, got 0"),
        ({"devices": 2, "stage": 4}, "stage must lie in [0, 3], got 4"),
        ({"devices": 2, "stage": 1, "trainable": 9}, "trainable must be at most parameters = 8, got 9"),
    ],
)
def test_bad_ways_to_share(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        zero_memory(8, "adam-fp32", **options)
