"""The surface fit: exact recovery, parity with scipy, units, outliers, planted exponents, bad input."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize

from lib.accounting import (
    BESIROGLU,
    HOFFMANN,
    KAPLAN,
    ChinchillaLaw,
    KaplanLaw,
    bootstrap,
    fit_loss_surface,
    surface,
)
from tests.nightly import by_day

FORMS = {"chinchilla": BESIROGLU, "kaplan": KAPLAN}


def runs(law, noise=0.01, count=240, seed=0):
    """Runs spread over three decades of N and D, with lognormal noise."""
    draw = np.random.default_rng(seed)
    N, D = 10 ** draw.uniform(7, 10, count), 10 ** draw.uniform(9, 12, count)
    return N, D, law(N, D) * np.exp(draw.normal(0, noise, count))


def constants(law):
    return list(vars(law).values())


@pytest.mark.parametrize("form, law", [("chinchilla", HOFFMANN), *FORMS.items()])
@pytest.mark.parametrize("delta", [1e-3, math.inf])
def test_runs_on_the_surface_give_it_back(form, law, delta):
    fit = fit_loss_surface(*runs(law, noise=0), form=form, delta=delta)
    assert constants(fit.law) == pytest.approx(constants(law), rel=1e-6)
    assert fit.converged and fit.objective < 1e-20 and fit.agreeing > 50 and fit.points == 240
    assert fit.predict([1e8, 1e12], 1e10) == pytest.approx(law([1e8, 1e12], 1e10), rel=1e-9)


def test_as_many_runs_as_parameters_are_enough():
    N, D = [1e7, 1e8, 1e9, 1e8, 1e8], [1e10, 1e10, 1e10, 1e9, 1e11]
    fit = fit_loss_surface(N, D, HOFFMANN(N, D), delta=math.inf)
    assert fit.predict(N, D) == pytest.approx(HOFFMANN(N, D), rel=1e-8)


def plain_objective(constants, form, N, D, loss, delta):
    """Σ Huber, as one would write it from the paper."""
    if form == "chinchilla":
        E, A, B, alpha, beta = constants
        predicted = E + A / N**alpha + B / D**beta
    else:
        alpha_N, alpha_D, N_c, D_c = constants
        predicted = ((N_c / N) ** (alpha_N / alpha_D) + D_c / D) ** alpha_D
    total = 0.0
    for r in np.abs(np.log(predicted) - np.log(loss)):
        total += r * r / 2 if r <= delta else delta * (r - delta / 2)
    return total


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("delta", [1e-3, 0.02, math.inf])
def test_scipy_finds_no_lower_minimum_of_the_same_objective(form, delta):
    N, D, loss = runs(FORMS[form], count=60, seed=1)
    fit = fit_loss_surface(N, D, loss, form=form, delta=delta)
    assert fit.objective == pytest.approx(plain_objective(constants(fit.law), form, N, D, loss, delta), rel=1e-9)

    def logarithmic(theta):
        return plain_objective(np.exp(theta), form, N, D, loss, delta) / fit.objective

    start = np.log(constants(FORMS[form]))
    theirs = minimize(logarithmic, start, method="Nelder-Mead", options={"maxiter": 4000, "maxfev": 4000})
    theirs = minimize(logarithmic, theirs.x, method="Powell")
    assert fit.converged and 1 - 1e-9 <= theirs.fun < 1.01


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("delta", [0.02, math.inf])
def test_the_gradient_is_that_of_finite_differences(form, delta):
    N, D, loss = runs(FORMS[form], noise=0.05, count=50, seed=2)
    problem = surface._Surface(np.log(N), np.log(D), np.log(loss), form, delta)
    for theta in problem.starts(5, seed=0):
        numeric = approx_fprime(theta, problem.objective, 1e-7)
        assert problem.gradient(theta) == pytest.approx(numeric, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_a_law_and_its_coordinates_are_inverse(form):
    N, D, loss = runs(FORMS[form])
    problem = surface._Surface(np.log(N), np.log(D), np.log(loss), form, 1e-3)
    theta = problem.coordinates(FORMS[form])
    assert constants(problem.law(theta)) == pytest.approx(constants(FORMS[form]), rel=1e-9)
    assert np.exp(problem.model(theta[None])[0][0]) == pytest.approx(FORMS[form](N, D), rel=1e-12)


def test_objectives_of_many_parameters_are_those_of_each():
    N, D, loss = runs(HOFFMANN, count=20)
    problem = surface._Surface(np.log(N), np.log(D), np.log(loss), "chinchilla", 1e-3)
    theta = problem.starts(7, seed=3)
    assert problem.objective(theta) == pytest.approx([problem.objective(row) for row in theta], rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_units_of_parameters_and_tokens_change_no_exponent(form):
    N, D, loss = runs(FORMS[form], count=80, seed=4)
    plain = fit_loss_surface(N, D, loss, form=form, starts=20)
    other = fit_loss_surface(N / 1e6, D * 37, loss, form=form, starts=20)
    assert other.exponents == pytest.approx(plain.exponents, rel=1e-3)
    assert other.objective == pytest.approx(plain.objective, rel=1e-6)
    assert other.predict(N / 1e6, D * 37) == pytest.approx(plain.predict(N, D), rel=1e-4)


def test_the_unit_of_the_loss_changes_neither_exponent():
    N, D, loss = runs(HOFFMANN, count=80, seed=5)
    nats = fit_loss_surface(N, D, loss, starts=20)
    bits = fit_loss_surface(N, D, loss / math.log(2), starts=20)
    assert bits.exponents == pytest.approx(nats.exponents, rel=1e-3)
    assert bits.law.E == pytest.approx(nats.law.E / math.log(2), rel=1e-3)


def test_runs_that_went_wrong_move_hubers_fit_less_than_least_squares():
    for seed in range(4):
        N, D, loss = runs(HOFFMANN, noise=0.003, seed=seed)
        spoilt = loss.copy()
        spoilt[N > np.quantile(N, 0.95)] *= 1.2  # some of the largest models diverged
        moved = []
        for delta in (1e-3, math.inf):
            before, after = (fit_loss_surface(N, D, values, delta=delta, starts=20) for values in (loss, spoilt))
            moved.append(abs(np.log(after.predict(1e9, 1e11) / before.predict(1e9, 1e11))))
        assert moved[0] < 0.005 and 5 * moved[0] < moved[1]


def test_a_tenth_of_wild_runs_leave_the_exponents():
    N, D, loss = runs(HOFFMANN, noise=0.003, seed=6)
    loss[::10] *= 1.5
    huber, squares = (fit_loss_surface(N, D, loss, delta=delta, starts=20).exponents for delta in (1e-3, math.inf))
    planted = np.array([0.34, 0.28])
    assert np.abs(huber - planted).max() < 0.02 < np.abs(squares - planted).max()


@pytest.mark.parametrize(
    "count, expected", by_day(1, [(2, 3), (6, 10)])
)  # of 4 and 12, each 95 %; less with 40 samples
@pytest.mark.parametrize("form", FORMS)
def test_planted_exponents_lie_in_their_bootstrap_intervals(form, count, expected):
    law, hits = FORMS[form], []
    planted = [law.alpha_N, law.alpha_D] if form == "kaplan" else [law.alpha, law.beta]
    for seed in range(count):
        data = runs(law, count=60, seed=10 + seed)
        initial = fit_loss_surface(*data, form=form, starts=30).law

        def exponents(*columns, initial=initial):
            return fit_loss_surface(*columns, form=form, starts=1, initial=initial).exponents

        drawn = bootstrap(exponents, data, samples=40, seed=seed, confidence=0.95)
        hits += drawn.contains(planted)
        assert (drawn.high - drawn.low < 0.35 * np.array(planted) + 0.2).all()  # an interval that says something
    assert sum(hits) >= expected


def test_a_fit_from_near_the_answer_finds_the_same_with_few_starts():
    data = runs(HOFFMANN, seed=7)
    many = fit_loss_surface(*data)
    assert many.starts == 100 and many.agreeing > 50
    near = fit_loss_surface(*data, starts=1, initial=HOFFMANN)
    assert near.objective == pytest.approx(many.objective, rel=1e-6) and near.starts == 2
    assert near.exponents == pytest.approx(many.exponents, rel=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_every_start_comes_to_the_minimum_before_the_polish(form):
    N, D, loss = runs(FORMS[form], noise=0.02, seed=11)
    problem = surface._Surface(np.log(N), np.log(D), np.log(loss), form, 1e-3)
    reached = problem.objective(problem.improve(problem.starts(20, seed=0)))
    lowest = fit_loss_surface(N, D, loss, form=form).objective
    assert (reached < (1 + 1e-4) * lowest).mean() > 0.5


def test_a_seed_repeats_a_fit_and_the_answer_does_not_hang_on_it():
    data = runs(HOFFMANN, count=60, seed=8)
    first, again, other = (fit_loss_surface(*data, starts=20, seed=seed) for seed in (0, 0, 1))
    assert first == again and other.exponents == pytest.approx(first.exponents, rel=1e-3)


def test_a_fit_that_stopped_early_says_so(monkeypatch):
    """What happened to Hoffmann et al.: an optimizer that stops on the way gives other exponents."""
    data = runs(HOFFMANN, seed=9)
    monkeypatch.setattr(surface, "ROUNDS", 3)
    monkeypatch.setattr(surface, "minimize", lambda f, x, **_: SimpleNamespace(x=x))
    stopped = fit_loss_surface(*data, starts=5)
    assert not stopped.converged
    monkeypatch.undo()
    assert fit_loss_surface(*data, starts=5).objective < stopped.objective


GOOD = {
    "N": [1e7, 1e8, 1e9] * 3,
    "D": [1e9] * 3 + [1e10] * 3 + [1e11] * 3,
    "loss": [4.0, 3.6, 3.3, 3.5, 3.0, 2.7, 3.2, 2.7, 2.4],
}


def test_the_good_columns_are_good():
    assert fit_loss_surface(**GOOD).converged


@pytest.mark.parametrize(
    "change, message",
    [
        ({"loss": [3.0] * 8}, "loss must have the length of N, 9, got 8"),
        ({"N": [0.0] * 9}, "N must hold finite numbers above 0, got 0"),
        ({"D": [-1.0] * 9}, "D must hold finite numbers above 0, got -1"),
        ({"loss": [math.nan] * 9}, "loss must hold finite numbers above 0, got nan"),
        ({"D": [math.inf] * 9}, "D must hold finite numbers above 0, got inf"),
        ({"N": [1e8] * 9}, "N must take at least 3 different values.* not identifiable; got 1"),
        ({"D": [1e8, 1e9, 1e9] * 3}, "D must take at least 3 different values"),
        ({"N": [1e8] * 9, "form": "kaplan"}, "N must take at least 2 different values"),
        ({"form": "Chinchila"}, "form must be .* got 'Chinchila'; did you mean chinchilla?"),
        ({"delta": 0.0}, "delta must be a number above 0, got 0.0"),
        ({"starts": 0}, "starts must be at least 1"),
        ({"initial": KaplanLaw()}, "initial must be a law of the form that is fitted, got KaplanLaw"),
        ({"initial": ChinchillaLaw(), "form": "kaplan"}, "initial must be .* got ChinchillaLaw"),
    ],
)
def test_data_that_cannot_be_fitted_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        fit_loss_surface(**GOOD | change)


@pytest.mark.parametrize("form, least", surface.FORMS.items())
def test_fewer_runs_than_parameters_are_refused(form, least):
    columns = {name: values[: least - 1] for name, values in GOOD.items()}
    with pytest.raises(ValueError, match=f"{form} surface has {least} parameters .* got {least - 1}"):
        fit_loss_surface(**columns, form=form)


def test_a_loss_that_rises_with_size_is_refused():
    N, D = np.array(GOOD["N"]), np.array(GOOD["D"])
    with pytest.raises(ValueError, match="loss must fall with N to be fitted"):
        fit_loss_surface(N, D, 1.7 + 0.001 * N**0.3 + 400 * D**-0.3)


def test_a_loss_that_rises_with_the_tokens_is_refused():
    N, D = np.array(GOOD["N"]), np.array(GOOD["D"])
    with pytest.raises(ValueError, match="loss must fall with D to be fitted"):
        fit_loss_surface(N, D, 1.7 + 400 * N**-0.3 + 0.001 * D**0.3, starts=10)


def test_a_law_without_a_floor_may_be_where_to_begin():
    fit = fit_loss_surface(**GOOD, starts=1, initial=ChinchillaLaw(E=0.0))
    assert fit.starts == 2 and fit.points == 9 and fit.form == "chinchilla" and math.isfinite(fit.objective)


def test_two_sizes_are_enough_where_there_is_no_floor():
    N, D = np.array([1e7, 1e9] * 2), np.array([1e9, 1e9, 1e11, 1e11])
    assert fit_loss_surface(N, D, KAPLAN(N, D), form="kaplan", starts=10).predict(N, D) == pytest.approx(KAPLAN(N, D))
    with pytest.raises(ValueError, match="D must take at least 2 different values"):
        fit_loss_surface(N, [1e9] * 4, KAPLAN(N, 1e9), form="kaplan")
    with pytest.raises(ValueError, match="delta must be a number above 0, got nan"):
        fit_loss_surface(**GOOD, delta=math.nan)
