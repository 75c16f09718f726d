"""A target sees its past and the whole source; the source sees itself."""

import pytest
import torch

from lib.models import EncoderDecoder, KVCache
from tests.models import small

SOURCE = small.some_ids()
TARGET = small.some_ids(length=6, seed=2)
MASK = small.RIGHT[:, 2:]
BART = dict(
    position="learned",
    max_positions=12,
    position_offset=2,
    norm="layernorm",
    norm_position="post",
    embedding_norm=True,
    final_norm=False,
    bias=True,
    logits_bias=True,
    scale_attention=True,
)
CONFIGS = {
    "t5": small.seq2seq(),
    "t5-1.1": small.seq2seq(gated=True, activation="gelu_tanh", tie_embeddings=False),
    "bart": small.seq2seq(**BART),
    "rotary": small.seq2seq(position="rotary", num_kv_heads=2),
}


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS)
def model(request):
    return small.shaken(EncoderDecoder(request.param))


def test_the_target_is_causal_and_reads_the_whole_source(model):
    with torch.no_grad():
        before = model.hidden(SOURCE, TARGET)
        for j in range(6):
            changed = TARGET.clone()
            changed[:, j] = (changed[:, j] + 1) % small.VOCABULARY
            after = model.hidden(SOURCE, changed)
            assert torch.equal(after[:, :j], before[:, :j]) and not torch.equal(after[:, j:], before[:, j:])
        for j in range(8):
            changed = SOURCE.clone()
            changed[:, j] = (changed[:, j] + 1) % small.VOCABULARY
            assert ((model.hidden(changed, TARGET) - before).abs().amax(-1) > 0).all()


@pytest.mark.parametrize("mask", [small.RIGHT, small.LEFT], ids=["right", "left"])
def test_padding_on_either_side_of_either_text_changes_nothing(model, mask):
    real, target_mask = mask.bool(), mask[:, 1:7]
    with torch.no_grad():
        padded = model(SOURCE, TARGET, mask, target_mask)[1][target_mask[1].bool()]
        alone = model(SOURCE[1:][real[1:]][None], TARGET[1:][target_mask[1:].bool()][None])[0]
    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mask", [None, small.LEFT], ids=["full", "left"])
def test_writing_in_pieces_gives_what_writing_at_once_gives(model, mask):
    cache = KVCache(capacity=2)
    with torch.no_grad():
        whole = model(SOURCE, TARGET, mask)
        pieces = [model(SOURCE, TARGET[:, a:b], mask, cache=cache) for a, b in ((0, 3), (3, 4), (4, 6))]
        torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-5, rtol=1e-5)


def test_the_source_is_encoded_once(model, monkeypatch):
    cache, calls = KVCache(), []
    model.encoder.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        for t in range(3):
            model(SOURCE, TARGET[:, t : t + 1], cache=cache)
        assert len(calls) == 1
        with pytest.raises(ValueError, match="the cache was made for another source"):
            model(SOURCE.flip(0), TARGET[:, :1], cache=cache)


def test_a_source_changed_in_place_is_another_source(model):
    cache, source, mask = KVCache(), SOURCE.clone(), small.LEFT.clone()
    with torch.no_grad():
        model(source, TARGET[:, :1], mask, cache=cache)
        source[0, 0] += 1
        with pytest.raises(ValueError, match="the cache was made for another source"):
            model(source, TARGET[:, 1:2], mask, cache=cache)
        source[0, 0] -= 1
        mask[1] = 1
        with pytest.raises(ValueError, match="another source or attention_mask"):
            model(source, TARGET[:, 1:2], mask, cache=cache)


def test_a_pass_that_fails_leaves_no_source_behind(model):
    cache = KVCache()
    hook = model.decoder.blocks[-1].feed_forward.register_forward_pre_hook(lambda *_: 1 / 0)
    with torch.no_grad():
        with pytest.raises(ZeroDivisionError):
            model(SOURCE.flip(0), TARGET, cache=cache)
        hook.remove()
        torch.testing.assert_close(model(SOURCE, TARGET, cache=cache), model(SOURCE, TARGET))


def test_the_source_keeps_its_mask():
    model, cache = EncoderDecoder(small.seq2seq()), KVCache()
    model(SOURCE, TARGET[:, :2], small.LEFT, cache=cache)
    model(SOURCE, TARGET[:, 2:3], small.LEFT.bool(), cache=cache)
    with pytest.raises(ValueError, match="another source or attention_mask: begin a new KVCache"):
        model(SOURCE, TARGET[:, 3:4], cache=cache)


