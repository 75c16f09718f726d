"""The rule that turns a computation into a verdict, first by cases, then by its properties."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lib.slides.verdicts import compare, read_number, read_printed


@pytest.mark.parametrize("text, value, last_place", [
    ("110M", 110e6, 10e6), ("117M", 117e6, 1e6), ("100M", 100e6, 10e6), ("1.0B", 1e9, 1e8), ("7B", 7e9, 1e9),
    ("36", 36, 1), ("100", 100, 1), ("30,000", 30000, 1), ("0.997", 0.997, 0.001), ("-3.4", -3.4, 0.1),
    ("16*110B", 1.76e12, 160e9), ("0", 0, 1), ("175.0B", 175e9, 1e8), ("10K", 1e4, 1e3),
    ("2,500M", 2.5e9, 1e8),
])  # fmt: skip
def test_value_and_last_place_of_printed_numbers(text, value, last_place):
    number = read_number(text)
    assert float(number.value) == pytest.approx(value)
    assert float(number.last_place) == pytest.approx(last_place)


@pytest.mark.parametrize("printed, recomputed, expected", [
    ("110M", 110_000_000, "exact"), ("110M", 109_482_240, "rounded"), ("110M", 104_999_999, "differs"),
    ("110M", 105_000_000, "rounded"), ("110M", 115_000_001, "differs"), ("117M", 116_534_784, "rounded"),
    ("1.5B", 1_557_611_200, "differs"), ("100", 101, "differs"), ("100", 100, "exact"),
    ("5", 4.66, "rounded"),
    ("0.3", 84.5 - 84.2, "exact"), ("0.001", 0.000909, "rounded"), ("-3.4", 3.4, "differs"),
    ("0", 1e-12, "exact"),
    ("0", 0.6, "differs"), ("21", Fraction(42, 2), "exact"), ("true", True, "exact"),
    ("true", False, "differs"),
    ("false", False, "exact"), ('"MLM"', "MLM", "exact"), ('"MMN"', "MLM", "differs"),
    ("1; 2; 3", (1, 2, 3), "exact"), ("1; 2; 3", (1, 2, 3.4), "rounded"), ("1; 2; 3", (1.2, 2, 9), "differs"),
    ("36; true", (36, True), "exact"),
])  # fmt: skip
def test_comparisons_by_cases(printed, recomputed, expected):
    assert compare(read_printed(printed), recomputed) == expected


def test_a_tolerance_takes_the_place_of_half_the_last_digit():
    roughly_six = read_printed("6")
    assert compare(roughly_six, 6.9, tolerance=Decimal(1)) == "rounded"
    assert compare(roughly_six, 7.1, tolerance=Decimal(1)) == "differs"
    assert compare(roughly_six, 6.4, tolerance=Decimal("0.1")) == "differs"
    assert compare(roughly_six, 6, tolerance=Decimal(1)) == "exact"


@given(st.floats(-1e9, 1e9), st.integers(0, 6))
def test_a_number_printed_with_its_own_rounding_never_differs(number, decimals):
    assert compare(read_printed(f"{number:.{decimals}f}"), number) in ("exact", "rounded")


@given(st.integers(10**9, 10**13), st.integers(2, 4), st.sampled_from([("M", 6), ("B", 9)]))
def test_a_count_abbreviated_to_two_digits_or_more_never_differs(count, digits, suffix):
    letter, power = suffix
    assume(count >= 10**power)
    place = max(len(str(count)) - digits, power - 2)  # at most two decimals before the suffix
    rounded = round(Fraction(count, 10**place)) * 10**place
    decimals = max(power - place, 0)
    assert compare(read_printed(f"{Decimal(rounded).scaleb(-power):.{decimals}f}{letter}"), count) != "differs"


@given(st.decimals(-(10**4), 10**4, places=3), st.fractions("0.5001", 50), st.sampled_from([-1, 1]))
def test_more_than_half_the_last_place_off_always_differs(printed, places_off, sign):
    number = read_printed(f"{printed:.3f}")
    assert compare(number, Fraction(printed) + sign * places_off / 1000) == "differs"
    assert compare(number, float(Fraction(printed) + sign * places_off / 1000)) == "differs"


@given(st.decimals(-(10**6), 10**6, places=2), st.fractions(0, "0.5"), st.sampled_from([-1, 1]))
def test_within_half_the_last_place_never_differs_and_only_equality_is_exact(printed, places_off, sign):
    found = compare(read_printed(f"{printed:.2f}"), Fraction(printed) + sign * places_off / 100)
    assert found == ("exact" if places_off == 0 else "rounded")


@given(st.integers(-(10**15), 10**15))
def test_a_whole_number_written_out_is_exact_only_for_itself(number):
    assert compare(read_printed(str(number)), number) == "exact"
    assert compare(read_printed(str(number)), number + 1) == "differs"


@pytest.mark.parametrize("text", ["", "about six", "6..1", "True", '"', "1;;2", "~6", "nan", "--3"])
def test_a_value_that_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError, match="text must be a number"):
        read_printed(text)


@pytest.mark.parametrize("printed, recomputed, error, complaint", [
    ("1", True, TypeError, "must be a number, as printed, got bool"),
    ("1", "1", TypeError, "must be a number, as printed, got str"),
    ("1", (1,), TypeError, "must be a number, as printed, got tuple"),
    ("true", 1, TypeError, "must be bool, as printed, got int"),
    ('"a"', None, TypeError, "must be str, as printed, got NoneType"),
    ("1; 2", 1, TypeError, "must be a tuple, as printed, got int"),
    ("1; 2", (1, 2, 3), ValueError, "must have 2 items, as printed, got 3"),
    ("1", float("nan"), ValueError, "must be finite, got nan"),
    ("1", float("inf"), ValueError, "must be finite, got inf"),
])  # fmt: skip
def test_a_computation_of_another_kind_is_an_error_not_a_difference(printed, recomputed, error, complaint):
    with pytest.raises(error, match=complaint):
        compare(read_printed(printed), recomputed)


@pytest.mark.parametrize("text, value, last_place", [
    ("1000M", 1e9, 1e8), ("-110M", -110e6, 10e6), ("10", 10, 1), ("1,000", 1000, 1), ("0.50", 0.5, 0.01), ("250K", 250e3, 10e3),
])  # fmt: skip
def test_last_places_at_the_edge(text, value, last_place):
    number = read_number(text)
    assert (float(number.value), float(number.last_place)) == (pytest.approx(value), pytest.approx(last_place))


def test_ties_and_tolerances_at_their_edge():
    assert compare(read_printed("6"), 7, tolerance=Decimal(1)) == "rounded"
    assert compare(read_printed("6; 6"), (6, 7), tolerance=Decimal(1)) == "rounded"
    assert compare(read_printed("6; 6"), (6, 7)) == "differs"
    for tie in (Fraction(1, 2), Fraction(3, 2), 0.5, 1.5, Decimal("1.5")):
        assert compare(read_printed("1"), tie) == "rounded"
    assert compare(read_printed("1"), Fraction(3, 2) + Fraction(1, 10**12)) == "differs"
    assert compare(read_printed("1"), 1.5 + 1e-12) == "rounded"  # a float's noise
    assert compare(read_printed("1"), Fraction(1) + Fraction(1, 10**15)) == "rounded"  # a fraction has none
    assert (
        compare(read_printed("0.3"), 0.3 + 1e-9) == "rounded" and compare(read_printed("0.3"), 0.3 + 1e-11) == "exact"
    )
    billion = read_printed("1,000,000,000")  # 1e-12 of it is a thousandth
    assert compare(billion, 1e9 + 5e-4) == "exact" and compare(billion, 1e9 + 2e-3) == "rounded"
    with pytest.raises(ValueError, match="text must be a number"):
        read_printed('""')
    assert read_printed('1;"b"') == (read_number("1"), "b")
