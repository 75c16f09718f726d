"""A decoder sees the past only, whatever the kernel, the positions or the padding."""

from dataclasses import replace

import pytest
import torch

from lib.models import Decoder, KVCache
from tests.models import small

IDS = small.some_ids()
CONFIGS = {
    "gpt2": small.decoder(),
    "llama": small.llama(),
    "relative": small.decoder(position="relative"),
    "reference": small.decoder(attention="reference"),
    "tiled": small.llama(attention="tiled"),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("mask", [None, small.LEFT, small.RIGHT], ids=["full", "left", "right"])
def test_a_changed_token_changes_nothing_before_it(config, mask):
    model = small.shaken(Decoder(config))
    with torch.no_grad():
        before = model.hidden(IDS, mask)
        for j in range(8):
            changed = IDS.clone()
            changed[:, j] = (changed[:, j] + 1) % small.VOCABULARY
            after = model.hidden(changed, mask)
            assert torch.equal(after[:, :j], before[:, :j])
            assert not torch.equal(after[0, j:], before[0, j:])


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_jacobian_is_lower_triangular_and_full(config):
    model = small.shaken(Decoder(config))
    vectors = model.tokens(IDS[:1]).detach().requires_grad_()
    model.tokens.forward = lambda _: vectors
    hidden = model.hidden(IDS[:1])
    for t in range(8):
        reach = torch.autograd.grad(hidden[0, t, 0], vectors, retain_graph=True)[0].norm(dim=-1)[0]
        assert (reach[t + 1 :] == 0).all() and (reach[: t + 1] > 0).all()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("mask", [small.RIGHT, small.LEFT], ids=["right", "left"])
def test_padding_on_either_side_changes_nothing(config, mask):
    model = small.shaken(Decoder(config))
    alone = IDS[1:][mask[1:].bool()][None]
    with torch.no_grad():
        torch.testing.assert_close(model(IDS, mask)[1][mask[1].bool()], model(alone)[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model(IDS, mask)[0], model(IDS)[0], atol=1e-5, rtol=1e-5)
        assert torch.isfinite(model(IDS, mask)).all()  # rows of padding that see nothing, too


WINDOWS = {kernel: small.llama(attention=kernel, sliding_window=3) for kernel in ("fused", "reference", "tiled")} | {
    "learned": small.decoder(sliding_window=3),
    "relative": small.decoder(position="relative", sliding_window=3),
}


@pytest.mark.parametrize("config", WINDOWS.values(), ids=WINDOWS)
def test_a_window_hides_what_is_further_back(config):
    """L layers of windows of W tokens see L (W - 1) tokens back: one layer 2, two layers 4."""
    for layers in (1, 2):
        model = small.shaken(Decoder(replace(config, num_layers=layers)))
        vectors = model.tokens(IDS[:1]).detach().requires_grad_()
        model.tokens.forward = lambda _, vectors=vectors: vectors
        hidden = model.hidden(IDS[:1])
        for t in range(8):
            reach = torch.autograd.grad(hidden[0, t, 0], vectors, retain_graph=True)[0].norm(dim=-1)[0]
            assert ((reach > 0) == ((torch.arange(8) <= t) & (torch.arange(8) >= t - 2 * layers))).all()


@pytest.mark.parametrize("config", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("real", [[1, 1, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 0, 0]])
@torch.no_grad()
def test_a_window_counts_no_padding_and_none_in_a_cache(config, real):
    if config.position == "relative" and real == [1, 1, 0, 0, 1, 1, 1, 1]:
        return  # its bias counts every token, also padding between others
    model, mask = small.shaken(Decoder(config)), torch.tensor([real, [1] * 8])
    alone = model(IDS[:1][mask[:1].bool()][None])[0]
    whole = model(IDS, mask)
    torch.testing.assert_close(whole[0][mask[0].bool()], alone, atol=1e-5, rtol=1e-5)
    cache = KVCache()
    for start, end in ((0, 4), (4, 5), (5, 8)):
        got = model(IDS[:, start:end], mask[:, :end], cache)
        new = mask[:, start:end].bool()
        torch.testing.assert_close(got[new], whole[:, start:end][new], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_window_as_wide_as_the_text_hides_nothing():
    wide, plain = (Decoder(small.llama(sliding_window=window)) for window in (8, None))
    wide.load_state_dict(small.shaken(plain).state_dict())
    assert torch.equal(wide(IDS), plain(IDS))
    assert wide.stack._mask(8, 8, None, IDS.device) == (None, True)  # and the kernel keeps its fast way
    maps = small.shaken(Decoder(small.llama(sliding_window=3))).attention_maps(IDS)
    assert all((m.tril(-3) == 0).all() and (m[0, :, 5, 3:6] > 0).all() for m in maps)


def test_left_padding_gives_finite_gradients():
    model = small.shaken(Decoder(small.decoder()))
    model(IDS, small.LEFT)[small.LEFT.bool()].square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_logits_are_hidden_states_times_the_output_matrix():
    tied = small.shaken(Decoder(small.decoder(logit_scale=0.5)))
    assert tied.output_weight is tied.tokens.weight and tied.output is None
    torch.testing.assert_close(tied(IDS), tied.hidden(IDS) * 0.5 @ tied.tokens.weight.T)
    untied = small.shaken(Decoder(small.decoder(tie_embeddings=False)))
    assert untied.output_weight is untied.output.weight
    torch.testing.assert_close(untied(IDS), untied.hidden(IDS) @ untied.output.weight.T)


def test_grouped_heads_equal_repeated_key_heads():
    grouped = small.shaken(Decoder(small.llama()))
    full = small.shaken(Decoder(small.llama(num_kv_heads=4)))
    state = grouped.state_dict()
    for name in list(state):
        if name.endswith("qkv.weight"):
            q, k, v = state[name].split([16, 8, 8])
            k, v = (m.view(2, 4, 16).repeat_interleave(2, dim=0).flatten(0, 1) for m in (k, v))
            state[name] = torch.cat([q, k, v])
    full.load_state_dict(state)
    with torch.no_grad():
        torch.testing.assert_close(grouped(IDS), full(IDS), atol=1e-5, rtol=1e-5)


def test_rotary_positions_are_relative():
    model = small.shaken(Decoder(small.llama(max_positions=None)))
    positions = torch.arange(8).expand(2, 8)
    with torch.no_grad():
        torch.testing.assert_close(model(IDS, position_ids=positions + 3), model(IDS), atol=1e-4, rtol=1e-4)
        assert not torch.allclose(model(IDS, position_ids=positions * 2), model(IDS), atol=1e-2)
    other = small.shaken(Decoder(small.llama(rope_theta=5.0, max_positions=None)))
    assert not torch.allclose(other(IDS), model(IDS), atol=1e-2)


def test_attention_maps_are_lower_triangular_distributions():
    for config in CONFIGS.values():
        maps = small.shaken(Decoder(config)).attention_maps(IDS, small.RIGHT)
        assert [tuple(m.shape) for m in maps] == [(2, 4, 8, 8)] * 2
        for m in maps:
            torch.testing.assert_close(m.sum(-1), torch.ones(2, 4, 8))
            assert (m.triu(1) == 0).all() and (m[1, :, :, 5:] == 0).all()


def test_a_single_token_and_a_full_context():
    model = Decoder(small.decoder())
    assert model(IDS[:1, :1]).shape == (1, 1, 40)
    assert model(small.some_ids(length=12)).shape == (2, 12, 40)
    assert Decoder(small.llama(max_positions=None))(small.some_ids(length=50)).shape == (2, 50, 40)


def test_it_runs_on_the_meta_device():
    with torch.device("meta"):
        assert Decoder(small.llama())(IDS.to("meta")).shape == (2, 8, 40)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"input_ids": torch.zeros(0, 3, dtype=torch.long)}, "input_ids must not be empty"),
        ({"input_ids": torch.tensor([[-100]])}, "input_ids must be ids from 0 to 39, got -100"),
        ({"input_ids": torch.ones(1, 13, dtype=torch.long)}, "input_ids has 13 tokens, more than the conte.* 12"),
        ({"input_ids": IDS, "attention_mask": torch.ones(2, 9).long()}, r"expected shape \(2, 8\), got \(2, 9\)"),
        ({"input_ids": IDS, "attention_mask": torch.zeros(2, 8).long()}, "masks every token of row 0"),
    ],
)
def test_bad_input(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        Decoder(small.decoder())(**arguments)


def test_bad_input_with_a_cache(unchecked):
    model, cache = Decoder(small.decoder()), KVCache()
    model(IDS, small.LEFT, cache)
    with pytest.raises(ValueError, match="the cache holds padded sequences: pass the attention_mask"):
        model(IDS[:, :1], cache=cache)
    with pytest.raises(ValueError, match=r"also those in a cache: expected shape \(2, 9\), got \(2, 1\)"):
        model(IDS[:, :1], torch.ones(2, 1).long(), cache)
    with pytest.raises(ValueError, match="5 tokens after the 8 in the cache, more than the context of 12"):
        model(IDS[:, :5], torch.ones(2, 13).long(), cache)


def test_another_kind_of_configuration_is_refused():
    with pytest.raises(ValueError, match="config.architecture must be 'decoder', got 'encoder'"):
        Decoder(small.encoder())
