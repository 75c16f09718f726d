"""Compute-optimal training: the closed form against a search, three approaches, two biases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from lib.accounting import (
    BESIROGLU,
    HOFFMANN,
    KAPLAN,
    PF_DAY,
    allocation_exponents,
    bootstrap,
    compute_optimal,
    envelope_fit,
    fit_loss_surface,
    fit_power_law,
    isoflop_fit,
    kaplan_optimal,
)

BUDGETS = np.geomspace(1e18, 1e21, 5)


def searched(loss, flops):
    """The N of lowest loss(N, D) at C = 6ND, by a search."""
    found = minimize_scalar(
        lambda u: float(loss(np.exp(u), flops / 6 / np.exp(u))), bounds=np.log([10, 1e14]), method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    return float(np.exp(found.x))


def profiles(law, budgets=BUDGETS, sizes=9, noise=0.0, seed=0):
    """Runs at each budget with sizes to both sides of the best."""
    C = np.repeat(budgets, sizes)
    N = compute_optimal(law, C).parameters * np.tile(2.0 ** np.linspace(-3, 3, sizes), len(budgets))
    return C, N, law(N, C / 6 / N) * np.exp(np.random.default_rng(seed).normal(0, noise, len(C)))


def curves(law, sizes=10, noise=0.0, seed=0):
    draw = np.random.default_rng(seed)
    N, D = 1e7 * 2.0 ** np.arange(sizes), np.geomspace(1e8, 1e12, 200)
    return N, [D] * sizes, [law(n, D) * np.exp(draw.normal(0, noise)) for n in N]


@pytest.mark.parametrize("law", [HOFFMANN, BESIROGLU, KAPLAN])
@pytest.mark.parametrize("flops", [1e18, 5.76e23])
def test_the_closed_form_is_the_lowest_point_of_the_surface(law, flops):
    N, D = compute_optimal(law, flops)
    assert 6 * N * D == pytest.approx(flops, rel=1e-12)
    assert float(N) == pytest.approx(searched(law, flops), rel=1e-4)
    assert law(N, D) < min(law(N * 1.1, D / 1.1), law(N / 1.1, D * 1.1))


def test_chinchillas_budget_asks_for_about_twenty_tokens_per_parameter():
    corrected = compute_optimal(BESIROGLU, 5.76e23)
    assert 15 < corrected.tokens_per_parameter < 25
    # The paper's own fit contradicts its advice.
    assert compute_optimal(HOFFMANN, 5.76e23).tokens_per_parameter > 50


def test_gpt3_should_have_been_smaller_and_kaplan_would_have_made_it_larger():
    C = 6 * 175e9 * 300e9
    assert compute_optimal(BESIROGLU, C).parameters < 60e9 < 175e9 < kaplan_optimal(C).parameters


@pytest.mark.parametrize("law", [HOFFMANN, BESIROGLU, KAPLAN])
@given(flops=st.floats(1e15, 1e25), factor=st.floats(1.5, 1e3))
def test_the_exponents_are_those_of_the_closed_form(law, flops, factor):
    a, b = allocation_exponents(law)
    assert a + b == pytest.approx(1, rel=1e-12)
    low, high = compute_optimal(law, [flops, flops * factor]).parameters
    assert np.log(high / low) / np.log(factor) == pytest.approx(a, rel=1e-9)


def test_published_exponents():
    # The paper's are of constants that it prints rounded.
    assert allocation_exponents(HOFFMANN) == pytest.approx((0.46, 0.54), abs=0.01)
    assert allocation_exponents(BESIROGLU) == pytest.approx((0.513, 0.487), abs=5e-4)


def test_a_fit_and_its_law_give_the_same():
    N, D = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4)))
    fit = fit_loss_surface(N, D, HOFFMANN(N, D), starts=10)
    assert compute_optimal(fit, 1e21) == compute_optimal(fit.law, 1e21)
    assert allocation_exponents(fit) == pytest.approx(allocation_exponents(HOFFMANN), rel=1e-6)


def test_kaplans_advice_at_one_petaflop_day():
    N, D = kaplan_optimal([PF_DAY, 10 * PF_DAY])
    assert N == pytest.approx([1.3e9, 1.3e9 * 10**0.73]) and D == pytest.approx([2e10, 2e10 * 10**0.27])


@pytest.mark.parametrize("law", [HOFFMANN, BESIROGLU])
def test_three_approaches_find_the_planted_exponents(law):
    a, b = allocation_exponents(law)
    C, N, loss = profiles(law)
    for fit in (isoflop_fit(C, N, loss), envelope_fit(*curves(law))):
        assert fit.exponents == pytest.approx((a, b), abs=0.003) and sum(fit.exponents) == pytest.approx(1)
        assert fit.tokens == pytest.approx(fit.flops / 6 / fit.parameters)
        best = compute_optimal(law, fit.flops)
        assert fit.parameters == pytest.approx(best.parameters, rel=0.15)  # a parabola: not quite
        assert fit.loss == pytest.approx(law(*best), rel=0.005)
        assert fit.at(1e22).parameters == pytest.approx(compute_optimal(law, 1e22).parameters, rel=0.2)
        assert 6 * fit.at(1e22).parameters * fit.at(1e22).tokens == pytest.approx(1e22)
    surface = fit_loss_surface(N, C / 6 / N, loss, starts=20)
    assert allocation_exponents(surface) == pytest.approx((a, b), abs=1e-5)


def test_the_planted_exponent_lies_in_the_bootstrap_interval_of_noisy_profiles():
    hits = 0
    for seed in range(12):
        data = profiles(BESIROGLU, sizes=15, noise=0.002, seed=seed)
        drawn = bootstrap(lambda *runs: isoflop_fit(*runs).exponents[0], data, samples=60, seed=seed)
        hits += drawn.contains(allocation_exponents(BESIROGLU)[0])[0]
        assert drawn.high[0] - drawn.low[0] < 0.1
    assert hits >= 9  # of 12, each about 93 %: fewer have a chance of 1 in 100


def test_a_parabola_is_exact_where_the_profile_is_one():
    C, N = np.repeat([1e18, 1e20], 5), np.concatenate([1e7 * 2.0 ** np.arange(5), 1e8 * 2.0 ** np.arange(5)])
    best = np.where(C < 1e19, 3e7, 5e8)
    fit = isoflop_fit(C, N, 2.5 + 0.1 * np.log(N / best) ** 2)
    assert fit.parameters == pytest.approx([3e7, 5e8]) and fit.loss == pytest.approx([2.5, 2.5])
    assert fit.exponents[0] == pytest.approx(np.log(5e8 / 3e7) / np.log(100))
    shuffled = np.random.default_rng(0).permutation(10)
    again = isoflop_fit(C[shuffled], N[shuffled], (2.5 + 0.1 * np.log(N / best) ** 2)[shuffled])
    assert again.parameters == pytest.approx(fit.parameters)


def test_seeds_of_one_size_share_a_stair_and_short_curves_do_not_win_beyond_their_end():
    N, D, loss = curves(HOFFMANN)
    plain = envelope_fit(N, D, loss)
    doubled = envelope_fit([*N, *N], [*D, *D], [*loss, *[heights * 1.001 for heights in loss]])
    assert doubled.parameters.tolist() == plain.parameters.tolist()
    assert doubled.flops == pytest.approx(plain.flops) and doubled.loss == pytest.approx(plain.loss, rel=1e-9)
    ends = [120 + 5 * i for i in range(10)]
    shorter = [[column[:end] for column, end in zip(table, ends, strict=True)] for table in (D, loss)]
    cut = envelope_fit(N, *shorter)
    for size, flops in zip(cut.parameters, cut.flops, strict=True):
        run = int(np.flatnonzero(size == N)[0])
        assert flops <= 6 * size * D[run][ends[run] - 1]


def test_an_envelope_of_straight_lines_by_hand():
    """Six runs whose curves are lines in ln C, each next one steeper, which cross at 40, 41, 43, 46 and 50."""
    crossings, N = np.array([40.0, 41, 43, 46, 50]), 1e6 * 3.0 ** np.arange(6)
    tops = 1000 + np.concatenate([[0], np.cumsum(crossings)])
    log_C = np.linspace(38, 54, 5)
    fit = envelope_fit(
        N, [np.exp(log_C) / (6 * n) for n in N], [top - (i + 1) * log_C for i, top in enumerate(tops)], budgets=16_001
    )
    middles = (crossings[1:] + crossings[:-1]) / 2
    assert fit.parameters.tolist() == pytest.approx(N[1:-1].tolist(), rel=1e-12)  # the first and last stair are cut off
    assert np.log(fit.flops) == pytest.approx(middles, abs=1e-3)
    lines = [tops[i] - (i + 1) * middle for i, middle in zip(range(1, 5), middles, strict=True)]
    assert fit.loss == pytest.approx(lines, abs=0.01)
    slope = np.polyfit(middles, np.log(N[1:-1]), 1)[0]
    assert fit.exponents[0] == pytest.approx(slope, abs=1e-3)


def test_leaving_out_the_embeddings_turns_chinchillas_exponent_into_kaplans():
    """The known bias (Pearce & Song 2024): runs counted in Kaplan's way, in the range of his sizes.

    All parameters are N + ωN^(1/3), with N those without embeddings and Kaplan's ω = 47,491. Chinchilla's
    law holds in all of them; seen in N and C = 6ND, the best N grows as C^0.78 instead of C^0.51, near
    Kaplan's 0.73.
    """

    def seen_without_embeddings(N, D):
        return BESIROGLU(N + 47_491 * N ** (1 / 3), D)

    C = np.geomspace(1e12, 1e21, 30)
    N = np.array([searched(seen_without_embeddings, flops) for flops in C])
    his = (768 < N) & (N < 1.5e9)
    assert his.sum() > 20
    biased = fit_power_law(C[his], N[his]).exponent
    assert allocation_exponents(BESIROGLU)[0] == pytest.approx(0.51, abs=0.005)
    assert biased == pytest.approx(0.78, abs=0.02)
    # With large models embeddings hardly count, and the bias goes away.
    large = [searched(seen_without_embeddings, flops) for flops in (1e25, 1e27)]
    assert np.log(large[1] / large[0]) / np.log(100) == pytest.approx(0.52, abs=0.015)


def test_curves_of_longer_schedules_give_an_envelope_of_smaller_models():
    """Another bias (Hoffmann et al. 2022, section 3.1): before its end a run lies above a finished one."""
    N, D, loss = curves(HOFFMANN)
    honest = envelope_fit(N, D, loss)
    unfinished = [heights * np.linspace(1.05, 1, len(heights)) for heights in loss]  # straight in ln D
    biased = envelope_fit(N, D, unfinished)
    assert biased.at(1e20).parameters < 0.9 * honest.at(1e20).parameters


@pytest.mark.parametrize("bad", [0, -1.0, float("nan"), float("inf")])
def test_a_budget_is_positive(bad, unchecked):
    for call in (lambda flops: compute_optimal(HOFFMANN, flops), kaplan_optimal):
        with pytest.raises(ValueError, match="flops must hold finite numbers above 0"):
            call(bad)


THREE = [1e7, 2e7, 4e7] * 2
VALLEY = [3.0, 2.9, 3.0] * 2
TWICE = [1e18] * 3 + [1e19] * 3


@pytest.mark.parametrize(
    "flops, N, loss, message",
    [
        (TWICE, THREE[:5], VALLEY, "N must have the length of flops, 6, got 5"),
        (TWICE, THREE, [3.0, float("nan"), 3.0] * 2, "loss must hold finite numbers above 0, got nan"),
        ([1e18] * 6, THREE, VALLEY, "flops must take at least 2 different values"),
        (TWICE, [1e7, 2e7, 2e7] * 2, VALLEY, r"flops 1e\+18 needs at least three sizes .* got 2"),
        (TWICE, THREE, [2.9, 3.0, 2.9] * 2, r"loss at flops 1e\+18 has no bottom"),
        (TWICE, THREE, [3.0, 3.1, 3.3] * 2, r"N at flops 1e\+18 must reach both sides of the best size"),
        (TWICE, THREE, [*VALLEY[:3], 2.9, 3.0, 2.9], r"loss at flops 1e\+19 has no bottom"),
        (TWICE, THREE, [*VALLEY[:3], 3.3, 3.1, 3.0], r"N at flops 1e\+19 must reach both sides"),
        (TWICE, [*THREE[:4], 2e7, 2e7], VALLEY, r"flops 1e\+19 needs at least three sizes"),
        (TWICE, THREE, [3.3, 3.1, 3.0] * 2, r"N at flops 1e\+18 must reach both sides of the best size"),
    ],
)
def test_profiles_without_a_best_size_are_refused(flops, N, loss, message):
    with pytest.raises(ValueError, match=message):
        isoflop_fit(flops, N, loss)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"N": [1e7] * 3}, "N, tokens and loss must have one entry per run"),
        ({"N": 1e7}, "N, tokens and loss must have one entry per run"),
        ({"tokens": [[2e9, 1e9]] * 10}, "tokens of each run must rise"),
        ({"tokens": [[1e9, 1e9]] * 10}, "tokens of each run must rise"),
        (
            {"tokens": [[1e9]] * 10, "loss": [[3.0]] * 10},
            "tokens of each run must rise and have at least two",
        ),
        ({"tokens": [[1e9, 2e9, 3e9]] * 10}, "loss must have the length of tokens, 3, got"),
        ({"loss": [[3.0, -1.0]] * 10}, "loss must hold finite numbers above 0, got -1"),
        ({"loss": [[3.0, 2.0]] * 10}, "at least four sizes that each win at some budget, got"),
        ({"budgets": 1}, "budgets must be at least 2"),
    ],
)
def test_curves_without_an_envelope_are_refused(change, message):
    good = {"N": [1e7] * 10, "tokens": [[1e9, 2e9]] * 10, "loss": [[3.0, 2.5]] * 10}
    with pytest.raises(ValueError, match=message):
        envelope_fit(**good | change)


def straight_lines(count):
    """Runs whose curves are lines in ln C, each next one steeper; each wins somewhere."""
    crossings, N = 40.0 + np.arange(count - 1) ** 1.5, 1e6 * 3.0 ** np.arange(count)
    tops, log_C = 1000 + np.concatenate([[0], np.cumsum(crossings)]), np.linspace(38, crossings[-1] + 4, 5)
    return N, [np.exp(log_C) / (6 * n) for n in N], [top - (i + 1) * log_C for i, top in enumerate(tops)]


def test_four_sizes_are_enough_for_an_envelope_and_three_are_not():
    assert envelope_fit(*straight_lines(4)).parameters == pytest.approx([3e6, 9e6])
    with pytest.raises(ValueError, match="at least four sizes that each win at some budget, got 3"):
        envelope_fit(*straight_lines(3))


def test_runs_of_an_envelope_come_in_any_order():
    N, D, loss = straight_lines(6)
    order = [3, 0, 5, 1, 4, 2]
    shuffled = envelope_fit(N[order], [D[i] for i in order], [loss[i] for i in order])
    plain = envelope_fit(N, D, loss)
    assert shuffled.parameters.tolist() == plain.parameters.tolist() and shuffled.flops == pytest.approx(plain.flops)


def test_a_fit_keeps_its_laws_apart():
    """Budgets a hundredfold apart, ten times the size: N = C^1/2 / 10², D = 100 C^1/2 / 6."""
    C, N = [1e18] * 3 + [1e20] * 3, [5e6, 1e7, 2e7, 5e7, 1e8, 2e8]
    fit = isoflop_fit(C, N, [3, 2.9, 3, 2.5, 2.4, 2.5])
    assert fit.flops.tolist() == [1e18, 1e20] and fit.parameters == pytest.approx([1e7, 1e8])
    assert fit.tokens == pytest.approx([1e11 / 6, 1e12 / 6]) and fit.loss == pytest.approx([2.9, 2.4])
    at = fit.at([1e22, 1e24])
    assert at.parameters == pytest.approx([1e9, 1e10]) and at.tokens == pytest.approx([1e13 / 6, 1e14 / 6])
    assert at.tokens_per_parameter == pytest.approx([1e4 / 6, 1e4 / 6])
