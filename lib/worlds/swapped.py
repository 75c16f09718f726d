"""A small task for fine-tuning on real text: two neighbouring tokens have been swapped; which?

Windows of 16 tokens from Wikipedia, read by the shipped BERT (`bert-wiki-small`), whose hidden states a head scores.
Each of 15 pairs may be the swapped one, so chance is 1/15. The articles of the three splits are different ones.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lib import checks
from lib.adapters import (
    LoraSettings,
    PromptTuning,
    RandomSubspace,
    count_trainable,
    freeze,
    freeze_layers,
    inject_bitfit,
    inject_bottleneck,
    inject_lora,
)
from lib.models import load_small, quantize_model
from lib.text import load_corpus
from lib.training.fit import FitSettings, fit

LENGTH = 16  # tokens of a window
PAIRS = LENGTH - 1
STEPS, WINDOWS = 80, 16  # of every run: updates, and windows of an update
HELD_OUT = 1000  # windows on which a run is measured
METHODS = ("head", "last layer", "full", "lora", "qlora", "bitfit", "bottleneck", "prompt", "subspace")


class Swapped(NamedTuple):
    """Windows and, for each, the first of its two swapped positions."""

    ids: Int[Tensor, "N T"]
    place: Int[Tensor, "N"]


class SwapFinder(nn.Module):
    """An encoder and a head of D numbers that scores each pair of neighbours: w · h at the first of the two.

    The head begins at zero: all pairs are equally likely.
    """

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Parameter(torch.zeros(width))

    def forward(self, ids: Int[Tensor, "N T"]) -> Float[Tensor, "N P"]:
        """Logits of the T - 1 pairs."""
        return self.encoder(ids)[:, :-1] @ self.head


@cache
def token_stream(split: str) -> Int[Tensor, "M"]:
    """All tokens of one split of Wikipedia, article after article.

    Raises ValueError for another split than train, validation and test.
    """
    documents = load_corpus("wikipedia").splits
    checks.one_of("split", split, documents)
    tokenizer = load_small("bert-wiki-small").tokenizer
    return torch.tensor([token for document in documents[split] for token in tokenizer.encode(document.text)])


def draw_swapped(split: str, count: int, generator: torch.Generator) -> Swapped:
    """`count` random windows of a split, in each of which two neighbours that differ are swapped.

    Raises ValueError for another split, or fewer than one window.
    """
    stream = token_stream(split)
    start = torch.randint(len(stream) - LENGTH, (checks.whole("count", count), 1), generator=generator)
    ids = stream[start + torch.arange(LENGTH)]
    differ = ids[:, 1:] != ids[:, :-1]
    place = torch.multinomial(differ.float(), 1, generator=generator)
    order = (
        torch.arange(LENGTH)
        .repeat(count, 1)
        .scatter_(1, torch.cat([place, place + 1], 1), torch.cat([place + 1, place], 1))
    )
    return Swapped(ids.gather(1, order), place[:, 0])


def swap_loss(model: nn.Module, batch: Swapped) -> Float[Tensor, ""]:
    """The cross-entropy of the swapped pair among all pairs, in nats per window."""
    return F.cross_entropy(model(batch.ids), batch.place)


def swap_accuracy(model: nn.Module, split: str = "test") -> float:
    """The share of HELD_OUT windows, always the same ones, whose swapped pair has the largest score."""
    batch = draw_swapped(split, HELD_OUT, torch.Generator().manual_seed(1))
    with torch.no_grad():
        guess = torch.cat([model(ids).argmax(dim=1) for ids in batch.ids.split(250)])
    return (guess == batch.place).float().mean().item()


def bigram_accuracy(split: str = "test") -> float:
    """What counting reaches on the same windows, without a network: the reference level of this task.

    P(b | a) is counted in all training tokens, smoothed with five tokens drawn from the unigram model; the answer is the
    pair whose swapping back makes the window likeliest.
    """
    tokens, vocabulary = token_stream("train"), load_small("bert-wiki-small").tokenizer.vocab_size
    unigram = torch.bincount(tokens, minlength=vocabulary).double()
    pairs = torch.bincount(tokens[:-1] * vocabulary + tokens[1:], minlength=vocabulary**2).view(vocabulary, vocabulary)
    smoothed = pairs + 5 * (unigram + 0.5) / unigram.sum()
    log_p = (smoothed / smoothed.sum(dim=1, keepdim=True)).log()
    batch = draw_swapped(split, HELD_OUT, torch.Generator().manual_seed(1))
    order = torch.arange(LENGTH).repeat(PAIRS, 1)
    first = torch.arange(PAIRS)
    order[first, first], order[first, first + 1] = first + 1, first
    undone = batch.ids[:, order]  # (N, P, T): each pair swapped back
    scores = log_p[undone[..., :-1], undone[..., 1:]].sum(dim=-1)
    return (scores.argmax(dim=1) == batch.place).double().mean().item()


def swap_finder(method: str, size: int = 0, targets: str = "", *, seed: int = 0) -> SwapFinder:
    """The shipped BERT with a fresh head, prepared so that what `method` trains, and the head, is trained.

    `size` is LoRA's and the bottleneck's rank, the prompt's length, or the dimension of the subspace; `targets` are
    the matrices of LoRA, "q+v" say; "qlora" is LoRA on the matrices in NF4. Raises ValueError for another method.
    """
    checks.one_of("method", method, METHODS)
    generator = torch.Generator().manual_seed(seed)
    encoder = load_small("bert-wiki-small").model.encoder
    if method == "qlora":
        encoder = quantize_model(encoder, scheme="nf4", group_size=64)
    low_rank = LoraSettings(rank=size, alpha=16, targets=tuple(targets.split("+"))) if "lora" in method else None
    change: dict[str, Callable[[], object]] = {
        "head": lambda: freeze(encoder),
        "last layer": lambda: freeze_layers(encoder, encoder.config.num_layers - 1),
        "full": lambda: None,
        "lora": lambda: inject_lora(encoder, low_rank, generator=generator),
        "qlora": lambda: inject_lora(encoder, low_rank, generator=generator),
        "bitfit": lambda: inject_bitfit(encoder),
        "bottleneck": lambda: inject_bottleneck(encoder, size, generator=generator),
        "prompt": lambda: PromptTuning(encoder, size, generator=generator),
        "subspace": lambda: RandomSubspace(encoder, size, generator=generator),
    }
    made = change[method]()
    return SwapFinder(made if isinstance(made, nn.Module) else encoder, encoder.config.d_model)


def train_swap_finder(model: nn.Module, learning_rate: float, seed: int, steps: int = STEPS) -> list[float]:
    """Train with AdamW on fresh windows; the loss of every update. All methods get the same windows."""
    settings = FitSettings(steps, learning_rate, warmup_steps=steps // 10, weight_decay=0.0, seed=seed)
    sample = lambda generator: draw_swapped("train", WINDOWS, generator)  # noqa: E731
    return fit(model, swap_loss, sample, settings, show_progress=False).loss


def trained_numbers(model: SwapFinder) -> int:
    """How many numbers are trained, the head not counted: it is trained by every method."""
    return count_trainable(model) - model.head.numel()
