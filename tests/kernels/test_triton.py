"""The Triton kernels against what they replace, in float64: on a GPU where there is one, else in Triton's interpreter.

Triton reads TRITON_INTERPRET when it is imported, and another test of this process may have imported it. So one test runs this
file again in a process of its own; there the comparisons, which are skipped here, take CPU tensors.
"""

import importlib.util
import os
import re
import subprocess
import sys
import warnings

import pytest
import torch

from lib import ROOT
from lib.kernels import (
    attention_reference,
    attention_tiled,
    chunked_cross_entropy,
    cross_entropy,
    softmax,
    triton_attention,
    triton_cross_entropy,
    triton_softmax,
)
from lib.kernels import (
    triton as kernels,
)
from lib.kernels import (
    triton_launch as launcher,
)

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
TOLERANCE = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}  # a few roundings of numbers around 1
SCRIPT_TIMEOUT = 300


@pytest.fixture
def device():
    pytest.importorskip("triton")
    if INTERPRETED:
        return "cpu"
    if not torch.cuda.is_available():
        pytest.skip("no GPU; test_all_of_this_in_the_interpreter runs it on the CPU")
    return "cuda"


def run_python(*arguments, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "TRITON_INTERPRET"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=SCRIPT_TIMEOUT,
    )


@pytest.mark.skipif(INTERPRETED, reason="this is the interpreter")
def test_all_of_this_in_the_interpreter():
    pytest.importorskip("triton")
    done = run_python(
        *("-m", "pytest", "-q", "-x", "-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider", __file__),
        TRITON_INTERPRET="1",
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed > 40, done.stdout[-500:]  # not all skipped


# Comparisons. `exact` computes in float64 on the CPU; leaves are rounded to the type under test first, so both see one input.


def leaves(generator, *shapes, dtype=torch.float32):
    return [torch.randn(*shape, generator=generator).to(dtype) for shape in shapes]


def both_ways(kernel, exact, tensors, device):
    """Outputs and gradients of the kernel and, in float64, of what it must equal; the same random gradient goes in."""
    ours = [x.detach().to(device).requires_grad_() for x in tensors]
    theirs = [x.detach().double().requires_grad_() for x in tensors]
    out, expected = kernel(*ours), exact(*theirs)
    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).to(out.dtype)
    out.backward(grad.to(device))
    expected.backward(grad.double())
    return [out, *(x.grad for x in ours)], [expected, *(x.grad for x in theirs)]


def assert_agree(kernel, exact, tensors, device):
    got, expected = both_ways(kernel, exact, tensors, device)
    for name, x, y, like in zip(["output", *"abcd"], got, expected, [None, *tensors]):
        assert like is None or x.dtype == like.dtype
        scale = max(1.0, y.abs().max().item()) if y.numel() else 1.0
        difference = (x.detach().double().cpu() - y.detach()).abs()
        assert (difference <= 4 * TOLERANCE[tensors[0].dtype] * scale).all(), (
            f"{name}: {difference.max():.2e} of {scale:.2e}"
        )


@pytest.mark.parametrize("block", [16, 4096])
@pytest.mark.parametrize("shape, dim", [((37,), 0), ((3, 5), -1), ((5, 40, 3), 1), ((2, 1), -1)])
def test_softmax_and_its_gradient(shape, dim, block, device, generator, monkeypatch):
    monkeypatch.setattr(kernels, "ROW_BLOCK", block)
    z = leaves(generator, shape)
    assert_agree(lambda x: triton_softmax(x, dim), lambda x: softmax(x, dim), z, device)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_softmax_of_half_precision(dtype, device, generator):
    assert_agree(triton_softmax, softmax, leaves(generator, (4, 70), dtype=dtype), device)


