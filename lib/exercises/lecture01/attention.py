"""Exercises of notebook 01: attention, masks, receptive fields."""

import math

import torch

from lib.evaluation import receptive_field
from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import reads_by_pattern, reads_faintly, reads_in_second_output
from lib.kernels import attention_reference, causal_mask


# --- attention.attention ------------------------------------------------------------------------------------
def _attention_cases(generator):
    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    everything = torch.ones(3, 3, dtype=torch.bool)
    some = torch.rand(2, 5, generator=generator) < 0.8
    some[:, 0] = True  # every query sees a key; a query that sees none is not part of the exercise
    long = (30 * draw(3, 64)).round()  # whole numbers, which float32 adds exactly; q₀·k₀ is about 57,000
    return [
        case("no position hidden", draw(3, 4), draw(3, 4), draw(3, 4), everything),
        case("causal", draw(4, 8), draw(4, 8), draw(4, 8), torch.ones(4, 4).tril().bool()),
        case("more keys than queries", draw(2, 4), draw(5, 4), draw(5, 3), some),
        case("each query sees one key", draw(3, 2), draw(3, 2), draw(3, 2), torch.eye(3).bool()),
        case("long vectors", long, torch.stack((long[0], *(30 * draw(2, 64)).round())), draw(3, 2), everything),
    ]


def _weights(q, k, mask, scale=None):
    scores = q @ k.T * (q.shape[-1] ** -0.5 if scale is None else scale)
    return torch.softmax(scores.masked_fill(~mask, -math.inf), dim=-1)


def _mask_after(q, k, v, mask):
    return (torch.softmax(q @ k.T / q.shape[-1] ** 0.5, dim=-1) * mask) @ v


def _zero_scores(q, k, v, mask):
    return torch.softmax(q @ k.T / q.shape[-1] ** 0.5 * mask, dim=-1) @ v


def _wrong_axis(q, k, v, mask):
    scores = (q @ k.T / q.shape[-1] ** 0.5).masked_fill(~mask, -math.inf)
    return torch.softmax(scores, dim=0).nan_to_num() @ v


def _inverted(q, k, v, mask):
    scores = (q @ k.T / q.shape[-1] ** 0.5).masked_fill(mask, -1e9)
    return torch.softmax(scores, dim=-1) @ v


def _reference_attention(q, k, v, mask):
    return attention_reference(q[None, None], k[None, None], v[None, None], mask=mask)[0, 0]


ATTENTION = Exercise(
    id="attention.attention",
    slides=("N34", "C20"),
    points=4,
    minutes=15,
    title="Scaled dot-product attention",
    reference=_reference_attention,
    cases=_attention_cases,
    accepts=(
        lambda q, k, v, mask: _weights(q, k, mask) @ v,
        lambda q, k, v, mask: torch.nn.functional.scaled_dot_product_attention(
            q[None, None], k[None, None], v[None, None], attn_mask=mask
        )[0, 0],
    ),
    withheld=(
        "lib.kernels.attention.attention_fused",
        "lib.kernels.attention.attention_weights",
        "lib.kernels.tiled._TiledAttention",
        "lib.kernels.tiled.attention_tiled",
        "lib.kernels.triton.triton_attention",
        "lib.models.attention.CrossAttention",
        "lib.models.attention.SelfAttention",
        "lib.kernels.attention.default_scale",
        "lib.kernels.tiled._Tiles",
        "lib.kernels.triton._Attention",
        "lib.kernels.triton_launch.launch",
    ),
    misconceptions=(
        Misconception(
            "not_scaled",
            lambda q, k, v, mask: _weights(q, k, mask, 1.0) @ v,
            "The scores are not divided by √K. Their variance is then K, and the softmax of wide heads becomes "
            "one-hot.",
        ),
        Misconception(
            "divided_by_k",
            lambda q, k, v, mask: _weights(q, k, mask, 1 / q.shape[-1]) @ v,
            "You divide by K, not by its square root. A dot product of K terms has variance K, standard deviation √K.",
        ),
        Misconception(
            "masked_after_softmax",
            _mask_after,
            "You mask after the softmax, so the remaining weights no longer sum to 1. Mask the scores, before the "
            "softmax.",
        ),
        Misconception(
            "masked_with_zero",
            _zero_scores,
            "A masked score of 0 still has the weight exp(0) = 1. For a weight of 0 the score must be −∞.",
        ),
        Misconception(
            "softmax_over_queries",
            _wrong_axis,
            "Your softmax runs over the queries. Each query spreads its attention over the keys: dim=-1.",
        ),
        Misconception(
            "mask_upside_down",
            _inverted,
            "True means “may attend”. You mask the positions that may be seen and attend to the others.",
        ),
        Misconception(
            "weights_returned",
            lambda q, k, v, mask: _weights(q, k, mask),
            "These are the weights, (T, S). Attention returns the weighted sum of the values: multiply by v.",
        ),
    ),
    hints=(
        "Three steps: scores q kᵀ/√K of shape (T, S); −∞ where mask is False; softmax over the keys, times v.",
        "scores.masked_fill(~mask, -math.inf) masks; torch.softmax(scores, dim=-1) @ v averages the values.",
    ),
)


