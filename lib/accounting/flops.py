"""Floating-point operations: by the rule of thumb 6 N D, and counted by layer. A multiply-add is two."""

from lib import checks
from lib.accounting.parameters import need_config
from lib.models import TransformerConfig


def training_flops(parameters: checks.Number, tokens: checks.Number) -> int:
    """6 N D: per parameter and token two FLOPs forward, four backward (Kaplan et al. 2020, § 2.1; slide T22).

    Python's integers do not overflow: 7 billion parameters on a trillion tokens are 4.2e22, beyond 64 bits.
    Floats such as 7e9 are read as the whole numbers that they stand for.
    Raises ValueError below 1, or for what is not finite.

    >>> f"{training_flops(175_000_000_000, 300_000_000_000):.3g}"
    '3.15e+23'
    """
    N = int(checks.number("parameters", parameters, "[1, inf)"))
    return 6 * N * int(checks.number("tokens", tokens, "[1, inf)"))


def forward_flops(config: TransformerConfig, batch_size: checks.Whole, length: checks.Whole) -> dict[str, int]:
    """FLOPs of one forward pass by part, matrix products alone, as torch.utils.flop_counter counts them.

    "scores" are q kᵀ and the mixing of values, over all T × T pairs: a causal kernel may skip half of them. A
    backward pass costs twice as much. Raises ValueError for an encoder-decoder, whose sides differ in length.

    Beware: for the fused kernel on a CPU, PyTorch's counter misses "scores" altogether.

    >>> from lib.models import preset
    >>> parts = forward_flops(preset("gpt-2"), 1, 1024)
    >>> f"{sum(parts.values()):.4g}", f"{parts['scores'] / sum(parts.values()):.1%}"
    ('2.916e+11', '13.3%')
    """
    need_config(config, one_sided=True)
    length = checks.whole("length", length)
    n = checks.whole("batch_size", batch_size) * length
    queries, keys = config.num_heads * config.head_width, config.kv_heads * config.head_width
    parts = {
        "projections": config.num_layers * 2 * n * config.d_model * (2 * queries + 2 * keys),
        "scores": config.num_layers * 2 * 2 * n * length * queries,
        "feed_forward": config.num_layers * 2 * n * config.d_model * config.d_ff * (3 if config.gated else 2),
        "output_head": 2 * n * config.d_model * config.vocab_size if config.architecture == "decoder" else 0,
    }
    return {name: count for name, count in parts.items() if count}
