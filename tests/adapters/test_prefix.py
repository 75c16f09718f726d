"""Prompt and prefix tuning: parity with peft, padding and caches that change nothing, counts of W28."""

import peft
import pytest
import torch

from lib.adapters import PrefixTuning, PromptTuning, count_trainable, trainable_parameters
from lib.models import Decoder, KVCache, preset
from lib.models.pretrained import load_transformers
from lib.objectives import autoregressive_loss
from lib.training import FitSettings, fit
from tests.adapters import adapted
from tests.adapters.adapted import IDS
from tests.models import small, theirs

BOTH = [PromptTuning, PrefixTuning]


def tuned(kind, model=None, length=3):
    """Random vectors in front, large enough to matter."""
    own = kind(adapted.llama() if model is None else model, length)
    (vectors,) = trainable_parameters(own)
    with torch.no_grad():
        vectors.copy_(torch.randn(vectors.shape, generator=torch.Generator().manual_seed(2)))
    return own


def peft_pair(kind, config_class, **options):
    llama = theirs.llama()
    ours = kind(load_transformers(llama, llama.config), 3)
    config = config_class(task_type="CAUSAL_LM", num_virtual_tokens=3, **options)
    reference = peft.get_peft_model(llama, config).eval()
    return ours, reference, reference.prompt_encoder["default"].embedding.weight


def compare(ours, reference, own, table, into_theirs):
    with torch.no_grad():
        own.normal_()
        table.copy_(into_theirs(own))
    expected = reference(IDS).logits[:, -IDS.shape[1] :]
    assert (ours(IDS) - ours.model(IDS)).abs().max() > 0.1  # the vectors matter
    torch.testing.assert_close(ours(IDS), expected, rtol=1e-5, atol=5e-6)
    seed = torch.randn(expected.shape)
    ours(IDS).backward(seed)
    expected.backward(seed)
    torch.testing.assert_close(into_theirs(own.grad), table.grad, rtol=1e-4, atol=1e-4)


def test_prompt_is_pefts():
    ours, reference, table = peft_pair(PromptTuning, peft.PromptTuningConfig)
    compare(ours, reference, ours.prompt, table, lambda prompt: prompt)


def test_prefix_is_pefts():
    ours, reference, table = peft_pair(PrefixTuning, peft.PrefixTuningConfig)
    # theirs is one row per token: layer by layer, keys then values, head by head
    compare(ours, reference, ours.prefix, table, lambda prefix: prefix.permute(3, 0, 1, 2, 4).reshape(3, -1))


@pytest.mark.parametrize("make", [adapted.llama, adapted.decoder, adapted.encoder])
def test_a_prompt_of_real_tokens_is_those_tokens(make):
    model = make()
    words = IDS[0, :3]
    whole = torch.cat((words.expand(2, -1), IDS), dim=1)
    torch.testing.assert_close(PromptTuning(model, 3, init_ids=words)(IDS), model(whole)[:, 3:])


def test_init_ids_are_repeated_to_the_length():
    model = adapted.llama()
    prompt = PromptTuning(model, 5, init_ids=torch.tensor([7, 9])).prompt
    assert torch.equal(prompt, model.tokens.weight[[7, 9, 7, 9, 7]])


