"""How many numbers a model has, part by part, by arithmetic on its configuration: no module is built."""

from lib import checks
from lib.models import TransformerConfig

EMBEDDINGS = ("token_embedding", "position_embedding", "segment_embedding")
"""The parts that Kaplan et al. (2020) leave out of N; a model's own output head is left out with them."""


def parameter_breakdown(config: TransformerConfig) -> dict[str, int]:
    """The parameters of each part; parts that a model does not have are left out (slides C27, C28, T43).

    Their sum is `lib.models.count_parameters(config)`, which builds the model and counts. A tied output
    head is the token embedding and is not counted again.

    Raises TypeError for anything but a TransformerConfig.

    >>> from lib.models import preset
    >>> parts = parameter_breakdown(preset("gpt-2"))
    >>> parts["token_embedding"], parts["attention"], sum(parts.values())
    (38597376, 28348416, 124439808)
    """
    need_config(config)
    sides = 2 if config.architecture == "encoder_decoder" else 1
    layers = config.encoder_layers + (config.num_layers if config.architecture != "encoder" else 0)
    crossing = config.num_layers if config.architecture == "encoder_decoder" else 0
    own_head = not config.tie_embeddings and config.architecture != "encoder"
    positions = (config.max_positions or 0) + config.position_offset if config.position == "learned" else 0
    norms = 2 * layers + crossing + sides * (config.embedding_norm + config.final_norm)
    parts = {
        "token_embedding": config.vocab_size * config.d_model,
        "position_embedding": sides * positions * config.d_model,
        "segment_embedding": config.type_vocab_size * config.d_model,
        "relative_bias": sides * config.relative_buckets * config.num_heads * (config.position == "relative"),
        "attention": layers * attention_parameters(config),
        "cross_attention": crossing * attention_parameters(config),
        "feed_forward": layers * feed_forward_parameters(config),
        "norms": norms * norm_parameters(config),
        "pooler": config.pooler * (config.d_model**2 + config.d_model),
        "output_head": own_head * config.vocab_size * config.d_model,
    }
    return {name: count for name, count in parts.items() if count}


def attention_parameters(config: TransformerConfig) -> int:
    """One attention layer: query D × HK, key and value D × GK each, output HK × D, and their biases.

    >>> from lib.models import preset
    >>> attention_parameters(preset("llama-3-8b"))  # 8 key heads for 32 queries
    41943040
    """
    need_config(config)
    queries, keys = config.num_heads * config.head_width, config.kv_heads * config.head_width
    matrices = config.d_model * (2 * queries + 2 * keys)
    return matrices + config.has_qkv_bias * (queries + 2 * keys) + config.bias * config.d_model


def feed_forward_parameters(config: TransformerConfig) -> int:
    """One feed-forward layer: up D × F (twice where gated, as in SwiGLU) and down F × D, and their biases.

    >>> from lib.models import preset
    >>> feed_forward_parameters(preset("llama-3-8b"))  # three matrices of 4,096 x 14,336
    176160768
    """
    need_config(config)
    ups = 2 if config.gated else 1
    return (ups + 1) * config.d_model * config.d_ff + config.bias * (ups * config.d_ff + config.d_model)


def norm_parameters(config: TransformerConfig) -> int:
    """One norm: a weight per feature, and a bias in a LayerNorm of a model with biases."""
    return config.d_model * (2 if config.norm == "layernorm" and config.bias else 1)


def non_embedding_parameters(config: TransformerConfig) -> int:
    """Kaplan et al.'s N: all but the embeddings and an output head of its own (slide T08).

    Near 12 L D² for a model with F = 4 D.

    >>> from lib.models import preset
    >>> non_embedding_parameters(preset("gpt-2")) / (12 * 12 * 768**2)
    1.0014286747685186
    """
    parts = parameter_breakdown(config)
    return sum(count for name, count in parts.items() if name not in (*EMBEDDINGS, "output_head"))


def need_config(config: TransformerConfig, *, one_sided: bool = False) -> None:
    """Raise TypeError for anything but a configuration; ValueError for an encoder-decoder, if `one_sided`."""
    checks.instance("config", config, TransformerConfig)
    if one_sided and config.architecture == "encoder_decoder":
        raise ValueError("config must be an encoder's or a decoder's: the sides of both differ in length")
