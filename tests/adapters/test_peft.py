"""Parity with peft on transformers' models, and of our fused Decoder with peft on the same weights."""

import copy
import json

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from lib.adapters import (
    LoraSettings,
    count_trainable,
    inject_lora,
    load_adapter,
    lora_parameters,
    merge,
    save_adapter,
    weight_changes,
)
from lib.models.pretrained import load_transformers
from tests.adapters import adapted
from tests.adapters.adapted import IDS
from tests.models import theirs

CASES = {
    "llama": (theirs.llama, ("q_proj", "v_proj"), {}),
    "llama-rslora": (theirs.llama, ("q_proj", "down_proj"), {"rslora": True}),
    "llama-all": (theirs.llama, ("*_proj",), {}),
    "gpt2": (theirs.gpt2, ("c_attn",), {}),
    "gpt2-rslora": (theirs.gpt2, ("c_attn", "mlp.c_proj"), {"rslora": True}),
    "bert": (theirs.bert, ("query", "value"), {}),
}


def theirs_of(model, targets, rslora=False, rank=3, alpha=5):
    """peft's model around a copy of the same weights."""
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=targets,
        use_rslora=rslora,
        fan_in_fan_out=isinstance(model, transformers.GPT2LMHeadModel),
    )
    return peft.get_peft_model(copy.deepcopy(model), config).eval()


def pair(make, patterns, **settings):
    """Ours and peft's, with the same A and B."""
    ours = make().double()  # so that a tolerance need not allow for the order of sums
    targets = inject_lora(ours, LoraSettings(rank=3, alpha=5, targets=patterns, **settings))
    reference = theirs_of(make().double(), targets, **settings)
    adapted.noisy(ours)
    modules = dict(reference.base_model.model.named_modules())
    with torch.no_grad():
        for name, factor in factors(ours).items():
            target, letter = name.rsplit(".", 1)
            getattr(modules[target], f"lora_{letter}").default.weight.copy_(factor)
    return ours, reference


def factors(model):
    """A and B by "target.A", the parts' names left out."""
    return {name.replace("adapters.default.whole.", ""): p for name, p in lora_parameters(model).items()}


def output(model):
    out = model(IDS)
    return out.logits if hasattr(out, "logits") else out.last_hidden_state


@pytest.mark.parametrize("make, patterns, settings", CASES.values(), ids=CASES)
def test_forward_gradients_and_merge(make, patterns, settings):
    ours, reference = pair(make, patterns, **settings)
    assert count_trainable(ours) == count_trainable(reference)
    base = output(make().double())
    assert (output(ours) - base).abs().max() > 0.05  # the adapters matter
    torch.testing.assert_close(output(ours), output(reference), rtol=1e-10, atol=1e-11)

    seed = torch.randn(base.shape, dtype=torch.float64)
    output(ours).backward(seed)
    output(reference).backward(seed)
    modules = dict(reference.base_model.model.named_modules())
    for name, factor in factors(ours).items():
        target, letter = name.rsplit(".", 1)
        expected = getattr(modules[target], f"lora_{letter}").default.weight.grad
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(factor.grad, expected, rtol=1e-9, atol=1e-9)

    for name, change in weight_changes(ours).items():
        delta = modules[name].get_delta_weight("default").detach()
        delta = delta.t() if isinstance(ours, transformers.GPT2LMHeadModel) else delta
        torch.testing.assert_close(change, delta, rtol=1e-10, atol=1e-11)
    merge(ours)
    torch.testing.assert_close(output(ours), output(reference.merge_and_unload()), rtol=1e-10, atol=1e-11)


