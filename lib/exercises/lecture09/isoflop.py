"""The exercise isoflop.estimate of notebook 09: parabolas at a few budgets, and a power law through their lowest points."""

from itertools import groupby

import numpy as np
import torch

from lib.accounting import BESIROGLU, compute_optimal, isoflop_fit
from lib.exercises.engine.exercise import Exercise, Misconception, Tolerance, case
from lib.exercises.lecture09.draws import Number, uniform


# --- isoflop.estimate ---------------------------------------------------------------------------------------
def estimate(flops: list[Number], N: list[Number], loss: list[Number], budget: Number) -> tuple[float, float]:
    """(a, N): the exponent of N_opt ∝ C^a, and N_opt at `budget`, from parabolas in ln N (Hoffmann et al. 2022, approach 2).

    >>> C, N = [1e18] * 3 + [1e20] * 3, [1e8, 2e8, 4e8, 1e9, 2e9, 4e9]
    >>> a, best = estimate(C, N, [3, 2.9, 3, 2.5, 2.4, 2.5], 1e22)
    >>> round(a, 6), f"{best:.3g}"
    (0.5, '2e+10')
    """
    return _line(budget, *_bottoms(flops, np.log(N), loss))


def _bottoms(flops, n, loss, vertex=lambda q, p: -p / (2 * q)):
    """The budgets, and the vertex of the parabola at each."""
    flops, loss = np.array(flops, dtype=float), np.array(loss, dtype=float)
    budgets = np.unique(flops)
    return budgets, np.array([vertex(*np.polyfit(n[flops == C], loss[flops == C], 2)[:2]) for C in budgets])


def _line(budget, budgets, bottoms):
    """A straight line through (ln C, ln N), read at `budget`."""
    a, level = np.polyfit(np.log(budgets), bottoms, 1)
    return float(a), float(np.exp(level + a * np.log(budget)))


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
    return [
        case("two budgets, three sizes each", *three, [3.0, 2.9, 3.0, 2.5, 2.4, 2.5], 1e22),
        case("lowest points between the sizes", *three, [3.0, 2.9, 2.96, 2.5, 2.37, 2.42], 1e19),
        case("four sizes and three", *small, [4.6, 4.5, 4.52, 4.61, 4.4, 4.31, 4.37], 2e10),
        case("three budgets, noisy runs in no order", *mixed, float(10 ** uniform(generator, 1, 21, 23)[0])),
    ]


def _neighbours(flops, N, loss, budget):
    runs = [list(run) for _, run in groupby(zip(flops, N, loss, strict=True), key=lambda run: run[0])]
    runs = [run for run in runs if len(run) >= 3]
    bottoms = [_bottoms(*(np.array(column) for column in zip(*run, strict=True))) for run in runs]
    budgets = [run[0][0] for run in runs]
    return _line(budget, budgets, np.log([abs(b[1][0]) for b in bottoms]))


def _lowest_runs(flops, N, loss, budget):
    budgets = sorted(set(flops))
    best = [min((run[2], run[1]) for run in zip(flops, N, loss, strict=True) if run[0] == C)[1] for C in budgets]
    return _line(budget, budgets, np.log(best))


def _in_N(flops, N, loss, budget):
    budgets, bottoms = _bottoms(flops, np.array(N) / np.mean(N), loss)
    return _line(budget, budgets, np.log(np.abs(bottoms) * np.mean(N)))


def _every_run(flops, N, loss, budget):
    budgets, bottoms = _bottoms(flops, np.log(N), loss)
    return _line(budget, np.array(flops), bottoms[np.searchsorted(budgets, flops)])


def _ends(flops, N, loss, budget):
    budgets, bottoms = _bottoms(flops, np.log(N), loss)
    return _line(budget, budgets[[0, -1]], bottoms[[0, -1]])


def _straight(flops, N, loss, budget):
    budgets, bottoms = _bottoms(flops, np.log(N), loss)
    slope, level = np.polyfit(budgets, np.exp(bottoms), 1)
    return float(slope), float(level + slope * budget)


def _turned(flops, N, loss, budget):
    a, best = estimate(flops, N, loss, budget)
    return 1 / a, best


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


ESTIMATE = Exercise(
    id="isoflop.estimate",
    slides=("T22",),
    points=6,
    minutes=25,
    title="Build an isoFLOP estimator",
    reference=estimate,
    cases=_curves,
    tolerance=Tolerance(rtol=1e-4),
    accepts=(_by_hand, _by_lib),
    withheld=("lib.accounting.allocation._bottom", "lib.accounting.allocation._through"),
    misconceptions=(
        Misconception(
            "parabola_in_N",
            _in_N,
            "Your parabolas are in N itself. The curves are nearly symmetric on a logarithmic axis: fit loss against ln N.",
        ),
        Misconception(
            "lowest_run",
            _lowest_runs,
            "You took the best run of each budget. The lowest point of the parabola usually lies between the sizes that "
            "were tried.",
        ),
        Misconception(
            "in_the_order_given",
            _neighbours,
            "You take runs that stand next to each other for one budget. The runs come in any order: group them by "
            "the value of `flops`.",
        ),
        Misconception(
            "vertex_without_two",
            lambda C, N, loss, budget: _line(budget, *_bottoms(C, np.log(N), loss, lambda q, p: -p / q)),
            "A parabola q·x² + p·x + r is lowest where its slope 2qx + p is zero.",
        ),
        Misconception(
            "vertex_sign",
            lambda C, N, loss, budget: _line(budget, *_bottoms(C, np.log(N), loss, lambda q, p: p / (2 * q))),
            "The sign of the lowest point is wrong: 2qx + p = 0 gives a minus.",
        ),
        Misconception(
            "every_run_counts",
            _every_run,
            "Your line gives a budget with many runs more weight. Each budget has one lowest point, and each point counts "
            "once in the line.",
        ),
        Misconception(
            "first_and_last",
            _ends,
            "Your line joins the smallest and the largest budget and ignores those between.",
        ),
        Misconception(
            "straight_axes",
            _straight,
            "You fitted N against C. A power law is straight in ln N against ln C.",
        ),
        Misconception(
            "turned_round",
            _turned,
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
            "loss_in_logarithms",
            lambda C, N, loss, budget: _line(budget, *_bottoms(C, np.log(N), np.log(loss))),
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
