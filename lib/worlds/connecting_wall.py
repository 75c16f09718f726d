"""The wall of slide T20: 16 words to be put into 4 groups of 4, and a model's free-text answer to be marked.

A model answers in prose, so marking has two parts that must be kept apart: finding the groups in the text, and
counting what is right in them. A parser that silently repaired an answer would be marking its own work.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_HEADING = re.compile(r"(?i)#+|\bgroup\s+(?:\d+|[a-d])\b")  # "#### ANSWER ####", "Group 2: a, b, c, d"
_BULLET = re.compile(r"^\s*(?:[-*•+]|\(?\d+[.)])\s+")
_EXPLANATION = re.compile(r"\([^()]*\)|\s[-–—]\s.*$")  # "Hazel, Craft (witch-)", "Hazel, Craft - all follow witch"
_DECORATION = " \t*_`\"'“”‘’.:;!?\\[]"
_LONGEST = 3  # words in one item; more is a sentence with a comma in it


@dataclass(frozen=True)
class WallScore:
    """What is right and wrong in an answer. Words of the wall are spelt as on the wall, others as in the answer."""

    correct: int  # groups of the solution that the answer has exactly
    sizes: tuple[int, ...]  # items in each group of the answer
    asked: tuple[int, ...]  # words in each group of the solution
    invented: tuple[str, ...]  # items that are not on the wall, in the answer's order
    missing: tuple[str, ...]  # words of the wall that no group holds, in the wall's order
    repeated: tuple[str, ...]  # words of the wall that occur more than once, in the wall's order

    @property
    def well_formed(self) -> bool:
        """Whether the answer follows the instruction: each word once, nothing else, groups of the right sizes."""
        faults = self.invented or self.missing or self.repeated
        return not faults and sorted(self.sizes) == sorted(self.asked)


def parse_groups(text: str, words: Sequence[str]) -> list[list[str]]:
    """The groups in a model's answer, as written and in that order.

    A group is a list with commas on one line, cut at headings ("Group 2", "###") and full stops, or a bullet list with
    one word per bullet. It has at least two items of at most three words each, and at least one item is on the wall:
    this distinguishes a group from a sentence with a comma. Explanations in parentheses or after a dash are dropped.
    If there is no group, the result is []. Raises ValueError as `score_wall` does for `words`.

    >>> parse_groups("Sure, here you are! Group 1: Mud, Silver Group 2: Hunt, Grand Canyon", ["Mud", "Hunt"])
    [['Mud', 'Silver'], ['Hunt', 'Grand Canyon']]
    """
    wall = set(_names(words))
    found = [items for items in _lists(text) if len(items) >= 2 and any(_key(item) in wall for item in items)]
    return [items for items in found if all(len(item.split()) <= _LONGEST for item in items)]


def score_wall(groups: Sequence[Sequence[str]], words: Sequence[str], solution: Sequence[Sequence[str]]) -> WallScore:
    """Compare groups with the solution (slide T20). Case does not matter, spelling does.

    Raises ValueError when `words` is empty or has a word twice, or when `solution` does not use each word exactly once.

    >>> score = score_wall([["MUD", "SLIVER"]], ["Mud", "Silver"], [["Silver", "Mud"]])
    >>> score.correct, score.invented, score.missing
    (0, ('SLIVER',), ('Silver',))
    """
    wall = _names(words)
    if Counter(_key(word) for group in solution for word in group) != Counter(wall.keys()):
        raise ValueError(
            "solution must hold each word of the wall once and no other, "
            f"got {sorted(word for group in solution for word in group)}"
        )
    times = Counter(_key(item) for group in groups for item in group)
    wanted = {frozenset(map(_key, group)) for group in solution}
    # Compare lengths too: a group with a repeated word has more items than its set.
    given = {frozenset(map(_key, group)) for group in groups if len(set(map(_key, group))) == len(group)}
    return WallScore(
        correct=len(wanted & given),
        sizes=tuple(len(group) for group in groups),
        asked=tuple(len(group) for group in solution),
        invented=tuple(item for group in groups for item in group if _key(item) not in wall),
        missing=tuple(word for key, word in wall.items() if not times[key]),
        repeated=tuple(word for key, word in wall.items() if times[key] > 1),
    )


def count_partitions(words: int, groups: int) -> int:
    r"""$\frac{n!}{(s!)^{g}\,g!}$: ways to put n words into g groups of s = n / g, where order does not matter.

    Raises ValueError when `groups` is less than 1 or does not divide `words`.

    >>> count_partitions(16, 4)
    2627625
    """
    if groups < 1 or words < groups or words % groups:
        raise ValueError(f"words must divide evenly into at least 1 group, got {words} words, {groups} groups")
    size = words // groups
    return math.factorial(words) // (math.factorial(size) ** groups * math.factorial(groups))


def _lists(text: str) -> Iterator[list[str]]:
    """All lists of items: those separated by commas on one line, and those in consecutive bullets."""
    bullets: list[str] = []
    for line in text.splitlines():
        bulleted, line = bool(_BULLET.match(line)), _BULLET.sub("", line)
        parts = [part for part in re.split(r"\.\s", _HEADING.sub("\n", line).replace("\n", ". ")) if part.strip()]
        lists = [_items(part) for part in parts]
        if bulleted and len(lists) == 1 and len(lists[0]) == 1 and not line.rstrip(" *").endswith(":"):
            bullets += lists[0]
            continue
        yield bullets
        bullets = []
        yield from lists
    yield bullets


def _items(part: str) -> list[str]:
    """The items between commas, after the last colon, without explanations and decoration."""
    kept = _EXPLANATION.sub("", part).rstrip(_DECORATION).rsplit(":", 1)[-1]
    items = (re.sub(r"^\s*and\s+", "", item).strip(_DECORATION) for item in kept.split(","))
    return [item for item in items if item]


def _names(words: Sequence[str]) -> dict[str, str]:
    """The wall's words, keyed by the form in which they are compared."""
    names = {_key(word): word for word in words}
    if not names or len(names) < len(words) or "" in names:
        raise ValueError(f"words must be one or more different words, got {list(words)}")
    return names


def _key(word: str) -> str:
    return " ".join(word.casefold().split())
