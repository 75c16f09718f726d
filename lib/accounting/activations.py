"""What the forward pass keeps for the backward pass, term by term for the models of this library.

The formula is that of our blocks with fused attention (Korthikanti et al. 2022 have Megatron's); the tests
compare it with `saved_bytes`, which measures the same with autograd's own hooks.
"""

from lib import checks
from lib.accounting.parameters import need_config
from lib.models import TransformerConfig

INDEX_BYTES = 8  # token ids and targets are int64


def activation_bytes(
    config: TransformerConfig,
    batch_size: checks.Whole,
    length: checks.Whole,
    *,
    bytes_per_value: checks.Whole = 4,
    recompute: bool = False,
) -> dict[str, int]:
    """Bytes saved by one step's forward pass over N = B · T tokens: {"input", "blocks", "output", "logits"}.

    Per token and layer, in numbers (slide T46 leaves these out):

    * what enters each of the two norms, with its statistics: D + 2 (LayerNorm) or 2 D + 1 (RMSNorm);
    * what enters the query-key-value and the up projection: D each;
    * queries, keys and values, (H + 2 G) K, and where rotary positions turn them (2 H + G) K more;
    * attention's result, H K, and one log-sum-exp per head; never T × T, but for T5's relative positions,
      whose bias has a gradient that the fused kernel does not give;
    * before and after the activation, 2 F (ReLU: F; gated: 4 F).

    "logits" is N · V, saved by the loss of a decoder. With `recompute` (activation checkpointing), each block
    keeps only its input and is run again when its turn comes: D per layer, and the whole of one block. Dropout
    is assumed to be off, and nothing to be padded.

    Raises TypeError for anything but a TransformerConfig; ValueError for an encoder-decoder, another kernel
    than the fused one, or sizes below 1.

    >>> from lib.models import preset
    >>> parts = activation_bytes(preset("gpt-2"), 1, 1024)
    >>> sum(parts.values()), parts["logits"]
    (816947200, 205864960)
    """
    need_config(config, one_sided=True)
    if config.attention != "fused":
        raise ValueError(f"config.attention must be 'fused', which this counts, got {config.attention!r}")
    batch_size, length = checks.whole("batch_size", batch_size), checks.whole("length", length)
    bytes_per_value, n = checks.whole("bytes_per_value", bytes_per_value), batch_size * length
    block = n * _block_numbers(config) + _score_numbers(config, batch_size, length)
    layers = config.num_layers
    blocks = layers * n * config.d_model + block if recompute else layers * block
    norm, is_decoder = _norm_numbers(config), config.architecture == "decoder"
    numbers = {
        "input": n * norm * config.embedding_norm,
        "blocks": blocks,
        "output": n * (norm * config.final_norm + config.d_model * is_decoder),
        "logits": n * (config.vocab_size + 1) * is_decoder,
    }
    parts = {name: count * bytes_per_value for name, count in numbers.items()}
    parts["input"] += n * INDEX_BYTES + _position_bytes(config, length, bytes_per_value)
    parts["logits"] += n * INDEX_BYTES * is_decoder
    return parts


def _block_numbers(config: TransformerConfig) -> int:
    """Numbers per token and block, the T × T scores aside."""
    queries, keys = config.num_heads * config.head_width, config.kv_heads * config.head_width
    attention = queries + 2 * keys + queries + config.num_heads
    if config.position == "rotary":  # turned queries and keys, whose layout makes merging the heads a copy
        attention += queries + keys + queries
    inner = 4 if config.gated else 1 if config.activation == "relu" else 2
    return 2 * (_norm_numbers(config) + config.d_model) + attention + inner * config.d_ff


def _norm_numbers(config: TransformerConfig) -> int:
    """LayerNorm keeps input, mean and deviation; RMSNorm input, that over its root mean square, and this."""
    return config.d_model + 2 if config.norm == "layernorm" else 2 * config.d_model + 1


def _score_numbers(config: TransformerConfig, batch_size: int, length: int) -> int:
    return batch_size * config.num_heads * length**2 if config.position == "relative" else 0


def _position_bytes(config: TransformerConfig, length: int, bytes_per_value: int) -> int:
    """What all layers share: cosines and sines, bucket and mask of each pair, or rows of a learned table."""
    if config.position == "rotary":
        return length * config.head_width * bytes_per_value
    if config.position == "relative":
        return length**2 * (INDEX_BYTES + 1)
    return length * INDEX_BYTES if config.position == "learned" else 0
