"""The exercise scaling.compute_optimal of notebook 09: allocate a budget of computation."""

import math

from scipy.optimize import brentq

from lib.accounting import ChinchillaLaw, compute_optimal
from lib.exercises.engine.exercise import Exercise, Misconception, Tolerance, case
from lib.exercises.lecture09.draws import Number, uniform


# --- scaling.compute_optimal --------------------------------------------------------------------------------
def optimal(flops: Number, A: Number, B: Number, alpha: Number, beta: Number) -> tuple[float, float]:
    """(N, D) that minimise A/N^α + B/D^β where 6ND = flops (Hoffmann et al. 2022, equation 4; slide T22).

    >>> N, D = optimal(3.15e23, 406.4, 410.7, 0.34, 0.28)
    >>> f"{N:.3g}, {D:.3g}"
    '2.45e+10, 2.14e+12'
    """
    return _spent(flops, _prefactor(A, B, alpha, beta), beta / (alpha + beta))


def _prefactor(A, B, alpha, beta):
    return (alpha * A / (beta * B)) ** (1 / (alpha + beta))


def _spent(flops, G, exponent, product=6):
    """N = G (C/6)^exponent, and the D that remains for it."""
    N = G * (flops / product) ** exponent
    return float(N), float(flops / product / N)


def _budgets(generator):
    flops = 10 ** uniform(generator, 1, 18, 25)[0]
    drawn = [uniform(generator, 1, *ends)[0] for ends in ((100, 900), (1000, 3000), (0.2, 0.3), (0.32, 0.5))]
    return [
        case("GPT-3's budget, Chinchilla's constants", 3.15e23, 406.4, 410.7, 0.34, 0.28),
        case("GPT-3's budget, the corrected constants", 3.15e23, 482.01, 2085.43, 0.3478, 0.3658),
        case("a small budget", 1e18, 406.4, 410.7, 0.34, 0.28),
        case("equal exponents", 6e20, 400.0, 800.0, 0.3, 0.3),
        case("a random law", flops, *drawn),
        case("a toy's budget, where a fraction of a parameter counts", 6e3, 10.0, 40.0, 0.5, 0.6),
    ]


def _slopes_in_N_and_D(flops, A, B, alpha, beta):
    """αA/N^(α+1) = βB/D^(β+1) with D = C/6N, solved for ln N."""
    per = math.log(flops / 6)
    n = (math.log(alpha * A / (beta * B)) + (beta + 1) * per) / (alpha + beta + 2)
    return math.exp(n), math.exp(per - n)


def _by_derivative(flops, A, B, alpha, beta):
    def slope(n):  # of the loss in ln N: one term falls and the other grows
        return -alpha * A * math.exp(-alpha * n) + beta * B * (6 * math.exp(n) / flops) ** beta

    N = math.exp(brentq(slope, 0, math.log(flops / 6), xtol=1e-12))
    return N, flops / 6 / N


OPTIMAL = Exercise(
    id="scaling.compute_optimal",
    slides=("T22", "C28"),
    points=4,
    minutes=15,
    title="Spend a budget",
    reference=optimal,
    cases=_budgets,
    tolerance=Tolerance(rtol=1e-3),  # a numerical search over N is right too
    accepts=(
        _by_derivative,
        lambda flops, *law: tuple(map(float, compute_optimal(ChinchillaLaw(0.0, *law), flops))),
    ),
    withheld=("lib.accounting.allocation.allocation_exponents",),
    misconceptions=(
        Misconception(
            "six_forgotten",
            lambda flops, A, B, alpha, beta: _spent(
                flops, _prefactor(A, B, alpha, beta), beta / (alpha + beta), product=1
            ),
            "Your N · D is the whole budget. Training costs 6 FLOPs per parameter and token, so N · D = C/6.",
        ),
        Misconception(
            "exponents_swapped",
            lambda flops, *law: _spent(flops, _prefactor(*law), law[-2] / (law[-2] + law[-1])),
            "N grows as C^(β/(α+β)), with the exponent of the *data*: if more data help quickly (large β), D need not "
            "grow much, and the budget goes into N.",
        ),
        Misconception(
            "equal_terms",
            lambda flops, A, B, alpha, beta: _spent(flops, (A / B) ** (1 / (alpha + beta)), beta / (alpha + beta)),
            "You made both terms equal. At the minimum their *slopes* are equal: αA/N^α = βB/D^β.",
        ),
        Misconception(
            "prefactor_forgotten",
            lambda flops, A, B, alpha, beta: _spent(flops, 1.0, beta / (alpha + beta)),
            "The exponent is right, but N = G·(C/6)^(β/(α+β)) has a prefactor, G = (αA/βB)^(1/(α+β)).",
        ),
        Misconception(
            "prefactor_upside_down",
            lambda flops, A, B, alpha, beta: _spent(flops, 1 / _prefactor(A, B, alpha, beta), beta / (alpha + beta)),
            "Your prefactor is inverted: a larger A penalises small models, so N must grow with it.",
        ),
        Misconception(
            "twenty_tokens",
            lambda flops, A, B, alpha, beta: (math.sqrt(flops / 120), 20 * math.sqrt(flops / 120)),
            "Twenty tokens per parameter is a rule of thumb for one budget. Derive N from the given constants.",
        ),
        Misconception(
            "order",
            lambda flops, A, B, alpha, beta: optimal(flops, A, B, alpha, beta)[::-1],
            "The numbers are right, the order is wrong: parameters first, then tokens.",
        ),
        Misconception(
            "six_forgotten_in_D",
            lambda flops, *law: (optimal(flops, *law)[0], flops / optimal(flops, *law)[0]),
            "Your N is right. For D, the budget is 6ND, not ND.",
        ),
        Misconception(
            "same_prefactor_twice",
            lambda flops, *law: (optimal(flops, *law)[0], _prefactor(*law) ** 2 * optimal(flops, *law)[1]),
            "Your N is right. With D = C/(6N), the prefactor of D is 1/G, not G.",
        ),
        Misconception(
            "half_and_half",
            lambda flops, *law: _spent(flops, _prefactor(*law), 0.5),
            "You let N and D grow alike, as C^½. That is right only if α = β.",
        ),
        Misconception(
            "root_forgotten",
            lambda flops, A, B, alpha, beta: _spent(flops, alpha * A / (beta * B), beta / (alpha + beta)),
            "N stands in your condition with the power α + β. Take that root of the constants as well.",
        ),
        Misconception(
            "slopes_in_N_and_D",
            _slopes_in_N_and_D,
            "You set the slope by N equal to the slope by D. But one more of N does not cost one of D: D = C/(6N) changes by "
            "−D/N. Put D into the loss first, then differentiate.",
        ),
        Misconception(
            "whole_numbers",
            lambda *args: tuple(float(int(x)) for x in optimal(*args)),
            "Your numbers are whole. Return them as they are: for a small budget the fraction counts.",
        ),
    ),
    hints=(
        "Put D = C/(6N) into the loss and set its derivative by N to zero: αA/N^α = βB/D^β.",
        "Write D as C/(6N) in that condition, too, and bring all powers of N to one side. Or compare the losses on a fine "
        "logarithmic grid of N.",
        "Check your N: a little more and a little less of it must both give a higher loss.",
    ),
)
