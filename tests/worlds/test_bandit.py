"""The handful of answers: counted moments against formulas, and lecture 12's claims for several seeds."""

import pytest
import torch

from lib.objectives import exact_policy_gradient, grpo_advantages, rloo
from lib.worlds.bandit import (
    estimate_gradients,
    estimator_moments,
    learning_curves,
    no_baseline,
    train_bandit,
    z_scores,
)
from tests.nightly import by_day

LOGITS = torch.tensor([-0.5, 0.2, 0.8, 0.5], dtype=torch.float64)
MARKS = torch.tensor([7.0, 5.0, 1.0, 3.0], dtype=torch.float64)
EXACT = exact_policy_gradient(LOGITS, MARKS)
POLICY = LOGITS.softmax(dim=0)


def by_autograd(answers, rewards):
    z = LOGITS.clone().requires_grad_()
    value = (torch.log_softmax(z, dim=0)[answers] * rewards[answers]).mean()
    return torch.autograd.grad(value, z)[0]


def test_estimates_are_the_gradient_of_weighed_log_probabilities():
    answers = torch.tensor([[0, 0, 2], [3, 1, 1]])
    found = estimate_gradients(LOGITS, answers, MARKS)
    torch.testing.assert_close(found, torch.stack([by_autograd(row, MARKS) for row in answers]))


def test_advantages_are_taken_within_a_group():
    answers = torch.tensor([[0, 1], [2, 2]])
    first, second = estimate_gradients(LOGITS, answers, MARKS, rloo)
    assert torch.equal(second, torch.zeros(4, dtype=torch.float64)), "equal rewards teach nothing"
    one, other = (torch.eye(4, dtype=torch.float64)[k] - POLICY for k in (0, 1))
    torch.testing.assert_close(first, (2 * one - 2 * other) / 2)


@pytest.mark.parametrize("advantages", [no_baseline, lambda r: r - 3.3, rloo], ids=["none", "constant", "rloo"])
@pytest.mark.parametrize("samples", [2, 3, 4])
def test_what_does_not_look_at_its_own_answer_is_unbiased(advantages, samples):
    mean = estimator_moments(LOGITS, MARKS, advantages, samples=samples).mean
    torch.testing.assert_close(mean, EXACT, rtol=0, atol=1e-12)


def test_a_group_mean_with_oneself_shrinks_and_a_maximum_turns():
    shrunk = estimator_moments(LOGITS, MARKS, lambda r: grpo_advantages(r, scale=False), samples=4).mean
    torch.testing.assert_close(shrunk, 0.75 * EXACT, rtol=0, atol=1e-12)
    turned = estimator_moments(LOGITS, MARKS, lambda r: r - r.amax(dim=1, keepdim=True), samples=4).mean
    assert torch.cosine_similarity(turned, EXACT, dim=0) < 0.99


@pytest.mark.parametrize("b", [0.0, 3.0, -10.0])
def test_the_variance_of_one_sample_is_its_formula(b):
    scores = torch.eye(4, dtype=torch.float64) - POLICY
    second = (POLICY * (MARKS - b).square() * scores.square().sum(dim=1)).sum()
    wanted = (second - EXACT.square().sum()).item()
    assert estimator_moments(LOGITS, MARKS, lambda r: r - b, samples=1).variance == pytest.approx(wanted)
    assert estimator_moments(LOGITS, MARKS, lambda r: r - b, samples=4).variance == pytest.approx(wanted / 4)


@pytest.mark.parametrize("seed", by_day(1, range(5)))
def test_many_estimates_surround_the_exact_gradient(seed):
    generator = torch.Generator().manual_seed(seed)
    answers = torch.multinomial(POLICY, 80_000, replacement=True, generator=generator).view(-1, 4)
    assert z_scores(estimate_gradients(LOGITS, answers, MARKS), EXACT).abs().max() < 4
    shrunk = estimate_gradients(LOGITS, answers, MARKS, lambda r: grpo_advantages(r, scale=False))
    assert z_scores(shrunk, EXACT).abs().max() > 20, "the same test sees a bias of a quarter"


@pytest.mark.parametrize("block", by_day(1, range(5)))
def test_leave_one_out_always_arrives_and_raw_marks_do_not(block):
    seeds = range(20 * block, 20 * block + 20)
    judged = learning_curves(MARKS, rloo, seeds=seeds, start=LOGITS)[:, -1]
    raw = learning_curves(MARKS, seeds=seeds, start=LOGITS)[:, -1]
    assert judged.min() > 6.5 and (raw < 6).sum() >= 2


