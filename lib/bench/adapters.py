"""A LoRA training step at SmolLM2's shape, ours against peft's; and the size of int8 weights."""

import json
import sys
from collections.abc import Callable

import torch

from lib.bench.rows import BenchRow, memory_row, peak_of, speed_row, training_step

SHAPE = dict(vocab_size=49_152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
             num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=2048, tie_word_embeddings=True)  # fmt: skip
RANK, ALPHA = 8, 16
BATCH, LENGTH = 4, 64
REPEATS = 7


def rows(threads: int) -> list[BenchRow]:
    """Time, alternating within this process; peak memory, each in its own process; bytes of int8 weights."""
    torch.set_num_threads(threads)
    ours, theirs = our_step(), peft_step()
    name = f"SmolLM2's shape, LoRA step r={RANK} on q, v, B {BATCH}, T {LENGTH}"
    time = speed_row(f"{name}, ours / peft", ours, theirs, target=1.0, threads=threads, repeats=REPEATS)
    memory = memory_row(name, "lib.bench.adapters", "ours", "peft", target=1.0, threads=threads)
    return [time, memory, _int8_bytes(threads)]


def our_step() -> Callable[[], None]:
    """One update of LoRA factors on q and v of our own decoder."""
    from lib.adapters import LoraSettings, inject_lora
    from lib.models import Decoder, config_from_transformers
    from lib.objectives import autoregressive_loss

    model = Decoder(config_from_transformers(_config()), generator=torch.Generator().manual_seed(0))
    inject_lora(model, LoraSettings(rank=RANK, alpha=ALPHA, targets=("q", "v")))
    ids = _ids()
    return training_step(model, lambda: autoregressive_loss(model(ids), ids))


def peft_step() -> Callable[[], None]:
    """The same with transformers' Llama and peft."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    settings = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["q_proj", "v_proj"])
    model = get_peft_model(LlamaForCausalLM(_config()), settings)
    ids = _ids()
    return training_step(model, lambda: model(input_ids=ids, labels=ids).loss)


def _config():
    from transformers import LlamaConfig

    return LlamaConfig(**SHAPE)


def _ids() -> torch.Tensor:
    return torch.randint(SHAPE["vocab_size"], (BATCH, LENGTH), generator=torch.Generator().manual_seed(0))


def _int8_bytes(threads: int) -> BenchRow:
    """The matrices of the blocks in int8 with a scale per row, against fp32: a quarter, plus the scales."""
    from lib.models import Decoder, config_from_transformers, model_bytes, quantize_model

    model = Decoder(config_from_transformers(_config()), generator=torch.Generator().manual_seed(0))
    small = quantize_model(model, scheme="int8-channel")
    ours, theirs = (model_bytes(whole.stack.blocks) / 1e6 for whole in (small, model))
    name = "SmolLM2's blocks, int8 per row / fp32: bytes"
    return BenchRow(name, ours, theirs, 0.26, "MB", threads)


def _worker(side: str, threads: int) -> None:
    """Runs in the process of one side: print the peak memory of two steps as a line of JSON."""
    torch.set_num_threads(threads)
    step = {"ours": our_step, "peft": peft_step}[side]()
    print(json.dumps(peak_of(lambda: (step(), step()))))


if __name__ == "__main__":
    _worker(sys.argv[1], int(sys.argv[2]))
