import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.training import SCHEDULES, lr_multiplier


@st.composite
def runs(draw):
    steps = draw(st.integers(1, 60))
    return steps, draw(st.integers(0, steps)), draw(st.sampled_from(SCHEDULES)), draw(st.floats(0, 1))


@given(runs())
def test_rises_to_one_then_never_rises_again(run):
    steps, warmup, schedule, floor = run
    factors = [lr_multiplier(s, steps, warmup, schedule, floor) for s in range(steps)]
    assert all(0 <= f <= 1 + 1e-12 for f in factors)
    assert factors[:warmup] == pytest.approx([(s + 1) / warmup for s in range(warmup)])
    assert max(factors) == pytest.approx(1)
    after = factors[max(warmup - 1, 0) :]
    assert all(a >= b - 1e-12 for a, b in zip(after, after[1:]))


@pytest.mark.parametrize("warmup", [0, 1, 3, 9])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_last_update_has_the_floor(warmup, schedule):
    assert lr_multiplier(9, 10, warmup, schedule, 0.1) == pytest.approx(0.1)


def test_the_middle_of_the_fall():
    # peak at update 2 (index 1), last at index 9: the middle is index 5
    assert lr_multiplier(5, 10, 2, "linear") == pytest.approx(0.5)
    assert lr_multiplier(5, 10, 2, "cosine") == pytest.approx(0.5)
    assert lr_multiplier(3, 10, 2, "linear") == pytest.approx(0.75)
    assert lr_multiplier(3, 10, 2, "cosine") == pytest.approx((1 + 2**-0.5) / 2)


@pytest.mark.parametrize(
    "arguments, name",
    [
        ((0, 5, 0, "step"), "schedule"),
        ((5, 5, 0, "linear"), "step"),
        ((-1, 5, 0, "linear"), "step"),
        ((0, 5, 6, "linear"), "warmup_steps"),
        ((0, 5, 0, "linear", 1.5), "floor"),
        ((0, 5, 0, "linear", -0.1), "floor"),
        ((0, 5, 5, "linear", float("nan")), "floor"),
        ((0, 5, -1, "linear"), "warmup_steps"),
    ],
)
def test_bad_input(arguments, name):
    with pytest.raises(ValueError, match=name):
        lr_multiplier(*arguments)


COSINE = [(1 + c) / 2 for c in (1, 2**-0.5, 0, -(2**-0.5), -1)]  # at 0, 1/4, ... of the way down


@pytest.mark.parametrize(
    "schedule, fall", [("constant", [1] * 5), ("linear", [1, 3 / 4, 1 / 2, 1 / 4, 0]), ("cosine", COSINE)]
)
@pytest.mark.parametrize("warmup, rise", [(0, []), (1, []), (2, [1 / 2]), (4, [1 / 4, 1 / 2, 3 / 4])])
@pytest.mark.parametrize("floor", [0.0, 0.2, 1.0])
def test_the_whole_way(schedule, fall, warmup, rise, floor):
    """Warm-up, whose last update is the peak, then four steps down to the floor."""
    expected = rise + [1.0 if schedule == "constant" else floor + (1 - floor) * share for share in fall]
    found = [lr_multiplier(step, len(expected), warmup, schedule, floor) for step in range(len(expected))]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 1])
def test_a_lone_update_has_the_peak(schedule, warmup):
    assert lr_multiplier(0, 1, warmup, schedule, 0.1) == 1


def test_a_cosine_to_zero_is_usual():
    assert [lr_multiplier(step, 3, 1) for step in range(3)] == pytest.approx([1, 0.5, 0])
