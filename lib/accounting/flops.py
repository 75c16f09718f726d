"""Floating-point operations: by the rule of thumb 6 N D, and counted by layer. A multiply-add is two."""

from collections import Counter
from math import prod

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


def palm_flops_per_token(
    parameters: checks.Number,
    *,
    layers: checks.Whole,
    heads: checks.Whole,
    head_width: checks.Whole,
    length: checks.Whole,
) -> int:
    """6 N + 12 L H Q T: training FLOPs a token with attention's scores (Chowdhery et al. 2022, appendix B).

    N `parameters`, L `layers` of H `heads` of `head_width` Q, T tokens of context (`length`), all T x T pairs counted. Divide
    tokens per second times this by the devices' peak to get the model FLOPs utilization (MFU).
    Raises ValueError below 1, or for what is not finite.

    >>> flops = palm_flops_per_token(540.35e9, layers=118, heads=48, head_width=256, length=2048)
    >>> f"{238_300 * flops / (6144 * 275e12):.1%}"  # PaLM 540B's tokens per second, TPUs and their peak: table 3
    '46.2%'
    """
    sizes = {"layers": layers, "heads": heads, "head_width": head_width, "length": length}
    return training_flops(parameters, 1) + 12 * prod(checks.whole(name, size) for name, size in sizes.items())


def forward_flops(
    config: TransformerConfig,
    batch_size: checks.Whole,
    length: checks.Whole,
    *,
    target_length: checks.Whole | None = None,
) -> dict[str, int]:
    """FLOPs of one forward pass by part, matrix products alone, as torch.utils.flop_counter counts them.

    "scores" are q kᵀ and the mixing of values, over all T × T pairs: a causal kernel may skip half of them. A backward pass costs
    twice as much. An encoder-decoder reads `length` tokens, each of which passes through the encoder and the keys and values of
    cross-attention ("cross_attention", scores included), and writes `target_length`.
    Raises ValueError for sizes below 1, for an encoder-decoder without `target_length` and for any other model with one.
    Beware: for the fused kernel on a CPU, PyTorch's counter misses "scores" altogether.

    >>> from lib.models import preset
    >>> parts = forward_flops(preset("gpt-2"), 1, 1024)
    >>> f"{sum(parts.values()):.4g}", f"{parts['scores'] / sum(parts.values()):.1%}"
    ('2.916e+11', '13.3%')
    """
    need_config(config)
    two_sided = config.architecture == "encoder_decoder"
    if two_sided != (target_length is not None):
        raise ValueError(
            f"target_length is for an encoder-decoder, which needs it: config is an {config.architecture}'s, "
            f"got target_length={target_length}"
        )
    length, batch_size = checks.whole("length", length), checks.whole("batch_size", batch_size)
    parts: Counter[str] = Counter()
    if two_sided:
        target = checks.whole("target_length", target_length)
        parts.update(_layer_flops(config, config.encoder_layers, batch_size, length))
        parts["cross_attention"] = config.num_layers * batch_size * _cross_flops(config, length, target)
        length = target
    parts.update(_layer_flops(config, config.num_layers, batch_size, length))
    if config.architecture != "encoder":
        parts["output_head"] = 2 * batch_size * length * config.d_model * config.vocab_size
    return {name: count for name, count in parts.items() if count}


def _layer_flops(config: TransformerConfig, layers: int, batch_size: int, length: int) -> dict[str, int]:
    """`layers` blocks of self-attention and feed-forward over `length` tokens."""
    n = layers * 2 * batch_size * length
    queries, keys = config.num_heads * config.head_width, config.kv_heads * config.head_width
    return {
        "projections": n * config.d_model * (2 * queries + 2 * keys),
        "scores": n * 2 * length * queries,
        "feed_forward": n * config.d_model * config.d_ff * (3 if config.gated else 2),
    }


def _cross_flops(config: TransformerConfig, source: int, target: int) -> int:
    """One layer's cross-attention for one text: queries and output of the target, keys and values of the source, scores."""
    queries, keys = config.num_heads * config.head_width, config.kv_heads * config.head_width
    return 2 * (config.d_model * (2 * queries * target + 2 * keys * source) + 2 * target * source * queries)
