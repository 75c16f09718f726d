"""The language of five words: its rewards by hand, REINFORCE against the enumerated gradient, and what it learns."""

import pytest
import torch

from lib.worlds.five_words import (
    BAD,
    END,
    GOOD,
    NOT,
    VERY,
    Estimator,
    all_answers,
    expected_earnings,
    gradient_table,
    sampled_z_scores,
    small_policy,
    spell,
    train,
    weights_of,
    with_and_without_baseline,
    word_rewards,
)
from tests.nightly import by_day


def answer(*words):
    ids = torch.tensor([[END, *words, *[END] * (4 - len(words))]])
    mask = torch.zeros_like(ids, dtype=torch.bool)
    mask[0, 1 : len(words) + 1] = True
    return ids, mask


@pytest.mark.parametrize(
    "words, earned",
    [
        ((GOOD,), [1]),
        ((VERY, GOOD, VERY, GOOD), [0, 2, 0, 2]),
        ((NOT, BAD, END), [0, 1, 0]),
        ((NOT, VERY, GOOD), [0, 0, 2]),  # only the word directly before counts
        ((BAD, VERY, BAD), [-1, 0, -2]),
        ((END,), [0]),
    ],
)
def test_what_words_earn(words, earned):
    ids, mask = answer(*words)
    found = word_rewards(ids, mask)[0]
    assert found[1 : len(words) + 1].tolist() == earned and found.sum() == sum(earned)
    assert word_rewards(ids, mask, bonus=5.0)[0, len(words)] == earned[-1] + 5
    assert word_rewards(ids, mask, bonus=5.0).sum() == sum(earned) + 5


def test_nothing_is_earned_outside_the_answer():
    ids = torch.tensor([[BAD, GOOD, END, GOOD]])
    mask = torch.tensor([[False, True, True, False]])
    assert word_rewards(ids, mask).tolist() == [[0, 1, 0, 0]]


def test_every_answer_is_there_once_and_the_best_earns_four():
    world = all_answers(small_policy())
    said = [spell(*row) for row in zip(world.input_ids, world.response_mask)]
    assert len(set(said)) == len(said) == 341 and "not bad ." in said
    assert world.log_probs.exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert word_rewards(world.input_ids, world.response_mask).sum(dim=1).max() == 4


def test_weights_are_whole_rewards_rewards_to_go_or_against_the_others():
    ids, mask = (torch.cat(parts) for parts in zip(answer(GOOD, BAD), answer(GOOD, GOOD)))
    batch = all_answers(small_policy())._replace(input_ids=ids, response_mask=mask)
    assert weights_of(batch, Estimator())[:, 1].tolist() == [0, 2]
    assert weights_of(batch, Estimator(to_go=True))[:, 1:3].tolist() == [[0, -1], [2, 1]]
    assert weights_of(batch, Estimator(leave_one_out=True, bonus=5.0))[:, 1].tolist() == [-2, 2]
    assert weights_of(batch, Estimator(to_go=True, leave_one_out=True))[:, 2].tolist() == [-2, 2]


@pytest.fixture(scope="module")
def tables():
    """One policy's estimates by answer: whole rewards, with a bonus, and rewards to go."""
    policy = small_policy(3)
    with torch.no_grad():
        chance = all_answers(policy).log_probs.exp()
    exact = torch.autograd.grad(expected_earnings(policy), list(policy.parameters()))
    hows = {"whole": Estimator(), "bonus": Estimator(bonus=5.0), "to go": Estimator(to_go=True)}
    tables = {name: gradient_table(policy, how) for name, how in hows.items()}
    return chance, torch.cat([g.flatten() for g in exact]), tables


def test_every_estimator_has_the_exact_gradient_as_its_mean(tables):
    chance, exact, found = tables
    for table in found.values():
        torch.testing.assert_close(chance @ table, exact, rtol=0, atol=1e-12)


