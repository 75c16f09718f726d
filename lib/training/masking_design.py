"""Masking, one choice at a time: how much is corrupted, how much is predicted, and what stands at the chosen places.

BERT's masking rate sets two things at once: how much context is gone, and how many predictions a window gives. Wettig et
al. 2023 (section 4) separate them, and so do the runs here; `course train masking-design` makes them.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor, nn

from lib import checks
from lib.text import MaskedBatch, Tokenizer, mask_tokens, sample_windows
from lib.training.fit import fit
from lib.training.recipes import MASKING_RATE, Recipe, build, fixed_loss, masked_loss, token_stream
from lib.training.tokens import predicted_tokens

IGNORED = -100


@dataclass(frozen=True)
class Design:
    """What one run does to its windows."""

    corrupted: float  # share of the tokens of a window that is hidden or changed
    predicted: float  # share of the tokens that has a label; 1 gives one to every token, hidden or not
    split: tuple[float, float, float] = (1.0, 0.0, 0.0)  # of the corrupted: [MASK], random, kept


DESIGNS = {
    "15 / 15": Design(0.15, 0.15),
    "40 / 40": Design(0.40, 0.40),
    "40 / 15": Design(0.40, 0.15),
    "13 / 40": Design(0.40 / 3, 0.40),
    "80/10/10": Design(0.15, 0.15, (0.8, 0.1, 0.1)),
    "80/0/20": Design(0.15, 0.15, (0.8, 0.0, 0.2)),
    "80/20/0": Design(0.15, 0.15, (0.8, 0.2, 0.0)),
    "labels everywhere": Design(0.15, 1.0, (0.8, 0.1, 0.1)),
}
"""The runs of data/experiments/masking_design.csv: four rates with nothing but [MASK], three splits at BERT's rate, and
BERT's own corruption with a label at every token."""

FATES = {"loss_masked": (1.0, 0.0, 0.0), "loss_random": (0.0, 1.0, 0.0), "loss_kept": (0.0, 0.0, 1.0)}
"""The questions that all runs are asked: 15 % of the tokens, hidden, or replaced by random ones, or left to be read."""


def designed_batch(
    windows: Int[Tensor, "B T"], design: Design, tokenizer: Tokenizer, *, generator: torch.Generator | None = None
) -> MaskedBatch:
    """The windows, corrupted and labelled as `design` says.

    * Fewer predicted than corrupted: a random part of the labels is dropped.
    * More predicted than corrupted: each window comes in several copies, and every copy hides other tokens, so that
      together they hide the predicted share. (A token that can be read in a copy has no label there.) The result has
      B times predicted / corrupted rows.
    * All predicted: one copy, in which every token has its label, special ones too.

    Raises ValueError where more is predicted than corrupted, but not all, and the ratio is no whole number.
    """
    if design.predicted == 1 > design.corrupted:
        hidden = designed_batch(windows, replace(design, predicted=design.corrupted), tokenizer, generator=generator)
        return MaskedBatch(hidden.input_ids, windows.clone())
    copies = max(1, round(design.predicted / design.corrupted))
    if design.predicted > design.corrupted and abs(copies * design.corrupted - design.predicted) > 1e-9:
        raise ValueError(f"predicted must be a multiple of corrupted, or less, got {design}")
    special = (*tokenizer.special_ids, *tokenizer.hole_ids)
    names = {"mask_id": tokenizer.mask_id, "vocab_size": tokenizer.vocab_size, "special_ids": special}
    draw = torch.rand(windows.shape, generator=generator)
    parts = []
    for copy in range(copies):
        here = (draw >= copy * design.corrupted) & (draw < (copy + 1) * design.corrupted)
        all_of_it = mask_tokens(windows, **names, rate=1, replace=design.split, generator=generator)
        ids, labels = torch.where(here, all_of_it.input_ids, windows), all_of_it.labels.masked_fill(~here, IGNORED)
        if design.predicted < design.corrupted:
            labels = labels.masked_fill(draw >= design.predicted, IGNORED)
        parts.append((ids, labels))
    return MaskedBatch(*(torch.cat(part) for part in zip(*parts)))


def design_run(
    name: str, seed: int, tokenizer: Tokenizer, texts: Mapping[str, Sequence[str]], recipe: Recipe = MASKING_RATE
) -> dict[str, float | int | str]:
    """Train by one of DESIGNS, and ask the model the same three questions about held-out text (FATES)."""
    design = DESIGNS[checks.one_of("name", name, tuple(DESIGNS))]
    recipe = replace(recipe, settings=replace(recipe.settings, seed=seed))
    task = build(recipe, tokenizer, texts["train"], texts["validation"])
    stream = token_stream(tokenizer, texts["train"])

    def sample(generator: torch.Generator) -> MaskedBatch:
        windows = sample_windows(stream, recipe.batch_size, recipe.length, generator=generator)
        return designed_batch(windows, design, tokenizer, generator=generator)

    started = time.monotonic()
    fit(task.model, task.loss_fn, sample, recipe.settings, count_tokens=predicted_tokens, description=f"{name}, {seed}")
    seconds = round(time.monotonic() - started)
    split = dict(zip(("to_mask", "to_random", "kept"), design.split))
    shares = {key: round(value, 4) for key, value in asdict(design).items() if key != "split"}
    asked = {key: round(ask(task.model), 4) for key, ask in questions(tokenizer, texts["validation"], recipe).items()}
    return {
        "design": name,
        "seed": seed,
        "steps": recipe.settings.steps,
        **shares,
        **split,
        **asked,
        "seconds": seconds,
    }


def questions(
    tokenizer: Tokenizer, validation: Sequence[str], recipe: Recipe = MASKING_RATE
) -> dict[str, Callable[[nn.Module], float]]:
    """For each of FATES, a function of the model: its mean loss, in nats, on the same 64 batches of held-out windows."""
    stream = token_stream(tokenizer, validation)

    def batches(split: tuple[float, float, float]) -> list[MaskedBatch]:
        once = torch.Generator().manual_seed(1)
        size = {"batch_size": recipe.batch_size, "length": recipe.length}
        windows = [sample_windows(stream, **size, generator=once) for _ in range(64)]
        return [designed_batch(w, Design(0.15, 0.15, split), tokenizer, generator=once) for w in windows]

    def asker(split: tuple[float, float, float]) -> Callable[[nn.Module], float]:
        loss = fixed_loss(masked_loss, batches(split))

        def ask(model: nn.Module) -> float:
            with torch.no_grad():
                return loss(model.eval())

        return ask

    return {key: asker(split) for key, split in FATES.items()}
