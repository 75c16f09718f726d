"""The bytes of the keys and values that decoding keeps; grouped-query attention needs fewer (slide C28)."""

from lib import checks
from lib.accounting.parameters import need_config
from lib.models import TransformerConfig


def kv_cache_bytes(
    config: TransformerConfig,
    batch_size: checks.Whole,
    length: checks.Whole,
    *,
    bytes_per_value: checks.Whole = 2,
    window: checks.Whole | None = None,
) -> int:
    """2 · L · B · G · K · tokens · bytes: key and value of every layer, key head and token.

    G is the number of key heads: H in multi-head attention, fewer in grouped-query, 1 in multi-query
    attention. With a sliding `window`, no more than its tokens are kept. What cross-attention keeps of the
    source is not counted. Raises ValueError for sizes below 1, or an encoder, which has no cache.

    >>> from lib.models import preset
    >>> [kv_cache_bytes(preset(f"llama-3-{size}"), 1, 1) for size in ("8b", "70b", "405b")]
    [131072, 327680, 516096]
    """
    need_config(config)
    if config.architecture == "encoder":
        raise ValueError("config must be a decoder's: an encoder reads everything at once and keeps no cache")
    tokens = checks.whole("length", length)
    if window is not None:
        tokens = min(tokens, checks.whole("window", window))
    per_token = 2 * config.num_layers * config.kv_heads * config.head_width
    per_token *= checks.whole("bytes_per_value", bytes_per_value)
    return per_token * tokens * checks.whole("batch_size", batch_size)
