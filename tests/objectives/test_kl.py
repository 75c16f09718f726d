"""KL and entropy, held against loops and against the sum over everything that could have been sampled."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.objectives import (
    entropy,
    kl_divergence,
    kl_estimate,
    kl_penalised_reward,
    regularised_objective,
    response_log_prob,
    token_rewards,
)

quickly = settings(max_examples=50)
MASK = torch.tensor([[0, 1, 0, 1, 0], [0, 0, 0, 1, 0]])  # the first answer has called a tool
ESTIMATORS = ["k1", "k2", "k3"]


def normal(generator, *shape, requires_grad=False):
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(requires_grad)


def seeded(seed, *shape):
    return 3 * normal(torch.Generator().manual_seed(seed), *shape)


# --- exact ---


@quickly
@given(seed=st.integers(0, 999), V=st.integers(1, 6))
def test_kl_and_entropy_by_loops(seed, V):
    logits, reference = seeded(seed, 2, 2, 3, V)
    kl, h = kl_divergence(logits, reference), entropy(logits)
    for i, j in itertools.product(range(2), range(3)):
        p, q = (torch.softmax(z[i, j], -1).tolist() for z in (logits, reference))
        assert kl[i, j].item() == pytest.approx(sum(a * math.log(a / b) for a, b in zip(p, q)), rel=1e-9, abs=1e-12)
        assert h[i, j].item() == pytest.approx(-sum(a * math.log(a) for a in p), rel=1e-9, abs=1e-12)


@quickly
@given(seed=st.integers(0, 999), V=st.integers(1, 6), shift=st.floats(-50, 50))
def test_bounds_and_what_changes_nothing(seed, V, shift):
    logits, reference = seeded(seed, 2, V)
    assert kl_divergence(logits, reference).item() >= -1e-12
    assert kl_divergence(logits, logits + shift).item() == pytest.approx(0, abs=1e-9)
    assert kl_divergence(logits + shift, reference).item() == pytest.approx(kl_divergence(logits, reference).item())
    assert -1e-12 <= entropy(logits).item() <= math.log(V) + 1e-12
    assert entropy(torch.full((V,), shift, dtype=torch.float64)).item() == pytest.approx(math.log(V), abs=1e-12)
    uniform = torch.zeros(V, dtype=torch.float64)  # where the two meet: KL to the uniform is what entropy lacks
    assert kl_divergence(logits, uniform).item() == pytest.approx(math.log(V) - entropy(logits).item(), abs=1e-9)


def test_kl_has_a_direction():
    sure, even = torch.tensor([0.0, -torch.inf], dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    assert kl_divergence(sure, even).item() == pytest.approx(math.log(2), rel=1e-12)
    assert kl_divergence(even, sure).item() == math.inf


def test_kl_and_entropy_gradients_in_float64(generator):
    logits, reference = (normal(generator, 2, 4, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(kl_divergence, (logits, reference))
    assert torch.autograd.gradcheck(entropy, logits)


def test_what_is_never_written_adds_nothing_and_leaves_finite_gradients():
    """0 · log 0 is NaN if computed as it is written."""
    logits = torch.tensor([0.5, -torch.inf, 1.0], requires_grad=True)
    reference = torch.tensor([0.0, -torch.inf, 2.0])
    both, alone = kl_divergence(logits, reference), entropy(logits)
    assert both.item() == pytest.approx(kl_divergence(logits[[0, 2]], reference[[0, 2]]).item(), rel=1e-6)
    assert alone.item() == pytest.approx(entropy(logits[[0, 2]]).item(), rel=1e-6)
    assert kl_divergence(logits, torch.zeros(3)).isfinite()
    (both + alone + kl_divergence(logits, torch.zeros(3))).backward()
    assert logits.grad.isfinite().all()


def test_huge_logits_stay_finite():
    logits = torch.tensor([1e4, -1e4, 0.0], requires_grad=True)
    reference = torch.tensor([-1e4, 1e4, 0.0], requires_grad=True)
    kl, h = kl_divergence(logits, reference), entropy(logits)
    (kl + h).backward()
    assert kl.item() == 2e4 and h.item() == 0.0
    assert logits.grad.isfinite().all() and reference.grad.tolist() == [-1.0, 1.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype, generator):
    logits, reference = torch.randn(2, 3, 70_000, generator=generator).to(dtype)
    assert torch.equal(kl_divergence(logits, reference), kl_divergence(logits.float(), reference.float()))
    assert torch.equal(entropy(logits), entropy(logits.float()))


def test_bad_logits(unchecked):
    with pytest.raises(ValueError, match=r"reference_logits must have the shape of logits, \(2, 3\), got \(3,\)"):
        kl_divergence(torch.zeros(2, 3), torch.zeros(3))
    with pytest.raises(ValueError, match="empty|at least one"):
        entropy(torch.zeros(2, 0))
    with pytest.raises(TypeError, match="floating-point"):
        entropy(torch.zeros(2, 3).long())


# --- from samples ---


def test_estimators_by_loops(generator):
    log_p, log_q = normal(generator, 2, 3), normal(generator, 2, 3)
    for i, j in itertools.product(range(2), range(3)):
        gap = (log_p - log_q)[i, j].item()
        expected = [gap, gap**2 / 2, math.exp(-gap) - 1 + gap]
        found = [kl_estimate(log_p, log_q, k)[i, j].item() for k in ESTIMATORS]
        assert found == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(kl_estimate(log_p, log_q), kl_estimate(log_p, log_q, "k3"))


@quickly
@given(seed=st.integers(0, 999), V=st.integers(2, 6))
def test_over_all_samples_k1_and_k3_are_right_and_k2_is_not(seed, V):
    logits, reference = seeded(seed, 2, V)
    log_p, log_q = torch.log_softmax(logits, -1), torch.log_softmax(reference, -1)
    exact = kl_divergence(logits, reference).item()
    k1, k2, k3 = ((log_p.exp() * kl_estimate(log_p, log_q, k)).sum().item() for k in ESTIMATORS)
    assert k1 == pytest.approx(exact, rel=1e-9, abs=1e-12) and k3 == pytest.approx(exact, rel=1e-9, abs=1e-12)
    assert abs(k2 - exact) > 1e-9


@quickly
@given(gap=st.floats(-1e4, 1e4))
def test_k2_and_k3_are_never_negative(gap):
    for k in ("k2", "k3"):
        assert kl_estimate(torch.tensor([gap]), torch.tensor([0.0]), k).item() >= 0


def test_of_the_estimators_as_losses_only_k2_follows_the_gradient_of_the_kl(generator):
    """Differentiated through log π alone, as a loss on samples is: k1 then teaches nothing on average."""
    logits, reference = normal(generator, 5, requires_grad=True), normal(generator, 5)
    log_p, log_q = torch.log_softmax(logits, -1), torch.log_softmax(reference, -1)
    exact = torch.autograd.grad(kl_divergence(logits, reference), logits)[0]

    def expected(estimator):
        loss = (log_p.exp().detach() * kl_estimate(log_p, log_q, estimator)).sum()
        return torch.autograd.grad(loss, logits, retain_graph=True)[0]

    torch.testing.assert_close(expected("k2"), exact)
    torch.testing.assert_close(expected("k1"), torch.zeros(5, dtype=torch.float64))
    reverse = torch.autograd.grad(kl_divergence(reference, logits), logits)[0]  # k3 follows the other KL
    torch.testing.assert_close(expected("k3"), reverse)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_estimator_gradients_in_float64(generator, estimator):
    inputs = tuple(normal(generator, 2, 3, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda p, q: kl_estimate(p, q, estimator), inputs)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_estimates_from_huge_gaps_stay_finite(estimator):
    log_p = torch.tensor([1e4, -1e4, 0.0], requires_grad=True)
    found = kl_estimate(log_p, -log_p.detach(), estimator)
    found.sum().backward()
    assert found.isfinite().all() and log_p.grad.isfinite().all()


@pytest.mark.parametrize("gap", [-19.0, -21.0, -1e4])
def test_k3_never_pushes_a_policy_further_from_its_reference(gap):
    """With the exponential bounded and the rest not, the gradient would change its sign beyond the bound."""
    log_p = torch.tensor([gap], requires_grad=True)
    kl_estimate(log_p, torch.tensor([0.0]), "k3").backward()
    assert log_p.grad.item() <= 0


def test_bad_estimates(unchecked):
    with pytest.raises(ValueError, match="estimator must be 'k1', 'k2' or 'k3', got 'k4'"):
        kl_estimate(torch.zeros(2), torch.zeros(2), "k4")
    with pytest.raises(ValueError, match=r"reference_log_probs must have the shape of log_probs, \(2,\), got \(1,\)"):
        kl_estimate(torch.zeros(2), torch.zeros(1), "k1")


# --- as a price on the reward ---


def test_penalised_reward_by_hand():
    """Slide T32 as printed closes the bracket after log π: 1 + 0.2 + 3, where 0.9 is meant."""
    reward, log_p, log_q = (torch.tensor([x], dtype=torch.float64) for x in (1.0, -2.0, -3.0))
    assert kl_penalised_reward(reward, log_p, log_q, beta=0.1).item() == pytest.approx(0.9, rel=1e-12)
    assert kl_penalised_reward(reward, log_q, log_p, beta=0.1).item() == pytest.approx(1.1, rel=1e-12)


@pytest.mark.parametrize("beta", [0.1, 2])
def test_its_mean_is_the_regularised_objective(generator, beta):
    logits, reference, rewards = normal(generator, 3, 6)
    p, q = torch.softmax(logits, -1), torch.softmax(reference, -1)
    mean = (p * kl_penalised_reward(rewards, p.log(), q.log(), beta=beta)).sum()
    torch.testing.assert_close(mean, regularised_objective(p, q, rewards, beta=beta))


def test_penalised_reward_has_a_gradient(generator):
    inputs = tuple(normal(generator, 3, requires_grad=True) for _ in range(3))
    assert torch.autograd.gradcheck(lambda *three: kl_penalised_reward(*three, beta=0.3), inputs)


def test_token_rewards_by_loops(generator):
    reward, log_p, log_q = normal(generator, 2), normal(generator, 2, 5), normal(generator, 2, 5)
    expected = -0.3 * (log_p - log_q)
    expected[0, 3] += reward[0]
    expected[1, 3] += reward[1]
    for mask in (MASK, MASK.bool()):
        torch.testing.assert_close(token_rewards(reward, log_p, log_q, mask, beta=0.3), expected * MASK)


@quickly
@given(seed=st.integers(0, 999), beta=st.floats(0.01, 10))
def test_token_rewards_sum_to_the_penalised_reward(seed, beta):
    log_p, log_q = seeded(seed, 2, 2, 5)
    reward = seeded(seed + 1, 2)
    whole = kl_penalised_reward(reward, response_log_prob(log_p, MASK), response_log_prob(log_q, MASK), beta=beta)
    torch.testing.assert_close(token_rewards(reward, log_p, log_q, MASK, beta=beta).sum(dim=1), whole)


def test_without_a_price_the_reward_alone_is_paid_at_the_end(generator):
    found = token_rewards(torch.tensor([2.0, 3.0]), torch.randn(2, 5), torch.randn(2, 5), MASK, beta=0)
    assert found.tolist() == [[0, 0, 0, 2, 0], [0, 0, 0, 3, 0]]


def test_prompt_and_padding_are_not_paid_and_nothing_has_a_gradient(generator):
    reward, log_p, log_q = normal(generator, 2), normal(generator, 2, 5), normal(generator, 2, 5)
    strange = [x.masked_fill(MASK == 0, v).requires_grad_() for x, v in ((log_p, math.nan), (log_q, -math.inf))]
    found = token_rewards(reward.requires_grad_(), *strange, MASK, beta=0.3)
    assert not found.requires_grad and (found[MASK == 0] == 0).all()
    torch.testing.assert_close(found, token_rewards(reward, log_p, log_q, MASK, beta=0.3))


@pytest.mark.parametrize("beta", [0.0, -0.1, math.inf, math.nan])
def test_bad_beta(beta, unchecked):
    one = torch.ones(1)
    with pytest.raises(ValueError, match=f"beta must be a finite number above 0, got {beta}"):
        kl_penalised_reward(one, one, one, beta=beta)
    if beta == 0:
        return  # allowed below, see its docstring
    with pytest.raises(ValueError, match=f"beta must be a finite number of at least 0, got {beta}"):
        token_rewards(one, torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([[0, 1]]), beta=beta)


def test_bad_rewards(unchecked):
    two, x = torch.zeros(2), torch.zeros(2, 5)
    with pytest.raises(ValueError, match=r"log_prob must have the shape of reward, \(2,\), got \(1,\)"):
        kl_penalised_reward(two, torch.zeros(1), two, beta=0.1)
    with pytest.raises(ValueError, match=r"reference_log_prob must have the shape of reward, \(2,\), got \(1,\)"):
        kl_penalised_reward(two, two, torch.zeros(1), beta=0.1)
    with pytest.raises(ValueError, match=r"reference_log_probs must have the shape of log_probs, \(2, 5\), got"):
        token_rewards(two, x, x[:, 1:], MASK, beta=0.1)
    with pytest.raises(ValueError, match=r"reward must have shape \(2,\), got \(3,\)"):
        token_rewards(torch.zeros(3), x, x, MASK, beta=0.1)
    with pytest.raises(ValueError, match="response_mask counts no token of row 0"):
        token_rewards(two, x, x, MASK * 0, beta=0.1)
    with pytest.raises(ValueError, match=r"response_mask must have shape \(2, 5\), got \(2, 4\)"):
        token_rewards(two, x, x, MASK[:, 1:], beta=0.1)
