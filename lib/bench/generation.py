"""Decoding with SmolLM2, one prompt, greedily: ours against transformers and, where it is installed, CTranslate2.

All of them have the same weights and write the same tokens; every run of one is followed by a run of each other. In
CTranslate2's int8, and ours, weights are rounded once and activations as they come.
"""

import math
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from lib.bench.rows import BenchRow, interleaved
from lib.errors import CourseError
from lib.evaluation import perplexity
from lib.generation import generate
from lib.models import Decoder, load_smollm2, model_bytes, quantize_model
from lib.text import load_corpus, smollm2_tokenizer

PROMPT, NEW_TOKENS = 32, 64
TEXTS, LENGTH = 10, 128  # on which perplexity is measured
REPEATS = 3
ALIKE = 8  # first tokens that must be the same in fp32; later ones may part at a near tie
Write = Callable[[], list[int]]


def rows(threads: int) -> list[BenchRow]:
    """Times of fp32 and int8, bytes and perplexity. Raises CourseError if two of them do not write the same in fp32."""
    torch.set_num_threads(threads)
    model = load_smollm2()
    int8 = quantize_model(model, scheme="int8-dynamic", output=True)
    prompt, texts = _texts()
    peer = transformers_model(model)
    writers: dict[str, Write] = {
        "ours, fp32": lambda: _ours(model, prompt),
        "ours, int8": lambda: _ours(int8, prompt),
        "transformers": lambda: _theirs(peer, prompt),
    }
    if find_spec("ctranslate2") is not None:
        writers |= {f"CTranslate2, {name}": _ctranslate2(model, prompt, name, threads) for name in ("fp32", "int8")}
    check_alike({name: write() for name, write in writers.items() if "int8" not in name})
    times = interleaved(writers, REPEATS)
    what = f"SmolLM2, {NEW_TOKENS} tokens after {PROMPT}"
    found = [
        BenchRow(f"{what}: {ours} / {theirs}", times[ours], times.get(theirs, math.nan), target, "ms", threads)
        for ours, theirs, target in (
            ("ours, fp32", "transformers", 1.2), ("ours, fp32", "CTranslate2, fp32", 0.95),
            ("ours, int8", "ours, fp32", 2.0), ("ours, int8", "CTranslate2, int8", 1.0),
        )
    ]  # fmt: skip
    sizes = [held_bytes(int8) / 1e6, held_bytes(model) / 1e6]
    levels = [perplexity(each, texts) for each in (int8, model)]
    return [
        *found,
        BenchRow("SmolLM2, int8 (with the packed copy) / fp32: weights", *sizes, 0.52, "MB", threads),
        BenchRow(f"SmolLM2, int8 / fp32, {texts.numel():,} tokens", *levels, 1.01, "perplexity", threads),
    ]


