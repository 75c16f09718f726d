"""Second derivatives of every hand-written backward pass: PyTorch's where there are any, never a silent 0."""

import ast

import pytest
import torch
import torch.nn.functional as F

from lib import ROOT
from lib.kernels import (
    attention_fused,
    attention_reference,
    attention_tiled,
    chunked_cross_entropy,
    cross_entropy,
    selective_log_softmax,
)
from lib.kernels.second_order import differentiable_gradients
from lib.objectives import mlm_loss, token_log_probs

HELD = {  # every class in `lib` with a backward pass of its own, and where its second derivatives are tested
    "lib/kernels/loss.py": {"_CrossEntropy": "here", "_ChunkedCrossEntropy": "here"},
    "lib/kernels/tiled.py": {"_TiledAttention": "here"},
    "lib/kernels/triton.py": dict.fromkeys(("_Softmax", "_Attention", "_CrossEntropy"), "test_triton.py"),
    "lib/adapters/lora_layer.py": {"_LowRankProduct": "tests/adapters/test_second_derivatives.py"},
    "lib/models/linear.py": {"_PackedProduct": "tests/adapters/test_second_derivatives.py"},
    "lib/models/attention.py": {"_Untrainable": "raises in its first backward pass: tests/models/test_cache.py"},
}


def test_every_hand_written_backward_pass_is_in_the_table():
    found = {}
    for path in sorted((ROOT / "lib").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and any("Function" in ast.unparse(base) for base in node.bases):
                found.setdefault(path.relative_to(ROOT).as_posix(), set()).add(node.name)
    assert found == {path: set(classes) for path, classes in HELD.items()}
    for path in HELD:
        assert "once_differentiable" not in (ROOT / path).read_text(), "it lets a constant gradient through silently"


def test_the_hessian_of_cross_entropy_is_pytorchs(generator):
    logits = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    targets = torch.tensor([3, 0])
    ours = torch.autograd.functional.hessian(lambda z: cross_entropy(z, targets), logits)
    theirs = torch.autograd.functional.hessian(lambda z: F.cross_entropy(z, targets), logits)
    torch.testing.assert_close(ours, theirs)
    p = torch.softmax(logits[0], -1)  # p (1 - p) on the diagonal, over the two rows of the mean
    torch.testing.assert_close(ours[0, :, 0].diagonal(), p * (1 - p) / 2)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("chunk_size", [2, 100])
def test_the_chunked_loss_twice_against_finite_differences(chunk_size, bias, generator):
    given = [
        torch.randn(*s, generator=generator, dtype=torch.float64, requires_grad=True) for s in ((3, 2), (5, 2), (5,))
    ]
    targets = torch.tensor([4, -100, 1])

    def loss(h, w, b=None):
        return chunked_cross_entropy(h, w, targets, bias=b, chunk_size=chunk_size)

    assert torch.autograd.gradgradcheck(loss, given if bias else given[:2])


def test_a_token_that_does_not_count_has_no_curvature(generator):
    logits = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    logits[0, 0, 0] = -torch.inf  # at a place that is ignored, 0 * inf must not become NaN
    targets = torch.tensor([[-100, 2, 0], [1, -100, 3]])
    ours, theirs = (
        torch.autograd.functional.hessian(lambda z, way=way: way(z.view(-1, 4), targets.view(-1)), logits.view(-1))
        for way in (cross_entropy, F.cross_entropy)
    )
    kept = (targets != -100).view(-1, 1).expand(-1, 4).reshape(-1)
    torch.testing.assert_close(ours[kept][:, kept], theirs[kept][:, kept])
    assert ours[~kept].abs().max() == 0


@pytest.mark.parametrize("way", [token_log_probs, selective_log_softmax])
def test_log_probabilities_twice(way, generator):
    logits = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    ids = torch.tensor([[1, 2, 0], [0, 3, 3]])
    assert torch.autograd.gradgradcheck(lambda z: way(z, ids), (logits,))


def test_the_masked_lm_loss_twice(generator):
    logits = torch.randn(1, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda z: mlm_loss(z, torch.tensor([[-100, 2, 1]])), (logits,))


@pytest.mark.parametrize("kind", ["none", "boolean", "float"])
@pytest.mark.parametrize("causal", [False, True])
def test_tiled_attention_twice_against_finite_differences(kind, causal, generator):
    q, k, v = (
        torch.randn(1, H, n, 2, generator=generator, dtype=torch.float64, requires_grad=True)
        for H, n in ((2, 3), (1, 4), (1, 4))
    )
    mask = torch.tensor([[True, True, False, True], [False] * 4, [True, False, True, True]])
    leaves = [q, k, v]
    if kind == "float":
        leaves.append(torch.randn(2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True))

    def attend(q, k, v, bias=None):
        chosen = {"none": None, "boolean": mask, "float": bias}[kind]
        return attention_tiled(q, k, v, mask=chosen, causal=causal, scale=0.7, block_size=1)

    assert torch.autograd.gradgradcheck(attend, leaves)


@pytest.mark.parametrize("way", [attention_reference, attention_tiled])
def test_a_tensor_that_comes_twice_is_counted_once_for_each(way, generator):
    x = torch.randn(1, 1, 3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: way(x, x, x, causal=True), (x,))


def test_pytorchs_own_kernel_refuses_where_it_has_none(generator):
    q, k, v = (torch.randn(1, 1, 8, 4, generator=generator, requires_grad=True) for _ in range(3))
    (first,) = torch.autograd.grad(attention_fused(q, k, v).sum(), q, create_graph=True)
    with pytest.raises((RuntimeError, NotImplementedError), match="not implemented"):
        first.sum().backward()


def test_gradients_are_none_where_none_is_needed():
    x, y = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0)
    found = differentiable_gradients(lambda x, y, z: x * x * y, (x, y, None), torch.tensor(1.0))
    assert found[0].item() == 12 and found[1:] == (None, None)
    assert torch.autograd.grad(found[0], x)[0].item() == 6  # 2 y: differentiable once more
