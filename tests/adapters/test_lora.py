"""LoRA's own promises: nothing changes at the start, the base never, and BA has rank r at most."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lib.adapters import (
    LoraSettings,
    adapter_names,
    base_state_dict,
    count_trainable,
    inject_lora,
    lora_parameters,
    merge,
    remove_lora,
    set_adapter,
    trainable_parameters,
    unmerge,
    use_adapter,
    weight_changes,
)
from lib.generation import generate
from lib.models import Decoder, preset
from lib.objectives import autoregressive_loss
from lib.training import FitSettings, fit
from tests.adapters import adapted
from tests.adapters.adapted import IDS
from tests.models import theirs

MODELS = {"llama": adapted.llama, "gpt2": adapted.decoder, "encoder": adapted.encoder}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_start_is_the_base_bit_for_bit(make, dtype):
    model = make().to(dtype)
    before, untouched = model(IDS), model(IDS[:1, :1])  # one row of a step takes another routine
    inject_lora(model, LoraSettings(rank=2))
    assert torch.equal(model(IDS), before) and torch.equal(model(IDS[:1, :1]), untouched)
    with torch.no_grad():
        assert torch.equal(model(IDS), before)


def test_a_is_drawn_and_b_is_zero():
    model = nn.Sequential(nn.Linear(300, 200))
    inject_lora(model, LoraSettings(rank=100, targets=("0",)), generator=torch.Generator().manual_seed(1))
    a, b = lora_parameters(model).values()
    assert not b.any()
    assert float(a.detach().std()) == pytest.approx(900**-0.5, rel=0.02)
    assert float(a.detach().mean()) == pytest.approx(0, abs=1e-3)
    other = nn.Sequential(nn.Linear(300, 200))
    inject_lora(other, LoraSettings(rank=100, targets=("0",)), generator=torch.Generator().manual_seed(1))
    assert torch.equal(a, lora_parameters(other)["0.adapters.default.whole.A"])


def test_at_step_0_only_b_has_a_gradient():
    model = adapted.llama()
    inject_lora(model, LoraSettings(rank=2))
    model(IDS).pow(2).mean().backward()
    for name, factor in lora_parameters(model).items():
        assert factor.grad.any() == name.endswith("B")
    assert all(p.grad is None for name, p in model.named_parameters() if ".adapters." not in name)


def plain(x, layer, name="default"):
    """The layer with autograd's own backward pass, matrix by matrix."""
    change = torch.zeros(layer.weight.shape, dtype=x.dtype)
    for part in layer.adapters[name].values():
        change = torch.cat(
            (
                change[: part.start],
                change[part.start : part.stop] + layer.adapters[name].settings.scale * part.B @ part.A,
                change[part.stop :],
            )
        )
    return F.linear(x, layer.weight + change, layer.bias)


@pytest.mark.parametrize("targets", [("q", "v"), ("k",), ("qkv",), ("q", "k", "v")])
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradients_are_those_of_autograd(targets, bias):
    model = adapted.adapted(adapted.decoder(bias=bias).double(), targets=targets, rslora=True)
    layer = model.stack.blocks[0].attention.qkv
    layer.weight.requires_grad_(True)  # the base may be trained along
    if bias:
        layer.bias.requires_grad_(True)
    x = torch.randn(2, 3, 16, dtype=torch.float64, requires_grad=True)
    inputs = [x, *(p for p in layer.parameters() if p.requires_grad)]
    seed = torch.randn(2, 3, 48, dtype=torch.float64)
    ours, expected = layer(x), plain(x, layer)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)
    for got, want in zip(*(torch.autograd.grad(output, inputs, seed) for output in (ours, expected))):
        torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-12)


