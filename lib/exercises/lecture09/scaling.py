"""Exercises of notebook 09: fit an exponent, spend a budget."""

import math

import numpy as np
import torch
from scipy.optimize import curve_fit

from lib.accounting import fit_power_law
from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.exercises.lecture09.draws import Number, uniform
from lib.exercises.lecture09.scaling_optimal import OPTIMAL


# --- scaling.fit_exponent -----------------------------------------------------------------------------------
def fit_exponent(x: list[Number], y: list[Number]) -> float:
    """α of y = c · x^(−α), by least squares on ln y against ln x (slide T08).

    >>> round(fit_exponent([1e6, 1e7, 1e8], [4.0, 4.0 * 0.839, 4.0 * 0.839**2]), 3)
    0.076
    """
    return -_slope(np.log(x), np.log(y))


def _slope(u, v) -> float:
    u, v = np.asarray(u, dtype=float), np.asarray(v, dtype=float)
    return float(((u - u.mean()) * (v - v.mean())).sum() / ((u - u.mean()) ** 2).sum())


def _laws(generator):
    sizes = sorted(10**e for e in uniform(generator, 7, 5.0, 9.0))
    noise = np.exp(0.02 * torch.randn(7, generator=generator, dtype=torch.float64).numpy())
    alpha = uniform(generator, 1, 0.05, 0.5)[0]
    kaplan = [1e5, 1e6, 1e7, 1e9]
    noisy = (2.5 * np.array(sizes) ** -alpha * noise).tolist()
    return [
        case("Kaplan's line, four sizes", kaplan, [(8.8e13 / n) ** 0.076 for n in kaplan]),
        case("seven noisy runs of random sizes", sizes, noisy),
        case("two runs", [1e6, 4e6], [3.0, 2.8]),
        case("runs in no order, one size twice", [1e6, 1e4, 3e5, 1e4, 8e6], [3.1, 5.0, 3.4, 4.6, 2.9]),
        case("a rising loss", [10.0, 100.0, 500.0], [2.0, 2.2, 2.3]),
        case("a loss below one nat", [2.0, 5.0, 11.0, 40.0], [0.9, 0.61, 0.5, 0.21]),
        case("an outlier in the middle", [1e3, 1e4, 3e5, 1e6], [5.0, 4.1, 4.2, 2.9]),
    ]


def _of_the_losses(x, y):
    """Least squares on y itself: large losses decide."""
    slope, level = np.polyfit(np.log(x), np.log(y), 1)
    fitted, _ = curve_fit(lambda u, c, alpha: np.exp(c - alpha * u), np.log(x), y, p0=(level, -slope))
    return float(fitted[1])


def _one_of_each_size(x, y, of):
    """A line through one value of ln y for each size."""
    at = {size: of([v for u, v in zip(x, np.log(y), strict=True) if u == size]) for size in dict.fromkeys(x)}
    return -_slope(np.log(list(at)), list(at.values()))


def _mean_of_steps(x, y):
    return -float(np.mean(np.diff(np.log(y)) / np.diff(np.log(x))))


EXPONENT = Exercise(
    id="scaling.fit_exponent",
    slides=("T08", "T09"),
    points=4,
    minutes=12,
    title="Fit an exponent",
    reference=fit_exponent,
    cases=_laws,
    accepts=(
        lambda x, y: -float(np.polyfit(np.log10(x), np.log10(y), 1)[0]),
        lambda x, y: fit_power_law(x, y).alpha,
    ),
    withheld=(
        "lib.accounting.fitting.fit_power_law_with_floor",
        "lib.accounting.fitting._best_floor",
    ),
    misconceptions=(
        Misconception(
            "linear_axes",
            lambda x, y: -_slope(x, y),
            "You fitted a line to x and y themselves. A power law is straight on logarithmic axes: take the "
            "logarithm of both.",
        ),
        Misconception(
            "log_of_x_only",
            lambda x, y: -_slope(np.log(x), y),
            "You took the logarithm of x but not of y. The slope is then in nats per e-fold of x.",
        ),
        Misconception(
            "log_of_y_only",
            lambda x, y: -_slope(x, np.log(y)),
            "You took the logarithm of y but not of x: that fits an exponential, c·exp(−αx).",
        ),
        Misconception(
            "swapped",
            lambda x, y: -_slope(np.log(y), np.log(x)),
            "You fitted ln x as a function of ln y. x was chosen and y measured: predict ln y from ln x.",
        ),
        Misconception(
            "swapped_and_turned_round",
            lambda x, y: -1 / _slope(np.log(y), np.log(x)),
            "You fitted ln x as a function of ln y and turned the line round. With noise that is another line: least "
            "squares must measure the errors in ln y.",
        ),
        Misconception(
            "sign",
            lambda x, y: -fit_exponent(x, y),
            "That is the slope. Scaling laws state α with y = c·x^(−α), which is positive if the loss falls.",
        ),
        Misconception(
            "between_the_ends",
            lambda x, y: -math.log(y[-1] / y[0]) / math.log(x[-1] / x[0]),
            "You joined the first and the last point and ignored those between. Least squares uses all points.",
        ),
        Misconception(
            "mean_of_steps",
            _mean_of_steps,
            "The mean of the slopes from point to point gives a short step as much weight as a long one. Fit "
            "one line to all points.",
        ),
        Misconception(
            "through_the_origin",
            lambda x, y: -float(np.log(x) @ np.log(y) / (np.log(x) @ np.log(x))),
            "Your line has no intercept, but ln y = ln c − α ln x, and c is not 1.",
        ),
        Misconception(
            "mixed_logarithms",
            lambda x, y: -_slope(np.log10(x), np.log(y)),
            "You mix ln and log10. Any base works if it is the same for both axes.",
        ),
        Misconception(
            "never_negative",
            lambda x, y: abs(fit_exponent(x, y)),
            "Your exponent is positive even where the loss rises. Where y grows with x, α is negative.",
        ),
        Misconception(
            "least_squares_of_the_losses",
            _of_the_losses,
            "Your curve makes the errors of y small, not those of ln y: large losses then count more. Fit a straight line to the "
            "logarithms.",
        ),
        Misconception(
            "sizes_count_once",
            lambda x, y: _one_of_each_size(x, y, np.mean),
            "Runs of one size share one vote in your line. Every run counts, two of one size count twice.",
        ),
        Misconception(
            "last_run_of_a_size",
            lambda x, y: _one_of_each_size(x, y, lambda values: values[-1]),
            "If a size comes twice, you keep only its last run (a dict has each key once). Every run counts.",
        ),
        Misconception(
            "covariance_and_variance",
            lambda x, y: -float(np.cov(np.log(x), np.log(y))[0, 1] / np.var(np.log(x))),
            "`np.cov` divides by n − 1 and `np.var` by n. Divide both sums by the same number.",
        ),
        Misconception(
            "rounded",
            lambda x, y: round(fit_exponent(x, y), 3),
            "Return the exponent as it is: rounding is for a table.",
        ),
    ),
    hints=(
        "ln y = ln c − α ln x is a straight line in ln x.",
        "The slope of the line that least squares gives is Σ(u − ū)(v − v̄) / Σ(u − ū)² with u = ln x and v = ln y; NumPy's "
        "`polyfit` finds it, too.",
        "Which sign has the slope of a falling line, and which sign is asked for? Try it on exact powers.",
    ),
)


EXERCISES = (EXPONENT, OPTIMAL)
