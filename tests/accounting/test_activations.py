"""The formula against autograd's own hooks, over kinds of models and sizes."""

import re
from dataclasses import replace

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from lib.accounting import activation_bytes, saved_bytes
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
