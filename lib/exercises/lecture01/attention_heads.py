"""An exercise of `attention`: a whole layer of several heads, for a padded batch."""

import math

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.exercises.lecture01 import heads_answers as answers


# --- attention.multi_head -----------------------------------------------------------------------------------
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
        case("scores in the hundreds", *_large(generator)).without_gradient(),
    ]


def _large(generator):
    """Whole numbers, which float32 adds exactly: visible scores of −900 and −901, or 900 and 899; hidden: ±950."""
    low, high = [[-900.0, 0, 1], [-901, 1, 1]], [[900.0, 0, 1], [899, 1, 1]]
    x = torch.tensor([[*low, [950, 0, 1]], [*high, [-950, 1, 1]], [*low, [-950, 0, 1]]])
    first = torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 0, 0]])  # the key of head 1 is the first number of x
    last = first.flip(0)  # its query is the last number, 1
    real = torch.tensor([[True, True, False]]).repeat(3, 1)
    return x, last, first, *torch.randn(2, 3, 3, generator=generator), 3, real


MULTI_HEAD = Exercise(
    id="attention.multi_head",
    slides=("N34",),
    points=6,
    minutes=30,
    title="A layer of several heads",
    reference=answers.multi_head,
    cases=_cases,
    gradient=("x", "W_q", "W_k", "W_v", "W_o"),
    accepts=(answers.by_heads, answers.by_sentences, answers.einsum),
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
            answers.viewed,
            "You cut (B, T, d_model) into (B, H, T, d_k) with one view, so that a head gets pieces of different tokens. Cut "
            "the last axis first, (B, T, H, d_k), and then swap T and H: .transpose(1, 2).",
        ),
        Misconception(
            "merged_without_transpose",
            answers.viewed_back,
            "The heads are right, but they are put together without swapping T and H back: .transpose(1, 2) first, then "
            ".flatten(2).",
        ),
        Misconception(
            "heads_interleaved",
            answers.interleaved,
            "Your head h takes every H-th column. Head h owns the d_k columns from h·d_k on: unflatten(-1, (H, d_k)).",
        ),
        Misconception(
            "viewed_both_ways",
            answers.viewed_both_ways,
            "You cut with a view (B, H, T, d_k) and put together with a view back. The shapes fit, but a head gets pieces of "
            "different tokens. Cut the last axis into (H, d_k), then swap T and H; on the way back swap first.",
        ),
        Misconception(
            "cut_interleaved",
            answers.cut_interleaved,
            "You cut the last axis into (d_k, H), so that head h gets every H-th column. It owns d_k columns in a row: cut "
            "into (H, d_k).",
        ),
        Misconception(
            "scaled_by_heads",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: (
                answers.merged(*answers.heads(x, W_q, W_k, W_v, num_heads, real, width=num_heads)) @ W_o
            ),
            "You divide by the root of the number of heads. A head's dot product has d_k = d_model / H terms.",
        ),
        Misconception(
            "padding_at_the_end",
            answers.padding_at_the_end,
            "You count the real tokens and hide what comes after so many. Padding may stand at the beginning: use `real` "
            "itself.",
        ),
        Misconception(
            "padding_at_the_start",
            answers.padding_at_the_start,
            "You count the real tokens and take them to be the last. Padding may stand at the end: use `real` itself.",
        ),
        Misconception(
            "mask_of_the_first_sentence",
            answers.first_sentence,
            "You hide in every sentence what is padding in the first. Each sentence has its own row of `real`.",
        ),
        Misconception(
            "queries_hidden_finite",
            answers.queries_hidden_finite,
            "You hide the rows of padding, so that padding looks everywhere alike and real tokens still look at padding. Hide "
            "columns: the mask must have the shape (B, 1, 1, T).",
        ),
        Misconception(
            "queries_and_keys_hidden",
            answers.both_hidden,
            "Real tokens are right, but you hide the rows of padding as well. Here padding asks like any other token.",
        ),
        Misconception(
            "upside_down_finite",
            answers.real_hidden_finite,
            "You hide where `real` is True. It is True where there is a token, False at padding.",
        ),
        Misconception(
            "padding_outputs_zeroed",
            answers.padding_zeroed,
            "You set the outputs of padding to 0. The task asks for them like for any other token's.",
        ),
        Misconception(
            "causal_too",
            answers.causal_too,
            "You hide the future. This layer has no causal mask: only padding is hidden.",
        ),
        Misconception(
            "rows_for_columns",
            answers.by_rows,
            "Your head h owns rows of W_q, W_k and W_v. It owns the columns from h·d_k on: queries are x @ W_q.",
        ),
        Misconception(
            "not_hidden_enough",
            answers.not_hidden_enough,
            "Padding gets a negative score here, but a real token's may lie below it or near. −∞ lies below every score.",
        ),
        Misconception(
            "number_subtracted",
            answers.number_subtracted,
            "You take a number off the scores of padding. Such a score may have been higher still; −∞ lies below "
            "every score.",
        ),
        Misconception(
            "padding_tokens_zeroed",
            answers.zeroed_before,
            "You set padding to 0 in x. Its scores are then 0 and not hidden, so it still takes a share of the "
            "weight. Hide scores with −∞.",
        ),
        Misconception(
            "heads_to_heads",
            answers.heads_to_heads,
            "Your scores are (B, T, H, H): within each token, heads look at heads. Swap T and H first, so that tokens "
            "look at tokens.",
        ),
        Misconception(
            "own_part_of_x",
            answers.own_parts,
            "Your head h sees only its own part of x. Each head reads all of x; it is the columns of the matrices "
            "that are cut.",
        ),
        Misconception(
            "merged_interleaved",
            answers.merged_interleaved,
            "On the way back you put d_k before H, so that the heads' numbers alternate. Head by head side by side: "
            "(B, T, H, d_k), then flatten.",
        ),
        Misconception(
            "heads_averaged",
            lambda *given: answers.multi_head(*given) / given[5],
            "You average what the heads contribute. Their outputs stand side by side, and W_o adds them up.",
        ),
        Misconception(
            "residual_added",
            lambda *given: given[0] + answers.multi_head(*given),
            "You add x to the result. That sum comes in lecture 02; here only the layer is asked for.",
        ),
        Misconception(
            "weights_detached",
            answers.weights_detached,
            "The values get their gradient, but the weights are cut off from W_q and W_k: nothing would learn where "
            "to look.",
        ),
        Misconception(
            "overflow",
            answers.no_shift,
            "exp() of a score above 88 is infinite in float32, and ∞/∞ is NaN. Use torch.softmax, or subtract each row's "
            "largest visible score first.",
        ),
        Misconception(
            "scaled_by_the_whole_width",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: (
                answers.merged(*answers.heads(x, W_q, W_k, W_v, num_heads, real, width=x.shape[-1])) @ W_o
            ),
            "You divide by √d_model. A head's dot product has only d_k = d_model / H terms: divide by √d_k.",
        ),
        Misconception(
            "not_scaled",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: (
                answers.merged(*answers.heads(x, W_q, W_k, W_v, num_heads, real, width=1)) @ W_o
            ),
            "The scores are not divided by √d_k.",
        ),
        Misconception(
            "one_wide_head",
            answers.one_wide_head,
            "This is a single head of width d_model. Cut queries, keys and values into num_heads parts; each part has "
            "weights of its own.",
        ),
        Misconception(
            "weights_averaged",
            answers.averaged,
            "You average the weights of the heads. Each head keeps its own weights for its own values; only their outputs "
            "are put side by side.",
        ),
        Misconception(
            "output_not_mixed",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: answers.merged(
                *answers.heads(x, W_q, W_k, W_v, num_heads, real)
            ),
            "The heads stand side by side, but W_o is missing: multiply by it at the end.",
        ),
        Misconception(
            "padding_seen",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: answers.multi_head(
                x, W_q, W_k, W_v, W_o, num_heads, torch.ones_like(real)
            ),
            "Your queries look at padding too. Hide the keys where `real` is False.",
        ),
        Misconception(
            "queries_hidden_instead_of_keys",
            answers.masked_queries,
            "You hide rows, the queries of padding; they become NaN. Hide columns, the keys: real[:, None, None, :].",
        ),
        Misconception(
            "masked_with_zero",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: (
                answers.merged(*answers.heads(x, W_q, W_k, W_v, num_heads, real, hidden=0.0)) @ W_o
            ),
            "A hidden score of 0 still has the weight e⁰ = 1 before it is divided. Hide with −∞.",
        ),
        Misconception(
            "masked_after_softmax",
            answers.mask_after,
            "You set weights of padding to 0 after the softmax, and the others no longer sum to 1. Hide scores, before the "
            "softmax.",
        ),
        Misconception(
            "upside_down",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: answers.multi_head(x, W_q, W_k, W_v, W_o, num_heads, ~real),
            "You look at padding and hide the real tokens: `real` is True where there is a token.",
        ),
        Misconception(
            "softmax_over_queries",
            answers.over_queries(-math.inf),
            "Your softmax runs down the columns. Each query spreads its weight over the keys: dim=-1.",
        ),
        Misconception(
            "softmax_over_queries_finite",
            answers.over_queries(-1e9),
            "Each column of your weights sums to 1 instead of each row. A query spreads its weight over the keys: dim=-1.",
        ),
        Misconception(
            "matrices_transposed",
            answers.transposed_matrices,
            "You multiply by the transposed matrices, as nn.Linear stores them. Here queries are x @ W_q.",
        ),
        Misconception(
            "detached",
            lambda x, W_q, W_k, W_v, W_o, num_heads, real: answers.multi_head(
                x, W_q, W_k, W_v, W_o, num_heads, real
            ).detach(),
            DETACHED,
        ),
    ),
    hints=(
        "Project first: q, k, v = x @ W_q, x @ W_k, x @ W_v, each (B, T, d_model). Only then cut into heads.",
        "Cut the last axis of q into (H, d_k), in this order; `view` or `unflatten` does it. A product of the last two axes "
        "needs (B, H, T, d_k): which two axes must change places?",
        "The scores are (B, H, T, T), and `real` is (B, T). It is about keys, the last axis: where does it need "
        "axes of length 1?",
        "Back: each head gives (B, H, T, d_k). Undo the swap before you join the last two axes, then multiply by W_o.",
    ),
)