def test_our_decoder_is_peft_on_the_same_llama():
    llama = theirs.llama()
    ours = load_transformers(llama, llama.config)
    reference = theirs_of(llama, ["q_proj", "v_proj"])
    inject_lora(ours, LoraSettings(rank=3, alpha=5, targets=("q", "v")))
    adapted.noisy(ours)
    modules = dict(reference.base_model.model.named_modules())

    def theirs_for(name):  # stack.blocks.1.attention.qkv.adapters.default.v.B
        layer, part, letter = (name.split(".")[index] for index in (2, -2, -1))
        module = modules[f"model.layers.{layer}.self_attn.{part}_proj"]
        return getattr(module, f"lora_{letter}").default.weight

    with torch.no_grad():
        for name, factor in lora_parameters(ours).items():
            theirs_for(name).copy_(factor)
    expected = reference(IDS).logits
    torch.testing.assert_close(ours(IDS), expected, rtol=1e-5, atol=2e-6)
    seed = torch.randn(expected.shape)
    ours(IDS).backward(seed)
    expected.backward(seed)
    for name, factor in lora_parameters(ours).items():
        torch.testing.assert_close(factor.grad, theirs_for(name).grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make, patterns, settings", CASES.values(), ids=CASES)
def test_peft_reads_what_we_write(make, patterns, settings, tmp_path):
    ours = make()
    adapted.adapted(ours, targets=patterns, rank=3, alpha=5.0, **settings)
    save_adapter(ours, tmp_path)
    read = peft.PeftModel.from_pretrained(make(), tmp_path).eval()
    torch.testing.assert_close(output(read), output(ours), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("make, patterns, settings", CASES.values(), ids=CASES)
def test_we_read_what_peft_writes(make, patterns, settings, tmp_path):
    _, reference = pair(make, patterns, **settings)
    reference.save_pretrained(tmp_path)
    ours = make().double()
    load_adapter(ours, tmp_path, name="read")
    torch.testing.assert_close(output(ours), output(reference), rtol=1e-10, atol=1e-11)


PATTERNS = {
    "ranks": dict(rank_pattern={"q_proj": 2, r"layers\.1\.self_attn\.v_proj": 5}),
    "alphas": dict(alpha_pattern={"v_proj": 11, "self_attn.*": 2}),
    "both, rank-stabilised": dict(rank_pattern={"v_proj": 4}, alpha_pattern={".*1.*": 3}, use_rslora=True),
    "one layer": dict(layers_to_transform=[1], rank_pattern={"q_proj": 2}),
    "all but": dict(exclude_modules=["layers.0.self_attn.q_proj"]),
}


@pytest.mark.parametrize("options", PATTERNS.values(), ids=PATTERNS)
def test_patterns_are_read_as_peft_reads_them(options, tmp_path):
    config = peft.LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"], **options)
    reference = peft.get_peft_model(theirs.llama().double(), config).eval()
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    reference.save_pretrained(tmp_path / "theirs")
    reference = peft.PeftModel.from_pretrained(theirs.llama().double(), tmp_path / "theirs").eval()  # sorted patterns
    ours = theirs.llama().double()
    load_adapter(ours, tmp_path / "theirs")
    assert (output(ours) - output(theirs.llama().double())).abs().max() > 0.05
    torch.testing.assert_close(output(ours), output(reference), rtol=1e-10, atol=1e-11)
    assert count_trainable(ours) == sum(p.numel() for n, p in reference.named_parameters() if "lora_" in n)
    save_adapter(ours, tmp_path / "ours")
    again = peft.PeftModel.from_pretrained(theirs.llama().double(), tmp_path / "ours").eval()
    torch.testing.assert_close(output(again), output(reference), rtol=1e-10, atol=1e-11)


CHOICES = [
    dict(target_modules=["q_proj", "mlp.down_proj"]),
    dict(target_modules=r".*\.1\..*_proj"),
    dict(target_modules=["v_proj", "model.layers.0.mlp.up_proj"], layers_to_transform=1),
    dict(target_modules=["v_proj", "o_proj"], layers_to_transform=[0], layers_pattern="layers"),
    dict(target_modules=["v_proj"], layers_to_transform=[0, 1], layers_pattern=["h", "layers"]),
    dict(target_modules=["q_proj", "v_proj"], exclude_modules=r".*\.0\..*"),
    dict(target_modules=["q_proj", "v_proj"], exclude_modules=["0.self_attn.v_proj"]),
    dict(target_modules="all-linear"),
]


@pytest.mark.parametrize("options", CHOICES)
def test_a_file_that_lacks_what_peft_would_adapt_is_refused(options, unchecked, tmp_path):
    reference = peft.get_peft_model(theirs.llama(), peft.LoraConfig(r=3, **options))
    wanted = [name.removeprefix("base_model.model.") for name, m in reference.named_modules() if hasattr(m, "lora_A")]
    reference.save_pretrained(tmp_path)
    assert sorted(load_adapter(theirs.llama(), tmp_path)) == sorted(wanted)
    path = tmp_path / "adapter_model.safetensors"
    for lost in (wanted[0], wanted[-1]):
        whole = load_file(path)
        save_file({key: value for key, value in whole.items() if f".{lost}." not in key}, path)
        with pytest.raises(ValueError, match=f"names {len(wanted)} layers .*lacks 1 of them: {lost};"):
            load_adapter(theirs.llama(), tmp_path)
        save_file(whole, path)


@pytest.mark.parametrize("options, field", [
    (dict(use_dora=True), "use_dora"),
    (dict(lora_bias=True), "lora_bias"),
    (dict(bias="lora_only"), "bias"),
    (dict(init_lora_weights="olora"), "init_lora_weights"),
    (dict(modules_to_save=["lm_head"]), "modules_to_save"),
])  # fmt: skip
def test_more_than_plain_lora_is_refused(unchecked, options, field, tmp_path):
    config = peft.LoraConfig(r=3, target_modules=["q_proj", "v_proj"], **options)
    peft.get_peft_model(theirs.llama(), config).save_pretrained(tmp_path)
    if field == "init_lora_weights":  # peft writes True where it has folded the changed base back in
        changed = json.loads((tmp_path / "adapter_config.json").read_text())
        (tmp_path / "adapter_config.json").write_text(json.dumps(changed | options))
    model = theirs.llama()
    reason = "DoRA gives every output" if field == "use_dora" else "this is more than W"
    with pytest.raises(ValueError, match=f"sets {field}=.*cannot be loaded: {reason}"):
        load_adapter(model, tmp_path)
    assert type(model.model.layers[0].self_attn.q_proj) is torch.nn.Linear
