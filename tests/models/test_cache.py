"""The cache holds what was written, grows, forgets on demand, and says what it costs."""

import pytest
import torch

from lib.models import Decoder, EncoderDecoder, KVCache
from tests.models import small

IDS = small.some_ids(length=10)


@torch.no_grad()
def in_pieces(model, ids, sizes, cache, mask=None):
    parts, start = [], 0
    for size in sizes:
        seen = None if mask is None else mask[:, : start + size]
        parts.append(model(ids[:, start : start + size], seen, cache))
        start += size
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize(
    "config",
    [
        small.decoder(),
        small.llama(),
        small.decoder(position="relative"),
        small.decoder(position="sinusoidal"),
        small.decoder(position="none", norm_position="post", final_norm=False),
        small.decoder(attention="reference"),
        small.llama(attention="tiled"),
    ],
    ids=["gpt2", "llama", "relative", "sinusoidal", "post", "reference", "tiled"],
)
@pytest.mark.parametrize("sizes", [[4] + [1] * 6, [1] * 10, [3, 4, 3]], ids=str)
@pytest.mark.parametrize("capacity", [1, 4, 64])
def test_reading_in_pieces_gives_what_reading_at_once_gives(config, sizes, capacity):
    model = small.shaken(Decoder(config))
    cache = KVCache(capacity=capacity)
    with torch.no_grad():
        torch.testing.assert_close(in_pieces(model, IDS, sizes, cache), model(IDS), atol=1e-5, rtol=1e-5)
    assert cache.length == 10 and cache.batch_size == 2


@pytest.mark.parametrize("config", [small.decoder(), small.llama(), small.decoder(position="relative")])
@pytest.mark.parametrize("real", [[0] * 3 + [1] * 7, [1, 1, 0, 0] + [1] * 6], ids=["left", "hole"])
def test_reading_in_pieces_with_padding(config, real):
    model = small.shaken(Decoder(config))
    mask = torch.tensor([[1] * 10, real])
    with torch.no_grad():
        got, expected = in_pieces(model, IDS, [5, 1, 1, 2, 1], KVCache(), mask), model(IDS, mask)
    torch.testing.assert_close(got[mask.bool()], expected[mask.bool()], atol=1e-5, rtol=1e-5)


def test_what_was_forgotten_can_be_written_anew():
    model, cache = small.shaken(Decoder(small.llama())), KVCache(capacity=4)
    other = torch.cat((IDS[:, :4], IDS[:, 4:8].flip(0)), dim=1)
    with torch.no_grad():
        model(IDS, cache=cache)
        cache.truncate(4)
        again = model(other[:, 4:], cache=cache)
        torch.testing.assert_close(again, model(other)[:, 4:], atol=1e-5, rtol=1e-5)
    for length in (-1, 9):
        with pytest.raises(ValueError, match=rf"length must lie in \[0, 8\], got {length}"):
            cache.truncate(length)


def test_bytes_are_those_of_the_formula():
    model, cache = Decoder(small.llama()), KVCache(capacity=16)
    model(IDS, cache=cache)
    assert cache.nbytes == 2 * 2 * 2 * 2 * 4 * 10 * 4  # k and v, L, B, G, K, tokens, bytes of a float32
    assert cache.allocated_nbytes == cache.nbytes // 10 * 16
    cache.truncate(5)
    assert cache.nbytes == cache.allocated_nbytes // 16 * 5
    half = KVCache()
    Decoder(small.llama()).to(torch.bfloat16)(IDS, cache=half)
    assert half.nbytes == 2 * 2 * 2 * 2 * 4 * 10 * 2


def test_cross_attention_counts_too():
    model, cache = EncoderDecoder(small.seq2seq()), KVCache(capacity=4)
    model(IDS, IDS[:, :4], cache=cache)
    held = 2 * 2 * 2 * 4 * 4 * 4  # k and v, L, B, G, K, bytes
    assert cache.nbytes == cache.allocated_nbytes == held * 4 + held * 10


def test_a_step_copies_no_old_key():
    cache = KVCache(capacity=8)
    k = torch.randn(1, 2, 3, 4)
    first, _ = cache.update(0, k, k)
    cache.advance(3)
    second, _ = cache.update(0, k, -k)
    assert first.data_ptr() == second.data_ptr() and second.shape == (1, 2, 6, 4)


def test_a_pass_that_fails_leaves_no_trace():
    model, cache = small.shaken(Decoder(small.decoder())), KVCache()
    with torch.no_grad():
        model(IDS[:, :4], cache=cache)
        last = model.stack.blocks[-1].feed_forward
        hook = last.register_forward_pre_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model(IDS[:, :4].flip(0), cache=cache)
        hook.remove()
        assert cache.length == 4
        torch.testing.assert_close(model(IDS[:, 4:], cache=cache), model(IDS)[:, 4:], atol=1e-5, rtol=1e-5)