def test_softmax_at_the_edges(device, monkeypatch):
    monkeypatch.setattr(kernels, "ROW_BLOCK", 16)
    inf = float("inf")
    z = torch.full((4, 40), -inf, device=device)  # the last row stays so
    z[0, 39], z[1, :2], z[2] = 1e4, 1e4, torch.linspace(-1e4, 1e4, 40)
    p = triton_softmax(z)
    expected = torch.zeros(3, 40, device=device)
    expected[0, 39], expected[1, :2], expected[2, 39] = 1, 0.5, 1
    torch.testing.assert_close(p[:3], expected)
    assert p[3].isnan().all()
    assert triton_softmax(torch.zeros(0, 3, device=device)).shape == (0, 3)


def test_softmax_has_second_derivatives(device, generator):
    (z,) = leaves(generator, (2, 9))

    def curvature(way, x):
        x = x.detach().requires_grad_()
        (grad,) = torch.autograd.grad(way(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(grad.square().sum(), x)[0].double().cpu()

    torch.testing.assert_close(
        curvature(triton_softmax, z.to(device)), curvature(softmax, z.double()), atol=1e-6, rtol=1e-5
    )


def test_attention_has_second_derivatives(device, generator):
    q, k, v = leaves(generator, (1, 2, 3, 16), (1, 1, 4, 16), (1, 1, 4, 16))
    q = q.mT.contiguous().mT  # not in the order of memory: a copy inside must not cut the graph
    mask = boolean(3, 4)

    def curvature(way, *given):
        given = [x.detach().requires_grad_() for x in given]
        out = way(*given, mask=mask.to(given[0].device), causal=True)
        grads = torch.autograd.grad(out.square().sum(), given, create_graph=True)
        return [x.double().cpu() for x in torch.autograd.grad(sum(x.square().sum() for x in grads), given)]

    ours = curvature(triton_attention, q.to(device), k.to(device), v.to(device))
    for got, expected in zip(ours, curvature(attention_reference, q.double(), k.double(), v.double()), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_the_loss_has_second_derivatives(device, generator):
    hidden, weight, bias = leaves(generator, (4, 16), (9, 16), (9,))
    weight = weight.T.contiguous().T
    targets = torch.tensor([0, 8, -100, 3])

    def curvature(way, *given):
        given = [x.detach().requires_grad_() for x in given]
        loss = way(given[0], given[1], targets.to(given[0].device), bias=given[2])
        grads = torch.autograd.grad(loss, given, create_graph=True)
        return [x.double().cpu() for x in torch.autograd.grad(sum(x.square().sum() for x in grads), given)]

    plain = lambda h, w, t, bias: cross_entropy(h @ w.T + bias, t)  # noqa: E731
    ours = curvature(triton_cross_entropy, hidden.to(device), weight.to(device), bias.to(device))
    for got, expected in zip(ours, curvature(plain, hidden.double(), weight.double(), bias.double()), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def boolean(*shape, seed=0, keep=0.6):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < keep


ATTENTION = {  # B, H, G, T, S, K, E, options
    "several blocks": (1, 2, 2, 70, 150, 64, 64, {}),
    "causal": (1, 2, 1, 130, 130, 16, 16, {"causal": True}),
    "causal after a cache": (2, 1, 1, 40, 135, 32, 32, {"causal": True}),
    "one query": (2, 4, 2, 1, 70, 16, 16, {"causal": True}),
    "grouped": (2, 6, 2, 5, 7, 16, 16, {}),
    "odd widths": (1, 2, 1, 33, 34, 20, 5, {"causal": True}),
    "narrow": (1, 1, 1, 3, 3, 1, 1, {}),
    "wide": (1, 1, 1, 20, 40, 200, 256, {}),
    "scale": (1, 1, 1, 9, 9, 16, 16, {"scale": 1.0}),
    "padding": (2, 2, 1, 70, 70, 16, 16, {"mask": boolean(2, 1, 1, 70), "causal": True}),
    "mask of two dimensions": (1, 2, 2, 70, 150, 16, 16, {"mask": boolean(70, 150)}),
    "mask per head": (2, 2, 1, 40, 70, 16, 16, {"mask": boolean(2, 2, 40, 70)}),
    "transposed mask": (1, 2, 1, 70, 40, 16, 16, {"mask": boolean(40, 70).T}),
    "empty rows": (1, 2, 1, 70, 70, 16, 16, {"mask": boolean(1, 1, 70, 70, keep=0.01)}),
    "float mask": (
        1,
        2,
        2,
        70,
        150,
        16,
        16,
        {"mask": torch.linspace(-3, 3, 150).masked_fill(boolean(150), -torch.inf)},
    ),
}


@pytest.mark.parametrize("case", ATTENTION)
def test_attention_and_its_gradients(case, device, generator):
    B, H, G, T, S, K, E, options = ATTENTION[case]
    qkv = leaves(generator, (B, H, T, K), (B, G, S, K), (B, G, S, E))
    there = options | ({"mask": options["mask"].to(device)} if "mask" in options else {})
    assert_agree(lambda *x: triton_attention(*x, **there), lambda *x: attention_reference(*x, **options), qkv, device)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_attention_of_half_precision(dtype, device, generator):
    qkv = leaves(generator, (1, 4, 70, 32), (1, 2, 140, 32), (1, 2, 140, 32), dtype=dtype)
    ways = [lambda *x, way=way: way(*x, causal=True) for way in (triton_attention, attention_reference)]
    assert_agree(*ways, qkv, device)


def test_attention_of_views_of_other_layouts(device, generator):
    views = [x.transpose(1, 2) for x in leaves(generator, (2, 9, 4, 16), (2, 11, 2, 16), (2, 11, 2, 16))]
    assert_agree(triton_attention, attention_reference, views, device)


def test_a_query_that_sees_nothing_gets_zeros_and_passes_no_gradient(device, generator):
    mask = torch.ones(70, 150, dtype=torch.bool)
    mask[[0, 69]] = False
    q, k, v = (x.to(device).requires_grad_() for x in leaves(generator, (1, 1, 70, 16), *[(1, 1, 150, 16)] * 2))
    out = triton_attention(q, k, v, mask=mask.to(device))
    out.sum().backward()
    assert out[0, 0, [0, 69]].eq(0).all() and q.grad[0, 0, [0, 69]].eq(0).all()
    assert all(x.grad.isfinite().all() for x in (q, k, v))


def test_attention_of_huge_scores_picks_the_largest(device):
    S = 150
    k = torch.linspace(-100, 100, S, device=device)[None, None, :, None].repeat(1, 1, 1, 16)
    q = torch.full((1, 1, 2, 16), 100 / 16, device=device)  # scores from -1e4 to 1e4
    q[:, :, 1] *= -1
    v = torch.arange(S, dtype=torch.float32, device=device)[None, None, :, None]
    assert triton_attention(q, k, v, scale=1.0).flatten().tolist() == [S - 1, 0]


def test_attention_without_keys_or_queries(device):
    q, k = torch.ones(1, 1, 3, 16, device=device), torch.ones(1, 1, 0, 16, device=device)
    assert triton_attention(q, k, k).eq(0).all()
    assert triton_attention(k, q, q).shape == (1, 1, 0, 16)


def loss_problem(generator, dtype=torch.float32, N=70, V=150, D=40):
    targets = torch.randint(V, (N,), generator=generator)
    targets[::7] = -100
    targets[1], targets[2] = 0, V - 1
    return leaves(generator, (N, D), (V, D), (V,), dtype=dtype), targets


def exact_loss(targets, **options):
    return lambda hidden, weight, bias=None: cross_entropy(
        hidden @ weight.T + (0 if bias is None else bias), targets, **options
    )


@pytest.mark.parametrize("chunk_size", [8192, 64, 7])
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("with_bias", [True, False])
def test_loss_and_its_gradients(chunk_size, reduction, with_bias, device, generator):
    tensors, targets = loss_problem(generator)

    def ours(hidden, weight, bias=None):
        return triton_cross_entropy(
            hidden, weight, targets.to(device), bias=bias, reduction=reduction, chunk_size=chunk_size
        )

    assert_agree(ours, exact_loss(targets, reduction=reduction), tensors if with_bias else tensors[:2], device)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_loss_of_half_precision_is_summed_in_float32(dtype, device, generator):
    tensors, targets = loss_problem(generator, dtype)
    ours = lambda h, w, b: triton_cross_entropy(h, w, targets.to(device), bias=b, chunk_size=64)  # noqa: E731
    assert_agree(ours, exact_loss(targets), tensors, device)
    h, w, b = (x.to(device) for x in tensors)
    loss = ours(h, w, b)
    expected = exact_loss(targets)(*(x.double() for x in tensors)).item()
    assert loss.dtype == torch.float32 and abs(loss.item() - expected) < 1e-5 * expected


def test_loss_of_float16_keeps_gradients_below_its_least_number(device):
    N, V = 64, 2048
    hidden = torch.full((N, 16), 64.0, dtype=torch.float16, device=device)
    weight = torch.zeros(V, 16, dtype=torch.float16, device=device, requires_grad=True)
    loss = triton_cross_entropy(hidden, weight, torch.zeros(N, dtype=torch.long, device=device))
    (loss * 2.0**-12).backward()  # d loss / d logits = 2^-12 p / N = 2^-29, and 2^-24 is the least float16
    assert weight.grad[1, 0].item() == 2.0**-17


@pytest.mark.parametrize("ignore_index", [3, -100])  # some rows are dropped, or none, and `targets` goes in as it is
def test_loss_of_strided_inputs_and_other_ignore_index(ignore_index, device, generator):
    (hidden, weight, bias), targets = loss_problem(generator)
    targets[targets == -100] = 3
    strided = torch.stack((targets, targets), dim=1).to(device)[:, 0]
    views = [hidden.T.contiguous().T, weight.T.contiguous().T, torch.stack((bias, bias), dim=1)[:, 0]]
    assert_agree(
        lambda h, w, b: triton_cross_entropy(h, w, strided, bias=b, ignore_index=ignore_index, reduction="sum"),
        exact_loss(targets, ignore_index=ignore_index, reduction="sum"), views, device,
    )  # fmt: skip


def test_loss_of_huge_logits(device):
    weight = 1e4 * torch.eye(20, 16, device=device)
    hidden = torch.eye(2, 16, device=device)
    losses = triton_cross_entropy(hidden, weight, torch.tensor([0, 5], device=device), reduction="none", chunk_size=6)
    assert losses.tolist() == [0, 1e4]


def test_loss_where_nothing_counts(device):
    hidden = torch.ones(3, 16, device=device, requires_grad=True)
    ignored = torch.full((3,), -100, device=device)
    loss = triton_cross_entropy(hidden, hidden.detach(), ignored, reduction="sum")
    loss.backward()
    assert loss.item() == 0 and hidden.grad.eq(0).all()
    with pytest.raises(ValueError, match="all 3 are ignore_index"):
        triton_cross_entropy(hidden, hidden, ignored)


# The choice


@pytest.fixture
def launched(monkeypatch):
    """The names of the programs that were launched."""
    names = []
    launch = kernels.launch
    monkeypatch.setattr(
        kernels, "launch", lambda name, *rest, **options: (names.append(name), launch(name, *rest, **options))
    )
    return names


def use_all(device):
    """The three functions that choose, forward and backward."""
    x = torch.ones(1, 1, 3, 16, device=device, requires_grad=True)
    softmax(x).sum().backward()
    attention_tiled(x, x, x).sum().backward()
    chunked_cross_entropy(x[0, 0], x[0, 0], torch.arange(3, device=device)).backward()


def test_where_they_serve_they_are_chosen(device, launched, monkeypatch):
    if device == "cpu":
        for module, name in (
            ("softmax", "triton_serves"),
            ("loss", "triton_serves"),
            ("tiled", "triton_serves_attention"),
        ):
            monkeypatch.setattr(sys.modules[f"lib.kernels.{module}"], name, lambda *tensors: True)
    use_all(device)
    assert launched == [
        "softmax_forward", "softmax_backward", "attention_forward", "attention_grad_q", "attention_grad_kv",
        "loss_forward", "loss_backward",
    ]  # fmt: skip


def test_on_the_cpu_they_are_never_chosen(launched):
    use_all("cpu")
    assert launched == []


class OnGPU(torch.Tensor):
    """A CPU tensor that says it is on a GPU."""

    is_cuda = True


def pretend(*shape, dtype=torch.float32):
    return torch.zeros(*shape, dtype=dtype).as_subclass(OnGPU)


def test_what_they_serve(monkeypatch):
    monkeypatch.setattr(launcher, "_works", lambda device: True)
    x = pretend(1, 1, 2, 16)
    assert launcher.triton_serves(x, x) and launcher.triton_serves_attention(x, x, x, None)
    assert launcher.triton_serves(pretend(2, dtype=torch.bfloat16))
    assert not launcher.triton_serves(pretend(2, dtype=torch.float64))
    assert not launcher.triton_serves(x, pretend(2, dtype=torch.bfloat16))
    assert not launcher.triton_serves_attention(x, x, pretend(1, 1, 2, 257), None)
    assert not launcher.triton_serves_attention(x, x, x, torch.zeros(2, 2, requires_grad=True))
    monkeypatch.setenv("COURSE_TRITON", "0")
    assert not launcher.triton_serves(x)


@pytest.fixture
def fresh():
    """What was found out about this machine is forgotten, before and after."""
    for found in (launcher._works, launcher._programs):
        found.cache_clear()
    yield
    for found in (launcher._works, launcher._programs):
        found.cache_clear()


def test_where_triton_does_not_work_one_warning_says_so(fresh, monkeypatch):
    device = torch.device("cpu")
    monkeypatch.setattr(launcher, "interpreted", lambda: False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: "found")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    launches = []

    def no_compiler(*rest, **options):
        launches.append(rest)
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(launcher, "launch", no_compiler)
    with pytest.warns(RuntimeWarning, match="Failed to find C compiler"):
        assert not launcher._works(device)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not launcher._works(device)
    assert len(launches) == 1
    launcher._works.cache_clear()
    monkeypatch.setattr(launcher, "launch", lambda *rest, **options: None)
    assert launcher._works(device)
    launcher._works.cache_clear()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert not launcher._works(device)
    launcher._works.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert not launcher._works(device)


@pytest.mark.skipif(INTERPRETED, reason="once is enough")
def test_importing_the_room_takes_no_triton():
    done = run_python(
        "-c",
        "import sys, lib.kernels, torch\n"
        "assert 'triton' not in sys.modules, 'imported'\n"
        "sys.modules['triton'] = None\n"
        "import lib.kernels.triton_programs\n"
        "lib.kernels.attention_tiled(*[torch.ones(1, 1, 2, 4)] * 3)",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_every_program_compiles_for_a_gpu_that_is_not_here(dtype, monkeypatch, tmp_path):
    pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.compiler import compile as build

    names = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.int64: "*i64", torch.uint8: "*u8"}
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    built = {}

    def compile_only(name, programs, *given, **options):
        program = getattr(launcher._programs(), name)
        meta = {"num_stages": options.pop("num_stages", 2), "enable_fp_fusion": True}
        signature = {
            argument: names[value.dtype]
            if isinstance(value, torch.Tensor)
            else "fp32"
            if isinstance(value, float)
            else "i32"
            for argument, value in zip(program.arg_names, given)
        } | dict.fromkeys(options, "constexpr")
        source = ASTSource(program, signature, constexprs=options)
        built[name] = build(source, target=GPUTarget("cuda", 80, 32), options=meta)

    monkeypatch.setattr(kernels, "launch", compile_only)
    x = torch.ones(1, 2, 9, 64, dtype=dtype, requires_grad=True)
    mask, targets = torch.ones(9, 9, dtype=torch.bool), torch.zeros(9, dtype=torch.long)
    kernels._Softmax.apply(x).sum().backward()
    kernels._Attention.apply(x, x, x, mask, True, 1.0).sum().backward()
    kernels._CrossEntropy.apply(x[0, 0], x[0, 1], x[0, 1, :, 0], targets, 8192).sum().backward()
    assert len(built) == 7
    for name, program in built.items():
        assert program.asm["cubin"] and program.metadata.shared < 100_000, name  # what consumer GPUs have


# Bad input


@pytest.mark.skipif(INTERPRETED, reason="CPU tensors are welcome there")
def test_cpu_tensors_outside_the_interpreter_are_refused(unchecked):
    pytest.importorskip("triton")
    x = torch.ones(1, 1, 2, 16)
    for call in (
        lambda: triton_softmax(x),
        lambda: triton_attention(x, x, x),
        lambda: triton_cross_entropy(x[0, 0], x[0, 0], torch.tensor([0, 1])),
    ):
        with pytest.raises(ValueError, match="must be on a GPU .* TRITON_INTERPRET=1, .* got a tensor on cpu"):
            call()


def test_without_triton_the_error_says_what_to_install(unchecked, fresh, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    x = torch.ones(1, 1, 2, 16)
    with pytest.raises(ImportError, match="pip install 'llm-course\\[gpu\\]'"):
        triton_softmax(x)
    with pytest.raises(ImportError, match="pip install"):
        triton_attention(x, x, x)
    with pytest.raises(ImportError, match="pip install"):
        triton_cross_entropy(x[0, 0], x[0, 0], torch.tensor([0, 1]))


def test_bad_input_names_the_argument(device, unchecked):
    x = torch.ones(1, 1, 2, 16, device=device)
    flat, targets = x[0, 0], torch.tensor([0, 1], device=device)
    wide = torch.ones(1, 1, 2, 257, device=device)
    bias = torch.zeros(2, 2, device=device, requires_grad=True)
    for error, message, call in (
        (TypeError, "z must be a floating-point tensor", lambda: triton_softmax(targets)),
        (TypeError, "z must be float32, bfloat16 or float16 .* got torch.float64", lambda: triton_softmax(x.double())),
        (ValueError, "dim must be a dimension of z", lambda: triton_softmax(x, 4)),
        (ValueError, "z must have at least one entry", lambda: triton_softmax(x[..., :0])),
        (ValueError, r"q must have shape \(B, H, T, K\)", lambda: triton_attention(flat, flat, flat)),
        (TypeError, "k must have the type torch.float32 of q", lambda: triton_attention(x, x.half(), x)),
        (ValueError, "at most 256 wide, got 16 and 257", lambda: triton_attention(x, x, wide)),
        (ValueError, "mask must not require a gradient", lambda: triton_attention(x, x, x, mask=bias)),
        (ValueError, "mask must be on .* got meta", lambda: triton_attention(x, x, x, mask=bias.detach().to("meta"))),
        (
            ValueError,
            "weight must be on a GPU .* got .* meta",
            lambda: triton_cross_entropy(flat, flat.to("meta"), targets),
        ),
        (TypeError, "mask must be boolean", lambda: triton_attention(x, x, x, mask=torch.ones(2, 2, dtype=torch.int))),
        (
            ValueError,
            "causal attention needs a key",
            lambda: triton_attention(x, x[:, :, :1], x[:, :, :1], causal=True),
        ),
        (TypeError, "weight must have the type", lambda: triton_cross_entropy(flat, flat.half(), targets)),
        (ValueError, "targets must be ids from 0 to 1", lambda: triton_cross_entropy(flat, flat, targets + 1)),
        (ValueError, "chunk_size must be at least 1", lambda: triton_cross_entropy(flat, flat, targets, chunk_size=0)),
        (ValueError, "reduction must be", lambda: triton_cross_entropy(flat, flat, targets, reduction="max")),
    ):
        with pytest.raises(error, match=message):
            call()
