"""Adapters on a base in few bits (QLoRA): one step by hand, a model's steps beside its unpacked twin, and counts."""

import copy
import math

import pytest
import torch
from torch import nn

from lib.accounting import low_rank_parameters, saved_bytes
from lib.adapters import (
    LoraSettings,
    base_state_dict,
    count_trainable,
    inject_bottleneck,
    inject_lora,
    load_adapter,
    lora_parameters,
    merge,
    remove_bottleneck,
    remove_lora,
    save_adapter,
    trainable_parameters,
)
from lib.kernels.nf4 import QuantizedNF4, dequantize_nf4
from lib.models import Decoder, model_bytes, preset, quantize_model
from lib.models.quantized import SCHEMES
from lib.objectives import autoregressive_loss
from tests.adapters import adapted
from tests.adapters.adapted import IDS

SMALL = [scheme for scheme in SCHEMES if scheme != "bf16"]
STORED = [
    scheme for scheme in SMALL if scheme not in ("int8-vector", "int8-outlier", "int8-dynamic")
]  # x is not rounded
ALL = ("q", "k", "v", "attention.output", "gate", "up", "down")


def base(scheme, dtype=torch.float32):
    return quantize_model(adapted.llama(d_model=32, d_ff=64).to(dtype), scheme=scheme)