def test_ranks_and_alphas_by_pattern():
    model = adapted.adapted(
        adapted.llama().double(), targets=("q", "v", "down"), rank_pattern={"qkv.v": 1, "0.feed_forward.down": 5},
        alpha_pattern={"q": 7, r"blocks\.1\..*": 1},
    )  # fmt: skip
    shapes = {name: tuple(p.shape) for name, p in lora_parameters(model).items() if name.endswith("A")}
    assert list(shapes.values()) == [(2, 16), (1, 16), (5, 24), (2, 16), (1, 16), (2, 24)]
    for index, (q, v, down) in enumerate([(3.5, 3.0, 0.6), (3.5, 1.0, 0.5)]):
        block = model.stack.blocks[index]
        fused, single = block.attention.qkv, block.feed_forward.down
        parts = fused.adapters["default"]
        change = torch.cat((q * parts["q"].B @ parts["q"].A, torch.zeros(8, 16), v * parts["v"].B @ parts["v"].A))
        x = torch.randn(5, 16, dtype=torch.float64)
        torch.testing.assert_close(fused(x), F.linear(x, fused.weight + change))
        torch.testing.assert_close(weight_changes(model)[f"stack.blocks.{index}.attention.qkv"], change)
        part = single.adapters["default"]["whole"]
        torch.testing.assert_close(
            weight_changes(model)[f"stack.blocks.{index}.feed_forward.down"], down * part.B @ part.A
        )
    apart = model(IDS)
    merge(model)
    torch.testing.assert_close(model(IDS), apart)


def test_finite_differences():
    model = adapted.adapted(nn.Sequential(nn.Linear(5, 4)).double(), targets=("0",))
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, (x,))


def test_inputs_of_any_shape_and_layout():
    model = adapted.adapted(nn.Sequential(nn.Linear(5, 4)), targets=("0",))
    changed = model[0].weight + weight_changes(model)["0"]
    for x in (torch.randn(5), torch.randn(0, 5), torch.randn(2, 3, 1, 5), torch.randn(5, 7).t()):
        x.requires_grad_(True)
        y = model(x)
        torch.testing.assert_close(y, F.linear(x, changed, model[0].bias))
        y.sum().backward()
        torch.testing.assert_close(x.grad, changed.sum(0).expand(x.shape))


@settings(max_examples=20)
@given(d=st.integers(1, 9), k=st.integers(1, 9), data=st.data())
def test_the_change_has_rank_r_at_most(d, k, data):
    rank = data.draw(st.integers(1, min(d, k)))
    model = adapted.adapted(nn.Sequential(nn.Linear(k, d)).double(), targets=("0",), rank=rank)
    change = weight_changes(model)["0"]
    assert torch.linalg.matrix_rank(change) <= rank
    assert count_trainable(model) == rank * (d + k)


def test_full_rank_reaches_any_change():
    model = nn.Sequential(nn.Linear(6, 4)).double()
    inject_lora(model, LoraSettings(rank=4, alpha=8, targets=("0",)))
    wanted = torch.randn(4, 6, dtype=torch.float64)
    u, s, vh = torch.linalg.svd(wanted, full_matrices=False)
    a, b = lora_parameters(model).values()
    with torch.no_grad():
        a.copy_(vh)
        b.copy_(u * s / 2)
    torch.testing.assert_close(weight_changes(model)["0"], wanted)


def test_scales():
    assert LoraSettings(rank=4, alpha=2).scale == 0.5
    assert LoraSettings(rank=4, alpha=2, rslora=True).scale == 1.0
    patterns = LoraSettings(
        rank=4, alpha=2, rslora=True, rank_pattern={"d.wn": 16}, alpha_pattern={"b.down": 3, "down": 6}
    )
    names = ("down", "a.down", "b.down", "c.b.down", "downs", "up")
    assert [patterns.rank_of(name) for name in names] == [16, 16, 16, 16, 4, 4]
    assert [patterns.scale_of(name) for name in names] == [1.5, 1.5, 0.75, 0.75, 1.0, 1.0]
    model = adapted.adapted(nn.Sequential(nn.Linear(6, 4)), targets=("0",), rank=4, alpha=2)
    a, b = lora_parameters(model).values()
    torch.testing.assert_close(weight_changes(model)["0"], 0.5 * b @ a)


