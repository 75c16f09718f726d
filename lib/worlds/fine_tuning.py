"""Ways to teach MiniLM whether a critic recommends a film: few or many reviews, all of the model or a part of it.

The films of the held-out reviews occur in no other split. `lib.worlds.fine_tuning_runs` has the comparison.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from lib import checks
from lib.adapters import freeze_layers
from lib.models import Encoder, SequenceClassifier, load_minilm
from lib.text import bert_tokenizer
from lib.text.film_reviews import film_reviews
from lib.training import FitSettings, fit
from lib.training.probe import fit_probe

METHODS = ("words", "probe", "probe on [CLS]", "last two layers", "full", "scratch")
LENGTH = 40  # tokens of a review; 14 % are longer, and cut
POOL = 4000  # training reviews that a seed draws from
BATCH = 16
WARM_UP = 0.2  # share of the updates in which the learning rate rises


class Reviews(NamedTuple):
    """A padded batch with its labels."""

    input_ids: Int[Tensor, "B T"]
    attention_mask: Int[Tensor, "B T"]
    labels: Int[Tensor, "B"]  # 1: fresh

    def take(self, rows: Tensor | slice) -> "Reviews":
        """These rows, cut to the longest of them."""
        width = int(self.attention_mask[rows].sum(dim=1).max())
        return Reviews(self.input_ids[rows, :width], self.attention_mask[rows, :width], self.labels[rows])


@cache
def reviews(split: str, number: int) -> Reviews:
    """The first `number` reviews of a split, as MiniLM reads them: [CLS] text [SEP], at most LENGTH tokens.

    Raises ValueError for another split, or a number that it does not have.
    """
    found = film_reviews(split)[: checks.whole("number", number)]
    if len(found) < number:
        raise ValueError(f"number must be at most {len(found)} for {split!r}, got {number}")
    tokenizer = bert_tokenizer()
    rows = [
        [tokenizer.cls_id, *ids[: LENGTH - 2], tokenizer.sep_id]
        for ids in tokenizer.encode_batch([review.text for review in found])
    ]
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(row), dtype=torch.long) for row in rows], batch_first=True)
    return Reviews(ids, mask, torch.tensor([int(review.fresh) for review in found]))


def drawn(examples: int, seed: int) -> Reviews:
    """`examples` training reviews that a seed draws, half of them fresh, in random order.

    Raises ValueError for an odd number, or more than half of the pool has of one kind.
    """
    pool, generator = reviews("train", POOL), torch.Generator().manual_seed(seed)
    order = torch.randperm(POOL, generator=generator)
    half = checks.whole("examples", examples, 2) // 2
    parts = [order[pool.labels[order] == label][:half] for label in (0, 1)]
    if examples % 2 or min(map(len, parts)) < half:
        raise ValueError(f"examples must be even and at most {2 * int((pool.labels == 0).sum())}, got {examples}")
    both = torch.cat(parts)
    return pool.take(both[torch.randperm(examples, generator=generator)])


def classifier(method: str, *, seed: int = 0) -> SequenceClassifier:
    """MiniLM with a fresh linear layer for two classes on [CLS], prepared for "full", "last two layers" or "scratch".

    "scratch" has the same shape and random weights. Raises ValueError for another method.
    """
    checks.one_of("method", method, METHODS[3:])
    generator = torch.Generator().manual_seed(seed)
    config = load_minilm().config
    encoder = Encoder(config, generator=generator) if method == "scratch" else load_minilm()
    if method == "last two layers":
        freeze_layers(encoder, config.num_layers - 2)
    return SequenceClassifier(encoder, 2, generator=generator)


def classification_loss(model: torch.nn.Module, batch: Reviews) -> Float[Tensor, ""]:
    """Cross-entropy of the labels, nats per review."""
    return F.cross_entropy(model(batch.input_ids, batch.attention_mask), batch.labels)


def in_epochs(data: Reviews, batch_size: int = BATCH) -> Callable[[torch.Generator], Reviews]:
    """`sample_batch` for `fit`: batches without replacement, the order drawn anew in each epoch."""
    left: list[Tensor] = []

    def draw(generator: torch.Generator) -> Reviews:
        if not left:
            left.extend(torch.randperm(len(data.labels), generator=generator).split(batch_size))
        return data.take(left.pop(0))

    return draw


def train_classifier(
    method: str,
    data: Reviews,
    learning_rate: float,
    *,
    epochs: int = 1,
    warm_up: float = WARM_UP,
    seed: int = 0,
    show_progress: bool = False,
) -> SequenceClassifier:
    """Fine-tune one way on `data`: AdamW, the rate rises over a share `warm_up` of the updates and then falls to 0.

    Raises ValueError as `classifier` and `fit` do.
    """
    model = classifier(method, seed=seed)
    steps = epochs * -(-len(data.labels) // BATCH)
    settings = FitSettings(steps=steps, learning_rate=learning_rate, warmup_steps=round(warm_up * steps),
                           schedule="linear", seed=seed)  # fmt: skip
    fit(model, classification_loss, in_epochs(data), settings, description=method, show_progress=show_progress)
    return model.eval()


@torch.no_grad()
def logits_of(model: Callable[..., Tensor], data: Reviews) -> Float[Tensor, "N *C"]:
    """The logits of each review, or whatever `model` gives for it, in order; reviews of similar length are read together."""
    order = data.attention_mask.sum(dim=1).argsort()
    found = torch.cat([model(*data.take(rows)[:2]) for rows in order.split(50)])
    return torch.empty_like(found).index_copy_(0, order, found)


@torch.no_grad()
def features_of(encoder: Encoder, data: Reviews) -> Float[Tensor, "N 2 D"]:
    """Of each review the mean of its token vectors at the encoder's output, and the vector at [CLS].

    The mean is how MiniLM was trained to be read; what BERT's heads read is made from [CLS].
    """

    def both(ids: Tensor, mask: Tensor) -> Tensor:
        hidden = encoder(ids, mask)
        mean = (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        return torch.stack((mean, hidden[:, 0]), dim=1)

    return logits_of(both, data)


_READ: dict[tuple[int, ...], Tensor] = {}  # what `minilm_features` has read before, by the ids of the review


def minilm_features(data: Reviews) -> Float[Tensor, "N 2 D"]:
    """`features_of` the frozen MiniLM; a review that was read before is not read again."""
    keys = [
        tuple(ids[:length]) for ids, length in zip(data.input_ids.tolist(), data.attention_mask.sum(dim=1).tolist())
    ]
    new = [row for row, key in enumerate(keys) if key not in _READ]
    if new:
        found = features_of(load_minilm(), data.take(torch.tensor(new)))
        _READ.update(zip((keys[row] for row in new), found))
    return torch.stack([_READ[key] for key in keys])


def word_counts(data: Reviews, vocabulary: Int[Tensor, "V"]) -> Float[Tensor, "N V"]:
    """Whether each WordPiece of the vocabulary occurs in each review, its rows scaled to length 1 (0 without any)."""
    present = torch.zeros(len(data.labels), int(max(vocabulary.max(), data.input_ids.max())) + 1)
    present.scatter_(1, data.input_ids, data.attention_mask.float())
    return F.normalize(present[:, vocabulary], dim=1)


class Measured(NamedTuple):
    """How good a classifier's probabilities are on held-out reviews."""

    accuracy: float
    nll: float  # nats per review
    confidence: float  # the mean probability of the class that it names


