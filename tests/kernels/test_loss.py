import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.kernels import chunked_cross_entropy, cross_entropy, selective_log_softmax


def draw(generator, N=6, D=4, V=11):
    hidden = torch.randn(N, D, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(V, D, generator=generator, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(V, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, V, (N,), generator=generator)
    return hidden, weight, bias, targets


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_plain_equals_pytorch_with_its_gradient(reduction, generator):
    logits = torch.randn(2, 3, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[1, -100, 6], [0, 0, -100]])
    theirs = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction).view(
        (2, 3) if reduction == "none" else ()
    )
    ours = cross_entropy(logits, targets, reduction=reduction)
    torch.testing.assert_close(ours, theirs)
    weight = torch.rand(ours.shape, generator=generator, dtype=torch.float64)
    gradients = [torch.autograd.grad((loss * weight).sum(), logits)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients)


@settings(max_examples=40)
@given(st.integers(1, 13), st.sampled_from(["mean", "sum", "none"]), st.booleans(), st.integers(0, 2**16))
def test_chunked_equals_plain_with_all_gradients(chunk_size, reduction, with_bias, seed):
    generator = torch.Generator().manual_seed(seed)
    hidden, weight, bias, targets = draw(generator)
    targets[seed % 6] = -100
    bias = bias if with_bias else None
    leaves = [hidden, weight] + ([bias] if with_bias else [])
    whole = hidden @ weight.T + (bias if with_bias else 0)
    plain = cross_entropy(whole, targets, reduction=reduction)
    chunked = chunked_cross_entropy(hidden, weight, targets, bias=bias, reduction=reduction, chunk_size=chunk_size)
    torch.testing.assert_close(chunked, plain)
    mix = torch.rand(plain.shape, generator=generator, dtype=torch.float64)
    expected = torch.autograd.grad((plain * mix).sum(), leaves)
    for ours, theirs in zip(torch.autograd.grad((chunked * mix).sum(), leaves), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_chunked_against_finite_differences(generator):
    hidden, weight, bias, targets = draw(generator, N=3, V=5)
    targets[0] = -100
    assert torch.autograd.gradcheck(
        lambda h, w, b: chunked_cross_entropy(h, w, targets, bias=b, chunk_size=2), (hidden, weight, bias)
    )


def test_chunked_never_holds_all_logits(generator):
    hidden, weight, _, targets = draw(generator, N=64, D=4, V=4096)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            largest = max(
                [largest]
                + [t.numel() for t in (out if isinstance(out, (tuple, list)) else [out]) if torch.is_tensor(t)]
            )
            return out

    with Watch():
        chunked_cross_entropy(hidden, weight, targets, chunk_size=128).backward()
    assert largest <= max(64 * 128, weight.numel())


def test_large_logits():
    logits = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([2]))
    loss.backward()
    assert loss.item() == pytest.approx(2e4) and logits.grad.tolist() == [[1, 0, -1]]
    hidden, weight = torch.tensor([[1e4]]), torch.tensor([[1.0], [0.0], [-1.0]])
    assert chunked_cross_entropy(hidden, weight, torch.tensor([2]), chunk_size=1).item() == pytest.approx(2e4)


def test_half_precision_gives_a_float32_loss(generator):
    hidden, weight, _, targets = (x.detach() for x in draw(generator))
    low = hidden.bfloat16() @ weight.bfloat16().T
    assert cross_entropy(low, targets).dtype == torch.float32
    assert chunked_cross_entropy(hidden.bfloat16(), weight.bfloat16(), targets).dtype == torch.float32
    assert cross_entropy(low, targets).item() == pytest.approx(
        cross_entropy(hidden @ weight.T, targets).item(), abs=0.1
    )


def test_uniform_is_log_of_the_vocabulary():
    assert cross_entropy(torch.zeros(2, 30_522), torch.tensor([5, 30_521])).item() == pytest.approx(
        math.log(30_522), rel=1e-6
    )


@pytest.mark.parametrize("chunked", [False, True])
def test_bad_input(chunked, unchecked):
    def loss(targets, logits=torch.zeros(2, 3), **options):
        if chunked:
            return chunked_cross_entropy(logits @ torch.zeros(3, 4), torch.zeros(3, 4), targets, **options)
        return cross_entropy(logits, targets, **options)

    with pytest.raises(ValueError, match="ids from 0 to 2.*got 3"):
        loss(torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="got -1"):
        loss(torch.tensor([-1, 0]))
    with pytest.raises(ValueError, match="all 2 are ignore_index"):
        loss(torch.tensor([-100, -100]))
    assert loss(torch.tensor([-100, -100]), reduction="sum").item() == 0
    with pytest.raises(ValueError, match="reduction must be 'mean', 'sum' or 'none', got 'median'"):
        loss(torch.tensor([0, 1]), reduction="median")
    with pytest.raises(ValueError, match=r"targets must have shape \(2,\), got \(3,\)"):
        loss(torch.tensor([0, 1, 2]))
    with pytest.raises(TypeError, match="targets must be an integer tensor, got torch.float32"):
        loss(torch.tensor([0.0, 1.0]))


