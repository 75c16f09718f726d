"""Scalar heads: the value before each token."""

import pytest
import torch

from lib.models import Decoder, TransformerConfig, ValueModel

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
