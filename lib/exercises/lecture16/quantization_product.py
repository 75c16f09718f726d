"""Exercise of notebook 16: the product of two matrices of eight-bit integers; an exercise of `quantization`."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- quantization.int8_product ----------------------------------------------------------------------------------------
def int8_product(
    x_q: Int[Tensor, "N K"], x_scale: Float[Tensor, "N 1"], w_q: Int[Tensor, "M K"], w_scale: Float[Tensor, "M 1"]
) -> Float[Tensor, "N M"]:
    """x Wᵀ from integers: sums in 32 bits, then the scales of both sides (Dettmers et al. 2022, equation 5)."""
    sums = x_q.to(torch.int32) @ w_q.to(torch.int32).T
    return sums.to(torch.float32) * x_scale * w_scale.T


def wrapped(sums, bits):
    """Whole numbers wrapped around to so many bits."""
    return (sums + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def _products(generator):
    def draw(N, M, K):
        integers = [torch.randint(-127, 128, (rows, K), generator=generator, dtype=torch.int8) for rows in (N, M)]
        scales = [torch.rand(rows, 1, generator=generator) + 0.1 for rows in (N, M)]
        return integers[0], scales[0], integers[1], scales[1]

    full = torch.full((2, 2000), 127, dtype=torch.int8)
    full[1] = -127
    zeros = draw(3, 2, 6)
    zeros[0][1], zeros[1][1] = 0, 0.0
    silent = draw(3, 2, 6)  # a scale of 0 makes zeros of all integers
    silent[1][2], silent[3][0] = 0.0, 0.0
    small = draw(2, 3, 9)
    small[1][0], small[1][1], small[3][:] = 3e-12, 2e-9, small[3] * 1e7
    return [
        case("3 rows, 4 outputs, 5 features", *draw(3, 4, 5)),
        case("as many rows as outputs", *draw(3, 3, 8)),
        case("one row", *draw(1, 2, 16)),
        case("sums far beyond 127", *draw(2, 2, 64)),
        case("sums of thirty million", full, torch.tensor([[0.2], [0.5]]), full[:1], torch.tensor([[0.3]])),
        case("a row of zeros, whose scale is 0", *zeros),
        case("one output", *draw(4, 1, 7)),
        case("scales of 0 with other integers", *silent),
        case("a very small scale and a large one", *small),
    ]


def _sums(x_q, w_q):
    return (x_q.long() @ w_q.long().T).double()


PRODUCT = Exercise(
    id="quantization.int8_product",
    tolerance=Tolerance(
        atol=0.01
    ),  # float32 adds thousands that nearly cancel; dequantising first has more rounding error
    slides=("T03", "T48"),
    points=3,
    minutes=10,
    title="Multiplying integers",
    reference=int8_product,
    cases=_products,
    accepts=(
        lambda x_q, x_scale, w_q, w_scale: (x_q.float() * x_scale) @ (w_q.float() * w_scale).T,
        lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q) * torch.outer(x_scale[:, 0], w_scale[:, 0]),
    ),
    withheld=(
        "lib.kernels.int8.dequantize",
        "lib.kernels.int8.int8_matmul",
        "lib.kernels.int8.integer_matmul",
        "lib.kernels.int8._float_product",
        "lib.kernels.int8._padded_product",
    ),
    misconceptions=(
        Misconception(
            "sums_in_eight_bits",
            lambda x_q, x_scale, w_q, w_scale: wrapped(_sums(x_q, w_q), 8) * x_scale * w_scale.T,
            "Your sums are kept in eight bits and wrap around. Widen the integers before you multiply: a single "
            "product may be 16,129.",
        ),
        Misconception(
            "sums_in_sixteen_bits",
            lambda x_q, x_scale, w_q, w_scale: wrapped(_sums(x_q, w_q), 16) * x_scale * w_scale.T,
            "Sixteen bits hold two products of 127 · 127, not a sum of many: the sums need 32 bits.",
        ),
        Misconception(
            "scales_not_turned",
            lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q) * (x_scale * w_scale),
            "The weight's scales belong to the outputs, which are the columns of the result: turn (M, 1) into (1, M).",
        ),
        Misconception(
            "one_scale_for_the_weight",
            lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q) * x_scale * w_scale.max(),
            "You use the largest scale of the weight for all of its rows. Each output has the scale of its own row.",
        ),
        Misconception(
            "sums_in_half_precision",
            lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q).half() * x_scale * w_scale.T,
            "float16 ends at 65,504 and has 11 bits: the sums need 32 bits, as whole or as decimal numbers.",
        ),
        Misconception(
            "scales_added",
            lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q) * (x_scale + w_scale.T),
            "You add the scales, but (s q)(t p) = s t q p: multiply them.",
        ),
        Misconception(
            "only_x",
            lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q) * x_scale,
            "You dequantise only x; the weight's integers have a scale as well.",
        ),
        Misconception(
            "only_w",
            lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q) * w_scale.T,
            "You dequantise only the weight; each row of x has its own scale too.",
        ),
        Misconception(
            "no_scale",
            lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q),
            "These are the integer sums. Multiply by the scales to get x Wᵀ.",
        ),
        Misconception(
            "products_in_eight_bits",
            lambda x_q, x_scale, w_q, w_scale: (
                wrapped(x_q.long()[:, None] * w_q.long(), 8).sum(dim=-1) * x_scale * w_scale.T
            ),
            "Your sum is wide, but each product was made in eight bits and wrapped around. Widen before you multiply.",
        ),
        Misconception(
            "sums_clipped",
            lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q).clamp(-32768, 32767) * x_scale * w_scale.T,
            "You clip the sums at 16 bits. They may be in the millions: keep 32 bits.",
        ),
        Misconception(
            "scales_exchanged",
            lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q) * (w_scale * x_scale.T),
            "You turned x's scales. x's rows are the rows of the result: (N, 1) as it is, and (1, M) for the weight.",
        ),
        Misconception(
            "weight_not_turned",
            lambda x_q, x_scale, w_q, w_scale: (x_q.double() @ w_q.double()) * x_scale * w_scale.T,
            "W has a row for each output, (M, K). The product x Wᵀ needs its transpose.",
        ),
        Misconception(
            "x_scaled_twice",
            lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q) * x_scale**2 * w_scale.T,
            "x's scale is in your result twice.",
        ),
        Misconception(
            "mean_scales",
            lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q) * x_scale.mean() * w_scale.mean(),
            "You use the mean of the scales. Each row was rounded with its own.",
        ),
        Misconception(
            "zero_scales_replaced",
            lambda x_q, x_scale, w_q, w_scale: (
                _sums(x_q, w_q) * torch.where(x_scale == 0, 1, x_scale) * torch.where(w_scale == 0, 1, w_scale).T
            ),
            "You replace scales of 0. Nothing is divided here: a scale of 0 says that the row is 0.",
        ),
        Misconception(
            "smallest_scale",
            lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q) * x_scale.clamp(min=1e-8) * w_scale.clamp(min=1e-8).T,
            "You keep the scales above an ε. Nothing is divided here, and a scale may be as small as it likes.",
        ),
        Misconception(
            "divided",
            lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q) / (x_scale * w_scale.T),
            "You divide by the scales. Quantising divides by them, dequantising multiplies.",
        ),
        Misconception(
            "one_scale_for_all",
            lambda x_q, x_scale, w_q, w_scale: _sums(x_q, w_q) * x_scale.max() * w_scale.max(),
            "You use one scale for the whole matrix. Each row of x, and each row of the weight, was rounded with its "
            "own.",
        ),
    ),
    hints=(
        "First the sums of products of integers, in int32; then scales of shape (N, 1) and (1, M).",
        "w_scale has shape (M, 1): its transpose broadcasts along the outputs.",
    ),
)
