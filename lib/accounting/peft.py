"""How many parameters each method of slide W28 trains, by formula (Hu et al. 2021, sections 5.1 and D)."""

from lib import checks

METHODS = ("lora", "bitfit", "prefix_embed", "prefix_layer", "bottleneck")


def adapter_parameters(
    method: str,
    *,
    num_layers: checks.Whole,
    d_model: checks.Whole,
    rank: checks.Whole = 1,
    matrices: checks.Whole = 2,
    tokens: checks.Whole = 264,
    vectors: checks.Whole = 11,
) -> int:
    """The trained parameters of a method on a Transformer of `num_layers` blocks of width `d_model`.

    * "lora": 2 r D for each of the `matrices` per block (2: query and value), all D × D.
    * "bitfit": the biases, `vectors` times D numbers a block. GPT's block has 11 (3 of q, k, v, 1 of the
      output, 4 + 1 of the feed-forward, 2 of the norms); slide W28's 14.2M is what 12 give.
    * "prefix_embed" (PreEmbed): D for each of `tokens` trained input vectors; W28 has 256 + 8.
    * "prefix_layer" (PreLayer): the same in every block. W28's 20.2M is not reproduced: 8 + 8 tokens give
      18.9M.
    * "bottleneck" (Adapter^H, Houlsby et al. 2019): two a block, each 2 r D + r + D.

    Raises ValueError for another method or a size below 1.

    >>> gpt3 = {"num_layers": 96, "d_model": 12_288}
    >>> adapter_parameters("lora", rank=1, **gpt3), adapter_parameters("lora", rank=8, **gpt3)
    (4718592, 37748736)
    """
    checks.one_of("method", method, METHODS)
    sizes = {"num_layers": num_layers, "d_model": d_model, "rank": rank, "matrices": matrices,
             "tokens": tokens, "vectors": vectors}  # fmt: skip
    L, D, r, matrices, tokens, vectors = (checks.whole(name, size) for name, size in sizes.items())
    factors = low_rank_parameters(D, D, r) if method == "lora" else 0
    return {
        "lora": L * matrices * factors,
        "bitfit": L * vectors * D,
        "prefix_embed": tokens * D,
        "prefix_layer": L * tokens * D,
        "bottleneck": L * 2 * (2 * r * D + r + D),
    }[method]


def low_rank_parameters(d: checks.Whole, k: checks.Whole, rank: checks.Whole) -> int:
    """r (d + k): the factors B, d × r, and A, r × k, of one d × k matrix (slide W27).

    Raises ValueError for a rank above min(d, k), where the factors are no longer a restriction.

    >>> low_rank_parameters(12_288, 12_288, 4)
    98304
    """
    d, k = checks.whole("d", d), checks.whole("k", k)
    return checks.whole("rank", rank, 1, min(d, k)) * (d + k)


def break_even_rank(d: checks.Whole, k: checks.Whole) -> float:
    """d k / (d + k): from this rank on, the factors have as many numbers as the matrix.

    >>> break_even_rank(12_288, 12_288)
    6144.0
    """
    d, k = checks.whole("d", d), checks.whole("k", k)
    return d * k / (d + k)


NF4_BITS, BLOCK, BLOCKS_OF_SCALES = 4, 64, 256


def qlora_base_bytes(parameters: checks.Whole, *, double_quantization: bool = True) -> float:
    """Bytes of a frozen base in NF4: 4 bits each and one scale per 64 weights (Dettmers et al. 2023, section 3).

    A scale has 32 bits. With double quantization it has 8, and 256 scales share one number of 32 bits: 0.127 instead
    of 0.5 bits per weight. Embeddings and norms count like the rest here, though in practice they keep 16 bits.
    Raises ValueError for fewer than one parameter.

    >>> qlora_base_bytes(64 * 256), qlora_base_bytes(64 * 256, double_quantization=False)
    (8452.0, 9216.0)
    """
    scale_bits = 8 + 32 / BLOCKS_OF_SCALES if double_quantization else 32
    return checks.whole("parameters", parameters) * (NF4_BITS + scale_bits / BLOCK) / 8
