"""Files as people have them: wrapped, of old names, with one copy of a tied matrix, of several types, or broken."""

import pytest
import torch
import transformers as hf

from lib.models import load_transformers
from lib.models.pretrained_state import plain_name, read_state
from tests.models import small, theirs

IDS = small.some_ids()


def weights_of(state, model):
    return load_transformers(state, model.config).state_dict()


def assert_loads_the_same(state, model):
    expected, got = load_transformers(model).state_dict(), weights_of(state, model)
    assert expected.keys() == got.keys() and all(torch.equal(got[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module.module."]
)
@pytest.mark.parametrize("make", [theirs.bert_mlm, theirs.gpt2, theirs.llama, theirs.t5])
def test_wrappers_are_taken_off(make, prefix):
    model = make()
    assert_loads_the_same({prefix + key: tensor for key, tensor in model.state_dict().items()}, model)


def test_wrappers_of_single_blocks_are_taken_off():
    model = theirs.llama()
    state = {key.replace("layers.0.", "layers.0._orig_mod."): tensor for key, tensor in model.state_dict().items()}
    assert any("_orig_mod" in key for key in state)
    assert_loads_the_same(state, model)
    assert plain_name("_fsdp_wrapped_module.h.0._checkpoint_wrapped_module.ln_1.bias", "gpt2") == "h.0.ln_1.bias"
    assert plain_name("transformer.h.0.submodule.bias", "gpt2") == "h.0.submodule.bias"


def test_a_compiled_model_loads():
    model = theirs.gpt2()
    compiled = torch.compile(model)
    assert next(iter(compiled.state_dict())).startswith("_orig_mod.")
    torch.testing.assert_close(load_transformers(compiled)(IDS), load_transformers(model)(IDS))


@pytest.mark.parametrize("make", [theirs.bert_mlm, lambda: theirs.bert_for("PreTraining")], ids=["mlm", "both"])
def test_gamma_and_beta_are_a_norms_weight_and_bias(make):
    model = make()
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    state = {}
    for key, tensor in model.state_dict().items():
        for new, name in old.items():
            key = key.replace(new, name)
        state[key] = tensor
    assert sum(key.endswith(("gamma", "beta")) for key in state) == 12
    assert_loads_the_same(state, model)


@pytest.mark.parametrize(
    "make, kept",
    [
        (theirs.gpt2, "lm_head.weight"),
        (lambda: theirs.llama(tie_word_embeddings=True), "lm_head.weight"),
        (theirs.bart, "lm_head.weight"),
        (theirs.bart, "model.decoder.embed_tokens.weight"),
        (theirs.t5, "lm_head.weight"),
        (theirs.t5, "encoder.embed_tokens.weight"),
        (theirs.bert_mlm, "cls.predictions.decoder.weight"),
        (theirs.bert_mlm, "cls.predictions.decoder.bias"),
        (theirs.roberta_mlm, "lm_head.decoder.bias"),
    ],
)
def test_one_copy_of_a_tied_matrix_is_enough(make, kept):
    model = make()
    state = model.state_dict()
    copies = [key for key, tensor in state.items() if tensor.data_ptr() == state[kept].data_ptr() and key != kept]
    assert copies
    assert_loads_the_same({key: tensor for key, tensor in state.items() if key not in copies}, model)


def test_an_untied_head_is_no_copy():
    model = theirs.llama()
    state = {key: tensor for key, tensor in model.state_dict().items() if key != "model.embed_tokens.weight"}
    with pytest.raises(ValueError, match="missing embed_tokens.weight$"):
        load_transformers(state, model.config)


def test_both_sides_of_a_misfit_are_named_and_what_it_begins_with():
    model = theirs.llama()
    state = {f"base.lm.{key}": tensor for key, tensor in model.state_dict().items()}
    message = (
        r"missing embed_tokens.weight, (\S+, ){2}\S+ and 17 more; "
        r"unexpected base.lm.lm_head.weight, (\S+, ){2}\S+ and 17 more; every unexpected key begins with 'base.lm'$"
    )
    with pytest.raises(ValueError, match=message):
        load_transformers(state, model.config)


def test_a_key_that_is_there_twice():
    state = {"bert.pooler.dense.bias": torch.zeros(2), "module.pooler.dense.bias": torch.zeros(2)}
    with pytest.raises(ValueError, match="holds pooler.dense.bias twice: as bert.pooler.* and as module.pooler"):
        read_state(state, "bert")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_refused(value):
    model = theirs.llama()
    model.model.norm.weight.data[3] = value
    with pytest.raises(ValueError, match=rf"^model.norm.weight must be finite, got {value} at \(3,\)$"):
        load_transformers(model)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn, torch.float8_e5m2, torch.int64])
