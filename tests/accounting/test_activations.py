"""The formula against autograd's own hooks, over kinds of models and sizes."""

import re
from dataclasses import replace

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from lib.accounting import activation_bytes, megatron_activation_bytes, saved_bytes
from lib.models import Decoder, Encoder, TransformerConfig, preset
from lib.objectives import autoregressive_loss

BASE = TransformerConfig(architecture="decoder", vocab_size=200, d_model=64, num_layers=2, num_heads=4,
                         d_ff=256, max_positions=256)  # fmt: skip
KINDS = {
    "gpt-2": replace(BASE, activation="gelu_tanh"),
    "llama": replace(BASE, norm="rmsnorm", bias=False, position="rotary", gated=True, activation="silu", d_ff=160),
    "llama with grouped heads": replace(BASE, norm="rmsnorm", bias=False, position="rotary", num_kv_heads=1),
    "relu, untied": replace(BASE, activation="relu", tie_embeddings=False, num_layers=3),
    "t5's decoder": replace(BASE, norm="rmsnorm", bias=False, position="relative", activation="relu"),
    "wide heads": replace(BASE, head_dim=32, position="rotary"),
    "gpt-1": replace(BASE, norm_position="post", final_norm=False),
    "bert": replace(
        BASE, architecture="encoder", norm_position="post", embedding_norm=True, final_norm=False, type_vocab_size=2
    ),
    "sines": replace(BASE, architecture="encoder", position="sinusoidal"),
    "no positions": replace(BASE, position="none", gated=True),
}


def measured(config, batch, length):
    model = (Decoder if config.architecture == "decoder" else Encoder)(config)
    ids = torch.randint(config.vocab_size, (batch, length), generator=torch.Generator().manual_seed(0))

    def forward():
        out = model(ids)
        return autoregressive_loss(out, ids) if config.architecture == "decoder" else out.sum()

    return saved_bytes(forward, parameters=model.parameters())


@pytest.mark.parametrize("batch, length", [(1, 32), (4, 64), (2, 200)])
@pytest.mark.parametrize("kind", KINDS)
def test_what_autograd_saves_is_predicted(kind, batch, length):
    """To a thousandth, so that no term can be missing; T5's bias is kept once more in a batch of one."""
    predicted = sum(activation_bytes(KINDS[kind], batch, length).values())
    near = 0.1 if KINDS[kind].position == "relative" else 1e-3
    assert predicted == pytest.approx(measured(KINDS[kind], batch, length), rel=near)


def test_an_encoder_ends_before_the_logits():
    parts = activation_bytes(KINDS["bert"], 4, 64)
    assert parts["logits"] == parts["output"] == 0


def test_no_score_matrix_is_kept():
    """Twice as long costs twice as much, not four times."""
    short, long = (sum(activation_bytes(KINDS["gpt-2"], 1, length).values()) for length in (64, 128))
    assert long == 2 * short
    short, long = (activation_bytes(KINDS["t5's decoder"], 1, length)["blocks"] for length in (64, 128))
    assert long > 2 * short


def test_recomputing_keeps_one_input_a_block_and_one_block():
    config = replace(KINDS["gpt-2"], num_layers=8)
    model, ids = Decoder(config), torch.zeros(2, 64, dtype=torch.long)
    x = torch.zeros(2, 64, 64, requires_grad=True)
    from lib.models.attention import AttentionContext

    def stack():
        h = x
        for block in model.stack.blocks:
            h = checkpoint(block, h, AttentionContext(causal=True), use_reentrant=False)

    inputs = 8 * ids.numel() * 64 * 4
    assert saved_bytes(stack, parameters=model.parameters()) == pytest.approx(inputs, rel=0.15)
    whole, lean = (activation_bytes(config, 2, 64, recompute=r)["blocks"] for r in (False, True))
    assert lean == inputs + whole // 8


