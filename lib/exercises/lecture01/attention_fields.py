"""An exercise of `attention`: what a position can see."""

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
        case(
            "outputs that are 0 at this x",
            Made(reads_by_pattern, ([[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]],)),
            0 * x - 0.5,
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


def _gradient_of(number):
    """An answer that takes one derivative for each position: of `number(output)`, a single number."""

    def answer(f, x):
        leaf = x.clone().requires_grad_()
        grads = [torch.autograd.grad(number(f(leaf)[i]) + 0 * leaf.sum(), leaf)[0] for i in range(len(x))]
        return torch.stack([(grad != 0).any(dim=1) for grad in grads])

    return answer


def _not_reset(f, x):
    return _by_rows(f, x).cumsum(dim=0) > 0


def _poisoned(f, x):
    moved = [f(torch.cat([x[:j], x[j : j + 1] * math.nan, x[j + 1 :]])) for j in range(len(x))]
    return torch.stack([out.isnan().any(dim=1) for out in moved], dim=1)


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
            "square_of_the_output",
            _gradient_of(lambda out: out.square().sum()),
            "You differentiate the squares of an output. Where the output is 0 the derivative of its square is 0 too, "
            "and squares of several coordinates can cancel. Take each coordinate by itself.",
        ),
        Misconception(
            "size_of_the_output",
            _gradient_of(lambda out: out.abs().sum()),
            "You differentiate the sum of an output's absolute values, and derivatives of two coordinates can cancel "
            "in it. Take each coordinate by itself; absolute values come after the derivatives.",
        ),
        Misconception(
            "gradients_added_up",
            _not_reset,
            "Row i also has what earlier rows read: `backward` adds to x.grad. Set it to None before each row, or use "
            "torch.autograd.grad.",
        ),
        Misconception(
            "poisoned",
            _poisoned,
            "You put NaN into an input and look where it comes out. It comes out through a weight of 0 as well (0 · "
            "NaN is NaN), and at another x than the one asked about: take the derivatives at x.",
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
