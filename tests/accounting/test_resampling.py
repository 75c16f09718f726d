"""The bootstrap: against the theory of means, with whole runs drawn, and failures counted."""

import math

import numpy as np
import pytest

from lib.accounting import bootstrap, fit_power_law
from lib.accounting.resampling import share_by_group


def test_a_means_interval_is_the_theorys():
    x = np.random.default_rng(0).normal(5, 2, 400)
    drawn = bootstrap(np.mean, [x], samples=4000, seed=1)
    half = 1.96 * x.std() / math.sqrt(len(x))  # of the distribution that is drawn from
    # The 2.5 % quantile of 4000 draws has a standard error of about 4 % of `half`.
    assert drawn.low[0] == pytest.approx(x.mean() - half, abs=0.12 * half)
    assert drawn.high[0] == pytest.approx(x.mean() + half, abs=0.12 * half)
    assert drawn.estimate[0] == x.mean() and drawn.draws.shape == (4000, 1) and drawn.failures == 0


def test_a_higher_confidence_is_a_wider_interval_of_the_same_draws():
    x = np.random.default_rng(0).normal(size=50)
    narrow, wide = (bootstrap(np.mean, [x], confidence=confidence) for confidence in (0.5, 0.99))
    assert (narrow.draws == wide.draws).all()
    assert wide.low[0] < narrow.low[0] < narrow.high[0] < wide.high[0]
    assert narrow.low[0] == np.quantile(narrow.draws, 0.25) and narrow.high[0] == np.quantile(narrow.draws, 0.75)


def test_rows_stay_together_and_have_repeats():
    x = np.arange(30.0)
    seen = []

    def check(first, second):
        assert (second == 2 * first).all() and len(first) == 30
        seen.append(len(np.unique(first)))
        return first.mean()

    bootstrap(check, [x, 2 * x], samples=50)
    assert seen[0] == 30 and max(seen[1:]) < 30  # all runs for the estimate, about 63 % of them in a draw
    assert np.mean(seen[1:]) / 30 == pytest.approx(1 - math.exp(-1), abs=0.05)


def test_a_seed_repeats_the_draws():
    x = np.random.default_rng(0).normal(size=20)
    first, again, other = (bootstrap(np.mean, [x], seed=seed) for seed in (3, 3, 4))
    assert (first.draws == again.draws).all() and (first.draws != other.draws).any()


@pytest.mark.nightly
def test_planted_exponents_lie_in_their_intervals():
    hits = 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        x = 10 ** draw.uniform(6, 10, 40)
        y = 3 * x**-0.076 * np.exp(draw.normal(0, 0.05, 40))
        hits += bootstrap(lambda *run: fit_power_law(*run).alpha, [x, y], samples=100).contains(0.076)[0]
    assert 33 <= hits  # of 40, each about 93 %: fewer have a chance of 1 in 100


def test_several_numbers_have_an_interval_each():
    x = np.random.default_rng(0).normal(size=50)
    drawn = bootstrap(lambda v: (v.mean(), v.std()), [x])
    assert drawn.estimate.tolist() == [x.mean(), x.std()] and drawn.low.shape == drawn.high.shape == (2,)
    assert drawn.contains([x.mean(), 50]) == [True, False]
    with pytest.raises(ValueError, match="values must have shape"):
        drawn.contains([1.0])


def test_draws_that_cannot_be_fitted_are_counted_and_drawn_again():
    def fails_where_the_first_run_is_missing(x):
        if x.min() > 0:
            raise ValueError("all N alike")
        return x.mean()

    x = np.array([0.0, 0, 0, 1, 2])  # missed in one draw of a hundred
    drawn = bootstrap(fails_where_the_first_run_is_missing, [x], samples=500)
    assert 0 < drawn.failures < 25 and len(drawn.draws) == 500
    with pytest.raises(ValueError, match="fit_function failed on"):
        bootstrap(fails_where_the_first_run_is_missing, [np.arange(5.0)], samples=500)


