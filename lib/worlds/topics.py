r"""A language of a dozen words about rivers and money, in which everything about a word's neighbours can be counted.

A sentence has a topic, and its words are drawn independently given the topic. So the probability of a pair is
$P(w, c) = \frac12\sum_t P(w\mid t)\,P(c\mid t)$, at any distance, and a reader who knows the language can compute how likely each
topic is. *bank* and *the* are equally likely in both: they say nothing about the topic, and their surroundings say all.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib import checks

TOPICS = ("river", "money")
PERCENT = {
    "the": (20, 20), "bank": (10, 10),
    "river": (18, 1), "boat": (14, 1), "fish": (12, 2), "mud": (8, 2), "water": (8, 4),
    "money": (1, 18), "loan": (1, 14), "debt": (2, 12), "cash": (2, 8), "credit": (4, 8),
}  # fmt: skip
"""How often each word is the next one, in a sentence about a river and in one about money."""

WORDS = tuple(PERCENT)


class Sentences(NamedTuple):
    """Sentences as ids into `WORDS`, with the topic of each."""

    ids: Int[Tensor, "B T"]
    topics: Int[Tensor, "B"]


def word_probabilities() -> Float[Tensor, "2 V"]:
    """P(word | topic), one row for each topic.

    >>> word_probabilities()[0, :3]
    tensor([0.2000, 0.1000, 0.1800], dtype=torch.float64)
    """
    return torch.tensor(list(PERCENT.values()), dtype=torch.float64).T / 100


def draw_sentences(number: int, length: int, *, generator: torch.Generator | None = None) -> Sentences:
    """`number` sentences of `length` words, each about a topic that is drawn first.

    >>> sentences = draw_sentences(2, 5, generator=torch.Generator().manual_seed(0))
    >>> [WORDS[i] for i in sentences.ids[0]]
    ['fish', 'river', 'debt', 'fish', 'mud']
    """
    topics = torch.randint(2, (checks.whole("number", number),), generator=generator)
    length = checks.whole("length", length)
    return Sentences(torch.multinomial(word_probabilities()[topics], length, True, generator=generator), topics)


def pair_probabilities() -> Float[Tensor, "V V"]:
    """P(w, c): how likely two words of one sentence are w and c. Its logarithm, compared with chance, is the PMI.

    >>> bool(torch.isclose(pair_probabilities().sum(), torch.tensor(1.0).double()))
    True
    """
    given = word_probabilities()
    return given.T @ given / 2


def topic_posterior(ids: Int[Tensor, "B T"]) -> Float[Tensor, "B 2"]:
    """P(topic | words) by Bayes' rule, for words of one sentence in any order; for no words ½ each.

    >>> topic_posterior(torch.tensor([[WORDS.index("bank")], [WORDS.index("river")]]))
    tensor([[0.5000, 0.5000],
            [0.9474, 0.0526]], dtype=torch.float64)
    """
    checks.ids_below(len(WORDS), ids=ids)
    return word_probabilities().log().T[ids].sum(dim=1).softmax(dim=-1)


def best_accuracy(words: int) -> float:
    """How often a reader who knows the language names the topic rightly, having seen this many words of a sentence.

    The sum over all sentences of so many words (12 to the power of `words`, at most 6): no answer can be better.

    >>> [round(best_accuracy(n), 3) for n in (0, 1, 5)]
    [0.5, 0.75, 0.955]
    """
    likely = torch.ones(2, 1, dtype=torch.float64)
    for _ in range(checks.whole("words", words, 0, 6)):
        likely = (likely[:, :, None] * word_probabilities()[:, None]).flatten(1)
    return likely.amax(dim=0).sum().item() / 2