@pytest.mark.parametrize("rank, expected", [(1, 4_718_592), (8, 37_748_736)])
def test_gpt3_on_the_slide(rank, expected):
    with torch.device("meta"):
        model = Decoder(preset("gpt-3-175b"))
    inject_lora(model, LoraSettings(rank=rank))
    assert count_trainable(model) == expected
    assert sum(p.numel() for p in trainable_parameters(model)) == expected


def test_training_leaves_the_base_alone_and_learns():
    model = adapted.llama()
    before = adapted.state(model)
    model.requires_grad_(True)
    model.output.weight.requires_grad_(False)
    inject_lora(model, LoraSettings(rank=4, dropout=0.1))
    history = fit(
        model,
        lambda m, ids: autoregressive_loss(m(ids), ids),
        lambda generator: IDS,
        FitSettings(steps=30, learning_rate=0.03),
        show_progress=False,
    )
    assert history.loss[-1] < 0.8 * history.loss[0]
    assert adapted.same(base_state_dict(model), before)
    remove_lora(model)
    assert adapted.same(model.state_dict(), before)
    assert type(model.stack.blocks[0].attention.qkv).__name__ == "Linear"
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == set(before) - {"output.weight"}


def test_dropout_only_in_training_and_only_on_the_low_rank_path():
    model = adapted.adapted(nn.Sequential(nn.Linear(50, 8)), targets=("0",), dropout=0.5)
    x = torch.randn(3, 50)
    assert torch.equal(model.eval()(x), model(x))
    quiet = model(x)
    base = F.linear(x, model[0].weight, model[0].bias)
    model.train()
    torch.manual_seed(3)
    noisy = model(x)
    torch.manual_seed(3)
    dropped = F.dropout(x, 0.5)
    a, b = lora_parameters(model).values()
    torch.testing.assert_close(noisy, base + 1.5 * dropped @ a.t() @ b.t())
    assert not torch.allclose(noisy, quiet)


def test_dropout_has_the_right_gradient():
    model = adapted.adapted(nn.Sequential(nn.Linear(5, 4)).double(), targets=("0",), dropout=0.5).train()
    a, b = lora_parameters(model).values()

    def ours(x):
        torch.manual_seed(3)
        return model(x)

    def expected(x):
        torch.manual_seed(3)
        low = F.dropout(x, 0.5) @ a.t() @ b.t()
        return F.linear(x, model[0].weight, model[0].bias) + 1.5 * low

    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    for got, want in zip(*(torch.autograd.grad(f(x).pow(2).sum(), (x, a, b)) for f in (ours, expected))):
        torch.testing.assert_close(got, want)


def test_autocast_computes_in_the_lower_precision():
    model = adapted.adapted(adapted.llama())
    exact = model(IDS)
    for grad in (True, False):
        with torch.set_grad_enabled(grad), torch.autocast("cpu", dtype=torch.bfloat16):
            low = model(IDS)
        assert low.dtype == torch.bfloat16
        torch.testing.assert_close(low.float(), exact, rtol=0.1, atol=0.1 * float(exact.detach().std()))


def test_several_adapters_in_memory():
    model = adapted.llama()
    base = model(IDS)
    first = adapted.adapted(model, "first")(IDS)
    second = adapted.adapted(model, "second", seed=1, targets=("output", "down"))(IDS)
    assert adapter_names(model) == ["first", "second"]
    assert len(lora_parameters(model)) == 8 + 8 and len(lora_parameters(model, "first")) == 8
    assert count_trainable(model) == sum(p.numel() for p in lora_parameters(model, "second").values())
    with use_adapter(model, "first"):
        assert torch.equal(model(IDS), first)
        with use_adapter(model, None):
            assert torch.equal(model(IDS), base)
        assert torch.equal(model(IDS), first)
    assert torch.equal(model(IDS), second)
    set_adapter(model, "first")
    assert torch.equal(model(IDS), first)
    assert count_trainable(model) == sum(p.numel() for p in lora_parameters(model, "first").values())
    remove_lora(model, "first")
    assert torch.equal(model(IDS), base)
    set_adapter(model, "second")
    assert torch.equal(model(IDS), second)


