"""Integer products with weights packed once: as exact as the rounding of x allows, and never less than promised."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.kernels import Quantized, dequantize, dynamic, dynamic_int8_matmul, int8_matmul, pack_int8, quantize_absmax


def rounding_bound(x, weight):
    """What the docstring promises for each y_nm, and float32's own rounding."""
    t = x.abs().amax(dim=1, keepdim=True) / 8
    off = torch.where(x.abs() <= t * (1 + 1e-6), t / 254, 8 * t / 254)
    w = dequantize(weight).abs()
    return off @ w.T * (1 + 1e-5) + 1e-6 * (x.abs() @ w.T)


@given(
    st.integers(1, 5), st.integers(1, 70), st.integers(1, 9), st.integers(0, 99), st.booleans(),
    st.sampled_from([1e-30, 1e-6, 1.0, 1e6]), st.booleans(),
)  # fmt: skip
def test_the_error_is_that_of_rounding_x(N, K, M, seed, per_row, size, use_packed):
    generator = torch.Generator().manual_seed(seed)
    x = size * torch.randn(N, K, generator=generator)
    x[0, 0] *= 30  # an outlier
    weight = quantize_absmax(torch.randn(M, K, generator=generator), axis=0 if per_row else None)
    packed = pack_int8(weight) if use_packed else None
    exact = x.double() @ dequantize(weight).double().T
    error = (dynamic_int8_matmul(x, weight, packed) - exact).abs()
    assert (error <= rounding_bound(x, weight)).all()


def test_an_outlier_leaves_the_others_their_digits(generator):
    x, W = torch.randn(1, 576, generator=generator), torch.randn(64, 576, generator=generator)
    x[0, 5] = 60
    weight = quantize_absmax(W, axis=0)
    exact = x @ dequantize(weight).T
    plain = (int8_matmul(quantize_absmax(x, axis=0), weight) - exact).norm()
    for packed in (None, pack_int8(weight)):
        assert (dynamic_int8_matmul(x, weight, packed) - exact).norm() < plain / 4


def test_rows_do_not_spoil_each_other(generator):
    x = torch.randn(4, 32, generator=generator) * torch.tensor([[1e-3], [1.0], [0.0], [1e4]])
    weight = quantize_absmax(torch.randn(8, 32, generator=generator), axis=0)
    packed = pack_int8(weight)
    together = dynamic_int8_matmul(x, weight, packed)
    for row, y in zip(x, together):
        apart = (dynamic_int8_matmul(row[None], weight, packed)[0] - y).abs()
        assert (apart <= 2 * rounding_bound(row[None], weight)[0]).all()
    assert (together[2] == 0).all()


def test_rows_of_zeros_in_the_weight_give_zeros(generator):
    W = torch.randn(3, 16, generator=generator)
    W[1] = 0
    weight = quantize_absmax(W, axis=0)
    y = dynamic_int8_matmul(torch.randn(2, 16, generator=generator), weight, pack_int8(weight))
    assert (y[:, 1] == 0).all() and (y[:, 0] != 0).all()


def test_nothing_is_packed_where_it_cannot_be_exact(monkeypatch):
    weight = quantize_absmax(torch.ones(2, 64), axis=0)
    wide = Quantized(torch.ones(1, dynamic.MAX_PACKED_INNER + 1, dtype=torch.int8), torch.ones(1, 1))
    assert pack_int8(wide) is None
    assert pack_int8(quantize_absmax(torch.ones(2, 64, dtype=torch.float64), axis=0)) is None
    assert pack_int8(Quantized(*(t.to("meta") for t in weight))) is None
    dynamic._engine.cache_clear()
    monkeypatch.setattr(torch.ops.quantized, "linear_dynamic", lambda x, packed: (127 * 32 * x[:, :1]).expand(-1, 2))
    assert pack_int8(weight) is None  # an engine whose sums saturate
    monkeypatch.setattr(dynamic, "_pack", lambda *_: torch.ops.quantized.gone)
    dynamic._engine.cache_clear()
    assert pack_int8(weight) is None  # a PyTorch without it
    monkeypatch.undo()
    dynamic._engine.cache_clear()


def test_packing_leaves_the_engine_as_it_was(recwarn):
    before = torch.backends.quantized.engine
    pack_int8(quantize_absmax(torch.ones(2, 3), axis=0))
    assert torch.backends.quantized.engine == before and not recwarn.list


def test_bad_input(unchecked):
    weight = quantize_absmax(torch.ones(2, 3), axis=0)
    for packed in (None, pack_int8(weight)):
        for bad in (math.nan, math.inf):
            with pytest.raises(ValueError, match="x must be finite"):
                dynamic_int8_matmul(torch.tensor([[1.0, bad, 2.0]]), weight, packed)
        with pytest.raises(ValueError, match="x must"):
            dynamic_int8_matmul(torch.ones(1, 4), weight, packed)
        with pytest.raises(ValueError, match="x must"):
            dynamic_int8_matmul(torch.ones(0, 3), weight, packed)
        with pytest.raises(TypeError, match="x must be"):
            dynamic_int8_matmul(torch.ones(1, 3, dtype=torch.int8), weight, packed)
    with pytest.raises(TypeError, match="weight must be a Quantized"):
        pack_int8(torch.ones(2, 3))
    with pytest.raises(ValueError, match="weight must have one scale or one per row"):
        pack_int8(quantize_absmax(torch.ones(2, 3), axis=1))
