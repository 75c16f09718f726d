"""Models in few bits: they compute what their unpacked weights say, take the bytes claimed, and leave the original."""

import math
import pickle
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lib.evaluation import perplexity
from lib.generation import generate
from lib.kernels import dequantize, int8_matmul, outlier_matmul, quantize_absmax
from lib.models import (
    Decoder,
    Encoder,
    EncoderDecoder,
    GroupedInt4Linear,
    Int8Linear,
    KVCache,
    MaskedLM,
    RewardModel,
    count_parameters,
    load_smollm2,
    model_bytes,
    quantize_model,
)
from lib.models.linear import PackedLinear
from lib.models.quantized import SCHEMES, WITH_OUTPUT
from lib.models.quantized_layers import Int8Embedding, NF4Linear
from lib.text import load_corpus, smollm2_tokenizer
from tests.models import small

SMALL = [scheme for scheme in SCHEMES if scheme != "bf16"]
FOUR_BITS = ("int4-group", "nf4")
SIZES = dict(d_model=32, d_ff=64)


@pytest.fixture
def linear(generator):
    layer = nn.Linear(64, 48)
    nn.init.normal_(layer.weight, generator=generator)
    return layer


@pytest.fixture
def model():
    return small.shaken(Decoder(small.llama(**SIZES)), width=0.1)


def small_layers(model):
    return {name for name, layer in model.named_modules() if isinstance(layer, PackedLinear)}


@pytest.mark.parametrize("shape", [(64,), (1, 64), (1, 1, 64), (3, 5, 64)])
def test_stored_weights_compute_as_unpacked_ones(linear, shape, generator):
    x = torch.randn(shape, generator=generator)
    for layer in (
        Int8Linear.from_linear(linear),
        Int8Linear.from_linear(linear, per_channel=False),
        GroupedInt4Linear.from_linear(linear, group_size=16),
        NF4Linear.from_linear(linear),
    ):
        expected = F.linear(x, layer.weight, linear.bias)
        torch.testing.assert_close(layer(x), expected)
        with torch.no_grad():  # the short cut for one row
            torch.testing.assert_close(layer(x), expected)
    per_row = dequantize(quantize_absmax(linear.weight, axis=0))
    assert torch.equal(Int8Linear.from_linear(linear).weight, per_row)


def test_integer_modes_are_the_kernels(linear, generator):
    x = torch.randn(3, 5, 64, generator=generator)
    x[1, 2, 9] = 40
    flat, w_q = x.view(15, 64), quantize_absmax(linear.weight.detach(), axis=0)
    vector = int8_matmul(quantize_absmax(flat, axis=0), w_q) + linear.bias
    split = outlier_matmul(flat, w_q, threshold=2.5).output + linear.bias
    torch.testing.assert_close(Int8Linear.from_linear(linear, compute="int8")(x).flatten(0, 1), vector)
    layer = Int8Linear.from_linear(linear, compute="outlier", threshold=2.5)
    torch.testing.assert_close(layer(x).flatten(0, 1), split)
    exact = linear(x).flatten(0, 1)
    assert (split - exact)[7].norm() < 0.5 * (vector - exact)[7].norm()  # the token with the outlier


@pytest.mark.parametrize("compute", ["float", "int8", "outlier", "dynamic"])
def test_gradients_reach_the_input_as_through_the_unpacked_weight(linear, compute, generator):
    layer = Int8Linear.from_linear(linear, compute=compute)
    x = torch.randn(4, 64, generator=generator, requires_grad=True)
    toward = torch.randn(4, 48, generator=generator)
    y = layer(x)
    with torch.no_grad():
        torch.testing.assert_close(y.detach(), layer(x))
    (gradient,) = torch.autograd.grad((y * toward).sum(), x)
    torch.testing.assert_close(gradient, toward @ layer.weight)
    assert list(layer.parameters()) == []