def test_a_prefix_of_real_keys_is_those_tokens():
    model = adapted.llama()
    words = IDS[:1, :3]
    cache = KVCache()
    with torch.no_grad():
        model(words, cache=cache)
    own = PrefixTuning(model, 3)
    with torch.no_grad():
        for layer, prefix in enumerate(own.prefix):
            prefix[0], prefix[1] = cache._keys[layer][0, :, :3], cache._values[layer][0, :, :3]
    whole = torch.cat((words.expand(2, -1), IDS), dim=1)
    torch.testing.assert_close(own(IDS), model(whole)[:, 3:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("make", [adapted.llama, adapted.decoder])
@pytest.mark.parametrize("mask", [small.RIGHT, small.LEFT], ids=["right", "left"])
def test_padding_changes_nothing(kind, make, mask):
    own = tuned(kind, make())
    out = own(IDS, mask)
    for row in range(2):
        real = mask[row].bool()
        torch.testing.assert_close(out[row, real], own(IDS[row : row + 1, real])[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mask", [None, small.LEFT], ids=["plain", "padded"])
def test_decoding_step_by_step(mask):
    own = tuned(PrefixTuning)
    with torch.no_grad():
        full = own(IDS, mask)
        cache = own.cache(batch_size=2)
        steps = [
            own(IDS[:, start:end], None if mask is None else mask[:, :end], cache)
            for start, end in ((0, 4), (4, 5), (5, 6), (6, 8))
        ]
    kept = slice(None) if mask is None else mask.bool()
    torch.testing.assert_close(torch.cat(steps, 1)[kept], full[kept], rtol=1e-4, atol=1e-5)
    assert cache.length == 3 + 8


@pytest.mark.parametrize("kind", BOTH)
def test_training_changes_the_vectors_alone(kind):
    own = kind(adapted.llama(), 3)
    before = adapted.state(own.model)
    history = fit(
        own,
        lambda m, ids: autoregressive_loss(m(ids), ids),
        lambda generator: IDS,
        FitSettings(steps=30, learning_rate=0.1),
        show_progress=False,
    )
    assert history.loss[-1] < 0.95 * history.loss[0]
    assert adapted.same(own.model.state_dict(), before)
    assert not own.model.tokens._forward_hooks


@pytest.mark.parametrize("kind, length, expected", [
    (PromptTuning, 264, 264 * 12_288),  # W28's PreEmbed, 3.2 M
    (PrefixTuning, 8, 2 * 8 * 12_288 * 96),  # 8 keys and values a layer are PreLayer's 16 d L, 18.9 M
])  # fmt: skip
def test_gpt3_on_the_slide(kind, length, expected):
    with torch.device("meta"):
        model = Decoder(preset("gpt-3-175b"))
    assert count_trainable(kind(model, length)) == expected


def test_prefixes_follow_grouped_heads():
    layers, heads, width = 2, 2, 4
    assert count_trainable(PrefixTuning(adapted.llama(), 5)) == layers * 2 * 5 * heads * width


def test_drawn_as_wide_as_the_embeddings():
    model = adapted.llama(d_model=64)
    with torch.no_grad():
        model.tokens.weight.mul_(5)
    prompt = PromptTuning(model, 10, generator=torch.Generator().manual_seed(0)).prompt
    assert float(prompt.detach().std()) == pytest.approx(float(model.tokens.weight.detach().std()), rel=0.1)
    again = PromptTuning(model, 10, generator=torch.Generator().manual_seed(0)).prompt
    assert torch.equal(prompt, again)
    prefix = PrefixTuning(model, 11, generator=torch.Generator().manual_seed(0)).prefix
    assert float(prefix.detach().std()) == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("length, message", [
    (0, "length must be at least 1, got 0"),
    (2.0, "length must be a whole number, got 2.0"),
    (12, "leave room in the context of 12 tokens, got 12"),
])  # fmt: skip
def test_bad_lengths(unchecked, kind, length, message):
    model = adapted.llama()
    with pytest.raises(TypeError if length == 2.0 else ValueError, match=message):
        kind(model, length)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("kind", BOTH)
def test_bad_input(unchecked, kind):
    own = tuned(kind, length=5)
    with pytest.raises(ValueError, match="input_ids has 8 tokens, more than the 7 that the 5 before them leave"):
        own(IDS)
    with pytest.raises(ValueError, match="input_ids must be ids from 0 to 39, got 99"):
        own(IDS[:, :3] * 0 + 99)
    with pytest.raises(ValueError, match=r"attention_mask must cover every token.*\(2, 3\), got \(2, 5\)"):
        own(IDS[:, :3], torch.ones(2, 5, dtype=torch.long))
    assert not own.model.tokens._forward_hooks


def test_other_models(unchecked):
    with pytest.raises(TypeError, match="model must be an Encoder or a Decoder, got EncoderDecoder"):
        PromptTuning(adapted.seq2seq(), 2)
    with pytest.raises(TypeError, match="model must be a Decoder, got Encoder"):
        PrefixTuning(adapted.encoder(), 2)
    with pytest.raises(ValueError, match="init_ids must be ids from 0 to 39, got 40"):
        PromptTuning(adapted.llama(), 2, init_ids=torch.tensor([40]))


def test_caches_that_cannot_be(unchecked):
    own = tuned(PrefixTuning)
    with pytest.raises(ValueError, match="the cache holds 0 tokens, not the 3 of the prefix"):
        own(IDS, cache=KVCache())
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        own.cache(0)


@pytest.mark.parametrize("kind", BOTH)
def test_the_context_may_be_filled_to_its_last_token(kind):
    own = tuned(kind, length=4)
    assert own(IDS).shape == (2, 8, 40)  # 4 + 8 = 12
    assert tuned(kind, length=11)(IDS[:, :1]).shape == (2, 1, 40)


def test_with_a_cache_what_it_holds_counts_too(unchecked):
    own = tuned(PrefixTuning, length=4)
    cache = own.cache(2)
    with torch.no_grad():
        own(IDS[:, :6], cache=cache)
        with pytest.raises(ValueError, match="input_ids has 3 tokens, more than the 2 that the 10 before them leave"):
            own(IDS[:, :3], cache=cache)
        own(IDS[:, :2], cache=cache)
    assert cache.length == 12


def test_a_cache_holds_the_prefix_as_it_was_and_without_its_gradient(unchecked):
    own = tuned(PrefixTuning, length=3)
    cache, expected = own.cache(2), own(IDS)
    with torch.no_grad():
        own.prefix.zero_()
        torch.testing.assert_close(own(IDS, cache=cache), expected, rtol=1e-4, atol=1e-5)
    assert not any(t.requires_grad for t in (*cache._keys, *cache._values)) and own.cache().batch_size == 1
    with pytest.raises(ValueError, match="the cache holds 2 tokens, not the 3 of the prefix"):
        own(IDS, cache=tuned(PrefixTuning, length=2).cache(2))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_embedding_is_free_again_where_the_model_stops_half_way(error):
    own = tuned(PromptTuning)
    before = own.model(IDS)

    def stop(*_):
        raise error

    handle = own.model.stack.register_forward_pre_hook(stop)
    with pytest.raises(error):
        own(IDS)
    handle.remove()
    assert not own.model.tokens._forward_hooks and torch.equal(own.model(IDS), before)


def test_more_ids_than_places_and_the_embedding_is_a_copy():
    model = adapted.llama()
    own = PromptTuning(model, 2, init_ids=torch.tensor([7, 9, 11]))
    assert torch.equal(own.prompt, model.tokens.weight[[7, 9]])
    with torch.no_grad():
        own.prompt.zero_()
    assert model.tokens.weight[[7, 9]].any() and own.prompt.requires_grad and own.config is model.config
