"""A training step and greedy generation at GPT-2 small's shape: ours against transformers, with the same weights."""

from collections.abc import Callable

import torch
from torch import nn

from lib.bench.rows import BenchRow, speed_row, training_step
from lib.generation import generate
from lib.models import load_transformers
from lib.objectives import autoregressive_loss

SHAPE = dict(n_layer=12, n_embd=768, n_head=12, vocab_size=50_257)  # GPT-2 small
BATCH, LENGTH = 2, 256  # of the training step
PROMPT, NEW_TOKENS = 32, 64
REPEATS = 7


def rows(threads: int) -> list[BenchRow]:
    """Two comparisons with random weights, as the values do not affect the time."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    without_dropout = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    theirs = GPT2LMHeadModel(GPT2Config(**SHAPE, **without_dropout)).eval()
    ours = load_transformers(theirs)
    return [_generation(ours, theirs, threads), _training(ours, theirs, threads)]


def _generation(ours: nn.Module, theirs: nn.Module, threads: int) -> BenchRow:
    """One prompt, continued greedily with a cache."""
    prompt = torch.randint(ours.config.vocab_size, (1, PROMPT))

    def write() -> torch.Tensor:
        return generate(ours, prompt, NEW_TOKENS)

    def they_write() -> torch.Tensor:
        return theirs.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,  # a random model may draw its end-of-sequence token
            do_sample=False,
            pad_token_id=0,
        )

    return _row(f"greedy generation, {NEW_TOKENS} tokens after {PROMPT}", write, they_write, 1.2, threads)


def _training(ours: nn.Module, theirs: nn.Module, threads: int) -> BenchRow:
    """Forward pass, loss, backward pass and an AdamW step, with the same optimiser on both sides."""
    ids = torch.randint(ours.config.vocab_size, (BATCH, LENGTH))
    step = training_step(ours, lambda: autoregressive_loss(ours(ids), ids))
    their_step = training_step(theirs, lambda: theirs(ids, labels=ids).loss)
    return _row(f"training step, B {BATCH}, T {LENGTH}", step, their_step, 1.0, threads)


def _row(name: str, ours: Callable, theirs: Callable, target: float, threads: int) -> BenchRow:
    return speed_row(f"GPT-2 small, {name}", ours, theirs, target=target, threads=threads, repeats=REPEATS)