def test_bytes(linear):
    weights, bias = 64 * 48, 48 * 4
    assert model_bytes(linear) == 4 * weights + bias
    assert model_bytes(Int8Linear.from_linear(linear)) == weights + 48 * 4 + bias
    assert model_bytes(Int8Linear.from_linear(linear, per_channel=False)) == weights + 4 + bias
    assert model_bytes(GroupedInt4Linear.from_linear(linear)) == weights // 2 + weights // 32 * 4 + bias
    assert model_bytes(NF4Linear.from_linear(linear)) == weights // 2 + weights // 64 + 4 + 4 + bias
    assert model_bytes(linear.bfloat16()) == 2 * (weights + 48)


def test_model_bytes_counts_a_tied_matrix_once_and_buffers_too():
    tied, untied = (Decoder(small.decoder(tie_embeddings=tie)) for tie in (True, False))
    assert model_bytes(tied) == 4 * count_parameters(tied)
    assert model_bytes(untied) - model_bytes(tied) == 4 * 40 * 16
    norm = nn.BatchNorm1d(3)  # two parameters and three buffers, one of them an int64
    assert model_bytes(norm) == 4 * 12 + 8


@pytest.mark.parametrize("scheme", SMALL)
@pytest.mark.parametrize("make", [small.decoder, small.llama], ids=["gpt2", "llama"])
def test_a_decoder_in_few_bits(scheme, make):
    model = small.shaken(Decoder(make(**SIZES)), width=0.1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    quantised = quantize_model(model, scheme=scheme)
    blocks = (
        f"stack.blocks.{i}.{part}"
        for i in range(2)
        for part in ("attention.qkv", "attention.output", "feed_forward.up", "feed_forward.down")
    )
    assert small_layers(quantised) == set(blocks)
    assert small_layers(model) == set() and not quantised.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    held = {tensor.data_ptr() for tensor in model.state_dict().values()}
    assert not held & {tensor.data_ptr() for tensor in quantised.state_dict().values()}
    ids = small.some_ids()
    p, q = (perplexity(m, ids) for m in (model, quantised))
    assert p != q and abs(math.log(q / p)) < (0.15 if scheme in FOUR_BITS else 0.02)
    assert model_bytes(quantised.stack.blocks) < (0.33 if scheme in FOUR_BITS else 0.40) * model_bytes(
        model.stack.blocks
    )  # norms and biases of so small a model are no small part


@pytest.mark.parametrize("scheme", SCHEMES)
def test_generation_with_a_cache_equals_generation_without(scheme, model):
    quantised = quantize_model(model, scheme=scheme)
    ids = small.some_ids(length=5)
    written = generate(quantised, ids, 4)
    assert written.shape == (2, 9)
    if scheme not in ("int8-outlier", "bf16"):  # outlier columns depend on all tokens at hand; bf16 on their order
        with torch.no_grad():
            whole = quantised(written[:, :-1])
            cache = KVCache()
            steps = torch.cat([quantised(written[:, t : t + 1], cache=cache) for t in range(8)], dim=1)
        torch.testing.assert_close(steps, whole, rtol=1e-3, atol=1e-3)


def test_bf16_is_the_whole_model_cast(model):
    quantised = quantize_model(model, scheme="bf16")
    assert {tensor.dtype for tensor in quantised.state_dict().values()} == {torch.bfloat16}
    assert 2 * model_bytes(quantised) == model_bytes(model)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
    assert quantize_model(model, scheme="bf16", inplace=True) is model
    assert model.tokens.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("scheme", SMALL)
def test_a_model_in_half_precision_stays_in_it(scheme, model):
    quantised = quantize_model(model.bfloat16(), scheme=scheme)
    layer = quantised.stack.blocks[0].attention.qkv
    assert layer.stored()[-1].dtype == torch.float32
    assert quantised(small.some_ids()).dtype == torch.bfloat16


def test_other_models_keep_their_heads():
    ids = small.some_ids()
    masked = small.shaken(MaskedLM(small.encoder(**SIZES), head="bert"))
    reward = small.shaken(RewardModel(Decoder(small.llama(**SIZES))))
    seq2seq = small.shaken(EncoderDecoder(small.seq2seq(**SIZES, tie_embeddings=False)))
    for model, inputs in ((masked, (ids,)), (reward, (ids,)), (seq2seq, (ids, ids))):
        quantised = quantize_model(model, scheme="int8-channel")
        kept = {name for name, layer in quantised.named_modules() if isinstance(layer, nn.Linear)}
        assert kept == {masked: {"head.dense"}, reward: {"output", "backbone.output"}, seq2seq: {"output"}}[model]
        error = (quantised(*inputs) - model(*inputs)).norm() / model(*inputs).norm()
        assert 0 < error < 0.1
    assert small_layers(quantize_model(Encoder(small.encoder(**SIZES)), scheme="int8-tensor"))


def test_skip_and_inplace(model):
    kept = model.stack.blocks[0].feed_forward.down
    same = quantize_model(model, scheme="int8-channel", skip=["*.down", "stack.blocks.1.*"], inplace=True)
    assert same is model and model.stack.blocks[0].feed_forward.down is kept
    start = "stack.blocks.0."
    assert small_layers(model) == {start + "attention.qkv", start + "attention.output", start + "feed_forward.up"}


@pytest.mark.parametrize("inplace", [False, True])
def test_a_layer_in_two_places_stays_one(inplace):
    layer = nn.Linear(32, 32)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    quantised = quantize_model(model, scheme="int4-group", inplace=inplace)
    assert quantised[0] is quantised[2] and isinstance(quantised[0], GroupedInt4Linear)
    with pytest.raises(ValueError, match="neither a head nor skipped"):  # skipped in one place: kept in both
        quantize_model(nn.Sequential(layer, layer), scheme="int4-group", skip=["1"])


def test_a_single_layer(linear):
    assert isinstance(quantize_model(linear, scheme="int8-channel"), Int8Linear)
    with pytest.raises(ValueError, match="inplace must be False"):
        quantize_model(linear, scheme="int8-channel", inplace=True)


@pytest.mark.parametrize("scheme", SMALL)
def test_saved_weights_fill_a_model_that_was_only_a_shape(scheme, model):
    quantised = quantize_model(model, scheme=scheme)
    with torch.device("meta"):
        shape = quantize_model(Decoder(model.config).eval(), scheme=scheme)
    assert model_bytes(shape) == model_bytes(quantised)
    shape.load_state_dict(quantised.state_dict(), assign=True)
    ids = small.some_ids()
    assert torch.equal(shape(ids), quantised(ids))


def test_zero_weights_give_the_bias(generator):
    layer = nn.Linear(32, 8)
    nn.init.zeros_(layer.weight)
    x = torch.randn(3, 32, generator=generator)
    for small_layer in (
        *(Int8Linear.from_linear(layer, compute=c) for c in ("float", "int8", "outlier", "dynamic")),
        GroupedInt4Linear.from_linear(layer),
        NF4Linear.from_linear(layer),
        GroupedInt4Linear(32, 8),
        NF4Linear(32, 8),
        Int8Linear(32, 8),
    ):
        bias = torch.zeros(8) if small_layer.bias is None else small_layer.bias
        assert torch.equal(small_layer(x), bias.expand(3, 8))


def test_print_tells_how_a_layer_computes(linear):
    assert "a scale per row, compute=float" in repr(Int8Linear.from_linear(linear))
    assert "groups of 32" in repr(GroupedInt4Linear.from_linear(linear))
    assert "64, 48, NF4" in repr(NF4Linear.from_linear(linear))


def test_bad_layers(linear, unchecked):
    with pytest.raises(ValueError, match="compute must be 'float', 'int8', 'outlier' or 'dynamic', got 'fast'"):
        Int8Linear(4, 4, compute="fast")
    for threshold in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=f"threshold must be a number above 0, got {threshold}"):
            Int8Linear(4, 4, threshold=threshold)
    for group_size in (0, 3, 48):
        with pytest.raises(ValueError, match="group_size must be (at least 2|even and divide the 64 columns), got"):
            GroupedInt4Linear(64, 4, group_size=group_size)
    with pytest.raises(ValueError, match="x must be finite"):
        Int8Linear.from_linear(linear, compute="int8")(torch.full((1, 64), math.nan))
    with pytest.raises(RuntimeError):
        Int8Linear.from_linear(linear)(torch.zeros(1, 63))
    with pytest.raises(ValueError, match="weight must have an even number of columns, two to a byte, got 63"):
        NF4Linear(63, 4)


