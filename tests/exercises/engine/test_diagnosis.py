"""Which mistake an answer makes: also beside a second slip, never by a tolerance, never by chance."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.exercises import Exercise, Misconception, Tolerance, assess, case
from lib.exercises.engine import diagnosis
from lib.exercises.engine.alike import composed, in_form, is_alike, is_composed, is_telling
from lib.exercises.engine.checking import explain
from lib.exercises.engine.compare import difference
from lib.exercises.engine.values import to_plain


def weighted(x, mask):
    """The mean of the masked numbers; nothing has the mean 0."""
    return (x * mask).sum() / mask.sum().clamp(min=1)


def cases(generator):
    def draw(*mask):
        return torch.randn(len(mask), generator=generator), torch.tensor(mask, dtype=torch.float32)

    return [
        case("all", *draw(1, 1, 1)), case("two of three", *draw(1, 0, 1)), case("one of four", *draw(0, 0, 1, 0)),
        case("three of five", *draw(1, 1, 0, 1, 0)), case("nothing", *draw(0, 0)),
    ]  # fmt: skip


def total(x, mask):
    return (x * mask).sum()


def unmasked(x, mask):
    return x.sum() / len(x)


EXERCISE = Exercise(
    id="demo.weighted", slides=("C07",), points=3, minutes=5, reference=weighted, cases=cases,
    misconceptions=(
        Misconception("sum", total, "You add up."),
        Misconception("unmasked", unmasked, "The mask is not used."),
        Misconception("nothing", lambda x, mask: (x * mask).sum() / mask.sum(), "0/0 is NaN."),
    ),
)  # fmt: skip


def names(answer, exercise=EXERCISE, seed=0):
    return [each.name for each in assess(exercise, answer, seed).diagnosis.misconceptions]


SECOND_SLIPS = {
    "an edge case of its own": lambda x, mask: total(x, mask) if mask.sum() else torch.tensor(7.0),
    "an edge case that raises": lambda x, mask: total(x, mask) if mask.sum() else 1 / 0,
    "a number for a tensor": lambda x, mask: total(x, mask).item(),
    "a NumPy array": lambda x, mask: total(x, mask).numpy(),
    "a list": lambda x, mask: total(x, mask).reshape(1).tolist(),
    "a dimension too many": lambda x, mask: total(x, mask)[None],
    "a changed input": lambda x, mask: x.mul_(mask).sum(),
    "one case that is off": lambda x, mask: total(x, mask) + (len(x) == 4),
}


@pytest.mark.parametrize("slip", SECOND_SLIPS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_second_slip_does_not_silence_a_mistake(slip, seed):
    found = assess(EXERCISE, SECOND_SLIPS[slip], seed).diagnosis
    assert [each.name for each in found.misconceptions] == ["sum"] and not found.certain
    assert found.hint.startswith("Likely, by case") and found.hint.endswith("You add up.")


def test_a_changed_input_has_the_name_that_its_writer_gave_it():
    def changing(numbers, kept):
        numbers *= kept
        return numbers.sum() / kept.sum().clamp(min=1)

    in_place = Misconception(
        "in place", lambda x, mask: x.mul_(mask).sum() / mask.sum().clamp(min=1), "A copy, please."
    )
    found = assess(replace(EXERCISE, misconceptions=(in_place,)), changing)
    assert found.misconception is in_place and found.diagnosis.certain


def test_a_complaint_is_recognised_beside_a_changed_input():
    def decide(given, output, expected):
        return None if abs(output - expected) < 1e-6 else "it is too large" if output > expected else "it is too small"

    above = Misconception("above", lambda x, mask: weighted(x, mask) + 1, "One too much.")
    exercise = replace(EXERCISE, decide=decide, misconceptions=(above,))
    found = assess(exercise, lambda x, mask: x.mul_(0).sum() + 9)
    assert found.misconception is above and not found.diagnosis.certain


def test_what_agrees_everywhere_is_certain():
    found = assess(EXERCISE, lambda x, mask: sum(a * b for a, b in zip(x, mask)))
    assert found.diagnosis.certain and found.diagnosis.hint == "You add up."
    assert found.diagnosis.explained == ((1, 2, 4),)
    assert "\nYou add up.\n" in explain(found)


def test_two_mistakes_that_explain_different_cases_are_both_told():
    def both(x, mask):
        return total(x, mask) / mask.sum() if len(x) % 2 == 0 else total(x, mask)

    assert names(both) == ["sum"], "one NaN alone is no second mistake for sure"
    more = replace(EXERCISE, cases=lambda g: [*cases(g), case("nothing of four", torch.ones(4), torch.zeros(4))])
    found = assess(more, both).diagnosis
    assert found.hint.split("\n") == [
        "Likely, by cases 1, 2 and 4: You add up.",
        "Likely, by cases 5 and 6: 0/0 is NaN.",
    ]


@pytest.mark.parametrize("seed", [0, 1])
def test_two_mistakes_in_the_same_result_are_both_told(seed):
    sign = Misconception("sign", lambda x, mask: -weighted(x, mask), "The minus sign is one too many.")
    shifted = Misconception("shifted", lambda x, mask: weighted(x, mask) + 0.5, "One half too much.")
    exercise = replace(EXERCISE, misconceptions=(*EXERCISE.misconceptions, sign, shifted))
    assert names(lambda x, mask: -total(x, mask), exercise, seed) == ["sum", "sign"]
    assert names(lambda x, mask: total(x, mask) + 0.5, exercise, seed) == ["sum", "shifted"]
    assert names(lambda x, mask: -2 * total(x, mask), exercise, seed) == []
    assert not assess(exercise, lambda x, mask: -total(x, mask), seed).diagnosis.certain


def test_a_match_does_not_rest_on_a_tolerance():
    near = Misconception("near", lambda x, mask: weighted(x, mask) * (1 + 1.1e-4), "A factor too large.")
    exercise = replace(EXERCISE, misconceptions=(near,))
    assert names(near.answer, exercise) == ["near"]
    assert names(lambda x, mask: weighted(x, mask) * (1 + 1.4e-4), exercise) == []
    wide = replace(exercise, tolerance=Tolerance(0.01, 0.0))
    far = Misconception("far", lambda x, mask: weighted(x, mask) * 1.02, "Two hundredths too large.")
    assert names(lambda x, mask: weighted(x, mask) * 1.015, replace(wide, misconceptions=(far,))) == []
    assert names(lambda x, mask: weighted(x, mask) * 1.0201, replace(wide, misconceptions=(far,))) == ["far"]


def test_another_mistake_is_not_given_the_name_of_a_listed_one():
    for unlisted in (
        lambda x, mask: torch.zeros(()) + 1, lambda x, mask: x.max(), lambda x, mask: -weighted(x, mask),
        lambda x, mask: total(x, mask) if len(x) == 2 else weighted(x, mask) + 1,
    ):  # fmt: skip
        assert names(unlisted) == []


def test_the_likeliest_is_named():
    def mostly_unmasked(x, mask):
        return total(x, mask) if len(x) == 5 else unmasked(x, mask)

    found = assess(EXERCISE, mostly_unmasked).diagnosis
    assert found.misconceptions[0].name == "unmasked"


def test_alike_is_nearer_to_the_mistake_than_to_the_truth():
    tolerance = Tolerance(1e-3, 0.0)
    assert is_alike([1.0, 5.0], [1.0, 5.0], [1.0, 4.0], tolerance)
    assert is_alike([1.0009, 5.0], [1.0, 5.0], [1.0, 4.0], tolerance), "only the number in which they differ tells"
    assert not is_alike([1.0, 4.0041], [1.0, 4.005], [1.0, 4.0], tolerance)
    assert is_alike(float("nan"), float("nan"), 1.0, tolerance) and not is_alike("a", "b", "c", tolerance)
    assert is_alike([1.0], [1.0], [1.0, 2.0], tolerance) and is_alike("a", "a", "b", tolerance)


def test_rounding_beside_a_nan_tells_nothing():
    nan, tolerance = float("nan"), Tolerance()
    assert is_alike([nan, 1.0 + 2e-7], [nan, 1.0 - 1e-7], [0.5, 1.0], tolerance)
    assert not is_alike([0.5, 1.0 + 2e-7], [nan, 1.0 - 1e-7], [0.5, 1.0], tolerance)
    assert not is_alike([nan, 1.0009], [nan, 1.0005], [0.5, 1.0], Tolerance(1e-3)), "this is more than rounding"


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=4))
def test_a_mistake_is_alike_to_itself_unless_it_is_right(values):
    right = [value + 1 for value in values]
    assert is_alike(values, values, right, Tolerance())
    assert not is_alike(right, values, right, Tolerance()), "the right result is no mistake"


def test_mistakes_in_text_or_in_other_numbers_are_not_composed():
    tolerance = Tolerance()
    assert composed(["a"], ["b"], ["c"], product=True) is None and composed([], [], [], product=False) is None
    assert composed([1.0], [1.0, 2.0], [1.0], product=True) is None
    assert composed([1.0, None], [2.0, None], [3.0, None], product=True) is None
    assert not is_composed([1.0, "a"], np.array([1.0]), tolerance) and not is_composed(1.0, np.ones(2), tolerance)
    assert not is_composed(float("inf"), np.array([np.inf]), tolerance)
    assert composed(0.0, 0.0, 0.0, product=True) == 0.0


def test_what_tells_something():
    for mistaken, expected, tells in (
        (0.25, 0.5, True), (2.0, 0.5, False), ([0, 1, 2], [3, 4, 5], True), ([0, 0, 0], [1, 2, 3], False),
        (True, False, False), ("BOS", "EOS", True), (None, 1.0, False), (float("nan"), 1.0, False),
        ([1.5, 2.0], [1.5, 3.0], False),
    ):  # fmt: skip
        assert is_telling(mistaken, expected) is tells, (mistaken, expected)


@pytest.mark.parametrize(
    "got, wanted",
    [
        ([0.5, 1.5], torch.tensor([0.5, 1.5])), (0.5, torch.tensor(0.5)), (torch.tensor([0.5]), 0.5),
        (np.array([0.5, 1.5]), torch.tensor([[0.5, 1.5]])), (torch.tensor([1, 2]), torch.tensor([1.0, 2.0])),
        (torch.tensor([1, 2]), [1, 2]), (torch.ones(2, 1), torch.ones(2)),
    ],
)  # fmt: skip
def test_the_form_may_differ(got, wanted):
    got, wanted = to_plain(got), to_plain(wanted)
    assert difference(in_form(got, wanted), wanted, Tolerance()) is None


@pytest.mark.parametrize(
    "got, wanted",
    [([[1.0], [1.0, 2.0]], torch.ones(3)), (torch.ones(2, 3), torch.ones(3, 2)), ("ab", torch.ones(2)),
     (True, torch.tensor(1.0)), (None, torch.ones(1)), ([], torch.ones(2)), (10**400, torch.ones(1))],
)  # fmt: skip
def test_what_has_other_numbers_stays_as_it_is(got, wanted):
    got, wanted = to_plain(got), to_plain(wanted)
    assert difference(in_form(got, wanted), wanted, Tolerance()) is not None


# --- what is likely, decided by hand on sets of cases ---
def signs(name, explained, telling=(), spared=(), exact=()):
    return diagnosis._Signs(
        Misconception(name, len, f"hint of {name}"), *map(frozenset, (explained, exact, telling, spared))
    )


@pytest.mark.parametrize(
    "first, others, returned, likely",
    [
        (signs("a", {}), [], {0}, False),
        (signs("a", {0}), [], {0}, True),  # all that went wrong, and it would be wrong nowhere else
        (signs("a", {0}, spared={1}), [], {0}, False),  # by chance, perhaps
        (signs("a", {0}, {0}, spared={1}), [], {0}, True),
        (signs("a", {0}, {0}, spared={1, 2}), [], {0}, False),  # it would be wrong more often than the answer is
        (signs("a", {0}), [], {0, 1}, False),
        (signs("a", {0}, {0}), [], {0, 1}, True),  # as much as it leaves, and nobody else explains it
        (signs("a", {0}, {0}), [signs("b", {0})], {0, 1}, False),
        (signs("a", {0, 1}), [], {0, 1, 2}, True),  # more than it leaves, in two cases
        (signs("a", {0, 1}), [], {0, 1, 2, 3}, False),
        (signs("a", {0, 1}, {0, 1}), [], {0, 1, 2, 3}, True),
        (signs("a", {0, 1}, {0}), [], {0, 1, 2, 3}, False),
        (signs("a", {0, 1}, {0, 1}), [signs("b", {1})], {0, 1, 2, 3}, False),
        (signs("a", {0, 1}, {0, 1}), [], {0, 1, 2, 3, 4}, False),
        (signs("a", {5}, {5}), [], {0, 1}, False),  # that case did not return
    ],
)  # fmt: skip
def test_likely_is_what_explains_more_than_it_leaves(first, others, returned, likely):
    assert diagnosis._explains([first, *others], frozenset(returned)) is likely


@pytest.mark.parametrize(
    "one, other, returned, both",
    [
        (signs("a", {0, 1}), signs("b", {2, 3}), {0, 1, 2, 3}, True),
        (signs("a", {0, 1}), signs("b", {2, 3}), {0, 1, 2, 3, 4}, False),  # one case is left
        (signs("a", {0, 1}), signs("b", {2}), {0, 1, 2}, False),  # one case may be chance
        (signs("a", {0, 1}), signs("b", {2}, {2}), {0, 1, 2}, True),
        (signs("a", {0, 1, 2}), signs("b", {2}, {2}), {0, 1, 2}, False),  # it has none of its own
        (signs("a", {0, 1}, spared={4, 5}), signs("b", {2, 3}), {0, 1, 2, 3}, True),
        (signs("a", {0, 1}, spared={4, 5, 6}), signs("b", {2, 3}), {0, 1, 2, 3}, False),
        (signs("a", {0, 1}), signs("b", {2, 3}, spared={4, 5, 6}), {0, 1, 2, 3}, False),
        (signs("a", {0, 1}), signs("b", {2, 3}), set(), False),
    ],
)
def test_two_are_told_where_each_has_cases_of_its_own(one, other, returned, both):
    for ranked in ([one, other], [other, one]):
        assert bool(diagnosis._pair(ranked, frozenset(returned))) is both


def test_cases_are_listed_in_words():
    assert diagnosis._listed([2]) == "case 2" and diagnosis._listed([1, 2, 5]) == "cases 1, 2 and 5"


@pytest.mark.parametrize(
    "got, alike",
    [(1.09, True), (1.1, True), (1.11, False), (0.9, True), (0.89, False)],
)
def test_alike_is_ten_times_nearer(got, alike):
    """The mistake is at 1, the right result at 2: the distance between them is 1, a tenth of it is allowed."""
    assert is_alike(got, 1.0, 2.0, Tolerance(0.5, 0.0)) is alike or abs(got - 1) == pytest.approx(0.1)
    assert not is_alike(1.3, 1.0, 2.0, Tolerance(0.2, 0.0)), "outside of the tolerance"


def test_only_numbers_in_which_a_mistake_shows_tell():
    """Differences of 100 and 0.09: the second is below a thousandth of the first, and 0.11 is not."""
    wide = Tolerance(0.0, 0.2)
    assert is_alike([100.0, 0.15], [100.0, 0.09], [0.0, 0.0], wide)
    assert not is_alike([100.0, 0.15], [100.0, 0.11], [0.0, 0.0], wide)


@pytest.mark.parametrize("mistaken, tells", [([1, 2, 2], False), ([1, 2, 3], True), ([1, 1, 1], False), ([], False)])
def test_three_numbers_that_differ_tell(mistaken, tells):
    assert is_telling(mistaken, [0] * len(mistaken)) is (tells or mistaken == [])


def test_the_same_complaint_in_one_case_alone_may_be_chance():
    """Two results that are too large are not the same mistake, where another case is right; the same value would be."""

    def decide(given, output, expected):
        return None if abs(output - expected) < 1e-6 else "it is too large"

    above = Misconception("above", lambda x, mask: weighted(x, mask) + 1.25, "One too much.")
    two = replace(EXERCISE, misconceptions=(above,), cases=lambda g: cases(g)[:2])
    judged = replace(two, decide=decide)
    for more, exercise, found in ((3.5, judged, []), (1.25, judged, []), (1.25, two, ["above"])):
        assert names(lambda x, mask, more=more: weighted(x, mask) + more * (mask.sum() == 2), exercise) == found
    assert names(lambda x, mask: weighted(x, mask) + 3.5, judged) == ["above"]
