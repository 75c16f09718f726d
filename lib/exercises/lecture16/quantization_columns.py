"""Finding outlier columns: an exercise of `quantization`."""

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.engine.exercise import Exercise, Misconception, case


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
    tall = torch.zeros(7, 3)
    tall[0, 2], tall[1, 2], tall[5, 0], tall[6, 1] = 7.0, 8.0, -6.5, 5.5
    below = calm.clone()
    below[3, 5] = -6.0
    return [
        case("two columns, one of them negative", spiky, 6.0),
        case("exactly the threshold", edge, 6.0),
        case("a column with outliers only", steady, 6.0),
        case("no outlier", calm, 6.0),
        case("a lower threshold", spiky, 1.0),
        case("large rows, no outlier", wide, 6.0),
        case("exactly the threshold, and negative", below, 6.0),
        case("more rows than columns, two outliers in one of these", tall, 6.0),
        case("one row", torch.tensor([[0.5, -8.0, 8.0, 0.0]]), 8),
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
            "one_per_outlier",
            lambda x, threshold: (x.abs() >= threshold).nonzero()[:, 1].tolist(),
            "You list a column for every outlier, in the order of the rows. Each column is named once, in order.",
        ),
        Misconception(
            "columns_repeated",
            lambda x, threshold: sorted((x.abs() >= threshold).nonzero()[:, 1].tolist()),
            "A column with two outliers comes twice in your list: name each column once.",
        ),
        Misconception(
            "in_order_of_rows",
            lambda x, threshold: list(dict.fromkeys((x.abs() >= threshold).nonzero()[:, 1].tolist())),
            "Your columns are in the order in which the rows show them. Sort them.",
        ),
        Misconception(
            "mask",
            lambda x, threshold: (x.abs() >= threshold).any(dim=0).tolist(),
            "You return True or False for each column. The exercise asks for the numbers of those that are True.",
        ),
        Misconception(
            "lists_of_one",
            lambda x, threshold: (x.abs() >= threshold).any(dim=0).nonzero().tolist(),
            "nonzero() gives a row of coordinates for each hit, so your list holds lists. It should hold whole numbers.",
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
