"""Exercise of lecture 10: score an answer to the connecting wall of slide T20."""

from collections.abc import Sequence

import torch

from lib.exercises.engine.exercise import Exercise, case
from lib.exercises.lecture10.wall_answers import MISTAKES, by_hand
from lib.worlds.connecting_wall import score_wall

_WORDS = (
    "Bluebell", "Blackberry", "Watercress", "Eskimo", "Mud", "Bluegrass", "Rabbit", "Doctor",
    "Keystone", "Hunt", "Grand Canyon", "Wensleydale", "Hazel", "Lavender", "Silver", "Craft",
)  # fmt: skip
_SIX = (
    ["Mudlark", "Mud", "McCoy", "Pie", "Ice Cream", "O'Neill"],
    [["McCoy", "Ice Cream", "Mudlark"], ["Mud", "Pie", "O'Neill"]],
)


# --- wall.score -------------------------------------------------------------------------------------------------------
def mark_wall(groups: Sequence[Sequence[str]], words: Sequence[str], solution: Sequence[Sequence[str]]) -> dict:
    """How many groups are right, and which words are invented, missing and repeated (slide T20).

    >>> mark_wall([["MUD", "Sliver"]], ["Mud", "Silver"], [["Silver", "Mud"]])
    {'correct': 0, 'invented': ['Sliver'], 'missing': ['Silver'], 'repeated': []}
    """
    score = score_wall(groups, words, solution)
    return {
        "correct": score.correct,
        "invented": list(score.invented),
        "missing": list(score.missing),
        "repeated": list(score.repeated),
    }


def _answers(generator):
    words = [_WORDS[i] for i in torch.randperm(16, generator=generator).tolist()]
    solution = [words[i::4] for i in range(4)]
    a, b, c, d = solution
    small = [word.lower() if word == min(d) else word for word in d[::-1]]  # capitals come first when sorted
    shuffled = [c[::-1], a[2:] + a[:2], small, [word.upper() for word in b]]
    return [
        case("all right, in another order", shuffled, words, solution),
        case(
            "the words of the question in groups of four", [words[i : i + 4] for i in range(0, 16, 4)], words, solution
        ),
        case("two words swapped", [b, [*a[:3], c[3]], [*c[:3], a[3]], d], words, solution),
        case("words invented and forgotten", [[*a, "Elm"], [*b[:2], "Kestone", b[3]], c], words, solution),
        case("a group given three times", [d, d[::-1], [w.lower() for w in d], b[:3]], words, solution),
        case("a group with a repeated word", [a, [*b, b[1]], d, c], words, solution),
        case("an invented word given twice", [[*a[:3], "Elm"], ["Oak", *b[1:]], c, ["Elm", *d[:3]]], words, solution),
        case("six words, two groups", [["pie", "mud", "O'NEILL"], ["mccoy", "Icecream", "Mudlark"]], *_SIX),
        case(
            "parts of words, words repeated",
            [["O'neill", "PIE", "pie", "o'neill"], ["Lark", "mudlark", "Ice-Cream"]],
            *_SIX,
        ),
        case("three items, one of them twice", [["Mudlark", "MUDLARK", "McCoy"], ["Pie", "Mud"]], *_SIX),
        case("no groups", [], words, solution),
    ]


SCORE = Exercise(
    id="wall.score",
    slides=("T20", "T21"),
    points=3,
    minutes=12,
    title="Score an answer",
    reference=mark_wall,
    cases=_answers,
    accepts=(by_hand,),
    misconceptions=MISTAKES,
    hints=(
        "Convert everything to small letters first: a sorted list for each group, and one list of all items.",
        "correct: how many groups of the solution, sorted, are among the groups of the answer, sorted.",
    ),
)

EXERCISES = (SCORE,)
