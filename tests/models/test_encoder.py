"""An encoder sees everything, knows order by positions alone, and is not moved by padding."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertModel

from lib.models import Encoder, load_transformers
from tests.models import small

IDS = small.some_ids()
KERNELS = ["fused", "reference", "tiled"]


def test_every_output_depends_on_every_input():
    model = small.shaken(Encoder(small.encoder(num_layers=1)))
    vectors = model.tokens(IDS[:1]).detach().requires_grad_()
    model.tokens = torch.nn.Identity()
    model.tokens.forward = lambda _: vectors
    out = model(IDS[:1])
    for t in range(8):
        reach = torch.autograd.grad(out[0, t].sum(), vectors, retain_graph=True)[0].norm(dim=-1)
        assert (reach > 0).all()


@settings(max_examples=15)
@given(order=st.permutations(range(8)))
def test_without_positions_order_is_invisible(order):
    model = small.shaken(Encoder(small.encoder(position="none")))
    with torch.no_grad():
        torch.testing.assert_close(model(IDS[:, order]), model(IDS)[:, order], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("position", ["learned", "rotary", "relative", "sinusoidal"])
def test_with_positions_order_counts(position):
    model = small.shaken(Encoder(small.encoder(position=position)))
    order = [1, 0, 2, 3, 4, 5, 6, 7]
    assert (model(IDS[:, order]) - model(IDS)[:, order]).abs().max() > 0.01


@pytest.mark.parametrize("position", ["learned", "rotary", "relative", "sinusoidal", "none"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("mask", [small.RIGHT, small.LEFT], ids=["right", "left"])
def test_padding_on_either_side_changes_nothing(position, kernel, mask):
    model = small.shaken(Encoder(small.encoder(position=position, attention=kernel)))
    alone = IDS[1:][mask[1:].bool()][None]
    with torch.no_grad():
        padded = model(IDS, mask)[1][mask[1].bool()]
        torch.testing.assert_close(padded, model(alone)[0], atol=1e-5, rtol=1e-5)
        other = model(IDS.masked_fill(mask == 0, 7), mask)[1][mask[1].bool()]
        torch.testing.assert_close(other, padded, atol=0, rtol=0)  # what stands in the padding is never read


@pytest.mark.parametrize("kernel", KERNELS[1:])
def test_the_kernels_agree_with_gradients(kernel):
    outcomes = []
    for name in ("fused", kernel):
        model = Encoder(small.encoder(attention=name), generator=torch.Generator().manual_seed(0))
        model = small.shaken(model)
        out = model(IDS, small.RIGHT)
        out[small.RIGHT.bool()].square().mean().backward()
        outcomes.append((out[small.RIGHT.bool()], model.stack.blocks[0].attention.qkv.weight.grad))
    for one, two in zip(*outcomes, strict=True):
        torch.testing.assert_close(one, two, atol=2e-5, rtol=1e-4)


def test_explicit_positions_override_the_counted_ones():
    model = small.shaken(Encoder(small.encoder()))
    assert torch.equal(model(IDS, position_ids=torch.arange(8).expand(2, 8)), model(IDS))
    assert not torch.allclose(model(IDS, position_ids=torch.arange(8).flip(0).expand(2, 8)), model(IDS))


def test_the_pooler_reads_the_first_token():
    model = small.shaken(Encoder(small.encoder(pooler=True)))
    hidden = model(IDS)
    torch.testing.assert_close(model.pool(hidden), torch.tanh(model.pooler(hidden[:, 0])))
    with pytest.raises(ValueError, match="no pooler"):
        Encoder(small.encoder()).pool(hidden)


def test_attention_maps_are_distributions_that_skip_padding():
    model = small.shaken(Encoder(small.encoder()))
    maps = model.attention_maps(IDS, small.RIGHT, torch.zeros_like(IDS))
    assert [tuple(m.shape) for m in maps] == [(2, 4, 8, 8)] * 2
    for m in maps:
        torch.testing.assert_close(m.sum(-1), torch.ones(2, 4, 8))
        assert (m[1, :, :, 5:] == 0).all() and (m[0] > 0).all() and not m.requires_grad


def test_it_runs_on_the_meta_device():
    with torch.device("meta"):
        assert Encoder(small.encoder())(IDS.to("meta")).shape == (2, 8, 16)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"input_ids": torch.zeros(0, 3, dtype=torch.long)}, "input_ids must not be empty"),
        ({"input_ids": torch.tensor([[40]])}, "input_ids must be ids from 0 to 39, got 40"),
        ({"input_ids": torch.ones(1, 13, dtype=torch.long)}, "input_ids has 13 tokens, more than the conte.* 12"),
        ({"input_ids": IDS, "attention_mask": torch.ones(2, 7).long()}, r"expected shape \(2, 8\), got \(2, 7\)"),
        ({"input_ids": IDS, "attention_mask": torch.zeros(2, 8).long()}, "masks every token of row 0"),
        (
            {"input_ids": IDS, "token_type_ids": 2 * torch.ones(2, 8).long()},
            "token_type_ids must be ids from 0 to 1, got 2",
        ),
        ({"input_ids": IDS, "token_type_ids": torch.ones(2, 7).long()}, r"type_ids must have shape \(2, 8\)"),
    ],
)
def test_bad_input(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        Encoder(small.encoder())(**arguments)


def test_segments_need_an_embedding():
    with pytest.raises(ValueError, match="this encoder has no segments"):
        Encoder(small.encoder(type_vocab_size=0))(IDS, token_type_ids=torch.zeros_like(IDS))


def test_another_kind_of_configuration_is_refused():
    with pytest.raises(ValueError, match="config.architecture must be 'encoder', got 'decoder'"):
        Encoder(small.decoder())
    assert replace(small.encoder(), num_layers=1) == small.encoder(num_layers=1)


def test_hidden_states_are_those_of_transformers():
    """What enters the first layer, and what leaves each, for a BERT with padding."""
    theirs = BertModel(BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=3, num_attention_heads=2,
                                  intermediate_size=16, max_position_embeddings=12)).eval()  # fmt: skip
    ours = load_transformers(theirs.state_dict(), theirs.config)
    ids, mask = torch.arange(3, 15).view(2, 6), torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    with torch.no_grad():
        found = ours.hidden_states(ids, mask)
        expected = theirs(ids, attention_mask=mask, output_hidden_states=True).hidden_states
    assert len(found) == 4
    for a, b in zip(found, expected):
        torch.testing.assert_close(a[mask.bool()], b[mask.bool()], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[-1], ours(ids, mask))