def test_bytes_per_value_scale_all_but_the_ids():
    four, two = (activation_bytes(KINDS["gpt-2"], 2, 8, bytes_per_value=b) for b in (4, 2))
    assert four["blocks"] == 2 * two["blocks"]
    assert four["input"] == two["input"] == 2 * 8 * 8 + 8 * 8


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: activation_bytes(preset("t5-small"), 1, 8), "config must be an encoder's or a decoder's"),
        (lambda: activation_bytes(replace(BASE, attention="tiled"), 1, 8), "config.attention must be"),
        (lambda: activation_bytes(BASE, 0, 8), "batch_size must be at least 1"),
        (lambda: activation_bytes(BASE, 1, -8), "length must be at least 1"),
        (lambda: activation_bytes(BASE, 1, 8, bytes_per_value=0), "bytes_per_value must be at least 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


# Megatron's layer, as Korthikanti et al. draw it: everything in 16 bits, dropout with masks of one byte, no fused attention.


def megatron_layer(x, weights, heads, *, drop=lambda x: torch.native_dropout(x, 0.5, True)[0]):
    """One layer's forward pass, an operation at a time; what autograd saves is what the paper's table 2 counts."""
    batch, length, width = x.shape

    def split(y):
        return y.view(batch, length, heads, -1).transpose(1, 2)

    normed = torch.layer_norm(x, (width,))
    q, k, v = (split(normed @ w) for w in weights[:3])
    chance = drop(torch.softmax(q @ k.mT * (width / heads) ** -0.5, dim=-1))
    x = x + drop((chance @ v).transpose(1, 2).reshape(batch, length, width) @ weights[3])
    inner = torch.nn.functional.gelu(torch.layer_norm(x, (width,)) @ weights[4])
    return x + drop(inner @ weights[5])


@pytest.mark.parametrize("length, heads", [(64, 2), (32, 8), (128, 4)])
def test_megatrons_formula_is_what_such_a_layer_saves(length, heads):
    width, batch = 256, 3
    shapes = [(width, width)] * 4 + [(width, 4 * width), (4 * width, width)]
    weights = [torch.randn(*shape).bfloat16().mul(0.05).requires_grad_() for shape in shapes]
    x = torch.randn(batch, length, width).bfloat16().requires_grad_()
    saved = saved_bytes(lambda: megatron_layer(x, weights, heads), parameters=weights)
    counted = megatron_activation_bytes(length=length, batch_size=batch, width=width, heads=heads, layers=1)
    assert counted == batch * length * width * 34 + 5 * heads * length**2 * batch
    assert saved == pytest.approx(counted, rel=0.01)  # the norms' means and deviations are not counted


GPT3 = {"length": 2048, "batch_size": 1, "width": 12_288, "heads": 96, "layers": 96}
MT_NLG = {"length": 2048, "batch_size": 1, "width": 20_480, "heads": 128, "layers": 105}


def test_selective_recomputation_saves_what_the_paper_says():
    for sizes, share in ((GPT3, 0.70), (MT_NLG, 0.65)):  # section 5: 70 % of GPT-3's activations, 65 % of MT-NLG's
        kept = megatron_activation_bytes(**sizes, recompute="selective") / megatron_activation_bytes(**sizes)
        assert 1 - kept == pytest.approx(share, abs=0.005)


def test_the_rows_of_table_2():
    s, b, h, a, t = 8, 2, 96, 6, 3
    sizes = {"length": s, "batch_size": b, "width": h, "heads": a, "layers": 5}
    parallel = sizes | {"tensor_parallel": t}
    rows = [  # numbers per token and unit of width, and the options
        (34 + 5 * a * s / h, sizes),
        (10 + 24 / t + 5 * a * s / (h * t), parallel),
        (34 / t + 5 * a * s / (h * t), parallel | {"sequence_parallel": True}),
        (10 + 24 / t, parallel | {"recompute": "selective"}),
        (34 / t, parallel | {"sequence_parallel": True, "recompute": "selective"}),
        (2, parallel | {"recompute": "full"}),
    ]
    for expected, options in rows:
        assert megatron_activation_bytes(**options) == pytest.approx(5 * s * b * h * expected, rel=1e-12)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"tensor_parallel": 5}, "tensor_parallel must divide the 96 heads, got 5"),
        ({"recompute": "half"}, "recompute must be 'none', 'selective' or 'full', got 'half'"),
        ({"layers": 0}, "layers must be at least 1, got 0"),
    ],
)
def test_bad_sizes_of_megatron(change, message, unchecked):
    with pytest.raises(ValueError, match=re.escape(message)):
        megatron_activation_bytes(**GPT3 | change)


@pytest.mark.parametrize("name", ["length", "batch_size", "width", "heads", "layers", "tensor_parallel"])
def test_every_size_of_megatron_is_at_least_one(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        megatron_activation_bytes(**GPT3 | {name: 0})


def test_what_does_not_divide_evenly_is_rounded_up():
    sizes = {"length": 1, "batch_size": 1, "width": 2, "heads": 7, "layers": 3, "tensor_parallel": 7}
    shared = -(-(24 * 2 + 5 * 7) // 7)  # 83 / 7: 12
    assert megatron_activation_bytes(**sizes) == 3 * (20 + shared) == 96
    assert megatron_activation_bytes(**sizes, sequence_parallel=True) == 3 * (3 + 12)
    assert megatron_activation_bytes(**sizes, recompute="selective") == 3 * (20 + 7)
    assert megatron_activation_bytes(**sizes, recompute="full", sequence_parallel=True) == 3 * 4


@pytest.mark.parametrize("kind", KINDS)
def test_half_the_width_of_a_number_is_half_of_all_but_the_indices(kind):
    four, two = (activation_bytes(KINDS[kind], 3, 16, bytes_per_value=b) for b in (4, 2))
    config, tokens = KINDS[kind], 3 * 16
    indices = {"input": tokens * 8, "blocks": 0, "output": 0, "logits": tokens * 8}
    indices["input"] += {"learned": 16 * 8, "relative": 16 * 16 * 9}.get(config.position, 0)
    if config.architecture == "encoder":
        indices["logits"] = 0
    assert {name: two[name] - indices[name] for name in two} == {
        name: (four[name] - indices[name]) / 2 for name in four
    }
    assert activation_bytes(config, 3, 16) == four
