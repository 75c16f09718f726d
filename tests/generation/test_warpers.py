"""Warpers against transformers', against enumeration, and at their edges."""

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from lib.generation import keep_top_k, keep_top_p, scale_temperature, warp
from lib.kernels import argmax_onehot

SLIDE = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()  # slide T39


def kept(logits: torch.Tensor) -> list[int]:
    return logits.isfinite().nonzero()[:, 0].tolist()


def smallest_nucleus(probabilities: list[float], p: float) -> set[int]:
    """By trying every subset: the fewest tokens with mass p, and of those with that many the likeliest."""
    for size in range(1, len(probabilities) + 1):
        subsets = combinations(range(len(probabilities)), size)
        mass, best = max((sum(probabilities[i] for i in subset), subset) for subset in subsets)
        if mass >= p:
            return set(best)
    return set(range(len(probabilities)))


@pytest.mark.parametrize("temperature", [0.05, 0.7, 1.0, 3.0])
def test_temperature_equals_transformers(temperature, generator):
    logits = 3 * torch.randn(4, 9, generator=generator)
    torch.testing.assert_close(
        scale_temperature(logits, temperature), TemperatureLogitsWarper(temperature)(None, logits)
    )


@pytest.mark.parametrize("k", [1, 2, 5, 9, 10, 1000])
def test_top_k_equals_transformers(k, generator):
    logits = torch.randn(6, 9, generator=generator)
    logits[0, :4] = 2.0  # ties
    assert torch.equal(keep_top_k(logits, k), TopKLogitsWarper(k)(None, logits))
    assert (keep_top_k(logits[1:], k).isfinite().sum(-1) == min(k, 9)).all()


@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.9, 0.99, 1.0])
def test_top_p_equals_transformers(p, generator):
    logits = 2 * torch.randn(50, 30, generator=generator)
    theirs = logits if p == 1 else TopPLogitsWarper(p)(None, logits)  # generate leaves it out at 1
    assert torch.equal(keep_top_p(logits, p), theirs)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 99), min_size=1, max_size=7, unique=True), st.floats(0.01, 0.999))
def test_top_p_is_the_smallest_set_by_enumeration(weights, p):
    probabilities = [weight / sum(weights) for weight in weights]
    logits = torch.tensor(probabilities).log()
    nucleus = smallest_nucleus(probabilities, p)
    if abs(sum(probabilities[i] for i in nucleus) - p) > 1e-5:  # else rounding may tip it either way
        assert set(kept(keep_top_p(logits, p))) == nucleus


def test_slide_t39_keeps_two_tokens_half_of_the_list_and_eighty_per_cent_of_the_mass():
    for shift in (0.0, 100.0, -100.0):
        assert kept(keep_top_p(SLIDE + shift, 0.8)) == [0, 1]
    assert kept(keep_top_p(SLIDE, 0.81)) == [0, 1, 2]
    assert kept(keep_top_p(SLIDE, 1e-9)) == [0]
    assert torch.equal(keep_top_p(SLIDE, 1.0), SLIDE)
    assert torch.equal(warp(SLIDE, top_p=1.0), SLIDE)


@pytest.mark.parametrize("width", [10, 1000, 50_257])
def test_a_reached_mass_is_reached_despite_rounding(width):
    """Equal tokens: p = m / 10 needs exactly that share of them, at any vocabulary."""
    logits = torch.zeros(width)
    for tenths in range(1, 10):
        count = keep_top_p(logits, tenths / 10).isfinite().sum().item()
        assert abs(count - width * tenths / 10) <= 1 + width * 1e-6


def test_rounding_and_half_precision_lose_no_token_of_the_nucleus():
    assert kept(keep_top_p(torch.tensor([0.0, -20.0]), 1.0)) == [0, 1]  # 1 - 2e-9 is not yet everything
    half = torch.zeros(1000, dtype=torch.bfloat16)
    assert abs(keep_top_p(half, 0.5).isfinite().sum().item() - 500) <= 1


