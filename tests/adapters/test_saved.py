"""Adapters on disk: what is written comes back, what is damaged or foreign is refused and changes nothing."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from lib.adapters import LoraSettings, adapter_names, inject_lora, load_adapter, lora_parameters, merge, save_adapter
from lib.adapters.targets import select_targets
from tests.adapters import adapted
from tests.adapters.adapted import IDS


@pytest.fixture
def folder(tmp_path):
    """An adapter for `adapted.llama`."""
    save_adapter(adapted.adapted(), tmp_path / "poems")
    return tmp_path / "poems"


@pytest.mark.parametrize("targets", [("q", "v"), ("qkv", "output"), ("gate", "down"), ("gate_up",), ("up", "k")])
def test_round_trip(tmp_path, targets):
    model = adapted.adapted(targets=targets, rslora=True, dropout=0.1, rank_pattern={r".*\.1\..*": 3})
    save_adapter(model, tmp_path)
    other = adapted.llama()
    names = load_adapter(other, tmp_path, name="again")
    assert torch.equal(other(IDS), model(IDS))
    ours, read = lora_parameters(model).items(), lora_parameters(other).items()
    for (key, factor), (other_key, other_factor) in zip(sorted(ours), sorted(read), strict=True):
        assert key.replace("default", "again") == other_key and torch.equal(factor, other_factor)
    assert set(names) == {target.name for target in select_targets(model, targets)}
    layers = [module for module in other.modules() if hasattr(module, "adapters")]
    settings = layers[0].adapters["again"].settings
    assert (settings.rank, settings.alpha, settings.rslora, settings.dropout) == (2, 3.0, True, 0.1)
    assert settings.rank_pattern == {r".*\.1\..*": 3} and settings.alpha_pattern == {}
    assert all(factor.requires_grad for factor in lora_parameters(other).values())


def test_our_names_on_disk(folder):
    keys = list(load_file(folder / "adapter_model.safetensors"))
    assert "base_model.model.stack.blocks.0.attention.qkv.q.lora_A.weight" in keys and len(keys) == 8
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["r"] == 2 and config["lora_alpha"] == 3.0 and config["peft_type"] == "LORA"
    assert config["target_modules"][0] == "stack.blocks.0.attention.qkv.q"
    assert {path.name for path in folder.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}


def test_one_transposed_matrix_among_others_is_told_to_peft(tmp_path):
    for name, second, told in (("both", nn.Linear(4, 4), True), ("none", None, False)):
        first = Conv1D(4, 4) if second else nn.Linear(4, 4)
        model = nn.ModuleDict({"first": first, "second": second or nn.Linear(4, 4)})
        inject_lora(model, LoraSettings(rank=2, targets=("first", "second")))
        save_adapter(model, tmp_path / name)
        assert json.loads((tmp_path / name / "adapter_config.json").read_text())["fan_in_fan_out"] is told


def test_one_of_several_and_over_an_older_one(folder):
    model = adapted.adapted(adapted.adapted(), "second", seed=4, targets=("down",))
    out = model(IDS)
    save_adapter(model, folder, "second")
    other = adapted.llama()
    load_adapter(other, folder)
    assert torch.equal(other(IDS), out)


def test_a_merged_adapter_can_be_saved(tmp_path, folder):
    model = adapted.adapted()
    merge(model)
    save_adapter(model, tmp_path)
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()


def test_an_adapter_stays_in_float32_on_a_base_in_sixteen_bits(folder):
    model = adapted.llama().bfloat16()
    load_adapter(model, folder)
    assert model(IDS).dtype == torch.bfloat16
    kept = lora_parameters(adapted.adapted()).values()
    for factor, exact in zip(lora_parameters(model).values(), kept, strict=True):
        assert factor.dtype == torch.float32 and torch.equal(factor, exact)


def test_nothing_is_left_behind_when_writing_fails(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def broken(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("lib.adapters.saved.save_file", broken)
    with pytest.raises(OSError, match="disk full"):
        save_adapter(adapted.adapted(seed=3), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def cut(folder):
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])


def garbage(folder):
    (folder / "adapter_config.json").write_bytes(b'{"r": 2, \xff')


def changed(**fields):
    def change(folder):
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return change


def without(field):
    def change(folder):
        path = folder / "adapter_config.json"
        config = json.loads(path.read_text())
        del config[field]
        path.write_text(json.dumps(config))

    return change


def tensors(change):
    def rewrite(folder):
        path = folder / "adapter_model.safetensors"
        save_file({key: value.clone() for key, value in change(load_file(path)).items()}, path)

    return rewrite


Q = "base_model.model.stack.blocks.0.attention.qkv.q.lora_A.weight"
Q_B = Q.replace("_A", "_B")


@pytest.mark.parametrize("damage, message", [
    (cut, "adapter_model.safetensors is damaged"),
    (garbage, "adapter_config.json is damaged"),
    (without("r"), "adapter_config.json is damaged .*'r'"),
    (changed(lora_alpha=None), "adapter_config.json is damaged"),
    (changed(target_modules=None), "adapter_config.json is damaged"),
    (lambda f: (f / "adapter_config.json").write_text("[]"), "adapter_config.json is damaged"),
    (changed(r=0), "rank must be at least 1"),
    (changed(r=4), r"another model: A of stack.*qkv.q has shape \(2, 16\), expected \(4, 16\)"),
    (changed(peft_type="IA3"), "describes 'IA3': only 'LORA'"),
    (changed(something_new={"x": 1}), "sets something_new="),
    (tensors(lambda t: {k: v for k, v in t.items() if k != Q}), "qkv.q has B only"),
    (tensors(lambda t: {k: v for k, v in t.items() if ".1." not in k}),
     r"names 4 layers of this model, but adapter_model.safetensors lacks 2 of them: "
     r"stack.blocks.1.attention.qkv.q, stack.blocks.1.attention.qkv.v; copy both files"),
    (tensors(lambda t: {k: v for k, v in t.items() if ".0." in k and ".q." in k}), "lacks 3 of them: stack.blocks.0.*qkv.v,"),
    (changed(target_modules=["qkv.q", "qkv.v", "down"]), "lacks 2 of them: stack.blocks.0.feed_forward.down"),
    (changed(target_modules=r".*\.(q|k|v)"), "names 6 layers .* lacks 2 of them: stack.blocks.0.attention.qkv.k"),
    (changed(rank_pattern={"q": 5}), r"another model: A of stack.*qkv.q has shape \(2, 16\), expected \(5, 16\)"),
    (changed(rank_pattern={"q": "many"}), r"damaged .*rank_pattern\['q'\] must be a whole number"),
    (changed(alpha_pattern={"q": 0}), r"alpha_pattern\['q'\] must be a finite number above 0"),
    (changed(target_modules=["qkv.q"]), "holds layers that adapter_config.json does not name: stack.blocks.0.*.v, stack"),
    (changed(target_modules="(q"), "adapter_config.json is damaged .*unterminated"),
    (changed(exclude_modules=5), "adapter_config.json is damaged"),
    (changed(use_dora=True), "sets use_dora=True, and cannot be loaded: DoRA gives every output"),
    (tensors(lambda t: t | {Q: t[Q] * float("nan")}), "is not finite"),
    (tensors(lambda t: t | {Q: t[Q].masked_fill(t[Q] == t[Q].max(), float("inf"))}), "is not finite"),
    (tensors(lambda t: t | {"head.weight": t[Q]}), "holds 'head.weight', which is no A or B"),
    (tensors(lambda t: {}), "holds no adapter"),
    (tensors(lambda t: t | {Q_B: t[Q_B][:3].clone()}), r"B of .* has shape \(3, 2\), expected \(16, 2\)"),
    (tensors(lambda t: t | {key.replace(".qkv.q.", ".qkw."): t[key] for key in (Q, Q_B)}),
     "changes 'stack.blocks.0.attention.qkw', which this Decoder does not have; did you mean"),
    (tensors(lambda t: t | {Q.replace(".q.", "."): t[Q], Q_B.replace(".q.", "."): torch.ones(32, 2)}),
     "changes stack.blocks.0.attention.qkv and a part of it"),
])  # fmt: skip
def test_damaged_files(unchecked, folder, damage, message):
    damage(folder)
    model = adapted.llama()
    before = adapted.state(model)
    with pytest.raises(ValueError, match=message):
        load_adapter(model, folder)
    assert adapted.same(model.state_dict(), before) and not adapter_names(model)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("targets, former", [
    (("gate", "up"), {"feed_forward.gate": "feed_forward.up.gate", "feed_forward.up": "feed_forward.up.up"}),
    (("gate",), {"feed_forward.gate": "feed_forward.up.gate"}),
    (("gate_up", "q"), {"feed_forward.gate_up": "feed_forward.up"}),
])  # fmt: skip
def test_files_under_former_names_of_gate_and_up(targets, former, tmp_path):
    model = adapted.adapted(targets=targets)
    save_adapter(model, tmp_path)

    def renamed(name):
        start, dot, end = name.partition("feed_forward.")
        layer, lora, rest = (dot + end).partition(".lora_")
        return start + former.get(layer, layer) + lora + rest

    tensors(lambda t: {renamed(key): value for key, value in t.items()})(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    changed(target_modules=[renamed(name) for name in config["target_modules"]])(tmp_path)
    other = adapted.llama()
    assert set(load_adapter(other, tmp_path)) == {target.name for target in select_targets(model, targets)}
    assert torch.equal(other(IDS), model(IDS))


def test_a_fused_matrix_and_its_half_in_one_file(unchecked, tmp_path):
    save_adapter(adapted.adapted(targets=("gate_up",)), tmp_path)
    half = {"A": torch.ones(2, 16), "B": torch.ones(24, 2)}
    start = "base_model.model.stack.blocks.0.feed_forward.gate.lora_"
    tensors(lambda t: t | {f"{start}{factor}.weight": values for factor, values in half.items()})(tmp_path)
    with pytest.raises(ValueError, match="changes stack.blocks.0.feed_forward.gate_up and a part of it, .*gate: it is"):
        load_adapter(adapted.llama(), tmp_path)


def test_the_names_of_many_lacking_layers_are_cut_short(unchecked, tmp_path):
    save_adapter(adapted.adapted(targets=("*",)), tmp_path)
    tensors(lambda t: {k: v for k, v in t.items() if ".1." in k})(tmp_path)
    with pytest.raises(ValueError, match="lacks 7 of them: .*feed_forward.up and 1 more; copy"):
        load_adapter(adapted.llama(), tmp_path)


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
def test_missing_files(unchecked, folder, file):
    (folder / file).unlink()
    with pytest.raises(FileNotFoundError, match=f"no {file} in poems"):
        load_adapter(adapted.llama(), folder)


def test_for_another_shape(unchecked, folder):
    with pytest.raises(ValueError, match="the adapter is for another model"):
        load_adapter(adapted.llama(d_model=32, d_ff=48), folder)
    with pytest.raises(ValueError, match="which this Decoder does not have"):
        load_adapter(adapted.llama(num_layers=1), folder)


def test_names_that_are_taken_or_unknown(unchecked, folder):
    model = adapted.adapted()
    with pytest.raises(ValueError, match="already an adapter 'default'"):
        load_adapter(model, folder)
    with pytest.raises(ValueError, match="no adapter 'defualt' to save; did you mean default"):
        save_adapter(model, folder, "defualt")
    merge(model)
    with pytest.raises(ValueError, match="call unmerge first"):
        load_adapter(model, folder, "other")


def test_six_lacking_layers_are_all_named(unchecked, tmp_path):
    save_adapter(adapted.adapted(targets=("q", "k", "v", "output", "gate", "up")), tmp_path)
    tensors(lambda t: {k: v for k, v in t.items() if ".1." in k})(tmp_path)
    with pytest.raises(ValueError, match="lacks 6 of them: .*feed_forward.up; copy"):
        load_adapter(adapted.llama(), tmp_path)