@pytest.mark.parametrize("key", ["lm_head.weight", "model.layers.0.mlp.up_proj.weight", "model.unknown"])
def test_quantised_weights_are_refused(dtype, key):
    model = theirs.llama()
    state = {**model.state_dict(), key: torch.ones(40, 16).to(dtype)}
    with pytest.raises(TypeError, match=rf"^{key} must be of float32, .*, got {dtype}: quantised weights"):
        load_transformers(state, model.config)


def test_a_configuration_of_quantised_weights_is_refused():
    model = theirs.llama(quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(ValueError, match=r"the weights are quantised \(gptq\), which is not supported"):
        load_transformers(model.state_dict(), model.config)


def test_a_file_of_two_types_is_brought_to_the_wider():
    """transformers keeps `wo` in float32 when it loads a T5 in float16."""
    model = theirs.t5().half()
    for name, parameter in model.named_parameters():
        if name.endswith("wo.weight"):
            parameter.data = parameter.data.float()
    ours = load_transformers(model)
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float32}
    target = small.some_ids(seed=2)
    expected = model(input_ids=IDS, decoder_input_ids=target).logits
    torch.testing.assert_close(ours(IDS, target), expected.float(), atol=0.02, rtol=0)  # float16 has three digits
    state = theirs.llama().bfloat16().state_dict()
    state["model.norm.weight"] = state["model.norm.weight"].half()  # neither holds the other
    ours = load_transformers(state, theirs.llama().config)
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float32}
    assert torch.equal(ours.stack.norm.weight, state["model.norm.weight"].float())


def test_what_is_no_state_dict(unchecked):
    model = theirs.gpt2()
    with pytest.raises(TypeError, match=r"source\['model'\] must be a tensor, got OrderedDict: give the state dict"):
        load_transformers({"model": model.state_dict(), "step": 3}, model.config)
    with pytest.raises(TypeError, match="source must be a Mapping, got str"):
        load_transformers("model.safetensors", model.config)
    with pytest.raises(ValueError, match="hf_config must be given"):
        load_transformers(hf.GPT2LMHeadModel(model.config).state_dict())


@pytest.mark.parametrize("key, family, name", [
    ("module.module.bert.pooler.dense.bias", "bert", "pooler.dense.bias"),
    ("module._orig_mod.transformer.wte.weight", "gpt2", "wte.weight"),
    ("_orig_mod.model.layers.0.self_attn.q_proj.weight", "llama", "layers.0.self_attn.q_proj.weight"),
    ("model.layers.0._fsdp_wrapped_module.mlp.up_proj.weight", "qwen2", "layers.0.mlp.up_proj.weight"),
    ("model.layers.0._checkpoint_wrapped_module.mlp.up_proj.weight", "mistral", "layers.0.mlp.up_proj.weight"),
    ("model.shared.weight", "bart", "shared.weight"), ("shared.weight", "t5", "shared.weight"),
    ("roberta.embeddings.LayerNorm.gamma", "roberta", "embeddings.LayerNorm.weight"),
    ("roberta.embeddings.LayerNorm.beta", "roberta", "embeddings.LayerNorm.bias"),
    ("h.0.module.weight", "gpt2", "h.0.module.weight"),
])  # fmt: skip
def test_what_a_key_is_called_without_wrappers(key, family, name):
    assert plain_name(key, family) == name
