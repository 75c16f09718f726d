"""Compute-optimal training: the best N and D for a budget C = 6ND (Hoffmann et al. 2022, section 3).

Three ways lead there:

1. `envelope_fit`: many sizes trained on; at each budget the lowest of their loss curves.
2. `isoflop_fit`: several sizes at each of a few budgets; the bottom of a parabola in ln N.
3. `compute_optimal`: the minimum of a fitted surface L(N, D), in closed form.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from lib import checks
from lib.accounting.arrays import Numbers, Values, columns, distinct, positives
from lib.accounting.fitting import PowerLawFit, fit_power_law
from lib.accounting.scaling import PF_DAY, ChinchillaLaw, KaplanLaw
from lib.accounting.surface import SurfaceFit

FLOPS_PER_TOKEN = 6
"""FLOPs of training per parameter and token: two forward, four backward."""


class Allocation(NamedTuple):
    """How a budget is spent: `N, D = compute_optimal(...)`."""

    parameters: Values  # N
    tokens: Values  # D

    @property
    def tokens_per_parameter(self) -> Values:
        """D/N: about 20 by Hoffmann et al. (2022), 1.7 for GPT-3, 1,875 for Llama 3 8B (slide C28).

        >>> Allocation(np.float64(8e9), np.float64(15e12)).tokens_per_parameter
        np.float64(1875.0)
        """
        return self.tokens / self.parameters


@dataclass(frozen=True)
class AllocationFit:
    """The best size and amount of text at each budget, and the power laws through them."""

    flops: Float[np.ndarray, "C"]
    parameters: Float[np.ndarray, "C"]  # N_opt
    tokens: Float[np.ndarray, "C"]  # D_opt = C/6N
    loss: Float[np.ndarray, "C"]  # the lowest at that budget
    parameters_law: PowerLawFit  # N_opt = coefficient · C^a
    tokens_law: PowerLawFit  # D_opt = coefficient · C^b

    @property
    def exponents(self) -> tuple[float, float]:
        """(a, b) of N_opt ∝ C^a and D_opt ∝ C^b; they sum to 1.

        >>> C, N = [1e18] * 3 + [1e20] * 3, [1e8, 2e8, 4e8, 1e9, 2e9, 4e9]
        >>> [round(exponent, 6) for exponent in isoflop_fit(C, N, [3, 2.9, 3] * 2).exponents]
        [0.5, 0.5]
        """
        return self.parameters_law.exponent, self.tokens_law.exponent

    def at(self, flops: Numbers) -> Allocation:
        """The allocation that the power laws give for other budgets.

        >>> C, N = [1e18] * 3 + [1e20] * 3, [1e8, 2e8, 4e8, 1e9, 2e9, 4e9]
        >>> f"{isoflop_fit(C, N, [3, 2.9, 3] * 2).at(1e22).parameters:.3g}"
        '2e+10'
        """
        return Allocation(self.parameters_law.predict(flops), self.tokens_law.predict(flops))


def compute_optimal(fit: SurfaceFit | ChinchillaLaw | KaplanLaw, flops: Numbers) -> Allocation:
    """The (N, D) of lowest loss with 6ND = `flops`, in closed form.

    N = G (C/6)^a and D = (C/6)^b / G with G = (αA/βB)^(1/(α+β)), a = β/(α+β), b = α/(α+β) (Hoffmann et al.
    2022, equation 4). Kaplan's L(N, D) rises with the same kind of sum, A/N^α + B/D^β with β = 1, so it has
    the same solution; Kaplan's own advice (`kaplan_optimal`) rests on training that stops early instead.

    Raises ValueError for a budget that is not positive.

    >>> from lib.accounting.scaling import BESIROGLU
    >>> N, D = compute_optimal(BESIROGLU, 5.76e23)  # Chinchilla's: 70e9 parameters, 1.4e12 tokens
    >>> f"{N:.3g} {D:.3g}"
    '7.22e+10 1.33e+12'
    """
    A, alpha, B, beta = _law(fit).terms
    per = positives("flops", flops) / FLOPS_PER_TOKEN
    a, b = allocation_exponents(fit)
    G = np.exp((np.log(alpha) + np.log(A) - np.log(beta) - np.log(B)) / (alpha + beta))
    return Allocation(G * per**a, per**b / G)


def allocation_exponents(fit: SurfaceFit | ChinchillaLaw | KaplanLaw) -> tuple[float, float]:
    """(a, b) = (β, α)/(α + β): the best N grows as C^a, the best D as C^b.

    >>> from lib.accounting.scaling import BESIROGLU, HOFFMANN
    >>> [[round(exponent, 2) for exponent in allocation_exponents(law)] for law in (HOFFMANN, BESIROGLU)]
    [[0.45, 0.55], [0.51, 0.49]]
    """
    _, alpha, _, beta = _law(fit).terms
    return beta / (alpha + beta), alpha / (alpha + beta)


def kaplan_optimal(flops: Numbers) -> Allocation:
    """Kaplan et al.'s own advice: N = 1.3e9 C^0.73 and D = 2e10 C^0.27 with C in PF-days (their table 6).

    Most of a larger budget goes into size. N is without embeddings, and C their C_min, spent at small
    batches, so that 6ND comes out about twice as large as C.

    Raises ValueError for a budget that is not positive.

    >>> round(float(kaplan_optimal(3.15e23).tokens_per_parameter), 2)  # GPT-3's budget
    0.35
    """
    days = positives("flops", flops) / PF_DAY
    return Allocation(1.3e9 * days**0.73, 2e10 * days**0.27)


def isoflop_fit(flops: Numbers, N: Numbers, loss: Numbers) -> AllocationFit:
    """At each budget the bottom of a parabola through (ln N, loss), and power laws through the bottoms.

    One entry per run: its budget in FLOPs (equal for the runs of one budget), parameters and final loss; D is
    C/6N. The loss is no parabola: it rises faster towards small N where α > β. The vertex is off by a factor
    that is about the same at every budget if the sizes are spread about the best alike, so the exponent is
    right before N_opt is.

    Raises ValueError for bad columns, fewer than two budgets, fewer than three sizes at one, a parabola that
    opens downwards, or one whose bottom lies outside the sizes tried: then the best size was not seen.

    >>> from lib.accounting.scaling import HOFFMANN
    >>> C = np.repeat([1e19, 1e20, 1e21], 7)
    >>> N = compute_optimal(HOFFMANN, C).parameters * np.tile(2.0 ** np.arange(-3, 4), 3)
    >>> fit = isoflop_fit(C, N, HOFFMANN(N, C / 6 / N))
    >>> round(fit.exponents[0], 3), round(allocation_exponents(HOFFMANN)[0], 3)
    (0.452, 0.452)
    """
    flops, N, loss = columns(flops=flops, N=N, loss=loss)
    distinct("flops", flops, 2, "the exponent")
    budgets = np.unique(flops)
    bottoms = [_bottom(budget, N[flops == budget], loss[flops == budget]) for budget in budgets]
    best, lowest = np.array(bottoms).T
    return _through(budgets, best, lowest)


def envelope_fit(
    N: Numbers, tokens: Sequence[Numbers], loss: Sequence[Numbers], *, budgets: int = 1500
) -> AllocationFit:
    """For each of many budgets the run whose loss curve is lowest there, and power laws through the winners.

    N has one entry per run; `tokens[i]` and `loss[i]` are run i's curve, tokens rising. Curves are
    interpolated in ln C, C = 6ND. The winner is a staircase in C: each size is fitted at the middle (in ln C)
    of the budgets it wins, and the smallest and largest sizes, whose steps are cut off, are left out. Curves
    of runs whose learning rate falls with a longer schedule lie too high before its end, and the envelope is
    then too low in N (Hoffmann et al. 2022, section 3.1): use curves of completed runs, or of a constant
    rate.

    Raises ValueError for bad columns, curves whose tokens do not rise, or fewer than four sizes that win
    anywhere.

    >>> from lib.accounting.scaling import HOFFMANN
    >>> N, D = 1e7 * 2.0 ** np.arange(10), np.geomspace(1e8, 1e12, 200)
    >>> fit = envelope_fit(N, [D] * 10, [HOFFMANN(n, D) for n in N])
    >>> round(fit.exponents[0], 2)
    0.45
    """
    checks.whole("budgets", budgets, 2)
    N = positives("N", N)
    curves = _curves(N, tokens, loss)
    low, high = min(log_C[0] for log_C, _ in curves), max(log_C[-1] for log_C, _ in curves)
    grid = np.linspace(low, high, budgets)
    sizes = np.unique(N)
    # Where a run has no curve it cannot win; runs of one size (seeds) compete for it together.
    heights = np.array([np.interp(grid, *curve, left=np.inf, right=np.inf) for curve in curves])
    by_size = np.array([heights[N == size].min(axis=0) for size in sizes])
    winner = np.where(np.isfinite(by_size).any(axis=0), by_size.argmin(axis=0), -1)
    winners = np.unique(winner[winner >= 0])
    if len(winners) < 4:
        raise ValueError(f"N must hold at least four sizes that each win at some budget, got {len(winners)}")
    inner = winners[1:-1]
    middles = np.array([grid[winner == i].mean() for i in inner])
    lowest = np.array([np.interp(middle, grid, by_size[i]) for i, middle in zip(inner, middles, strict=True)])
    return _through(np.exp(middles), sizes[inner], lowest)


def _law(fit: SurfaceFit | ChinchillaLaw | KaplanLaw) -> ChinchillaLaw | KaplanLaw:
    return fit.law if isinstance(fit, SurfaceFit) else fit


def _through(flops: NDArray, N: NDArray, loss: NDArray) -> AllocationFit:
    D = flops / FLOPS_PER_TOKEN / N
    return AllocationFit(flops, N, D, loss, fit_power_law(flops, N), fit_power_law(flops, D))


def _bottom(budget: float, N: NDArray, loss: NDArray) -> tuple[float, float]:
    """N and loss at the vertex of the parabola through one budget's runs."""
    sizes = len(np.unique(N))
    if sizes < 3:
        raise ValueError(f"flops {budget:g} needs at least three sizes for a parabola, got {sizes}")
    middle = np.log(N).mean()
    curvature, slope, level = np.polyfit(np.log(N) - middle, loss, 2)
    if curvature <= 0:
        raise ValueError(f"loss at flops {budget:g} has no bottom: its parabola in ln N opens downwards")
    vertex = -slope / (2 * curvature)
    best = float(np.exp(vertex + middle))
    if not N.min() <= best <= N.max():
        raise ValueError(
            f"N at flops {budget:g} must reach both sides of the best size, near {best:.3g}; "
            f"got {N.min():.3g} to {N.max():.3g}"
        )
    return best, float(level + slope * vertex / 2)


def _curves(N: NDArray, tokens: Sequence[Numbers], loss: Sequence[Numbers]) -> list[tuple[NDArray, NDArray]]:
    """Each run's ln C and loss."""
    if N.ndim != 1 or not len(N) == len(tokens) == len(loss):
        raise ValueError(
            f"N, tokens and loss must have one entry per run, got {N.shape}, {len(tokens)} and {len(loss)}"
        )
    curves = []
    for size, D, heights in zip(N, tokens, loss, strict=True):
        D, heights = columns(tokens=D, loss=heights)
        if len(D) < 2 or (np.diff(D) <= 0).any():
            raise ValueError("tokens of each run must rise and have at least two points")
        curves.append((np.log(FLOPS_PER_TOKEN * size * D), heights))
    return curves
