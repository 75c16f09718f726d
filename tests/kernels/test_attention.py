"""Three implementations against two loops in float64, against each other, and against what goes wrong with masks."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from lib.kernels import attention_fused, attention_reference, attention_tiled, attention_weights, causal_mask
from lib.kernels.tiled import _Tiles

WAYS = [attention_reference, attention_fused, attention_tiled]
SMALL_TILES = lambda *qkv, **options: attention_tiled(*qkv, block_size=2, **options)  # noqa: E731


def two_loops(q, k, v, mask=None, causal=False, scale=None):
    """The definition, a number at a time; `mask` additive or boolean and of full shape."""
    q, k, v = (x.detach() for x in (q, k, v))
    B, H, T, K = q.shape
    G, S = k.shape[1:3]
    out = torch.zeros(B, H, T, v.shape[-1], dtype=torch.float64)
    for b in range(B):
        for h in range(H):
            for i in range(T):
                seen = {}
                for j in range(S):
                    s = sum(float(x) * float(y) for x, y in zip(q[b, h, i], k[b, h * G // H, j]))
                    s *= K**-0.5 if scale is None else scale
                    if mask is not None:
                        s = (
                            (s if mask[b, h, i, j] else -math.inf)
                            if mask.dtype == torch.bool
                            else s + float(mask[b, h, i, j])
                        )
                    if s > -math.inf and not (causal and j > i + S - T):
                        seen[j] = math.exp(s)
                for j, weight in seen.items():
                    out[b, h, i] += weight / sum(seen.values()) * v[b, h * G // H, j].double()
    return out


def draw(generator, B=2, H=4, G=4, T=5, S=5, K=6, E=3, dtype=torch.float64):
    shapes = (B, H, T, K), (B, G, S, K), (B, G, S, E)
    return [torch.randn(*shape, generator=generator, dtype=dtype, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("way", [*WAYS, SMALL_TILES])
@pytest.mark.parametrize("G", [1, 2, 4])
@pytest.mark.parametrize("causal", [False, True])
def test_equals_the_definition(way, G, causal, generator):
    q, k, v = draw(generator, G=G, T=3, S=5)
    mask = torch.rand(2, 4, 3, 5, generator=generator) < 0.6
    bias = torch.randn(2, 4, 3, 5, generator=generator, dtype=torch.float64)
    for given_mask in (None, mask, bias):
        expected = two_loops(q, k, v, given_mask, causal)
        torch.testing.assert_close(way(q, k, v, mask=given_mask, causal=causal), expected)


@st.composite
def problems(draw):
    H, G = draw(st.sampled_from([(1, 1), (4, 2), (4, 1), (3, 3)]))
    S = draw(st.integers(1, 9))
    T = draw(st.integers(1, S))
    shape = draw(st.sampled_from([None, (T, S), (1, S), (H, T, S), (2, 1, T, S), (2, 1, 1, S), (1, H, T, S)]))
    return H, G, T, S, shape, draw(st.sampled_from(["bool", "float"])), draw(st.booleans()), draw(st.integers(1, 5))


@settings(max_examples=60)
@given(problems(), st.integers(0, 2**16))
def test_the_three_agree_with_their_gradients(problem, seed):
    H, G, T, S, shape, kind, causal, block = problem
    generator = torch.Generator().manual_seed(seed)
    q, k, v = draw(generator, H=H, G=G, T=T, S=S)
    mask = None
    if shape is not None:
        mask = (
            torch.rand(*shape, generator=generator) < 0.5
            if kind == "bool"
            else torch.randn(*shape, generator=generator)
        )
    weight = torch.randn(2, H, T, 3, generator=generator, dtype=torch.float64)
    found = []
    for way in (attention_reference, attention_fused, attention_tiled):
        options = {"block_size": block} if way is attention_tiled else {}
        leaf = mask.double().requires_grad_() if mask is not None and kind == "float" else mask
        out = way(q, k, v, mask=leaf, causal=causal, **options)
        leaves = [q, k, v] + ([leaf] if leaf is not None and leaf.requires_grad else [])
        found.append([out, *torch.autograd.grad((out * weight).sum(), leaves)])
    for other in found[1:]:
        for ours, theirs in zip(found[0], other, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("way", [*WAYS, SMALL_TILES])
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_a_row_that_may_look_nowhere_gives_zeros_and_no_gradient(way, kind, generator):
    q, k, v = draw(generator)
    mask = torch.ones(5, 5, dtype=torch.bool)
    mask[2] = False
    if kind == "float":
        mask = torch.zeros(5, 5, dtype=torch.float64).masked_fill(~mask, -math.inf)
    out = way(q, k, v, mask=mask)
    grads = torch.autograd.grad(out.sum(), [q, k, v])
    assert torch.equal(out[:, :, 2], torch.zeros(2, 4, 3, dtype=torch.float64))
    assert all(g.isfinite().all() for g in grads) and torch.equal(grads[0][:, :, 2], torch.zeros(2, 4, 6).double())
    assert (out[:, :, 1] != 0).any()


@pytest.mark.parametrize("way", [*WAYS, SMALL_TILES])
def test_gradients_against_finite_differences(way, generator):
    q, k, v = draw(generator, B=1, H=2, G=1, T=3, S=4, K=2, E=2)
    mask = torch.tensor([[True, True, False, True], [False] * 4, [True, False, True, True]])
    assert torch.autograd.gradcheck(lambda q, k, v: way(q, k, v, mask=mask, causal=True), (q, k, v))


@pytest.mark.parametrize("way", WAYS)
def test_large_scores_stay_finite(way, generator):
    q, k, v = (x.detach().float() for x in draw(generator))
    out = way(1e4 * q, k, v)
    best = v[torch.arange(2)[:, None, None], torch.arange(4)[None, :, None], (q @ k.mT).argmax(-1)]
    torch.testing.assert_close(out, best, atol=1e-2, rtol=1e-2)  # all but one weight underflow (nearly)


@pytest.mark.parametrize("way", WAYS)
def test_half_precision_keeps_its_dtype(way, generator):
    q, k, v = (x.detach() for x in draw(generator))
    low = way(*(x.bfloat16() for x in (q, k, v)))
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.double(), attention_reference(q, k, v), atol=0.05, rtol=0.05)


def test_tiles_at_a_length_of_many_blocks_match_pytorch(generator):
    q, k, v = (x.detach() for x in draw(generator, B=1, H=2, G=2, T=1100, S=1100, K=16, E=16, dtype=torch.float32))
    expected = scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(attention_tiled(q, k, v, causal=True), expected, atol=1e-5, rtol=1e-4)


def test_weights_are_distributions_over_what_may_be_seen(generator):
    q, k, _ = draw(generator, G=2, T=3, S=5)
    weights = attention_weights(q, k, causal=True)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 3, dtype=torch.float64))
    assert torch.equal(weights[0, 0] > 0, causal_mask(3, 5))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "change, message",
    [
        ({"q": torch.zeros(1, 4, 8)}, r"q must have shape \(B, H, T, K\), got \(1, 4, 8\)"),
        ({"k": torch.zeros(1, 2, 3, 7)}, r"k must have shape \(1, G, S, 8\), got \(1, 2, 3, 7\)"),
        ({"v": torch.zeros(1, 2, 4, 8)}, r"v must have shape \(1, 2, 3, E\), got \(1, 2, 4, 8\)"),
        ({"k": torch.zeros(1, 3, 3, 8), "v": torch.zeros(1, 3, 3, 8)}, "multiple of k's 3 heads, got 4"),
        ({"q": torch.zeros(1, 4, 5, 8), "causal": True}, "got 5 queries and 3 keys"),
        (
            {"q": torch.zeros(1, 4, 3, 0), "k": torch.zeros(1, 2, 3, 0)},
            "q must have at least one number per head, got K = 0",
        ),
        ({"mask": torch.ones(2, 3, dtype=torch.bool)}, r"mask must broadcast to \(B, H, T, S\) = \(1, 4, 3, 3\)"),
        ({"mask": torch.ones(1, 1, 1, 1, 3, dtype=torch.bool)}, "mask must broadcast"),
    ],
)
def test_bad_shapes(way, change, message, unchecked):
    given_input = {"q": torch.zeros(1, 4, 3, 8), "k": torch.zeros(1, 2, 3, 8), "v": torch.zeros(1, 2, 3, 8)}
    with pytest.raises(ValueError, match=message):
        way(**given_input | change)


def test_bad_types(unchecked):
    x = torch.zeros(1, 1, 3, 4)
    with pytest.raises(TypeError, match="mask must be boolean"):
        attention_weights(x, x, mask=torch.ones(3, 3, dtype=torch.long))
    with pytest.raises(ValueError, match="block_size must be at least 1, got 0"):
        attention_tiled(x, x, x, block_size=0)


# One table of cases for three implementations: what one gives, all give, or all refuse.

LOWER = torch.ones(3, 3, dtype=torch.bool).tril()
EDGES = {  # sizes B H G T S K E, options
    "no keys": ((1, 2, 2, 3, 0, 4, 4), {}),
    "no keys and a mask": ((1, 2, 2, 3, 0, 4, 4), {"mask": torch.ones(3, 0, dtype=torch.bool)}),
    "no queries": ((1, 2, 2, 0, 3, 4, 4), {"causal": True}),
    "no batch": ((0, 2, 2, 3, 3, 4, 4), {"causal": True}),
    "values of no width": ((1, 2, 2, 3, 3, 4, 0), {}),
    "one query after a cache": ((1, 2, 1, 1, 5, 4, 3), {"causal": True}),
    "two queries after a cache": ((1, 2, 1, 2, 5, 4, 3), {"causal": True}),
    "a mask of float64": (
        (1, 2, 2, 3, 3, 4, 4),
        {"mask": torch.zeros(3, 3, dtype=torch.float64).masked_fill(~LOWER, -math.inf)},
    ),
    "a mask of float16": (
        (1, 2, 2, 3, 3, 4, 4),
        {"mask": torch.zeros(3, 3, dtype=torch.float16).masked_fill(~LOWER, -6e4)},
    ),
    "a mask of bfloat16": ((1, 2, 2, 3, 3, 4, 4), {"mask": torch.full((1, 3), 0.3, dtype=torch.bfloat16)}),
    "nothing but hidden keys": ((1, 2, 2, 3, 3, 4, 4), {"mask": torch.zeros(1, 3, dtype=torch.bool)}),
    "all but the last key hidden, and causal": (
        (1, 1, 1, 2, 4, 4, 4),
        {"causal": True, "mask": torch.arange(4)[None] == 3},
    ),
    "a scale of its own": ((1, 2, 2, 3, 3, 4, 4), {"scale": 2.0}),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", EDGES)
def test_the_edges_are_the_same_in_every_way(name, dtype, generator):
    sizes, options = EDGES[name]
    q, k, v = (x.detach().to(dtype).requires_grad_() for x in draw(generator, *sizes))
    leaf = options.get("mask")
    if leaf is not None and leaf.is_floating_point():
        options = options | {"mask": (leaf := leaf.clone().requires_grad_())}
    wanted = [x for x in (q, k, v, leaf) if x is not None and x.requires_grad]
    found = []
    for way in (*WAYS, SMALL_TILES):
        out = way(q, k, v, **options)
        assert out.dtype == dtype
        found.append([out, *torch.autograd.grad(out.sum(), wanted)])
    rounding = {torch.float16: 5e-3, torch.bfloat16: 4e-2}.get(dtype, 1e-5)
    for other in found[1:]:
        for ours, theirs in zip(found[0], other, strict=True):
            assert ours.dtype == theirs.dtype
            torch.testing.assert_close(ours, theirs, atol=rounding, rtol=rounding)


def test_a_huge_mask_of_another_type_means_the_same_in_every_way(generator):
    """-1e9 is -inf in float16, and then a row of it is an empty row: rounded to the scores' type before it is added."""
    q, k, v = (x.detach().half() for x in draw(generator, *(1, 2, 2, 3, 3, 4, 4)))
    mask = torch.full((1, 3), -1e9)
    for way in WAYS:
        assert torch.equal(way(q, k, v, mask=mask), torch.zeros(1, 2, 3, 4).half())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_tiles_of_half_precision_are_summed_in_float32(dtype, generator):
    """A thousand tiles of two keys: summed in bfloat16, the sums would stop growing at 256."""
    q, k, v = (x.detach().to(dtype) for x in draw(generator, 1, 1, 1, 4, 2048, 8, 8))
    k = k * 0.1
    steady = v.abs() * torch.linspace(0, 1, 2048, dtype=torch.float64)[:, None].to(dtype)
    found = attention_tiled(q, k, steady, block_size=1).double()
    exact = attention_reference(q.double(), k.double(), steady.double())
    torch.testing.assert_close(found, exact, rtol=2 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("causal, expected", [
    (True, [[(0, 4)], [(0, 4), (4, 6)], [(0, 4), (4, 7)]]),
    (False, [[(0, 4), (4, 7)]] * 3),
])  # fmt: skip
def test_tiles_wholly_in_the_future_are_skipped(causal, expected):
    """5 queries after 2 keys of a cache, in tiles of 2 by 4."""
    q, k = torch.zeros(1, 1, 5, 3), torch.zeros(1, 1, 7, 3)
    tiles = _Tiles(q, k, k, None, causal, 1.0, 2)
    rows = list(tiles.rows())
    assert [(row.start, row.stop) for row in rows] == [(0, 2), (2, 4), (4, 5)]
    assert [[(each.start, each.stop) for each in tiles.columns(row)] for row in rows] == expected


def test_gradients_of_tiles_of_half_precision_are_summed_in_float32(generator):
    """As above: the values' gradients are sums over many blocks of queries, and 256 + 1 is 256 there."""
    dtype = torch.bfloat16
    q, k, v = (x.detach().to(dtype).requires_grad_() for x in draw(generator, 1, 1, 1, 400, 1, 4, 4))
    found = torch.autograd.grad(attention_tiled(q, k, v, block_size=1).sum(), (q, k, v))
    exact = [x.detach().double().requires_grad_() for x in (q, k, v)]
    wanted = torch.autograd.grad(attention_reference(*exact).sum(), exact)
    torch.testing.assert_close(found[2].double(), wanted[2], rtol=2 * torch.finfo(dtype).eps, atol=0)
