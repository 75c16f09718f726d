"""Power-law fits: parity with numpy and scipy, exact recovery, honest intervals, the bias without a floor."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from lib.accounting import fit_power_law, fit_power_law_with_floor

X = np.geomspace(1e6, 1e10, 12)


def noisy(law, noise, seed):
    return law * np.exp(np.random.default_rng(seed).normal(0, noise, len(law)))


@given(c=st.floats(1e-3, 1e6), s=st.floats(-3, 3))
def test_points_on_a_power_law_give_it_back(c, s):
    fit = fit_power_law(X, c * X**s)
    assert fit.exponent == pytest.approx(s, abs=1e-9) and fit.coefficient == pytest.approx(c, rel=1e-8)
    assert fit.alpha == -fit.exponent and fit.floor == 0
    assert fit.predict(X) == pytest.approx(c * X**s, rel=1e-8)


def test_parity_with_polyfit_with_and_without_weights():
    y = noisy(3 * X**-0.076, 0.05, 0)
    weights = np.random.default_rng(1).uniform(0.2, 5, len(X))
    for given_weights in (None, weights):
        fit = fit_power_law(X, y, weights=given_weights)
        # polyfit squares its weights, and scales the covariance as we do.
        root = None if given_weights is None else np.sqrt(given_weights)
        (slope, level), covariance = np.polyfit(np.log(X), np.log(y), 1, w=root, cov=True)
        assert fit.exponent == pytest.approx(slope, rel=1e-10)
        assert fit.coefficient == pytest.approx(math.exp(level), rel=1e-9)
        half = 2.2281388519649385 * covariance[0, 0] ** 0.5  # t of 10 degrees of freedom, 97.5 %
        assert fit.exponent_interval == pytest.approx((slope - half, slope + half), rel=1e-8)
        half = 2.2281388519649385 * covariance[1, 1] ** 0.5
        assert fit.coefficient_interval == pytest.approx((math.exp(level - half), math.exp(level + half)), rel=1e-8)


def test_the_interval_of_alpha_is_the_exponents_mirrored():
    fit = fit_power_law(X, noisy(3 * X**-0.076, 0.05, 0))
    assert fit.alpha_interval == (-fit.exponent_interval[1], -fit.exponent_interval[0])
    assert fit.alpha_interval[0] < fit.alpha < fit.alpha_interval[1]


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_hold_the_planted_exponent_as_often_as_they_say(confidence):
    rounds, hits = 1000, 0
    for seed in range(rounds):
        low, high = fit_power_law(X, noisy(3 * X**-0.076, 0.05, seed), confidence=confidence).exponent_interval
        hits += low <= -0.076 <= high
    # Three standard errors of a share from 1000 trials.
    assert hits / rounds == pytest.approx(confidence, abs=3 * math.sqrt(confidence * (1 - confidence) / rounds))


def test_two_points_fit_exactly_and_say_nothing_about_their_error():
    fit = fit_power_law([1, 100], [10, 1])
    assert fit.exponent == pytest.approx(-0.5) and fit.exponent_interval == (-math.inf, math.inf)
    assert fit.coefficient_interval == (0, math.inf) and math.isnan(fit.residual_std)


def test_weights_pull_and_their_unit_does_not_matter():
    x, y = [1, 10, 100, 1000], [8, 4, 2, 3]
    first = fit_power_law(x, y, weights=[1, 1, 1, 1e-6])
    assert first.exponent == pytest.approx(-math.log10(2), abs=1e-4)
    scaled = fit_power_law(x, y, weights=[7, 7, 7, 7e-6])
    assert scaled.exponent_interval == pytest.approx(first.exponent_interval, rel=1e-9)


@pytest.mark.parametrize("fit_function", [fit_power_law, fit_power_law_with_floor])
@given(unit_x=st.floats(1e-6, 1e6), unit_y=st.floats(1e-3, 1e3))
def test_units_change_no_exponent(fit_function, unit_x, unit_y):
    y = noisy(1.7 + 400 * X**-0.34, 0.01, 3)
    plain, other = fit_function(X, y), fit_function(X * unit_x, y * unit_y)
    assert other.exponent == pytest.approx(plain.exponent, rel=1e-5)
    assert other.exponent_interval == pytest.approx(plain.exponent_interval, rel=1e-3)
    assert other.floor == pytest.approx(plain.floor * unit_y, rel=1e-5)
    assert other.predict(X * unit_x) == pytest.approx(plain.predict(X) * unit_y, rel=1e-5)


@given(floor=st.floats(0.1, 3), c=st.floats(10, 1000), alpha=st.floats(0.2, 0.8))
def test_a_law_with_a_floor_is_given_back(floor, c, alpha):
    x = np.geomspace(1e3, 1e9, 10)
    fit = fit_power_law_with_floor(x, floor + c * x**-alpha)
    assert fit.alpha == pytest.approx(alpha, rel=1e-4) and fit.floor == pytest.approx(floor, rel=1e-4)
    assert fit.predict(x) == pytest.approx(floor + c * x**-alpha, rel=1e-6)


def test_parity_with_curve_fit():
    y = noisy(1.7 + 400 * X**-0.34, 0.01, 4)
    weights = np.random.default_rng(5).uniform(0.5, 2, len(X))
    fit = fit_power_law_with_floor(X, y, weights=weights, confidence=0.6826894921370859)
    best, covariance = curve_fit(
        lambda x, floor, level, s: np.log(floor + np.exp(level + s * (np.log(x) - 18))), X, np.log(y),
        [1, 0, -0.3], sigma=weights**-0.5, xtol=1e-14, ftol=1e-14, gtol=1e-14,
    )  # fmt: skip
    assert (fit.floor, fit.exponent) == pytest.approx((best[0], best[2]), rel=1e-5)
    assert math.log(fit.coefficient) == pytest.approx(best[1] - 18 * best[2], rel=1e-5)
    # With this confidence and many points, t is nearly one standard error: 1.0585 for 9 degrees of freedom.
    assert fit.floor_interval[1] - fit.floor == pytest.approx(1.0585 * covariance[0, 0] ** 0.5, rel=1e-3)
    low, high = fit.exponent_interval
    assert (high - low) / 2 == pytest.approx(1.0585 * covariance[2, 2] ** 0.5, rel=1e-3)


def test_without_the_floor_the_exponent_is_too_small_and_the_forecast_too_low():
    """The known bias: a straight line through a curve that flattens out, trusted far to the right of it."""
    for seed in range(10):
        y = noisy(1.7 + 400 * X**-0.34, 0.005, seed)
        straight, bent = fit_power_law(X, y), fit_power_law_with_floor(X, y)
        assert straight.alpha_interval[1] < 0.2 < bent.alpha_interval[0] < 0.34 < bent.alpha_interval[1]
        assert straight.predict(1e13) < 1.4 < 1.6 < bent.predict(1e13)


def test_a_straight_line_needs_no_floor():
    fit = fit_power_law_with_floor(X, noisy(5 * X**-0.076, 0.001, 1))
    low, high = fit.floor_interval
    assert low == 0 and fit.floor < 0.2 and fit.alpha_interval[0] < 0.076 < fit.alpha_interval[1]


def test_three_points_and_a_floor_leave_no_error_to_judge_by():
    fit = fit_power_law_with_floor([1, 10, 100], [3, 2, 1.5])
    assert fit.predict([1, 10, 100]) == pytest.approx([3, 2, 1.5], rel=1e-6)
    assert fit.floor_interval == (0, math.inf) and fit.exponent_interval == (-math.inf, math.inf)


@pytest.mark.parametrize("fit_function", [fit_power_law, fit_power_law_with_floor])
@pytest.mark.parametrize(
    "x, y, options, message",
    [
        ([1, 2, 3, 4], [1, 2, 3], {}, "y must have the length of x, 4, got 3"),
        ([1, 2, 0, 4], [1, 2, 3, 4], {}, "x must hold finite numbers above 0, got 0"),
        ([1, 2, 3, 4], [1, 2, -3, 4], {}, "y must hold finite numbers above 0, got -3"),
        ([1, 2, 3, 4], [1, math.nan, 3, 4], {}, "y must hold finite numbers above 0, got nan"),
        ([1, 2, 3, math.inf], [1, 2, 3, 4], {}, "x must hold finite numbers above 0, got inf"),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]], {}, r"x must have shape \(R,\), got \(2, 2\)"),
        ([5, 5, 5, 5], [1, 2, 3, 4], {}, "x must take at least"),
        ([1], [2], {}, "needs at least as many points, got 1"),
        ([], [], {}, "needs at least as many points, got 0"),
        ([1, 2, 3, 4], [1, 2, 3, 4], {"weights": [1, 1, 0, 1]}, "weights must hold finite numbers above 0, got 0"),
        ([1, 2, 3, 4], [1, 2, 3, 4], {"weights": [1, 1]}, "weights must have the length of x, 4, got 2"),
        ([1, 2, 3, 4], [1, 2, 3, 4], {"confidence": 1.0}, r"confidence must lie in \(0, 1\), got 1.0"),
    ],
)
def test_data_that_cannot_be_fitted_are_refused(fit_function, x, y, options, message):
    with pytest.raises(ValueError, match=message):
        fit_function(x, y, **options)


def test_a_floor_needs_three_different_points():
    with pytest.raises(ValueError, match="3 parameters .* got 2"):
        fit_power_law_with_floor([1, 2], [2, 1])
    with pytest.raises(ValueError, match="at least 3 different values, or the floor"):
        fit_power_law_with_floor([1, 1, 2], [2, 2.1, 1])


def test_a_prediction_is_for_positive_x():
    with pytest.raises(ValueError, match="x must hold finite numbers above 0"):
        fit_power_law([1, 2], [2, 1]).predict(0)


def test_the_spread_about_a_fit_by_hand():
    """Four points, ln y off a flat line by e, −e, −e, e: the sum of squares is 4 e², with two to spare."""
    e = 0.1
    y = np.exp([e, -e, -e, e])
    fit = fit_power_law([1, 10, 100, 1000], y)
    assert fit.exponent == pytest.approx(0, abs=1e-12) and fit.coefficient == pytest.approx(1)
    assert fit.residual_std == pytest.approx(e * math.sqrt(2)) and fit.points == 4 and fit.confidence == 0.95
    assert fit_power_law([1, 10, 100, 1000], y, confidence=0.5).confidence == 0.5
    floor = fit_power_law_with_floor(X, noisy(1.7 + 400 * X**-0.34, 0.01, 4), confidence=0.9)
    assert (floor.points, floor.confidence) == (12, 0.9)
    residuals = np.log(floor.predict(X)) - np.log(noisy(1.7 + 400 * X**-0.34, 0.01, 4))
    assert floor.residual_std == pytest.approx(math.sqrt((residuals**2).sum() / 9), rel=1e-6)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.5, math.nan])
@pytest.mark.parametrize("fit_function", [fit_power_law, fit_power_law_with_floor])
def test_a_confidence_is_a_share(fit_function, confidence):
    with pytest.raises(ValueError, match=r"confidence must lie in \(0, 1\)"):
        fit_function([1, 2, 3, 4], [4, 3, 2, 1], confidence=confidence)
