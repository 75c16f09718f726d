"""Exercises of notebook 14: the low-rank update, and training it (`lora_training`)."""

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.engine.gradients import DETACHED
from lib.exercises.lecture14.lora_training import TUNE


# --- lora.forward -----------------------------------------------------------------------------------------------------
def lora_forward(
    x: Float[Tensor, "N I"],
    weight: Float[Tensor, "O I"],
    A: Float[Tensor, "R I"],
    B: Float[Tensor, "O R"],
    alpha: float | int,
) -> Float[Tensor, "N O"]:
    """LoRA in two lines: y = x W0ᵀ + α/r (x Aᵀ) Bᵀ (slide W27; Hu et al. 2021, equation 3).

    `lib.adapters.lora_layer` computes the same in the order that saves memory.
    """
    low = x @ A.T  # (N, R): the few numbers that A makes of each row
    return x @ weight.T + alpha / A.shape[0] * low @ B.T  # (N, O): the frozen layer, and beside it what B makes of them


def _layers(generator):
    def draw(N, out, width, rank):
        shapes = ((N, width), (out, width), (rank, width), (out, rank))
        return [torch.randn(*shape, generator=generator) for shape in shapes]

    x, W, A, B = draw(3, 4, 5, 2)
    return [
        case("3 rows, 5 features to 4, rank 2", x, W, A, B, 6.0),
        case("a square layer, rank 2", *draw(2, 4, 4, 2), 1.0),
        case("rank 1", *draw(2, 3, 6, 1), 8.0),
        case("B is zero, as at the start", x, W, A, torch.zeros_like(B), 6.0),
        case("alpha equal to the rank", *draw(2, 6, 3, 3), 3.0),
        case("alpha a whole number, and no multiple of the rank", *draw(4, 3, 6, 2), 5),
        case("alpha below the rank", *draw(1, 5, 4, 3), 2),
        case("two equal rows of A, alpha below 1", x, W, A[[0, 0]], B, 0.5),
    ]


def _by_summed_weight(x, weight, A, B, alpha):
    return x @ (weight + alpha / A.shape[0] * B @ A).T


def _by_einsum(x, weight, A, B, alpha):
    low = torch.einsum("ni,ri->nr", x, A) * (alpha / A.shape[0])
    return torch.einsum("ni,oi->no", x, weight) + torch.einsum("nr,or->no", low, B)


def _one_rank_after_another(x, weight, A, B, alpha):
    out = torch.nn.functional.linear(x, weight)
    for a, b in zip(A, B.T):
        out = out + torch.outer(x @ a, b) * alpha / len(A)
    return out


def _with_scale(scale):
    """An answer that scales the update by `scale(A, B, alpha)`."""
    return lambda x, weight, A, B, alpha: x @ weight.T + scale(A, B, alpha) * (x @ A.T @ B.T)


def _frozen_path_cut_off(x, weight, A, B, alpha):
    with torch.no_grad():
        frozen = x @ weight.T
    return frozen + alpha / A.shape[0] * (x @ A.T @ B.T)


def _merged_in_place(x, weight, A, B, alpha):
    weight += alpha / A.shape[0] * (B @ A)
    return x @ weight.T


def _merged_into_data(x, weight, A, B, alpha):
    weight.data += alpha / A.shape[0] * (B @ A)
    return x @ weight.T