def test_bad_models(model, unchecked):
    with pytest.raises(ValueError, match="scheme must be 'bf16', .* got 'int8-chanel'; did you mean int8-channel"):
        quantize_model(model, scheme="int8-chanel")
    for function in (model_bytes, lambda m: quantize_model(m, scheme="bf16")):
        with pytest.raises(TypeError, match="model must be an nn.Module, got dict"):
            function({})
    with pytest.raises(ValueError, match=r"skip must match linear layers, got '\*.dwn'"):
        quantize_model(model, scheme="int8-channel", skip=["*.dwn"])
    with pytest.raises(TypeError, match="skip must be a sequence of strings, got one string"):
        quantize_model(model, scheme="int8-channel", skip="*.down")
    with pytest.raises(ValueError, match="skip must be empty with bf16"):
        quantize_model(model, scheme="bf16", skip=["*.down"])
    with pytest.raises(ValueError, match="'stack.blocks.0.attention.qkv' cannot be quantised: group_size"):
        quantize_model(model, scheme="int4-group", group_size=24)
    with pytest.raises(ValueError, match="is it quantised already"):
        quantize_model(quantize_model(model, scheme="int8-tensor"), scheme="int8-tensor")
    nn.init.constant_(model.stack.blocks[1].attention.qkv.weight, math.nan)
    with pytest.raises(ValueError, match="'stack.blocks.1.attention.qkv' cannot be quantised: x must be finite"):
        quantize_model(model, scheme="int8-channel", inplace=True)
    assert small_layers(model) == set()  # it fails before it changes anything


