"""Where each of our matrices is found in a `transformers` state dict: one table per family.

A table says `our module: (their modules, ...)`; several are laid on top of each other (query, key and value;
gate and up). "{i}" runs over the layers. A weight's bias travels with it where our model has one.
"""

Table = dict[str, tuple[str, ...]]

BERT: Table = {
    "tokens": ("embeddings.word_embeddings",),
    "inputs.positions": ("embeddings.position_embeddings",),
    "inputs.types": ("embeddings.token_type_embeddings",),
    "inputs.norm": ("embeddings.LayerNorm",),
    "stack.blocks.{i}.attention.qkv": (
        "encoder.layer.{i}.attention.self.query",
        "encoder.layer.{i}.attention.self.key",
        "encoder.layer.{i}.attention.self.value",
    ),
    "stack.blocks.{i}.attention.output": ("encoder.layer.{i}.attention.output.dense",),
    "stack.blocks.{i}.attention_norm": ("encoder.layer.{i}.attention.output.LayerNorm",),
    "stack.blocks.{i}.feed_forward.up": ("encoder.layer.{i}.intermediate.dense",),
    "stack.blocks.{i}.feed_forward.down": ("encoder.layer.{i}.output.dense",),
    "stack.blocks.{i}.feed_forward_norm": ("encoder.layer.{i}.output.LayerNorm",),
    "pooler": ("pooler.dense",),
}

MLM_HEAD: dict[str, Table] = {
    "bert": {
        "head.dense": ("cls.predictions.transform.dense",),
        "head.norm": ("cls.predictions.transform.LayerNorm",),
        "head": ("cls.predictions",),
    },
    "roberta": {"head.dense": ("lm_head.dense",), "head.norm": ("lm_head.layer_norm",), "head": ("lm_head",)},
}

GPT2: Table = {
    "tokens": ("wte",),
    "inputs.positions": ("wpe",),
    "stack.blocks.{i}.attention.qkv": ("h.{i}.attn.c_attn",),
    "stack.blocks.{i}.attention.output": ("h.{i}.attn.c_proj",),
    "stack.blocks.{i}.attention_norm": ("h.{i}.ln_1",),
    "stack.blocks.{i}.feed_forward.up": ("h.{i}.mlp.c_fc",),
    "stack.blocks.{i}.feed_forward.down": ("h.{i}.mlp.c_proj",),
    "stack.blocks.{i}.feed_forward_norm": ("h.{i}.ln_2",),
    "stack.norm": ("ln_f",),
    "output": ("lm_head",),
}

LLAMA: Table = {
    "tokens": ("embed_tokens",),
    "stack.blocks.{i}.attention.qkv": (
        "layers.{i}.self_attn.q_proj",
        "layers.{i}.self_attn.k_proj",
        "layers.{i}.self_attn.v_proj",
    ),
    "stack.blocks.{i}.attention.output": ("layers.{i}.self_attn.o_proj",),
    "stack.blocks.{i}.attention_norm": ("layers.{i}.input_layernorm",),
    "stack.blocks.{i}.feed_forward.up": ("layers.{i}.mlp.gate_proj", "layers.{i}.mlp.up_proj"),
    "stack.blocks.{i}.feed_forward.down": ("layers.{i}.mlp.down_proj",),
    "stack.blocks.{i}.feed_forward_norm": ("layers.{i}.post_attention_layernorm",),
    "stack.norm": ("norm",),
    "output": ("lm_head",),
}


def _bart_side(side: str) -> Table:
    theirs, ours = f"{side}.layers.{{i}}", f"{side}.blocks.{{i}}"
    return {
        f"{side}_inputs.positions": (f"{side}.embed_positions",),
        f"{side}_inputs.norm": (f"{side}.layernorm_embedding",),
        f"{ours}.attention.qkv": tuple(f"{theirs}.self_attn.{part}_proj" for part in "qkv"),
        f"{ours}.attention.output": (f"{theirs}.self_attn.out_proj",),
        f"{ours}.attention_norm": (f"{theirs}.self_attn_layer_norm",),
        f"{ours}.feed_forward.up": (f"{theirs}.fc1",),
        f"{ours}.feed_forward.down": (f"{theirs}.fc2",),
        f"{ours}.feed_forward_norm": (f"{theirs}.final_layer_norm",),
    }