def transformers_model(model: Decoder) -> nn.Module:
    """A Llama of transformers with the weights of ours: the matrices of ours that hold several of theirs are cut up."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = model.config
    theirs = LlamaForCausalLM(LlamaConfig(
        vocab_size=config.vocab_size, hidden_size=config.d_model, intermediate_size=config.d_ff,
        num_hidden_layers=config.num_layers, num_attention_heads=config.num_heads,
        num_key_value_heads=config.kv_heads, max_position_embeddings=config.max_positions, rms_norm_eps=config.norm_eps,
        rope_theta=config.rope_theta, tie_word_embeddings=True, eos_token_id=None,
    ))  # fmt: skip
    ours = model.state_dict()
    state: dict[str, Tensor] = {}
    state["model.embed_tokens.weight"] = state["lm_head.weight"] = ours["tokens.weight"]
    state["model.norm.weight"] = ours["stack.norm.weight"]
    blocks: list[Any] = list(model.stack.blocks)
    for i, block in enumerate(blocks):
        layer, attention = f"model.layers.{i}.", block.attention
        state[layer + "input_layernorm.weight"] = block.attention_norm.weight
        state[layer + "post_attention_layernorm.weight"] = block.feed_forward_norm.weight
        for name, part in zip("qkv", attention.qkv.weight.split(attention.sizes)):
            state[f"{layer}self_attn.{name}_proj.weight"] = part
        state[layer + "self_attn.o_proj.weight"] = attention.output.weight
        gate, up = block.feed_forward.up.weight.chunk(2)
        state[layer + "mlp.gate_proj.weight"], state[layer + "mlp.up_proj.weight"] = gate, up
        state[layer + "mlp.down_proj.weight"] = block.feed_forward.down.weight
    theirs.load_state_dict(state)
    return theirs.eval()


def check_alike(written: dict[str, list[int]]) -> None:
    """Raise CourseError unless all wrote `NEW_TOKENS` tokens that begin alike."""
    first, *others = written
    for name, ids in written.items():
        if len(ids) != NEW_TOKENS or ids[:ALIKE] != written[first][:ALIKE]:
            raise CourseError(f"{name} writes {ids[:ALIKE]} … ({len(ids)} tokens), {first} {written[first][:ALIKE]} …")


def held_bytes(model: nn.Module) -> int:
    """Bytes of a model's numbers, with the packed copies of its 8-bit matrices, which are as large as the matrices."""
    packed: list[Any] = [m for m in model.modules() if getattr(m, "compute", None) == "dynamic"]
    return model_bytes(model) + sum(m.values.numel() for m in packed)


def _texts() -> tuple[Tensor, Tensor]:
    """The prompt, and the beginnings of articles on which perplexity is measured."""
    encoded = (smollm2_tokenizer().encode(text.text)[:LENGTH] for text in load_corpus("wikipedia").splits["test"])
    texts = torch.tensor([ids for ids in encoded if len(ids) == LENGTH][:TEXTS])
    return texts[:1, :PROMPT], texts


def _ours(model: Decoder, prompt: Tensor) -> list[int]:
    return generate(model, prompt, NEW_TOKENS)[0, PROMPT:].tolist()


def _theirs(model: Any, prompt: Tensor) -> list[int]:
    mask = torch.ones_like(prompt)
    ids = model.generate(
        prompt,
        attention_mask=mask,
        max_new_tokens=NEW_TOKENS,
        min_new_tokens=NEW_TOKENS,
        do_sample=False,
        pad_token_id=0,
    )
    return ids[0, PROMPT:].tolist()


class _Ids:
    """What CTranslate2's converter asks a tokenizer: here a token's name is its id."""

    bos_token, eos_token, unk_token = "0", "1", "2"

    def __init__(self, size: int) -> None:
        self.size = size

    def get_vocab(self) -> dict[str, int]:
        return {str(i): i for i in range(self.size)}


def _ctranslate2(model: Decoder, prompt: Tensor, kind: str, threads: int) -> Write:
    """Greedy decoding by CTranslate2 with the weights of ours, by way of a Llama of transformers that it takes apart."""
    import ctranslate2
    from ctranslate2.converters.transformers import LlamaLoader

    spec = LlamaLoader()(transformers_model(model), _Ids(model.config.vocab_size))
    spec.validate()
    spec.optimize(quantization=None if kind == "fp32" else kind)
    with tempfile.TemporaryDirectory(prefix="course-bench-") as folder:
        spec.save(folder)
        precision = "float32" if kind == "fp32" else "int8_float32"
        generator = ctranslate2.Generator(folder, compute_type=precision, intra_threads=threads, inter_threads=1)
    tokens = [str(i) for i in prompt[0].tolist()]

    def write() -> list[int]:
        (result,) = generator.generate_batch(
            [tokens], max_length=NEW_TOKENS, min_length=NEW_TOKENS, include_prompt_in_result=False, sampling_topk=1,
        )  # fmt: skip
        return result.sequences_ids[0]

    return write