def test_a_layer_with_an_adapter_is_refused(model):
    class Adapted(nn.Linear):
        """What a layer with LoRA is: a linear layer that does more."""

    model.stack.blocks[0].attention.qkv.__class__ = Adapted
    with pytest.raises(ValueError, match="got Adapted at 'stack.blocks.0.attention.qkv': merge"):
        quantize_model(model, scheme="int8-channel")
    assert small_layers(quantize_model(model, scheme="int8-channel", skip=["*.0.attention.qkv"]))


def test_smollm2_in_eight_bits_a_row():
    model = load_smollm2()
    text = load_corpus("wikipedia").splits["test"][0].text
    ids = torch.tensor([smollm2_tokenizer().encode(text)[:96]])
    before, blocks, whole = perplexity(model, ids), model_bytes(model.stack.blocks), model_bytes(model)
    quantize_model(model, scheme="int8-channel", inplace=True)
    assert abs(perplexity(model, ids) / before - 1) < 0.03
    assert model_bytes(model.stack.blocks) < 0.26 * blocks
    assert model_bytes(model) == whole - 3 * 106_168_320 + 4 * 155_520  # matrices, and a scale per row of them


def test_a_threshold_and_a_group_size_reach_every_layer(model):
    usual, low = (quantize_model(model, scheme="int8-outlier", **options) for options in ({}, {"threshold": 2.5}))
    for quantised, threshold in ((usual, 6.0), (low, 2.5)):
        layers = [layer for layer in quantised.modules() if isinstance(layer, Int8Linear)]
        assert len(layers) == 8 and {layer.threshold for layer in layers} == {threshold}
        assert {(layer.compute, layer.per_channel) for layer in layers} == {("outlier", True)}
    grouped = quantize_model(model, scheme="int4-group", group_size=16)
    assert {layer.group_size for layer in grouped.modules() if isinstance(layer, GroupedInt4Linear)} == {16}
    assert GroupedInt4Linear(64, 4).group_size == 32


@pytest.mark.parametrize("scheme, compute, per_channel", [
    ("int8-tensor", "float", False), ("int8-channel", "float", True), ("int8-vector", "int8", True),
])  # fmt: skip
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_a_scheme_says_how_a_layer_computes_and_nothing_else_changes(scheme, compute, per_channel, bias, training):
    linear = nn.Linear(8, 4, bias=bias).train(training)
    layer = quantize_model(linear, scheme=scheme)
    assert (layer.compute, layer.per_channel, layer.training) == (compute, per_channel, training)
    assert (layer.bias is None) == (not bias)
    if bias:
        assert torch.equal(layer.bias, linear.bias) and layer.bias.data_ptr() != linear.bias.data_ptr()
        assert not layer.bias.requires_grad


