"""A world of small instructions such as "reverse b a d ?", whose answers can be checked. Fine-tuning takes seconds."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from lib import checks

VERBS = ("first", "last", "copy", "reverse")
LETTERS = "abcdefgh"
WORDS = ("<pad>", "<end>", "?", *VERBS, *LETTERS)
"""The vocabulary; a word's id is its position."""

PAD_ID, END_ID = 0, 1


class Instruction(NamedTuple):
    """A verb, and the letters that it is applied to."""

    verb: str
    letters: str

    @property
    def question(self) -> str:
        """The prompt, which ends with a question mark: "reverse b a d ?"."""
        return f"{self.verb} {' '.join(self.letters)} ?"

    @property
    def answer(self) -> str:
        """The only right answer, without <end>: "d a b"."""
        chosen = {
            "first": self.letters[:1],
            "last": self.letters[-1:],
            "copy": self.letters,
            "reverse": self.letters[::-1],
        }
        return " ".join(chosen[self.verb])


def write_instructions(number: int, *, generator: torch.Generator | None = None) -> list[Instruction]:
    """`number` random instructions: verb, length (3 or 4 letters) and letters are each drawn uniformly.

    Raises ValueError when `number` is less than 1.

    >>> write_instructions(1, generator=torch.Generator().manual_seed(0))[0].question
    'first f a d d ?'
    """
    checks.whole("number", number)
    verbs = torch.randint(len(VERBS), (number,), generator=generator).tolist()
    lengths = torch.randint(3, 5, (number,), generator=generator).tolist()
    letters = torch.randint(len(LETTERS), (number, 4), generator=generator).tolist()
    rows = zip(verbs, lengths, letters)
    return [Instruction(VERBS[verb], "".join(LETTERS[i] for i in row[:n])) for verb, n, row in rows]


def encode_words(text: str) -> list[int]:
    """The ids of words separated by spaces. Raises ValueError for a word outside the vocabulary.

    >>> encode_words("copy a b ?")
    [5, 7, 8, 2]
    """
    unknown = [word for word in text.split() if word not in WORDS]
    if unknown:
        raise ValueError(f"text must be made of {' '.join(WORDS)}, got {unknown[0]!r}")
    return [WORDS.index(word) for word in text.split()]


def decode_words(ids: Sequence[int]) -> str:
    """The words of these ids, without padding.

    >>> decode_words([5, 7, 8, 2, 1, 0])
    'copy a b ? <end>'
    """
    return " ".join(WORDS[i] for i in ids if i != PAD_ID)
