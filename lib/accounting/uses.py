"""What six uses of one model take on a GPU: training it whole, with adapters, or serving it."""

from lib import checks
from lib.accounting.activations import activation_bytes
from lib.accounting.cache import kv_cache_bytes
from lib.accounting.memory import MEMORY_RECIPES, quantized_bytes
from lib.accounting.parameters import need_config
from lib.accounting.peft import adapter_parameters
from lib.models import TransformerConfig, count_parameters


def bytes_of_uses(
    config: TransformerConfig,
    *,
    trained: checks.Whole = 2048,
    cached: checks.Whole = 8192,
    rank: checks.Whole = 16,
) -> dict[str, int]:
    """Bytes of six uses of a decoder, each with one text, as lecture 15 counts them.

    Training has `trained` tokens, activations in 16 bits and recomputed, and the logits twice in fp32. LoRA has adapters of
    `rank` on queries and values, counted as for D × D matrices, with 16 bytes for each number. With 4 bits there is a 2-byte
    scale for every 64 weights, and embeddings and output matrix keep 16 bits, as in QLoRA (Dettmers et al. 2023). Serving has
    a cache of `cached` tokens. Neither has more tokens than the model has positions. What the count leaves out (driver,
    temporary buffers, gaps) is not there. Raises TypeError for anything but a TransformerConfig, ValueError for sizes below 1.

    >>> from lib.models import preset
    >>> {use: round(size / 1e9, 1) for use, size in bytes_of_uses(preset("llama-2-7b")).items()}
    {'Adam': 109.3, '8-bit Adam': 68.9, 'LoRA': 15.1, 'QLoRA': 5.6, 'serve, 16 bit': 15.6, 'serve, 4 bit': 6.1}
    """
    need_config(config, one_sided=True)
    trained, cached = (
        size if config.max_positions is None else min(size, config.max_positions)
        for size in (checks.whole("trained", trained), checks.whole("cached", cached))
    )
    kept = sum(activation_bytes(config, 1, trained, bytes_per_value=2, recompute=True).values())
    kept += (2 * 4 - 2) * trained * config.vocab_size  # the count above has the logits once, in 16 bits
    cache = kv_cache_bytes(config, 1, cached)
    adapter = adapter_parameters("lora", num_layers=config.num_layers, d_model=config.d_model, rank=rank)
    numbers = count_parameters(config)
    outside = config.vocab_size * config.d_model * (1 if config.tie_embeddings else 2)
    four_bits = 2 * outside + quantized_bytes(numbers - outside, 4, group_size=64)
    whole, eight = (int(MEMORY_RECIPES[name].per_parameter) for name in ("adam-mixed", "adam-8bit"))
    return {
        "Adam": whole * numbers + kept,
        "8-bit Adam": eight * numbers + kept,
        "LoRA": 2 * numbers + whole * adapter + kept,
        "QLoRA": four_bits + whole * adapter + kept,
        "serve, 16 bit": 2 * numbers + cache,
        "serve, 4 bit": four_bits + cache,
    }
