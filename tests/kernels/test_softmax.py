import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lib.kernels import argmax_onehot, log_softmax, logsumexp, sigmoid, softmax

matrices = hnp.arrays("float64", st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.floats(-50, 50)).map(
    torch.tensor
)


@given(matrices, st.floats(-1e4, 1e4))
def test_rows_are_distributions_and_shifts_change_nothing(z, shift):
    p = softmax(z)
    torch.testing.assert_close(p.sum(-1), torch.ones(len(z), dtype=torch.float64))
    assert (p >= 0).all()
    torch.testing.assert_close(softmax(z + shift), p, rtol=1e-6, atol=1e-9)


@given(matrices)
def test_by_hand_in_double_precision(z):
    for row, p, log_p, total in zip(z.tolist(), softmax(z), log_softmax(z), logsumexp(z)):
        e = [math.exp(v) for v in row]
        assert p.tolist() == pytest.approx([v / sum(e) for v in e], rel=1e-10)
        assert log_p.tolist() == pytest.approx([v - math.log(sum(e)) for v in row], rel=1e-9, abs=1e-9)
        assert total.item() == pytest.approx(math.log(sum(e)), rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("dim", [0, 1, -1, -2])
def test_equal_pytorch_along_any_dimension_with_gradients(dim, generator):
    z = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    for ours, theirs in ((softmax, torch.softmax), (log_softmax, torch.log_softmax)):
        torch.testing.assert_close(ours(z, dim), theirs(z, dim))
        gradients = [torch.autograd.grad((f(z, dim) * weight).sum(), z)[0] for f in (ours, theirs)]
        torch.testing.assert_close(*gradients)
    torch.testing.assert_close(logsumexp(z, dim, keepdim=True), torch.logsumexp(z, dim, keepdim=True))
    assert torch.autograd.gradcheck(lambda z: logsumexp(z, dim), z)


def test_scores_of_ten_thousand():
    z = torch.tensor([[1e4, 1e4 - 1, -1e4]])
    assert softmax(z)[0, :2].tolist() == pytest.approx([0.731059, 0.268941], abs=1e-4)
    assert logsumexp(z).item() == pytest.approx(1e4 + math.log1p(math.exp(-1)), rel=1e-6)
    assert log_softmax(z)[0, 2].item() == pytest.approx(-2e4, rel=1e-4)
    assert softmax(torch.tensor([0.0, -math.inf])).tolist() == [1, 0]
    assert logsumexp(torch.tensor([-math.inf, -math.inf])).item() == -math.inf


def test_slide_w12_and_w13():
    assert [round(p, 3) for p in softmax(torch.tensor([1.0, 2.0, 8.0])).tolist()] == [0.001, 0.002, 0.997]
    assert argmax_onehot(torch.tensor([0.0, 3.0, 3.0])).tolist() == [0, 0.5, 0.5]
    x = torch.linspace(-40, 40, 401, dtype=torch.float64)
    torch.testing.assert_close(sigmoid(x), 1 / (1 + (-x).exp()), rtol=1e-12, atol=0)
    torch.testing.assert_close(sigmoid(x), 1 - sigmoid(-x))
    assert sigmoid(torch.tensor([-1e4, 1e4])).tolist() == [0, 1]
    assert torch.autograd.gradcheck(sigmoid, torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True))


@given(
    hnp.arrays("float32", st.tuples(st.integers(1, 3), st.integers(1, 6)), elements=st.integers(-2, 2)).map(
        torch.tensor
    )
)
def test_argmax_is_the_cold_limit_of_softmax(z):
    torch.testing.assert_close(argmax_onehot(z), softmax(z / 0.01))


@pytest.mark.parametrize("function", [softmax, logsumexp, log_softmax, sigmoid, argmax_onehot])
def test_bad_types(function, unchecked):
    with pytest.raises(TypeError, match="must be a floating-point tensor, got"):
        function(torch.tensor([1, 2]))
    with pytest.raises(TypeError, match="must be a floating-point tensor"):
        function([1.0, 2.0])


@pytest.mark.parametrize("function", [softmax, logsumexp, log_softmax])
def test_bad_dimensions(function, unchecked):
    with pytest.raises(ValueError, match="dim must be a dimension of z"):
        function(torch.zeros(2, 3), 2)
    with pytest.raises(ValueError, match="at least one entry"):
        function(torch.zeros(2, 0))


def test_argmax_of_nothing(unchecked):
    with pytest.raises(ValueError):
        argmax_onehot(torch.zeros(2, 0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("V", [100, 200_000])
def test_half_precision_is_summed_in_float32(dtype, V, generator):
    """The exponentials of 200,000 equal logits sum to more than float16 can hold."""
    z = torch.randn(2, V, generator=generator).to(dtype)
    for ours, theirs in ((softmax, torch.softmax), (log_softmax, torch.log_softmax), (logsumexp, torch.logsumexp)):
        found = ours(z, -1)
        assert found.dtype == dtype and found.isfinite().all()
        torch.testing.assert_close(found, theirs(z.float(), -1).to(dtype))


def test_slices_of_nothing_and_ties_at_the_top():
    nothing = torch.full((2, 3), -math.inf)
    assert softmax(nothing).isnan().all() and logsumexp(nothing).tolist() == [-math.inf] * 2
    mixed = torch.tensor([[-math.inf, 2.0, -math.inf]])
    assert log_softmax(mixed).tolist() == [[-math.inf, 0, -math.inf]] and logsumexp(mixed).item() == 2
    assert logsumexp(torch.zeros(2, 3), 0, keepdim=True).shape == (1, 3) and logsumexp(torch.zeros(2, 3), 0).shape == (
        3,
    )
    assert logsumexp(torch.tensor([math.inf, 0.0])).item() == math.inf
    assert argmax_onehot(torch.tensor([[-2.0, -1.0], [-math.inf, 0.0]], dtype=torch.float64)).tolist() == [[0, 1]] * 2


def test_derivatives_at_zero_and_far_out():
    x = torch.tensor([0.0, -200.0, 200.0], requires_grad=True)
    y = sigmoid(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert slope.tolist() == [0.25, 0, 0] and y[0].item() == 0.5
    z = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64, requires_grad=True)  # two are the largest
    assert torch.autograd.gradcheck(logsumexp, z) and torch.autograd.gradcheck(log_softmax, z)
    assert torch.autograd.gradgradcheck(softmax, z) and torch.autograd.gradgradcheck(log_softmax, z)
