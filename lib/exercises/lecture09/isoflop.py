"""The exercise isoflop.estimate of notebook 09: parabolas at a few budgets, and a power law through their lowest points."""

import numpy as np
import torch

from lib.accounting import BESIROGLU, compute_optimal, isoflop_fit
from lib.exercises.engine.exercise import Exercise, Misconception, Tolerance, case
from lib.exercises.lecture09 import isoflop_wrong as wrong
from lib.exercises.lecture09.draws import Number, uniform
from lib.exercises.lecture09.isoflop_wrong import bottoms, line


# --- isoflop.estimate ---------------------------------------------------------------------------------------
def estimate(flops: list[Number], N: list[Number], loss: list[Number], budget: Number) -> tuple[float, float]:
    """(a, N): the exponent of N_opt ∝ C^a, and N_opt at `budget`, from parabolas in ln N (Hoffmann et al. 2022, approach 2).

    >>> C, N = [1e18] * 3 + [1e20] * 3, [1e8, 2e8, 4e8, 1e9, 2e9, 4e9]
    >>> a, best = estimate(C, N, [3, 2.9, 3, 2.5, 2.4, 2.5], 1e22)
    >>> round(a, 6), f"{best:.3g}"
    (0.5, '2e+10')
    """
    return line(budget, *bottoms(flops, np.log(N), loss))


def _curves(generator):
    C = np.repeat([1e18, 1e19, 1e20], [7, 5, 4])
    spread = np.concatenate([np.arange(-3, 4), np.arange(-2, 3), np.arange(-1, 3)])
    N = compute_optimal(BESIROGLU, C).parameters * 2.0**spread
    noise = 0.002 * torch.randn(len(C), generator=generator, dtype=torch.float64).numpy()
    losses = BESIROGLU(N, C / 6 / N) + noise
    order = torch.randperm(len(C), generator=generator).tolist()
    mixed = [column[order].tolist() for column in (C, N, losses)]
    three = [1e18] * 3 + [1e20] * 3, [1e8, 2e8, 4e8, 1e9, 2e9, 4e9]
    small = [1e10] * 4 + [4e10] * 3, [5e3, 9e3, 2e4, 3e4, 1.1e4, 2e4, 5e4]
    uneven = (
        [1e20] * 3 + [1e18] * 3 + [2e18] * 4,
        [5e8, 1e9, 4e9, 4e7, 1e8, 2e8, 1e8, 2e8, 4e8, 8e8],
        [2.41, 2.38, 2.47, 3.06, 3.01, 3.04, 2.96, 2.88, 2.87, 2.93],
    )
    twice = (
        [1e10] * 5 + [4e10] * 3,
        [5e3, 1e4, 1e4, 2e4, 4e4, 1e4, 2e4, 4e4],
        [4.62, 4.5, 4.56, 4.49, 4.6, 4.35, 4.29, 4.33],
    )
    return [
        case("two budgets, three sizes each", *three, [3.0, 2.9, 3.0, 2.5, 2.4, 2.5], 1e22),
        case("lowest points between the sizes", *three, [3.0, 2.9, 2.96, 2.5, 2.37, 2.42], 1e19),
        case("four sizes and three", *small, [4.6, 4.5, 4.52, 4.61, 4.4, 4.31, 4.37], 2e10),
        case("uneven budgets, the largest first; a tried one is asked", *uneven, 2e18),
        case("one size twice at a budget", *twice, 1e11),
        case("three budgets, noisy runs in no order", *mixed, float(10 ** uniform(generator, 1, 21, 23)[0])),
    ]


def _by_hand(flops, N, loss, budget):
    """Normal equations, logarithms to base 2."""
    best = {}
    for C in dict.fromkeys(flops):
        runs = [(np.log2(n), y) for c, n, y in zip(flops, N, loss, strict=True) if c == C]
        x, y = np.array(runs).T
        _, slope, curvature = np.linalg.lstsq(
            np.stack([x**0, x - x.mean(), (x - x.mean()) ** 2], axis=1), y, rcond=None
        )[0]
        best[C] = x.mean() - slope / 2 / curvature
    u, v = np.log2(list(best)), np.array(list(best.values()))
    a = ((u - u.mean()) * (v - v.mean())).sum() / ((u - u.mean()) ** 2).sum()
    return a, 2 ** (v.mean() + a * (np.log2(budget) - u.mean()))


def _by_lib(flops, N, loss, budget):
    fit = isoflop_fit(flops, N, loss)
    return fit.exponents[0], float(fit.at(budget).parameters)


def _on_a_grid(flops, N, loss, budget):
    """The lowest of many points of the parabola between the smallest and the largest size of each budget."""
    best = {}
    for C in sorted(set(flops)):
        n, y = np.array([(np.log(size), of) for c, size, of in zip(flops, N, loss, strict=True) if c == C]).T
        along = np.linspace(n.min(), n.max(), 200_001)
        best[C] = along[np.polyval(np.polyfit(n, y, 2), along).argmin()]
    a, level = np.polyfit(np.log(list(best)), list(best.values()), 1)
    return a, np.exp(level + a * np.log(budget))