@pytest.mark.parametrize("p", [0.9, 0.999, 0.99999, 0.999999, 1 - 1e-9])
def test_the_slack_for_rounding_is_small_beside_what_is_cut(p, generator):
    """An absolute slack of 5e-7 left out a thousand tokens of the nucleus at p = .999999."""
    logits = 3 * torch.randn(50_257, generator=generator)
    falling = logits.double().softmax(-1).sort(descending=True).values
    exact = (falling.cumsum(0) - falling < p).sum().item()
    assert abs(keep_top_p(logits, p).isfinite().sum().item() - exact) <= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("temperature", [1e-4, 1e-38, 1e-45, 1e-300])
def test_the_smallest_temperatures_are_nearly_zero(dtype, temperature, generator):
    logits = torch.randn(4, 50, generator=generator).to(dtype)
    logits[0], logits[1, 3], logits[2, :5] = -torch.inf, 900, -torch.inf
    logits[0, 7] = -900
    probabilities = scale_temperature(logits, temperature).softmax(-1)
    assert torch.equal(probabilities, argmax_onehot(logits.float()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_warped_as_the_same_numbers_in_float32(dtype, generator):
    logits = (3 * torch.randn(2, 1000, generator=generator)).to(dtype)
    for options in ({}, {"temperature": 0.3}, {"temperature": 0.7, "top_k": 40, "top_p": 0.9}, {"top_p": 0.999}):
        assert torch.equal(warp(logits, **options), warp(logits.float(), **options))


def test_top_p_breaks_ties_by_the_lower_id():
    assert kept(keep_top_p(torch.zeros(4), 0.5)) == [0, 1]


def test_the_limits_of_temperature():
    logits = torch.tensor([[1.0, 2.0, 8.0], [4.0, 4.0, 0.0]])
    assert scale_temperature(logits, 0.0).softmax(-1).tolist() == [[0, 0, 1], [1, 0, 0]]
    torch.testing.assert_close(scale_temperature(logits, 1e9).softmax(-1), torch.full((2, 3), 1 / 3))
    assert scale_temperature(logits, 0.05).softmax(-1)[0].tolist() == [0, 0, 1]
    assert torch.equal(scale_temperature(logits, 1.0), logits)


def test_top_1_is_argmax_and_warps_follow_in_order(generator):
    logits = torch.randn(3, 5, 8, generator=generator)
    assert torch.equal(keep_top_k(logits, 1).isfinite().int().argmax(-1), logits.argmax(-1))
    expected = keep_top_p(keep_top_k(logits / 0.5, 3), 0.7)
    assert torch.equal(warp(logits, temperature=0.5, top_k=3, top_p=0.7), expected)


def test_large_and_forbidden_logits():
    logits = torch.tensor([1e30, -1e30, -math.inf, 1e30])
    assert kept(keep_top_p(logits, 0.9)) == [0, 3] == kept(keep_top_k(logits, 2))


def test_inputs_are_left_as_they_are():
    logits = SLIDE.clone()
    warp(logits, temperature=0.5, top_k=2, top_p=0.5)
    assert torch.equal(logits, SLIDE)


def test_bad_input(unchecked):
    for wrong in (-0.1, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"temperature must be a finite number of at least 0, got {wrong}"):
            scale_temperature(SLIDE, wrong)
    for wrong in (0.0, -0.5, 1.1, math.nan):
        with pytest.raises(ValueError, match=rf"top_p must lie in \(0, 1\], got {wrong}"):
            keep_top_p(SLIDE, wrong)
    for wrong in (0, -3):
        with pytest.raises(ValueError, match=f"top_k must be at least 1, got {wrong}"):
            keep_top_k(SLIDE, wrong)
    for wrong in (2.0, True):
        with pytest.raises(TypeError, match=f"top_k must be a whole number, got {wrong}"):
            keep_top_k(SLIDE, wrong)
