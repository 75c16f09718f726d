"""What demonstrations do to SmolLM2's answers, measured over draws, orders and labels: `course measure few-shot`.

The first 24 sentences of `company_news` may be demonstrations, the other 56 are the questions of every run. A draw is
eight demonstrations in an order, and its first 1, 2, 4 and 8 are shown, with true, random and exchanged labels.
"""

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import NamedTuple

import torch
from torch import Tensor

from lib import DATA, checks
from lib.evaluation import calibrated, label_log_probs
from lib.files import read_csv
from lib.generation import Demonstration, few_shot_prompt
from lib.models import Decoder, load_smollm2
from lib.text import smollm2_tokenizer
from lib.text.company_news import LABELS, company_news

FILE = DATA / "experiments" / "few_shot.csv"
TEMPLATE = "News: {text}\nSentiment:{label}"
SHOTS, DRAWS, SHOWN = (1, 2, 4, 8), 8, 24
WAYS = ("true", "random", "exchanged")


class Run(NamedTuple):
    """One prompt form, asked all questions; shares of these, and one probability."""

    part: str  # "draws", or "orders" of the first four sentences
    draw: int  # the seed of the draw, or the number of the order
    shots: int  # demonstrations
    labels: str  # of the demonstrations: true, random or exchanged
    last: str  # label of the last demonstration
    right: float  # share of the raw answers
    positive: float  # share of the raw answers that are Positive
    empty: float  # P(Positive) for the question "N/A"
    calibrated: float  # share right after contextual calibration


def measure_few_shot() -> Iterator[Run]:
    """All runs, in the order of the table: none shown, the draws, the 24 orders. It takes seven minutes on one thread."""
    model, news = load_smollm2(), [Demonstration(*row) for row in company_news()]
    pool, asked = news[:SHOWN], news[SHOWN:]
    yield Run("draws", 0, 0, "true", "", *ask(model, [], asked))
    for draw in range(DRAWS):
        drawn = demonstrations(pool, draw)
        for way in WAYS:
            for shots in SHOTS:
                shown = drawn[way][:shots]
                yield Run("draws", draw, shots, way, shown[-1].label, *ask(model, shown, asked))
    for number, order in enumerate(permutations(pool[:4])):
        yield Run("orders", number, 4, "true", order[-1].label, *ask(model, order, asked))


def demonstrations(
    pool: Sequence[Demonstration], draw: int, number: int = max(SHOTS)
) -> dict[str, list[Demonstration]]:
    """The demonstrations of a draw, in their order, with each way to label them; a random label is a fair coin's.

    >>> found = demonstrations([Demonstration("Up.", "Positive"), Demonstration("Down.", "Negative")], 0, number=1)
    >>> found["true"][0].label != found["exchanged"][0].label
    True
    """
    generator = torch.Generator().manual_seed(draw)
    true = [pool[i] for i in torch.randperm(len(pool), generator=generator)[:number].tolist()]
    coins = torch.randint(2, (number,), generator=generator).tolist()
    return {
        "true": true,
        "random": [Demonstration(text, LABELS[coin]) for (text, _), coin in zip(true, coins)],
        "exchanged": [Demonstration(text, LABELS[1 - LABELS.index(label)]) for text, label in true],
    }


def ask(
    model: Decoder, shown: Sequence[Demonstration], asked: Sequence[Demonstration]
) -> tuple[float, float, float, float]:
    """Shares right and Positive of the raw answers, P(Positive | N/A), and the share right of the calibrated ones."""
    tokenizer = smollm2_tokenizer()
    texts = [*(text for text, _ in asked), "N/A"]
    prompts = [tokenizer.encode(few_shot_prompt(shown, text, template=TEMPLATE)) for text in texts]
    log_p = label_log_probs(model, prompts, [tokenizer.encode(f" {label}")[0] for label in LABELS])
    raw, empty = log_p[:-1], log_p[-1]
    truth = torch.tensor([LABELS.index(label) for _, label in asked])
    return (
        _share(raw.argmax(dim=1) == truth),
        _share(raw.argmax(dim=1) == 0),
        round(empty[0].exp().item(), 4),
        _share(calibrated(raw, empty).argmax(dim=1) == truth),
    )


def _share(values: Tensor) -> float:
    return round(values.float().mean().item(), 4)


def few_shot_runs(part: str) -> list[Run]:
    """The rows of the table: "draws" or "orders". Raises ValueError for another part.

    >>> len(few_shot_runs("orders"))
    24
    """
    checks.one_of("part", part, ("draws", "orders"))
    rows = [row for _, row in read_csv(FILE, list(Run._fields)) if row[0] == part]
    return [
        Run(part, int(draw), int(shots), labels, last, *map(float, rest))
        for _, draw, shots, labels, last, *rest in rows
    ]
