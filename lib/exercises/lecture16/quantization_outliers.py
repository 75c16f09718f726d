"""A linear layer in eight bits whose outlier columns stay floats: an exercise of `quantization`."""

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case


# --- quantization.outlier_product -------------------------------------------------------------------------------------
def outlier_product(x: Float[Tensor, "N K"], W: Float[Tensor, "M K"], threshold: float | int) -> Float[Tensor, "N M"]:
    """x Wᵀ with the columns that hold an |x| ≥ threshold as floats, all others in int8 (Dettmers et al. 2022)."""
    loud = (x.abs() >= threshold).any(dim=0)
    scales, integers = [], []
    for rest in (x[:, ~loud], W[:, ~loud]):
        if not rest.shape[1]:
            return x @ W.T
        scale = rest.abs().amax(dim=1, keepdim=True) / 127
        integers.append(torch.round(rest / torch.where(scale > 0, scale, 1)).to(torch.int32))
        scales.append(scale)
    sums = integers[0] @ integers[1].T
    return sums * scales[0] * scales[1].T + x[:, loud] @ W[:, loud].T


def _layers(generator):
    def draw(N, M, K):
        return torch.randn(N, K, generator=generator).clamp(-4, 4), torch.randn(M, K, generator=generator)

    two, one_row, square, edge, below = draw(4, 3, 8), draw(1, 2, 6), draw(5, 5, 5), draw(3, 4, 6), draw(3, 2, 6)
    two[0][1, 5], two[0][2, 0] = 60.0, -7.5
    one_row[0][0, 2] = -30.0
    square[0][0, 1], square[0][3, 1] = 20.0, -25.0
    edge[0][0, 2], edge[1][:, 2] = 6.0, 5.0
    below[0][2, 4] = -6.0
    heavy = draw(4, 3, 8)  # the weights of the outlier column are large too: they must not set the scales of W
    heavy[0][0, 3], heavy[1][:, 3] = 50.0, 40.0
    silent = draw(3, 3, 7)
    silent[0][1], silent[1][2] = 0.0, 0.0
    silent[0][0, 6] = 12.0
    rows = draw(6, 2, 8)  # rows of very different size: one scale for all of them will not do
    rows[0][0] *= 0.01
    rows[1][1] *= 100
    rows[0][3, 4] = 9.0
    steady = torch.full((2, 5), 5.0), draw(2, 3, 5)[1]  # each column of x sums to 10, and holds no outlier
    return [
        case("two outlier columns, one of them negative", *two, 6.0),
        case("no outlier", *draw(4, 3, 8), 6.0),
        case("one row", *one_row, 6.0),
        case("one column with two outliers, a square x", *square, 6.0),
        case("exactly the threshold", *edge, 6.0),
        case("exactly the threshold, and negative", *below, 6),
        case("large weights in the outlier column", *heavy, 6.0),
        case("a row of zeros in x and in W", *silent, 6.0),
        case("rows of very different size", *rows, 6.0),
        case("large columns without an outlier", *steady, 6.0),
        case("a threshold that every column reaches", *draw(3, 3, 4), 0.0),
        case("a lower threshold", *draw(5, 3, 8), 2.0),
    ]


def _rounded(part, dim=1, levels=127):
    """Numbers rounded to so many levels each way: a scale per row (dim 1), per column (0) or for all (None)."""
    if not part.numel():
        return part
    scale = (part.abs().amax() if dim is None else part.abs().amax(dim=dim, keepdim=True)) / levels
    return torch.round(part / torch.where(scale > 0, scale, 1)) * scale


def _split(loud, dim=1, levels=127):
    """An answer that takes the columns `loud(x, threshold)` out, and rounds the rest as `_rounded` does."""

    def answer(x, W, threshold):
        out = loud(x, threshold)
        rest = _rounded(x[:, ~out], dim, levels) @ _rounded(W[:, ~out], dim, levels).T
        return rest + x[:, out] @ W[:, out].T

    return answer


def _loud(x, threshold):
    return (x.abs() >= threshold).any(dim=0)


def _scales_before(x, W, threshold):
    out = _loud(x, threshold)
    return _rounded(x)[:, ~out] @ _rounded(W)[:, ~out].T + x[:, out] @ W[:, out].T


def _weight_scales_before(x, W, threshold):
    out = _loud(x, threshold)
    return _rounded(x[:, ~out]) @ _rounded(W)[:, ~out].T + x[:, out] @ W[:, out].T


def _with_zeros(x, W, threshold):
    """Zeros in place of what is taken out: right too, for 0 is exact."""
    out = _loud(x, threshold)
    rest = _rounded(x.masked_fill(out, 0)) @ _rounded(W.masked_fill(out, 0)).T
    return rest + x.masked_fill(~out, 0) @ W.T