def test_smollm2_with_everything_in_eight_bits():
    model = load_smollm2()
    texts = [smollm2_tokenizer().encode(t.text)[:128] for t in load_corpus("wikipedia").splits["test"]]
    ids = torch.tensor([each for each in texts if len(each) == 128][:6])
    before, whole = perplexity(model, ids), model_bytes(model)
    quantize_model(model, scheme="int8-dynamic", output=True, inplace=True)
    assert abs(perplexity(model, ids) / before - 1) < 0.01
    assert model_bytes(model) < 0.252 * whole
    assert isinstance(model.tokens, Int8Embedding) and model.output is None
    written = generate(model, ids[:1, :32], 8)
    assert written.shape == (1, 40)


@pytest.mark.parametrize("scheme", WITH_OUTPUT)
@pytest.mark.parametrize("tie", [True, False])
def test_the_output_matrix_in_eight_bits(scheme, tie):
    model = small.shaken(Decoder(small.llama(**SIZES, tie_embeddings=tie)), width=0.1)
    ids = small.some_ids()
    kept = model.output_weight.detach().clone()
    quantised = quantize_model(model, scheme=scheme, output=True)
    assert torch.equal(model.output_weight, kept), "the given model is untouched"
    expected = dequantize(quantize_absmax(kept, axis=0))
    assert torch.equal(quantised.output_weight, expected)
    if tie:  # one matrix, for looking up and for logits
        assert torch.equal(quantised.tokens(ids), expected[ids]) and quantised.output is None
    else:
        assert torch.equal(quantised.tokens.weight, model.tokens.weight) and isinstance(quantised.output, Int8Linear)
    hidden = quantised.hidden(ids).detach()
    logits, by_hand = quantised.logits(hidden), hidden @ expected.T
    torch.testing.assert_close(logits, by_hand, rtol=0, atol=0.01 * by_hand.abs().max().item())
    again = quantize_model(Decoder(model.config).eval(), scheme=scheme, output=True)
    again.load_state_dict(quantised.state_dict())
    with torch.no_grad():
        assert torch.equal(again(ids), quantised(ids))


def test_a_packed_copy_follows_its_matrix(linear, generator):
    layer, x = Int8Linear.from_linear(linear, compute="dynamic"), torch.randn(1, 64, generator=generator)
    before = layer(x)
    other = nn.Linear(64, 48)
    for changed in (deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(changed(x), before)
        changed.load_state_dict(Int8Linear.from_linear(other).state_dict())
        expected = F.linear(x, changed.weight, other.bias)
        torch.testing.assert_close(changed(x), expected, rtol=0.02, atol=0.05)
        assert not torch.allclose(changed(x), before, atol=0.05) and torch.equal(layer(x), before)


def test_logits_of_eight_bits_pass_gradients_to_the_hidden_vectors(generator):
    model = small.shaken(Decoder(small.llama(**SIZES, tie_embeddings=True)), width=0.1)
    quantised = quantize_model(model, scheme="int8-dynamic", output=True)
    hidden = torch.randn(1, 3, 32, generator=generator, requires_grad=True)
    (gradient,) = torch.autograd.grad(quantised.logits(hidden).sum(), hidden)
    torch.testing.assert_close(gradient, quantised.output_weight.sum(0).expand(1, 3, 32))
    assert "tokens.weight" not in dict(quantised.named_parameters()), "what is rounded is not trained"


def test_an_output_that_cannot_be_quantised(model):
    with pytest.raises(ValueError, match="scheme with output=True must be 'int8-channel' or 'int8-dynamic'"):
        quantize_model(model, scheme="nf4", output=True)
    with pytest.raises(ValueError, match="output must be False with bf16"):
        quantize_model(model, scheme="bf16", output=True)
    with pytest.raises(ValueError, match="model must be a Decoder with output=True, got RewardModel"):
        quantize_model(RewardModel(model), scheme="int8-dynamic", output=True)
