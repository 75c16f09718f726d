"""NF4 against the levels that the paper prints, against their definition, and against two loops."""

from statistics import NormalDist

import pytest
import torch

from lib.kernels import dequantize_groups, quantize_groups
from lib.kernels.nf4 import (
    NF4_LEVELS,
    QuantizedNF4,
    dequantize_nf4,
    normal_levels,
    quantize_nf4,
    zero_nf4,
)

PRINTED = """-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634,
0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0"""  # QLoRA, appendix E


@pytest.fixture
def weight(generator):
    return 0.02 * torch.randn(384, 128, generator=generator)  # 768 blocks, 3 blocks of scales


def test_the_levels_are_those_of_the_paper_and_quantiles_of_the_normal():
    assert tuple(float(level) for level in PRINTED.split(",")) == NF4_LEVELS
    inverse = NormalDist().inv_cdf
    end = (29 / 30 + 31 / 32) / 2
    above = [inverse(0.5 + (end - 0.5) * i / 8) for i in range(1, 9)]
    below = [-inverse(0.5 + (end - 0.5) * i / 7) for i in range(7, 0, -1)]
    levels = torch.tensor([*below, 0.0, *above]) / inverse(end)
    torch.testing.assert_close(levels, torch.tensor(NF4_LEVELS), rtol=0, atol=2e-7)
    torch.testing.assert_close(normal_levels(), torch.tensor(NF4_LEVELS), rtol=0, atol=2e-7)


def by_hand(weight):
    """The dequantised matrix and the magnitudes, with loops over blocks and levels in float64."""
    flat = weight.double().flatten().tolist()
    blocks = [flat[start : start + 64] for start in range(0, len(flat), 64)]
    absmax = [max(map(abs, block)) for block in blocks]
    mean = sum(absmax) / len(absmax)
    rounded = []
    for start in range(0, len(absmax), 256):
        centred = [one - mean for one in absmax[start : start + 256]]
        scale = max(map(abs, centred)) / 127
        rounded += [max(scale * round(one / scale) + mean, 0.0) if scale else mean for one in centred]
    values = []
    for block, exact, stored in zip(blocks, absmax, rounded):
        for x in block:
            values.append(stored * min(NF4_LEVELS, key=lambda level: abs(level - x / exact)))  # noqa: B023
    return torch.tensor(values).view(weight.shape), torch.tensor(absmax), torch.tensor(rounded)


@pytest.mark.parametrize(
    "shape", [(384, 128), (70, 6), (1, 2), (3, 64)]
)  # 6: a block runs over rows, the last is short
def test_every_weight_is_the_nearest_level_times_its_scale(shape, generator):
    weight = torch.randn(shape, generator=generator)
    ours, (expected, _, _) = dequantize_nf4(quantize_nf4(weight)), by_hand(weight)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


def test_scales_in_eight_bits_stay_within_half_a_step(weight):
    q = quantize_nf4(weight)
    _, absmax, rounded = by_hand(weight)
    assert q.absmax.dtype == torch.int8 and q.absmax.abs().max() == 127
    step = q.absmax_scale.repeat_interleave(256)
    assert ((rounded - absmax).abs() <= 0.5001 * step).all()
    assert not torch.equal(rounded, absmax)


def test_4127_bits_a_weight():
    q = zero_nf4(4096, 4096)
    bits = 8 * sum(tensor.nbytes for tensor in q) / 4096**2
    assert bits == 4 + 8 / 64 + 32 / (64 * 256) + 32 / 4096**2
    assert round(bits, 3) == 4.127  # QLoRA, section 3: 0.5 bits of scales become 0.127
    same = quantize_nf4(torch.zeros(70, 6))
    for ours, drawn in zip(zero_nf4(70, 6), same, strict=True):
        assert ours.dtype == drawn.dtype and torch.equal(ours, drawn)


def test_zeros_and_blocks_of_zeros_stay_exact(weight):
    weight[:8] = 0
    weight[20, ::3] = 0
    back = dequantize_nf4(quantize_nf4(weight))
    assert not back[weight == 0].any() and back[weight.abs() > 0.01].all()


def test_no_scale_becomes_negative(generator):
    weight = torch.randn(64, 64, generator=generator)
    weight[::2] *= 1e-6  # far below half a step of the scales
    back = dequantize_nf4(quantize_nf4(weight))
    assert (back * weight >= 0).all()


def test_normal_weights_are_better_held_than_by_even_steps(weight):
    def error(back):
        return float((back - weight).norm() / weight.norm())

    even = error(dequantize_groups(quantize_groups(weight, group_size=64)))
    assert error(dequantize_nf4(quantize_nf4(weight))) < 0.95 * even


@pytest.mark.parametrize("dtype, wide", [
    (torch.bfloat16, torch.float32), (torch.float16, torch.float32), (torch.float64, torch.float64),
])  # fmt: skip
def test_half_precision_is_rounded_in_float32(weight, dtype, wide):
    weight = weight.to(dtype)
    q = quantize_nf4(weight)
    assert q.absmax_scale.dtype == q.absmax_mean.dtype == wide
    assert torch.equal(dequantize_nf4(q), dequantize_nf4(quantize_nf4(weight.to(wide))))


@pytest.mark.parametrize("weight, error, message", [
    (torch.zeros(2, 3), ValueError, "weight must have an even number of columns, two to a byte, got 3"),
    (torch.zeros(4), ValueError, r"weight must have shape \(M, K\), got \(4,\)"),
    (torch.zeros(0, 4), ValueError, "weight must not be empty"),
    (torch.full((1, 2), float("nan")), ValueError, r"weight must be finite, got nan at \(0, 0\)"),
    (torch.zeros(2, 2, dtype=torch.int64), TypeError, "weight must be a floating-point tensor, got torch.int64"),
])  # fmt: skip
def test_bad_weights(unchecked, weight, error, message):
    with pytest.raises(error, match=message):
        quantize_nf4(weight)


def test_bad_codes(unchecked):
    with pytest.raises(TypeError, match="quantized must be a QuantizedNF4, got Tensor"):
        dequantize_nf4(torch.zeros(2, 2))
    with pytest.raises(ValueError, match="even number of columns"):
        zero_nf4(2, 3)
    assert QuantizedNF4._fields == ("packed", "absmax", "absmax_scale", "absmax_mean")