# --- attention.causal_mask ----------------------------------------------------------------------------------
def _mask_cases(generator):
    new, few, some = torch.randint(2, 100, (3,), generator=generator).tolist()
    long = int(torch.randint(100, 1000, (1,), generator=generator))
    return [
        case("the six tokens of the slide", 6, 6),
        case("two new tokens after three in the cache", 2, 5),
        case("one new token: generation", 1, 4),
        case("a single token", 1, 1),
        case("a long question after an earlier conversation", new, new + few),
        case("a piece of a text, far from its beginning", 1 + some // 3, long),
    ]


CAUSAL_MASK = Exercise(
    id="attention.causal_mask",
    slides=("C20", "W22"),
    points=2,
    minutes=8,
    title="The causal mask, with and without a past",
    reference=lambda T, S: causal_mask(T, S),
    cases=_mask_cases,
    accepts=(
        lambda T, S: torch.ones(T, S, dtype=torch.bool).tril(S - T),
        lambda T, S: torch.tensor([[j <= i + S - T for j in range(S)] for i in range(T)]),
    ),
    withheld=("lib.kernels.masks.prefix_mask", "lib.kernels.masks.sliding_window_mask"),
    misconceptions=(
        Misconception(
            "not_itself",
            lambda T, S: torch.ones(T, S, dtype=torch.bool).tril(S - T - 1),
            "The diagonal is hidden. Slide C20 says “left context”, but a token also sees itself (slide W22); without "
            "that, the first one would see nothing.",
        ),
        Misconception(
            "the_future",
            lambda T, S: torch.ones(T, S, dtype=torch.bool).triu(S - T),
            "Each token sees itself and what comes after it: the mask is transposed (triu instead of tril).",
        ),
        Misconception(
            "past_forgotten",
            lambda T, S: torch.ones(T, S, dtype=torch.bool).tril(),
            "With a cache the queries are the last T of S positions; you treat them as the first. Query 0 sees S − T + "
            "1 "
            "keys.",
        ),
        Misconception(
            "numbers",
            lambda T, S: torch.ones(T, S).tril(S - T),
            "The pattern is right, but these are the numbers 0.0 and 1.0. Added to scores they would mask nothing. The "
            "mask "
            "must be boolean.",
        ),
        Misconception(
            "additive",
            lambda T, S: torch.zeros(T, S).masked_fill(~causal_mask(T, S), -math.inf),
            "That is the additive mask (0 and −∞). It works too, but the exercise asks for True (“may attend”) and "
            "False.",
        ),
        Misconception(
            "no_mask",
            lambda T, S: torch.ones(T, S, dtype=torch.bool),
            "Every token sees every token, as in BERT. A decoder must not see the token that it has to predict.",
        ),
        Misconception(
            "transposed",
            lambda T, S: torch.ones(S, T, dtype=torch.bool).triu(T - S),
            "Rows are queries and columns are keys: yours are swapped.",
        ),
    ),
    hints=(
        "Query i of the new tokens is position i + S − T of the whole sequence; it may see keys j ≤ that.",
        "torch.ones(T, S, dtype=torch.bool).tril(d) keeps diagonal d and everything below it. Which d?",
    ),
)


# --- attention.receptive_field ------------------------------------------------------------------------------
def _field_cases(generator):
    x = torch.randn(3, 2, generator=generator)
    lower, full = [[1, 0, 0], [1, 1, 0], [1, 1, 1]], [[1, 1, 1]] * 3
    return [
        case("left to right", Made(reads_by_pattern, (lower,)), x),
        case("both directions", Made(reads_by_pattern, (full,)), x),
        case("the next position only", Made(reads_by_pattern, ([[0, 1, 0], [0, 0, 1], [0, 0, 0]],)), x),
        case("derivatives that cancel in a sum", Made(reads_by_pattern, (lower, True)), x),
        case("only the second output reads anything", Made(reads_in_second_output), x),
        case("weak dependence", Made(reads_faintly), x),
    ]


def _jacobian(f, x):
    return torch.autograd.functional.jacobian(f, x)  # (T, E, T, D)


def _by_rows(f, x):
    found = torch.zeros(len(x), len(x), dtype=torch.bool)
    for i in range(len(x)):
        for e in range(f(x).shape[1]):
            leaf = x.clone().requires_grad_()
            (grad,) = torch.autograd.grad(f(leaf)[i, e] + 0 * leaf.sum(), leaf)
            found[i] |= (grad != 0).any(dim=1)
    return found


RECEPTIVE_FIELD = Exercise(
    id="attention.receptive_field",
    slides=("W07", "C20"),
    points=4,
    minutes=15,
    title="What can a position see?",
    reference=receptive_field,
    cases=_field_cases,
    accepts=(_by_rows, lambda f, x: _jacobian(f, x).abs().sum(dim=(1, 3)) > 0),
    misconceptions=(
        Misconception(
            "transposed",
            lambda f, x: receptive_field(f, x).T,
            "Row i should mark what output i reads. Yours marks which outputs read input i: transpose it.",
        ),
        Misconception(
            "signed_sum",
            lambda f, x: _jacobian(f, x).sum(dim=(1, 3)) != 0,
            "You sum derivatives before you compare with 0, and +1 and −1 cancel. Take absolute values, or any().",
        ),
        Misconception(
            "first_output_only",
            lambda f, x: (_jacobian(f, x)[:, 0] != 0).any(dim=-1),
            "You look only at the first coordinate of each output. Another coordinate may read what the first does "
            "not.",
        ),
        Misconception(
            "thresholded",
            lambda f, x: _jacobian(f, x).abs().amax(dim=(1, 3)) > 0.01,
            "A derivative of 0.001 is small, not zero: the position is seen. Compare with exactly 0.",
        ),
        Misconception(
            "assumed_causal",
            lambda f, x: torch.ones(len(x), len(x)).tril().bool(),
            "This is a causal pattern for every f. Look at the derivatives of f: some functions read to the right.",
        ),
        Misconception(
            "sizes_instead_of_truth",
            lambda f, x: _jacobian(f, x).abs().sum(dim=(1, 3)),
            "These are sizes of derivatives. The answer is yes or no: a boolean for each pair.",
        ),
    ),
    hints=(
        "torch.autograd.functional.jacobian(f, x) is (T, E, T, D): position and coordinate of the output, then of the "
        "input.",
        "Position i sees j if any entry of the block [i, :, j, :] differs from 0.",
    ),
)

EXERCISES = (ATTENTION, CAUSAL_MASK, RECEPTIVE_FIELD)
