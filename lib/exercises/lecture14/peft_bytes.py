"""An exercise of `peft`: the bytes of QLoRA."""

import math
from collections.abc import Sequence

import torch

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- peft.qlora_bytes -------------------------------------------------------------------------------------------------
def qlora_bytes(total: int, shapes: Sequence[tuple[int, int]], rank: int) -> tuple[int, float, float]:
    """Trained numbers, bytes of the frozen base, bytes of what is trained (Dettmers et al. 2023, section 3).

    Base: 4 bits each, one 8-bit scale per 64 of them, one 32-bit number per 256 scales. Trained: 2 bytes each for
    the number and its gradient, and 8 for Adam's two moments.
    """
    trained = sum(rank * (d + k) for d, k in shapes)
    return trained, total * (4 + 8 / 64 + 32 / (64 * 256)) / 8, 12.0 * trained


def _bytes(total, shapes, rank, *, bits=4 + 8 / 64 + 32 / (64 * 256), each=12.0, count=None):
    trained = sum(rank * (d + k) for d, k in shapes) if count is None else count(shapes, rank)
    return trained, total * bits / 8, each * trained


def _bytes_of(total, shapes, rank, sign):
    more = sum(rank * (d + k) for d, k in shapes) if sign > 0 else -sum(d * k for d, k in shapes)
    return (_bytes(total, shapes, rank)[0], *_bytes(total + more, shapes, rank)[1:])


def _in_blocks(total, shapes, rank, whole):
    scales = whole(total / 64)
    trained, _, each = _bytes(total, shapes, rank)
    return trained, total / 2 + scales + 4 * whole(scales / 256), each


def _whole(trained, base, each):
    return trained, int(base), each


def _models(generator):
    blocks, rank = torch.randint(2, 40, (2,), generator=generator).tolist()
    return [
        case("one square matrix, rank 2", 4096 * 16, [(64, 64)], 2),
        case("queries and values of a 7B model, r = 16", 6_738_415_616, [(4096, 4096)] * 64, 16),
        case("a matrix that is not square", 2**20, [(256, 1024)], 4),
        case("four matrices of two shapes", 2**22, [(512, 512), (512, 128), (128, 512), (512, 512)], 8),
        case("rank 1", 2**16, [(40, 30), (30, 50)], 1),
        case("no whole number of blocks, and a matrix narrower than the rank", 100_003, [(8, 40), (24, 40)], 16),
        case("a random model", 64 * 256 * blocks, [(128 * blocks, 64)] * blocks, rank),
    ]


def _mistake(name, hint, **switches):
    return Misconception(name, lambda total, shapes, rank: _bytes(total, shapes, rank, **switches), hint)


