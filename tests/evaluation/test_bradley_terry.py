"""Simulated labellers whose taste is known, and two independent optimisers, say whether the fitted rewards are right."""

import itertools
import math

import numpy as np
import pytest
import torch

from lib.evaluation import fit_bradley_terry, recovery_error, simulate_comparisons
from lib.objectives import bradley_terry_loss, bradley_terry_probability, simulate_preferences


def labelled(rewards, number, generator):
    """`number` comparisons of random pairs of items as (winners, losers)."""
    return simulate_comparisons(rewards, number, generator=generator)


def repeated(*results):
    """(winner, loser, times) as the two tensors of a fit."""
    rows = [pair for *pair, times in results for _ in range(times)]
    return tuple(torch.tensor(column) for column in zip(*rows))


# --- simulate_preferences ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("difference", [-2.0, 0.0, 1.0, 3.0])
def test_the_frequency_meets_the_probability(difference, generator):
    N = 20_000
    first = torch.full((N,), 5 + difference)
    share = simulate_preferences(first, torch.full((N,), 5.0), generator=generator).double().mean().item()
    p = bradley_terry_probability(torch.tensor(difference), torch.tensor(0.0)).item()
    assert abs(share - p) < 3 * math.sqrt(p * (1 - p) / N)


def test_a_seed_gives_the_same_labels():
    r = torch.randn(2, 100, generator=torch.Generator().manual_seed(1))
    one, two = (simulate_preferences(*r, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert one.equal(two) and one.any() and not one.all()


@pytest.mark.parametrize(
    ("first", "second", "match"),
    [
        ([1.0], [1.0, 2.0], "shape"),
        ([], [], "rewards_first must not be empty"),
        ([math.nan], [0.0], "finite"),
        ([math.inf], [math.inf], "finite"),
    ],
)
def test_labellers_refuse(first, second, match, unchecked):
    with pytest.raises(ValueError, match=match):
        simulate_preferences(torch.tensor(first), torch.tensor(second))


# --- fit_bradley_terry ------------------------------------------------------------------------------------------------
def test_two_items_are_the_log_odds():
    fit = fit_bradley_terry(*repeated((0, 1, 30), (1, 0, 10)), 2)
    estimate, error = fit.difference(0, 1)
    assert estimate == pytest.approx(math.log(3), abs=1e-9)
    assert error == pytest.approx(math.sqrt(1 / 30 + 1 / 10), rel=1e-9)
    assert fit.log_likelihood == pytest.approx(30 * math.log(0.75) + 10 * math.log(0.25))
    assert fit.interval(0, 1) == pytest.approx((estimate - 1.959964 * error, estimate + 1.959964 * error), rel=1e-6)
    assert fit.interval(1, 0)[0] == pytest.approx(-fit.interval(0, 1)[1])


def test_rewards_and_covariance_are_centred(generator):
    fit = fit_bradley_terry(*labelled(torch.tensor([2.0, 0.0, 1.0, -1.0]), 300, generator), 4)
    assert fit.rewards.dtype == torch.float64 and fit.rewards.sum().abs() < 1e-12
    assert fit.covariance.sum(dim=0).abs().max() < 1e-12
    ends = fit.centred_intervals(level=0.5)
    torch.testing.assert_close(ends.mean(dim=1), fit.rewards)
    torch.testing.assert_close((ends[:, 1] - ends[:, 0]) / 2, 0.6744897501960817 * fit.covariance.diagonal().sqrt())


def test_parity_with_scipy(generator):
    from scipy.optimize import minimize

    winners, losers = labelled(torch.tensor([1.0, -0.5, 0.3, 0.0, 2.0]), 400, generator)

    def loss(r):
        r = torch.tensor(r, requires_grad=True)
        value = len(winners) * bradley_terry_loss(r[winners], r[losers])
        value.backward()
        return value.item(), r.grad.numpy()

    found = minimize(loss, np.zeros(5), jac=True, method="BFGS", options={"gtol": 1e-9})
    fit = fit_bradley_terry(winners, losers, 5)
    np.testing.assert_allclose(fit.rewards, found.x - found.x.mean(), atol=1e-6)
    assert fit.log_likelihood == pytest.approx(-found.fun)
    r = fit.rewards.clone().requires_grad_()
    hessian = torch.autograd.functional.hessian(lambda r: len(winners) * bradley_terry_loss(r[winners], r[losers]), r)
    torch.testing.assert_close(fit.covariance, torch.linalg.pinv(hessian, hermitian=True), atol=1e-10, rtol=1e-8)


def test_parity_with_logistic_regression(generator):
    from sklearn.linear_model import LogisticRegression

    M = 6
    winners, losers = labelled(torch.randn(M, generator=generator), 500, generator)
    flip = torch.rand(500, generator=generator) < 0.5  # it needs both labels
    X = (torch.eye(M)[winners] - torch.eye(M)[losers]) * torch.where(flip, -1, 1)[:, None]
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000)
    model.fit(X[:, 1:].double().numpy(), (~flip).numpy())
    other = np.r_[0, model.coef_[0]]
    np.testing.assert_allclose(fit_bradley_terry(winners, losers, M).rewards, other - other.mean(), atol=1e-5)


@pytest.mark.parametrize("shift", [-3.0, 0.0, 100.0])
def test_the_truth_is_covered_as_often_as_promised(shift):
    """95 % and 80 % intervals over 400 data sets: within 3 standard errors of a share."""
    truth = torch.tensor([1.2, 0.4, -0.3, -1.3], dtype=torch.float64) + shift
    generator = torch.Generator().manual_seed(11)
    pairs = [(0, 1), (0, 3), (1, 2)]
    covered = {0.95: 0, 0.8: 0}
    whole = 0
    for _ in range(400):
        fit = fit_bradley_terry(*labelled(truth, 200, generator), 4)
        for level in covered:
            ends = [fit.interval(i, j, level=level) for i, j in pairs]
            covered[level] += sum(low <= truth[i] - truth[j] <= high for (low, high), (i, j) in zip(ends, pairs))
        centred = truth - truth.mean()
        low, high = fit.centred_intervals().T
        whole += int(((low <= centred) & (centred <= high)).sum())
    for level, count in covered.items():
        assert abs(count / 1200 - level) < 3 * math.sqrt(level * (1 - level) / 400)
    assert abs(whole / 1600 - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 400)


@pytest.mark.parametrize("seed", range(5))
def test_the_error_falls_as_one_over_the_root_of_n(seed):
    """Lecture 11 claims it of its own answers."""
    truth = torch.linspace(-2, 2, 8)
    generator = torch.Generator().manual_seed(seed)
    few, many = (recovery_error(truth, number, generator=generator) for number in (400, 6400))
    assert few / many == pytest.approx(4, rel=0.4)


def test_the_error_is_the_one_that_the_covariance_promises():
    truth = torch.tensor([1.0, 0.0, 0.0, -1.0])
    generator = torch.Generator().manual_seed(5)
    promised = fit_bradley_terry(*labelled(truth, 100_000, generator), 4).covariance.diagonal().mean() * 100
    assert recovery_error(truth, 1000, repeats=100, generator=generator) == pytest.approx(
        promised.sqrt().item(), rel=0.2
    )


def test_every_pair_of_items_is_compared_equally_often(generator):
    winners, losers = simulate_comparisons(torch.zeros(3), 6000, generator=generator)
    counts = torch.bincount(3 * winners + losers, minlength=9).view(3, 3)
    assert counts.diagonal().sum() == 0
    assert (counts[counts > 0] - 1000).abs().max() < 4 * math.sqrt(1000) and (counts > 0).sum() == 6


@pytest.mark.parametrize(
    ("rewards", "number", "match"), [([1.0], 5, "at least 2"), ([1.0, 2.0], 0, "number must be at least 1")]
)
def test_comparisons_refuse(rewards, number, match):
    with pytest.raises(ValueError, match=match):
        simulate_comparisons(torch.tensor(rewards), number)
    with pytest.raises(ValueError, match="repeats must be at least 1"):
        recovery_error(torch.zeros(2), 10, repeats=0)


def test_a_full_step_may_overshoot_and_is_halved():
    """Chains of lopsided results: from zero, Newton's full step ends where the information is singular."""
    wins = {(0, 2): 62_497, (0, 3): 63, (1, 4): 38, (2, 0): 38, (2, 3): 5, (2, 4): 37_262, (3, 0): 3688, (3, 1): 483,
            (3, 4): 366, (4, 0): 1, (4, 1): 62}  # fmt: skip
    counts = torch.tensor(list(wins.values()))
    winners, losers = (torch.tensor([pair[side] for pair in wins]).repeat_interleave(counts) for side in (0, 1))
    fit = fit_bradley_terry(winners, losers, 5)
    chance = torch.sigmoid(fit.rewards[:, None] - fit.rewards)
    slope = torch.zeros(5).double()
    for (i, j), number in wins.items():
        slope[i] += number * chance[j, i]
        slope[j] -= number * chance[j, i]
    assert slope.abs().max() < 1e-5


def test_steep_data_converge():
    fit = fit_bradley_terry(*repeated((0, 1, 100_000), (1, 0, 1), (1, 2, 100_000), (2, 1, 1)), 3)
    assert fit.difference(0, 2)[0] == pytest.approx(2 * math.log(100_000), rel=1e-6)


@pytest.mark.parametrize("seed", [1046, 4166, 4480])
def test_the_last_step_may_drown_in_rounding(seed):
    """Data sets at whose maximum the last step of Newton's method lowers the likelihood by one rounding error."""
    generator = torch.Generator().manual_seed(seed)
    winners, losers = labelled(torch.linspace(-1.5, 1.5, 4), 60, generator)
    r = fit_bradley_terry(winners, losers, 4).rewards.requires_grad_()
    (slope,) = torch.autograd.grad(bradley_terry_loss(r[winners], r[losers]), r)
    assert slope.abs().max() < 1e-12


def test_numbering_does_not_matter(generator):
    winners, losers = labelled(torch.tensor([1.0, 0.0, -1.0]), 100, generator)
    new = torch.tensor([2, 0, 1])
    there, here = fit_bradley_terry(new[winners], new[losers], 3), fit_bradley_terry(winners, losers, 3)
    torch.testing.assert_close(there.rewards[new], here.rewards)
    torch.testing.assert_close(there.covariance[new][:, new], here.covariance)


REFUSED = [
    ([], [], 2, r"winners must not be empty, got shape \(0,\)"),
    ([0, 1], [1], 2, r"losers must have the shape of winners, \(2,\), got \(1,\)"),
    ([0], [1], 1, "num_items must be at least 2, got 1"),
    ([0, 2], [1, 0], 2, "winners must be ids from 0 to 1, got 2"),
    ([0, 1], [-1, 0], 2, "losers must be ids from 0 to 1, got -1"),
    ([0, 1, 1], [1, 0, 1], 2, "comparison 2 is of item 1 with itself"),
    ([0, 1], [1, 0], 3, r"items \[2\] were never compared"),
    ([0, 1, 2, 3], [1, 0, 3, 2], 4, r"items \[2, 3\] were never compared"),
    ([0, 0, 1, 2], [1, 2, 2, 1], 3, "item 0 never lost"),
    ([0, 1, 0, 1], [1, 0, 2, 2], 3, r"items \[0, 1\] never lost to any"),  # item 2 never won
]


@pytest.mark.parametrize(("winners", "losers", "items", "match"), REFUSED)
def test_what_has_no_maximum_is_refused(winners, losers, items, match, unchecked):
    with pytest.raises(ValueError, match=match):
        fit_bradley_terry(torch.tensor(winners).long(), torch.tensor(losers).long(), items)


@pytest.mark.parametrize("results", list(itertools.product([0, 1], repeat=6)))
def test_ford_agrees_with_every_way_to_part_three_items(results):
    """All 64 sets of results among three items: refused exactly where some group never lost to the rest."""
    arrows = [pair for pair, there in zip(itertools.permutations(range(3), 2), results) if there]
    if not arrows:
        return
    groups = [set(g) for size in (1, 2) for g in itertools.combinations(range(3), size)]
    fine = all(any(w not in g and l in g for w, l in arrows) for g in groups)
    winners, losers = (torch.tensor(column) for column in zip(*arrows))
    if fine:
        assert fit_bradley_terry(winners, losers, 3).rewards.isfinite().all()
    else:
        with pytest.raises(ValueError, match="never"):
            fit_bradley_terry(winners, losers, 3)


def test_too_few_steps_are_said():
    with pytest.raises(RuntimeError, match="in 1 steps"):
        fit_bradley_terry(*repeated((0, 1, 30), (1, 0, 10)), 2, max_steps=1)


@pytest.mark.parametrize("level", [0, 1, -0.5, 1.5, math.nan])
def test_a_level_is_a_share(level, unchecked):
    fit = fit_bradley_terry(*repeated((0, 1, 3), (1, 0, 1)), 2)
    with pytest.raises(ValueError, match=rf"level must lie in \(0, 1\), got {level}"):
        fit.interval(0, 1, level=level)
    with pytest.raises(ValueError, match="level"):
        fit.centred_intervals(level=level)


@pytest.mark.parametrize(
    ("pair", "match"),
    [
        ((0, 2), r"second must lie in \[0, 1\], got 2"),
        ((0, -1), r"second must lie in \[0, 1\], got -1"),
        ((-1, 0), r"first must lie in \[0, 1\], got -1"),
        ((2, 0), r"first must lie in \[0, 1\], got 2"),
        ((1, 1), "different"),
    ],
)
def test_a_difference_needs_two_items(pair, match):
    fit = fit_bradley_terry(*repeated((0, 1, 3), (1, 0, 1)), 2)
    with pytest.raises(ValueError, match=match):
        fit.difference(*pair)


def test_differences_of_items_that_are_compared_unequally_often():
    """A star of three: item 1 met the two others 8 and 40 times, which never met; each difference stands alone."""
    fit = fit_bradley_terry(*repeated((0, 1, 6), (1, 0, 2), (1, 2, 10), (2, 1, 30)), 3)
    first, second = math.sqrt(1 / 6 + 1 / 2), math.sqrt(1 / 10 + 1 / 30)
    assert fit.difference(0, 1) == pytest.approx((math.log(3), first))
    assert fit.difference(2, 1) == pytest.approx((math.log(3), second))
    assert fit.difference(0, 2) == pytest.approx((0, math.hypot(first, second)), abs=1e-9)
    assert fit.difference(1, 2)[0] == pytest.approx(-math.log(3))


def steps_by_hand(tolerance):
    """Newton's method on 30 wins and 10 losses of two items, whose lead is one number: how many steps, and where."""
    lead, steps = 0.0, 0
    while True:
        p = 1 / (1 + math.exp(-lead))
        move = (30 - 40 * p) / (40 * p * (1 - p))
        if abs(move) / 2 <= tolerance:  # half of it for each of the two
            return steps, lead
        lead, steps = lead + move, steps + 1


@pytest.mark.parametrize("tolerance", [0.51, 0.49, 0.03, 1e-3])
def test_it_stops_when_no_reward_would_move_by_more_than_the_tolerance(tolerance):
    results = repeated((0, 1, 30), (1, 0, 10))
    steps, lead = steps_by_hand(tolerance)
    assert steps == {0.51: 0, 0.49: 1, 0.03: 2, 1e-3: 3}[tolerance]
    fit = fit_bradley_terry(*results, 2, tolerance=tolerance, max_steps=steps + 1)
    assert fit.rewards.tolist() == pytest.approx([lead / 2, -lead / 2], abs=1e-12)
    if steps:
        with pytest.raises(RuntimeError, match=f"in {steps} steps"):
            fit_bradley_terry(*results, 2, tolerance=tolerance, max_steps=steps)


@pytest.mark.parametrize("items", [7, 15, 20])
def test_the_longest_chain_of_wins_is_followed_to_its_end(items):
    """Each beat only the next, and the last the first."""
    winners = torch.arange(items)
    assert fit_bradley_terry(winners, (winners + 1) % items, items).rewards.abs().max() < 1e-9
    with pytest.raises(ValueError, match="item 0 never lost"):
        fit_bradley_terry(winners[:-1], winners[1:], items)


@pytest.mark.parametrize("repeats", [3, None])
def test_the_error_is_the_root_of_the_mean_over_data_sets(repeats):
    """Not the mean of their roots; and the rewards, whose mean is 2, are centred."""
    truth, generator = torch.tensor([3.0, 2.5, 0.5]), torch.Generator().manual_seed(1)
    squares = []
    for _ in range(repeats or 20):
        fitted = fit_bradley_terry(*simulate_comparisons(truth, 60, generator=generator), 3).rewards
        squares.append(sum((r - (t - 2)) ** 2 for r, t in zip(fitted.tolist(), truth.tolist())) / 3)
    options = {} if repeats is None else {"repeats": repeats}
    found = recovery_error(truth, 60, generator=torch.Generator().manual_seed(1), **options)
    assert found == pytest.approx(math.sqrt(sum(squares) / len(squares)), rel=1e-6)


def test_two_answers_are_enough_and_all_three_draws_are_the_generators():
    winners, losers = simulate_comparisons(torch.tensor([0.0, 0.5]), 1, generator=torch.Generator().manual_seed(0))
    assert sorted((winners.item(), losers.item())) == [0, 1]
    drawn = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        one = simulate_comparisons(torch.linspace(-1, 1, 5), 50, generator=torch.Generator().manual_seed(0))
        drawn.append(torch.stack(one))
    assert torch.equal(*drawn)
