"""Exercises of notebook 02 about positions: a shift is a rotation, and the two orders of rotary pairs."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lib.exercises.engine.compare import EXACT, Tolerance
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture02 import pair_answers


def _draw(generator, low: int, high: int) -> int:
    return int(torch.randint(low, high, (1,), generator=generator))


# --- positions.shift --------------------------------------------------------------------------------------------------
def shift_matrix(k: int, D: int) -> Float[Tensor, "D D"]:
    """The matrix M with M · PE(t) = PE(t + k) for every t (Vaswani et al. 2017, section 3.5).

    >>> shift_matrix(1, 2)
    tensor([[ 0.5403,  0.8415],
            [-0.8415,  0.5403]])
    """
    return _shift(k, D)


def _shift(k, D, *, speed=lambda i, D: 10_000 ** (-2 * i / D), sine=1, cosine=1, halves=False, unit=1.0):
    """The matrix, with a switch for each mistake."""
    M = torch.zeros(D, D)
    for i in range(D // 2):
        s, c = (i, i + D // 2) if halves else (2 * i, 2 * i + 1)
        angle = k * speed(i, D) * unit
        M[s, s] = M[c, c] = cosine * math.cos(angle)
        M[s, c], M[c, s] = sine * math.sin(angle), -sine * math.sin(angle)
    return M


def _by_blocks(k, D):
    angles = k / 10_000 ** (torch.arange(0, D, 2, dtype=torch.float64) / D)
    cos, sin = angles.cos(), angles.sin()
    blocks = torch.stack((torch.stack((cos, sin), -1), torch.stack((-sin, cos), -1)), -2)
    return torch.block_diag(*blocks)


def _with_indices(k, D):
    angles = k * torch.exp(-math.log(10_000) / D * torch.arange(0, D, 2, dtype=torch.float64))
    M, even = torch.zeros(D, D, dtype=torch.float64), torch.arange(0, D, 2)
    M[even, even] = M[even + 1, even + 1] = angles.cos()
    M[even, even + 1] = angles.sin()
    return M - M.triu(1).T


def _reflected(k, D):
    M = _shift(k, D)
    for i in range(0, D, 2):
        M[i + 1, i] = M[i, i + 1]
    return M


def _sine_times_k(k, D):
    step = _shift(1, D)
    return torch.where(torch.eye(D).bool(), _shift(k, D), k * step)


def _right_at_zero(k, D):
    rows = [_shift(t, D) @ torch.tensor([0.0, 1.0] * (D // 2)) for t in (k, 0)]
    return torch.outer(*rows) / rows[1].square().sum()


def _shifts(generator):
    return [
        case("one position on, two features", 1, 2),
        case("three positions on, six features", 3, 6),
        case("two positions back", -2, 4),
        case("no shift", 0, 4),
        case("a random shift", _draw(generator, 2, 40), 2 * _draw(generator, 3, 6)),
        case("far on", 50, 16),
    ]


SHIFT = Exercise(
    id="positions.shift",
    slides=("N34",),
    points=3,
    minutes=15,
    title="A shift is a rotation",
    reference=shift_matrix,
    cases=_shifts,
    accepts=(_by_blocks, _with_indices),
    tolerance=Tolerance(atol=1e-4),  # angles of 50 radians in float32, and M found by least squares
    misconceptions=(
        Misconception(
            "backwards",
            lambda k, D: _shift(k, D, sine=-1),
            "Your matrix goes k positions back: it gives PE(t − k). Write out sin(a + b) and look at the sign of its "
            "second term.",
        ),
        Misconception(
            "halves",
            lambda k, D: _shift(k, D, halves=True),
            "You put all sines before all cosines. In this table they alternate: feature 2i is the sine of pair i, feature "
            "2i + 1 its cosine.",
        ),
        Misconception(
            "halves_backwards",
            lambda k, D: _shift(k, D, sine=-1, halves=True),
            "This is the turn of `rotate`, with its pairs half a head apart. In this table the pairs are neighbours, and the "
            "sine comes first.",
        ),
        Misconception(
            "exponent",
            lambda k, D: _shift(k, D, speed=lambda i, D: 10_000 ** (-i / D)),
            "Your speeds fall too slowly. With i counting the pairs, the exponent is 2i/D.",
        ),
        Misconception(
            "exponent_counts_pairs_double",
            lambda k, D: _shift(k, D, speed=lambda i, D: 10_000 ** (-4 * i / D)),
            "Your speeds fall too fast: 2i is counted double somewhere. If your index already runs 0, 2, 4, …, the exponent is "
            "that index over D.",
        ),
        Misconception(
            "exponent_reaches_one",
            lambda k, D: _shift(k, D, speed=lambda i, D: 10_000 ** (-2 * i / max(D - 2, 1))),
            "Your last pair has a speed of exactly 1/10000. The exponent 2i/D stays below 1.",
        ),
        Misconception(
            "faster_pairs",
            lambda k, D: _shift(k, D, speed=lambda i, D: 10_000 ** (2 * i / D)),
            "The sign of the exponent is wrong: later pairs turn more slowly, not faster.",
        ),
        Misconception(
            "one_speed",
            lambda k, D: _shift(k, D, speed=lambda i, D: 1.0),
            "All your pairs turn at the speed of the first. Pair i has its own speed.",
        ),
        Misconception(
            "degrees",
            lambda k, D: _shift(k, D, unit=math.pi / 180),
            "You took the angles for degrees. They are radians, which is what sin and cos expect.",
        ),
        Misconception(
            "absolute_shift",
            lambda k, D: _shift(abs(k), D),
            "A negative k goes back, so its angles are negative. You used the size of k without its sign.",
        ),
        Misconception(
            "nothing_backwards",
            lambda k, D: _shift(max(k, 0), D),
            "For a negative k your matrix shifts by nothing, as a loop over range(k) does. An angle may be negative.",
        ),
        Misconception(
            "sine_times_k",
            _sine_times_k,
            "k · sin a is not sin(k · a): k belongs into the angle.",
        ),
        Misconception(
            "right_at_zero",
            _right_at_zero,
            "Your matrix takes PE(0) to PE(k), and no other row to its place. M must do so for every t.",
        ),
        Misconception(
            "rotary_base",
            lambda k, D: _shift(k, D, speed=lambda i, D: 100_000 ** (-2 * i / D)),
            "You took SmolLM2's base, 100,000. The sinusoidal table has 10,000.",
        ),
        Misconception(
            "always_one",
            lambda k, D: _shift(1, D),
            "This is the shift by one position, whatever k is.",
        ),
        Misconception(
            "only_the_diagonal",
            lambda k, D: _shift(k, D, sine=0),
            "The diagonal is right, but sin(a + b) = sin a cos b + cos a sin b has two terms: each new number mixes the sine and "
            "the cosine of its pair.",
        ),
        Misconception(
            "reflection",
            _reflected,
            "The sign in cos(a + b) = cos a cos b − sin a sin b is missing: one of the two sines of each pair is negative.",
        ),
    ),
    hints=(
        "Look at one pair: sin(a + b) and cos(a + b), written with sin a and cos a. Here a belongs to t and b to k.",
        "Each pair has a 2 × 2 block, [[cos b, sin b], [−sin b, cos b]], with b = k / 10000^(2i/D). The rest of M is 0.",
    ),
)


# --- positions.halves -------------------------------------------------------------------------------------------------
def halves(weight: Float[Tensor, "HK D"], heads: int) -> Float[Tensor, "HK D"]:
    """The rows of a query or key matrix, from pairs of neighbours to pairs that are half a head apart.

    >>> halves(torch.arange(6.0)[:, None], 1).flatten()
    tensor([0., 2., 4., 1., 3., 5.])
    """
    return weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).reshape(weight.shape)


def _matrices(generator):
    def draw(rows, columns):
        return torch.randn(rows, columns, generator=generator)

    K, heads = 2 * _draw(generator, 3, 6), _draw(generator, 2, 5)
    return [
        case("one head of 6", draw(6, 3), 1),
        case("three heads of 8", draw(24, 5), 3),
        case("as many columns as rows", draw(16, 16), 2),
        case("heads of 2: one pair each", draw(6, 4), 3),
        case("a random matrix", draw(heads * K, 7), heads),
    ]


HALVES = Exercise(
    id="positions.halves",
    slides=("N34",),
    points=3,
    minutes=12,
    title="Bring the pairs into the other order",
    reference=halves,
    cases=_matrices,
    accepts=(pair_answers.by_slices, pair_answers.by_index),
    tolerance=EXACT,
    withheld=("lib.models.packaged._halves",),
    misconceptions=(
        Misconception(
            "interleaved",
            lambda weight, heads: weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(weight.shape),
            "You go the other way: from halves to neighbours. Here the rows that come in lie side by side.",
        ),
        Misconception(
            "heads_ignored",
            lambda weight, heads: torch.cat((weight[0::2], weight[1::2])),
            "You took the first numbers of all pairs of all heads, then the second ones. Each head stays where it is: "
            "only its own rows change places.",
        ),
        Misconception(
            "second_first",
            lambda weight, heads: halves(weight, heads).unflatten(0, (heads, 2, -1)).flip(1).reshape(weight.shape),
            "The halves are swapped: the first numbers of the pairs (rows 0, 2, 4, …) come first.",
        ),
        Misconception(
            "columns",
            lambda weight, heads: torch.cat((weight[:, 0::2], weight[:, 1::2]), dim=1),
            "You moved columns. A row of the matrix makes one number of a head; the rows have to move.",
        ),
        Misconception(
            "columns_mixed",
            lambda weight, heads: weight.unflatten(0, (heads, 2, -1)).transpose(2, 3).reshape(weight.shape),
            "Numbers of different columns end up in one row. Only whole rows move: the axis of the columns stays the last.",
        ),
        Misconception(
            "reshaped_only",
            lambda weight, heads: weight.reshape(heads, 2, -1, weight.shape[1]).reshape(weight.shape),
            "Every row is where it was: reshape alone moves nothing. Between two reshapes the axes must change places.",
        ),
        Misconception(
            "heads_and_pairs_swapped",
            lambda weight, heads: weight.unflatten(0, (-1, 2, heads)).transpose(0, 2).reshape(weight.shape),
            "You cut the rows as if the heads alternated. The first K rows are head 1, the next K are head 2.",
        ),
        Misconception(
            "heads_alternate",
            pair_answers.alternating,
            "You dealt the rows out to the heads in turn. The first K rows are head 1, the next K are head 2.",
        ),
        Misconception(
            "width_from_columns",
            lambda weight, heads: pair_answers.cut(weight, weight.shape[1] // heads),
            "You took the width of a head from the columns, which are the model's d. A head has len(weight) / heads rows.",
        ),
        Misconception(
            "one_after_another",
            pair_answers.one_after_another,
            "You swap rows one after another, so a row that has moved is moved again. Build the new order from the old rows.",
        ),
        Misconception(
            "mirrored",
            pair_answers.mirrored,
            "The second numbers of the pairs stand in reverse. The pairs stay in their sequence, in both halves.",
        ),
        Misconception(
            "heads_kept_apart",
            lambda weight, heads: halves(weight, heads).unflatten(0, (heads, -1)),
            "The order is right, but the shape is not: return a matrix of the shape that came in.",
        ),
    ),
    hints=(
        "One head with pairs a, b, c comes in as a₀ a₁ b₀ b₁ c₀ c₁ and has to go out as a₀ b₀ c₀ a₁ b₁ c₁.",
        "Cut the rows into (heads, pairs, 2), swap the last two of these axes, and put them together again.",
    ),
)


EXERCISES = (SHIFT, HALVES)