def test_an_error_inside_use_adapter_restores():
    model = adapted.adapted()
    out = model(IDS)
    with pytest.raises(RuntimeError), use_adapter(model, None):
        raise RuntimeError
    assert torch.equal(model(IDS), out)


@pytest.mark.parametrize("make", [adapted.llama, adapted.decoder, theirs.gpt2])
@pytest.mark.parametrize("keep_base", [True, False])
def test_merged_is_unmerged(make, keep_base):
    def run(model):
        out = model(IDS)
        return getattr(out, "logits", out)

    model = make()
    targets = ("c_attn",) if make is theirs.gpt2 else ("q", "v")
    before = adapted.state(model)
    base = run(model)
    adapted.adapted(model, targets=targets)
    apart = run(model)
    assert not torch.allclose(apart, base, atol=1e-3)  # otherwise what follows would say nothing
    merge(model, keep_base=keep_base)
    torch.testing.assert_close(run(model), apart, rtol=1e-4, atol=1e-5)
    if keep_base:
        assert adapted.same(base_state_dict(model), before)
        unmerge(model)
        assert torch.equal(run(model), apart)
        merge(model)
        remove_lora(model)
        assert adapted.same(model.state_dict(), before)
    else:
        remove_lora(model)
        torch.testing.assert_close(run(model), apart, rtol=1e-4, atol=1e-5)


def test_merging_leaves_a_tied_matrix_alone():
    model = theirs.gpt2()
    adapted.adapted(model, targets=("lm_head",))
    embeddings = model.transformer.wte.weight.clone()
    assert model.lm_head.weight is model.transformer.wte.weight
    merge(model)
    assert torch.equal(model.transformer.wte.weight, embeddings)
    unmerge(model)
    assert model.lm_head.weight is model.transformer.wte.weight


def test_merging_one_of_several():
    model = adapted.llama()
    first = adapted.adapted(model, "first")(IDS)
    second = adapted.adapted(model, "second", seed=1)(IDS)
    merge(model, "first")
    torch.testing.assert_close(model(IDS), first, rtol=1e-4, atol=1e-5)
    unmerge(model)
    assert torch.equal(model(IDS), first)
    set_adapter(model, "second")
    assert torch.equal(model(IDS), second)


def test_unmerging_after_a_change_of_dtype():
    model = adapted.adapted()
    merge(model)
    model.double()
    unmerge(model)
    assert model(IDS).dtype == torch.float64


def test_generation_goes_on_as_with_the_full_pass():
    model = adapted.adapted()
    new = generate(model, IDS[:, :4], 5)
    with torch.no_grad():
        for end in range(4, 9):
            assert torch.equal(model(new[:, :end])[:, -1].argmax(-1), new[:, end])


def test_a_copy_is_independent():
    model = adapted.adapted()
    out = model(IDS)
    other = copy.deepcopy(model)
    adapted.noisy(model, seed=5)
    assert torch.equal(other(IDS), out) and not torch.equal(model(IDS), out)
    remove_lora(other)
    assert adapter_names(model) == ["default"]


def test_state_dict_goes_into_another_model():
    one, other = adapted.adapted(), adapted.adapted(adapted.llama(), seed=7)
    assert not torch.equal(one(IDS), other(IDS))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(IDS), other(IDS))


