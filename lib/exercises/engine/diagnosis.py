"""Which known mistake an answer makes: case by case, from what the answer and each misconception did.

A case tells something only where the answer is wrong, the misconception too, and the answer is ten times nearer to the
misconception than that is to the right result: what a tolerance forgives is no evidence. An answer that does the same
as a misconception in every case makes that mistake. If it does so in some cases, because it makes a second slip, the
mistake is likely; two mistakes that explain different cases, or that together give every result, are named both.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lib.exercises.engine.alike import composed, in_form, is_alike, is_composed, is_telling
from lib.exercises.engine.exercise import Exercise, Misconception
from lib.exercises.engine.gradients import gradient_difference
from lib.exercises.engine.running import Outcome
from lib.exercises.engine.verdicts import Verdict


@dataclass(frozen=True, eq=False)
class Known:
    """A misconception, with what it does on the cases of a key and the verdicts on that."""

    misconception: Misconception
    outcomes: tuple[Outcome, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Diagnosis:
    """The misconceptions that explain an answer, the likeliest first, each with the numbers of the cases it explains.

    `certain`: the answer does the same in every case. Otherwise it is likely.
    """

    misconceptions: tuple[Misconception, ...] = ()
    explained: tuple[tuple[int, ...], ...] = ()  # from 1
    certain: bool = False

    @property
    def hint(self) -> str:
        """The words for the student, or "".

        >>> Diagnosis((Misconception("sum", sum, "You add up."),), ((1, 3),)).hint
        'Likely, by cases 1 and 3: You add up.'
        """
        hints = [misconception.hint for misconception in self.misconceptions]
        if self.certain:
            return hints[0]
        return "\n".join(f"Likely, by {_listed(cases)}: {hint}" for hint, cases in zip(hints, self.explained))


def _listed(numbers: Sequence[int]) -> str:
    """ "case 2", "cases 1 and 3", "cases 1, 2 and 5"."""
    if len(numbers) == 1:
        return f"case {numbers[0]}"
    return f"cases {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


@dataclass(frozen=True)
class _Signs:
    """What speaks for and against one misconception; cases by index."""

    misconception: Misconception
    explained: frozenset[int]  # wrong in the same way
    exact: frozenset[int]  # of these, also with the same type, shape and changed inputs
    telling: frozenset[int]  # of these, hardly by chance
    spared: frozenset[int]  # the answer is right where the misconception is wrong

    def convinces(self, cases: frozenset[int]) -> bool:
        """Whether these of the explained cases are no coincidence."""
        return bool(cases & self.telling) or len(cases) > 1


def diagnose(
    exercise: Exercise,
    known: Iterable[Known],
    outcomes: Sequence[Outcome],
    verdicts: Sequence[Verdict],
    expected: Sequence[Outcome],
) -> Diagnosis:
    """The misconceptions that the answer's `outcomes`, with their `verdicts`, give away; none if it is right."""
    wrong = frozenset(i for i, verdict in enumerate(verdicts) if not verdict.right)
    if not wrong or outcomes[-1].status == "not written":
        return Diagnosis()
    signs, seen = [], []
    for each in known:
        seen.append(each)
        signs.append(_signs(exercise, each, outcomes, verdicts, expected))
        if signs[-1].exact == wrong and not signs[-1].spared:
            return _found(signs[-1:], certain=True)
    returned = frozenset(i for i in wrong if outcomes[i].status == "returned")
    ranked = sorted(signs, key=lambda s: (-len(s.explained & returned), len(s.spared), -len(s.exact)))
    pair = _pair(ranked, returned)
    if pair and not returned <= ranked[0].explained:
        return _found(pair)
    if ranked and _explains(ranked, returned):
        return _found(ranked[:1])
    return _together(exercise, seen, outcomes, returned, expected)


def _explains(ranked: Sequence[_Signs], returned: frozenset[int]) -> bool:
    """Whether the first of these is likely: it explains more of what went wrong than it leaves, or as much by cases that
    no other misconception explains, and the answer does not do well in more cases in which it would be wrong."""
    first, *others = ranked
    explained = first.explained & returned
    left = returned - explained
    if not explained or len(first.spared) > len(explained):
        return False
    if len(explained) == 1 and not left and not first.spared:
        return True
    its_own = explained & first.telling - frozenset().union(*(other.explained for other in others))
    return first.convinces(explained) and (len(explained) > len(left) or len(its_own) >= len(left))