def test_bad_chunks(unchecked):
    hidden, weight, targets = torch.zeros(2, 3), torch.zeros(5, 3), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="chunk_size must be at least 1"):
        chunked_cross_entropy(hidden, weight, targets, chunk_size=0)
    with pytest.raises(ValueError, match=r"weight must have shape \(V, 3\), got \(5, 4\)"):
        chunked_cross_entropy(hidden, torch.zeros(5, 4), targets)
    with pytest.raises(ValueError, match=r"bias must have shape \(5,\), got \(4,\)"):
        chunked_cross_entropy(hidden, weight, targets, bias=torch.zeros(4))
    with pytest.raises(TypeError, match="hidden must be a floating-point tensor, got torch.int64"):
        chunked_cross_entropy(hidden.long(), weight.long(), targets)


@pytest.mark.parametrize("ignore_index", [-100, -1, 2, 99])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_another_number_may_mean_what_does_not_count(ignore_index, reduction, generator):
    hidden, weight, bias, targets = draw(generator)
    targets[[1, 4]] = ignore_index
    logits = hidden @ weight.T + bias
    expected = F.cross_entropy(logits, targets, ignore_index=ignore_index, reduction=reduction)
    options = {"ignore_index": ignore_index, "reduction": reduction}
    torch.testing.assert_close(cross_entropy(logits, targets, **options), expected)
    chunked = chunked_cross_entropy(hidden, weight, targets, bias=bias, chunk_size=4, **options)
    torch.testing.assert_close(chunked, expected)
    for loss in (cross_entropy(logits, targets, **options), chunked):
        found = torch.autograd.grad(loss.sum(), hidden, retain_graph=True)[0]
        assert (found[[1, 4]] == 0).all() and (found[[0, 2, 3, 5]] != 0).any(dim=1).all() or ignore_index == 2


def test_minus_a_hundred_is_no_target_where_another_number_is_ignored(unchecked):
    hidden, weight, targets = torch.zeros(2, 3), torch.zeros(4, 3), torch.tensor([-100, 1])
    for loss in (lambda **o: cross_entropy(hidden @ weight.T, targets, **o),
                 lambda **o: chunked_cross_entropy(hidden, weight, targets, **o)):  # fmt: skip
        with pytest.raises(ValueError, match="ids from 0 to 3.*got -100"):
            loss(ignore_index=-1)
        assert loss().item() == pytest.approx(math.log(4))
    with pytest.raises(ValueError, match="ids must be ids from 0 to 3, got -100"):
        selective_log_softmax(torch.zeros(2, 4), targets)


def test_chosen_log_probabilities_by_loops(generator):
    logits = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    ids = torch.tensor([[0, 4, 2], [1, 1, 3]])
    found = selective_log_softmax(logits, ids)
    for b in range(2):
        for t in range(3):
            row = logits[b, t].tolist()
            expected = row[ids[b, t]] - math.log(sum(math.exp(z) for z in row))
            assert found[b, t].item() == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(lambda z: selective_log_softmax(z, ids), logits)


def test_gradients_are_made_where_they_are_wanted_and_in_the_type_of_each(generator):
    hidden, weight, bias, targets = (x.detach() for x in draw(generator))
    low = [x.bfloat16().requires_grad_() for x in (hidden, weight, bias)]
    exact = [x.double().detach().requires_grad_() for x in low]
    want = torch.autograd.grad(cross_entropy(exact[0] @ exact[1].T + exact[2], targets), exact)
    loss = lambda chosen: chunked_cross_entropy(*chosen[:2], targets, bias=chosen[2], chunk_size=4)  # noqa: E731
    assert loss(low).item() == pytest.approx(
        cross_entropy(exact[0] @ exact[1].T + exact[2], targets).item(), rel=1e-5
    )  # products of bfloat16 numbers, summed in float32
    for number in range(3):
        chosen = [x if n == number else x.detach() for n, x in enumerate(low)]
        (found,) = torch.autograd.grad(loss(chosen), chosen[number])
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found.double(), want[number], rtol=0.01, atol=1e-3)


def test_a_place_that_is_ignored_may_hold_anything(generator):
    logits = torch.randn(3, 4, generator=generator, requires_grad=True)
    targets = torch.tensor([1, -100, 2])
    with torch.no_grad():
        logits[1, 2] = -math.inf
    loss = cross_entropy(logits, targets, reduction="none")
    (grad,) = torch.autograd.grad(loss.sum(), logits)
    assert loss[1] == 0 and grad[1].tolist() == [0] * 4 and grad.isfinite().all()


def test_scalars_and_flat_logits(unchecked):
    with pytest.raises(ValueError, match=r"logits must have the vocabulary as their last dimension, got shape \(\)"):
        cross_entropy(torch.tensor(1.0), torch.tensor(0))
    assert cross_entropy(torch.zeros(4), torch.tensor(3)).item() == pytest.approx(math.log(4))
    with pytest.raises(ValueError, match=r"ids must have shape \(2,\)"):
        selective_log_softmax(torch.zeros(2, 4), torch.tensor([[0], [3]]))
    with pytest.raises(ValueError, match=r"got -100 at \(1, 0\)"):
        cross_entropy(torch.zeros(2, 1, 4), torch.tensor([[0], [-100]]), ignore_index=0, reduction="sum")
