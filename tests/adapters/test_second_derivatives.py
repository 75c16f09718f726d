"""LoRA's own backward pass has a right derivative itself; what it has not, it refuses."""

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from lib.adapters import LoraSettings, inject_lora, lora_parameters
from lib.models import quantize_model
from tests.adapters import adapted
from tests.models import theirs

FUSED = "stack.blocks.0.attention.qkv"


def of_all(model, x):
    """The model as a function of x and of every parameter that is trained; and these, in float64."""
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    values = [dict(model.named_parameters())[name].detach().clone().requires_grad_(True) for name in names]

    def run(x, *values):
        torch.manual_seed(3)  # of dropout
        return functional_call(model, dict(zip(names, values)), (x,))

    return run, (x.double().requires_grad_(True), *values)


def single(**settings):
    model = adapted.adapted(nn.Sequential(nn.Linear(4, 3)).double(), targets=("0",), **settings)
    model[0].weight.requires_grad_(True)
    model[0].bias.requires_grad_(True)
    return model, torch.randn(2, 4)


def fused():
    model = adapted.adapted(adapted.llama().double(), alpha_pattern={"v": 1.0}, rank_pattern={"q": 1})
    return model.get_submodule(FUSED), torch.randn(2, 16)


def conv1d():
    model = adapted.adapted(theirs.gpt2(n_embd=4, n_head=2).double(), targets=("c_attn",))
    layer = model.transformer.h[0].attn.c_attn
    layer.weight.requires_grad_(True)
    layer.bias.requires_grad_(True)
    return layer, torch.randn(2, 4)


def in_few_bits(scheme):
    model = quantize_model(nn.Sequential(nn.Linear(32, 3)).double(), scheme=scheme)
    return adapted.adapted(model, targets=("0",)), torch.randn(1, 32)


CASES = {
    "plain": single,
    "dropout": lambda: (lambda model, x: (model.train(), x))(*single(dropout=0.5)),
    "fused": fused,
    "conv1d": conv1d,
    "int8": lambda: in_few_bits("int8-channel"),
    "int4": lambda: in_few_bits("int4-group"),
    "nf4": lambda: in_few_bits("nf4"),
}


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_first_and_second_derivatives_are_those_of_finite_differences(make):
    function, inputs = of_all(*make())
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


def test_the_gradient_of_a_has_a_graph_to_b_where_the_incoming_gradient_is_a_constant():
    model = adapted.adapted(nn.Sequential(nn.Linear(5, 4)).double(), targets=("0",))
    a, b = lora_parameters(model).values()
    x = torch.randn(3, 5, dtype=torch.float64)
    (grad_a,) = torch.autograd.grad(model(x).sum(), a, create_graph=True)  # s (Bᵀ 1)(Σ x)ᵀ
    (mixed,) = torch.autograd.grad(grad_a.sum(), b)
    torch.testing.assert_close(mixed, torch.full((4, 2), float(1.5 * x.sum()), dtype=torch.float64))


def two_lines(x, weight, a, b):
    return F.linear(x, weight) + 1.5 * (x @ a.t()) @ b.t()


@pytest.mark.parametrize("vectorize", [False, True])
def test_the_hessian_is_that_of_two_lines(vectorize):
    model = adapted.adapted(nn.Sequential(nn.Linear(3, 2, bias=False)).double(), targets=("0",))
    names = list(lora_parameters(model))
    x, y = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 1, 1, 0])
    weight = model[0].weight.detach()

    def ours(a, b):
        return F.cross_entropy(functional_call(model, dict(zip(names, (a, b))), (x,)), y)

    def expected(a, b):
        return F.cross_entropy(two_lines(x, weight, a, b), y)

    at = tuple(factor.detach() for factor in lora_parameters(model).values())
    results = (torch.autograd.functional.hessian(f, at, vectorize=vectorize) for f in (ours, expected))
    for got, want in zip(*results):
        for one, other in zip(got, want):
            assert other.abs().max() > 1e-3
            torch.testing.assert_close(one, other)


def test_in_sixteen_bits_the_factors_second_derivative_is_that_of_two_lines():
    model = adapted.adapted(nn.Sequential(nn.Linear(64, 48, bias=False)).bfloat16(), targets=("0",))
    a, b = lora_parameters(model).values()
    x = torch.randn(8, 64).bfloat16()

    def mixed(y):
        (first,) = torch.autograd.grad(y.float().pow(2).sum(), a, create_graph=True)
        return torch.autograd.grad(first.pow(2).sum(), b)[0]

    ours, expected = mixed(model(x)), mixed(two_lines(x.float(), model[0].weight.float(), a, b))
    assert (ours - expected).norm() < 0.02 * expected.norm()  # outputs and their gradients are rounded to 8 bits


@pytest.mark.parametrize("take", [
    lambda f, x: torch.func.jvp(f, (x,), (x,)),
    lambda f, x: torch.func.jacrev(f)(x),
    lambda f, x: torch.func.vmap(f)(x[None]),
])  # fmt: skip
def test_what_autograd_cannot_do_with_it_is_an_error(take):
    model = adapted.adapted(nn.Sequential(nn.Linear(5, 4)), targets=("0",))
    with pytest.raises((RuntimeError, NotImplementedError)):
        take(model, torch.randn(3, 5))


def test_a_quantised_layer_alone_has_them_too():
    layer = quantize_model(nn.Sequential(nn.Linear(32, 3)).double(), scheme="nf4")
    x = torch.randn(2, 32, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x).pow(2), (x,))


def test_an_adapter_that_is_off_leaves_the_layers_own_derivatives():
    model = adapted.llama().double()
    inject_lora(model, LoraSettings(rank=1, targets=("down",)))  # q and v have none
    layer = model.get_submodule(FUSED)
    x = torch.randn(2, 16, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x).pow(2), (x,))