def _pair(ranked: Sequence[_Signs], returned: frozenset[int]) -> list[_Signs]:
    """Two misconceptions that together explain all that went wrong, each in cases of its own; or none."""
    for first, second in itertools.combinations(ranked, 2):
        if returned and returned <= first.explained | second.explained:
            alone = (first.explained - second.explained) & returned, (second.explained - first.explained) & returned
            sure = first.convinces(alone[0]) and second.convinces(alone[1])
            if sure and all(len(each.spared) <= len(each.explained) for each in (first, second)):
                return [first, second]
    return []


def _together(
    exercise: Exercise,
    known: Sequence[Known],
    outcomes: Sequence[Outcome],
    returned: frozenset[int],
    expected: Sequence[Outcome],
) -> Diagnosis:
    """Two misconceptions whose factors, or terms, together give all that the answer returned, right or wrong."""
    whole = [each for each in known if len(each.outcomes) >= len(outcomes)]
    for product, (first, second) in itertools.product((True, False), itertools.combinations(whole, 2)):
        cases = set()
        for i, mine in enumerate(outcomes):
            if mine.status != "returned":
                continue
            one, other, right = first.outcomes[i], second.outcomes[i], expected[i].value
            made = composed(one.value, other.value, right, product=product)
            if made is None or not is_composed(mine.value, made, exercise.tolerance):
                break
            off = i in returned and not first.verdicts[i].right and not second.verdicts[i].right
            if off and is_telling(mine.value, right):
                cases.add(i + 1)
        else:
            if len(cases) > 1:
                numbers = tuple(sorted(cases))
                return Diagnosis((first.misconception, second.misconception), (numbers, numbers))
    return Diagnosis()


def _found(signs: Sequence[_Signs], certain: bool = False) -> Diagnosis:
    numbers = [tuple(i + 1 for i in sorted(each.explained)) for each in signs]
    return Diagnosis(tuple(each.misconception for each in signs), tuple(numbers), certain)


def _signs(
    exercise: Exercise,
    known: Known,
    outcomes: Sequence[Outcome],
    verdicts: Sequence[Verdict],
    expected: Sequence[Outcome],
) -> _Signs:
    explained, exact, telling, spared = set(), set(), set(), set()
    rows = zip(outcomes, verdicts, known.outcomes, known.verdicts, expected)
    for i, (mine, verdict, theirs, their_verdict, right) in enumerate(rows):
        if verdict.right:
            spared |= set() if their_verdict.right else {i}
            continue
        how = "" if their_verdict.right else _same(exercise, mine, verdict, theirs, their_verdict, right)
        explained |= {i} if how else set()
        exact |= {i} if how == "exact" else set()
        telling |= {i} if how and _tells(verdict, theirs, right) else set()
    return _Signs(known.misconception, *map(frozenset, (explained, exact, telling, spared)))


def _tells(verdict: Verdict, theirs: Outcome, right: Outcome) -> bool:
    """Whether agreement in one case is hardly by chance; the same complaint about other draws may be."""
    if theirs.status != "returned" or verdict.kind == "decided":
        return False
    return verdict.kind == "gradient" or is_telling(theirs.value, right.value)


def _same(
    exercise: Exercise, mine: Outcome, verdict: Verdict, theirs: Outcome, their_verdict: Verdict, right: Outcome
) -> str:
    """How a wrong outcome agrees with that of a misconception: "exact", "in value" or ""."""
    if mine.status != theirs.status:
        return ""
    if mine.status != "returned":
        return "exact" if mine.message == theirs.message else ""
    as_much = "exact" if len(mine.mutated) == len(theirs.mutated) else "in value"  # the names are the writer's own
    if verdict.kind in ("gradient", "mutated"):
        same = verdict.kind == their_verdict.kind and len(mine.mutated) == len(theirs.mutated)
        return "exact" if same and _same_gradient(mine.gradient, theirs.gradient) else ""
    if is_alike(mine.value, theirs.value, right.value, exercise.tolerance):
        return as_much
    if exercise.decide is not None and _complaint(verdict) == _complaint(their_verdict):
        return as_much
    formed = in_form(mine.value, theirs.value)
    return "in value" if is_alike(formed, theirs.value, right.value, exercise.tolerance) else ""


def _complaint(verdict: Verdict) -> tuple[str, str]:
    return verdict.kind, verdict.reason.split("; also, ")[0]


def _same_gradient(mine: Any, theirs: Any) -> bool:
    if type(mine) is str or type(theirs) is str:
        return type(mine) is type(theirs)
    return gradient_difference(mine, theirs, [""] * len(theirs)) is None