@pytest.mark.parametrize("scheme", SMALL)
def test_one_step_by_hand(scheme):
    layer = nn.Linear(64, 48)
    model = adapted.adapted(quantize_model(nn.Sequential(layer), scheme=scheme), targets=("0",), rank=3, alpha=6)
    a, b = (p.detach().clone().double() for p in lora_parameters(model).values())
    x, target = torch.randn(10, 64), torch.randn(10, 48)
    weight, stored = model[0].weight.double(), adapted.state(model)
    plain = (x.double() @ weight.t() + layer.bias) if scheme in STORED else model[0].product(x).double()
    assert (weight - layer.weight).abs().max() > 1e-4  # it is rounded

    y = plain + 2 * (x.double() @ a.t()) @ b.t()  # s = α/r = 2
    error = (y - target) / 480  # of half the mean square
    grad_b = 2 * error.t() @ (x.double() @ a.t())
    grad_a = 2 * (error @ b).t() @ x.double()

    optimizer = torch.optim.SGD(trainable_parameters(model), lr=0.1)
    xs = x.clone().requires_grad_(True)
    loss = (model(xs) - target).pow(2).mean() / 2
    loss.backward()
    optimizer.step()
    assert float(loss) == pytest.approx(float((y - target).pow(2).mean() / 2), rel=1e-5)
    new_a, new_b = lora_parameters(model).values()
    torch.testing.assert_close(new_a.double(), a - 0.1 * grad_a, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(new_b.double(), b - 0.1 * grad_b, rtol=1e-5, atol=1e-6)
    assert (grad_a.norm() > 0.05) and (grad_b.norm() > 0.05)
    torch.testing.assert_close(xs.grad.double(), error @ (weight + 2 * b @ a), rtol=1e-4, atol=1e-6)
    assert all(torch.equal(value, stored[key]) for key, value in model.state_dict().items() if "adapters" not in key)


def unpacked(model):
    """The same with every matrix of few bits as a linear layer of the numbers that they stand for."""
    twin = copy.deepcopy(model)
    for name, module in list(twin.named_modules()):
        if hasattr(module, "stored"):
            linear = nn.Linear(module.in_features, module.out_features, bias=module.bias is not None)
            linear.weight.data, linear.bias = module.weight, module.bias
            parent, _, child = name.rpartition(".")
            setattr(twin.get_submodule(parent), child, linear)
    return twin


@pytest.mark.parametrize("scheme", STORED)
def test_a_model_is_trained_as_its_unpacked_twin(scheme):
    model = base(scheme)
    twin, start = unpacked(model), adapted.state(model)
    histories = []
    for one in (model, twin):
        adapted.adapted(one, targets=ALL)
        optimizer = torch.optim.Adam(trainable_parameters(one), lr=1e-2)
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = autoregressive_loss(one(IDS), IDS)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        histories.append(losses)
    assert histories[0] == pytest.approx(histories[1], rel=1e-5)
    assert histories[0][-1] < histories[0][0] - 0.1
    ours, theirs = lora_parameters(model), lora_parameters(twin)
    assert len(ours) == 2 * 7 * 2
    for name, factor in ours.items():
        torch.testing.assert_close(factor, theirs[name], rtol=1e-3, atol=1e-4)
    assert adapted.same(base_state_dict(model), start)


@pytest.mark.parametrize("scheme", SMALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_start_is_the_base_bit_for_bit_and_so_is_the_end(scheme, dtype):
    model = base(scheme, dtype)
    state, out, one = adapted.state(model), model(IDS), model(IDS[:1, :1])
    inject_lora(model, LoraSettings(rank=2, targets=ALL))
    assert {p.dtype for p in trainable_parameters(model)} == {torch.float32}
    assert torch.equal(model(IDS), out) and torch.equal(model(IDS[:1, :1]), one)
    adapted.noisy(model)
    changed = model(IDS)
    assert changed.dtype == dtype and not torch.equal(changed, out)
    with torch.no_grad():
        assert torch.equal(model(IDS), changed)
    remove_lora(model)
    assert torch.equal(model(IDS), out) and adapted.same(model.state_dict(), state)
    assert type(model.stack.blocks[0].attention.qkv).__name__ in ("Int8Linear", "GroupedInt4Linear", "NF4Linear")


@pytest.mark.parametrize("rank, trained", [(16, 39_976_960), (64, 159_907_840)])
def test_llama_2_7b_in_nf4(rank, trained):
    with torch.device("meta"):
        model = quantize_model(Decoder(preset("llama-2-7b")), scheme="nf4")
        weights = 32 * (4 * 4096**2 + 3 * 4096 * 11_008)
        norms = 4 * (2 * 32) * 4096
        blocks = model_bytes(model.stack.blocks)
        inject_lora(model, LoraSettings(rank=rank, targets=ALL))
    assert count_trainable(model) == trained
    assert trained == 32 * (4 * low_rank_parameters(4096, 4096, rank) + 3 * low_rank_parameters(4096, 11_008, rank))
    assert round(8 * (blocks - norms) / weights, 3) == 4.127
    assert {p.device.type for p in trainable_parameters(model)} == {"meta"}


def test_between_the_passes_only_the_few_bits_are_held():
    model = quantize_model(nn.Sequential(*(nn.Linear(256, 256, bias=False) for _ in range(3))), scheme="nf4")
    x = torch.randn(4, 256, requires_grad=True)
    known = [*model.buffers(), x]
    activations = 2 * 4 * 256 * 4  # the inputs of the second and third layer
    assert saved_bytes(lambda: model(x), parameters=known) == 0  # for the gradient of x W alone is needed
    inject_lora(model, LoraSettings(rank=2, targets=("*",)))
    low = 3 * 4 * 2 * 4  # x Aᵀ
    known += lora_parameters(model).values()
    assert saved_bytes(lambda: model(x), parameters=known) == activations + low


def test_bits_that_change_between_the_passes_are_noticed():
    model = adapted.adapted(quantize_model(nn.Sequential(nn.Linear(64, 8)), scheme="nf4"), targets=("0",))
    y = model(torch.randn(2, 64, requires_grad=True)).sum()
    model[0].packed.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_nf4_layers_hold_what_the_kernel_makes():
    layer = nn.Linear(64, 48)
    small = quantize_model(layer, scheme="nf4")
    assert torch.equal(small.weight, dequantize_nf4(QuantizedNF4(*small.stored())))
    assert 0 < (small.weight - layer.weight).norm() / layer.weight.norm() < 0.12  # even weights, not normal ones


@pytest.mark.parametrize("scheme", SMALL)
def test_saved_loaded_and_copied(scheme, tmp_path):
    model = adapted.adapted(base(scheme), targets=("q", "up", "down"))
    save_adapter(model, tmp_path)
    other = base(scheme)
    load_adapter(other, tmp_path)
    assert torch.equal(other(IDS), model(IDS)) and torch.equal(copy.deepcopy(model)(IDS), model(IDS))
    onto = adapted.llama(d_model=32, d_ff=64)  # what was trained on few bits goes onto the whole model too
    load_adapter(onto, tmp_path)
    assert not torch.equal(onto(IDS), model(IDS))


def test_bottlenecks_too():
    model = base("nf4", torch.bfloat16)
    out = model(IDS)
    inject_bottleneck(model, 3)
    assert torch.equal(model(IDS), out) and {p.dtype for p in trainable_parameters(model)} == {torch.float32}
    autoregressive_loss(model(IDS), IDS).backward()
    assert any(p.grad.any() for p in trainable_parameters(model))
    remove_bottleneck(model)
    assert torch.equal(model(IDS), out)


def test_merging_is_refused_and_changes_nothing(unchecked):
    model = adapted.adapted(quantize_model(adapted.llama(d_model=32, d_ff=64), scheme="nf4", skip=["*.0.*"]))
    out = model(IDS)
    with pytest.raises(ValueError, match=r"stack.blocks.1.attention.qkv is quantised: W \+ s BA would have to be"):
        merge(model)
    assert torch.equal(model(IDS), out)
    assert math.isfinite(float(out.sum()))
