"""Exercises of notebook 10: parse a chatbot's answer to the connecting wall of slide T20, and score it."""

import re
from collections import Counter
from collections.abc import Sequence

import torch

from lib.exercises.engine.exercise import Exercise, Misconception, case
from lib.worlds.connecting_wall import score_wall

_WORDS = (
    "Bluebell", "Blackberry", "Watercress", "Eskimo", "Mud", "Bluegrass", "Rabbit", "Doctor",
    "Keystone", "Hunt", "Grand Canyon", "Wensleydale", "Hazel", "Lavender", "Silver", "Craft",
)  # fmt: skip
_HEADING = r"Group \d+:"


# --- wall.parse_groups ------------------------------------------------------------------------------------------------
def parse_groups(text: str) -> list[list[str]]:
    """The items after each "Group 1:", up to the next group or the end of the line (slide T20).

    >>> parse_groups("Sure! Group 1: Mud, Silver Group 2: Hunt, Grand Canyon")
    [['Mud', 'Silver'], ['Hunt', 'Grand Canyon']]
    """
    found = re.findall(rf"{_HEADING}(.*?)(?={_HEADING}|\n|$)", text)
    return [[item.strip() for item in group.split(",") if item.strip()] for group in found]


def _by_splitting(text):
    parts = re.split(_HEADING, text)[1:]
    lines = [part.split("\n")[0] for part in parts]
    return [[item.strip() for item in line.split(",") if item.strip()] for line in lines]


def _split(text, *, first=1, heading=_HEADING, cut=True, strip=True, empty=False, comma=","):
    """`_by_splitting`, with the mistakes as options."""
    lines = [part.split("\n")[0] if cut else part for part in re.split(heading, text)[first:]]
    groups = [line.split(comma) if comma else line.replace(",", " ").split() for line in lines]
    groups = [[item.strip() if strip else item for item in group] for group in groups]
    return [[item for item in group if item.strip() or empty] for group in groups]


def _greedy(text):
    return [[i.strip() for i in line.split(",") if i.strip()] for line in re.findall(rf"{_HEADING}(.*)", text)]


def _texts(generator):
    order = [_WORDS[i] for i in torch.randperm(16, generator=generator).tolist()]
    fours = [", ".join(order[i : i + 4]) for i in range(0, 16, 4)]
    lines = "\n".join(f"Group {i}: {four}" for i, four in enumerate(fours, 1))
    return [
        case("all groups on one line, as on the slide",
             "Sure, I'd be happy to help! Here are 4 groups:\n\n"
             + " ".join(f"Group {i}: {four}" for i, four in enumerate(fours, 1))
             + "\n\nI hope this helps, and good luck!"),
        case("one group per line", f"Sure, here you are:\n{lines}\nLet me know, please, if I can do more."),
        case("twelve groups of one", " ".join(f"Group {i}: {word}" for i, word in enumerate(order[:12], 1))),
        case("a trailing comma", f"Group 1: {fours[0]},\nGroup 2: {fours[1]}"),
        case("items as written, and the word Group in other places",
             "Group work at last! Group 7: Yahoo!, St. Louis., “Guess Who?”, Group Theory Group 2: 2001: A Space Odyssey, "
             f"{order[0]}.\nThe group is fine."),
        case("an answer without groups", "I am sorry, but I see no connection, I really do not."),
    ]  # fmt: skip


PARSE = Exercise(
    id="wall.parse_groups",
    slides=("T20", "T21"),
    points=3,
    minutes=12,
    title="Find the groups in an answer",
    reference=parse_groups,
    cases=_texts,
    accepts=(_by_splitting,),
    withheld=(
        "lib.worlds.connecting_wall.parse_groups",
        "lib.worlds.connecting_wall._items",
        "lib.worlds.connecting_wall._lists",
    ),
    misconceptions=(
        Misconception(
            "split_at_spaces",
            lambda text: _split(text, comma=None),
            "You split at spaces, so Grand Canyon becomes two items. Items are separated by commas.",
        ),
        Misconception(
            "spaces_kept",
            lambda text: _split(text, strip=False),
            "Spaces are left around your items: ' Mud' is not 'Mud'. Use .strip().",
        ),
        Misconception(
            "greeting_kept",
            lambda text: _split(text, first=0),
            "The text before the first group is in your list as a group. “Sure, I'd be happy to help!” is not a group.",
        ),
        Misconception(
            "farewell_kept",
            lambda text: _split(text, cut=False),
            "Your last group includes the text after it. A group ends at the end of its line.",
        ),
        Misconception(
            "one_digit",
            lambda text: _split(text, heading=r"Group \d:"),
            "Groups from number 10 on are not found: \\d matches one digit, \\d+ a whole number.",
        ),
        Misconception(
            "greedy",
            _greedy,
            "Your pattern matches to the end of the line, across the headings of the following groups. Stop before the "
            "next “Group”.",
        ),
        Misconception(
            "one_list",
            lambda text: [item for group in parse_groups(text) for item in group],
            "All items are in one list, which loses the groups. Return one list per group.",
        ),
        Misconception(
            "empty_items",
            lambda text: _split(text, empty=True),
            "A comma at the end of a line makes an empty item: leave those out.",
        ),
        Misconception(
            "punctuation_stripped",
            lambda text: [[item.strip(".!?“”\"' ") for item in group] for group in parse_groups(text)],
            "Signs at the ends of items are gone: Yahoo! is not Yahoo. Strip spaces only.",
        ),
        Misconception(
            "small_letters",
            lambda text: [[item.lower() for item in group] for group in parse_groups(text)],
            "You changed capitals to small letters. A parser returns what was written; the comparison comes later.",
        ),
    ),
    hints=(
        're.split(r"Group \\d+:", text)[1:] gives what follows each heading.',
        'Keep .split("\\n")[0] of each part, then split at commas, strip, and drop empty items.',
    ),
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

EXERCISES = (PARSE, SCORE)
