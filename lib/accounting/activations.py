"""What the forward pass keeps for the backward pass, term by term for the models of this library.

`activation_bytes` counts our blocks with fused attention; the tests compare it with `saved_bytes`, which measures the same
with autograd's own hooks. `megatron_activation_bytes` is the formula that papers and tables quote.
"""

from typing import Literal

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


def megatron_activation_bytes(
    *,
    length: checks.Whole,
    batch_size: checks.Whole,
    width: checks.Whole,
    heads: checks.Whole,
    layers: checks.Whole,
    tensor_parallel: checks.Whole = 1,
    sequence_parallel: bool = False,
    recompute: Literal["none", "selective", "full"] = "none",
) -> int:
    """Bytes that the layers of a GPT keep in 16 bits, a device: L s b h (34 + 5 a s / h), Korthikanti et al. 2022, table 2.

    `length` s tokens, a batch of b, `width` h, a `heads`, L `layers` with dropout and *without* fused attention, whose s x s
    scores are the second term. `tensor_parallel` t devices share the products: s b h (10 + 24 / t + 5 a s / (h t)), and with
    `sequence_parallel` all: s b h / t (34 + 5 a s / h). "selective" recomputation forgets the scores, "full" all but each
    layer's input, 2 s b h (on every device). Input embedding, last norm and logits are not counted, as in the paper.
    Raises ValueError for sizes below 1, heads that `tensor_parallel` does not divide, or another kind of recomputation.

    >>> sizes = dict(length=2048, batch_size=1, width=12_288, heads=96, layers=96)  # GPT-3
    >>> [round(megatron_activation_bytes(**sizes, recompute=r) / 1e9, 1) for r in ("none", "selective", "full")]
    [275.4, 82.1, 4.8]
    """
    s, b, h = checks.whole("length", length), checks.whole("batch_size", batch_size), checks.whole("width", width)
    a, L, t = (
        checks.whole("heads", heads),
        checks.whole("layers", layers),
        checks.whole("tensor_parallel", tensor_parallel),
    )
    checks.one_of("recompute", recompute, ("none", "selective", "full"))
    if a % t:
        raise ValueError(f"tensor_parallel must divide the {a} heads, got {t}")
    if recompute == "full":
        return L * 2 * s * b * h
    unshared = -(-10 * s * b * h // (t if sequence_parallel else 1))  # norms, dropout after the block's two halves
    scores = 0 if recompute == "selective" else 5 * a * s * s * b
    return L * (unshared + -(-(24 * s * b * h + scores) // t))
