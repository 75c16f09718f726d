"""Exercises of notebook 16: rounding to eight bits, multiplying integers, a linear layer with outliers.

The last two are in `quantization_product` and `quantization_outliers`.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture16.quantization_outliers import OUTLIERS
from lib.exercises.lecture16.quantization_product import PRODUCT, wrapped


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
        case("very small numbers", _vector(40.3, -127, 93.6, step=2.0**-118)),
        case("very large numbers", _vector(-40.3, 93.6, 127, step=2.0**120)),
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
            "largest_clamped",
            _with(lambda x, s: torch.round(x / s).clamp(-127, 127), lambda x: x.max().item() / 127),
            "Your scale comes from the largest number, so a larger negative one is clipped at −127. Take max|x|.",
        ),
        Misconception(
            "largest_number_of_zeros",
            lambda x: (torch.round(x / (x.abs().max() / 127)).to(torch.int64), _largest(x) / 127),
            "Zeros divided by the scale 0 are NaN, and no integer. Ask first whether the scale is 0.",
        ),
        Misconception(
            "scale_of_zeros",
            _with_scale(lambda x: _largest(x) / 127 or 1.0),
            "Zeros have the scale 0.0 here, not 1: only the division needs another number.",
        ),
        Misconception(
            "epsilon_added",
            _with_scale(lambda x: (_largest(x) + 1e-8) / 127 if x.any() else 0.0),
            "You add an ε to the maximum. It changes the scale of small numbers, and very small ones vanish beside it.",
        ),
        Misconception(
            "taken_for_zeros",
            _with_scale(lambda x: _largest(x) / 127 if _largest(x) > 1e-12 else 0.0),
            "You take very small numbers for zeros. Only a scale that is exactly 0 is a vector of zeros.",
        ),
        Misconception(
            "overflows",
            _with(lambda x, s: torch.round(x * 127 / x.abs().max()), lambda x: _largest(x) / 127),
            "127 times a very large number is infinite in float32. Divide first.",
        ),
        Misconception(
            "from_half_the_range",
            _with(lambda x, s: torch.round(x / s).clamp(-127, 127), lambda x: (x.max() - x.min()).item() / 254),
            "Your scale comes from the range, max − min. Absmax looks at the largest absolute value alone.",
        ),
        Misconception(
            "a_half_added",
            _with(lambda x, s: torch.trunc(x / s + 0.5), lambda x: _largest(x) / 127),
            "Adding ½ before the cast rounds positive numbers only; −1.8 becomes −1. Use torch.round.",
        ),
        Misconception(
            "unsigned_steps",
            _with(lambda x, s: torch.round(x / s), lambda x: _largest(x) / 255),
            "With max|x| / 255 the integers reach ±255. Eight bits with a sign end at 127.",
        ),
        Misconception(
            "four_bits",
            _with(lambda x, s: torch.round(x / s), lambda x: _largest(x) / 7),
            "7 is the largest integer of four bits. With eight bits it is 127.",
        ),
        Misconception(
            "norm_for_maximum",
            _with(lambda x, s: torch.round(x / s), lambda x: x.double().norm().item() / 127),
            "You divide the length of the vector by 127. Absmax takes its largest absolute value.",
        ),
        Misconception(
            "divides_by_128",
            _with(lambda x, s: torch.round(x / s), lambda x: _largest(x) / 128),
            "With 128 the largest number becomes +128, but signed eight-bit integers end at 127.",
        ),
        Misconception(
            "wraps_to_minus_128",
            _with(lambda x, s: wrapped(torch.round(x / s), 8), lambda x: _largest(x) / 128),
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


EXERCISES = (ABSMAX, PRODUCT, OUTLIERS)