def _no_zeros(x, W, threshold):
    out = _loud(x, threshold)
    parts = [part[:, ~out] for part in (x, W)]
    if not parts[0].numel():
        return x @ W.T
    scales = [part.abs().amax(dim=1, keepdim=True) / 127 for part in parts]
    a, b = (torch.round(part / scale) * scale for part, scale in zip(parts, scales))
    return a @ b.T + x[:, out] @ W[:, out].T


def _single_numbers(x, W, threshold):
    loud = x.abs() >= threshold
    return _rounded(x.masked_fill(loud, 0)) @ _rounded(W).T + x.masked_fill(~loud, 0) @ W.T


def _only_x(x, W, threshold):
    out = _loud(x, threshold)
    return _rounded(x[:, ~out]) @ W[:, ~out].T + x[:, out] @ W[:, out].T


def _only_w(x, W, threshold):
    out = _loud(x, threshold)
    return x[:, ~out] @ _rounded(W[:, ~out]).T + x[:, out] @ W[:, out].T


OUTLIERS = Exercise(
    id="quantization.outlier_product",
    slides=("T03", "T48"),
    points=6,
    minutes=25,
    title="A linear layer with outlier columns",
    reference=outlier_product,
    cases=_layers,
    tolerance=Tolerance(rtol=1e-4, atol=1e-4),
    accepts=(_split(_loud), _with_zeros),
    withheld=("lib.kernels.int8.outlier_matmul",),
    misconceptions=(
        Misconception(
            "signed",
            _split(lambda x, t: (x >= t).any(dim=0)),
            "You miss large negative numbers: compare |x| with the threshold.",
        ),
        Misconception(
            "strict",
            _split(lambda x, t: (x.abs() > t).any(dim=0)),
            "A number equal to the threshold is an outlier too: use >=, not >.",
        ),
        Misconception(
            "every_number",
            _split(lambda x, t: (x.abs() >= t).all(dim=0)),
            "You take out columns in which every number is large. One outlier is enough.",
        ),
        Misconception(
            "sum_of_a_column",
            _split(lambda x, t: x.abs().sum(dim=0) >= t),
            "You compare the sum over a column; many numbers of ordinary size are not an outlier.",
        ),
        Misconception(
            "mean_of_a_column",
            _split(lambda x, t: x.abs().mean(dim=0) >= t),
            "You compare the mean of a column. A single number sets the scale of its row, whatever the mean is.",
        ),
        Misconception(
            "single_numbers",
            _single_numbers,
            "You take out single numbers. The exercise takes out whole columns, so that what is left is a matrix product.",
        ),
        Misconception(
            "nothing_taken_out",
            lambda x, W, threshold: _rounded(x) @ _rounded(W).T,
            "You round everything, the outlier columns too: they have to stay floats.",
        ),
        Misconception(
            "nothing_rounded",
            lambda x, W, threshold: x @ W.T,
            "This is the exact product. The columns without outliers have to be rounded to integers from −127 to 127.",
        ),
        Misconception(
            "outliers_dropped",
            lambda x, W, threshold: _rounded(x[:, ~_loud(x, threshold)]) @ _rounded(W[:, ~_loud(x, threshold)]).T,
            "The outlier columns are missing from your result: multiply them as floats and add.",
        ),
        Misconception(
            "scales_before_the_split",
            _scales_before,
            "Your scales still see the outlier columns, so these spoil the rest. Take the columns out first, then "
            "find the scales.",
        ),
        Misconception(
            "weight_scales_before_the_split",
            _weight_scales_before,
            "The scales of W still see its columns that are multiplied as floats. Take them out of W as well, first.",
        ),
        Misconception(
            "one_scale_for_all",
            _split(_loud, dim=None),
            "You use one scale for a whole matrix. Each row of x and each row of W has its own.",
        ),
        Misconception(
            "scales_of_columns",
            _split(_loud, dim=0),
            "Your scales belong to columns. They could not be drawn out of the sum: use one for each row.",
        ),
        Misconception(
            "only_x_rounded",
            _only_x,
            "You round only x. The weights of the columns that are left are integers too.",
        ),
        Misconception(
            "only_weights_rounded",
            _only_w,
            "You round only W. The numbers of x in the columns that are left are integers too.",
        ),
        Misconception(
            "divides_by_128",
            _split(_loud, levels=128),
            "With 128 the largest number of a row becomes 128, which signed eight-bit integers do not have. Divide by 127.",
        ),
        Misconception(
            "zeros_divided",
            _no_zeros,
            "A row of zeros has the scale 0, and 0/0 is NaN: divide by 1 there.",
        ),
    ),
    hints=(
        "Three steps: which columns hold an |x| ≥ threshold? Round what is left of x and of W, a scale for each row. "
        "Add the product of the columns that you took out.",
        "loud = (x.abs() >= threshold).any(dim=0); x[:, ~loud] and W[:, ~loud] are rounded, x[:, loud] @ W[:, loud].T is added.",
        "If no column is left, there is no largest number: return the product of floats.",
    ),
)
