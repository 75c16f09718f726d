"""Four bits, two in a byte: the layout by hand, the bound, and the bytes."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.kernels import QuantizedGroups, dequantize_groups, quantize_absmax, quantize_groups


@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([2, 4, 10]), st.integers(2, 4), st.integers(0, 999))
def test_equals_absmax_of_every_group(rows, groups, group_size, bits, seed):
    weight = torch.randn(rows, groups * group_size, generator=torch.Generator().manual_seed(seed))
    q = quantize_groups(weight, bits=bits, group_size=group_size)
    assert q.group_size == group_size
    found = dequantize_groups(q)
    for row in range(rows):
        for group in range(groups):
            part = slice(group * group_size, (group + 1) * group_size)
            values, scale = quantize_absmax(weight[row, part], bits=bits)
            assert q.scale[row, group] == scale
            assert torch.equal(found[row, part], values * scale)
            assert ((weight[row, part] - found[row, part]).abs() <= scale * 0.50001).all()


def test_layout_and_bytes_by_hand():
    q = quantize_groups(torch.tensor([[7.0, -7.0, 0.0, 1.0]]), group_size=4)
    assert q.packed.tolist() == [[15 | 1 << 4, 8 | 9 << 4]] and q.packed.dtype == torch.uint8
    assert q.scale.tolist() == [[1.0]]
    q = quantize_groups(torch.ones(8, 64))
    assert q.packed.nbytes == 8 * 64 // 2 and q.scale.nbytes == 8 * 2 * 4  # 5 bits a weight in all


def test_a_group_of_zeros_and_an_outlier_that_spoils_only_its_own_group():
    weight = torch.ones(1, 96)
    weight[0, :32] = 0
    weight[0, 40] = 1000
    found = dequantize_groups(quantize_groups(weight))
    assert (found[0, :32] == 0).all()
    assert (found[0, 32:40] == 0).all() and found[0, 40] == pytest.approx(1000)
    torch.testing.assert_close(found[0, 64:], weight[0, 64:])


def test_half_precision_and_doubles(generator):
    weight = torch.randn(3, 64, generator=generator)
    assert quantize_groups(weight.bfloat16()).scale.dtype == torch.float32
    assert dequantize_groups(quantize_groups(weight.double())).dtype == torch.float64


def test_bad_input(unchecked):
    weight = torch.ones(2, 64)
    for group_size in (0, -32, 1, 3, 48, 128):
        with pytest.raises(
            ValueError, match=rf"group_size must be (at least 2|even and divide the 64 columns), got {group_size}$"
        ):
            quantize_groups(weight, group_size=group_size)
    with pytest.raises(TypeError, match="group_size must be a whole number, got 32.0"):
        quantize_groups(weight, group_size=32.0)
    for bits in (1, 5, 8):
        with pytest.raises(ValueError, match=rf"bits must lie in \[2, 4\], got {bits}"):
            quantize_groups(weight, bits=bits)
    with pytest.raises(ValueError, match=r"weight must have shape \(M, K\), got \(64,\)"):
        quantize_groups(weight[0])
    with pytest.raises(ValueError, match="weight must be finite"):
        quantize_groups(weight * math.inf)
    with pytest.raises(TypeError, match="weight must be a floating-point tensor"):
        quantize_groups(weight.int())
    with pytest.raises(TypeError, match="quantized must be a QuantizedGroups, got Tensor"):
        dequantize_groups(weight)
    assert isinstance(quantize_groups(weight), QuantizedGroups)