def test_encode_gives_one_vector_per_source_token(model):
    assert model.encode(SOURCE).shape == (2, 8, 16)
    with torch.no_grad():
        padded = model.encode(SOURCE, small.LEFT)[1, 3:]
        torch.testing.assert_close(padded, model.encode(SOURCE[1:, 3:])[0], atol=1e-5, rtol=1e-5)


def test_logits_are_hidden_states_times_the_output_matrix_plus_the_constant(model):
    config = model.config
    assert (model.output_weight is model.tokens.weight) == config.tie_embeddings
    if config.logits_bias:
        model.logits_bias.normal_()
    expected = model.hidden(SOURCE, TARGET) @ model.output_weight.T
    expected = expected + model.logits_bias if config.logits_bias else expected
    torch.testing.assert_close(model(SOURCE, TARGET), expected)
    scaled = EncoderDecoder(small.seq2seq(logit_scale=0.25))
    expected = 0.25 * scaled.hidden(SOURCE, TARGET) @ scaled.output_weight.T
    torch.testing.assert_close(scaled(SOURCE, TARGET), expected)


def test_attention_maps_of_three_kinds(model):
    arguments = (SOURCE, TARGET, small.RIGHT)
    maps = {which: model.attention_maps(*arguments, which=which) for which in ("encoder", "decoder", "cross")}
    assert [len(m) for m in maps.values()] == [3, 2, 2]
    assert [tuple(m[0].shape) for m in maps.values()] == [(2, 4, 8, 8), (2, 4, 6, 6), (2, 4, 6, 8)]
    for m in (m for kind in maps.values() for m in kind):
        torch.testing.assert_close(m.sum(-1), torch.ones(m.shape[:-1]))
    assert (maps["cross"][0][1, :, :, 5:] == 0).all() and (maps["decoder"][0].triu(1) == 0).all()
    with pytest.raises(ValueError, match="which must be 'encoder', 'decoder' or 'cross', got 'both'"):
        model.attention_maps(*arguments, which="both")


def test_positions_may_be_given():
    model = small.shaken(EncoderDecoder(small.seq2seq(**BART)))
    source, target = torch.arange(8).expand(2, 8), torch.arange(6).expand(2, 6)
    plain = model(SOURCE, TARGET)
    assert torch.equal(model(SOURCE, TARGET, position_ids=source, decoder_position_ids=target), plain)
    assert not torch.allclose(model(SOURCE, TARGET, position_ids=source.flip(1)), plain)
    assert not torch.allclose(model(SOURCE, TARGET, decoder_position_ids=target.flip(1)), plain)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((torch.zeros(0, 3).long(), TARGET), "^input_ids must not be empty"),
        ((SOURCE, torch.zeros(2, 0).long()), "decoder_input_ids must not be empty"),
        ((torch.full((2, 3), 40), TARGET), "^input_ids must be ids from 0 to 39, got 40"),
        ((SOURCE, torch.full((2, 3), 41)), "decoder_input_ids must be ids from 0 to 39, got 41"),
        ((torch.ones(2, 13).long(), TARGET), "^input_ids has 13 tokens, more than the context of 12"),
        ((SOURCE, torch.ones(2, 13).long()), "decoder_input_ids has 13 tokens, more than the context of 12"),
        ((SOURCE, TARGET[:1]), r"decoder_input_ids must have shape \(2, T\), got \(1, 6\)"),
        ((SOURCE, TARGET, torch.zeros(2, 8).long()), "^attention_mask masks every token of row 0"),
        ((SOURCE, TARGET, None, torch.ones(2, 5).long()), r"decoder_attention_mask .*\(2, 6\), got \(2, 5\)"),
    ],
)
def test_bad_input(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        EncoderDecoder(small.seq2seq(**BART))(*arguments)


def test_a_padded_target_is_continued_with_its_mask(unchecked):
    model, cache = EncoderDecoder(small.seq2seq()), KVCache()
    model(SOURCE, TARGET, None, small.LEFT[:, 1:7], cache)
    with pytest.raises(ValueError, match="the cache holds padded sequences"):
        model(SOURCE, TARGET[:, :1], cache=cache)


def test_another_kind_of_configuration_is_refused():
    with pytest.raises(ValueError, match="config.architecture must be 'encoder_decoder', got 'decoder'"):
        EncoderDecoder(small.decoder())
