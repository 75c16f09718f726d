"""Exercises of notebook 16: rounding to eight bits, multiplying integers, a linear layer with outliers.

The last one is in `quantization_outliers`.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture16.quantization_outliers import OUTLIERS


# --- quantization.absmax ----------------------------------------------------------------------------------------------
def absmax(x: Float[Tensor, "K"]) -> tuple[Int[Tensor, "K"], float]:
    """Integers round(x / s) and their scale s = max|x| / 127; zeros and scale 0 for zeros (T03's LLM.int8())."""
    scale = x.abs().max().item() / 127
    values = torch.round(x / scale) if scale else torch.zeros_like(x)
    return values.to(torch.int64), scale


def _vector(*steps, step):
    """Numbers so many steps large; 127 of them, with a step that is a power of two, have an exact scale."""
    return torch.tensor(steps) * step


def _drawn(K, generator):
    """K steps that no answer may round either way, for they are not half-way between two integers; the first is 127."""
    steps = torch.randint(-126, 127, (K,), generator=generator) + 0.2 + 0.2 * torch.rand(K, generator=generator)
    return [127.0, *steps[1:].tolist()]


def _vectors(generator):
    return [
        case("five numbers", _vector(30.4, -127, 89.6, 2.2, -50.3, step=1 / 64)),
        case("the largest is negative", _vector(31.7, -127, 79.3, step=1 / 32)),
        case(
            "random numbers",
            _vector(*_drawn(12, generator), step=2.0 ** -int(torch.randint(9, (1,), generator=generator))),
        ),
        case("one number", _vector(-127.0, step=1 / 128)),
        case("nothing but zeros", torch.zeros(4)),
        case("one outlier", _vector(1.1, 127, -0.8, 0.4, step=1 / 2)),
        case("very small numbers", _vector(40.3, -127, 93.6, step=2.0**-60)),
        case("very large numbers", _vector(-40.3, 93.6, 127, step=2.0**90)),
        case("negative numbers only", _vector(-25.6, -127, -76.8, step=1 / 128)),
    ]


def _with(values, scale_of):
    """An answer whose scale is `scale_of(x)` and whose integers are `values(x, scale)`."""

    def answer(x):
        scale = scale_of(x)
        made = values(x, scale) if scale else torch.zeros_like(x)
        return made.to(torch.int64), float(scale)

    return answer


def _with_scale(scale_of):
    return _with(lambda x, scale: torch.round(x / scale), scale_of)


def _largest(x):
    return x.abs().max().item()


def _wrapped(sums, bits):
    """Whole numbers wrapped around to so many bits."""
    return (sums + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


ABSMAX = Exercise(
    id="quantization.absmax",
    slides=("T03", "T48"),
    points=3,
    minutes=10,
    title="Absmax quantisation",
    reference=absmax,
    cases=_vectors,
    tolerance=Tolerance(atol=0.0),  # of the scale, which may be very small
    accepts=(
        _with(lambda x, s: (x * (127 / _largest(x))).round(), lambda x: _largest(x) / 127),
        _with(
            lambda x, s: torch.clamp(torch.round(x / s), -127, 127),
            lambda x: torch.linalg.vector_norm(x, torch.inf).item() / 127,
        ),
    ),
    withheld=(
        "lib.kernels.grouped.quantize_groups",
        "lib.kernels.int8.absmax_round",
        "lib.kernels.int8.quantize_absmax",
    ),
    misconceptions=(
        Misconception(
            "largest_not_absolute",
            _with(lambda x, s: torch.round(x / s), lambda x: x.max().item() / 127),
            "Your scale comes from the largest number, not from the largest absolute value: |−4| is larger than |2.5|.",
        ),
        Misconception(
            "divides_by_128",
            _with(lambda x, s: torch.round(x / s), lambda x: _largest(x) / 128),
            "With 128 the largest number becomes +128, but signed eight-bit integers end at 127.",
        ),
        Misconception(
            "wraps_to_minus_128",
            _with(lambda x, s: _wrapped(torch.round(x / s), 8), lambda x: _largest(x) / 128),
            "With 128 a positive largest number becomes 128, which eight bits turn into −128. Divide by 127.",
        ),
        Misconception(
            "clipped_at_127",
            _with(lambda x, s: torch.round(x / s).clamp(-128, 127), lambda x: _largest(x) / 128),
            "With 128 a positive largest number has to be clipped, and −128 has no counterpart: use −127 to 127.",
        ),
        Misconception(
            "smallest_scale",
            _with_scale(lambda x: max(_largest(x) / 127, 1e-8)),
            "With an ε in your scale very small numbers vanish, and zeros do not have the scale 0.0.",
        ),
        Misconception(
            "smallest_maximum",
            _with_scale(lambda x: max(_largest(x), 1e-8) / 127),
            "With an ε in the maximum, zeros have a scale that is not 0.0, and very small numbers are not stretched to 127.",
        ),
        Misconception(
            "tiny_epsilon",
            _with_scale(lambda x: max(_largest(x) / 127, 1e-12)),
            "However small your ε is, there are smaller numbers, and zeros have the scale 0.0. Ask for zeros instead.",
        ),
        Misconception(
            "from_the_range",
            _with_scale(lambda x: (x.max() - x.min()).item() / 255 or 0.0),
            "Your scale comes from the range, max − min. Absmax is symmetric: only the largest absolute value counts.",
        ),
        Misconception(
            "divides_by_255",
            _with(lambda x, s: torch.round(x / s), lambda x: 2 * _largest(x) / 255),
            "255 steps over the whole range is zero-point quantisation. Absmax is symmetric: max|x| becomes ±127.",
        ),
        Misconception(
            "floor",
            _with(lambda x, s: torch.floor(x / s), lambda x: _largest(x) / 127),
            "You round down. Rounding to the nearest integer halves the largest error and does not shift all values "
            "down.",
        ),
        Misconception(
            "cut_off",
            _with(lambda x, s: torch.trunc(x / s), lambda x: _largest(x) / 127),
            "You truncate the fraction, as a cast does. Round first.",
        ),
        Misconception(
            "inverse_scale",
            lambda x: (absmax(x)[0], 127 / _largest(x) if _largest(x) else 0.0),
            "You return 127/max|x|, the factor for quantising. The scale is the factor for dequantising: x ≈ s·q.",
        ),
        Misconception(
            "largest_as_scale",
            lambda x: (absmax(x)[0], _largest(x)),
            "You return max|x|. The scale is one integer step, max|x| / 127.",
        ),
    ),
    hints=(
        "scale = x.abs().max() / 127, integers = round(x / scale).",
        "If every number is 0 the scale is 0, and 0/0 is NaN: treat this vector separately.",
    ),
)


# --- quantization.int8_product ----------------------------------------------------------------------------------------
def int8_product(
    x_q: Int[Tensor, "N K"], x_scale: Float[Tensor, "N 1"], w_q: Int[Tensor, "M K"], w_scale: Float[Tensor, "M 1"]
) -> Float[Tensor, "N M"]:
    """x Wᵀ from integers: sums in 32 bits, then the scales of both sides (Dettmers et al. 2022, equation 5)."""
    sums = x_q.to(torch.int32) @ w_q.to(torch.int32).T
    return sums.to(torch.float32) * x_scale * w_scale.T


def _products(generator):
    def draw(N, M, K):
        integers = [torch.randint(-127, 128, (rows, K), generator=generator, dtype=torch.int8) for rows in (N, M)]
        scales = [torch.rand(rows, 1, generator=generator) + 0.1 for rows in (N, M)]
        return integers[0], scales[0], integers[1], scales[1]

    full = torch.full((2, 2000), 127, dtype=torch.int8)
    full[1] = -127
    zeros = draw(3, 2, 6)
    zeros[0][1], zeros[1][1] = 0, 0.0
    return [
        case("3 rows, 4 outputs, 5 features", *draw(3, 4, 5)),
        case("as many rows as outputs", *draw(3, 3, 8)),
        case("one row", *draw(1, 2, 16)),
        case("sums far beyond 127", *draw(2, 2, 64)),
        case("sums of thirty million", full, torch.tensor([[0.2], [0.5]]), full[:1], torch.tensor([[0.3]])),
        case("a row of zeros, whose scale is 0", *zeros),
        case("one output", *draw(4, 1, 7)),
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
            lambda x_q, x_scale, w_q, w_scale: _wrapped(_sums(x_q, w_q), 8) * x_scale * w_scale.T,
            "Your sums are kept in eight bits and wrap around. Widen the integers before you multiply: a single "
            "product may be 16,129.",
        ),
        Misconception(
            "sums_in_sixteen_bits",
            lambda x_q, x_scale, w_q, w_scale: _wrapped(_sums(x_q, w_q), 16) * x_scale * w_scale.T,
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

EXERCISES = (ABSMAX, PRODUCT, OUTLIERS)
