"""Exercises of notebook 14: the keys and values a decoder keeps, with grouped heads and with a window."""

import torch

from lib.accounting import kv_cache_bytes
from lib.exercises.exercise import Exercise, Misconception, case
from lib.models import TransformerConfig


# --- cache.kv_cache_bytes -----------------------------------------------------------------------------------
def _cache_bytes(layers, heads, kv_heads, d_model, batch_size, length, bytes_per_value=2):
    config = TransformerConfig(
        architecture="decoder", vocab_size=8, d_model=d_model, num_layers=layers, num_heads=heads,
        num_kv_heads=kv_heads, d_ff=8, position="none",
    )  # fmt: skip
    return kv_cache_bytes(config, batch_size, length, bytes_per_value=bytes_per_value)


def _cache_cases(generator):
    layers, batch, length = torch.randint(2, 50, (3,), generator=generator).tolist()
    return [
        case("Llama 3 8B, one token", 32, 32, 8, 4096, 1, 1),
        case("Llama 3 70B, 16 texts of 8,192 tokens", 80, 64, 8, 8192, 16, 8192),
        case("Llama 2 7B: every head has its own keys", 32, 32, 32, 4096, 4, 4096),
        case("one pair of keys and values for all heads, in 8 bits", 18, 8, 1, 2048, 2, 1000, 1),
        case("fp32", 2, 4, 2, 64, 3, 5, 4),
        case("sizes that were drawn", layers, 12, 3, 768, batch, length),
    ]


