"""An exercise of `attention`: a whole layer of several heads, for a padded batch."""

import math

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED


# --- attention.multi_head -----------------------------------------------------------------------------------
def multi_head(x, W_q, W_k, W_v, W_o, num_heads, real):
    """The layer as it is asked for: (B, T, d_model) in and out, no query looks at padding."""
    return _merged(*_heads(x, W_q, W_k, W_v, num_heads, real)) @ W_o


def _heads(x, W_q, W_k, W_v, num_heads, real, *, width=None, hidden=-math.inf):
    """The weights (B, H, T, T) and values (B, H, T, d_k) of all heads."""
    q, k, v = (_split(x @ W, num_heads) for W in (W_q, W_k, W_v))
    scores = q @ k.mT / math.sqrt(width or q.shape[-1])
    return scores.masked_fill(~real[:, None, None, :], hidden).softmax(dim=-1), v


def _split(x, num_heads):
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def _merged(weights, v):
    return (weights @ v).transpose(1, 2).flatten(2)


def _cases(generator):
    def drawn(B, T, d_model, num_heads, real):
        x = torch.randn(B, T, d_model, generator=generator)
        W = torch.randn(4, d_model, d_model, generator=generator) / d_model**0.5
        return x, *(1.5 * W[:2]), *W[2:], num_heads, torch.tensor(real, dtype=torch.bool)

    return [
        case("one sentence, two heads", *drawn(1, 3, 4, 2, [[1, 1, 1]])),
        case("two sentences, one with padding at its end", *drawn(2, 4, 6, 2, [[1, 1, 1, 1], [1, 1, 0, 0]])),
        case("padding at the beginning", *drawn(2, 5, 6, 3, [[0, 0, 1, 1, 1], [0, 1, 1, 1, 1]])),
        case("as many heads as sentences and tokens", *drawn(2, 2, 8, 2, [[1, 1], [1, 0]])),
        case("a single head", *drawn(2, 3, 4, 1, [[1, 1, 1], [1, 1, 0]])),
        case("heads of width 1", *drawn(1, 4, 3, 3, [[1, 1, 1, 1]])),
        case("one real token in a sentence", *drawn(3, 3, 8, 4, [[1, 0, 0], [0, 1, 0], [1, 1, 1]])),
    ]


def _by_heads(x, W_q, W_k, W_v, W_o, num_heads, real):
    found = []
    for Q, K, V in zip(*(W.chunk(num_heads, dim=1) for W in (W_q, W_k, W_v))):
        scores = (x @ Q) @ (x @ K).mT / math.sqrt(Q.shape[1])
        found.append(scores.masked_fill(~real[:, None], -math.inf).softmax(dim=-1) @ (x @ V))
    return torch.cat(found, dim=-1) @ W_o


def _by_sentences(x, W_q, W_k, W_v, W_o, num_heads, real):
    """Each sentence by itself; its queries look at what is left when padding is cut out."""
    out = []
    for one, seen in zip(x, real):
        q = (one @ W_q).unflatten(-1, (num_heads, -1)).transpose(0, 1)
        k, v = ((one[seen] @ W).unflatten(-1, (num_heads, -1)).transpose(0, 1) for W in (W_k, W_v))
        out.append(torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(0, 1).flatten(1) @ W_o)
    return torch.stack(out)


def _einsum(x, W_q, W_k, W_v, W_o, num_heads, real):
    q, k, v = ((x @ W).unflatten(-1, (num_heads, -1)) for W in (W_q, W_k, W_v))  # (B, T, H, d_k)
    scores = torch.einsum("bthk,bshk->bhts", q, k) / q.shape[-1] ** 0.5
    weights = torch.softmax(torch.where(real[:, None, None], scores, -math.inf), dim=-1)
    return torch.einsum("bhts,bshk->bthk", weights, v).flatten(2) @ W_o


def _viewed(x, W_q, W_k, W_v, W_o, num_heads, real):
    B, T, d_model = x.shape
    q, k, v = ((x @ W).view(B, num_heads, T, -1) for W in (W_q, W_k, W_v))
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~real[:, None, None], -math.inf)
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2) @ W_o


def _viewed_back(x, W_q, W_k, W_v, W_o, num_heads, real):
    weights, v = _heads(x, W_q, W_k, W_v, num_heads, real)
    return (weights @ v).reshape(x.shape) @ W_o


def _interleaved(x, W_q, W_k, W_v, W_o, num_heads, real):
    q, k, v = ((x @ W).unflatten(-1, (-1, num_heads)).permute(0, 3, 1, 2) for W in (W_q, W_k, W_v))
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~real[:, None, None], -math.inf)
    return (scores.softmax(dim=-1) @ v).permute(0, 2, 3, 1).flatten(2) @ W_o


def _masked_queries(x, W_q, W_k, W_v, W_o, num_heads, real):
    q, k, v = (_split(x @ W, num_heads) for W in (W_q, W_k, W_v))
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~real[:, None, :, None], -math.inf)
    return _merged(scores.softmax(dim=-1), v) @ W_o


def _mask_after(x, W_q, W_k, W_v, W_o, num_heads, real):
    weights, v = _heads(x, W_q, W_k, W_v, num_heads, torch.ones_like(real))
    return _merged(weights * real[:, None, None], v) @ W_o


def _over_queries(x, W_q, W_k, W_v, W_o, num_heads, real):
    q, k, v = (_split(x @ W, num_heads) for W in (W_q, W_k, W_v))
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~real[:, None, None], -math.inf)
    return _merged(scores.softmax(dim=-2).nan_to_num(0), v) @ W_o


