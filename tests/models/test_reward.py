"""Scalar heads: the value before each token."""

from dataclasses import replace

import pytest
import torch

from lib.models import Decoder, RewardModel, TransformerConfig, ValueModel

CONFIG = TransformerConfig(
    architecture="decoder", vocab_size=9, d_model=8, num_layers=1, num_heads=2, d_ff=16, max_positions=8, init_std=0.5
)


def test_a_value_has_read_only_what_came_before_its_token():
    model = ValueModel(Decoder(CONFIG, generator=torch.Generator().manual_seed(0)))
    ids = torch.tensor([[1, 2, 3, 4]])
    values = model(ids)
    assert values[0, 0] == 0
    for t in range(1, 4):
        last = model.output(model.backbone.hidden(ids[:, :t]))[0, -1, 0]
        assert torch.allclose(values[0, t], last, atol=1e-6)
    changed = ids.clone()
    changed[0, 2] = 7
    moved = (model(changed) - values)[0].abs() > 1e-6
    assert moved.tolist() == [False, False, False, True]


def test_only_the_head_is_new():
    decoder = Decoder(CONFIG)
    names = {name for name, _ in ValueModel(decoder).named_parameters()}
    assert names - {f"backbone.{name}" for name, _ in decoder.named_parameters()} == {"output.weight", "output.bias"}


def test_it_wants_a_decoder(unchecked):
    with pytest.raises(TypeError, match="decoder must be a Decoder"):
        ValueModel(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("kind", [ValueModel, RewardModel])
def test_padding_on_the_left_is_not_read(kind):
    model = kind(
        Decoder(CONFIG, generator=torch.Generator().manual_seed(0)), generator=torch.Generator().manual_seed(1)
    )
    bare, padded = (
        model(torch.tensor([[5, 6, 7]])),
        model(torch.tensor([[1, 2, 5, 6, 7], [3, 4, 5, 6, 7]]), torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])),
    )
    ours = padded[0, 3:] if kind is ValueModel else padded[:1]
    torch.testing.assert_close(ours, bare[0, 1:] if kind is ValueModel else bare)
    assert not torch.allclose(padded[0], padded[1])


@pytest.mark.parametrize("kind", [ValueModel, RewardModel])
def test_the_generator_draws_the_head_and_dropout_is_before_it(kind):
    base = lambda **changes: Decoder(replace(CONFIG, **changes), generator=torch.Generator().manual_seed(0))
    one, two, other = (kind(base(), generator=torch.Generator().manual_seed(seed)).output.weight for seed in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)
    model, ids = kind(base(dropout=0.5)).train(), torch.tensor([[1, 2, 3]])
    model.backbone.eval()
    assert not torch.equal(model(ids), model(ids))
    assert torch.equal(model.eval()(ids), model(ids))
