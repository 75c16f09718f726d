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
    assert tensor_bytes([weight[:5], weight[5:]]) == 400  # two views that begin at different places
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
    each = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
    assert [format_bytes(int(3 * size), unit) for unit, size in each.items()] == [f"3.00 {unit}" for unit in each]


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


BYTES = {  # of a weight, of a gradient, of each moment and how many, of a master copy
    "inference-fp32": (4, 0, 0, 0, 0), "inference-fp16": (2, 0, 0, 0, 0), "inference-int8": (1, 0, 0, 0, 0),
    "inference-int4": (1 / 2, 0, 0, 0, 0), "sgd-fp32": (4, 4, 0, 0, 0), "sgd-momentum-fp32": (4, 4, 4, 1, 0),
    "adam-fp32": (4, 4, 4, 2, 0), "adam-mixed": (2, 2, 4, 2, 4), "adam-bf16-fp32-moments": (2, 2, 4, 2, 0),
    "adam-bf16": (2, 2, 2, 2, 0), "adam-8bit": (2, 2, 1, 2, 4), "adam-8bit-bf16": (2, 2, 1, 2, 0),
}  # fmt: skip


def test_every_recipe_is_what_its_name_says():
    assert BYTES.keys() == MEMORY_RECIPES.keys()
    for name, (weight, gradient, moment, moments, master) in BYTES.items():
        recipe = MEMORY_RECIPES[name]
        expected = (weight, gradient, moment * moments, master)
        assert (recipe.weights, recipe.gradients, recipe.optimizer, recipe.master) == expected
        assert training_memory(1000, name).total == 1000 * sum(expected) == 1000 * recipe.per_parameter


def test_recipes_within_a_tolerance_its_end_included():
    twelve = ["sgd-momentum-fp32", "adam-bf16-fp32-moments"]
    for value, tolerance, found in ((12.5, 0.5, True), (11.5, 0.5, True), (12.5, 0.25, False), (12, 0, True)):
        assert [recipe.name for recipe in explain_bytes_per_parameter(value, tolerance)] == twelve * found
    for value, found in ((12.04, True), (11.96, True), (12.06, False), (11.94, False)):
        assert [recipe.name for recipe in explain_bytes_per_parameter(value)] == twelve * found


@pytest.mark.parametrize("share", ["weights", "gradients", "optimizer", "master"])
@pytest.mark.parametrize("bad", [-0.5, float("inf"), float("nan")])
def test_no_share_of_a_recipe_is_negative(share, bad):
    with pytest.raises(ValueError, match=f"^{share} must be a finite number of at least 0"):
        MemoryRecipe(**{"name": "mine", "weights": 1.0, share: bad})


def test_all_parameters_may_be_trained_and_some_must_be():
    assert training_memory(10, "adam-fp32", trainable=10) == training_memory(10, "adam-fp32")
    with pytest.raises(ValueError, match="trainable must be at least 1, got 0"):
        training_memory(10, "adam-fp32", trainable=0)
    with pytest.raises(ValueError, match="kv_cache must be at least 0, got -1"):
        training_memory(10, "adam-fp32", kv_cache=-1)


def test_buffers_and_gradients_count_as_they_are():
    norm = nn.BatchNorm1d(10)  # weight, bias, two buffers of 10 numbers and a counter of 8 bytes
    assert tensor_bytes(norm) == 4 * 40 + 8 and tensor_bytes(norm.weight) == 40
    model = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 1))
    model[1](torch.zeros(2, 5)).sum().backward()
    assert gradient_bytes(model) == 4 * 6  # the first layer has none


def test_quantised_sizes_at_their_edges():
    assert quantized_bytes(9, 1) == 2 and quantized_bytes(8, 1) == 1 and quantized_bytes(3, 32) == 12
    assert quantized_bytes(64, 4, group_size=32, scale_bytes=0) == quantized_bytes(64, 4, scale_bytes=7) == 32
    assert quantized_bytes(64, 4, group_size=64) == 34 and quantized_bytes(64, 4, group_size=63) == 36
    for options, name in (
        ({"parameters": 0}, "parameters"),
        ({"bits": 33}, "bits"),
        ({"scale_bytes": -1}, "scale_bytes"),
    ):
        with pytest.raises(ValueError, match=f"^{name} must"):
            quantized_bytes(**{"parameters": 8, "bits": 4, "group_size": 8} | options)


def test_the_cache_of_an_encoder_decoder_is_its_decoders():
    small = preset("t5-small")  # 6 layers of 8 heads, 64 wide
    assert kv_cache_bytes(small, 3, 7) == 2 * 6 * 8 * 64 * 3 * 7 * 2
    assert kv_cache_bytes(small, 3, 7, window=7) == kv_cache_bytes(small, 3, 7, window=8) == kv_cache_bytes(small, 3, 7)
    for options in ({"length": 0}, {"bytes_per_value": 0}, {"batch_size": -1}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be at least 1"):
            kv_cache_bytes(**{"config": small, "batch_size": 1, "length": 1} | options)


@pytest.mark.parametrize("name, power", [("k", 1), ("M", 2), ("G", 3), ("T", 4)])
def test_every_unit(name, power):
    assert format_bytes(5 * 1000**power, f"{name}B", 0) == f"5 {name}B"
    binary = name.upper() + "iB"
    assert format_bytes(5 * 1024**power, binary, 1) == f"5.0 {binary}"


def test_bytes_are_shown_in_gigabytes_with_two_digits_and_commas():
    assert format_bytes(1_234_567_000_000) == "1,234.57 GB" and format_bytes(7, "B", 0) == "7 B"
    for call in (gib, gb, lambda n: gpus_needed(n, 80e9)):
        with pytest.raises(ValueError, match="must be a finite number of at least 0, got -1"):
            call(-1)
    assert gpus_needed(3, 1) == 3


def test_a_stage_is_not_negative_and_caches_are_not_shared():
    with pytest.raises(ValueError, match=r"stage must lie in \[0, 3\], got -1"):
        zero_memory(8, "adam-fp32", devices=2, stage=-1)
    assert zero_memory(8, "adam-fp32", devices=2, stage=3).items() == {
        "weights": 16, "gradients": 16, "optimizer": 32, "master": 0, "activations": 0, "kv_cache": 0,
    }  # fmt: skip
