from dataclasses import replace

import pytest

from lib.accounting import activation_bytes, bytes_of_uses
from lib.models import count_parameters
from tests.models import small

CONFIG = small.decoder(vocab_size=64, d_model=32, num_layers=3)


def test_the_six_uses_by_hand():
    uses, P, D, V = bytes_of_uses(CONFIG, trained=10, cached=10, rank=2), count_parameters(CONFIG), 32, 64
    kept = sum(activation_bytes(CONFIG, 1, 10, bytes_per_value=2, recompute=True).values()) + 6 * 10 * V
    adapter = 16 * 3 * 2 * (2 * 2 * D)  # 3 layers, queries and values, two thin matrices of 2 × D
    cache = 2 * 3 * CONFIG.kv_heads * CONFIG.head_width * 10 * 2
    outside = V * D * (1 if CONFIG.tie_embeddings else 2)
    four = 2 * outside + -(-(P - outside) // 2) + 2 * -(-(P - outside) // 64)
    assert list(uses.values()) == [
        16 * P + kept, 10 * P + kept, 2 * P + adapter + kept, four + adapter + kept, 2 * P + cache, four + cache,
    ]  # fmt: skip


def test_no_text_is_longer_than_the_model_has_positions():
    short = replace(CONFIG, max_positions=8)
    assert (
        bytes_of_uses(short) == bytes_of_uses(short, trained=8, cached=8) != bytes_of_uses(short, trained=7, cached=7)
    )


def test_bad_input():
    with pytest.raises(TypeError, match="config"):
        bytes_of_uses(7_000_000_000)
    with pytest.raises(ValueError, match="cached must be at least 1"):
        bytes_of_uses(CONFIG, cached=0)
    with pytest.raises(ValueError, match="rank"):
        bytes_of_uses(CONFIG, rank=0)


def test_a_model_without_a_limit_has_as_many_tokens_as_asked():
    free, wide = replace(CONFIG, position="rotary", max_positions=None), replace(CONFIG, position="rotary")
    asked = {"trained": 7, "cached": 9}
    assert bytes_of_uses(free, **asked) == bytes_of_uses(replace(wide, max_positions=9), **asked)
    assert bytes_of_uses(free) == bytes_of_uses(replace(wide, max_positions=8192))


def test_what_is_usual():
    usual = bytes_of_uses(replace(CONFIG, max_positions=9000))
    assert usual == bytes_of_uses(replace(CONFIG, max_positions=9000), trained=2048, cached=8192, rank=16)
    for name in ("trained", "cached", "rank"):
        other = bytes_of_uses(replace(CONFIG, max_positions=9000), **{name: 8})
        assert {use for use in usual if usual[use] != other[use]} == {
            "trained": {"Adam", "8-bit Adam", "LoRA", "QLoRA"}, "cached": {"serve, 16 bit", "serve, 4 bit"},
            "rank": {"LoRA", "QLoRA"},
        }[name]  # fmt: skip
