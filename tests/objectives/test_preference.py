"""Bradley–Terry and DPO, held against their formulas in float64, and in worlds where the right answer is known."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.objectives import (
    bradley_terry_loss,
    bradley_terry_probability,
    centre_rewards,
    dpo_loss,
    dpo_metrics,
    implicit_reward,
    optimal_policy,
    pairs_from_ranking,
)

quickly = settings(max_examples=50)
CHOSEN, REJECTED = [0.3, -1.2, 4.0], [0.1, 0.7, 4.0]


def wide(numbers, requires_grad=False):
    return torch.tensor(numbers, dtype=torch.float64, requires_grad=requires_grad)


def log_sigmoid(x):
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))


# --- Bradley and Terry ---


def test_probability_is_the_share_of_the_exponentials():
    expected = [math.exp(c) / (math.exp(c) + math.exp(r)) for c, r in zip(CHOSEN, REJECTED)]
    assert bradley_terry_probability(wide(CHOSEN), wide(REJECTED)).tolist() == pytest.approx(expected, rel=1e-12)


@quickly
@given(first=st.floats(-1e4, 1e4), second=st.floats(-1e4, 1e4), shift=st.floats(-1e3, 1e3))
def test_the_two_probabilities_sum_to_one_and_a_common_shift_changes_none(first, second, shift):
    p = bradley_terry_probability(wide([first]), wide([second]))
    assert (p + bradley_terry_probability(wide([second]), wide([first]))).item() == pytest.approx(1, abs=1e-12)
    moved = bradley_terry_probability(wide([first + shift]), wide([second + shift]))
    assert moved.item() == pytest.approx(p.item(), abs=1e-8)


@pytest.mark.parametrize("margin", [None, 0, 1.5, wide([0.0, 1.0, 3.0])])
def test_loss_by_loops(margin):
    least = [0.0] * 3 if margin is None else torch.as_tensor(margin).expand(3).tolist()
    expected = -sum(log_sigmoid(c - r - m) for c, r, m in zip(CHOSEN, REJECTED, least)) / 3
    found = bradley_terry_loss(wide(CHOSEN), wide(REJECTED), margin=margin)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_equal_sides_cost_log_two_and_are_pushed_apart():
    chosen, rejected = wide([1.0, 1.0], True), wide([1.0, 1.0], True)
    loss = bradley_terry_loss(chosen, rejected)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2), rel=1e-12)
    assert chosen.grad.tolist() == [-0.25, -0.25] and rejected.grad.tolist() == [0.25, 0.25]


def test_descent_widens_the_gap():
    """Without the minus (slide T26 as printed) each step would narrow it, and go on for ever."""
    chosen, rejected = wide(CHOSEN, True), wide(REJECTED, True)
    bradley_terry_loss(chosen, rejected).backward()
    assert (chosen.grad < 0).all() and (rejected.grad > 0).all()
    p = bradley_terry_probability(chosen, rejected).detach()
    torch.testing.assert_close(chosen.grad, -(1 - p) / 3)


def test_bradley_terry_gradients_in_float64():
    inputs = wide(CHOSEN, True), wide(REJECTED, True)
    assert torch.autograd.gradcheck(bradley_terry_probability, inputs)
    assert torch.autograd.gradcheck(bradley_terry_loss, inputs)
    assert torch.autograd.gradcheck(lambda c, r: bradley_terry_loss(c, r, margin=0.5), inputs)


def test_huge_rewards_stay_finite():
    """log(sigmoid(-2e4)) is log 0 when taken in two steps."""
    chosen = torch.tensor([1e4, -1e4], requires_grad=True)
    rejected = torch.tensor([-1e4, 1e4], requires_grad=True)
    assert bradley_terry_probability(chosen, rejected).tolist() == [1.0, 0.0]
    loss = bradley_terry_loss(chosen, rejected)
    loss.backward()
    assert loss.item() == 1e4
    assert chosen.grad.tolist() == [0.0, -0.5] and rejected.grad.tolist() == [0.0, 0.5]


def test_bad_rewards(unchecked):
    with pytest.raises(ValueError, match=r"second must have the shape of first, \(2,\), got \(1,\)"):
        bradley_terry_probability(torch.zeros(2), torch.zeros(1))
    with pytest.raises(ValueError, match=r"rejected must have the shape of chosen, \(2,\), got \(1,\)"):
        bradley_terry_loss(torch.zeros(2), torch.zeros(1))
    with pytest.raises(ValueError, match=r"chosen must not be empty, got shape \(0,\)"):
        bradley_terry_loss(torch.zeros(0), torch.zeros(0))
    with pytest.raises(ValueError, match=r"margin must have the shape of chosen, \(2,\), got \(3,\)"):
        bradley_terry_loss(torch.zeros(2), torch.zeros(2), margin=torch.zeros(3))
    with pytest.raises(ValueError, match="margin must be at least 0, got -1.0"):
        bradley_terry_loss(torch.zeros(2), torch.zeros(2), margin=torch.tensor([1.0, -1.0]))
    with pytest.raises(ValueError, match="margin must be at least 0, got nan"):
        bradley_terry_loss(torch.zeros(2), torch.zeros(2), margin=math.nan)


# --- rankings and centring ---


@quickly
@given(st.lists(st.integers(1, 5), min_size=2, max_size=7))
def test_every_two_answers_of_different_rank_make_one_pair_with_the_better_first(ranks):
    pairs = pairs_from_ranking(ranks)
    assert all(ranks[better] < ranks[worse] for better, worse in pairs)
    different = {frozenset((i, j)) for i, j in itertools.product(range(len(ranks)), repeat=2) if ranks[i] != ranks[j]}
    assert len(pairs) == len(different) and {frozenset(pair) for pair in pairs} == different


@pytest.mark.parametrize("K", [2, 4, 9])
def test_k_answers_without_ties_make_k_choose_two_pairs(K):
    assert len(pairs_from_ranking(list(range(1, K + 1)))) == math.comb(K, 2)


def test_answers_that_all_tie_make_no_pair():
    assert pairs_from_ranking([3, 3, 3]) == []


def test_bad_rankings(unchecked):
    with pytest.raises(ValueError, match="ranks must hold at least 2 answers to compare, got 1"):
        pairs_from_ranking([1])
    with pytest.raises(TypeError, match="ranks must be a whole number, got 1.5"):
        pairs_from_ranking([1, 1.5])
    with pytest.raises(TypeError, match="ranks must be a whole number, got True"):
        pairs_from_ranking([1, True])


@quickly
@given(prompts=st.lists(st.sampled_from([-4, 0, 7, 900]), min_size=1, max_size=9), seed=st.integers(0, 9))
def test_centring_makes_each_prompts_mean_zero_and_keeps_its_differences(prompts, seed):
    rewards = 10 * torch.randn(len(prompts), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    centred = centre_rewards(rewards, torch.tensor(prompts))
    for prompt in set(prompts):
        own = [i for i, p in enumerate(prompts) if p == prompt]
        mean = sum(rewards[i].item() for i in own) / len(own)
        assert centred[own].tolist() == pytest.approx([rewards[i].item() - mean for i in own], abs=1e-12)


def test_centring_has_a_gradient():
    prompts = torch.tensor([3, 1, 3, 3])
    rewards = wide([0.5, 2.0, -1.0, 3.0], True)
    assert torch.autograd.gradcheck(lambda r: centre_rewards(r, prompts), rewards)


def test_bad_input_to_centre(unchecked):
    with pytest.raises(ValueError, match=r"prompts must have the shape of rewards, \(3,\), got \(2,\)"):
        centre_rewards(torch.zeros(3), torch.zeros(2).long())
    with pytest.raises(ValueError, match=r"rewards must not be empty, got shape \(0,\)"):
        centre_rewards(torch.zeros(0), torch.zeros(0).long())


# --- DPO ---

POLICY = [-5.0, -9.0, -2.0], [-6.5, -4.0, -2.0]  # log π of the chosen and of the rejected
REFERENCE = [-5.5, -6.0, -3.0], [-6.0, -6.0, -1.0]


def four(requires_grad=False):
    return [wide(numbers, requires_grad) for numbers in (*POLICY, *REFERENCE)]


def margins(beta, reference=True):
    """r̂(chosen) - r̂(rejected) of each pair, by loops."""
    ratios = [[p - r * reference for p, r in zip(*side)] for side in zip(POLICY, REFERENCE)]
    return [beta * (chosen - rejected) for chosen, rejected in zip(*ratios)]


@pytest.mark.parametrize("beta", [0.1, 1, 2.5])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("reference", [True, False])
def test_dpo_by_loops(beta, smoothing, reference):
    each = [(1 - smoothing) * log_sigmoid(m) + smoothing * log_sigmoid(-m) for m in margins(beta, reference)]
    chosen, rejected, *references = four()
    references = references if reference else (None, None)
    found = dpo_loss(chosen, rejected, *references, beta=beta, label_smoothing=smoothing)
    assert found.item() == pytest.approx(-sum(each) / 3, rel=1e-12)


@pytest.mark.parametrize("reference", [True, False])
def test_ipo_by_loops(reference):
    expected = sum((m - 1 / (2 * 0.4)) ** 2 for m in margins(1, reference)) / 3
    chosen, rejected, *references = four()
    references = references if reference else (None, None)
    found = dpo_loss(chosen, rejected, *references, beta=0.4, kind="ipo")
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_dpo_is_bradley_terry_on_implicit_rewards():
    chosen, rejected, ref_chosen, ref_rejected = four()
    rewards = [implicit_reward(p, r, beta=0.3) for p, r in ((chosen, ref_chosen), (rejected, ref_rejected))]
    torch.testing.assert_close(
        dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta=0.3), bradley_terry_loss(*rewards)
    )


def test_the_reference_itself_costs_log_two():
    reference = wide([-3.0, -8.0])
    loss = dpo_loss(reference, reference - 1, reference, reference - 1, beta=0.7)
    assert loss.item() == pytest.approx(math.log(2), rel=1e-12)


@pytest.mark.parametrize("reference", [True, False])
def test_dpo_metrics_by_loops(reference):
    chosen, rejected, *references = four(requires_grad=True)
    found = dpo_metrics(chosen, rejected, *(references if reference else (None, None)), beta=0.3)
    gaps = margins(0.3, reference)
    assert found["rewards/margins"] == pytest.approx(sum(gaps) / 3, rel=1e-12)
    assert found["rewards/accuracies"] == pytest.approx(sum(gap > 0 for gap in gaps) / 3)
    for side, own, ref in zip(("chosen", "rejected"), POLICY, REFERENCE):
        each = [0.3 * (p - r * reference) for p, r in zip(own, ref)]
        assert found[f"rewards/{side}"] == pytest.approx(sum(each) / 3, rel=1e-12)
        assert found[f"logps/{side}"] == pytest.approx(sum(own) / 3, rel=1e-12)
    assert 0 < found["rewards/accuracies"] < 1 and len(found) == 6


def test_a_tie_is_no_accuracy():
    same = wide([-3.0, -8.0])
    assert dpo_metrics(same, same - 1, same, same - 1, beta=1.0)["rewards/accuracies"] == 0


def test_bad_input_for_dpo_metrics(unchecked):
    two, three = torch.ones(2), torch.ones(3)
    with pytest.raises(ValueError, match="rejected must have the shape of chosen"):
        dpo_metrics(two, three, None, None, beta=1.0)
    with pytest.raises(ValueError, match="reference_rejected is missing"):
        dpo_metrics(two, two, two, None, beta=1.0)
    with pytest.raises(ValueError, match="beta must be a finite number above 0"):
        dpo_metrics(two, two, two, two, beta=0)


def test_descent_raises_the_chosen_and_lowers_the_rejected():
    chosen, rejected, *references = four(requires_grad=True)
    dpo_loss(chosen, rejected, *references, beta=0.3).backward()
    expected = [-0.3 / (1 + math.exp(m)) / 3 for m in margins(0.3)]  # -β σ(-margin): what is wrong weighs most
    assert chosen.grad.tolist() == pytest.approx(expected, rel=1e-12)
    assert rejected.grad.tolist() == pytest.approx([-g for g in expected], rel=1e-12)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}, {"kind": "ipo"}])
def test_dpo_gradients_in_float64(options):
    chosen, rejected, *references = four(requires_grad=True)
    assert torch.autograd.gradcheck(lambda c, r: dpo_loss(c, r, None, None, beta=0.5, **options), (chosen, rejected))
    inputs = chosen, rejected, *references
    assert torch.autograd.gradcheck(lambda *four: dpo_loss(*four, beta=0.5, **options), inputs)
    assert torch.autograd.gradcheck(lambda p, r: implicit_reward(p, r, beta=0.5), (chosen, references[0]))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_dpo_of_huge_log_probs_stays_finite(smoothing):
    chosen = torch.tensor([-1e4, 0.0], requires_grad=True)
    rejected = torch.tensor([0.0, -1e4], requires_grad=True)
    loss = dpo_loss(chosen, rejected, rejected.detach(), chosen.detach(), beta=1.0, label_smoothing=smoothing)
    loss.backward()
    assert loss.item() == pytest.approx(1e4)
    gain = torch.tensor([-(1 - smoothing), smoothing]) / 2
    torch.testing.assert_close(chosen.grad, gain)
    torch.testing.assert_close(rejected.grad, -gain)


@pytest.mark.parametrize("beta", [0.2, 1.0])
def test_no_policy_pays_less_than_the_optimum_in_a_world_of_four_answers(beta, generator):
    """With labels drawn by Bradley and Terry from r, the expected loss is least at π* ∝ π_ref exp(r/β)."""
    rewards, scores = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    reference = torch.softmax(scores, -1)
    first, second = torch.tensor(list(itertools.permutations(range(4), 2))).T
    share = bradley_terry_probability(rewards[first], rewards[second])  # how often `first` is the chosen one

    def expected_loss(policy):
        each = [
            dpo_loss(*(log_p[i][None] for log_p in (policy.log(), reference.log()) for i in pair), beta=beta)
            for pair in zip(first, second)
        ]
        return (share * torch.stack(each)).sum()

    logits = optimal_policy(reference, rewards, beta=beta).log().requires_grad_()
    least = expected_loss(torch.softmax(logits, -1))
    assert torch.autograd.grad(least, logits)[0].abs().max().item() < 1e-12
    for _ in range(5):
        nearby = torch.softmax(logits.detach() + 0.1 * torch.randn(4, generator=generator, dtype=torch.float64), -1)
        assert expected_loss(nearby) > least


def test_the_implicit_reward_of_the_optimum_is_the_reward_up_to_a_constant(generator):
    rewards, scores = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    reference = torch.softmax(scores, -1)
    best = optimal_policy(reference, rewards, beta=0.3)
    log_z = (reference * (rewards / 0.3).exp()).sum().log()
    torch.testing.assert_close(implicit_reward(best.log(), reference.log(), beta=0.3), rewards - 0.3 * log_z)


@pytest.mark.parametrize("beta", [0.0, -0.1, math.inf, math.nan])
def test_bad_beta(beta, unchecked):
    ones = torch.ones(2)
    with pytest.raises(ValueError, match=f"beta must be a finite number above 0, got {beta}"):
        dpo_loss(ones, ones, ones, ones, beta=beta)
    with pytest.raises(ValueError, match=f"beta must be a finite number above 0, got {beta}"):
        implicit_reward(ones, ones, beta=beta)


def test_bad_pairs(unchecked):
    two, three, none = torch.zeros(2), torch.zeros(3), torch.zeros(0)
    with pytest.raises(ValueError, match=r"rejected must have the shape of chosen, \(2,\), got \(3,\)"):
        dpo_loss(two, three, None, None, beta=1.0)
    with pytest.raises(ValueError, match=r"reference_chosen must have the shape of chosen, \(2,\), got \(3,\)"):
        dpo_loss(two, two, three, two, beta=1.0)
    with pytest.raises(ValueError, match=r"reference_rejected must have the shape of chosen, \(2,\), got \(3,\)"):
        dpo_loss(two, two, two, three, beta=1.0)
    with pytest.raises(ValueError, match=r"chosen must not be empty, got shape \(0,\)"):
        dpo_loss(none, none, none, none, beta=1.0)
    with pytest.raises(ValueError, match="reference_rejected is missing: give both references, or neither"):
        dpo_loss(two, two, two, None, beta=1.0)
    with pytest.raises(ValueError, match="reference_chosen is missing: give both references, or neither"):
        dpo_loss(two, two, None, two, beta=1.0)
    with pytest.raises(ValueError, match=r"reference_log_prob must have the shape of log_prob, \(2,\), got \(3,\)"):
        implicit_reward(two, three, beta=1.0)


def test_bad_options(unchecked):
    two = torch.zeros(2)
    for smoothing in (-0.1, 0.5, math.nan):
        with pytest.raises(ValueError, match=rf"label_smoothing must lie in \[0, 0.5\), got {smoothing}"):
            dpo_loss(two, two, None, None, beta=1.0, label_smoothing=smoothing)
    with pytest.raises(ValueError, match="label_smoothing must be 0 for kind 'ipo', got 0.1"):
        dpo_loss(two, two, None, None, beta=1.0, label_smoothing=0.1, kind="ipo")
    with pytest.raises(ValueError, match="kind must be 'sigmoid' or 'ipo', got 'hinge'"):
        dpo_loss(two, two, None, None, beta=1.0, kind="hinge")


def test_nearly_half_of_the_labels_may_be_swapped():
    two = torch.zeros(2)
    assert dpo_loss(two, two, None, None, beta=1.0, label_smoothing=0.49).item() == pytest.approx(math.log(2))
    assert dpo_loss(two, two, None, None, beta=0.5, label_smoothing=0.0, kind="ipo").item() == 1.0


def test_equal_ranks_in_any_order_and_negative_ones():
    assert pairs_from_ranking([5, -1, 5, 2]) == [(1, 0), (3, 0), (1, 2), (1, 3), (3, 2)]


def test_metrics_have_no_graph_and_the_given_are_left_as_they_are():
    given = four(requires_grad=True)
    assert all(type(value) is float for value in dpo_metrics(*given, beta=0.3).values())
    assert bradley_terry_loss(given[0], given[1], margin=torch.zeros(3)).requires_grad