def test_a_single_layer_is_a_model_too():
    layer = nn.Linear(4, 3)
    assert inject_lora(layer, LoraSettings(rank=1, targets=("*",))) == [""]
    assert list(lora_parameters(layer)) == ["adapters.default.whole.A", "adapters.default.whole.B"]
    assert list(base_state_dict(layer)) == ["weight", "bias"]
    remove_lora(layer)
    assert type(layer) is nn.Linear and list(vars(layer)) == list(vars(nn.Linear(4, 3)))


@pytest.mark.parametrize("fields, error, message", [
    (dict(rank=0), ValueError, "rank must be at least 1, got 0"),
    (dict(rank=2.0), TypeError, "rank must be a whole number, got 2.0"),
    (dict(rank=True), TypeError, "rank must be a whole number, got True"),
    (dict(alpha=0), ValueError, "alpha must be a finite number above 0, got 0"),
    (dict(alpha=-1.0), ValueError, "alpha must be a finite number above 0"),
    (dict(alpha=float("nan")), ValueError, "alpha must be a finite number above 0"),
    (dict(alpha=float("inf")), ValueError, "alpha must be a finite number above 0, got inf"),
    (dict(dropout=1.0), ValueError, r"dropout must lie in \[0, 1\), got 1.0"),
    (dict(targets=()), ValueError, "at least one pattern"),
    (dict(targets=("q", "")), ValueError, "no empty one"),
    (dict(rslora="yes"), TypeError, "rslora must be a bool, got str"),
    (dict(rank_pattern=["q"]), TypeError, "rank_pattern must be a Mapping, got list"),
    (dict(rank_pattern={"q": 0}), ValueError, r"rank_pattern\['q'\] must be at least 1, got 0"),
    (dict(rank_pattern={"q(": 1}), ValueError, r"rank_pattern must have regular expressions for keys, got 'q\('"),
    (dict(rank_pattern={3: 1}), TypeError, "rank_pattern must be a sequence of strings, got 3 in it"),
    (dict(alpha_pattern={"q": -1}), ValueError, r"alpha_pattern\['q'\] must be a finite number above 0, got -1"),
    (dict(targets="q"), TypeError, "targets must be a sequence of strings, got one string: 'q'"),
    (dict(targets=None), TypeError, "targets must be a sequence of strings, got None"),
])  # fmt: skip
def test_bad_settings(unchecked, fields, error, message):
    with pytest.raises(error, match=message):
        LoraSettings(**fields)


def again(model):
    inject_lora(model, LoraSettings(rank=1, targets=("down",)))


def merged(model):
    merge(model)
    inject_lora(model, LoraSettings(rank=1), name="second")


@pytest.mark.parametrize("act, message", [
    (lambda m: inject_lora(m, LoraSettings(9), name="b"), r"rank 9 is above min\(d, k\) = 8 of .*v: a matrix of 8 by 16"),
    (lambda m: inject_lora(m, LoraSettings(1, 1, ("q", "w")), name="b"), "'w' names no linear layer"),
    (lambda m: inject_lora(m, LoraSettings(1, rank_pattern={"q": 17}), name="b"), r"rank 17 is above min\(d, k\) = 16 of .*q"),
    (lambda m: inject_lora(m, LoraSettings(1, rank_pattern={"k": 2}), name="b"), "rank_pattern: 'k' fits none of the targets"),
    (lambda m: inject_lora(m, LoraSettings(1, alpha_pattern={"qk": 2}), name="b"), "alpha_pattern: 'qk' fits none"),
    (again, "already an adapter 'default'"),
    (merged, "'default' is merged into the weights: call unmerge first"),
    (lambda m: inject_lora(m, LoraSettings(rank=1), name="a.b"), "name must be letters"),
    (lambda m: inject_lora(m, LoraSettings(rank=1), name=""), "name must be letters"),
    (lambda m: inject_lora(m, LoraSettings(rank=1), name="items"), "no method of a module, got 'items'"),
])  # fmt: skip
def test_nothing_is_half_injected(unchecked, act, message):
    model = adapted.adapted()
    out, before = model(IDS), [name for name, p in model.named_parameters() if p.requires_grad]
    with pytest.raises(ValueError, match=message):
        act(model)
    if act is merged:
        unmerge(model)
    assert torch.equal(model(IDS), out) and adapter_names(model) == ["default"]
    assert [name for name, p in model.named_parameters() if p.requires_grad] == before


