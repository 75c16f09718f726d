"""Merging a low-rank update, and its number of trained parameters: two exercises of `lora`."""

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- lora.merged ------------------------------------------------------------------------------------------------------
def merged_weight(
    weight: Float[Tensor, "O I"], A: Float[Tensor, "R I"], B: Float[Tensor, "O R"], alpha: float | int
) -> Float[Tensor, "O I"]:
    """W0 + α/r BA: one matrix that gives the same output as both paths (slide W27)."""
    return weight + alpha / A.shape[0] * B @ A


def _weights(generator):
    def draw(out, width, rank):
        return [torch.randn(*shape, generator=generator) for shape in ((out, width), (rank, width), (out, rank))]

    return [
        case("4 by 5, rank 2", *draw(4, 5, 2), 6.0),
        case("a square matrix, rank 3", *draw(4, 4, 3), 1.0),
        case("a square matrix, rank 4", *draw(4, 4, 4), 2.0),
        case("rank 1", *draw(3, 2, 1), 4.0),
        case("alpha a whole number, and no multiple of the rank", *draw(5, 3, 2), 5),
    ]


def _only_square(wrong):
    """`wrong` where its shapes allow it, else the right answer: a mistake that appears only with square matrices."""

    def answer(weight, A, B, alpha):
        made = wrong(A, B)
        right = merged_weight(weight, A, B, alpha)
        return weight + alpha / A.shape[0] * made if made is not None else right

    return answer


MERGED = Exercise(
    id="lora.merged",
    slides=("W27", "T47"),
    points=2,
    minutes=6,
    title="Merge an update into its weight",
    reference=merged_weight,
    cases=_weights,
    accepts=(
        lambda weight, A, B, alpha: torch.addmm(weight, B, A, alpha=alpha / A.shape[0]),
        lambda weight, A, B, alpha: weight + sum(torch.outer(B[:, r], A[r]) for r in range(len(A))) * (alpha / len(A)),
    ),
    withheld=(
        "lib.adapters.lora_layer._with_low_rank",
        "lib.adapters.lora_layer._add_product",
        "lib.adapters.lora.inject_lora",
        "lib.adapters.lora.weight_changes",
        "lib.adapters.merging.merge",
        "lib.adapters.saved.load_adapter",
        "lib.adapters.lora.attach",
        "lib.adapters.lora_layer.LoraLayer",
        "lib.adapters.lora_layer._LowRankProduct",
        "lib.adapters.lora_layer._add_low_rank",
    ),
    misconceptions=(
        Misconception(
            "no_scale",
            lambda weight, A, B, alpha: weight + B @ A,
            "The merged matrix must give the same output as the two paths: it includes the scale α/r of BA.",
        ),
        Misconception(
            "alpha_alone",
            lambda weight, A, B, alpha: weight + alpha * B @ A,
            "You scale by α and forget to divide by the rank.",
        ),
        Misconception(
            "subtracted",
            lambda weight, A, B, alpha: weight - alpha / A.shape[0] * B @ A,
            "You subtract the update: that is how a merged update is removed again.",
        ),
        Misconception(
            "update_only",
            lambda weight, A, B, alpha: alpha / A.shape[0] * B @ A,
            "That is ΔW. The merged weight is W0 + ΔW.",
        ),
        Misconception(
            "base_scaled",
            lambda weight, A, B, alpha: alpha / A.shape[0] * (weight + B @ A),
            "You scale W0 too. α/r belongs to the update alone.",
        ),
        Misconception(
            "integer_division",
            lambda weight, A, B, alpha: weight + alpha // A.shape[0] * B @ A,
            "You divide with //, which drops the fraction: α/r need not be a whole number.",
        ),
        Misconception(
            "rank_from_the_inputs",
            lambda weight, A, B, alpha: weight + alpha / A.shape[1] * B @ A,
            "You divide by the number of inputs. A is r × inputs: which of its two sizes is the rank?",
        ),
        Misconception(
            "rank_from_the_outputs",
            lambda weight, A, B, alpha: weight + alpha / B.shape[0] * B @ A,
            "You divide by the number of outputs. B is outputs × r: which of its two sizes is the rank?",
        ),
        Misconception(
            "for_rows_times_M",
            lambda weight, A, B, alpha: (weight + alpha / A.shape[0] * B @ A).T,
            "Your whole matrix is transposed: it is meant for x M. The exercise asks for x Mᵀ, the orientation of W0.",
        ),
        Misconception(
            "transposed_update",
            _only_square(lambda A, B: (B @ A).T if A.shape[1] == B.shape[0] else None),
            "On a square matrix your update is transposed: B is outputs by rank, A is rank by inputs, so BA already "
            "has the "
            "orientation of W0.",
        ),
        Misconception(
            "order_of_factors",
            _only_square(lambda A, B: A @ B if A.shape[0] == A.shape[1] == B.shape[0] else None),
            "You multiply A by B. If all sizes are equal there is no error, but the update is BA.",
        ),
    ),
    hints=("Write x W0ᵀ + s x Aᵀ Bᵀ as x Mᵀ to find M.", "The scale is alpha / A.shape[0]."),
)