def _by_counting(layers, heads, kv_heads, d_model, batch_size, length, bytes_per_value=2):
    per_layer = sum(
        kv_heads * batch_size * length * (d_model // heads) * bytes_per_value for _ in ("keys", "values")
    )
    return layers * per_layer


def _mistaken(change):
    """The right product times what a mistake makes of it: `change(layers, heads, kv_heads, …)`."""
    return lambda *sizes: int(_by_counting(*sizes) * change(*sizes))


KV_CACHE = Exercise(
    id="cache.kv_cache_bytes",
    slides=("C28",),
    points=4,
    minutes=10,
    title="The KV cache with grouped heads",
    reference=_cache_bytes,
    cases=_cache_cases,
    accepts=(
        _by_counting,
        lambda L, H, G, D, B, T, size=2: 2 * L * B * T * size * (D * G // H),
    ),
    misconceptions=(
        Misconception(
            "query_heads",
            _mistaken(lambda layers, heads, kv_heads, *rest: heads / kv_heads),
            "Your result is that of as many key heads as query heads (or of heads d_model / kv_heads wide, "
            "which comes to "
            "the same). Only kv_heads are kept, each d_model / heads wide: that is what grouping is for.",
        ),
        Misconception(
            "keys_only",
            _mistaken(lambda *sizes: 1 / 2),
            "Half of it is missing: keys *and* values are kept.",
        ),
        Misconception(
            "batch_forgotten",
            _mistaken(lambda layers, heads, kv_heads, d_model, batch_size, *rest: 1 / batch_size),
            "This is one text. Each text of the batch has keys and values of its own.",
        ),
        Misconception(
            "d_model_for_head_width",
            _mistaken(lambda layers, heads, *rest: heads),
            "You give each key the whole width d_model. One head is d_model / heads wide.",
        ),
        Misconception(
            "one_layer",
            _mistaken(lambda layers, *rest: 1 / layers),
            "This is one layer. Every layer attends with keys and values of its own.",
        ),
        Misconception(
            "numbers_not_bytes",
            lambda layers, heads, kv_heads, d_model, batch_size, length, bytes_per_value=2: _by_counting(
                layers, heads, kv_heads, d_model, batch_size, length, 1
            ),
            "You counted numbers. Each of them takes bytes_per_value bytes.",
        ),
        Misconception(
            "queries_kept_too",
            _mistaken(lambda *sizes: 3 / 2),
            "Three tensors? The query of a token is used once, when it is read, and never again: nothing "
            "keeps it.",
        ),
        Misconception(
            "scores",
            _mistaken(lambda layers, heads, kv_heads, d_model, batch_size, length, *rest: length),
            "Your result grows with the square of the length, like the attention scores. Those are not "
            "kept: the cache "
            "holds one key and one value per token.",
        ),
    ),
    hints=(
        "What is kept for one token, in one layer? A key and a value for each of the kv_heads, d_model // "
        "heads wide.",
        "2 · layers · kv_heads · (d_model // heads) · batch_size · length · bytes_per_value",
    ),
)


# --- cache.sliding_window -----------------------------------------------------------------------------------
def windowed_bytes(windows: list[int | None], bytes_per_token: int, length: int) -> int:
    """Bytes of a cache in which layer i keeps at most `windows[i]` tokens (None: all), after `length` tokens.

    `bytes_per_token` are one token's key and value in one layer.

    >>> windowed_bytes([2, None], 10, 5)
    70
    """
    return sum(bytes_per_token * (length if window is None else min(window, length)) for window in windows)


def _window_cases(generator):
    windows = torch.randint(1, 200, (4,), generator=generator).tolist()
    return [
        case("Mistral 7B: a window of 4,096 in all 32 layers", [4096] * 32, 4096, 32_768),
        case("Gemma 2: every second layer sees everything", [4096, None] * 13, 4096, 8192),
        case("a text shorter than the window", [4096] * 32, 4096, 1000),
        case("no window anywhere", [None] * 3, 512, 100),
        case("exactly one window long", [64, None], 10, 64),
        case("windows that were drawn", [*windows, None], 256, 120),
    ]


def _kept(tokens):
    """Bytes where `tokens(window, length)` says how many tokens a layer keeps."""
    return lambda windows, size, length: sum(size * tokens(window, length) for window in windows)


def _by_loop(windows, bytes_per_token, length):
    total = 0
    for window in windows:
        tokens = length
        if window is not None and window < length:
            tokens = window
        total += tokens * bytes_per_token
    return total


SLIDING_WINDOW = Exercise(
    id="cache.sliding_window",
    slides=("C28",),
    points=2,
    minutes=8,
    title="A cache with windows",
    reference=windowed_bytes,
    cases=_window_cases,
    accepts=(_by_loop,),
    misconceptions=(
        Misconception(
            "no_window",
            _kept(lambda window, length: length),
            "Your layers keep every token. One with a window lets go of what has slid out of it.",
        ),
        Misconception(
            "window_always_full",
            _kept(lambda window, length: length if window is None else window),
            "A text of 1,000 tokens does not fill a window of 4,096: take the smaller of the two.",
        ),
        Misconception(
            "the_larger",
            _kept(lambda window, length: length if window is None else max(window, length)),
            "You keep the larger of window and length. The window is an upper limit: the smaller.",
        ),
        Misconception(
            "none_keeps_nothing",
            _kept(lambda window, length: min(window or 0, length)),
            "None means no window: such a layer keeps everything, and yours keeps nothing.",
        ),
        Misconception(
            "what_slid_out",
            _kept(lambda window, length: length if window is None else max(length - window, 0)),
            "You count the tokens that have left the window. Those are the ones that need no memory any "
            "more.",
        ),
        Misconception(
            "first_layer_for_all",
            lambda windows, size, length: windowed_bytes([windows[0]] * len(windows), size, length),
            "You use the first layer's window for every layer. They may differ: add up layer by layer.",
        ),
        Misconception(
            "smallest_window_for_all",
            lambda windows, size, length: windowed_bytes(
                [min((w for w in windows if w is not None), default=None)] * len(windows), size, length
            ),
            "You use the smallest window for every layer. A layer without one still keeps everything.",
        ),
        Misconception(
            "one_layer",
            lambda windows, size, length: windowed_bytes(windows, size, length) // len(windows),
            "That is the mean of a layer. The model has to keep all of them: sum, not mean.",
        ),
    ),
    hints=(
        "How many tokens does one layer keep? All of them without a window, min(window, length) with one.",
        "A sum over the layers of bytes_per_token times these tokens.",
    ),
)

EXERCISES = (KV_CACHE, SLIDING_WINDOW)