def test_a_bad_injection_leaves_a_fresh_model_trainable(unchecked):
    model = adapted.llama()
    before = count_trainable(model)
    with pytest.raises(ValueError, match="rank 17"):
        inject_lora(model, LoraSettings(rank=17))
    assert count_trainable(model) == before and not adapter_names(model)


@pytest.mark.parametrize("act, message", [
    (lambda m: merge(m), "has no adapter: call inject_lora first"),
    (lambda m: unmerge(m), "has no adapter"),
    (lambda m: remove_lora(m), "has no adapter"),
    (lambda m: set_adapter(m, "default"), "there is no adapter 'default'; known are none yet"),
    (lambda m: weight_changes(m), "there is no adapter 'default'"),
    (lambda m: lora_parameters(m, "default"), "there is no adapter 'default'"),
])  # fmt: skip
def test_without_an_adapter(unchecked, act, message):
    with pytest.raises(ValueError, match=message):
        act(adapted.llama())


def entered(model, name):
    with use_adapter(model, name):
        pass


@pytest.mark.parametrize("act, message", [
    (lambda m: unmerge(m), "nothing to unmerge"),
    (lambda m: [merge(m), merge(m)], "merged into the weights: call unmerge first"),
    (lambda m: [merge(m), set_adapter(m, None)], "call unmerge first"),
    (lambda m: [merge(m), entered(m, None)], "call unmerge first"),
    (lambda m: [merge(m, keep_base=False), unmerge(m)], "merged for good"),
    (lambda m: [merge(m, keep_base=False), base_state_dict(m)], "for good .*blocks.0.attention.qkv is gone"),
    (lambda m: [set_adapter(m, None), merge(m)], "no adapter is active"),
    (lambda m: merge(m, "defult"), "no adapter 'defult'; did you mean default"),
    (lambda m: remove_lora(m, "poems"), "no adapter 'poems'"),
    (lambda m: entered(m, "poems"), "no adapter 'poems'"),
    (lambda m: set_adapter(m, "poems"), "no adapter 'poems'"),
])  # fmt: skip
def test_what_cannot_be_done_with_one(unchecked, act, message):
    with pytest.raises(ValueError, match=message):
        act(adapted.adapted())


def test_no_module(unchecked):
    with pytest.raises(TypeError, match="model must be an nn.Module, got str"):
        inject_lora("gpt2", LoraSettings())


@pytest.mark.parametrize("error", [None, KeyError, KeyboardInterrupt])
def test_another_adapter_inside_and_the_same_afterwards(error):
    model = adapted.adapted(adapted.adapted(), "second", seed=4, targets=("down",))
    out, trained = model(IDS), [name for name, p in model.named_parameters() if p.requires_grad]
    for name in (None, "default"):
        with pytest.raises(error or StopIteration), use_adapter(model, name) as same:
            assert same is model and not torch.equal(model(IDS), out)
            assert [name for name, p in model.named_parameters() if p.requires_grad] == trained
            raise error or StopIteration
        assert torch.equal(model(IDS), out)
    with pytest.raises(ValueError, match="there is no adapter 'third'"), use_adapter(model, "third"):
        pass
    set_adapter(model, None)
    assert not any(p.requires_grad for p in model.parameters())
    assert torch.equal(model(IDS), adapted.llama()(IDS))


