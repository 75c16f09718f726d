"""What is frozen and what is trained: whole models, first layers, biases."""

import pytest
import torch
from torch import nn

from lib.adapters import count_trainable, freeze, freeze_layers, inject_bitfit, trainable_parameters, unfreeze
from lib.models import Decoder, count_parameters, preset
from tests.adapters import adapted
from tests.adapters.adapted import IDS
from tests.models import theirs


def trained(model):
    return [name for name, p in model.named_parameters() if p.requires_grad]


def test_freeze_and_unfreeze():
    model = adapted.decoder()
    model.tokens.weight.requires_grad_(False)
    before = trained(model)
    assert len(trainable_parameters(model)) == len(before)
    assert count_trainable(model) == count_parameters(model) - model.tokens.weight.numel()
    freeze(model)
    freeze(model)  # what was trained at first is remembered, not what is trained between
    assert trained(model) == [] and count_trainable(model) == 0
    unfreeze(model)
    assert trained(model) == before
    unfreeze(model)
    assert trained(model) == before and vars(model).keys() == vars(adapted.decoder()).keys()


def test_a_shared_parameter_counts_once():
    model = theirs.gpt2()
    assert count_trainable(model) == sum(p.numel() for p in set(model.parameters()))


@pytest.mark.parametrize("make, layers, expected", [
    (adapted.llama, 1, ("stack.blocks.1", "stack.norm", "output")),
    (adapted.llama, 2, ("stack.norm", "output")),
    (adapted.llama, 0, ("stack.", "output")),
    (adapted.encoder, 1, ("stack.blocks.1",)),
    (adapted.seq2seq, 4, ("decoder.blocks.1", "decoder.relative", "decoder.norm")),  # 3 encoder layers and 1
    (theirs.llama, 1, ("model.layers.1", "model.norm", "lm_head")),
    (theirs.gpt2, 1, ("transformer.h.1", "transformer.ln_f")),  # its head is the embedding, which is frozen
    (theirs.bert, 2, ("pooler",)),
    (theirs.t5, 1, ("encoder.block.1", "encoder.block.2", "encoder.final", "decoder")),  # a block is a list of layers of its own
])  # fmt: skip
def test_first_layers(make, layers, expected):
    model = make()
    frozen = freeze_layers(model, layers)
    names = [name for name, _ in model.named_parameters()]
    assert trained(model) == [name for name in names if name.startswith(expected)]
    assert frozen == [name for name in names if name not in trained(model)]
    unfreeze(model)
    assert trained(model) == names


def test_frozen_layers_get_no_gradient():
    model = adapted.llama()
    frozen = freeze_layers(model, 1)
    model(IDS).sum().backward()
    assert {name for name, p in model.named_parameters() if p.grad is None} == set(frozen)


def test_what_was_frozen_before_stays_frozen():
    model = adapted.llama()
    model.output.weight.requires_grad_(False)
    freeze_layers(model, 1)
    freeze_layers(model, 2)
    assert trained(model) == ["stack.norm.weight"]


@pytest.mark.parametrize("layers, error, message", [
    (3, ValueError, r"layers must lie in \[0, 2\], got 3"),
    (-1, ValueError, r"layers must lie in \[0, 2\], got -1"),
    (1.0, TypeError, "layers must be a whole number, got 1.0"),
    (True, TypeError, "layers must be a whole number, got True"),
])  # fmt: skip
def test_bad_layers(unchecked, layers, error, message):
    model = adapted.llama()
    with pytest.raises(error, match=message):
        freeze_layers(model, layers)
    assert count_trainable(model) == count_parameters(model)


def test_bitfit_trains_every_bias_and_nothing_else():
    model = adapted.decoder()
    before = adapted.state(model)
    biases = inject_bitfit(model)
    assert biases == trained(model) == [name for name in before if name.endswith("bias")]
    optimizer = torch.optim.SGD(trainable_parameters(model), lr=0.1)
    model(IDS).pow(2).sum().backward()
    optimizer.step()
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert set(changed) <= set(biases) and len(changed) > len(biases) // 2
    unfreeze(model)
    assert trained(model) == list(before)


@pytest.mark.parametrize("name", ["gpt-2", "gpt-3-175b"])
def test_bitfit_counts_eleven_d_a_layer(name):
    config = preset(name)
    with torch.device("meta"):
        model = Decoder(config)
    inject_bitfit(model)
    d = config.d_model
    assert count_trainable(model) == (3 + 1 + 4 + 1 + 2) * d * config.num_layers + d  # W28 prints 12 d L


def test_bitfit_without_biases(unchecked):
    with pytest.raises(ValueError, match="this Decoder has no biases"):
        inject_bitfit(adapted.llama())
    with pytest.raises(TypeError, match="model must be an nn.Module, got dict"):
        inject_bitfit({})
    assert list(inject_bitfit(nn.Linear(2, 2))) == ["bias"]
