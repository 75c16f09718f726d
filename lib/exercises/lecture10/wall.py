"""Exercise of lecture 10: score an answer to the connecting wall of slide T20."""

from collections import Counter
from collections.abc import Sequence

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.worlds.connecting_wall import score_wall

_WORDS = (
    "Bluebell", "Blackberry", "Watercress", "Eskimo", "Mud", "Bluegrass", "Rabbit", "Doctor",
    "Keystone", "Hunt", "Grand Canyon", "Wensleydale", "Hazel", "Lavender", "Silver", "Craft",
)  # fmt: skip


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


def _by_hand(groups, words, solution):
    small = [[item.lower() for item in group] for group in groups]
    said = [item for group in small for item in group]
    answered = [sorted(group) for group in small]
    return {
        "correct": sum(sorted(word.lower() for word in group) in answered for group in solution),
        "invented": [item for group in groups for item in group if item.lower() not in {w.lower() for w in words}],
        "missing": [word for word in words if said.count(word.lower()) == 0],
        "repeated": [word for word in words if said.count(word.lower()) > 1],
    }


def _counting(correct):
    """The right score, except that `correct(groups, solution)`, in small letters, counts the correct groups."""

    def answer(groups, words, solution):
        small = [[item.lower() for item in group] for group in groups]
        wanted = [[word.lower() for word in group] for group in solution]
        return _by_hand(groups, words, solution) | {"correct": correct(small, wanted)}

    return answer


def _capitals_matter(groups, words, solution):
    times = Counter(item for group in groups for item in group)
    return {
        "correct": sum(sorted(group) in [sorted(g) for g in groups] for group in solution),
        "invented": [item for group in groups for item in group if item not in words],
        "missing": [word for word in words if not times[word]],
        "repeated": [word for word in words if times[word] > 1],
    }


def _swapped(groups, words, solution):
    marks = _by_hand(groups, words, solution)
    return marks | {"invented": marks["missing"], "missing": marks["invented"]}


def _in_two_groups(groups, words, solution):
    twice = [w for w in words if sum(w.lower() in {item.lower() for item in group} for group in groups) > 1]
    return _by_hand(groups, words, solution) | {"repeated": twice}


def _every_repetition(groups, words, solution):
    said = [item.lower() for group in groups for item in group]
    twice = [word for word in words for _ in range(said.count(word.lower()) - 1)]
    return _by_hand(groups, words, solution) | {"repeated": twice}


def _invented_once(groups, words, solution):
    marks = _by_hand(groups, words, solution)
    return marks | {"invented": list(dict.fromkeys(marks["invented"]))}


def _missing_as_in_the_solution(groups, words, solution):
    marks = _by_hand(groups, words, solution)
    return marks | {"missing": [word for group in solution for word in group if word in marks["missing"]]}


def _groups_with_capitals(groups, words, solution):
    right = sum(sorted(group) in [sorted(g) for g in groups] for group in solution)
    return _by_hand(groups, words, solution) | {"correct": right}


def _sets_everywhere(groups, words, solution):
    """Groups are sets from the start: a word twice in one group is one word."""
    return _by_hand([sorted({item.lower(): item for item in group}.values()) for group in groups], words, solution) | {
        "invented": _by_hand(groups, words, solution)["invented"]
    }


def _answers(generator):
    words = [_WORDS[i] for i in torch.randperm(16, generator=generator).tolist()]
    solution = [words[i::4] for i in range(4)]
    a, b, c, d = solution
    shuffled = [c[::-1], a[2:] + a[:2], d, [word.upper() for word in b]]
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
    accepts=(_by_hand,),
    misconceptions=(
        Misconception(
            "capitals_matter",
            _capitals_matter,
            "BLUEBELL and Bluebell are the same word: compare in small letters, but report the wall's spelling.",
        ),
        Misconception(
            "order_matters",
            _counting(lambda groups, wanted: sum(group in groups for group in wanted)),
            "You compare groups as lists, but the order within a group does not matter: sort both.",
        ),
        Misconception(
            "same_place",
            _counting(lambda groups, wanted: sum(sorted(g) == sorted(w) for g, w in zip(groups, wanted))),
            "You compare the first group with the first, the second with the second: their order does not matter.",
        ),
        Misconception(
            "three_is_enough",
            _counting(lambda groups, wanted: sum(any(len({*g} & {*w}) >= 3 for g in groups) for w in wanted)),
            "You count groups with three right words. A group is right when it is exactly the solution's.",
        ),
        Misconception(
            "more_is_allowed",
            _counting(lambda groups, wanted: sum(any({*w} <= {*g} for g in groups) for w in wanted)),
            "A group with the right four words and another one is not right: otherwise one could list all words.",
        ),
        Misconception(
            "as_sets",
            _counting(lambda groups, wanted: sum({*w} in map(set, groups) for w in wanted)),
            "A group with a repeated word is not the solution's. As sets the two are equal, as sorted lists they are "
            "not.",
        ),
        Misconception(
            "counted_twice",
            _counting(lambda groups, wanted: sum(sorted(g) in [sorted(w) for w in wanted] for g in groups)),
            "A right group given three times counts three times in yours. Go through the groups of the solution.",
        ),
        Misconception(
            "reported_in_small_letters",
            lambda groups, words, solution: {
                key: [item.lower() for item in value] if isinstance(value, list) else value
                for key, value in _by_hand(groups, words, solution).items()
            },
            "Small letters are for comparing only: report the wall's spelling, and the answer's for invented words.",
        ),
        Misconception(
            "repeated_in_two_groups_only",
            _in_two_groups,
            "A word that stands twice in one group is repeated too.",
        ),
        Misconception(
            "invented_for_missing",
            _swapped,
            "You swapped two keys: invented words are only in the answer, missing words only on the wall.",
        ),
        Misconception(
            "invented_once",
            _invented_once,
            "An invented item that is given twice stands twice in `invented`: as written, in the answer's order.",
        ),
        Misconception(
            "missing_as_in_the_solution",
            _missing_as_in_the_solution,
            "Your missing words are in the solution's order; the wall's order is asked for. Go through `words`.",
        ),
        Misconception(
            "groups_with_capitals",
            _groups_with_capitals,
            "You compare the groups with their capitals: MUD is Mud there too.",
        ),
        Misconception(
            "sets_everywhere",
            _sets_everywhere,
            "You make each group a set first, so a word that stands twice in it is lost: it is repeated, and the group "
            "is not exactly the solution's.",
        ),
        Misconception(
            "each_repetition",
            _every_repetition,
            "A word that occurs three times is listed twice: `repeated` names each such word once.",
        ),
    ),
    hints=(
        "Convert everything to small letters first: a sorted list for each group, and one list of all items.",
        "correct: how many groups of the solution, sorted, are among the groups of the answer, sorted.",
    ),
)

EXERCISES = (SCORE,)