# --- lora.trained -----------------------------------------------------------------------------------------------------
def trained_by_lora(num_layers: int, d_model: int, rank: int, matrices: int) -> int:
    """2 r D for each of `matrices` square matrices in each layer (slides W27, W28)."""
    return num_layers * matrices * 2 * rank * d_model


def _shapes(generator):
    layers, blocks, rank, matrices, more = torch.randint(1, 60, (5,), generator=generator).tolist()
    return [
        case("GPT-3, r = 1 on query and value", 96, 12_288, 1, 2),
        case("GPT-3, r = 8 on query and value", 96, 12_288, 8, 2),
        case("GPT-2, r = 4 on all four", 12, 768, 4, 4),
        case("one layer, one matrix, rank 1", 1, 10, 1, 1),
        case("a small layer of odd width", 1, 49, 1, 1),
        case("three matrices of odd width", 7, 1001, 5, 3),
        case("a rank above the number of layers", 2, 64, 16, 3),
        case("a random model, all four matrices", layers, 64 * blocks, rank, 4),
        case("another random model", layers + 12, 128 * more, 8, 1 + matrices % 4),
    ]


TRAINED = Exercise(
    id="lora.trained",
    slides=("W28", "W27"),
    points=2,
    minutes=6,
    title="Parameters that LoRA trains: 4.7M and 37.7M",
    reference=trained_by_lora,
    cases=_shapes,
    accepts=(
        lambda num_layers, d_model, rank, matrices: sum(
            rank * (d_model + d_model) for _ in range(num_layers * matrices)
        ),
    ),
    withheld=(
        "lib.accounting.peft.adapter_parameters",
        "lib.accounting.peft.low_rank_parameters",
        "lib.adapters.freezing.count_trainable",
        "lib.models.count.count_parameters",
    ),
    misconceptions=(
        Misconception(
            "one_factor",
            lambda num_layers, d_model, rank, matrices: num_layers * matrices * rank * d_model,
            "You count A or B. Both are trained: r·D numbers each.",
        ),
        Misconception(
            "one_matrix_a_layer",
            lambda num_layers, d_model, rank, matrices: num_layers * 2 * rank * d_model,
            "You leave out `matrices`: each adapted matrix of a layer has its own A and B (Hu et al.'s GPT-2 rows "
            "adapt two).",
        ),
        Misconception(
            "always_two_matrices",
            lambda num_layers, d_model, rank, matrices: num_layers * 2 * 2 * rank * d_model,
            "You always count query and value. How many matrices of a layer are adapted is what `matrices` says.",
        ),
        Misconception(
            "through_a_share",
            lambda num_layers, d_model, rank, matrices: int(2 * rank / d_model * d_model**2 * num_layers * matrices),
            "You go through a quotient of floats and cut off the rest, which may lose 1: multiply whole numbers.",
        ),
        Misconception(
            "full_matrix",
            lambda num_layers, d_model, rank, matrices: num_layers * matrices * d_model**2,
            "D² is the number that full fine-tuning trains per matrix. LoRA's number depends on the rank.",
        ),
        Misconception(
            "rank_squared",
            lambda num_layers, d_model, rank, matrices: num_layers * matrices * 2 * rank**2 * d_model,
            "The ranks of A and B are added, not multiplied.",
        ),
        Misconception(
            "one_layer",
            lambda num_layers, d_model, rank, matrices: matrices * 2 * rank * d_model,
            "You count one layer; every layer has its own factors.",
        ),
        Misconception(
            "frozen_too",
            lambda num_layers, d_model, rank, matrices: num_layers * matrices * (d_model**2 + 2 * rank * d_model),
            "You count W0 too. It is frozen: only A and B are trained.",
        ),
    ),
    hints=("A is r × D and B is D × r.", "For GPT-3 with r = 1 on query and value the answer is 4,718,592."),
)