def test_rewards_to_go_scatter_less_and_a_bonus_more(tables):
    chance, exact, found = tables
    variance = {name: (chance @ (table - exact).square()).sum().item() for name, table in found.items()}
    assert variance["to go"] < 0.8 * variance["whole"] < 0.1 * variance["bonus"]


@pytest.mark.parametrize("seed", by_day(2, range(5)))
def test_sampled_estimates_lie_around_the_exact_gradient(seed, unchecked):  # many small calls
    z = sampled_z_scores(small_policy(), Estimator(to_go=seed % 2 == 1), samples=4000, seed=seed)
    assert z.abs().max() < 5 and (z.abs() < 2).double().mean() > 0.85


@pytest.mark.parametrize("seed", by_day(1, range(5)))
def test_it_learns_and_faster_with_a_baseline(seed, unchecked):
    curves = with_and_without_baseline(seed, show_progress=False)
    mean = {name: sum(curve) / len(curve) for name, curve in curves.items()}
    assert min(curve[-1] for curve in curves.values()) > 3.8
    assert mean["leave one out"] > mean["no baseline"] + 0.05


def test_training_repeats_and_needs_others_to_leave_one_out(unchecked):
    runs = [train(small_policy(), Estimator(), steps=3, samples=4, show_progress=False) for _ in range(2)]
    assert runs[0] == runs[1]
    with pytest.raises(ValueError, match="at least 2 answers"):
        train(small_policy(), Estimator(leave_one_out=True), steps=1, samples=1, show_progress=False)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        train(small_policy(), Estimator(), steps=0, samples=4, show_progress=False)
    with pytest.raises(ValueError, match="response_mask counts no token of row 0"):
        word_rewards(torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="how must not leave one out"):
        gradient_table(small_policy(), Estimator(leave_one_out=True))


def test_a_curve_ends_with_what_the_policy_earns_without_the_bonus(unchecked):
    policy, other = small_policy(1), small_policy(1)
    curve = train(policy, Estimator(bonus=5.0), steps=2, samples=4, show_progress=False)
    assert len(curve) == 2 and curve[-1] == expected_earnings(policy).item() != curve[0]
    train(other, Estimator(bonus=5.0), steps=2, samples=4, seed=1, show_progress=False)
    still = small_policy(1)
    train(still, Estimator(bonus=5.0), steps=2, samples=4, learning_rate=0.0, show_progress=False)
    numbers = [torch.cat([p.flatten() for p in each.parameters()]) for each in (policy, other, still, small_policy(1))]
    assert not torch.equal(numbers[0], numbers[1]) and torch.equal(numbers[2], numbers[3])
    assert numbers[0].dtype is torch.float64 and not torch.equal(numbers[2], small_policy(2).tokens.weight.new_zeros(1))


def test_both_runs_begin_with_the_same_policy_and_differ_by_the_baseline(unchecked):
    curves = with_and_without_baseline(2, steps=1, samples=8, bonus=3.0, show_progress=False)
    for name, how in (("no baseline", Estimator(bonus=3.0)), ("leave one out", Estimator(False, True, 3.0))):
        assert curves[name] == train(small_policy(2), how, steps=1, samples=8, seed=2, show_progress=False)
    assert list(curves) == ["no baseline", "leave one out"]


def test_a_baseline_is_the_mean_of_the_other_two():
    ids, mask = (torch.cat(parts) for parts in zip(answer(GOOD, BAD), answer(GOOD, GOOD), answer(VERY, BAD)))
    batch = all_answers(small_policy())._replace(input_ids=ids, response_mask=mask)
    assert weights_of(batch, Estimator(leave_one_out=True))[:, 1].tolist() == [0, 3, -3]  # earned: 0, 2, -2
    to_go = weights_of(batch, Estimator(to_go=True, leave_one_out=True))
    assert to_go[:, 2].tolist() == [-0.5 * (1 - 2) - 1, 1 + 1.5, -2 - 0.0]  # from the second word on: -1, 1, -2