FORWARD = Exercise(
    id="lora.forward",
    slides=("W27",),
    points=3,
    minutes=10,
    title="A layer with a low-rank update",
    reference=lora_forward,
    cases=_layers,
    gradient=("x", "A", "B"),  # and not W0: it is frozen, and may be detached
    accepts=(
        _by_summed_weight,
        _by_einsum,
        _one_rank_after_another,
        lambda x, weight, A, B, alpha: lora_forward(x, weight.detach(), A, B, alpha),
    ),
    tolerance=Tolerance(atol=1e-5),  # the two terms may nearly cancel
    withheld=(
        "lib.adapters.lora_layer._with_low_rank",
        "lib.adapters.lora_layer._add_product",
        "lib.adapters.lora.inject_lora",
        "lib.adapters.lora_layer._LowRankProduct",
        "lib.adapters.lora_layer._add_low_rank",
        "lib.adapters.saved.load_adapter",
        "lib.adapters.lora.attach",
        "lib.adapters.lora_layer.LoraLayer",
    ),
    misconceptions=(
        Misconception(
            "no_scale",
            _with_scale(lambda A, B, alpha: 1),
            "You add BA without a scale. The update is scaled by α/r.",
        ),
        Misconception(
            "alpha_alone",
            _with_scale(lambda A, B, alpha: alpha),
            "You scale by α; divide α by the rank, which is the number of rows of A.",
        ),
        Misconception(
            "alpha_times_rank",
            _with_scale(lambda A, B, alpha: alpha * A.shape[0]),
            "You multiply α by the rank. The scale is α/r: the more columns B has, the less each counts.",
        ),
        Misconception(
            "square_root",
            _with_scale(lambda A, B, alpha: alpha / A.shape[0] ** 0.5),
            "α/√r is rsLoRA's scale (Kalajdzievski 2023). Hu et al. divide by r itself.",
        ),
        Misconception(
            "integer_division",
            _with_scale(lambda A, B, alpha: alpha // A.shape[0]),
            "You divide α by r with //, which drops the fraction: the scale need not be a whole number.",
        ),
        Misconception(
            "rank_from_the_inputs",
            _with_scale(lambda A, B, alpha: alpha / A.shape[1]),
            "You divide by the number of inputs. A is r × inputs: which of its two sizes is the rank?",
        ),
        Misconception(
            "rank_from_the_outputs",
            _with_scale(lambda A, B, alpha: alpha / B.shape[0]),
            "You divide by the number of outputs. B is outputs × r: which of its two sizes is the rank?",
        ),
        Misconception(
            "alpha_ignored",
            _with_scale(lambda A, B, alpha: 1 / A.shape[0]),
            "You divide by the rank but leave out α, by which the update is multiplied.",
        ),
        Misconception(
            "whole_alpha",
            _with_scale(lambda A, B, alpha: int(alpha) / A.shape[0]),
            "You make α a whole number. It may be any number above 0, such as 0.5.",
        ),
        Misconception(
            "rank_of_the_product",
            _with_scale(lambda A, B, alpha: alpha / torch.linalg.matrix_rank(B @ A)),
            "You divide by the rank of the matrix BA, which is 0 at the start. r is how many rows A has.",
        ),
        Misconception(
            "rank_of_A",
            _with_scale(lambda A, B, alpha: alpha / torch.linalg.matrix_rank(A)),
            "You divide by the rank of the matrix A, which falls when rows are alike. r is how many rows A has.",
        ),
        Misconception(
            "scaled_twice",
            _with_scale(lambda A, B, alpha: (alpha / A.shape[0]) ** 2),
            "The scale stands at both factors, so their product has its square. Scale one of the two.",
        ),
        Misconception(
            "squeezed",
            lambda *inputs: lora_forward(*inputs).squeeze(),
            "Your result loses a dimension where the batch has one row. One row is a batch too: (1, d).",
        ),
        Misconception(
            "scales_everything",
            lambda x, weight, A, B, alpha: alpha / A.shape[0] * (x @ weight.T + x @ A.T @ B.T),
            "You also scale the frozen part. W0 stays unchanged; α/r applies only to BA.",
        ),
        Misconception(
            "update_only",
            lambda x, weight, A, B, alpha: alpha / A.shape[0] * (x @ A.T @ B.T),
            "W0 is missing. The outputs of the frozen layer and of the update are summed.",
        ),
        Misconception(
            "base_only",
            lambda x, weight, A, B, alpha: x @ weight.T,
            "That is only the frozen layer, which is right as long as B is zero.",
        ),
        Misconception(
            "detached",
            lambda *inputs: lora_forward(*inputs).detach(),
            DETACHED,
        ),
        Misconception(
            "A_cut_off",
            lambda x, weight, A, B, alpha: x @ weight.T + alpha / A.shape[0] * (x @ A.T).detach() @ B.T,
            "The outputs are right, but no gradient comes back to A: what A makes of x is cut off. Only W0 is frozen.",
        ),
        Misconception(
            "x_cut_off",
            lambda x, weight, A, B, alpha: x @ weight.T + alpha / A.shape[0] * (x.detach() @ A.T @ B.T),
            "The gradient of x lacks the way through A and B: the update reads an x that is cut off.",
        ),
        Misconception(
            "frozen_path_cut_off",
            _frozen_path_cut_off,
            "The gradient of x lacks the way through W0. W0 is frozen, but the layers below it learn through it: only its own "
            "gradient may be left out.",
        ),
        Misconception(
            "merged_in_place",
            _merged_in_place,
            "You add the update to W0 itself, so the next call would add it once more. The given matrix stays as it is.",
        ),
        Misconception(
            "merged_into_data",
            _merged_into_data,
            "You write the update into W0's data: the next call would add it once more, and A and B get no gradient.",
        ),
        Misconception(
            "update_cut_off",
            lambda x, weight, A, B, alpha: x @ weight.T + (alpha / A.shape[0] * x @ A.T @ B.T).detach(),
            "The outputs are right, but the update is cut off from A and B, which are what is trained. W0 is frozen.",
        ),
    ),
    hints=(
        "Two paths read the same x: through W0, and through A and then B. Their outputs are added.",
        "x @ A.T has one column per rank; the scale α/r can be applied to this small matrix.",
    ),
)


EXERCISES = (FORWARD, TUNE)
