"""Right and wrong answers to the exercise of `wall`."""

from collections import Counter

from lib.exercises.engine.exercise import Misconception


def by_hand(groups, words, solution):
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
        return by_hand(groups, words, solution) | {"correct": correct(small, wanted)}

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
    marks = by_hand(groups, words, solution)
    return marks | {"invented": marks["missing"], "missing": marks["invented"]}


def _in_two_groups(groups, words, solution):
    twice = [w for w in words if sum(w.lower() in {item.lower() for item in group} for group in groups) > 1]
    return by_hand(groups, words, solution) | {"repeated": twice}


def _every_repetition(groups, words, solution):
    said = [item.lower() for group in groups for item in group]
    twice = [word for word in words for _ in range(said.count(word.lower()) - 1)]
    return by_hand(groups, words, solution) | {"repeated": twice}


def _invented_once(groups, words, solution):
    marks = by_hand(groups, words, solution)
    return marks | {"invented": list(dict.fromkeys(marks["invented"]))}


def _small_after_sorting(groups, words, solution):
    found = [[item.lower() for item in sorted(group)] for group in groups]
    right = sum([word.lower() for word in sorted(group)] in found for group in solution)
    return by_hand(groups, words, solution) | {"correct": right}


def _repeated(find):
    """The right score, except for the repeated words: `find(words, items)`, where items are those of the answer."""

    def answer(groups, words, solution):
        return by_hand(groups, words, solution) | {"repeated": find(words, [i for group in groups for i in group])}

    return answer


def _in_order_of_the_answer(words, items):
    spelt, said = {word.lower(): word for word in words}, [item.lower() for item in items]
    return [spelt[item] for item in dict.fromkeys(said) if item in spelt and said.count(item) > 1]


def _spelt_as_in_the_answer(words, items):
    said = [item.lower() for item in items]
    return [items[said.index(word.lower())] for word in words if said.count(word.lower()) > 1]


def _parts_of_words(groups, words, solution):
    wall, said = " ".join(words).lower(), " ".join(item for group in groups for item in group).lower()
    return by_hand(groups, words, solution) | {
        "invented": [item for group in groups for item in group if item.lower() not in wall],
        "missing": [word for word in words if word.lower() not in said],
    }


def _only_signs(change):
    """The score of items and words of which `change` makes the form that is compared."""

    def answer(groups, words, solution):
        wall = {change(word.lower()): word for word in words}
        return by_hand([[wall.get(change(i.lower()), i) for i in group] for group in groups], words, solution)

    return answer


def _capitals_as_on_the_wall(groups, words, solution):
    return by_hand(groups, words, solution) | {"invented": [i for g in groups for i in g if i.title() not in words]}


def _missing_in_right_groups(groups, words, solution):
    wanted = [sorted(word.lower() for word in group) for group in solution]
    right = {i.lower() for group in groups if sorted(i.lower() for i in group) in wanted for i in group}
    return by_hand(groups, words, solution) | {"missing": [word for word in words if word.lower() not in right]}


def _missing_as_in_the_solution(groups, words, solution):
    marks = by_hand(groups, words, solution)
    return marks | {"missing": [word for group in solution for word in group if word in marks["missing"]]}


def _groups_with_capitals(groups, words, solution):
    right = sum(sorted(group) in [sorted(g) for g in groups] for group in solution)
    return by_hand(groups, words, solution) | {"correct": right}


def _sets_everywhere(groups, words, solution):
    """Groups are sets from the start: a word twice in one group is one word."""
    return by_hand([sorted({item.lower(): item for item in group}.values()) for group in groups], words, solution) | {
        "invented": by_hand(groups, words, solution)["invented"]
    }


MISTAKES = (
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
        "A group with a repeated word is not the solution's. As sets the two are equal, as sorted lists they are not.",
    ),
    Misconception(
        "counted_twice",
        _counting(lambda groups, wanted: sum(sorted(g) in [sorted(w) for w in wanted] for g in groups)),
        "A right group given three times counts three times in yours. Go through the groups of the solution.",
    ),
    Misconception(
        "as_long_and_all_in",
        _counting(lambda groups, wanted: sum(any(len(g) == len(w) and {*g} <= {*w} for g in groups) for w in wanted)),
        "A group of the right length whose items are all in the solution's may still have one twice and lack another.",
    ),
    Misconception(
        "fewer_is_allowed",
        _counting(lambda groups, wanted: sum(any(g and {*g} <= {*w} for g in groups) for w in wanted)),
        "A group that lacks a word is not exactly the solution's.",
    ),
    Misconception(
        "only_four",
        _counting(lambda groups, wanted: sum(len(w) == 4 and sorted(w) in map(sorted, groups) for w in wanted)),
        "You count groups of four only. Walls may have groups of other sizes.",
    ),
    Misconception(
        "small_letters_after_sorting",
        _small_after_sorting,
        "You sort the words and make small letters afterwards: capitals come first in the order, so the same words can stand "
        "in another order. Small letters first.",
    ),
    Misconception(
        "repeated_with_capitals",
        _repeated(lambda words, items: [word for word in words if items.count(word) > 1]),
        "You count repeated words with their capitals: MUD and mud are the same word twice.",
    ),
    Misconception(
        "repeated_as_in_the_answer",
        _repeated(_spelt_as_in_the_answer),
        "Your repeated words are spelt as in the answer; the wall's spelling is asked for.",
    ),
    Misconception(
        "repeated_in_the_answers_order",
        _repeated(_in_order_of_the_answer),
        "Your repeated words are in the answer's order; the wall's order is asked for. Go through `words`.",
    ),
    Misconception(
        "parts_of_words",
        _parts_of_words,
        "You look for a word in a long string, where it is also found as a part of another. Compare whole items.",
    ),
    Misconception(
        "spaces_inside_ignored",
        _only_signs(lambda item: item.replace(" ", "")),
        "You compare without the spaces inside, but only capitals do not matter: Icecream is not Ice Cream.",
    ),
    Misconception(
        "letters_only",
        _only_signs(lambda item: "".join(filter(str.isalnum, item))),
        "You compare letters only, but nothing except capitals may differ: Icecream is not Ice Cream.",
    ),
    Misconception(
        "capitals_as_on_the_wall",
        _capitals_as_on_the_wall,
        "title() or capitalize() does not give every word's spelling on the wall (McCoy). Make both sides small.",
    ),
    Misconception(
        "missing_in_right_groups",
        _missing_in_right_groups,
        "A word is missing when no group holds it, right or wrong. You look only at the right groups.",
    ),
    Misconception(
        "reported_in_small_letters",
        lambda groups, words, solution: {
            key: [item.lower() for item in value] if isinstance(value, list) else value
            for key, value in by_hand(groups, words, solution).items()
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
)