ESTIMATE = Exercise(
    id="isoflop.estimate",
    slides=("T22",),
    points=6,
    minutes=25,
    title="Build an isoFLOP estimator",
    reference=estimate,
    cases=_curves,
    tolerance=Tolerance(rtol=1e-4),
    accepts=(_by_hand, _by_lib, _on_a_grid),
    withheld=("lib.accounting.allocation._bottom", "lib.accounting.allocation._through"),
    misconceptions=(
        Misconception(
            "parabola_in_N",
            wrong.in_N,
            "Your parabolas are in N itself. The curves are nearly symmetric on a logarithmic axis: fit loss against ln N.",
        ),
        Misconception(
            "lowest_run",
            wrong.lowest_runs,
            "You took the best run of each budget. The lowest point of the parabola usually lies between the sizes that "
            "were tried.",
        ),
        Misconception(
            "in_the_order_given",
            wrong.neighbours,
            "You take runs that stand next to each other for one budget. The runs come in any order: group them by "
            "the value of `flops`.",
        ),
        Misconception(
            "vertex_without_two",
            lambda C, N, loss, budget: line(budget, *bottoms(C, np.log(N), loss, lambda q, p: -p / q)),
            "A parabola q·x² + p·x + r is lowest where its slope 2qx + p is zero.",
        ),
        Misconception(
            "vertex_sign",
            lambda C, N, loss, budget: line(budget, *bottoms(C, np.log(N), loss, lambda q, p: p / (2 * q))),
            "The sign of the lowest point is wrong: 2qx + p = 0 gives a minus.",
        ),
        Misconception(
            "every_run_counts",
            wrong.every_run,
            "Your line gives a budget with many runs more weight. Each budget has one lowest point, and each point counts "
            "once in the line.",
        ),
        Misconception(
            "first_and_last",
            wrong.ends,
            "Your line joins the smallest and the largest budget and ignores those between.",
        ),
        Misconception(
            "straight_axes",
            wrong.straight,
            "You fitted N against C. A power law is straight in ln N against ln C.",
        ),
        Misconception(
            "turned_round",
            wrong.turned,
            "Your exponent says how C grows with N. Asked is how N grows with C.",
        ),
        Misconception(
            "logarithm_returned",
            lambda *args: (estimate(*args)[0], float(np.log(estimate(*args)[1]))),
            "The exponent is right. The second number is still ln N: undo the logarithm.",
        ),
        Misconception(
            "tokens_returned",
            lambda C, N, loss, budget: (estimate(C, N, loss, budget)[0], budget / 6 / estimate(C, N, loss, budget)[1]),
            "The exponent is right. The second number is D, the tokens at this budget; asked is N.",
        ),
        Misconception(
            "of_the_tokens",
            lambda *args: (1 - estimate(*args)[0], estimate(*args)[1]),
            "That is b of D ∝ C^b. Asked is a of N ∝ C^a.",
        ),
        Misconception(
            "order",
            lambda *args: estimate(*args)[::-1],
            "Both numbers are right, but in the wrong order: first the exponent, then N.",
        ),
        Misconception(
            "mean_of_steps",
            wrong.mean_of_steps,
            "The mean of the exponents from budget to budget gives a short step as much weight as a long one. Fit one line to "
            "all lowest points.",
        ),
        Misconception(
            "line_turned_round",
            wrong.other_line,
            "You fitted ln C as a function of ln N and turned the line round. If the points are not exactly on it, that is "
            "another line: predict ln N from ln C.",
        ),
        Misconception(
            "own_lowest_point",
            wrong.own_lowest_point,
            "The exponent is right. For a budget that was tried you return its own lowest point; asked is what the line "
            "gives.",
        ),
        Misconception(
            "between_the_points",
            wrong.between_the_points,
            "The exponent is right. The second number comes from joining neighbouring points; asked is what the fitted line "
            "gives, also beyond the budgets that were tried.",
        ),
        Misconception(
            "from_the_last_point",
            wrong.from_the_last_point,
            "The exponent is right. For N you start at the largest budget's own point; the fitted line need not pass through "
            "it.",
        ),
        Misconception(
            "budgets_in_another_order",
            wrong.another_order,
            "Your budgets stand in one order and your lowest points in another. Keep each pair together.",
        ),
        Misconception(
            "equally_many",
            wrong.equally_many,
            "You cut the runs into pieces of one length. Budgets may have unequally many: group by the value of `flops`.",
        ),
        Misconception(
            "three_around_the_lowest",
            wrong.three_around_the_lowest,
            "Your parabola goes through the lowest run and its two neighbours. Least squares uses all runs of the budget.",
        ),
        Misconception(
            "sizes_averaged",
            wrong.sizes_averaged,
            "You averaged the runs of one size first. Each run counts in its parabola, two of one size count twice.",
        ),
        Misconception(
            "mixed_logarithms",
            wrong.mixed_logarithms,
            "Check the second number: you take log10 and undo it with `exp`, or the other way round.",
        ),
        Misconception(
            "loss_in_logarithms",
            lambda C, N, loss, budget: line(budget, *bottoms(C, np.log(N), np.log(loss))),
            "You took the logarithm of the loss, too. The parabola is fitted to the loss itself.",
        ),
    ),
    hints=(
        "Two steps. First, for each different value in `flops`, one number: where the parabola is lowest. Then one line "
        "through these numbers.",
        "`np.polyfit(x, y, 2)` gives the three coefficients of a parabola, the highest power first. Where is its slope zero?",
        "A power law is a straight line in logarithms. Read it at ln(budget), and undo the logarithm.",
    ),
)

EXERCISES = (ESTIMATE,)