QLORA = Exercise(
    id="peft.qlora_bytes",
    slides=("W28", "T47"),
    points=4,
    minutes=15,
    title="A 7B model on one small GPU?",
    reference=qlora_bytes,
    cases=_models,
    tolerance=Tolerance(rtol=1e-6, atol=0.0),
    accepts=(
        lambda total, shapes, rank: [
            rank * sum(map(sum, shapes)),
            total / 2 + total / 64 + total / 64 / 256 * 4,
            (2 + 2 + 4 + 4) * rank * sum(sum(shape) for shape in shapes),
        ],
    ),
    withheld=(
        "lib.accounting.peft.adapter_parameters",
        "lib.accounting.peft.low_rank_parameters",
        "lib.accounting.peft.qlora_base_bytes",
    ),
    misconceptions=(
        _mistake("no_scales", "You count the 4 bits alone. The scales, and the numbers that scale them, come on top.", bits=4),
        _mistake(
            "no_second_level",
            "The 32-bit numbers are missing, one for each 256 scales.",
            bits=4 + 8 / 64,
        ),
        _mistake(
            "not_quantized_twice",
            "You count a scale of 32 bits for each 64 weights. With double quantization a scale has 8 bits, and 256 of them "
            "share one number of 32.",
            bits=4 + 32 / 64,
        ),
        _mistake("scales_of_32_bits", "You count a scale with 32 bits. It has 8 here; 256 of them share one number of 32.",
                 bits=4 + 32 / 64 + 32 / (64 * 256)),
        _mistake("scales_of_8_bytes", "You count a scale with 8 bytes. It has 8 bits.", bits=4 + 64 / 64 + 32 / (64 * 256)),
        Misconception("adapted_left_out", lambda total, shapes, rank: _bytes_of(total, shapes, rank, -1),
                      "You leave the adapted matrices out of the base. They stay in it, frozen; A and B come on top."),
        Misconception("adapters_in_the_base", lambda total, shapes, rank: _bytes_of(total, shapes, rank, 1),
                      "You count A and B as part of the 4-bit base. They are trained, and counted with what is trained."),
        Misconception("whole_blocks", lambda total, shapes, rank: _in_blocks(total, shapes, rank, math.floor),
                      "You count whole blocks of 64 and of 256 only. A fraction may remain: don't round."),
        Misconception("blocks_rounded_up", lambda total, shapes, rank: _in_blocks(total, shapes, rank, math.ceil),
                      "You round the number of scales up. A fraction may remain here: don't round."),
        Misconception("whole_bytes", lambda total, shapes, rank: _whole(*_bytes(total, shapes, rank)),
                      "You round the bytes of the base. A fraction of a byte may remain: don't round."),
        _mistake(
            "second_level_per_weights",
            "You count one 32-bit number per 256 weights. It is one per 256 scales, and a scale serves 64 weights.",
            bits=4 + 8 / 64 + 32 / 256,
        ),
        _mistake(
            "bits_for_bytes", "Your base is counted in bits. A byte has 8.", bits=8 * (4 + 8 / 64 + 32 / (64 * 256))
        ),
        _mistake("sixteen_bits", "You count the base with 16 bits per weight: that is LoRA, not QLoRA.", bits=16),
        _mistake("scales_of_a_byte_as_bits", "A scale has 8 bits, not one.", bits=4 + 1 / 64 + 4 / (64 * 256)),
        _mistake(
            "weights_alone",
            "You count the trained numbers alone (2 bytes each). Their gradients and Adam's two moments are in memory too.",
            each=2.0,
        ),
        _mistake("no_moments", "Adam's two moments are missing: 4 bytes each.", each=4.0),
        _mistake("one_moment", "Adam has two moments, 4 bytes each.", each=8.0),
        _mistake("no_gradient", "The gradients of the trained numbers are missing, 2 bytes each.", each=10.0),
        _mistake("all_in_fp32", "Numbers and gradients of the adapter have 2 bytes here, not 4.", each=16.0),
        _mistake("one_factor", "You count A or B alone: a matrix of d by k has r · k and d · r numbers.",
                 count=lambda shapes, rank: sum(rank * k for d, k in shapes)),
        _mistake("the_other_factor", "You count B alone. A has numbers too: r for each input.",
                 count=lambda shapes, rank: sum(rank * d for d, k in shapes)),
        _mistake("product_of_the_sides", "You count r · d · k. The two factors have r · k and d · r numbers: r (d + k).",
                 count=lambda shapes, rank: sum(rank * d * k for d, k in shapes)),
        _mistake("full_matrices", "You count the matrices themselves, d · k. LoRA trains two thin ones beside each.",
                 count=lambda shapes, rank: sum(d * k for d, k in shapes)),
        _mistake("first_matrix_only", "You count the first matrix only. All of `shapes` are adapted.",
                 count=lambda shapes, rank: rank * sum(shapes[0])),
        _mistake("last_matrix_only", "You count the last matrix only. All of `shapes` are adapted.",
                 count=lambda shapes, rank: rank * sum(shapes[-1])),
        _mistake("first_times_number", "You take all matrices for as large as the first. Each has its own d and k.",
                 count=lambda shapes, rank: rank * sum(shapes[0]) * len(shapes)),
        _mistake("each_shape_once", "You count each shape once. Matrices of the same shape are adapted one by one.",
                 count=lambda shapes, rank: rank * sum(map(sum, set(shapes)))),
        _mistake("rank_cut", "You cut the rank where a matrix is narrower. A has r rows and B r columns all the same.",
                 count=lambda shapes, rank: sum(min(rank, d, k) * (d + k) for d, k in shapes)),
        _mistake("as_if_square", "You count 2 r d, which is right for square matrices only. It is r (d + k).",
                 count=lambda shapes, rank: sum(2 * rank * d for d, k in shapes)),
    ),
    hints=(
        "A matrix of d by k gets A with r rows of k numbers, and B with d rows of r numbers.",
        "How many bits does one weight of the base take, when its share of the scale, and of the number that scales "
        "the scale, is added to its own 4?",
        "What is trained has four things in memory for each number: itself, its gradient, and two moments.",
    ),
)  # fmt: skip
