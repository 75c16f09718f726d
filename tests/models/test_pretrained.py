"""Tiny random models of transformers, and ours with their weights: equal outputs, gradients, cached steps.

Noise is put on every parameter first: with fresh weights (norms 1, biases 0) a swap could go unseen.
"""

import pytest
import torch
import transformers

from lib.models import KVCache, count_parameters
from lib.models.layers import ACTIVATIONS
from lib.models.pretrained import config_from_transformers, load_transformers
from lib.models.pretrained_state import is_constant
from tests.models import small
from tests.models.theirs import (
    DECODERS,
    ENCODERS,
    PLACES,
    SEQ2SEQ,
    bart,
    bert,
    bert_mlm,
    gpt2,
    llama,
    roberta_mlm,
    t5_v11,
)

IDS = small.some_ids()
TARGET = small.some_ids(length=8, seed=2)
SIDES = {"full": torch.ones_like(small.RIGHT), "right": small.RIGHT, "left": small.LEFT}


def positions(mask):
    """What transformers' `generate` computes from a mask."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def hidden_pair(theirs, ours, mask):
    ids, types = IDS, torch.arange(8).expand(2, 8) // 4
    if theirs.config.model_type == "roberta":
        ids = ids.masked_fill(mask == 0, theirs.config.pad_token_id)  # it finds positions by the padding id
        return theirs(ids, mask).last_hidden_state, ours(ids, mask)
    expected = theirs(ids, mask, token_type_ids=types, position_ids=positions(mask)).last_hidden_state
    return expected, ours(ids, mask, types)


def logits_pair(theirs, ours, mask):
    return theirs(IDS, attention_mask=mask, position_ids=positions(mask)).logits, ours(IDS, mask)


def seq2seq_pair(theirs, ours, mask):
    expected = theirs(input_ids=IDS, attention_mask=mask, decoder_input_ids=TARGET, decoder_attention_mask=mask).logits
    plain = torch.arange(8).expand(2, 8)  # BART counts padding too, and takes no other positions
    return expected, ours(IDS, TARGET, mask, mask, position_ids=plain, decoder_position_ids=plain)


GROUPS = ((ENCODERS, hidden_pair), (DECODERS, logits_pair), (SEQ2SEQ, seq2seq_pair))
CASES = [(name, make, pair) for group, pair in GROUPS for name, make in group.items()]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name, make, pair", CASES, ids=[case[0] for case in CASES])
def test_outputs_and_gradients_are_those_of_transformers(name, make, pair, side):
    theirs, mask = make(), SIDES[side]
    ours = load_transformers(theirs)
    expected, got = pair(theirs, ours, mask)
    expected, got = expected[mask.bool()], got[mask.bool()]
    assert expected.abs().max() > 0.2  # else the tolerance would say nothing
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(9)) / 4
    for out in (expected, got):
        (out * weight).sum().backward()
    compare_gradients(ours, theirs)


def compare_gradients(ours, theirs):
    family = theirs.config.model_type
    for name, sources in PLACES[family].items():
        if name == "output" and ours.output is None:
            continue
        module = ours.get_submodule(name)
        for kind in ("weight", "bias"):
            if getattr(module, kind, None) is None:
                continue
            parts = [theirs.get_submodule(source).get_parameter(kind).grad for source in sources]
            parts = [p.T if family == "gpt2" and "h." in sources[0] and p.ndim == 2 else p for p in parts]
            grad = getattr(module, kind).grad
            assert grad.abs().max() > 0.002
            torch.testing.assert_close(grad, torch.cat(parts), atol=1e-4, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("make", DECODERS.values(), ids=DECODERS)
def test_cached_steps_are_those_of_transformers(make, side):
    theirs, mask = make(), SIDES[side]
    windowed = getattr(theirs.config, "sliding_window", None)  # theirs counts padding inside of a window, ours does not
    if side == "right" and not windowed:
        mask = torch.ones_like(mask).index_fill(1, torch.tensor([4]), 0)  # a padded prompt, then more
    ours, cache, past = load_transformers(theirs), KVCache(capacity=2), transformers.DynamicCache()
    for start, end in ((0, 5), (5, 6), (6, 7), (7, 8)):
        new, seen = IDS[:, start:end], mask[:, :end]
        expected = theirs(
            new, attention_mask=seen, past_key_values=past, use_cache=True, position_ids=positions(seen)[:, start:]
        ).logits
        got = ours(new, seen, cache)
        real = mask[:, start:end].bool()
        torch.testing.assert_close(got[real], expected[real], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("make", SEQ2SEQ.values(), ids=SEQ2SEQ)
def test_cached_seq2seq_steps_are_those_of_transformers(make):
    theirs = make()
    ours, cache, past = load_transformers(theirs), KVCache(capacity=2), None
    for start, end in ((0, 3), (3, 4), (4, 6)):
        out = theirs(
            input_ids=IDS,
            attention_mask=small.RIGHT,
            decoder_input_ids=TARGET[:, start:end],
            past_key_values=past,
            use_cache=True,
        )
        past = out.past_key_values
        got = ours(IDS, TARGET[:, start:end], small.RIGHT, cache=cache)
        torch.testing.assert_close(got, out.logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "make, decoder_bias",
    [
        (bert_mlm, "cls.predictions.bias"),
        (lambda: bert_mlm(hidden_act="relu"), "cls.predictions.bias"),
        (roberta_mlm, "lm_head.bias"),
    ],
    ids=["bert", "bert-relu", "roberta"],
)
def test_masked_language_models_bring_their_head(make, decoder_bias):
    theirs, mask = make(), small.RIGHT
    ours = load_transformers(theirs)
    assert count_parameters(ours) == theirs.num_parameters()
    ids = IDS.masked_fill(mask == 0, theirs.config.pad_token_id)
    expected, got = theirs(ids, mask).logits[mask.bool()], ours(ids, mask)[mask.bool()]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    for out in (expected, got):
        out.square().mean().backward()
    embeddings = theirs.get_input_embeddings().weight.grad.clone()
    grad = ours.encoder.tokens.weight.grad.clone()
    for g in (embeddings, grad):
        g[theirs.config.pad_token_id] = 0  # theirs gives the padding token no gradient from below
    torch.testing.assert_close(grad, embeddings, atol=1e-4, rtol=0)
    expected_bias = theirs.get_parameter(decoder_bias).grad
    torch.testing.assert_close(ours.head.bias.grad, expected_bias, atol=1e-4, rtol=0)


def test_a_roberta_head_has_one_activation():
    with pytest.raises(ValueError, match="RoBERTa head with the activation 'relu' is not supported"):
        load_transformers(roberta_mlm(hidden_act="relu"))


@torch.no_grad()
def test_the_pooler_comes_along_or_is_absent():
    theirs = bert()
    ours = load_transformers(theirs)
    torch.testing.assert_close(ours.pool(ours(IDS)), theirs(IDS).pooler_output)
    state = {key: tensor for key, tensor in theirs.state_dict().items() if "pooler" not in key}
    bare = load_transformers(state, theirs.config)
    assert bare.pooler is None
    torch.testing.assert_close(bare(IDS), theirs(IDS).last_hidden_state)


@torch.no_grad()
def test_backbones_without_a_head_load_too():
    theirs = gpt2()
    ours = load_transformers(theirs.transformer)
    torch.testing.assert_close(ours.hidden(IDS), theirs.transformer(IDS)[0], atol=1e-5, rtol=0)
    theirs = bart()
    torch.testing.assert_close(
        load_transformers(theirs.model).hidden(IDS, TARGET),
        theirs.model(input_ids=IDS, decoder_input_ids=TARGET)[0],
        atol=1e-5,
        rtol=0,
    )


@torch.no_grad()
def test_a_t5_1_1_checkpoint_with_a_head_of_its_own():
    theirs = t5_v11()
    state = dict(theirs.state_dict())
    state["lm_head.weight"] = torch.randn(40, 16)
    ours = load_transformers(state, theirs.config)
    assert not ours.config.tie_embeddings
    torch.testing.assert_close(ours(IDS, TARGET), ours.hidden(IDS, TARGET) @ state["lm_head.weight"].T)


def test_weights_are_copied_with_their_dtype():
    theirs = llama().to(torch.bfloat16)
    ours = load_transformers(theirs)
    assert {p.dtype for p in ours.parameters()} == {torch.bfloat16} and not ours.training
    assert all(p.requires_grad for p in ours.parameters())
    with torch.no_grad():
        before = theirs.lm_head.weight.clone()
        ours.output.weight.zero_()
        assert torch.equal(theirs.lm_head.weight, before)


def test_every_parameter_of_theirs_has_a_place_in_ours():
    for make in (*ENCODERS.values(), *DECODERS.values(), *SEQ2SEQ.values()):
        theirs = make()
        assert sum(p.numel() for p in load_transformers(theirs).parameters()) == theirs.num_parameters()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("transformer.h.1.ln_2.bias"), r"gpt2 configuration: missing h\.1\.ln_2\.bias$"),
        (lambda s: s.update({"transformer.h.2.ln_2.bias": torch.zeros(16)}), r"unexpected h\.2\.ln_2\.bias$"),
        (
            lambda s: s.update({"transformer.wpe.weight": torch.zeros(11, 16)}),
            r"misshapen wpe\.weight \(11, 16\): expected \(12, 16\) in all$",
        ),
        (
            lambda s: s.update({"transformer.h.0.attn.c_attn.weight": torch.zeros(48, 16)}),
            r"misshapen h\.0\.attn\.c_attn\.weight \(16, 48\): expected \(48, 16\) in all$",
        ),
        (lambda s: s.update({"lm_head.weight": torch.zeros(40, 16)}), "lm_head.weight differs from wte.weight"),
    ],
)
def test_a_state_dict_that_does_not_fit_names_the_keys(change, message):
    theirs = gpt2()
    state = dict(theirs.state_dict())
    change(state)
    with pytest.raises(ValueError, match=message):
        load_transformers(state, theirs.config)


def test_many_problems_are_shortened_and_parts_are_named():
    theirs = llama()
    state = dict(theirs.state_dict())
    state["model.layers.0.self_attn.k_proj.weight"] = torch.zeros(8, 17)
    with pytest.raises(ValueError, match=r"k_proj.weight \(8, 17\), .*0.self_attn.v_proj.weight \(8, 16\)"):
        load_transformers(state, theirs.config)
    with pytest.raises(ValueError, match=r"missing embed_tokens.weight, (\S+, ){2}\S+ and 17 more$"):
        load_transformers({}, theirs.config)


def test_constants_of_older_checkpoints_are_no_surprise():
    theirs = gpt2()
    old = {
        "transformer.h.0.attn.bias": torch.ones(1, 1, 12, 12),
        "transformer.h.1.attn.masked_bias": torch.tensor(-1e4),
    }
    load_transformers({**theirs.state_dict(), **old}, theirs.config)


@pytest.mark.parametrize("name, constant", [
    ("embeddings.position_ids", True), ("h.11.attn.bias", True), ("h.0.attn.masked_bias", True),
    ("layers.3.self_attn.rotary_emb.inv_freq", True), ("rotary_emb.inv_freq", True), ("pooler.dense.weight", True),
    ("pooler.dense.bias", True),
    ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight", True),
    ("decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", False), ("h.0.attn.c_attn.bias", False),
    ("embeddings.position_embeddings.weight", False), ("classifier.dense.weight", False), ("h.0.mlp.bias", False),
])  # fmt: skip
def test_which_names_hold_no_trained_number(name, constant):
    assert is_constant(name) is constant


@pytest.mark.parametrize("theirs, ours", [
    ("gelu", "gelu"), ("gelu_new", "gelu_tanh"), ("gelu_pytorch_tanh", "gelu_tanh"), ("gelu_fast", "gelu_tanh"),
    ("relu", "relu"), ("silu", "silu"), ("swish", "silu"),
])  # fmt: skip
def test_activations_are_the_same_function(theirs, ours):
    config = transformers.GPT2Config(activation_function=theirs)
    assert config_from_transformers(config).activation == ours
    x = torch.linspace(-4, 4, 101)
    torch.testing.assert_close(ACTIVATIONS[ours](x), transformers.activations.ACT2FN[theirs](x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "make, changes, message",
    [
        (
            transformers.LlamaConfig,
            {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
            "rope_type 'linear' are not supported: only 'default' and 'llama3' are",
        ),
        (transformers.LlamaConfig, {"hidden_act": "tanh"}, "activation 'tanh' is not supported"),
        (
            transformers.LlamaConfig,
            {"attention_bias": True},
            "attention_bias=True with mlp_bias=False is not supported: only both or neither are",
        ),
        (transformers.BertConfig, {"position_embedding_type": "relative_key"}, "embedding_type='relative_key'"),
        (transformers.BertConfig, {"is_decoder": True}, "is_decoder=True is not supported for bert"),
        (transformers.BertConfig, {"hidden_act": "mish"}, "activation 'mish'"),
        (transformers.GPT2Config, {"scale_attn_by_inverse_layer_idx": True}, "_inverse_layer_idx=True"),
        (transformers.GPT2Config, {"add_cross_attention": True}, "add_cross_attention=True"),
        (transformers.BartConfig, {"encoder_ffn_dim": 8}, "encoder_ffn_dim=8 is not supp.*only 4096"),
        (transformers.BartConfig, {"encoder_layerdrop": 0.1}, "encoder_layerdrop=0.1"),
        (transformers.DistilBertConfig, {}, "model_type must be 'bert', 'roberta', 'gpt2', .* got 'distilbert'"),
    ],
)
def test_what_we_cannot_compute_is_refused(make, changes, message):
    with pytest.raises(ValueError, match=message):
        config_from_transformers(make(**changes))


def test_a_state_dict_needs_its_configuration(unchecked):
    with pytest.raises(ValueError, match="hf_config must be given with a state dict"):
        load_transformers({})
    with pytest.raises(ValueError, match="hf_config.model_type must be 'bert', .* or 't5', got None"):
        config_from_transformers({})
    with pytest.raises(ValueError, match="hf_config has no 'vocab_size': it is no whole bert configuration"):
        config_from_transformers({"model_type": "bert"})


def test_the_default_configurations_have_the_published_counts():
    assert count_parameters(config_from_transformers(transformers.BertConfig())) == 109_482_240
    assert count_parameters(config_from_transformers(transformers.GPT2Config())) == 124_439_808
    assert count_parameters(config_from_transformers(transformers.T5Config())) == 60_506_624  # T5-small