def _one_wide_head(x, W_q, W_k, W_v, W_o, num_heads, real):
    return multi_head(x, W_q, W_k, W_v, W_o, 1, real)


def _averaged(x, W_q, W_k, W_v, W_o, num_heads, real):
    weights, v = _heads(x, W_q, W_k, W_v, num_heads, real)
    return _merged(weights.mean(dim=1, keepdim=True).expand_as(weights), v) @ W_o


def _transposed_matrices(x, W_q, W_k, W_v, W_o, num_heads, real):
    return multi_head(x, W_q.T, W_k.T, W_v.T, W_o.T, num_heads, real)


MULTI_HEAD = Exercise(
    id="attention.multi_head",
    slides=("N34",),
    points=6,
    minutes=30,
    title="A layer of several heads",
    reference=multi_head,
    cases=_cases,
    gradient=("x", "W_q", "W_k", "W_v", "W_o"),
    accepts=(_by_heads, _by_sentences, _einsum),
    withheld=(
        "lib.kernels.tiled.plain_attention",
        "lib.kernels.attention.attention_reference",
        "lib.kernels.attention.attention_fused",
        "lib.kernels.attention.attention_weights",
        "lib.kernels.tiled._TiledAttention",
        "lib.kernels.tiled.attention_tiled",
        "lib.kernels.triton.triton_attention",
        "lib.models.attention.CrossAttention",
        "lib.models.attention.SelfAttention",
        "lib.kernels.tiled._Tiles",
        "lib.kernels.triton._Attention",
        "lib.kernels.triton_launch.launch",
    ),
    misconceptions=(
        Misconception(
            "cut_without_transpose",
            _viewed,
            "You cut (B, T, d_model) into (B, H, T, d_k) with one view, so that a head gets pieces of different tokens. Cut "
            "the last axis first, (B, T, H, d_k), and then swap T and H: .transpose(1, 2).",
        ),
        Misconception(
            "merged_without_transpose",
            _viewed_back,
            "The heads are right, but they are put together without swapping T and H back: .transpose(1, 2) first, then "
            ".flatten(2).",
        ),
        Misconception(
            "heads_interleaved",
            _interleaved,
            "Your head h takes every H-th column. Head h owns the d_k columns from h·d_k on: unflatten(-1, (H, d_k)).",
        ),
        Misconception(
            "scaled_by_the_whole_width",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: (
                _merged(*_heads(x, W_q, W_k, W_v, num_heads, real, width=x.shape[-1])) @ W_o
            ),
            "You divide by √d_model. A head's dot product has only d_k = d_model / H terms: divide by √d_k.",
        ),
        Misconception(
            "not_scaled",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: (
                _merged(*_heads(x, W_q, W_k, W_v, num_heads, real, width=1)) @ W_o
            ),
            "The scores are not divided by √d_k.",
        ),
        Misconception(
            "one_wide_head",
            _one_wide_head,
            "This is a single head of width d_model. Cut queries, keys and values into num_heads parts; each part has "
            "weights of its own.",
        ),
        Misconception(
            "weights_averaged",
            _averaged,
            "You average the weights of the heads. Each head keeps its own weights for its own values; only their outputs "
            "are put side by side.",
        ),
        Misconception(
            "output_not_mixed",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: _merged(*_heads(x, W_q, W_k, W_v, num_heads, real)),
            "The heads stand side by side, but W_o is missing: multiply by it at the end.",
        ),
        Misconception(
            "padding_seen",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: multi_head(
                x, W_q, W_k, W_v, W_o, num_heads, torch.ones_like(real)
            ),
            "Your queries look at padding too. Hide the keys where `real` is False.",
        ),
        Misconception(
            "queries_hidden_instead_of_keys",
            _masked_queries,
            "You hide rows, the queries of padding; they become NaN. Hide columns, the keys: real[:, None, None, :].",
        ),
        Misconception(
            "masked_with_zero",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: (
                _merged(*_heads(x, W_q, W_k, W_v, num_heads, real, hidden=0.0)) @ W_o
            ),
            "A hidden score of 0 still has the weight e⁰ = 1 before it is divided. Hide with −∞.",
        ),
        Misconception(
            "masked_after_softmax",
            _mask_after,
            "You set weights of padding to 0 after the softmax, and the others no longer sum to 1. Hide scores, before the "
            "softmax.",
        ),
        Misconception(
            "upside_down",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: multi_head(x, W_q, W_k, W_v, W_o, num_heads, ~real),
            "You look at padding and hide the real tokens: `real` is True where there is a token.",
        ),
        Misconception(
            "softmax_over_queries",
            _over_queries,
            "Your softmax runs down the columns. Each query spreads its weight over the keys: dim=-1.",
        ),
        Misconception(
            "matrices_transposed",
            _transposed_matrices,
            "You multiply by the transposed matrices, as nn.Linear stores them. Here queries are x @ W_q.",
        ),
        Misconception(
            "detached",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: multi_head(x, W_q, W_k, W_v, W_o, num_heads, real).detach(),
            DETACHED,
        ),
    ),
    hints=(
        "Project first: q, k, v = x @ W_q, x @ W_k, x @ W_v, each (B, T, d_model). Only then cut into heads.",
        "(x @ W_q).unflatten(-1, (num_heads, -1)).transpose(1, 2) is (B, H, T, d_k); the same for k and v.",
        "scores = q @ k.mT / math.sqrt(d_k) is (B, H, T, T); hide with real[:, None, None, :], softmax over the last axis.",
        "Back: (weights @ v).transpose(1, 2).flatten(2) is (B, T, d_model); then @ W_o.",
    ),
)
