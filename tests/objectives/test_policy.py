"""Policy-gradient losses, held against loops in float64 and against expectations over every answer there is."""

import itertools
import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.objectives import (
    clip_fraction,
    exact_policy_gradient,
    masked_reduce,
    ppo_clip_loss,
    reinforce_loss,
    rewards_to_go,
    value_loss,
)

REDUCTIONS = ["token_mean", "sequence_mean", "sequence_sum"]
MASK = torch.tensor([[0, 1, 1, 1, 0], [0, 0, 1, 0, 0], [0, 1, 0, 1, 1]])  # the last answer has called a tool
GAINS = [-1.0, 0.0, 0.3]  # advantages of three answers


def reduce_by_loops(values, mask, reduction):
    rows = [[v for v, m in zip(row, counts) if m] for row, counts in zip(values.tolist(), mask.tolist())]
    if reduction == "token_mean":
        return sum(map(sum, rows)) / sum(map(len, rows))
    sums = [sum(row) / (len(row) if reduction == "sequence_mean" else 1) for row in rows]
    return sum(sums) / len(rows)


def wide(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def normal(generator, *shape, requires_grad=False):
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(requires_grad)


# --- reductions ---


@settings(max_examples=50)
@given(B=st.integers(1, 4), T=st.integers(1, 5), seed=st.integers(0, 99), boolean=st.booleans())
def test_reductions_by_loops(B, T, seed, boolean):
    g = torch.Generator().manual_seed(seed)
    mask = torch.rand(B, T, generator=g) < 0.5
    mask[torch.arange(B), torch.randint(0, T, (B,), generator=g)] = True  # no row is empty
    values = normal(g, B, T)
    for how in REDUCTIONS:
        found = masked_reduce(values, mask if boolean else mask.long(), how).item()
        assert found == pytest.approx(reduce_by_loops(values, mask, how), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_what_does_not_count_may_be_anything(reduction):
    values = torch.tensor([[torch.nan, 1.0, 2.0], [3.0, torch.inf, -torch.inf]], requires_grad=True)
    mask = torch.tensor([[0, 1, 1], [1, 0, 0]])
    found = masked_reduce(values, mask, reduction)
    found.backward()
    assert found.item() == {"token_mean": 2.0, "sequence_mean": 2.25, "sequence_sum": 3.0}[reduction]
    assert (values.grad[mask == 0] == 0).all() and (values.grad[mask == 1] > 0).all()


def test_bad_reductions(unchecked):
    values, mask = torch.zeros(2, 3), torch.tensor([[1, 0, 0], [0, 0, 0]])
    with pytest.raises(ValueError, match="reduction must be .*'sequence_mean' or 'sequence_sum', got 'sum'"):
        masked_reduce(values, torch.ones(2, 3).bool(), "sum")
    for how in REDUCTIONS:
        with pytest.raises(ValueError, match="mask counts no token of row 1: an answer has at least one token"):
            masked_reduce(values, mask, how)
        with pytest.raises(ValueError, match=r"mask must have shape \(2, 3\), got \(3,\)"):
            masked_reduce(values, mask[0], how)
        with pytest.raises(ValueError, match=r"mask must not be empty, got shape \(0, \d\)"):
            masked_reduce(values[:0], mask[:0], how)


# --- what holds for all losses of this module ---


def losses(reduction):
    """Each loss as a function of what is trained, what it is held against, advantages or returns, and the mask."""
    return {
        "reinforce": lambda new, old, gain, mask: reinforce_loss(new, gain, mask, reduction=reduction),
        "ppo": partial(ppo_clip_loss, reduction=reduction),
        "dual-clip ppo": partial(ppo_clip_loss, epsilon_high=0.28, dual_clip=3, reduction=reduction),
        "value": partial(value_loss, reduction=reduction),
        "clipped value": partial(value_loss, epsilon=0.4, reduction=reduction),
    }


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", losses("token_mean"))
def test_prompt_and_padding_never_count(name, reduction, generator):
    loss = losses(reduction)[name]
    new, old, gain = (normal(generator, 3, 5) for _ in range(3))
    new.requires_grad_()
    expected = loss(new, old, gain, MASK)
    wanted = torch.autograd.grad(expected, new)[0]
    assert (wanted[MASK == 0] == 0).all()
    anything = [torch.where(MASK == 1, x.detach(), 300 * normal(generator, 3, 5)) for x in (new, old, gain)]
    anything[0].requires_grad_()
    found = loss(*anything, MASK.bool())
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(torch.autograd.grad(found, anything[0])[0], wanted)


@pytest.mark.parametrize("name", losses("token_mean"))
def test_gradients_in_float64(name, generator):
    new, old, gain = (normal(generator, 3, 5) for _ in range(3))
    new.requires_grad_()
    for how in REDUCTIONS:
        assert torch.autograd.gradcheck(lambda z: losses(how)[name](z, old, gain, MASK), new)


@pytest.mark.parametrize("name", losses("token_mean"))
def test_no_gradient_reaches_the_old_policy_or_the_advantages(name, generator):
    new, old, gain = (normal(generator, 3, 5, requires_grad=True) for _ in range(3))
    losses("token_mean")[name](new, old, gain, MASK).backward()
    assert new.grad.abs().sum() > 0 and old.grad is None and gain.grad is None


def test_no_gradient_reaches_the_advantages_of_whole_answers(generator):
    log_probs, gains = normal(generator, 3, 5, requires_grad=True), wide(GAINS).requires_grad_()
    reinforce_loss(log_probs, gains, MASK).backward()
    assert log_probs.grad.abs().sum() > 0 and gains.grad is None


@pytest.mark.parametrize("name", losses("token_mean"))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_huge_differences_stay_finite(name, sign):
    """exp(1e4) is infinite, and infinity times the zero gradient of a clip is NaN."""
    new = torch.tensor([[0.0, 1e4, -1e4]], requires_grad=True)
    loss = losses("sequence_sum")[name](new, -new.detach(), torch.full((1, 3), sign), torch.tensor([[0, 1, 1]]))
    loss.backward()
    assert loss.isfinite() and new.grad.isfinite().all()


@pytest.mark.parametrize("name", losses("token_mean"))
def test_bad_masks(name, unchecked):
    loss, x = losses("token_mean")[name], torch.zeros(2, 3)
    with pytest.raises(ValueError, match="response_mask counts no token of row 0"):
        loss(x, x, x, torch.tensor([[0, 0, 0], [0, 1, 1]]))
    with pytest.raises(ValueError, match=r"response_mask must have shape \(2, 3\), got \(2, 4\)"):
        loss(x, x, x, torch.ones(2, 4).bool())
    with pytest.raises(ValueError, match="reduction must be .*'sequence_mean' or 'sequence_sum', got 'mean'"):
        losses("mean")[name](x, x, x, torch.ones(2, 3).bool())


# --- REINFORCE ---


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reinforce_by_loops(generator, reduction):
    log_probs, token_gains = normal(generator, 3, 5), normal(generator, 3, 5)
    for gains, spread in ((wide(GAINS), wide(GAINS)[:, None]), (token_gains, token_gains)):
        found = reinforce_loss(log_probs, gains, MASK, reduction=reduction).item()
        assert found == pytest.approx(-reduce_by_loops(spread * log_probs, MASK, reduction), rel=1e-12)
    assert reinforce_loss(log_probs, wide(GAINS), MASK).item() == pytest.approx(
        -reduce_by_loops(wide(GAINS)[:, None] * log_probs, MASK, "sequence_sum"), rel=1e-12
    )  # the default


@pytest.mark.parametrize("baseline", [0.0, 3.7])
def test_its_expected_gradient_is_minus_the_exact_one_whatever_the_baseline(generator, baseline):
    """Every answer of a bandit, weighed by its probability: no sampling, so the equality is exact."""
    logits, rewards = normal(generator, 6, requires_grad=True), normal(generator, 6)
    total = torch.zeros(6, dtype=torch.float64)
    for answer, p in enumerate(torch.softmax(logits.detach(), -1)):
        log_probs = torch.log_softmax(logits, -1)[answer].expand(1, 2)
        loss = reinforce_loss(log_probs, rewards[[answer]] - baseline, torch.tensor([[0, 1]]))
        total += p * torch.autograd.grad(loss, logits)[0]
    torch.testing.assert_close(total, -exact_policy_gradient(logits.detach(), rewards))


def test_rewards_to_go_leave_the_expected_gradient_alone(generator):
    """Two tokens of three words, a reward for each token: 9 answers, all of them counted."""
    table = normal(generator, 4, 3, requires_grad=True)  # row 3: the first token; rows 0-2: what follows word 0-2
    earned = normal(generator, 3, 3), normal(generator, 3, 3)  # for the first and the second token of each answer
    answers = torch.tensor(list(itertools.product(range(3), repeat=2)))
    log_p = torch.log_softmax(table, -1)
    log_probs = torch.stack([log_p[3, answers[:, 0]], log_p[answers[:, 0], answers[:, 1]]], dim=1)
    p = log_probs.sum(dim=1).exp()
    rewards = torch.stack([e[answers[:, 0], answers[:, 1]] for e in earned], dim=1)
    rewards[:, 0] = earned[0][answers[:, 0], 0]  # the first is paid before the second is written
    exact = torch.autograd.grad((p * rewards.sum(dim=1)).sum(), table, retain_graph=True)[0]
    ones = torch.ones(9, 2).long()
    for gains in (rewards.sum(dim=1), rewards_to_go(rewards, ones)):
        found = torch.zeros_like(exact)
        for i in range(9):
            loss = reinforce_loss(log_probs[[i]], gains[[i]], ones[[i]])
            found += p[i].detach() * torch.autograd.grad(loss, table, retain_graph=True)[0]
        torch.testing.assert_close(found, -exact)


def test_bad_advantages(unchecked):
    x, mask = torch.zeros(2, 3), torch.ones(2, 3).bool()
    with pytest.raises(ValueError, match=r"advantages must have shape \(2,\), got \(3,\)"):
        reinforce_loss(x, torch.zeros(3), mask)
    with pytest.raises(ValueError, match=r"advantages must have shape \(2, 3\), got \(2, 1\)"):
        reinforce_loss(x, torch.zeros(2, 1), mask)


# --- PPO ---


@pytest.mark.parametrize("epsilon", [0.05, 0.2, 0.6, 1, 10, math.inf])
@pytest.mark.parametrize("epsilon_high", [None, 0.28, 3])
@pytest.mark.parametrize("dual_clip", [None, 1.5, 3])
def test_ppo_by_loops(generator, epsilon, epsilon_high, dual_clip):
    new, old, gain = (normal(generator, 3, 5) for _ in range(3))
    high = epsilon if epsilon_high is None else epsilon_high
    table = torch.zeros(3, 5, dtype=torch.float64)
    for b, t in itertools.product(range(3), range(5)):
        ratio = math.exp(new[b, t] - old[b, t])
        kept = max(1 - epsilon, min(1 + high, ratio))
        table[b, t] = -min(ratio * gain[b, t].item(), kept * gain[b, t].item())
        if dual_clip and gain[b, t] < 0:
            table[b, t] = min(table[b, t].item(), -dual_clip * gain[b, t].item())
    options = {"epsilon": epsilon, "epsilon_high": epsilon_high, "dual_clip": dual_clip}
    for reduction in REDUCTIONS:
        found = ppo_clip_loss(new, old, gain, MASK, **options, reduction=reduction).item()
        assert found == pytest.approx(reduce_by_loops(table, MASK, reduction), rel=1e-12)


def test_ppo_counts_each_token_the_same_and_clips_at_a_fifth_unless_told_otherwise(generator):
    new, old, gain = (normal(generator, 3, 5) for _ in range(3))
    told = ppo_clip_loss(new, old, gain, MASK, epsilon=0.2, reduction="token_mean")
    assert ppo_clip_loss(new, old, gain, MASK).item() == told.item()


@pytest.mark.parametrize(
    ("ratio", "gain", "moves"),
    [
        (1.5, 1.0, False),
        (1.5, -1.0, True),
        (0.5, 1.0, True),
        (0.5, -1.0, False),
        (1.1, 1.0, True),
        (0.9, -1.0, True),
    ],
)
def test_only_what_would_go_further_in_the_wanted_direction_is_stopped(ratio, gain, moves):
    assert slope(ratio, gain) == pytest.approx(-ratio * gain if moves else 0)


@pytest.mark.parametrize(
    ("ratio", "gain", "moves"),
    [
        (1.5, 1.0, True),
        (1.9, 1.0, False),
        (0.85, -1.0, True),
        (0.7, -1.0, False),  # the upper end has moved, the lower not
        (2.9, -1.0, True),
        (3.1, -1.0, False),
        (3.1, 1.0, False),  # beyond c a mistake counts as c, without a pull
    ],
)
def test_ends_of_the_clip_that_are_set_apart(ratio, gain, moves):
    found = slope(ratio, gain, epsilon=0.2, epsilon_high=0.8, dual_clip=3)
    assert found == pytest.approx(-ratio * gain if moves else 0)


def slope(ratio, gain, **options):
    """How the loss of one token falls with its log-probability."""
    new = torch.tensor([[0.0, math.log(ratio)]], dtype=torch.float64, requires_grad=True)
    old = torch.zeros_like(new)
    ppo_clip_loss(new, old, torch.full_like(new, gain), torch.tensor([[0, 1]]), **options).backward()
    return new.grad[0, 1].item()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_before_the_first_step_its_gradient_is_that_of_reinforce(generator, reduction):
    log_probs, gain = normal(generator, 3, 5, requires_grad=True), normal(generator, 3, 5)
    ppo = ppo_clip_loss(log_probs, log_probs.detach(), gain, MASK, reduction=reduction)
    plain = reinforce_loss(log_probs, gain, MASK, reduction=reduction)
    torch.testing.assert_close(torch.autograd.grad(ppo, log_probs), torch.autograd.grad(plain, log_probs))
    assert clip_fraction(log_probs, log_probs, MASK) == 0.0


@settings(max_examples=50)
@given(seed=st.integers(0, 999), epsilon=st.floats(0.01, 3), epsilon_high=st.none() | st.floats(0.01, 3))
def test_clip_fraction_by_loops(seed, epsilon, epsilon_high):
    g = torch.Generator().manual_seed(seed)
    new, old = normal(g, 3, 5), normal(g, 3, 5)
    ratios = [math.exp(new[b, t] - old[b, t]) for b, t in MASK.nonzero().tolist()]
    high = epsilon if epsilon_high is None else epsilon_high
    outside = sum(not 1 - epsilon <= ratio <= 1 + high for ratio in ratios)
    found = clip_fraction(new, old, MASK, epsilon=epsilon, epsilon_high=epsilon_high)
    assert found == pytest.approx(outside / len(ratios), rel=1e-12)


def test_clip_fraction_does_not_see_prompts_and_padding():
    new = torch.tensor([[9.0, 0.0, 1.0, -9.0], [9.0, 0.1, 9.0, torch.nan]])
    assert clip_fraction(new, torch.zeros(2, 4), torch.tensor([[0, 1, 1, 0], [0, 1, 0, 0]])) == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", ["epsilon", "epsilon_high"])
@pytest.mark.parametrize("value", [0.0, -0.2, math.nan])
def test_bad_epsilon(name, value, unchecked):
    x, mask = torch.zeros(1, 2), torch.tensor([[0, 1]])
    with pytest.raises(ValueError, match=f"^{name} must be a number above 0, got {value}"):
        ppo_clip_loss(x, x, x, mask, **{name: value})
    with pytest.raises(ValueError, match=f"^{name} must be a number above 0, got {value}"):
        clip_fraction(x, x, mask, **{name: value})


@pytest.mark.parametrize("value", [1, 0.5, -3.0, math.nan])
def test_bad_dual_clip(value, unchecked):
    x, mask = torch.zeros(1, 2), torch.tensor([[0, 1]])
    with pytest.raises(ValueError, match=f"dual_clip must be a finite number above 1, got {value}"):
        ppo_clip_loss(x, x, x, mask, dual_clip=value)


def test_bad_shapes(unchecked):
    x, y, mask = torch.zeros(2, 3), torch.zeros(2, 1), torch.ones(2, 3).bool()
    with pytest.raises(ValueError, match=r"old_log_probs must have the shape of log_probs, \(2, 3\), got \(2, 1\)"):
        ppo_clip_loss(x, y, x, mask)
    with pytest.raises(ValueError, match=r"advantages must have the shape of log_probs, \(2, 3\), got \(2, 1\)"):
        ppo_clip_loss(x, x, y, mask)
    with pytest.raises(ValueError, match=r"old_log_probs must have the shape of log_probs, \(2, 3\), got \(2, 1\)"):
        clip_fraction(x, y, mask)
    with pytest.raises(ValueError, match="response_mask counts no token of row 0"):
        clip_fraction(x, x, torch.zeros(2, 3).bool())
    with pytest.raises(ValueError, match=r"old_values must have the shape of values, \(2, 3\), got \(2, 1\)"):
        value_loss(x, y, x, mask)
    with pytest.raises(ValueError, match=r"returns must have the shape of values, \(2, 3\), got \(2, 1\)"):
        value_loss(x, x, y, mask)


# --- values ---


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("epsilon", [None, 0.2, 1.5])
def test_value_loss_by_loops(generator, reduction, epsilon):
    new, old, returns = (normal(generator, 3, 5) for _ in range(3))
    table = torch.zeros(3, 5, dtype=torch.float64)
    for b, t in itertools.product(range(3), range(5)):
        value, before, wanted = new[b, t].item(), old[b, t].item(), returns[b, t].item()
        errors = [(value - wanted) ** 2]
        if epsilon is not None:
            errors.append((max(before - epsilon, min(before + epsilon, value)) - wanted) ** 2)
        table[b, t] = max(errors) / 2
    found = value_loss(new, old, returns, MASK, epsilon=epsilon, reduction=reduction).item()
    assert found == pytest.approx(reduce_by_loops(table, MASK, reduction), rel=1e-12)


@pytest.mark.parametrize(("value", "moves"), [(0.1, True), (0.5, False), (-0.5, True), (2.0, True)])
def test_a_value_that_has_gone_far_towards_its_return_is_left_alone(value, moves):
    """Old value 0, return 1, ε 0.2. At 2 it has overshot: clipped, the error would be the smaller one."""
    new = torch.tensor([[value]], dtype=torch.float64, requires_grad=True)
    value_loss(new, torch.zeros_like(new), torch.ones_like(new), torch.ones(1, 1).bool(), epsilon=0.2).backward()
    assert new.grad.item() == pytest.approx(value - 1 if moves else 0)


@pytest.mark.parametrize("epsilon", [0.0, -0.2, math.nan])
def test_bad_epsilon_of_values(epsilon, unchecked):
    x = torch.zeros(1, 2)
    with pytest.raises(ValueError, match=f"epsilon must be a number above 0, got {epsilon}"):
        value_loss(x, x, x, torch.tensor([[0, 1]]), epsilon=epsilon)
