"""A linear layer in eight bits whose outlier columns stay floats: an exercise of `quantization`."""

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.engine.compare import Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture16 import quantization_splits as splits


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
    faint, strong = draw(3, 2, 6), draw(2, 3, 6)  # small numbers have small scales: no ε may hide them
    faint[0].mul_(1e-7), faint[1].mul_(1e7), strong[0].mul_(1e7), strong[1].mul_(1e-7)
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
        case("small x, large W", *faint, 6.0),
        case("large x, small W, and a high threshold", *strong, 2e7),
    ]


OUTLIERS = Exercise(
    id="quantization.outlier_product",
    slides=("T03", "T48"),
    points=6,
    minutes=25,
    title="A linear layer with outlier columns",
    reference=outlier_product,
    cases=_layers,
    tolerance=Tolerance(rtol=1e-4, atol=1e-4),
    accepts=(splits.split(), splits.with_zeros),
    withheld=("lib.kernels.int8.outlier_matmul",),
    misconceptions=(
        Misconception(
            "signed",
            splits.split(lambda x, t: (x >= t).any(dim=0)),
            "You miss large negative numbers: compare |x| with the threshold.",
        ),
        Misconception(
            "strict",
            splits.split(lambda x, t: (x.abs() > t).any(dim=0)),
            "A number equal to the threshold is an outlier too: use >=, not >.",
        ),
        Misconception(
            "every_number",
            splits.split(lambda x, t: (x.abs() >= t).all(dim=0)),
            "You take out columns in which every number is large. One outlier is enough.",
        ),
        Misconception(
            "sum_of_a_column",
            splits.split(lambda x, t: x.abs().sum(dim=0) >= t),
            "You compare the sum over a column; many numbers of ordinary size are not an outlier.",
        ),
        Misconception(
            "mean_of_a_column",
            splits.split(lambda x, t: x.abs().mean(dim=0) >= t),
            "You compare the mean of a column. A single number sets the scale of its row, whatever the mean is.",
        ),
        Misconception(
            "single_numbers",
            splits.single_numbers,
            "You take out single numbers. The exercise takes out whole columns, so that what is left is a matrix product.",
        ),
        Misconception(
            "nothing_taken_out",
            lambda x, W, threshold: splits.rounded(x) @ splits.rounded(W).T,
            "You round everything, the outlier columns too: they have to stay floats.",
        ),
        Misconception(
            "nothing_rounded",
            lambda x, W, threshold: x @ W.T,
            "This is the exact product. The columns without outliers have to be rounded to integers from −127 to 127.",
        ),
        Misconception(
            "outliers_dropped",
            lambda x, W, threshold: (
                splits.rounded(x[:, ~splits.loud(x, threshold)]) @ splits.rounded(W[:, ~splits.loud(x, threshold)]).T
            ),
            "The outlier columns are missing from your result: multiply them as floats and add.",
        ),
        Misconception(
            "scales_before_the_split",
            splits.scales_before(True, True),
            "Your scales still see the outlier columns, so these spoil the rest. Take the columns out first, then "
            "find the scales.",
        ),
        Misconception(
            "weight_scales_before_the_split",
            splits.scales_before(False, True),
            "The scales of W still see its columns that are multiplied as floats. Take them out of W as well, first.",
        ),
        Misconception(
            "one_scale_for_all",
            splits.split(of_x=lambda part: splits.rounded(part, dim=None)),
            "You use one scale for a whole matrix. Each row of x and each row of W has its own.",
        ),
        Misconception(
            "x_scales_before_the_split",
            splits.scales_before(True, False),
            "The scales of x still see the outliers, so these spoil their rows. Take the columns out first.",
        ),
        Misconception(
            "rows_taken_out",
            splits.rows_out,
            "You take out rows of x. An outlier takes its column out, a feature: any(dim=0), not any(dim=1).",
        ),
        Misconception(
            "large_weights_taken_out",
            lambda x, W, t: splits.split(lambda x, t: splits.loud(x, t) | splits.loud(W, t))(x, W, t),
            "You take out columns for their weights, too. Only x decides which columns stay floats.",
        ),
        Misconception(
            "outliers_rounded",
            splits.outliers_rounded,
            "You round the outlier columns as well, on their own. They stay floats, on both sides.",
        ),
        Misconception(
            "one_scale_for_the_weight",
            splits.split(of_w=lambda part: splits.rounded(part, dim=None)),
            "W has one scale in your answer. Each of its rows has its own.",
        ),
        Misconception(
            "always_six",
            lambda x, W, threshold: splits.split()(x, W, 6.0),
            "You compare with 6, whatever the threshold is.",
        ),
        Misconception(
            "smallest_scale",
            splits.split(of_x=splits.with_scales(lambda scale: scale.clamp(min=1e-5))),
            "You keep the scales above an ε. A row of small numbers then becomes zeros: replace only scales that are 0.",
        ),
        Misconception(
            "epsilon_added",
            splits.split(of_x=splits.with_scales(lambda scale: scale + 1e-8)),
            "You add an ε to the scales. For a row of small numbers that is a different scale: replace only those that are 0.",
        ),
        Misconception(
            "cut_off",
            splits.split(of_x=lambda part: splits.rounded(part, how=torch.trunc)),
            "You cut the fraction off, as a cast does. Round first.",
        ),
        Misconception(
            "scales_of_columns",
            splits.split(of_x=lambda part: splits.rounded(part, dim=0)),
            "Your scales belong to columns. They could not be drawn out of the sum: use one for each row.",
        ),
        Misconception(
            "only_x_rounded",
            splits.split(of_w=splits.same),
            "You round only x. The weights of the columns that are left are integers too.",
        ),
        Misconception(
            "only_weights_rounded",
            splits.split(of_x=splits.same, of_w=splits.rounded),
            "You round only W. The numbers of x in the columns that are left are integers too.",
        ),
        Misconception(
            "divides_by_128",
            splits.split(of_x=lambda part: splits.rounded(part, levels=128)),
            "With 128 the largest number of a row becomes 128, which signed eight-bit integers do not have. Divide by 127.",
        ),
        Misconception(
            "sums_in_eight_bits",
            splits.wrapped_sums,
            "Your sums of products are kept in eight bits and wrap around. Widen the integers before you multiply.",
        ),
        Misconception(
            "one_column_out",
            splits.one_column_out,
            "You take out one column. Every column with an outlier is taken out.",
        ),
        Misconception(
            "no_column_left",
            splits.split(of_x=splits.unguarded),
            "If all columns are taken out, nothing is left to round, and amax finds no largest number: return the floats.",
        ),
        Misconception(
            "zeros_divided",
            splits.zeros_divided,
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