@pytest.mark.parametrize("unfit, allowed", [(1, True), (2, False)])
def test_a_tenth_of_the_resamples_may_fail_and_no_more(unfit, allowed):
    calls = []

    def mean(x):
        calls.append(1)
        if 1 < len(calls) <= 1 + unfit:  # the first is the estimate itself
            raise ValueError("unfit")
        return x.mean()

    if allowed:
        assert bootstrap(mean, [np.arange(5.0)], samples=10).failures == unfit
    else:
        with pytest.raises(ValueError, match="fit_function failed on 2 of 2 resamples"):
            bootstrap(mean, [np.arange(5.0)], samples=10)


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="fit_function must return a row of finite numbers"):
        bootstrap(lambda x: math.nan, [[1.0, 2.0]])
    with pytest.raises(ValueError, match="fit_function must return a row"):
        bootstrap(lambda x: np.ones((2, 2)), [[1.0, 2.0]])


@pytest.mark.parametrize(
    "data, options, message",
    [
        ([], {}, "data must be columns"),
        ([[]], {}, "data must be columns"),
        ([3.0], {}, "data must be columns"),
        ([[1.0, 2.0], [1.0]], {}, "data must be columns of one length"),
        ([[1.0, 2.0]], {"samples": 1}, "samples must be at least 2"),
        ([[1.0, 2.0]], {"confidence": 1.0}, r"confidence must lie in \(0, 1\), got 1.0"),
        ([[1.0], [1.0], [1.0, 2.0]], {}, r"data must be columns of one length, at least 1, got lengths"),
        ([[1.0, 2.0]], {"confidence": 0.0}, r"confidence must lie in \(0, 1\), got 0.0"),
    ],
)
def test_what_cannot_be_resampled_is_refused(data, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap(lambda *columns: 1.0, data, **options)


def test_the_ends_of_an_interval_belong_to_it():
    drawn = bootstrap(np.mean, [np.random.default_rng(0).normal(size=9)])
    low, high = drawn.low[0], drawn.high[0]
    inside = [drawn.contains(value)[0] for value in (low, high, np.nextafter(low, -9), np.nextafter(high, 9))]
    assert inside == [True, True, False, False]


def test_two_hundred_samples_and_ninety_five_per_cent_are_usual():
    x = np.arange(9.0)
    drawn = bootstrap(np.mean, [x])
    assert drawn.draws.shape == (200, 1) and drawn.confidence == 0.95
    ends = np.quantile(drawn.draws, 0.025), np.quantile(drawn.draws, 0.975)
    assert (drawn.low[0], drawn.high[0]) == pytest.approx(ends, rel=1e-12)
    assert (drawn.draws == bootstrap(np.mean, [x], seed=0).draws).all()
    assert bootstrap(np.mean, [[3.0]], samples=2).draws.tolist() == [[3.0], [3.0]]


def test_other_errors_of_the_callers_own_are_not_swallowed():
    calls = []

    def broken(x):
        calls.append(1)
        if len(calls) > 1:
            raise KeyError("mine")
        return 1.0

    with pytest.raises(KeyError, match="mine"):
        bootstrap(broken, [[1.0, 2.0]])


def test_a_share_by_group_draws_groups_whole():
    hits, counts, groups = [3, 1, 0, 5], [4, 2, 3, 6], [1, 1, 0, 2]
    drawn = bootstrap(lambda h, n: 100 * h.sum() / n.sum(), [[0, 4, 5], [3, 6, 6]], samples=1000)  # summed by hand
    assert share_by_group(hits, counts, groups) == (drawn.estimate[0], drawn.low[0], drawn.high[0])
    assert share_by_group(hits, counts, ["b", "b", "a", "c"]) == share_by_group(hits, counts, groups)


def test_a_share_by_group_is_wider_where_a_groups_cases_are_alike():
    group = np.repeat(np.arange(40), 25)
    alike = (group % 2).astype(float)  # a whole group is right, or wrong
    _, low, high = share_by_group(alike, np.ones(1000), group)
    _, narrow_low, narrow_high = share_by_group(alike, np.ones(1000), np.arange(1000))
    assert (high - low) / (narrow_high - narrow_low) == pytest.approx(5, rel=0.15)  # the root of 25


def test_a_share_by_group_draws_again_where_nothing_is_counted():
    estimate, low, high = share_by_group([1, 1, 0], [1, 1, 0], [0, 1, 2])
    assert (estimate, low, high) == (100, 100, 100)
    with pytest.raises(ValueError, match="counts must not all be 0"):
        share_by_group([0, 0], [0, 0], [0, 1])
    with pytest.raises(ValueError, match="columns of one length"):
        share_by_group([1, 0], [1, 1], [0])