BART: Table = {
    "tokens": ("shared",),
    **_bart_side("encoder"),
    **_bart_side("decoder"),
    "decoder.blocks.{i}.cross.query": ("decoder.layers.{i}.encoder_attn.q_proj",),
    "decoder.blocks.{i}.cross.kv": (
        "decoder.layers.{i}.encoder_attn.k_proj",
        "decoder.layers.{i}.encoder_attn.v_proj",
    ),
    "decoder.blocks.{i}.cross.output": ("decoder.layers.{i}.encoder_attn.out_proj",),
    "decoder.blocks.{i}.cross_norm": ("decoder.layers.{i}.encoder_attn_layer_norm",),
}


def _t5_side(side: str, feed_forward: int, gated: bool) -> Table:
    theirs, ours = f"{side}.block.{{i}}.layer", f"{side}.blocks.{{i}}"
    up = ("wi_0", "wi_1") if gated else ("wi",)
    return {
        f"{side}.relative.weight": (f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias",),
        f"{ours}.attention.qkv": tuple(f"{theirs}.0.SelfAttention.{part}" for part in "qkv"),
        f"{ours}.attention.output": (f"{theirs}.0.SelfAttention.o",),
        f"{ours}.attention_norm": (f"{theirs}.0.layer_norm",),
        f"{ours}.feed_forward.up": tuple(f"{theirs}.{feed_forward}.DenseReluDense.{part}" for part in up),
        f"{ours}.feed_forward.down": (f"{theirs}.{feed_forward}.DenseReluDense.wo",),
        f"{ours}.feed_forward_norm": (f"{theirs}.{feed_forward}.layer_norm",),
        f"{side}.norm": (f"{side}.final_layer_norm",),
    }


def t5(gated: bool) -> Table:
    """T5 1.0 has one matrix into its feed-forward layer, T5 1.1 two."""
    cross = "decoder.block.{i}.layer.1.EncDecAttention"
    return {
        "tokens": ("shared",),
        **_t5_side("encoder", 1, gated),
        **_t5_side("decoder", 2, gated),
        "decoder.blocks.{i}.cross.query": (f"{cross}.q",),
        "decoder.blocks.{i}.cross.kv": (f"{cross}.k", f"{cross}.v"),
        "decoder.blocks.{i}.cross.output": (f"{cross}.o",),
        "decoder.blocks.{i}.cross_norm": ("decoder.block.{i}.layer.1.layer_norm",),
        "output": ("lm_head",),
    }


def t5_encoder(gated: bool) -> Table:
    """A T5 without its decoder, in an `Encoder`."""
    sides = {f"stack{ours.removeprefix('encoder')}": theirs for ours, theirs in _t5_side("encoder", 1, gated).items()}
    return {"tokens": ("shared",), **sides}


PREFIX = {
    "bert": "bert.",
    "roberta": "roberta.",
    "gpt2": "transformer.",
    "llama": "model.",
    "mistral": "model.",
    "qwen2": "model.",
    "bart": "model.",
    "t5": "",
}
"""What the class with a head puts before the names of its backbone."""

COPIES = {
    "bert": {
        "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    "roberta": {"lm_head.decoder.weight": "embeddings.word_embeddings.weight", "lm_head.decoder.bias": "lm_head.bias"},
    "gpt2": {"lm_head.weight": "wte.weight"},
    "llama": {"lm_head.weight": "embed_tokens.weight"},
    "mistral": {"lm_head.weight": "embed_tokens.weight"},
    "qwen2": {"lm_head.weight": "embed_tokens.weight"},
    "bart": {
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
        "lm_head.weight": "shared.weight",
    },
    "t5": {
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
        "lm_head.weight": "shared.weight",
    },
}
"""Second names of one matrix in a tied model: they may be there, also alone, and then must hold the same numbers."""

CONSTANTS = (
    r"embeddings\.position_ids",
    r"h\.\d+\.attn\.(bias|masked_bias)",
    r".*rotary_emb\.inv_freq",
    r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
    r"pooler\.dense\.(weight|bias)",  # under a head that does not read it; a bare encoder takes it
)
"""Keys of older checkpoints that hold no trained number, or one that their model never read."""
