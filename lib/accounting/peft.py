"""How many parameters each method of slide W28 trains, by formula (Hu et al. 2021, sections 5.1 and D)."""

from lib.accounting.units import whole
from lib.names import nearest

METHODS = ("lora", "bitfit", "prefix_embed", "prefix_layer", "bottleneck")


def adapter_parameters(
    method: str,
    *,
    num_layers: int,
    d_model: int,
    rank: int = 1,
    matrices: int = 2,
    tokens: int = 264,
    vectors: int = 11,
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
    if method not in METHODS:
        advice = nearest(method, METHODS)
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}; {advice}")
    sizes = {"num_layers": num_layers, "d_model": d_model, "rank": rank, "matrices": matrices,
             "tokens": tokens, "vectors": vectors}  # fmt: skip
    for name, size in sizes.items():
        whole(name, size)
    factors = low_rank_parameters(d_model, d_model, rank) if method == "lora" else 0
    return {
        "lora": num_layers * matrices * factors,
        "bitfit": num_layers * vectors * d_model,
        "prefix_embed": tokens * d_model,
        "prefix_layer": num_layers * tokens * d_model,
        "bottleneck": num_layers * 2 * (2 * rank * d_model + rank + d_model),
    }[method]


def low_rank_parameters(d: int, k: int, rank: int) -> int:
    """r (d + k): the factors B, d × r, and A, r × k, of one d × k matrix (slide W27).

    Raises ValueError for a rank above min(d, k), where the factors are no longer a restriction.

    >>> low_rank_parameters(12_288, 12_288, 4)
    98304
    """
    if whole("rank", rank) > min(whole("d", d), whole("k", k)):
        raise ValueError(f"rank must be at most min(d, k) = {min(d, k)}, got {rank}")
    return rank * (d + k)


def break_even_rank(d: int, k: int) -> float:
    """d k / (d + k): from this rank on, the factors have as many numbers as the matrix.

    >>> break_even_rank(12_288, 12_288)
    6144.0
    """
    return whole("d", d) * whole("k", k) / (d + k)
