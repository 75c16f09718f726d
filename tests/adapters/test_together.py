"""Adapters of several kinds on one model: none of them frees the base, or stops another, when it goes."""

import copy

import pytest
import torch

from lib.adapters import (
    LoraSettings,
    freeze,
    freeze_layers,
    inject_bitfit,
    inject_bottleneck,
    inject_lora,
    merge,
    remove_bottleneck,
    remove_lora,
    set_adapter,
    unfreeze,
)
from tests.adapters import adapted
from tests.adapters.adapted import IDS


def trained(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


def lora(model, name="default"):
    inject_lora(model, LoraSettings(rank=2), name=name)


def bottleneck(model):
    inject_bottleneck(model, 2)


def test_one_of_two_adapters_goes_and_the_base_stays_frozen():
    model = adapted.decoder()
    before = trained(model)
    lora(model, "first")
    lora(model, "second")
    second = trained(model)
    for going in ("remove", "merge and remove"):
        other = copy.deepcopy(model)
        if going != "remove":
            set_adapter(other, "first")
            merge(other)
        remove_lora(other, "first")
        set_adapter(other, "second")
        assert trained(other) == second and all(".second." in name for name in second)
        other(IDS).sum().backward()
        assert all(p.grad is None for name, p in other.named_parameters() if name not in second)
        remove_lora(other, "second")
        assert trained(other) == before


def test_the_last_but_one_leaves_nothing_trained_where_it_was_the_active_one():
    model = adapted.decoder()
    lora(model, "first")
    lora(model, "second")
    remove_lora(model, "second")
    assert trained(model) == set()
    set_adapter(model, "first")
    assert trained(model) and all(".first." in name for name in trained(model))


@pytest.mark.parametrize("first, second, remove_first, remove_second", [
    (lora, bottleneck, remove_lora, remove_bottleneck),
    (bottleneck, lora, remove_bottleneck, remove_lora),
])  # fmt: skip
def test_two_kinds(first, second, remove_first, remove_second):
    model = adapted.decoder()
    model.tokens.weight.requires_grad_(False)
    before, state = trained(model), adapted.state(model)
    first(model)
    of_first = trained(model)
    second(model)
    of_both = trained(model)
    assert of_first and of_both and not of_both & (before | of_first)

    inner = copy.deepcopy(model)
    remove_second(inner)
    assert trained(inner) == of_first
    remove_first(inner)
    assert trained(inner) == before and adapted.same(inner.state_dict(), state)

    remove_first(model)
    assert trained(model) == of_both
    remove_second(model)
    assert trained(model) == before and vars(model).keys() == vars(adapted.decoder()).keys()


@pytest.mark.parametrize("put, remove", [(lora, remove_lora), (bottleneck, remove_bottleneck)])
@pytest.mark.parametrize("prepare", [freeze, inject_bitfit, lambda model: freeze_layers(model, 1)])
def test_what_was_frozen_before_is_frozen_after(prepare, put, remove):
    model = adapted.decoder()
    everything = trained(model)
    prepare(model)
    before = trained(model)
    put(model)
    assert not trained(model) & everything
    remove(model)
    assert trained(model) == before != everything
    unfreeze(model)
    assert trained(model) == everything


def test_unfreezing_under_an_adapter_then_removing_it():
    model = adapted.decoder()
    everything = trained(model)
    lora(model)
    unfreeze(model)
    assert trained(model) == everything
    remove_lora(model)
    assert trained(model) == everything
    assert torch.equal(model(IDS), adapted.decoder()(IDS))
