"""Tiny random models of transformers, and ours with their weights: equal outputs, gradients, cached steps.

Noise is put on every parameter first: with fresh weights (norms 1, biases 0) many a swapped matrix would go unseen.
"""

import pytest
import torch
import transformers

from lib.models import KVCache
from lib.models.pretrained import config_from_transformers, load_transformers
from tests.models import small

IDS = small.some_ids()
TARGET = small.some_ids(length=8, seed=2)
SIDES = {"full": torch.ones_like(small.RIGHT), "right": small.RIGHT, "left": small.LEFT}
SIZES = dict(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24)


def bert(**changes):
    config = transformers.BertConfig(**SIZES | dict(max_position_embeddings=12) | changes)
    return small.shaken(transformers.BertModel(config))


def roberta(**changes):
    config = transformers.RobertaConfig(**SIZES | dict(max_position_embeddings=14) | changes)
    return small.shaken(transformers.RobertaModel(config))


def gpt2(**changes):
    sizes = dict(vocab_size=40, n_embd=16, n_layer=2, n_head=4, n_inner=24, n_positions=12, bos_token_id=0,
                 eos_token_id=0)
    return small.shaken(transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes | changes)))


def llama(**changes):
    config = transformers.LlamaConfig(**SIZES | dict(num_key_value_heads=2, max_position_embeddings=12) | changes)
    return small.shaken(transformers.LlamaForCausalLM(config))


def bart(**changes):
    sizes = dict(vocab_size=40, d_model=16, encoder_layers=3, decoder_layers=2, encoder_attention_heads=4,
                 decoder_attention_heads=4, encoder_ffn_dim=24, decoder_ffn_dim=24, max_position_embeddings=12)
    model = small.shaken(transformers.BartForConditionalGeneration(transformers.BartConfig(**sizes | changes)))
    model.final_logits_bias.normal_(generator=torch.Generator().manual_seed(6))
    return model


def t5(**changes):
    sizes = dict(vocab_size=40, d_model=16, d_kv=6, d_ff=24, num_layers=3, num_decoder_layers=2, num_heads=4,
                 relative_attention_num_buckets=8, relative_attention_max_distance=6)
    return small.shaken(transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes | changes)), width=0.1)


def t5_v11():
    return t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False)


ENCODERS = {"bert": bert, "bert-relu": lambda: bert(hidden_act="relu"), "roberta": roberta}
DECODERS = {
    "gpt2": gpt2, "gpt2-unscaled": lambda: gpt2(scale_attn_weights=False), "llama": llama,
    "llama-one-kv-head": lambda: llama(num_key_value_heads=1), "llama-all-kv-heads": lambda: llama(num_key_value_heads=4),
    "llama-tied": lambda: llama(tie_word_embeddings=True), "llama-bias": lambda: llama(attention_bias=True, mlp_bias=True),
    "llama-theta": lambda: llama(rope_parameters={"rope_type": "default", "rope_theta": 50.0}, head_dim=6),
}
SEQ2SEQ = {"bart": bart, "bart-scaled": lambda: bart(scale_embedding=True), "t5": t5, "t5-1.1": t5_v11}
GRADIENTS = {  # ours: theirs (stacked; transposed where Conv1D)
    "bert": {"tokens": ["embeddings.word_embeddings"],
             "stack.blocks.1.attention.qkv": [f"encoder.layer.1.attention.self.{n}" for n in ("query", "key", "value")],
             "stack.blocks.0.feed_forward.up": ["encoder.layer.0.intermediate.dense"],
             "stack.blocks.0.attention_norm": ["encoder.layer.0.attention.output.LayerNorm"]},
    "gpt2": {"tokens": ["transformer.wte"], "stack.blocks.1.attention.qkv": ["transformer.h.1.attn.c_attn"],
             "stack.blocks.0.feed_forward.up": ["transformer.h.0.mlp.c_fc"], "stack.norm": ["transformer.ln_f"]},
    "llama": {"tokens": ["model.embed_tokens"], "stack.norm": ["model.norm"], "output": ["lm_head"],
              "stack.blocks.1.attention.qkv": [f"model.layers.1.self_attn.{n}_proj" for n in "qkv"],
              "stack.blocks.0.feed_forward.up": ["model.layers.0.mlp.gate_proj", "model.layers.0.mlp.up_proj"]},
    "bart": {"tokens": ["model.shared"], "decoder.blocks.0.cross_norm": ["model.decoder.layers.0.encoder_attn_layer_norm"],
             "decoder.blocks.1.cross.kv": [f"model.decoder.layers.1.encoder_attn.{n}_proj" for n in "kv"],
             "encoder.blocks.2.attention.qkv": [f"model.encoder.layers.2.self_attn.{n}_proj" for n in "qkv"],
             "encoder.blocks.0.feed_forward.down": ["model.encoder.layers.0.fc2"]},
    "t5": {"tokens": ["shared"], "decoder.norm": ["decoder.final_layer_norm"],
           "encoder.relative.weight": ["encoder.block.0.layer.0.SelfAttention.relative_attention_bias"],
           "decoder.relative.weight": ["decoder.block.0.layer.0.SelfAttention.relative_attention_bias"],
           "decoder.blocks.1.cross.kv": [f"decoder.block.1.layer.1.EncDecAttention.{n}" for n in "kv"],
           "encoder.blocks.2.attention.qkv": [f"encoder.block.2.layer.0.SelfAttention.{n}" for n in "qkv"],
           "decoder.blocks.0.feed_forward.down": ["decoder.block.0.layer.2.DenseReluDense.wo"]},
}
GRADIENTS["roberta"] = GRADIENTS["bert"]


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


