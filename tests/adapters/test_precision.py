"""What is trained is float32 beside a model in 16 bits, as peft has it, so that small steps are not rounded away."""

import copy

import peft
import pytest
import torch
from torch import nn

from lib.adapters import (
    LoraSettings,
    PrefixTuning,
    PromptTuning,
    inject_bottleneck,
    inject_lora,
    lora_parameters,
    merge,
    trainable_parameters,
    unmerge,
    weight_changes,
)
from lib.generation import generate
from lib.objectives import autoregressive_loss
from tests.adapters import adapted
from tests.adapters.adapted import IDS
from tests.models import theirs

HALF = [torch.bfloat16, torch.float16]


def with_lora(model):
    inject_lora(model, LoraSettings(rank=2))
    return model


def with_bottleneck(model):
    inject_bottleneck(model, 2)
    return model


WAYS = {
    "lora": with_lora,
    "bottleneck": with_bottleneck,
    "prompt": lambda model: PromptTuning(model, 2),
    "prompt from ids": lambda model: PromptTuning(model, 2, init_ids=torch.tensor([4, 5])),
    "prefix": lambda model: PrefixTuning(model, 2),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("dtype, wide", [
    (torch.bfloat16, torch.float32), (torch.float16, torch.float32),
    (torch.float32, torch.float32), (torch.float64, torch.float64),
])  # fmt: skip
def test_what_is_trained_is_float32_at_least(way, dtype, wide):
    model = way(adapted.llama(max_positions=16).to(dtype))
    assert {p.dtype for p in trainable_parameters(model)} == {wide}
    logits = model(IDS)
    assert logits.dtype == dtype
    autoregressive_loss(logits, IDS).backward()
    assert {p.grad.dtype for p in trainable_parameters(model)} == {wide}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_small_steps_are_taken(way):
    """100 steps of 1e-5 in one direction: in bfloat16 a number of 0.1 would not notice them."""
    model = way(adapted.llama(max_positions=16).bfloat16())
    parameters = trainable_parameters(model)
    before = [p.detach().clone() for p in parameters]
    for _ in range(100):
        for p in parameters:
            p.grad = torch.ones_like(p)
        torch.optim.SGD(parameters, lr=1e-5).step()
    for p, start in zip(parameters, before):
        torch.testing.assert_close(start - p.detach(), torch.full_like(p, 1e-3), rtol=0.01, atol=0)


def test_training_at_a_small_rate_goes_where_float64_goes():
    exact = nn.Sequential(nn.Linear(50, 40)).bfloat16()  # the same base, rounded to 8 bits
    moved = []
    for dtype in (torch.bfloat16, torch.float64):
        model = adapted.adapted(copy.deepcopy(exact).to(dtype), targets=("0",))
        factors = trainable_parameters(model)
        before = [p.detach().clone() for p in factors]
        optimizer = torch.optim.SGD(factors, lr=1e-5)
        x = torch.randn(32, 50, generator=torch.Generator().manual_seed(1)).to(dtype)
        for _ in range(30):
            optimizer.zero_grad()
            model(x).double().pow(2).mean().backward()
            optimizer.step()
        moved.append(torch.cat([(p.detach() - start).flatten().double() for p, start in zip(factors, before)]))
    ours, expected = moved
    assert (ours - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize("dtype", HALF)
def test_the_layer_and_its_gradients_are_pefts(dtype):
    base = theirs.llama().to(dtype)
    ours, settings = copy.deepcopy(base), dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"])
    inject_lora(ours, LoraSettings(rank=3, alpha=5, targets=("q_proj", "v_proj")))
    reference = peft.get_peft_model(copy.deepcopy(base), peft.LoraConfig(**settings)).eval()
    adapted.noisy(ours)
    name = "model.layers.0.self_attn.q_proj"
    layer, other = ours.get_submodule(name), reference.base_model.model.get_submodule(name)
    part = layer.adapters["default"]["whole"]
    with torch.no_grad():
        other.lora_A.default.weight.copy_(part.A)
        other.lora_B.default.weight.copy_(part.B)
    assert part.A.dtype == other.lora_A.default.weight.dtype == torch.float32
    x = torch.randn(4, 8, 16).to(dtype)
    pairs = [(layer, part.A, part.B), (other, other.lora_A.default.weight, other.lora_B.default.weight)]
    results = []
    for module, a, b in pairs:
        xs = x.clone().requires_grad_(True)
        y = module(xs)
        results.append((y, *torch.autograd.grad(y.float().pow(2).sum(), (a, b, xs))))
    one_place = torch.finfo(dtype).eps
    (y, a, b, xs), (their_y, their_a, their_b, their_xs) = results
    assert torch.equal(y, their_y)  # each rounds once, at the end
    with torch.no_grad():
        assert torch.equal(layer(x), y)
    for got, want in ((a, their_a), (b, their_b)):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(xs, their_xs, rtol=4 * one_place, atol=4 * one_place)  # peft adds two rounded parts


@pytest.mark.parametrize("dtype", HALF)
def test_merging_rounds_once(dtype):
    model = adapted.adapted(nn.Sequential(nn.Linear(30, 20)).to(dtype), targets=("0",))
    before, change = model[0].weight, weight_changes(model)["0"]
    assert change.dtype == torch.float32
    merge(model)
    assert model[0].weight.dtype == dtype
    assert torch.equal(model[0].weight, (before.float() + change).to(dtype))
    unmerge(model)
    assert model[0].weight is before


def test_a_prefix_in_a_cache_goes_on_as_without():
    tuned = PrefixTuning(adapted.llama(max_positions=16).bfloat16(), 2)
    nn.init.normal_(tuned.prefix)
    cache = tuned.cache(2)
    with torch.no_grad():
        whole = tuned(IDS)
        steps = torch.cat([tuned(IDS[:, :4], cache=cache), tuned(IDS[:, 4:], cache=cache)], dim=1)
    assert steps.dtype == torch.bfloat16
    torch.testing.assert_close(steps, whole, rtol=0.05, atol=0.05)


def test_decoding_and_autocast():
    model = adapted.adapted(adapted.llama().bfloat16())
    assert generate(model, IDS[:, :4], 4).shape == (2, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(IDS)
        autoregressive_loss(out, IDS).backward()
    assert out.dtype == torch.bfloat16
    assert all(p.grad.dtype == torch.float32 and p.grad.any() for p in lora_parameters(model).values())
