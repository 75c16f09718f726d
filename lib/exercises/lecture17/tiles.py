"""Exercise of notebook 17: the attention of one block of queries, a tile of keys at a time."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- tiles.query_block ------------------------------------------------------------------------------------------------
def query_block(
    q: Float[Tensor, "R K"], k: Float[Tensor, "S K"], v: Float[Tensor, "S E"], width: int
) -> Float[Tensor, "R E"]:
    """softmax(q kᵀ / √K) v with `width` keys at a time: running maximum, sum and output (Dao et al. 2022)."""
    m = torch.full((len(q), 1), -math.inf)
    total, out = torch.zeros(len(q), 1), torch.zeros(len(q), v.shape[1])
    for start in range(0, len(k), width):
        s = q @ k[start : start + width].T / math.sqrt(q.shape[1])
        new = torch.maximum(m, s.amax(dim=1, keepdim=True))
        p, shrink = torch.exp(s - new), torch.exp(m - new)
        total = shrink * total + p.sum(dim=1, keepdim=True)
        out = shrink * out + p @ v[start : start + width]
        m = new
    return out / total


def _blocks(generator):
    def draw(R, S, K, E, width, size=1.0):
        q, k, v = (torch.randn(*shape, generator=generator) for shape in ((R, K), (S, K), (S, E)))
        return size * q, k, v, width

    rising = (torch.ones(2, 4), torch.arange(6.0)[:, None].expand(6, 4).clone(), torch.arange(12.0).view(6, 2), 2)
    falling = (rising[0], rising[1].flip(0), rising[2], 2)
    far = (torch.tensor([[40.0], [-40.0]]), torch.tensor([[30.0], [-30.0], [29.5], [-29.0]]), torch.eye(4), 2)
    low = (torch.tensor([[40.0]]), torch.tensor([[-30.0], [-30.1], [-30.05]]), torch.eye(3), 1)
    apart = (torch.tensor([[45.0], [-65.0]]), torch.tensor([[1.0], [0.99], [0.98], [0.97]]), torch.eye(4), 2)
    far_tiles = (torch.tensor([[4.0], [-4.0]]), torch.tensor([[50.0], [49.75], [-50.0], [-49.75]]), torch.eye(4), 2)
    return [
        case("two tiles of three keys", *draw(2, 6, 4, 3, 3)),
        case("the last tile is not full", *draw(3, 7, 4, 2, 3)),
        case("one tile holds all keys", *draw(2, 4, 4, 3, 9)),
        case("a key at a time", *draw(3, 5, 2, 4, 1)),
        case("one query", *draw(1, 6, 8, 2, 2)),
        case("as many keys in a tile as queries", *draw(4, 8, 4, 4, 4)),
        case("every tile has larger scores than the one before", *rising),
        case("every tile has smaller scores than the one before", *falling),
        case("scores above a thousand, with another sign in each row", *far),
        case("scores far below zero", *low),
        case("one row has scores a hundred below the other's", *apart),
        case("one tile has scores hundreds below the other's", *far_tiles),
        case("more queries than keys in a tile", *draw(5, 7, 4, 3, 2)),
        case("sharp scores", *draw(3, 8, 16, 2, 3, 5.0)),
    ]


def _tiled(
    q,
    k,
    v,
    width,
    *,
    scale=None,
    each_row=True,
    sum_shrinks=True,
    out_shrinks=True,
    start=-math.inf,
    keep=torch.maximum,
):
    """The loop with one thing wrong."""
    m = torch.full((len(q), 1), start)
    total, out = torch.zeros(len(q), 1), torch.zeros(len(q), v.shape[1])
    for at in range(0, len(k), width):
        s = q @ k[at : at + width].T * (1 / math.sqrt(q.shape[1]) if scale is None else scale)
        new = keep(m, s.amax(dim=1, keepdim=True) if each_row else s.amax().expand(len(q), 1))
        p, shrink = torch.exp(s - new), torch.exp(m - new)
        total = (shrink if sum_shrinks else 1) * total + p.sum(dim=1, keepdim=True)
        out = (shrink if out_shrinks else 1) * out + p @ v[at : at + width]
        m = new
    return out / total


def _weights_of_tiles(q, k, v, width):
    s = [part.softmax(dim=1) for part in (q @ k.T / math.sqrt(q.shape[1])).split(width, dim=1)]
    return s, v.split(width)


def _mean_of_tiles(q, k, v, width):
    parts = [p @ values for p, values in zip(*_weights_of_tiles(q, k, v, width))]
    return torch.stack(parts).mean(dim=0)


def _sum_of_tiles(q, k, v, width):
    return sum(p @ values for p, values in zip(*_weights_of_tiles(q, k, v, width)))


def _full_tiles_only(q, k, v, width):
    whole = len(k) // width * width or len(k)
    return query_block(q, k[:whole], v[:whole], width)


def _last_tile(q, k, v, width):
    at = (len(k) - 1) // width * width
    return query_block(q, k[at:], v[at:], width)


def _no_maximum(q, k, v, width):
    p = torch.exp(q @ k.T / math.sqrt(q.shape[1]))
    return p @ v / p.sum(dim=1, keepdim=True)


def _scores(q, k):
    return q @ k.T / math.sqrt(q.shape[1])


def _divided_each_time(q, k, v, width):
    m, total, out = torch.full((len(q), 1), -math.inf), torch.zeros(len(q), 1), torch.zeros(len(q), v.shape[1])
    for keys, values in zip(k.split(width), v.split(width)):
        s = _scores(q, keys)
        new = torch.maximum(m, s.amax(dim=1, keepdim=True))
        p, shrink = torch.exp(s - new), torch.exp(m - new)
        total = shrink * total + p.sum(dim=1, keepdim=True)
        out, m = (shrink * out + p @ values) / total, new
    return out


def _maximum_over_queries(q, k, v, width):
    s = _scores(q, k)
    p = torch.exp(s - s.amax(dim=0))
    return p @ v / p.sum(dim=1, keepdim=True)


def _padded(q, k, v, width):
    missing = -len(k) % width
    k, v = (torch.cat([x, torch.zeros(missing, x.shape[1])]) for x in (k, v))
    return query_block(q, k, v, width)


def _last_tile_moved_back(q, k, v, width):
    seen = [at for start in range(0, len(k), width) for at in range(min(start, max(0, len(k) - width)), len(k))[:width]]
    return query_block(q, k[seen], v[seen], width)


def _causal(q, k, v, width):
    future = torch.ones(len(q), len(k), dtype=torch.bool).triu(1)
    return _scores(q, k).masked_fill(future, -math.inf).softmax(dim=1) @ v


def _not_divided(q, k, v, width):
    s = q @ k.T / math.sqrt(q.shape[1])
    return torch.exp(s - s.amax(dim=1, keepdim=True)) @ v


QUERY_BLOCK = Exercise(
    id="tiles.query_block",
    slides=("C20",),
    points=6,
    minutes=25,
    title="Attention of one block of queries, in tiles",
    reference=query_block,
    cases=_blocks,
    tolerance=Tolerance(rtol=1e-4, atol=1e-4),
    accepts=(
        lambda q, k, v, width: (q.double() @ k.double().T / math.sqrt(q.shape[1])).softmax(dim=1) @ v.double(),
        lambda q, k, v, width: torch.cat([query_block(row[None], k, v, width) for row in q]),
    ),
    withheld=("lib.kernels.tiled.attention_tiled",),
    misconceptions=(
        Misconception(
            "nothing_rescaled",
            lambda q, k, v, width: _tiled(q, k, v, width, sum_shrinks=False, out_shrinks=False),
            "When a larger score comes, what you have summed so far still refers to the old maximum. Multiply the sum and "
            "the output by exp(old − new).",
        ),
        Misconception(
            "sum_not_rescaled",
            lambda q, k, v, width: _tiled(q, k, v, width, sum_shrinks=False),
            "You rescale the output but not the sum, so their quotient is not an average.",
        ),
        Misconception(
            "output_not_rescaled",
            lambda q, k, v, width: _tiled(q, k, v, width, out_shrinks=False),
            "You rescale the sum but not the output, so their quotient is not an average.",
        ),
        Misconception(
            "one_maximum_for_the_block",
            lambda q, k, v, width: _tiled(q, k, v, width, each_row=False),
            "You use one maximum for the whole block. Rows with much smaller scores then have a sum of 0: keep one "
            "maximum for each row.",
        ),
        Misconception(
            "begins_at_zero",
            lambda q, k, v, width: _tiled(q, k, v, width, start=0.0),
            "Your maximum begins at 0. If all scores lie far below, every exponential is 0: begin with −∞.",
        ),
        Misconception(
            "no_maximum",
            _no_maximum,
            "Without a maximum the exponentials of large scores are infinite: subtract it from the scores first.",
        ),
        Misconception(
            "mean_of_tiles",
            _mean_of_tiles,
            "You average the results of the tiles. A tile with larger scores must count for more.",
        ),
        Misconception(
            "sum_of_tiles",
            _sum_of_tiles,
            "You divide within each tile and add. Divide once, after the last tile, by the sum over all keys.",
        ),
        Misconception(
            "not_divided",
            _not_divided,
            "The division by the sum is missing: the weights of a row must add up to 1.",
        ),
        Misconception(
            "not_scaled",
            lambda q, k, v, width: _tiled(q, k, v, width, scale=1.0),
            "The scores are not divided by √d_k.",
        ),
        Misconception(
            "scaled_by_d_k",
            lambda q, k, v, width: _tiled(q, k, v, width, scale=1 / q.shape[1]),
            "You divide the scores by d_k. It is its square root.",
        ),
        Misconception(
            "scaled_by_d_v",
            lambda q, k, v, width: _tiled(q, k, v, width, scale=1 / math.sqrt(v.shape[1])),
            "You divide the scores by √d_v. The root is that of d_k, the width of queries and keys.",
        ),
        Misconception(
            "tile_maximum",
            lambda q, k, v, width: _tiled(q, k, v, width, keep=lambda old, tile: tile),
            "Your maximum goes down again in a tile of smaller scores, and exp(old − new) may overflow: "
            "keep the larger of the two.",
        ),
        Misconception(
            "first_maximum",
            lambda q, k, v, width: _tiled(q, k, v, width, keep=lambda old, tile: tile if old.isinf().all() else old),
            "You keep the first tile's maximum. Later scores may be far larger, and their exponentials overflow.",
        ),
        Misconception(
            "over_queries",
            lambda q, k, v, width: _scores(q, k).softmax(dim=0) @ v,
            "Your softmax runs over the queries. For each query the weights add up to 1 over all keys.",
        ),
        Misconception(
            "maximum_over_queries",
            _maximum_over_queries,
            "You subtract the largest score of each key. Within a row of scores, one query, the same number must be subtracted.",
        ),
        Misconception(
            "divided_each_time",
            _divided_each_time,
            "You divide the output in every tile, and the next tile meets what has been divided. Divide once, after the last.",
        ),
        Misconception(
            "padded",
            _padded,
            "You fill the last tile with keys of zeros. Their score is 0, not −∞, so they get weight: leave them out.",
        ),
        Misconception(
            "last_tile_moved_back",
            _last_tile_moved_back,
            "Your last tile begins too early, and some keys count twice. It is smaller than the others.",
        ),
        Misconception(
            "limited_scores",
            lambda q, k, v, width: _scores(q, k).clamp(-80, 80).softmax(dim=1) @ v,
            "You limit the scores so that nothing overflows. That changes the weights: subtract the maximum instead.",
        ),
        Misconception(
            "causal",
            _causal,
            "You hide later keys. No causal mask is asked for: each query sees all keys.",
        ),
        Misconception(
            "full_tiles_only",
            _full_tiles_only,
            "You leave out the keys of the last tile when it is not full: the loop must reach the last key.",
        ),
        Misconception(
            "last_tile_only",
            _last_tile,
            "Your result depends only on the last tile: keep the maximum, the sum and the output of the earlier ones.",
        ),
    ),
    hints=(
        "Three things go from tile to tile, each with a row for every query: m (R, 1), l (R, 1) and o (R, d_v). "
        "Begin with −∞, 0 and 0.",
        "In a tile: s = q @ k_tile.T / √d_k, then new = maximum(m, s.amax(dim=1, keepdim=True)) and p = exp(s − new).",
        "Before p is added to l, and p @ v_tile to o, bring both to the new maximum: which factor? Divide once, after the "
        "last tile.",
    ),
)

EXERCISES = (QUERY_BLOCK,)
