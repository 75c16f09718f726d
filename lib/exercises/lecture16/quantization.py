"""Exercises of notebook 16: rounding to eight bits, multiplying integers, finding outliers."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- quantization.absmax ----------------------------------------------------------------------------------------------
def absmax(x: Float[Tensor, "K"]) -> tuple[Int[Tensor, "K"], float]:
    """Integers round(x / s) and their scale s = max|x| / 127; zeros and scale 0 for zeros (T03's LLM.int8())."""
    scale = x.abs().max().item() / 127
    values = torch.round(x / scale) if scale else torch.zeros_like(x)
    return values.to(torch.int64), scale


def _vectors(generator):
    return [
        case("five numbers", torch.tensor([0.3, -1.27, 0.9, 0.02, -0.5])),
        case("the largest is negative", torch.tensor([1.0, -4.0, 2.5])),
        case("random numbers", torch.randn(12, generator=generator)),
        case("one number", torch.tensor([-0.7])),
        case("nothing but zeros", torch.zeros(4)),
        case("one outlier", torch.tensor([0.5, 60.0, -0.4, 0.2])),
    ]


def _with(values, scale_of):
    """An answer whose scale is `scale_of(x)` and whose integers are `values(x, scale)`."""

    def answer(x):
        scale = scale_of(x)
        made = values(x, scale) if scale else torch.zeros_like(x)
        return made.to(torch.int64), float(scale)

    return answer


def _largest(x):
    return x.abs().max().item()


ABSMAX = Exercise(
    id="quantization.absmax",
    slides=("T03", "T48"),
    points=3,
    minutes=10,
    title="Absmax quantisation",
    reference=absmax,
    cases=_vectors,
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

    return [
        case("3 rows, 4 outputs, 5 features", *draw(3, 4, 5)),
        case("as many rows as outputs", *draw(3, 3, 8)),
        case("one row", *draw(1, 2, 16)),
        case("sums far beyond 127", *draw(2, 2, 64)),
    ]


def _wrapped(sums):
    """Whole numbers wrapped around to eight bits."""
    return ((sums + 128) % 256 - 128).float()


def _sums(x_q, w_q):
    return (x_q.long() @ w_q.long().T).float()


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
            lambda x_q, x_scale, w_q, w_scale: _wrapped(x_q.long() @ w_q.long().T) * x_scale * w_scale.T,
            "Your sums are kept in eight bits and wrap around. Widen the integers before you multiply: a single "
            "product may be 16,129.",
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


# --- quantization.outlier_columns -------------------------------------------------------------------------------------
def outlier_columns(x: Float[Tensor, "N K"], threshold: float | int) -> list[int]:
    """The columns in which some |x| is at least the threshold (Dettmers et al. 2022, section 3.2)."""
    return (x.abs() >= threshold).any(dim=0).nonzero().flatten().tolist()


def _activations(generator):
    calm = torch.randn(4, 6, generator=generator).clamp(-3, 3)
    spiky = calm.clone()
    spiky[1, 4], spiky[2, 0] = 60.0, -7.5
    edge = calm.clone()
    edge[0, 2] = 6.0
    steady = calm.clone()
    steady[:, 1] = torch.tensor([9.0, -8.0, 10.0, 7.0])
    wide = torch.full((2, 5), 5.0)  # each column sums to 10, but has no outlier
    return [
        case("two columns, one of them negative", spiky, 6.0),
        case("exactly the threshold", edge, 6.0),
        case("a column with outliers only", steady, 6.0),
        case("no outlier", calm, 6.0),
        case("a lower threshold", spiky, 1.0),
        case("large rows, no outlier", wide, 6.0),
    ]


def _columns(mask):
    return mask.nonzero().flatten().tolist()


OUTLIERS = Exercise(
    id="quantization.outlier_columns",
    slides=("T03", "T48"),
    points=2,
    minutes=8,
    title="Outlier columns",
    reference=outlier_columns,
    cases=_activations,
    accepts=(
        lambda x, threshold: _columns(x.abs().amax(dim=0) >= threshold),
        lambda x, threshold: [k for k in range(x.shape[1]) if any(abs(v) >= threshold for v in x[:, k].tolist())],
    ),
    withheld=("lib.kernels.int8.outlier_matmul",),
    misconceptions=(
        Misconception(
            "signed",
            lambda x, threshold: _columns((x >= threshold).any(dim=0)),
            "You miss large negative numbers: compare |x| with the threshold.",
        ),
        Misconception(
            "strict",
            lambda x, threshold: _columns((x.abs() > threshold).any(dim=0)),
            "A number equal to the threshold is an outlier too: use >=, not >.",
        ),
        Misconception(
            "rows",
            lambda x, threshold: _columns((x.abs() >= threshold).any(dim=1)),
            "You return rows. Outliers are in columns: features that are large for many tokens and are multiplied "
            "separately.",
        ),
        Misconception(
            "all_of_them",
            lambda x, threshold: _columns((x.abs() >= threshold).all(dim=0)),
            "You select columns in which every number is large. One outlier is enough to spoil the scale of its row.",
        ),
        Misconception(
            "mean",
            lambda x, threshold: _columns(x.abs().mean(dim=0) >= threshold),
            "You compare the mean of a column. A single number determines the scale, not the average.",
        ),
        Misconception(
            "sum",
            lambda x, threshold: _columns(x.abs().sum(dim=0) >= threshold),
            "You compare the sum over a column; many small numbers are not an outlier.",
        ),
    ),
    hints=(
        "Which numbers reach the threshold in absolute value? Then: is there any in this column?",
        "(…).any(dim=0) answers for each column.",
    ),
)

EXERCISES = (ABSMAX, PRODUCT, OUTLIERS)