def measure(logits: Float[Tensor, "N C"], labels: Int[Tensor, "N"]) -> Measured:
    """Accuracy, loss and confidence of logits. Raises ValueError for none."""
    checks.not_empty(logits=logits)
    right = (logits.argmax(dim=1) == labels).double().mean()
    confidence = logits.double().softmax(dim=1).amax(dim=1).mean()
    return Measured(right.item(), F.cross_entropy(logits.double(), labels).item(), confidence.item())


def read_with(
    method: str, data: Reviews, rate: float, *, epochs: int, warm_up: float, seed: int, held_out: Reviews
) -> Tensor:
    """Train one way on `data` and return its logits (N, 2) on `held_out`; `rate` is the penalty l2 of "words" and of probes.

    Raises ValueError as `train_classifier` and `fit_probe` do.
    """
    checks.one_of("method", method, METHODS)
    if method == "words":
        known = data.input_ids.unique()
        return fit_probe(word_counts(data, known), data.labels, 2, l2=rate)(word_counts(held_out, known))
    if method.startswith("probe"):
        place = ("probe", "probe on [CLS]").index(method)
        seen, new = (minilm_features(part)[:, place] for part in (data, held_out))
        return fit_probe(seen, data.labels, 2, l2=rate)(new)
    model = train_classifier(method, data, rate, epochs=epochs, warm_up=warm_up, seed=seed)
    return logits_of(model, held_out)


def majority(labels: Sequence[int] | Tensor) -> float:
    """The accuracy of always naming the commonest class. Raises ValueError for no label.

    >>> majority([1, 1, 0])
    0.6666666666666666
    """
    checks.not_empty(labels=labels)
    return torch.bincount(torch.as_tensor(labels)).max().item() / len(labels)
