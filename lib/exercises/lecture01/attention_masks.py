"""An exercise of `attention`: the causal mask."""

import math

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.kernels import causal_mask


# --- attention.causal_mask ----------------------------------------------------------------------------------
def _mask_cases(generator):
    new, few, some = torch.randint(2, 100, (3,), generator=generator).tolist()
    long = int(torch.randint(100, 1000, (1,), generator=generator))
    return [
        case("six tokens and no past", 6, 6),
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
            "The diagonal is hidden. A token sees what comes before it and itself; without that, the first one would see "
            "nothing.",
        ),
        Misconception(
            "one_too_far_right",
            lambda T, S: torch.ones(T, S, dtype=torch.bool).tril(S - T + 1),
            "Your diagonal is one place too far to the right: each token sees the token after it. That is the mask with "
            "which a model learns to copy the answer.",
        ),
        Misconception(
            "past_hidden",
            lambda T, S: causal_mask(T, S) & (torch.arange(S) >= S - T),
            "Among the new tokens your mask is right, but it hides the past: the S − T positions before them may be looked "
            "at by all.",
        ),
        Misconception(
            "window_of_the_new",
            lambda T, S: causal_mask(T, S).triu(S - 2 * T + 1),
            "Each query sees only as many positions as there are queries. It may look back to the very first.",
        ),
        Misconception(
            "the_future",
            lambda T, S: torch.ones(T, S, dtype=torch.bool).triu(S - T),
            "Each token sees itself and what comes after it: the mask is transposed (triu instead of tril).",
        ),
        Misconception(
            "past_forgotten",
            lambda T, S: torch.ones(T, S, dtype=torch.bool).tril(),
            "The queries are the last T of S positions; you treat them as the first. Query 0 sees S − T + 1 keys.",
        ),
        Misconception(
            "upside_down",
            lambda T, S: ~causal_mask(T, S),
            "True and False are swapped: True means “may attend”.",
        ),
        Misconception(
            "shifted_the_wrong_way",
            lambda T, S: torch.ones(T, S, dtype=torch.bool).tril(T - S),
            "The past moves the diagonal the other way: query 0 sees the S − T keys before it as well, not fewer.",
        ),
        Misconception(
            "whole_numbers",
            lambda T, S: causal_mask(T, S).long(),
            "The pattern is right, but these are the whole numbers 0 and 1. `~mask` and masked_fill need True and False.",
        ),
        Misconception(
            "numbers",
            lambda T, S: torch.ones(T, S).tril(S - T),
            "The pattern is right, but these are the numbers 0.0 and 1.0. Added to scores they would mask nothing. The "
            "mask must be boolean.",
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
        "Write the table for T = 2 and S = 5 (it is in the task). How many True has row i? Then compare the numbers of all "
        "positions with the number of the one that asks.",
    ),
)