def test_what_is_held_carries_no_gradient():
    model, cache = Decoder(small.decoder()), KVCache()
    model(IDS[:, :4], cache=cache)
    keys, values = cache.update(0, torch.zeros(2, 4, 1, 4), torch.zeros(2, 4, 1, 4))
    assert not keys.requires_grad and not values.requires_grad
    both, cache = EncoderDecoder(small.seq2seq()), KVCache()
    both(IDS, IDS[:, :4], cache=cache)
    assert not any(held.requires_grad for held in cache.cross(0))


@pytest.mark.parametrize("kind", [Decoder, EncoderDecoder])
def test_nobody_trains_through_a_cache(kind):
    """What the cache holds is detached: the gradient would lack the paths through keys and values, in silence."""
    model, cache = kind(small.llama() if kind is Decoder else small.seq2seq()), KVCache()
    inputs = (IDS,) if kind is Decoder else (IDS, IDS[:, :4])
    loss = model(*inputs, cache=cache).sum()  # fine, as is reading the logits
    with pytest.raises(
        RuntimeError, match="no gradient flows through a KVCache: call the model without a cache to train it"
    ):
        loss.backward()
    model(*inputs).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_training_only_the_keys_through_a_cache_is_refused_too():
    model = Decoder(small.decoder()).requires_grad_(False)
    model.stack.blocks[-1].attention.qkv.weight.requires_grad_()
    with pytest.raises(RuntimeError, match="no gradient flows through a KVCache"):
        model(IDS, cache=KVCache()).sum().backward()


@pytest.mark.parametrize("attention", ["fused", "reference", "tiled"])
@pytest.mark.parametrize("sizes", [[1] * 10, [2, 3, 5], [3, 7]], ids=str)
def test_a_first_piece_may_be_nothing_but_padding(sizes, attention):
    """Left padding of 4 and pieces of 3: the first piece of the short row holds no token yet."""
    model = small.shaken(Decoder(small.llama(attention=attention)))
    mask = torch.ones(2, 10, dtype=torch.long)
    mask[1, :4] = 0
    pieces = in_pieces(model, IDS, sizes, KVCache(), mask)
    assert pieces.isfinite().all()
    with torch.no_grad():
        whole = model(IDS, mask)
    torch.testing.assert_close(pieces[mask.bool()], whole[mask.bool()], atol=1e-5, rtol=1e-5)


def test_a_cache_of_another_batch_or_model_is_refused(unchecked):
    model, cache = Decoder(small.decoder()), KVCache()
    model(IDS, cache=cache)
    cache.truncate(2)
    with pytest.raises(ValueError, match=r"\(batch, heads, width\) \(2, 4, 4\), got \(1, 4, 4\)"):
        model(IDS[:1], cache=cache)
    with pytest.raises(ValueError, match=r"got \(2, 2, 4\): begin a new KVCache"):
        Decoder(small.llama())(IDS, cache=cache)


def test_capacity_is_at_least_one():
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        KVCache(capacity=0)


def test_a_full_cache_doubles_or_takes_what_is_needed():
    cache, x = KVCache(capacity=4), torch.randn(1, 2, 50, 3)
    sizes, end = [], 0
    for tokens in (4, 1, 3, 1, 30):
        keys, values = cache.update(0, x[:, :, end : end + tokens], -x[:, :, end : end + tokens])
        cache.advance(tokens)
        end += tokens
        sizes.append(cache.allocated_nbytes // (2 * 2 * 3 * 4))
        assert torch.equal(keys, x[:, :, :end]) and torch.equal(values, -x[:, :, :end])
    assert sizes == [4, 8, 8, 16, 39] and cache.length == end == 39
    assert KVCache().capacity == 256 and KVCache().batch_size is None
    cache.truncate(39), cache.truncate(0)
    assert cache.length == cache.nbytes == 0


@torch.no_grad()
@pytest.mark.parametrize("rows", [[2, 0], [1, 1, 0, 2], [0, 1, 2]])
def test_selected_rows_go_on_as_if_they_had_been_read_alone(rows):
    ids, rows = small.some_ids(batch=3, length=6), torch.tensor(rows)
    source = small.some_ids(batch=3, length=4)
    for model, before in (
        (small.shaken(Decoder(small.llama())), ()),
        (small.shaken(EncoderDecoder(small.seq2seq())), (source,)),
    ):
        cache = KVCache(capacity=5)
        read = lambda ids, rows=None: model(  # noqa: E731
            *(s if rows is None else s[rows] for s in before), ids, cache=cache
        )
        read(ids[:, :4])
        cache.select(rows)
        assert cache.batch_size == len(rows) and cache.length == 4
        got = read(ids[rows, 4:], rows)
        expected = model(*(s[rows] for s in before), ids[rows])[:, 4:]
        torch.testing.assert_close(got, expected)
