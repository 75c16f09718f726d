"""Two exercises of `attention`: the causal mask, and receptive fields."""

import math

import torch

from lib.evaluation import receptive_field
from lib.exercises.engine.exercise import Exercise, Made, Misconception, case
from lib.exercises.engine.made import (
    reads_by_pattern,
    reads_faintly,
    reads_in_second_output,
    reads_one_number,
    reads_what_is_positive,
)
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


# --- attention.receptive_field ------------------------------------------------------------------------------
def _field_cases(generator):
    x = torch.randn(3, 2, generator=generator)
    lower, full = [[1, 0, 0], [1, 1, 0], [1, 1, 1]], [[1, 1, 1]] * 3
    negative, tiny = [[-1, 0, 0], [-2, -1, 0], [0, -1, -3]], [[1, 1e-12, 0], [0, 1, 0], [-1e-12, 0, 1]]
    return [
        case("left to right", Made(reads_by_pattern, (lower,)), x),
        case("both directions", Made(reads_by_pattern, (full,)), x),
        case("the next position only", Made(reads_by_pattern, ([[0, 1, 0], [0, 0, 1], [0, 0, 0]],)), x),
        case("derivatives that cancel in a sum", Made(reads_by_pattern, (lower, True)), x),
        case("negative derivatives", Made(reads_by_pattern, (negative,)), x),
        case("only the second output reads anything", Made(reads_in_second_output), x),
        case(
            "five positions, inputs of three numbers",
            Made(reads_in_second_output),
            torch.cat((x, x))[:5].repeat(1, 2)[:, 1:],
        ),
        case("weak dependence", Made(reads_faintly), x),
        case("derivatives of 1e-12", Made(reads_by_pattern, (tiny,)), x),
        case("derivatives of 1e-37", Made(reads_by_pattern, ([[1, 1e-37, 0], [0, 1, 0], [-1e-37, 0, 1]],)), x),
        *(
            case(
                f"output number {e + 1} reads input number {d + 1} and nothing else", Made(reads_one_number, (e, d)), x
            )
            for e in (0, 1)
            for d in (0, 1)
        ),
        case("derivatives of 1e-12 that cancel in a sum", Made(reads_by_pattern, (tiny, True)), x),
        case(
            "one position has no influence at this x",
            Made(reads_what_is_positive, (full,)),
            torch.tensor([[1.0, 2.0], [-1.0, -0.5], [0.5, 3.0]]),
        ),
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


def _differences(f, x):
    moved = [f(torch.cat([x[:j], x[j : j + 1] + 1, x[j + 1 :]])) != f(x) for j in range(len(x))]
    return torch.stack([change.any(dim=1) for change in moved], dim=1)


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
            "positive_only",
            lambda f, x: (_jacobian(f, x) > 0).any(dim=3).any(dim=1),
            "You count positive derivatives only. Where a derivative is negative the output depends on the input as well.",
        ),
        Misconception(
            "all_for_any",
            lambda f, x: (_jacobian(f, x) != 0).all(dim=3).all(dim=1),
            "You ask for every derivative of the block to differ from 0. One is enough: any() instead of all().",
        ),
        Misconception(
            "differences",
            _differences,
            "You move the input and look whether the output changes. Rounding hides weak influence, and a step may leave the "
            "place x that is asked about: take the derivatives at x.",
        ),
        Misconception(
            "first_output_only",
            lambda f, x: (_jacobian(f, x)[:, 0] != 0).any(dim=-1),
            "You look only at the first coordinate of each output. Another coordinate may read what the first does "
            "not.",
        ),
        Misconception(
            "first_input_only",
            lambda f, x: (_jacobian(f, x)[..., 0] != 0).any(dim=1),
            "You look only at the first coordinate of each input. Another coordinate may be the one that is read.",
        ),
        Misconception(
            "all_outputs",
            lambda f, x: (_jacobian(f, x) != 0).any(dim=3).all(dim=1),
            "You ask that every coordinate of the output reads the input. One is enough: any() instead of all().",
        ),
        Misconception(
            "same_coordinate_only",
            lambda f, x: (_jacobian(f, x).diagonal(dim1=1, dim2=3) != 0).any(dim=-1),
            "You compare coordinate 1 with coordinate 1, 2 with 2. An output's first number may read an input's second.",
        ),
        Misconception(
            "squared",
            lambda f, x: _jacobian(f, x).square().sum(dim=(1, 3)) > 0,
            "You add up squares, as a norm does too. The square of 1e-30 is 0 in float32: compare the derivatives "
            "themselves with 0.",
        ),
        Misconception(
            "thresholded",
            lambda f, x: _jacobian(f, x).abs().amax(dim=(1, 3)) > 0.01,
            "You compare with a threshold. However small a derivative is, if it is not 0 the position is seen: compare "
            "with exactly 0.",
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
        "Position i sees j if at least one of the E·D derivatives of output i with respect to input j differs from 0. Which "
        "two of the four dimensions go, and does `any` or `all` take them away?",
    ),
)