@pytest.mark.parametrize("block", by_day(0, range(5)))
def test_a_hundred_points_for_everybody_make_it_believe_the_first_answer(block):
    seeds = range(20 * block, 20 * block + 20)
    settings = {"seeds": seeds, "start": LOGITS}
    fooled = learning_curves(MARKS, proxy_rewards=MARKS + 100, **settings)
    assert (fooled[:, -1] > 6.5).sum() < 10
    near_a_mark = (fooled[:, 19, None] - MARKS).abs().amin(dim=1) < 0.1
    assert near_a_mark.sum() >= 14, "certain of one answer after twenty steps"
    shifted = learning_curves(MARKS, rloo, proxy_rewards=MARKS + 100, **settings)
    torch.testing.assert_close(shifted, learning_curves(MARKS, rloo, **settings))


def test_play_repeats_and_starts_where_it_is_told():
    settings = {"steps": 5, "samples": 3, "learning_rate": 0.1}
    assert torch.equal(train_bandit(MARKS, seed=1, **settings), train_bandit(MARKS, seed=1, **settings))
    assert not torch.equal(train_bandit(MARKS, seed=1, **settings), train_bandit(MARKS, seed=2, **settings))
    still = train_bandit(MARKS, steps=1, samples=1, learning_rate=0.0, start=LOGITS)
    torch.testing.assert_close(still[0], POLICY)


@pytest.mark.parametrize("samples", [0, 11])
def test_moments_refuse_what_cannot_be_counted(samples, unchecked):
    with pytest.raises(ValueError, match=f"samples must .* got {samples}"):
        estimator_moments(LOGITS, MARKS, samples=samples)


def test_one_estimate_does_not_scatter(unchecked):
    with pytest.raises(ValueError, match="at least 2"):
        z_scores(torch.zeros(1, 3), torch.zeros(3))


def test_bad_input_is_named(unchecked):
    settings = {"steps": 1, "samples": 1, "learning_rate": 0.1}
    with pytest.raises(ValueError, match=r"rewards must have the shape of logits, \(4,\), got \(3,\)"):
        estimate_gradients(LOGITS, torch.tensor([[0]]), MARKS[:3])
    for name in ("steps", "samples"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            train_bandit(MARKS, **(settings | {name: 0}))
    with pytest.raises(ValueError, match="rewards must have the shape"):
        train_bandit(MARKS, start=LOGITS[:2], **settings)
    with pytest.raises(ValueError, match=r"seeds must not be empty, got range\(0, 0\)"):
        learning_curves(MARKS, seeds=range(0))


def test_one_step_is_the_estimate_of_its_own_draws_times_the_rate():
    first, second = train_bandit(MARKS.float(), rloo, steps=2, samples=3, learning_rate=0.3, seed=4, start=LOGITS)
    generator = torch.Generator().manual_seed(4)
    z = LOGITS.clone()
    for policy in (first, second):
        answers = torch.multinomial(z.softmax(dim=0), 3, replacement=True, generator=generator)
        z = z + 0.3 * estimate_gradients(z, answers[None], MARKS, rloo)[0]
        torch.testing.assert_close(policy, z.softmax(dim=0))
    assert first.dtype is torch.float64
    undecided = train_bandit(MARKS, steps=1, samples=1, learning_rate=0.0)
    assert undecided.tolist() == [[0.25] * 4] and LOGITS.tolist() == [-0.5, 0.2, 0.8, 0.5]


def test_a_curve_is_what_each_policy_earns_by_the_true_rewards():
    settings = {"steps": 4, "samples": 2, "learning_rate": 0.2, "start": LOGITS}
    proxy = MARKS.flip(0)
    curves = learning_curves(MARKS.float(), rloo, seeds=range(3, 5), proxy_rewards=proxy, **settings)
    for row, seed in zip(curves, (3, 4), strict=True):
        policies = train_bandit(proxy, rloo, seed=seed, **settings)
        torch.testing.assert_close(row, torch.stack([(policy * MARKS).sum() for policy in policies]))


def test_as_many_groups_as_allowed_are_counted(monkeypatch, unchecked):
    monkeypatch.setattr("lib.worlds.bandit.MOST_GROUPS", 16)
    assert estimator_moments(LOGITS, MARKS, samples=2).variance > 0
    monkeypatch.setattr("lib.worlds.bandit.MOST_GROUPS", 15)
    with pytest.raises(ValueError, match="within 15, got 2"):
        estimator_moments(LOGITS, MARKS, samples=2)


def test_a_z_score_by_hand():
    """Estimates 1 and 3: mean 2, standard deviation √2, standard error 1."""
    assert z_scores(torch.tensor([[1.0, 0.0], [3.0, 4.0]]), torch.tensor([1.0, 4.0])).tolist() == pytest.approx([1, -1])
