"""Near-identical answers to one exercise.

An answer is given as its shape (`shape.shape_of`) and split into runs of five tokens. Runs that many students write do
not indicate copying, so runs of a known answer, or of many students' answers, are removed first (as Moss does:
Schleimer et al., "Winnowing", 2003). Two answers are near-identical if enough rare runs are left and most of them are
in both. A copy may hide in a function that the answer calls, so each such function is compared as well. An index of
runs finds such pairs; pairs without a common rare run are never compared.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

RUN = 5  # tokens
LEAST_RARE = 40  # rare runs that an answer must have to be compared
NEAR = 0.7  # Jaccard similarity of rare runs; one changed token in 40 runs leaves 0.78
POPULAR = 0.05  # share of the class above which a run is not rare …
FEW = 3  # … if more than this number of students have it
LONGEST = 4000  # tokens that are compared

Runs = frozenset[tuple]

_OWN_NAME = re.compile(r"n\d+")


@dataclass(frozen=True)
class Group:
    """Students with near-identical answers to one exercise, each linked to another student of the group."""

    students: tuple[str, ...]
    similarity: float  # of the least similar linked pair: 1 if all have the same shape
    rare: int  # rare runs in the shortest of the pieces that are alike


def runs_of(shape: Sequence[str]) -> Runs:
    """The runs of five tokens in a shape; repetitions of a run are numbered and count separately.

    A student's own names are renumbered in each run, so that an additional variable at the top changes no run below.

    >>> len(runs_of(["a", "b"] * 4)), len(runs_of(["a"]))
    (4, 0)
    >>> runs_of(["n0", "=", "n1", "+", "n1"]) == runs_of(["n4", "=", "n2", "+", "n2"])
    True
    """
    tokens = [str(token) for token in shape[:LONGEST]]
    named = [bool(_OWN_NAME.fullmatch(token)) for token in tokens]
    counted: Counter[tuple[str, ...]] = Counter()
    found = set()
    for start in range(len(tokens) - RUN + 1):
        numbers: dict[str, str] = {}
        run = tuple(
            numbers.setdefault(tokens[i], f"n{len(numbers)}") if named[i] else tokens[i]
            for i in range(start, start + RUN)
        )
        counted[run] += 1
        found.add((*run, counted[run]))
    return frozenset(found)


def similarity(a: Runs, b: Runs) -> float:
    """The Jaccard similarity of two sets of runs, from 0 to 1; 0 if both are empty.

    >>> similarity(frozenset(zip("abc")), frozenset(zip("bcd")))
    0.5
    """
    return len(a & b) / len(a | b) if a or b else 0.0


def groups(shapes: Mapping[str, Sequence[Sequence[str]]], known: Iterable[Sequence[str]] = ()) -> list[Group]:
    """The groups of students with near-identical answers to one exercise, the most similar first.

    `shapes` has the shapes of each student's pieces (see `pieces_of`): a piece of one is compared with every piece of
    the others. `known` are the shapes of published answers: solutions, variants, misconceptions.
    """
    writers: dict[Runs, set[str]] = {}
    for student, pieces in shapes.items():
        for piece in pieces:
            writers.setdefault(runs_of(piece), set()).add(student)
    rare = _without_common(writers, len(shapes), known)
    links = {(runs, runs): 1.0 for runs in rare} | _near_pairs(rare)
    links = {pair: value for pair, value in links.items() if len(writers[pair[0]] | writers[pair[1]]) > 1}
    found: dict[tuple[str, ...], Group] = {}
    for members in _connected(links):
        within = [value for pair, value in links.items() if pair[0] in members]
        students = tuple(sorted(set().union(*(writers[runs] for runs in members))))
        group = Group(students, min(within), min(len(rare[runs]) for runs in members))
        found[students] = max(found.get(students, group), group, key=lambda each: (each.similarity, each.rare))
    return sorted(found.values(), key=lambda group: (-group.similarity, -group.rare, group.students))


def pieces_of(shape: Sequence[str], helpers: Iterable[Sequence[str]]) -> list[Sequence[str]]:
    """What of an answer is compared with others: the answer, each function of its own that it calls, and all together.

    >>> pieces_of(["a"], [["b"], ["c"]])
    [['a'], ['b'], ['c'], ['a', 'b', 'c']]
    """
    parts = [shape, *helpers]
    return parts if len(parts) == 1 else [*parts, [token for part in parts for token in part]]


def _without_common(writers: Mapping[Runs, set[str]], size: int, known: Iterable[Sequence[str]]) -> dict[Runs, Runs]:
    """The rare runs of each piece (not in known answers, not in those of many students), if there are enough."""
    ours = frozenset().union(*(runs_of(shape) for shape in known))
    who: dict[tuple, set[str]] = {}
    for runs, students in writers.items():
        for run in runs:
            who.setdefault(run, set()).update(students)
    many = max(FEW, POPULAR * size)
    left = {runs: frozenset(run for run in runs - ours if len(who[run]) <= many) for runs in writers}
    return {runs: rare for runs, rare in left.items() if len(rare) >= LEAST_RARE}


def _near_pairs(rare: Mapping[Runs, Runs]) -> dict[tuple[Runs, Runs], float]:
    """The similarity of every near-identical pair of different answers, found through shared rare runs."""
    order = list(rare)
    holders: dict[tuple, list[int]] = {}
    for number, runs in enumerate(order):
        for run in rare[runs]:
            holders.setdefault(run, []).append(number)
    shared: Counter[tuple[int, int]] = Counter()
    for numbers in holders.values():
        shared.update((a, b) for i, a in enumerate(numbers) for b in numbers[i + 1 :])
    near = {}
    for (a, b), common in shared.items():
        alike = common / (len(rare[order[a]]) + len(rare[order[b]]) - common)  # Jaccard: what only one has counts too
        if alike >= NEAR:
            near[order[a], order[b]] = alike
    return near


def _connected(links: Iterable[tuple[Runs, Runs]]) -> list[set[Runs]]:
    """The connected components of the linked answers."""
    member: dict[Runs, set[Runs]] = {}
    for a, b in links:
        joined = member.get(a, {a}) | member.get(b, {b})
        for runs in joined:
            member[runs] = joined
    return list({id(joined): joined for joined in member.values()}.values())
