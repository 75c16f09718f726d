import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.slides import parse_range, parse_size


@pytest.mark.parametrize("text, size", [
    ("117M", 117_000_000), ("1.5B", 1_500_000_000), ("175.0B", 175_000_000_000),
    ("16*110B (guessed)", 1_760_000_000_000),
    ("5GB", 5_000_000_000), ("2k", 2_000), ("30,000", 30_000), ("2,500M words", 2_500_000_000),
    ("15T", 15 * 10**12),
    ("410 billion", 410 * 10**9), ("0.0005K", 0.5), ("7", 7),
])  # fmt: skip
def test_a_printed_size_is_this_number(text, size):
    assert parse_size(text) == size
    assert isinstance(parse_size(text), type(size))


@pytest.mark.parametrize("text, low, high", [
    ("110-340M", 110e6, 340e6), ("60M-11B", 60e6, 11e9), ("7B -> 1T", 7e9, 1e12), ("10K -> 1M", 1e4, 1e6),
    ("7B to 65B", 7e9, 65e9), ("66M", 66e6, 66e6), ("1-100 Tril ?", 1e12, 1e14), ("< 100M", 0, 100e6),
    ("≥ 1B", 1e9, math.inf), ("≤ 1B", 0, 1e9), ("> 1B", 1e9, math.inf),
])  # fmt: skip
def test_a_printed_range_has_these_ends(text, low, high):
    assert (parse_range(text).low, parse_range(text).high) == (low, high)


def test_ends_belong_to_a_range_unless_the_sign_is_strict():
    assert 7_000_000_000 in parse_range("7B -> 1T") and 10**12 in parse_range("7B -> 1T")
    assert 100_000_000 not in parse_range("< 100M") and 100_000_000 in parse_range("<= 100M")
    assert 100 not in parse_range("> 100") and 100 in parse_range(">= 100") and 101 in parse_range("> 100")


@given(st.integers(1, 9_999), st.sampled_from([("K", 3), ("M", 6), ("B", 9), ("T", 12)]), st.integers(0, 3))
def test_what_is_written_is_read_back(digits, suffix, decimals):
    letter, power = suffix
    text = f"{digits / 10**decimals:.{decimals}f}{letter}"
    assert parse_size(text) == pytest.approx(digits * 10 ** (power - decimals), rel=1e-12)


@pytest.mark.parametrize("text", ["", "many", "110-340M", "-5M", "1e9", "5 M M", "nan", "< 100M", "1..5M"])
def test_what_is_no_size_is_refused_by_name(text):
    with pytest.raises(ValueError, match="text must be a size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "small", "1B -> 2B -> 3B", "7B ->", "-> 1T", "-5"])
def test_what_is_no_range_is_refused_with_the_whole_text(text):
    with pytest.raises(ValueError, match="size") as error:
        parse_range(text)
    assert repr(text) in str(error.value)


def test_a_range_the_wrong_way_round_is_refused():
    with pytest.raises(ValueError, match="smaller end first"):
        parse_range("11B-60M")


def test_a_size_that_is_already_a_number_is_refused(unchecked):
    with pytest.raises(TypeError, match="text must be a string, got float"):
        parse_size(1.5)


def test_a_range_handed_to_parse_size_is_pointed_the_right_way():
    with pytest.raises(ValueError, match="parse_range"):
        parse_size("7B -> 1T")


@pytest.mark.parametrize(
    "text, low, high",
    [("< 100M", (99_999_999, True), (100_000_000, False)), ("<= 100M", (100_000_000, True), (100_000_001, False)),
     ("≤ 100M", (100_000_000, True), (100_000_001, False)), ("> 1B", (10**9, False), (10**9 + 1, True)),
     (">= 1B", (10**9 - 1, False), (10**9, True)), ("≥ 1B", (10**9, True), (0, False)),
     ("7B to 65B", (7 * 10**9, True), (65 * 10**9, True)), ("7B-65B", (7 * 10**9 - 1, False), (65 * 10**9 + 1, False)),
     ("117M", (117 * 10**6, True), (117 * 10**6 + 1, False))],
)  # fmt: skip
def test_the_ends_of_a_range_belong_to_it_unless_it_says_otherwise(text, low, high):
    sizes = parse_range(text)
    for size, inside in (low, high):
        assert (size in sizes) is inside


@pytest.mark.parametrize("text, size", [("1.5 K", 1500), ("2 trillion tokens", 2 * 10**12), ("3 tril", 3 * 10**12),
                                        ("4 million params", 4 * 10**6), ("0.5", 0.5), ("1,234", 1234), ("5G", 5 * 10**9),
                                        ("7 billion?", 7 * 10**9), ("2*3K", 6000), ("1.2345K", 1234.5)])  # fmt: skip
def test_each_suffix_and_remark(text, size):
    assert parse_size(text) == size and type(parse_size(text)) is type(size)


def test_a_range_that_falls_is_refused_and_one_of_a_single_size_is_not():
    with pytest.raises(ValueError, match="smaller end first"):
        parse_range("7B -> 7M")
    assert parse_range("7B -> 7B") == parse_range("7B")


@pytest.mark.parametrize("suffix, power", [("", 0), ("K", 3), ("M", 6), ("G", 9), ("B", 9), ("T", 12), (" million", 6),
                                           (" billion", 9), (" trillion", 12), (" tril", 12)])  # fmt: skip
@pytest.mark.parametrize("change", [str, str.upper, str.lower])
def test_every_suffix_in_large_and_small(suffix, power, change):
    assert parse_size(f"3{change(suffix)}") == 3 * 10**power


@pytest.mark.parametrize("word", ["parameters", "params", "tokens", "words", "bytes", "(guessed)", "?"])
def test_every_remark_is_left_out(word):
    assert parse_size(f"3M {word}") == 3_000_000
