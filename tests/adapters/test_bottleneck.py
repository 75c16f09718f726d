"""Bottleneck adapters: an identity at the start, Houlsby's count, and gone without a trace."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lib.adapters import (
    Bottleneck,
    count_trainable,
    freeze,
    inject_bottleneck,
    remove_bottleneck,
    trainable_parameters,
)
from lib.models import Decoder, preset
from tests.adapters import adapted
from tests.adapters.adapted import IDS
from tests.models import theirs


def bottlenecks(model):
    return [module for module in model.modules() if isinstance(module, Bottleneck)]


@pytest.mark.parametrize("make, count", [(adapted.decoder, 4), (adapted.encoder, 4)])
def test_identity_at_the_start_then_trained_then_gone(make, count):
    model = make()
    before, out = adapted.state(model), model(IDS)
    names = inject_bottleneck(model, 3)
    assert len(names) == len(bottlenecks(model)) == count
    assert torch.equal(model(IDS), out)
    optimizer = torch.optim.SGD(trainable_parameters(model), lr=0.1)
    model(IDS).pow(2).sum().backward()
    optimizer.step()
    assert not torch.equal(model(IDS), out)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items() if key in before)
    remove_bottleneck(model)
    assert torch.equal(model(IDS), out) and adapted.same(model.state_dict(), before)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_what_a_bottleneck_computes():
    module = Bottleneck(6, 2, activation="relu")
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    y = torch.randn(2, 3, 6)
    low = F.relu(F.linear(y, module.down.weight, module.down.bias))
    torch.testing.assert_close(module(y), y + F.linear(low, module.up.weight, module.up.bias))


def test_it_stands_between_the_sublayer_and_the_residual():
    model = adapted.decoder(num_layers=1)
    x = model.inputs(model.tokens(IDS), torch.arange(8)[None])
    block = model.stack.blocks[0]
    sublayer = block.feed_forward(block.feed_forward_norm(x))
    inject_bottleneck(model, 2, targets=("down",))
    (own,) = bottlenecks(model)
    nn.init.ones_(own.up.weight)
    torch.testing.assert_close(block.feed_forward(block.feed_forward_norm(x)), own(sublayer))


@pytest.mark.parametrize("rank, expected", [(1, 7_078_080), (8, 40_109_568)])
def test_gpt3_on_the_slide(rank, expected):
    with torch.device("meta"):
        model = Decoder(preset("gpt-3-175b"))
    inject_bottleneck(model, rank)
    assert count_trainable(model) == expected == 96 * 2 * (2 * 12_288 * rank + rank + 12_288)


def test_cross_attention_gets_one_too():
    model = adapted.seq2seq()
    freeze(model)  # PyTorch takes another attention kernel where a relative bias is trained
    out = model(IDS, IDS)
    assert len(inject_bottleneck(model, 2)) == 2 * 3 + 3 * 2
    assert torch.equal(model(IDS, IDS), out)


@pytest.mark.parametrize("make, targets", [
    (theirs.llama, ("o_proj", "down_proj")),
    (theirs.gpt2, ("attn.c_proj", "mlp.c_proj")),
])  # fmt: skip
def test_models_of_transformers(make, targets):
    model = make()
    out = model(IDS).logits
    inject_bottleneck(model, 2, targets=targets)
    assert torch.equal(model(IDS).logits, out)
    assert count_trainable(model) == 4 * (2 * 16 * 2 + 2 + 16)


def test_the_same_generator_draws_the_same():
    one, other = (Bottleneck(40, 20, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.down.weight, other.down.weight)
    assert float(one.down.weight.detach().std()) == pytest.approx(0.01, rel=0.1)


def test_a_copy_is_independent():
    model = adapted.decoder()
    out = model(IDS)
    inject_bottleneck(model, 2)
    other = copy.deepcopy(model)
    for module in bottlenecks(other):
        nn.init.ones_(module.up.weight)
    assert torch.equal(model(IDS), out) and not torch.equal(other(IDS), out)
    remove_bottleneck(other)
    assert torch.equal(other(IDS), out) and len(bottlenecks(model)) == 4


def test_takes_dtype_and_mode_of_the_model():
    model = adapted.decoder().double()
    inject_bottleneck(model, 2)
    assert model(IDS).dtype == torch.float64
    assert not any(module.training for module in bottlenecks(model))


@pytest.mark.parametrize("make, rank, options, error, message", [
    (adapted.decoder, 0, {}, ValueError, r"rank must lie in \[1, 16\], got 0"),
    (adapted.decoder, 17, {}, ValueError, r"rank must lie in \[1, 16\], got 17"),
    (adapted.decoder, 1.5, {}, TypeError, "rank must be a whole number, got 1.5"),
    (adapted.decoder, 2, dict(activation="gelo"), ValueError, "activation must be 'gelu', .* or 'silu', got 'gelo'; did you mean gelu"),  # noqa: E501
    (adapted.decoder, 2, dict(targets=("down", "o_proj")), ValueError, "'o_proj' names no linear layer"),
    (adapted.decoder, 2, dict(targets=("down", "q")), ValueError, "qkv.q is a part of a fused matrix"),
    (adapted.decoder, 2, dict(targets=()), ValueError, r"targets must not be empty, got \[\]"),
    (adapted.decoder, 2, dict(targets="down"), TypeError, "targets must be a sequence of strings, got one string: 'down'"),
    (theirs.llama, 2, {}, ValueError, "targets must be given for a LlamaForCausalLM"),
])  # fmt: skip
def test_nothing_is_half_injected(unchecked, make, rank, options, error, message):
    model = make()
    with pytest.raises(error, match=message):
        inject_bottleneck(model, rank, **options)
    assert not bottlenecks(model) and all(parameter.requires_grad for parameter in model.parameters())


def test_twice_and_without(unchecked):
    model = adapted.decoder()
    with pytest.raises(ValueError, match="this Decoder has no bottleneck to remove"):
        remove_bottleneck(model)
    inject_bottleneck(model, 2, targets=("down",))
    with pytest.raises(ValueError, match="feed_forward.down has a bottleneck already"):
        inject_bottleneck(model, 2)
    assert len(bottlenecks(model)) == 2


def test_a_bottleneck_at_the_edges_of_its_rank_and_its_first_numbers():
    for rank in (1, 6):
        assert sum(p.numel() for p in Bottleneck(6, rank).parameters()) == 2 * 6 * rank + rank + 6
    for rank in (0, 7):
        with pytest.raises(ValueError, match=rf"rank must lie in \[1, 6\], got {rank}"):
            Bottleneck(6, rank)
    with pytest.raises(ValueError, match="activation must be .* got 'tanh'"):
        Bottleneck(6, 2, activation="tanh")
    layer = Bottleneck(400, 100, generator=torch.Generator().manual_seed(0))
    assert layer.down.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not any(p.any() for name, p in layer.named_parameters() if name != "down.weight")


@pytest.mark.parametrize("activation, formula", [
    ("relu", lambda x: x.clamp_min(0)), ("silu", lambda x: x / (1 + (-x).exp())),
    ("gelu", lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2),
])  # fmt: skip
def test_a_bottleneck_by_its_formula(activation, formula, generator):
    layer = Bottleneck(6, 2, activation=activation)
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    y = torch.randn(3, 6, generator=generator)
    inner = formula(y @ layer.down.weight.T + layer.down.bias)
    torch.testing.assert_close(layer(y), y + inner @ layer.up.weight.T + layer.up.bias, rtol=1e-4, atol=1e-5)
    assert layer(y.bfloat16()).dtype == torch.bfloat16


def test_activation_and_generator_reach_every_bottleneck_of_a_block():
    block = adapted.decoder().stack.blocks[0].train()  # the patterns fit whole names too
    names = inject_bottleneck(block, 2, activation="silu", generator=torch.Generator().manual_seed(3))
    assert names == ["attention.output", "feed_forward.down"]
    drawn = torch.Generator().manual_seed(3)
    for module in bottlenecks(block):
        assert torch.equal(module.down.weight, Bottleneck(16, 2, generator=drawn).down.weight)
        assert module.training and module.activation is Bottleneck(1, 1, activation="silu").activation


def test_hooks_of_others_stay():
    model = adapted.decoder()
    calls = []
    handle = model.stack.blocks[0].feed_forward.down.register_forward_hook(lambda *_: calls.append(1))
    inject_bottleneck(model, 2)
    remove_bottleneck(model)
    model(IDS)
    assert calls == [1]
    handle.remove()
    assert not any(module._forward_hooks for module in model.modules())
