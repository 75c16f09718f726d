"""Power laws fitted by least squares on logarithms, with and without a floor that no scale goes below."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import stdtrit

from lib import checks
from lib.accounting.arrays import Numbers, Values, columns, distinct, enough, positives

Interval = tuple[float, float]


@dataclass(frozen=True)
class PowerLawFit:
    """y = floor + coefficient · x^exponent, as fitted; the exponent of a loss that falls is negative.

    Intervals are those of normal errors in ln y (Student's t); with no point to spare they are infinite.
    """

    coefficient: float
    exponent: float
    coefficient_interval: Interval
    exponent_interval: Interval
    residual_std: float  # of ln y about the fit; NaN with no point to spare
    points: int
    confidence: float
    floor: float = 0.0  # L∞, in the unit of y
    floor_interval: Interval = (0.0, 0.0)

    def predict(self, x: Numbers) -> Values:
        """y at `x`, positive numbers of any shape.

        >>> fit_power_law([1, 10, 100], [4, 2, 1]).predict(1000).round(6)
        np.float64(0.5)
        """
        return self.floor + self.coefficient * positives("x", x) ** self.exponent

    @property
    def alpha(self) -> float:
        """α of L = (x_c/x)^α: the exponent with the sign that scaling laws print.

        >>> round(fit_power_law([1, 10, 100], [4, 2, 1]).alpha, 4)
        0.301
        """
        return -self.exponent

    @property
    def alpha_interval(self) -> Interval:
        """The interval of `alpha`, low end first.

        >>> low, high = fit_power_law([1, 10, 100], [4, 2.1, 1]).alpha_interval
        >>> low < 0.301 < high
        True
        """
        low, high = self.exponent_interval
        return -high, -low


def fit_power_law(x: Numbers, y: Numbers, *, weights: Numbers | None = None, confidence: float = 0.95) -> PowerLawFit:
    """y = c x^s by least squares on ln y = ln c + s ln x (slide T08's straight lines on log-log paper).

    x and y are positive and equally long; `weights` are relative, 1/variance of ln y. A straight line is
    right only where there is no floor: below one, the slope is too flat (see `fit_power_law_with_floor`).

    Raises ValueError for values that are not positive and finite, lengths that differ, fewer than two points
    or all x alike.

    >>> fit = fit_power_law([1e6, 1e7, 1e8], [4.0, 4.0 * 10**-0.076, 4.0 * 100**-0.076])
    >>> round(fit.alpha, 6), round(float(fit.predict(1e6)), 6)
    (0.076, 4.0)
    """
    x, y, weights = _checked(x, y, weights, confidence)
    enough("a power law", len(x), 2)
    distinct("x", x, 2, "the exponent")
    middle = np.average(np.log(x), weights=weights)
    design = np.stack([np.ones_like(x), np.log(x) - middle], axis=1)
    root = np.sqrt(weights)
    solution, *_ = np.linalg.lstsq(root[:, None] * design, root * np.log(y), rcond=None)
    residuals = root * (design @ solution - np.log(y))
    covariance, std = _covariance(root[:, None] * design, residuals)
    level, slope = solution
    ln_c = level - slope * middle
    spread = stdtrit(max(len(x) - 2, 1), (1 + confidence) / 2)
    return PowerLawFit(
        coefficient=float(np.exp(ln_c)),
        exponent=float(slope),
        coefficient_interval=_exp(_interval(ln_c, [1.0, -middle], covariance, spread)),
        exponent_interval=_interval(slope, [0.0, 1.0], covariance, spread),
        residual_std=std,
        points=len(x),
        confidence=confidence,
    )


def fit_power_law_with_floor(
    x: Numbers, y: Numbers, *, weights: Numbers | None = None, confidence: float = 0.95
) -> PowerLawFit:
    """y = L∞ + c x^s with L∞ ≥ 0, by least squares on ln y from several starts.

    L∞ is the loss that remains however large x becomes (the entropy of text, or what another scarce resource costs).
    Where the points lie on a straight line, L∞ is badly determined and its interval shows it.

    Raises ValueError as `fit_power_law`, and for fewer than three points or three different x.

    >>> x = [1e6, 1e7, 1e8, 1e9]
    >>> fit = fit_power_law_with_floor(x, [1.7 + 400 * v**-0.34 for v in x])
    >>> round(fit.floor, 4), round(fit.alpha, 4), round(fit_power_law(x, fit.predict(x)).alpha, 2)
    (1.7, 0.34, 0.14)
    """
    x, y, weights = _checked(x, y, weights, confidence)
    enough("a power law with a floor", len(x), 3)
    distinct("x", x, 3, "the floor")
    middle, size = np.log(x).mean(), float(np.exp(np.log(y).mean()))  # the units of x and y do not matter
    root = np.sqrt(weights)
    best = _best_floor(np.log(x) - middle, y / size, root)
    level, slope, floor = best.x
    covariance, std = _covariance(best.jac, best.fun)
    ln_c = level - slope * middle + np.log(size)
    spread = stdtrit(max(len(x) - 3, 1), (1 + confidence) / 2)
    low, high = _interval(floor * size, [0.0, 0.0, size], covariance, spread)
    return PowerLawFit(
        coefficient=float(np.exp(ln_c)),
        exponent=float(slope),
        coefficient_interval=_exp(_interval(ln_c, [1.0, -middle, 0.0], covariance, spread)),
        exponent_interval=_interval(slope, [0.0, 1.0, 0.0], covariance, spread),
        residual_std=std,
        points=len(x),
        confidence=confidence,
        floor=float(floor * size),
        floor_interval=(max(low, 0.0), high),
    )


def _best_floor(u: NDArray, y: NDArray, root: NDArray):
    """The (level, slope, floor) of the least squares of root · (ln(floor + e^(level + slope u)) − ln y)."""

    def residuals(theta):
        return root * (np.log(theta[2] + np.exp(theta[0] + theta[1] * u)) - np.log(y))

    def jacobian(theta):
        power = np.exp(theta[0] + theta[1] * u)
        of_all = root / (theta[2] + power)
        return np.stack([of_all * power, of_all * power * u, of_all], axis=1)

    found = []
    for part in (0.01, 0.5, 0.9, 0.99):  # of the lowest y: the floor to start from
        floor = part * y.min()
        slope, level = np.polyfit(u, np.log(y - floor), 1)
        found.append(
            least_squares(
                residuals, [level, slope, floor], jac=jacobian, bounds=([-np.inf, -np.inf, 0], np.inf),
                x_scale="jac", ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=500,
            )
        )  # fmt: skip
    return min(found, key=lambda solution: solution.cost)


def _checked(x: Numbers, y: Numbers, weights: Numbers | None, confidence: float) -> tuple[NDArray, NDArray, NDArray]:
    """The columns in double precision, weights of mean one."""
    checks.share("confidence", confidence, "(0, 1)")
    if weights is None:
        x, y = columns(x=x, y=y)
        return x, y, np.ones_like(x)
    x, y, weights = columns(x=x, y=y, weights=weights)
    return x, y, weights / weights.mean()


def _covariance(design: NDArray, residuals: NDArray) -> tuple[NDArray | None, float]:
    """The parameters' covariance and the residuals' standard deviation, or None and NaN if undetermined."""
    points, parameters = design.shape
    if points == parameters:
        return None, float("nan")
    variance = float(residuals @ residuals) / (points - parameters)
    scale = np.linalg.norm(design, axis=0)  # columns of one length, for the sake of the inverse
    gram = (design / scale).T @ (design / scale)
    if np.linalg.cond(gram) > 1e14:
        return None, variance**0.5
    return variance * np.linalg.inv(gram) / np.outer(scale, scale), variance**0.5


def _interval(value: float, direction: list[float], covariance: NDArray | None, spread: float) -> Interval:
    """value ± spread standard errors along `direction`; the whole line where there is no covariance."""
    if covariance is None:
        return -np.inf, np.inf
    half = spread * (np.array(direction) @ covariance @ np.array(direction)) ** 0.5
    return float(value - half), float(value + half)


def _exp(interval: Interval) -> Interval:
    with np.errstate(over="ignore"):  # a bound that overflows is infinite, as it should be
        return float(np.exp(interval[0])), float(np.exp(interval[1]))
