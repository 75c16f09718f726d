"""The claims about alignment, against figures worked out by hand."""

import math

import pytest

from lib.slides import claim


def test_neither_answer_to_the_wall_finds_a_group():
    assert claim("A36a").recomputed == (16, math.factorial(16) // math.factorial(4) ** 5)
    assert claim("A36b").recomputed == 0 and claim("A36b").detail.startswith("at most 2 words")
    assert sum(claim("A36d").recomputed[:3]) == 17
    assert claim("A36d").detail == ("invented: KESTONE, ELM, DOUBT, CRADF; missing: Bluegrass, Keystone, Craft")
    assert claim("C32a").detail == "4 lines, 4 begin with Explain, 0 speak of the moon"


def test_the_margin_runs_away_without_the_minus():
    literal, right = 0.0, 0.0  # the margin: two rewards, each half of its step
    for _ in range(200):
        literal -= 1 / (1 + math.exp(literal))
        right += 1 / (1 + math.exp(right))
    assert claim("F13b").recomputed == pytest.approx((literal, right), abs=1e-9)
    assert claim("F13a").detail == "after 200 steps the winner leads by -198.6; with the minus by 5.3"


def test_bradley_terry_by_hand():
    p = math.e**2 / (math.e**2 + math.e)
    assert claim("A57").recomputed == pytest.approx((p, -math.log(p), math.log(2)), abs=1e-12)
    assert claim("F15a").detail == "two prompts keep means of -3.0; +3.0"
    assert claim("F15b").detail == "from 10.67 to 1.67; within the first prompt 0.67 before, 0.67 after"


def test_gradients_that_the_slides_deny_or_approximate():
    assert claim("F16a").detail.startswith("from 0.71 to 2.00")
    assert claim("T24a").detail.startswith("0 of the policy's tensors have one; 17 of")
    slopes = [word for word in claim("F16b").detail.split() if word.startswith("1.")]
    assert len(set(slopes)) == 1 and len(slopes) == 2
    assert claim("T31a").detail.startswith("64 draws, off by 0.51")
    assert claim("T31b").detail.endswith("-0.0041")  # with a positive reward, beside a larger one


def test_the_optimum_of_the_objective_and_of_the_printed_reward():
    weights = [p * math.exp(2 * r) for p, r in zip((0.2, 0.5, 0.3), (1, 0, -1))]
    best = tuple(weight / sum(weights) for weight in weights)
    assert claim("T32a").recomputed == pytest.approx((*best, 0.5 * math.log(sum(weights))), abs=1e-9)
    assert claim("T16a").recomputed == pytest.approx(best, abs=1e-9)
    odd = [math.exp(2 * r) / p**2 for p, r in zip((0.2, 0.5, 0.3), (1, 0, -1))]
    printed = "; ".join(f"{weight / sum(odd):.3f}" for weight in odd)
    assert claim("F19b").detail == f"the printed reward is greatest at {printed}"


def test_the_bracket_in_numbers():
    assert claim("A58").recomputed == pytest.approx(0.9) and claim("A58").detail == "4.2 as printed"
    policy, reference, rewards = (0.5, 0.3, 0.2), (0.2, 0.5, 0.3), (1, 0, -1)
    terms = [p * (r - 0.5 * math.log(p / q)) for p, q, r in zip(policy, reference, rewards)]
    literal = [p * (r - 0.5 * math.log(p) - math.log(q)) for p, q, r in zip(policy, reference, rewards)]
    assert claim("F19a").detail.startswith(f"{sum(literal):.4f} as printed, {sum(terms):.4f} with")


def test_a_policy_blind_to_the_prompt_and_two_distances():
    seeing = 0.5 * math.log((math.exp(2) + 1) / 2)  # beta log Z of two answers, one wanted
    assert claim("F18a").detail.startswith(f"objective 0.500 for the policy that R(y) wants, {seeing:.3f}")
    assert claim("F18b").detail.startswith("0.722 nats at one prompt, 0.305 at another")
    assert claim("T32b").detail == "1.608 nats at beta = 0.1, 0.010 at 5"
