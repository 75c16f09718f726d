"""Exercise of notebook 15: the size of a decoder's KV cache, with grouped-query attention and a sliding window."""

import torch

from lib.accounting import kv_cache_bytes
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.models import TransformerConfig


# --- cache.kv_cache_bytes -----------------------------------------------------------------------------------
def _by_config(layers, heads, kv_heads, d_model, batch_size, length, window=None):
    config = TransformerConfig(
        architecture="decoder", vocab_size=8, d_model=d_model, num_layers=layers, num_heads=heads,
        num_kv_heads=kv_heads, head_dim=d_model // heads, d_ff=8, position="none",
    )  # fmt: skip
    return kv_cache_bytes(config, batch_size, length, window=window)


def _cache_cases(generator):
    layers, batch, length = torch.randint(2, 50, (3,), generator=generator).tolist()
    return [
        case("Llama 3 8B, one token", 32, 32, 8, 4096, 1, 1),
        case("Llama 3 70B, 16 texts of 8,192 tokens", 80, 64, 8, 8192, 16, 8192),
        case("Llama 2 7B: every head has its own keys", 32, 32, 32, 4096, 4, 4096),
        case("Mistral 7B: a window of 4,096", 32, 32, 8, 4096, 2, 32_768, 4096),
        case("a text shorter than the window", 32, 32, 8, 4096, 3, 1000, 4096),
        case("multi-query attention: one KV head", 18, 8, 1, 2048, 2, 1000),
        case("random sizes", layers, 12, 3, 768, batch, length, 17),
        case("a text as long as the window", 4, 6, 2, 384, 2, 17, 17),
        case("a window of one token", 4, 6, 2, 384, 2, 5, window=1),
        case("a width that is no multiple of the heads", 3, 12, 3, 774, 2, 50),
    ]


def _by_counting(layers, heads, kv_heads, d_model, batch_size, length, window=None):
    tokens = length if window is None or length < window else window
    numbers = sum(batch_size * kv_heads * tokens * (d_model // heads) for _ in ("keys", "values"))
    return layers * numbers * 2


def _mistaken(change):
    """The right product times the factor of a mistake, `change(layers, heads, kv_heads, batch_size)`."""

    def count(layers, heads, kv_heads, d_model, batch_size, length, window=None):
        right = _by_counting(layers, heads, kv_heads, d_model, batch_size, length, window)
        return int(right * change(layers, heads, kv_heads, batch_size))

    return count


def _keeping(tokens):
    """An answer for which a layer keeps `tokens(length, window)` tokens if there is a window."""
    return lambda L, H, G, D, B, T, window=None: _by_counting(L, H, G, D, B, T if window is None else tokens(T, window))


KV_CACHE = Exercise(
    id="cache.kv_cache_bytes",
    slides=("C28",),
    points=4,
    minutes=12,
    title="The KV cache, with KV heads and a window",
    reference=_by_config,
    cases=_cache_cases,
    accepts=(
        _by_counting,
        lambda L, H, G, D, B, T, window=None: 4 * L * B * (D // H * G) * min(T, window or T),
    ),
    misconceptions=(
        Misconception(
            "query_heads",
            _mistaken(lambda layers, heads, kv_heads, batch_size: heads / kv_heads),
            "Your result has as many KV heads as query heads. Only kv_heads are stored, each of width d_model / heads: "
            "this is the purpose of grouping.",
        ),
        Misconception(
            "keys_only",
            _mistaken(lambda *sizes: 1 / 2),
            "Half of the bytes are missing: the values, or the second byte of each 16-bit number?",
        ),
        Misconception(
            "batch_forgotten",
            _mistaken(lambda layers, heads, kv_heads, batch_size: 1 / batch_size),
            "This is for one text. Each text of the batch has its own keys and values.",
        ),
        Misconception(
            "d_model_for_head_width",
            _mistaken(lambda layers, heads, kv_heads, batch_size: heads),
            "You give each key the whole width d_model. The width of one head is d_model / heads.",
        ),
        Misconception(
            "one_layer",
            _mistaken(lambda layers, heads, kv_heads, batch_size: 1 / layers),
            "This is for one layer. Every layer has its own keys and values.",
        ),
        Misconception(
            "numbers_in_fp32",
            _mistaken(lambda *sizes: 2),
            "Twice too much. The cache is in 16 bits here: 2 bytes per number.",
        ),
        Misconception(
            "queries_kept_too",
            _mistaken(lambda *sizes: 3 / 2),
            "You count three tensors. A token's query is used once, when the token is read, and is not stored.",
        ),
        Misconception(
            "scores",
            lambda L, H, G, D, B, T, window=None: T * _by_counting(L, H, G, D, B, T, window),
            "Your result grows with the square of the length, like the attention scores. Those are not kept: "
            "the cache holds one key and one value per token.",
        ),
        Misconception(
            "whole_width",
            lambda L, H, G, D, B, T, window=None: 4 * L * B * D * (T if window is None else min(T, window)),
            "You keep d_model numbers for each key, as if all heads had their own. Only kv_heads heads are kept.",
        ),
        Misconception(
            "divided_last",
            lambda L, H, G, D, B, T, window=None: 4 * L * B * (D * G // H) * (T if window is None else min(T, window)),
            "You multiply by kv_heads before you divide. Where d_model is no multiple of heads, a head is "
            "d_model // heads wide: divide first.",
        ),
        Misconception(
            "window_ignored",
            _keeping(lambda length, window: length),
            "You keep every token. With a window, a layer drops the tokens that have left it.",
        ),
        Misconception(
            "window_always_full",
            _keeping(lambda length, window: window),
            "A text of 1,000 tokens does not fill a window of 4,096: take the smaller of the two.",
        ),
        Misconception(
            "the_larger",
            _keeping(max),
            "You keep the larger of window and length. The window is an upper limit: take the smaller.",
        ),
        Misconception(
            "window_and_one",
            _keeping(lambda length, window: min(length, window + 1)),
            "You keep one token more than the window has. The newest token is one of the `window`.",
        ),
        Misconception(
            "newest_token_missing",
            lambda L, H, G, D, B, T, window=None: _by_counting(
                L, H, G, D, B, T - 1 if window is None else min(T - 1, window)
            ),
            "One token is missing: after `length` tokens, the keys and values of the last one are kept as well.",
        ),
        Misconception(
            "window_for_all_texts",
            lambda L, H, G, D, B, T, window=None: _by_counting(
                L, H, G, D, 1, B * T if window is None else min(B * T, window)
            ),
            "Your window is shared by all texts of the batch. Each text has that many tokens of its own.",
        ),
        Misconception(
            "window_for_all_layers",
            lambda L, H, G, D, B, T, window=None: _by_counting(
                1, H, G, D, B, L * T if window is None else min(L * T, window)
            ),
            "Your window is shared by all layers. Every layer keeps that many tokens.",
        ),
        Misconception(
            "true_division",
            lambda L, H, G, D, B, T, window=None: int(
                4 * L * G * (D / H) * B * (T if window is None else min(T, window))
            ),
            "You divide with a rest: where d_model is no multiple of heads, your head has a fraction of a number. Use //.",
        ),
        Misconception(
            "what_slid_out",
            _keeping(lambda length, window: max(length - window, 0)),
            "You count the tokens that have left the window. These are the ones that need no memory.",
        ),
    ),
    hints=(
        (
            "What is stored for one token in one layer? A key and a value for each of the kv_heads, each of them "
            "d_model // heads numbers of 2 bytes."
        ),
        "How many tokens does a layer keep of a text that is shorter than the window, and of a longer one?",
    ),
)

EXERCISES = (KV_CACHE,)
