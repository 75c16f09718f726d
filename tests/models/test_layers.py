"""The parts, each against a few lines that compute the same thing by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.models import Decoder, Encoder, EncoderDecoder
from lib.models.attention import AttentionContext
from lib.models.layers import Block, FeedForward, InputLayer, make_norm
from lib.models.linear import BLOCKS, Embedding, Linear, project, undrawn
from tests.models import small

X = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(3))


def test_layernorm_and_rmsnorm_by_their_formulas():
    layer = small.shaken(make_norm(small.decoder(norm_eps=0.1)))
    centred = X - X.mean(-1, keepdim=True)
    expected = centred / (centred.pow(2).mean(-1, keepdim=True) + 0.1).sqrt() * layer.weight + layer.bias
    torch.testing.assert_close(layer(X), expected)
    layer = small.shaken(make_norm(small.llama(norm_eps=0.1)))
    torch.testing.assert_close(layer(X), X / (X.pow(2).mean(-1, keepdim=True) + 0.1).sqrt() * layer.weight)
    assert make_norm(small.decoder(bias=False)).bias is None


@pytest.mark.parametrize(
    "name, formula",
    [
        ("gelu", lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))),
        ("gelu_tanh", lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
        ("relu", lambda x: x * (x > 0)),
        ("silu", lambda x: x / (1 + torch.exp(-x))),
    ],
)
@pytest.mark.parametrize("gated", [False, True])
def test_feed_forward_by_its_formula(name, formula, gated):
    layer = small.shaken(FeedForward(small.decoder(activation=name, gated=gated)))
    up = X @ layer.up.weight.T + layer.up.bias
    inner = formula(up[..., :24]) * up[..., 24:] if gated else formula(up)
    torch.testing.assert_close(layer(X), inner @ layer.down.weight.T + layer.down.bias, atol=1e-5, rtol=1e-5)


def test_pre_and_post_norm_differ_in_where_the_norm_stands():
    for place in ("pre", "post"):
        block = small.shaken(Block(small.decoder(norm_position=place), 0))
        if place == "pre":
            middle = X + block.attention(block.attention_norm(X), AttentionContext())
            expected = middle + block.feed_forward(block.feed_forward_norm(middle))
        else:
            middle = block.attention_norm(X + block.attention(X, AttentionContext()))
            expected = block.feed_forward_norm(middle + block.feed_forward(middle))
        torch.testing.assert_close(block(X, AttentionContext()), expected)


def test_the_input_layer_adds_what_bert_adds():
    layer = small.shaken(InputLayer(small.encoder(position_offset=2, embedding_scale=3.0)))
    positions, types = torch.arange(5)[None], torch.tensor([[0, 0, 1, 1, 1], [0, 1, 0, 1, 0]])
    assert layer.positions.num_embeddings == 14
    expected = layer.norm(3 * X + layer.positions.weight[2:7] + layer.types.weight[types])
    torch.testing.assert_close(layer(X, positions, types), expected)
    torch.testing.assert_close(layer(X, positions), layer(X, positions, torch.zeros_like(types)))


def test_sinusoidal_positions_are_the_original_ones():
    layer = InputLayer(small.decoder(position="sinusoidal"))
    added = layer(torch.zeros(1, 3, 16), torch.tensor([[0, 7, 7]]))[0]
    expected = [f(7 / 10_000 ** (2 * i / 16)) for i in range(8) for f in (math.sin, math.cos)]
    torch.testing.assert_close(added[1:], torch.tensor([expected, expected]))


def test_dropout_acts_in_training_only_and_on_every_path():
    config = small.decoder(dropout=0.5)
    model = small.shaken(Decoder(config))
    ids = small.some_ids()
    assert torch.equal(model(ids), model(ids))
    model.train()
    assert not torch.equal(model(ids), model(ids))
    layer = InputLayer(config).train()
    assert (layer(torch.ones(2, 5, 16), torch.arange(5)[None]) == 0).float().mean() > 0.3
    block = Block(config, 0).train()
    with torch.no_grad():  # a branch that adds 1 everywhere: dropped at one half, doubled at the other
        block.feed_forward.down.weight.zero_(), block.feed_forward.down.bias.fill_(1)
        block.attention.output.weight.zero_(), block.attention.output.bias.zero_()
        assert set((block(X, AttentionContext()) - X).round(decimals=4).unique().tolist()) == {0.0, 2.0}


@given(rows=st.integers(1, 40), width=st.integers(1, 20), bias=st.booleans(), dims=st.integers(1, 3))
def test_the_short_cut_of_one_row_is_the_linear_map(rows, width, bias, dims):
    noise = torch.Generator().manual_seed(rows * 100 + width)
    layer = Linear(width, rows, bias=bias)
    x = torch.randn((1,) * (dims - 1) + (width,), generator=noise)
    with torch.no_grad():
        got = layer(x)
    assert got.shape == x.shape[:-1] + (rows,)
    expected = torch.nn.functional.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_the_short_cut_is_taken_for_one_row_and_no_other(monkeypatch):
    calls = []
    real = torch.bmm
    monkeypatch.setattr(torch, "bmm", lambda *a: calls.append(1) or real(*a))
    weight = torch.randn(BLOCKS + 1, 4)
    with torch.no_grad():
        project(torch.randn(1, 1, 4), weight)
        assert len(calls) == 1
        project(torch.randn(1, 2, 4), weight)
        project(torch.randn(1, 4).double(), weight.double())
        project(torch.randn(1, 4), torch.randn(4, BLOCKS + 1).T)
    project(torch.randn(1, 4), weight)  # gradients may be wanted
    assert len(calls) == 1


def test_a_width_that_does_not_fit_is_refused(unchecked):
    with torch.no_grad(), pytest.raises(RuntimeError):
        project(torch.randn(1, 3), torch.randn(16, 4))


def test_fresh_weights_have_the_promised_spread():
    config = small.decoder(d_model=64, num_heads=4, d_ff=256, num_layers=8, init_std=0.05)
    block = Decoder(config, generator=torch.Generator().manual_seed(0)).stack.blocks[0]
    assert block.feed_forward.up.weight.std().item() == pytest.approx(0.05, rel=0.05)
    for writes in (block.feed_forward.down, block.attention.output):
        assert writes.weight.std().item() == pytest.approx(0.05 / 4, rel=0.05)  # 1 / sqrt(2 * 8)
        assert not writes.bias.any()
    assert (block.attention_norm.weight == 1).all()
    post = Decoder(small.decoder(d_model=64, d_ff=256, norm_position="post"))
    assert post.stack.blocks[0].feed_forward.down.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_fresh_weights_follow_the_generator_or_the_global_seed():
    one, two = (Encoder(small.encoder(), generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    torch.manual_seed(1)
    three = Encoder(small.encoder())
    torch.manual_seed(1)
    four = Encoder(small.encoder())
    assert all(torch.equal(a, b) for a, b in zip(three.parameters(), four.parameters(), strict=True))
    assert not torch.equal(one.tokens.weight, three.tokens.weight)


def test_layers_draw_their_own_numbers_unless_a_model_will():
    before = torch.get_rng_state()
    with pytest.raises(KeyError), undrawn():
        Linear(8, 8), Embedding(8, 8)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)
    for layer in (Linear, Embedding):
        before = torch.get_rng_state()
        assert layer(8, 8).weight.std() > 0.05
        assert not torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("layers, encoder_layers", [(2, 8), (8, 2)])
def test_the_deeper_side_says_how_narrow_the_residual_matrices_of_both_are(layers, encoder_layers):
    config = small.seq2seq(d_model=64, d_ff=256, num_layers=layers, num_encoder_layers=encoder_layers, init_std=0.05)
    model = EncoderDecoder(config, generator=torch.Generator().manual_seed(0))
    for block in (model.encoder.blocks[0], model.decoder.blocks[0]):
        for writes in (block.feed_forward.down, block.attention.output):
            assert writes.weight.std().item() == pytest.approx(0.05 / 4, rel=0.05)  # 1 / sqrt(2 * 8)
        assert block.attention.qkv.weight.std().item() == pytest.approx(0.05, rel=0.05)
    assert model.decoder.blocks[0].cross.output.weight.std().item() == pytest.approx(0.05 / 4, rel=0.05)
    assert model.decoder.blocks[0].cross.kv.weight.std().item() == pytest.approx(0.05, rel=0.05)