@pytest.mark.parametrize("name", ["a b", "", "a.b", "ä", "items", "train", "a\n"])
def test_names_that_no_adapter_has(name, unchecked):
    model = adapted.llama()
    with pytest.raises(ValueError, match="name must be letters, digits, _ and -, and no method of a module"):
        inject_lora(model, LoraSettings(rank=1), name=name)
    assert not adapter_names(model) and all(p.requires_grad for p in model.parameters())


def two_places():
    """ "first" on q and v, "second", which is active, on the last matrix of each feed-forward layer."""
    return adapted.adapted(adapted.adapted(adapted.llama(), "first"), "second", seed=1, targets=("down",))


def test_the_active_adapter_is_merged_wherever_it_stands():
    model = two_places()
    second = model(IDS)
    merge(model)
    torch.testing.assert_close(model(IDS), second, rtol=1e-4, atol=1e-5)
    assert [layer.merged for layer in model.modules() if hasattr(layer, "merged")] == [None, "second"] * 2


def test_the_merged_adapter_alone_is_active_and_so_it_is_afterwards():
    model = two_places()
    with use_adapter(model, "first"):
        first = model(IDS)
    merge(model, "first")
    torch.testing.assert_close(model(IDS), first, rtol=1e-4, atol=1e-5)
    assert adapted.same(base_state_dict(model), adapted.state(adapted.llama()))
    unmerge(model)
    assert torch.equal(model(IDS), first)


def test_an_idle_adapter_goes_and_the_active_one_goes_on():
    model = two_places()
    out = model(IDS)
    merge(model)
    with pytest.raises(ValueError, match="no adapter 'poems'"):
        remove_lora(model, "poems")
    assert any(getattr(layer, "merged", None) for layer in model.modules())  # nothing was changed
    remove_lora(model, "first")
    assert torch.equal(model(IDS), out) and adapter_names(model) == ["second"]
    assert type(model.stack.blocks[0].attention.qkv).__name__ == "Linear"
    adapted.adapted(model, "third", seed=2)
    remove_lora(model)
    assert adapter_names(model) == [] and adapted.same(model.state_dict(), adapted.state(adapted.llama()))


def test_unmerging_in_another_dtype_gives_the_base_that_was_trained_or_not():
    model = nn.Sequential(nn.Linear(4, 3))
    base = model[0].weight.detach().double()
    adapted.adapted(model, targets=("0",))
    model[0].weight.requires_grad_(True)
    change = weight_changes(model)["0"]
    merge(model)
    assert not model[0].weight.requires_grad
    model.double()
    unmerge(model)
    assert torch.equal(model[0].weight, base) and model[0].weight.requires_grad and model[0].weight.is_leaf
    x = torch.randn(2, 4, dtype=torch.float64)
    torch.testing.assert_close(model(x), F.linear(x, base + change.double(), model[0].bias), rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="nothing to unmerge"):
        unmerge(model)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_dropout_has_its_part_without_gradients_and_in_lower_precision(autocast, grad):
    model = adapted.adapted(nn.Sequential(nn.Linear(50, 8)), targets=("0",), dropout=0.5).train()
    a, b = lora_parameters(model).values()
    x = torch.randn(3, 50)
    torch.manual_seed(3)
    with torch.set_grad_enabled(grad), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        out = model(x)
    torch.manual_seed(3)
    expected = model[0].bias + x @ model[0].weight.t() + 1.5 * F.dropout(x, 0.5) @ a.t() @ b.t()
    loose = 0.1 if autocast else 1e-5
    torch.testing.assert_close(out.float(), expected, rtol=loose, atol=loose)


def test_only_an_adapters_own_names_are_left_out_of_the_base():
    model = nn.ModuleDict({"adapters": nn.Linear(3, 3), "1": nn.Linear(3, 3), "11": nn.Linear(3, 3)})
    names = list(model.state_dict())
    assert list(base_state_dict(model)) == names
    inject_lora(model, LoraSettings(rank=1, targets=("1",)))
    assert list(base_state_dict(model)) == names