CASES = [(name, make, pair) for group, pair in
         ((ENCODERS, hidden_pair), (DECODERS, logits_pair), (SEQ2SEQ, seq2seq_pair)) for name, make in group.items()]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name, make, pair", CASES, ids=[case[0] for case in CASES])
def test_outputs_and_gradients_are_those_of_transformers(name, make, pair, side):
    theirs, mask = make(), SIDES[side]
    ours = load_transformers(theirs)
    expected, got = pair(theirs, ours, mask)
    expected, got = expected[mask.bool()], got[mask.bool()]
    assert expected.abs().max() > 0.5  # else the tolerance would say nothing
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(9)) / expected.numel() ** 0.5
    for out in (expected, got):
        (out * weight).sum().backward()
    compare_gradients(ours, theirs)


def compare_gradients(ours, theirs):
    family = theirs.config.model_type
    for name, sources in GRADIENTS[family].items():
        if name == "output" and ours.output is None:
            continue
        module = ours.get_submodule(name)
        for kind in ("weight", "bias"):
            if getattr(module, kind, None) is None:
                continue
            parts = [theirs.get_submodule(source).get_parameter(kind).grad for source in sources]
            parts = [p.T if family == "gpt2" and "h." in sources[0] and p.ndim == 2 else p for p in parts]
            grad = getattr(module, kind).grad
            assert grad.abs().max() > 1e-3
            torch.testing.assert_close(grad, torch.cat(parts), atol=1e-4, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


@torch.no_grad()
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("make", DECODERS.values(), ids=DECODERS)
def test_cached_steps_are_those_of_transformers(make, side):
    theirs, mask = make(), SIDES[side]
    if side == "right":
        mask = torch.ones_like(mask).index_fill(1, torch.tensor([4]), 0)  # a prompt padded on the right, then more
    ours, cache, past = load_transformers(theirs), KVCache(capacity=2), transformers.DynamicCache()
    for start, end in ((0, 5), (5, 6), (6, 7), (7, 8)):
        expected = theirs(IDS[:, start:end], attention_mask=mask[:, :end], past_key_values=past, use_cache=True,
                          position_ids=positions(mask[:, :end])[:, start:]).logits
        got = ours(IDS[:, start:end], mask[:, :end], cache)
        real = mask[:, start:end].bool()
        torch.testing.assert_close(got[real], expected[real], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("make", SEQ2SEQ.values(), ids=SEQ2SEQ)
def test_cached_seq2seq_steps_are_those_of_transformers(make):
    theirs = make()
    ours, cache, past = load_transformers(theirs), KVCache(capacity=2), None
    for start, end in ((0, 3), (3, 4), (4, 6)):
        out = theirs(input_ids=IDS, attention_mask=small.RIGHT, decoder_input_ids=TARGET[:, start:end],
                     past_key_values=past, use_cache=True)
        past = out.past_key_values
        got = ours(IDS, TARGET[:, start:end], small.RIGHT, cache=cache)
        torch.testing.assert_close(got, out.logits, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_pooler_comes_along_or_is_absent():
    theirs = bert()
    ours = load_transformers(theirs)
    torch.testing.assert_close(ours.pool(ours(IDS)), theirs(IDS).pooler_output)
    bare = load_transformers({k: v for k, v in theirs.state_dict().items() if "pooler" not in k}, theirs.config)
    assert bare.pooler is None
    torch.testing.assert_close(bare(IDS), theirs(IDS).last_hidden_state)


@torch.no_grad()
def test_backbones_without_a_head_load_too():
    theirs = gpt2()
    ours = load_transformers(theirs.transformer)
    torch.testing.assert_close(ours.hidden(IDS), theirs.transformer(IDS)[0], atol=1e-5, rtol=0)
    theirs = bart()
    torch.testing.assert_close(load_transformers(theirs.model).hidden(IDS, TARGET),
                               theirs.model(input_ids=IDS, decoder_input_ids=TARGET)[0], atol=1e-5, rtol=0)


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


@pytest.mark.parametrize("change, message", [
    (lambda s: s.pop("transformer.h.1.ln_2.bias"), r"gpt2 configuration: missing h\.1\.ln_2\.bias$"),
    (lambda s: s.update({"transformer.h.2.ln_2.bias": torch.zeros(16)}), r"unexpected h\.2\.ln_2\.bias$"),
    (lambda s: s.update({"transformer.wpe.weight": torch.zeros(11, 16)}),
     r"misshapen wpe\.weight \(11, 16\): expected \(12, 16\) in all$"),
    (lambda s: s.update({"transformer.h.0.attn.c_attn.weight": torch.zeros(48, 16)}), r"misshapen h\.0\.attn\.c_attn"),
    (lambda s: s.update({"lm_head.weight": torch.zeros(40, 16)}), "lm_head.weight differs from wte.weight, though"),
])
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
    with pytest.raises(ValueError, match=r"k_proj.weight \(8, 17\), layers.0.self_attn.v_proj.weight \(8, 16\): expected"):
        load_transformers(state, theirs.config)
    with pytest.raises(ValueError, match=r"missing .*; and \d+ more$"):
        load_transformers({}, theirs.config)


def test_constants_of_older_checkpoints_are_no_surprise():
    theirs = gpt2()
    old = {"transformer.h.0.attn.bias": torch.ones(1, 1, 12, 12), "transformer.h.1.attn.masked_bias": torch.tensor(-1e4)}
    load_transformers({**theirs.state_dict(), **old}, theirs.config)


@pytest.mark.parametrize("make, changes, message", [
    (transformers.LlamaConfig, {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}, "rope_par"),
    (transformers.LlamaConfig, {"hidden_act": "tanh"}, "activation 'tanh' is not supported"),
    (transformers.LlamaConfig, {"attention_bias": True}, "mlp_bias=False is not supported for llama: only True"),
    (transformers.BertConfig, {"position_embedding_type": "relative_key"}, "position_embedding_type='relative_key'"),
    (transformers.BertConfig, {"is_decoder": True}, "is_decoder=True is not supported for bert"),
    (transformers.BertConfig, {"hidden_act": "mish"}, "activation 'mish'"),
    (transformers.GPT2Config, {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
    (transformers.GPT2Config, {"add_cross_attention": True}, "add_cross_attention=True"),
    (transformers.BartConfig, {"encoder_ffn_dim": 8}, "encoder_ffn_dim=8 is not supported for bart: only 4096"),
    (transformers.BartConfig, {"encoder_layerdrop": 0.1}, "encoder_layerdrop=0.1"),
    (transformers.DistilBertConfig, {}, "model_type must be one of bert, roberta, gpt2.*got 'distilbert'"),
])
def test_what_we_cannot_compute_is_refused(make, changes, message):
    with pytest.raises(ValueError, match=message):
        config_from_transformers(make(**changes))


def test_a_state_dict_needs_its_configuration(unchecked):
    with pytest.raises(ValueError, match="hf_config must be given with a state dict"):
        load_transformers({})
    with pytest.raises(ValueError, match="hf_config.model_type must be one of"):
        config_from_transformers({"model_type": "bert"})


def test_the_default_configurations_have_the_published_counts():
    from lib.models import count_parameters
    assert count_parameters(config_from_transformers(transformers.BertConfig())) == 109_482_240
    assert count_parameters(config_from_transformers(transformers.GPT2Config())) == 124_439_808
    assert count_parameters(config_from_transformers(transformers.T5Config())) == 60_506_624  # T5-small
