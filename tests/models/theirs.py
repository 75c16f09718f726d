"""Tiny random models of transformers, for parity, and where a few of our matrices are found in each."""

import torch
import transformers

from tests.models.small import shaken

SIZES = dict(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24)


def made(model_class, config, width=0.2):
    """The same weights at every call, whatever was drawn before."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return shaken(model_class(config), width=width)


def bert(**changes):
    config = transformers.BertConfig(**SIZES | dict(max_position_embeddings=12) | changes)
    return made(transformers.BertModel, config)


def roberta(**changes):
    config = transformers.RobertaConfig(**SIZES | dict(max_position_embeddings=14) | changes)
    return made(transformers.RobertaModel, config)


def bert_mlm(**changes):
    config = transformers.BertConfig(**SIZES | dict(max_position_embeddings=12) | changes)
    return made(transformers.BertForMaskedLM, config)


def bert_for(task, **changes):
    config = transformers.BertConfig(**SIZES | dict(max_position_embeddings=12) | changes)
    return made(getattr(transformers, f"BertFor{task}"), config)


def roberta_mlm(**changes):
    config = transformers.RobertaConfig(**SIZES | dict(max_position_embeddings=14) | changes)
    return made(transformers.RobertaForMaskedLM, config)


def gpt2(**changes):
    sizes = dict(
        vocab_size=40, n_embd=16, n_layer=2, n_head=4, n_inner=24, n_positions=12, bos_token_id=0, eos_token_id=0
    )
    return made(transformers.GPT2LMHeadModel, transformers.GPT2Config(**sizes | changes))


def llama(**changes):
    sizes = SIZES | dict(num_key_value_heads=2, max_position_embeddings=12)
    return made(transformers.LlamaForCausalLM, transformers.LlamaConfig(**sizes | changes))


LLAMA3_ROPE = dict(
    rope_type="llama3",
    rope_theta=100.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=40,
)
"""With heads of 8 numbers: the first pair keeps its speed (6.4 turns in 40 tokens), the second (2.0) is mixed, two are slow."""


def llama_3_1(**changes):
    return llama(**dict(rope_parameters=LLAMA3_ROPE, head_dim=8, max_position_embeddings=80) | changes)


def mistral(**changes):
    sizes = SIZES | dict(num_key_value_heads=2, max_position_embeddings=12, head_dim=6)
    return made(transformers.MistralForCausalLM, transformers.MistralConfig(**sizes | changes))


def qwen2(**changes):
    sizes = SIZES | dict(num_key_value_heads=2, max_position_embeddings=12)
    return made(transformers.Qwen2ForCausalLM, transformers.Qwen2Config(**sizes | changes))


def bart(**changes):
    sizes = dict(
        vocab_size=40,
        d_model=16,
        encoder_layers=3,
        decoder_layers=2,
        max_position_embeddings=12,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
    )
    model = made(transformers.BartForConditionalGeneration, transformers.BartConfig(**sizes | changes))
    model.final_logits_bias.normal_(generator=torch.Generator().manual_seed(6))
    return model


def t5(**changes):
    sizes = dict(
        vocab_size=40,
        d_model=16,
        d_kv=6,
        d_ff=24,
        num_layers=3,
        num_decoder_layers=2,
        num_heads=4,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=6,
        initializer_factor=0.3,
    )  # logits of the order of 1, for which a tolerance of 1e-5 is fair
    return made(transformers.T5ForConditionalGeneration, transformers.T5Config(**sizes | changes), width=0.1)


def t5_v11():
    return t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False)


ENCODERS = {"bert": bert, "bert-relu": lambda: bert(hidden_act="relu"), "roberta": roberta}
DECODERS = {
    "gpt2": gpt2,
    "gpt2-unscaled": lambda: gpt2(scale_attn_weights=False),
    "llama": llama,
    "llama-one-kv-head": lambda: llama(num_key_value_heads=1),
    "llama-all-kv-heads": lambda: llama(num_key_value_heads=4),
    "llama-tied": lambda: llama(tie_word_embeddings=True),
    "llama-bias": lambda: llama(attention_bias=True, mlp_bias=True),
    "llama-theta": lambda: llama(rope_parameters={"rope_type": "default", "rope_theta": 50.0}, head_dim=6),
    "llama-eps": lambda: llama(rms_norm_eps=0.1),
    "llama-3.1": llama_3_1,
    "mistral": lambda: mistral(sliding_window=None),
    "mistral-window": lambda: mistral(sliding_window=3),
    "qwen2": qwen2,
    "qwen2-tied": lambda: qwen2(tie_word_embeddings=True),
    "qwen2-window": lambda: qwen2(use_sliding_window=True, sliding_window=3, max_window_layers=0),
}
SEQ2SEQ = {"bart": bart, "bart-scaled": lambda: bart(scale_embedding=True), "t5": t5, "t5-1.1": t5_v11}


def _stacked(prefix: str, *names: str) -> list[str]:
    return [prefix + name for name in names]


PLACES = {  # ours: theirs, stacked
    "bert": {
        "tokens": ["embeddings.word_embeddings"],
        "stack.blocks.1.attention.qkv": _stacked("encoder.layer.1.attention.self.", "query", "key", "value"),
        "stack.blocks.0.feed_forward.up": ["encoder.layer.0.intermediate.dense"],
        "stack.blocks.0.attention_norm": ["encoder.layer.0.attention.output.LayerNorm"],
    },
    "gpt2": {
        "tokens": ["transformer.wte"],
        "stack.blocks.1.attention.qkv": ["transformer.h.1.attn.c_attn"],
        "stack.blocks.0.feed_forward.up": ["transformer.h.0.mlp.c_fc"],
        "stack.norm": ["transformer.ln_f"],
    },
    "llama": {
        "tokens": ["model.embed_tokens"],
        "stack.blocks.1.attention.qkv": _stacked("model.layers.1.self_attn.", "q_proj", "k_proj", "v_proj"),
        "stack.blocks.0.feed_forward.up": _stacked("model.layers.0.mlp.", "gate_proj", "up_proj"),
        "stack.norm": ["model.norm"],
        "output": ["lm_head"],
    },
    "bart": {
        "tokens": ["model.shared"],
        "encoder.blocks.2.attention.qkv": _stacked("model.encoder.layers.2.self_attn.", "q_proj", "k_proj", "v_proj"),
        "encoder.blocks.0.feed_forward.down": ["model.encoder.layers.0.fc2"],
        "decoder.blocks.1.cross.kv": _stacked("model.decoder.layers.1.encoder_attn.", "k_proj", "v_proj"),
        "decoder.blocks.0.cross_norm": ["model.decoder.layers.0.encoder_attn_layer_norm"],
    },
    "t5": {
        "tokens": ["shared"],
        "encoder.relative.weight": ["encoder.block.0.layer.0.SelfAttention.relative_attention_bias"],
        "decoder.relative.weight": ["decoder.block.0.layer.0.SelfAttention.relative_attention_bias"],
        "encoder.blocks.2.attention.qkv": _stacked("encoder.block.2.layer.0.SelfAttention.", "q", "k", "v"),
        "decoder.blocks.1.cross.kv": _stacked("decoder.block.1.layer.1.EncDecAttention.", "k", "v"),
        "decoder.blocks.0.feed_forward.down": ["decoder.block.0.layer.2.DenseReluDense.wo"],
        "decoder.norm": ["decoder.final_layer_norm"],
    },
}
PLACES["roberta"] = PLACES["bert"]
PLACES["mistral"] = PLACES["qwen2"] = PLACES["llama"]
