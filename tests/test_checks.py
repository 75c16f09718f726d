"""The checks of arguments: what each lets through, what it refuses, and in which words."""

import decimal
import fractions
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lib import ROOT, checks

WHOLE = [3, np.int64(3), np.uint8(3), torch.tensor(3), torch.tensor([3]), np.array(3)]
REAL = [
    0.5,
    np.float32(0.5),
    np.float64(0.5),
    torch.tensor(0.5),
    torch.tensor([0.5]),
    np.array(0.5),
    fractions.Fraction(1, 2),
]
NO_NUMBER = [
    True,
    False,
    np.True_,
    torch.tensor(True),
    "3",
    b"3",
    None,
    1j,
    torch.tensor(1j),
    [3],
    {},
    torch.zeros(2),
    np.zeros(2),
]
OUTSIDE = [math.nan, math.inf, -math.inf, np.float32("nan"), torch.tensor(math.inf)]


def refused(error, message, check, *arguments, **tensors):
    with pytest.raises(error) as found:
        check(*arguments, **tensors)
    assert str(found.value) == message


# --- numbers ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", WHOLE, ids=repr)
def test_whole_numbers_of_every_kind_come_back_as_an_int(value):
    found = checks.whole("n", value)
    assert found == 3 and type(found) is int
    assert type(checks.number("n", value)) is int and checks.number("n", value) == 3


@pytest.mark.parametrize("value", [*REAL, *NO_NUMBER, math.nan, decimal.Decimal(2), 2.0], ids=repr)
def test_what_is_no_whole_number(value):
    with pytest.raises(TypeError, match="^n must be a whole number, got "):
        checks.whole("n", value)


@pytest.mark.parametrize("value", [*REAL, decimal.Decimal("0.5")], ids=repr)
def test_numbers_of_every_kind_come_back_as_a_float(value):
    for check in (checks.number, checks.positive, checks.share):
        found = check("x", value)
        assert found == 0.5 and type(found) is float


@pytest.mark.parametrize("value", NO_NUMBER, ids=repr)
@pytest.mark.parametrize("check", [checks.number, checks.positive, checks.share])
def test_what_is_no_number(check, value):
    with pytest.raises(TypeError, match="^x must be a number, got "):
        check("x", value)


@pytest.mark.parametrize("value", OUTSIDE, ids=repr)
@pytest.mark.parametrize("check", [checks.number, checks.positive, checks.share])
def test_nan_and_infinity_are_refused(check, value):
    with pytest.raises(ValueError, match="^x must .*, got (nan|inf|-inf)$"):
        check("x", value)
    assert checks.positive("x", math.inf, infinite=True) == math.inf
    with pytest.raises(ValueError, match="x must be a number above 0, got nan"):
        checks.positive("x", math.nan, infinite=True)


def test_large_integers_stay_exact():
    large = 10**400  # no float can hold it
    assert checks.whole("n", large) == checks.number("n", large) == checks.positive("n", large) == large
    assert checks.number("n", np.int64(2**62)) * 4 == 2**64


@pytest.mark.parametrize(
    "value, bounds, message",
    [
        (0, (), "n must be at least 1, got 0"),
        (-1, (0,), "n must be at least 0, got -1"),
        (4, (5,), "n must be at least 5, got 4"),
        (1, (2, 8), "n must lie in [2, 8], got 1"),
        (9, (2, 8), "n must lie in [2, 8], got 9"),
        (5, (None, 4), "n must lie in [-inf, 4], got 5"),
        (np.int64(0), (), "n must be at least 1, got 0"),
        (torch.tensor(9), (2, 8), "n must lie in [2, 8], got 9"),
    ],
)
def test_bounds_of_whole_numbers(value, bounds, message):
    refused(ValueError, message, checks.whole, "n", value, *bounds)


def test_the_bounds_themselves_belong():
    assert [checks.whole("n", n, 2, 8) for n in (2, 8)] == [2, 8]
    assert checks.whole("n", -(10**30), None) == -(10**30) and checks.whole("n", 10**30) == 10**30


INTERVALS = {
    "[0, 1]": "x must lie in [0, 1], got {}",
    "(0, 1)": "x must lie in (0, 1), got {}",
    "[0, 0.5)": "x must lie in [0, 0.5), got {}",
    "(0, 1]": "x must lie in (0, 1], got {}",
    "(0, inf)": "x must be a finite number above 0, got {}",
    "[0, inf)": "x must be a finite number of at least 0, got {}",
    "[1, inf)": "x must be a finite number of at least 1, got {}",
    "(0, inf]": "x must be a number above 0, got {}",
    "(-inf, inf)": "x must be a finite number, got {}",
}


@pytest.mark.parametrize("interval", INTERVALS)
@given(value=st.floats() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0]))
@settings(deadline=None)
def test_an_interval_is_what_mathematics_says(interval, value):
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[-1] == "]" else value < high
    if above and below:
        assert checks.number("x", value, interval) == value
    else:
        refused(ValueError, INTERVALS[interval].format(value), checks.number, "x", value, interval)


# --- anything -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "value, options, message",
    [
        ("max", ("mean", "sum", "none"), "how must be 'mean', 'sum' or 'none', got 'max'"),
        ("Mean ", ("mean", "sum"), "how must be 'mean' or 'sum', got 'Mean '; did you mean mean?"),
        (None, ("mean", "sum"), "how must be 'mean' or 'sum', got None"),
        (["mean"], ("mean",), "how must be 'mean', got ['mean']; did you mean mean?"),
        ("x7", {f"x{i}y": i for i in range(9)}, "how must be a known name, got 'x7'; did you mean x7y?"),
        ("?", "abcdefgh", "how must be 'a', 'b', 'c', 'd', 'e', 'f', 'g' or 'h', got '?'"),
        ("?", "abcdefghi", "how must be a known name, got '?'; known are a, b, c, d, e, f, g, h, i"),
    ],
)
def test_options(value, options, message):
    if value == "x7":  # three are suggested, the nearest first
        message = message[: message.index("?")]
        with pytest.raises(ValueError, match=message):
            checks.one_of("how", value, options)
    else:
        refused(ValueError, message, checks.one_of, "how", value, options)
    for option in options:
        assert checks.one_of("how", option, options) == option


@pytest.mark.parametrize(
    "kinds, message",
    [
        ((int,), "m must be an int, got str"),
        ((nn.Linear, nn.Embedding, dict), "m must be an nn.Linear, an nn.Embedding or a dict, got str"),
        ((torch.Tensor, nn.Module), "m must be a Tensor or an nn.Module, got str"),
    ],
)
def test_instances(kinds, message):
    refused(TypeError, message, checks.instance, "m", "a string", *kinds)
    layer = nn.Linear(1, 1)
    assert checks.instance("m", layer, int, nn.Module) is layer


def test_of_many_options_three_at_most_are_suggested():
    options = ["adam-fp32", "adam-fp16", "adam-bf16", "adam-fp8", *"uvwxyz"]
    with pytest.raises(ValueError) as found:
        checks.one_of("how", "adam-fp33", options)
    said = str(found.value)
    assert said.startswith("how must be a known name, got 'adam-fp33'; did you mean adam-fp32 or ")
    assert said.count("adam-") == 4


def test_strings():
    assert checks.strings("s", ("a", "b")) == checks.strings("s", iter("ab")) == ["a", "b"]
    assert checks.strings("s", []) == []
    refused(TypeError, "s must be a sequence of strings, got one string: 'ab'", checks.strings, "s", "ab")
    refused(TypeError, "s must be a sequence of strings, got None in it", checks.strings, "s", ["a", None])
    refused(TypeError, "s must be a sequence of strings, got b'a' in it", checks.strings, "s", [b"a"])
    refused(TypeError, "s must be a sequence of strings, got 3", checks.strings, "s", 3)


def test_what_is_empty():
    checks.not_empty(x=torch.zeros(1), y=[0], z="a", array=np.zeros(1), zero_dim=torch.tensor(0.0))
    refused(ValueError, "x must not be empty, got shape (3, 0)", checks.not_empty, x=torch.zeros(3, 0))
    refused(ValueError, "y must not be empty, got ()", checks.not_empty, x=torch.zeros(1), y=())
    refused(ValueError, "z must not be empty, got range(0, 0)", checks.not_empty, z=range(0))


def test_lengths():
    checks.same_length(a=[1, 2], b="ab", c=np.zeros(2), d=torch.zeros(2, 5))
    refused(ValueError, "c must have the length of a, 2, got 3", checks.same_length, a=[1, 2], b="ab", c="abc")


# --- tensors ------------------------------------------------------------------------------------------------
def test_kinds_of_tensors():
    checks.floating(x=torch.zeros(1), y=torch.zeros(1, dtype=torch.bfloat16))
    checks.integers(x=torch.arange(1), y=torch.zeros(1, dtype=torch.uint8))
    refused(
        TypeError,
        "y must be a floating-point tensor, got torch.int64",
        checks.floating,
        x=torch.ones(1),
        y=torch.arange(1),
    )
    refused(TypeError, "x must be a floating-point tensor, got ndarray", checks.floating, x=np.ones(1))
    for bad in (torch.ones(1), torch.ones(1) > 0, torch.ones(1) * 1j):
        refused(TypeError, f"x must be an integer tensor, got {bad.dtype}", checks.integers, x=bad)
    refused(TypeError, "x must be an integer tensor, got list", checks.integers, x=[1])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_shown_with_its_place(bad):
    x = torch.zeros(2, 3)
    checks.finite(x=x, y=torch.arange(3), nothing=torch.zeros(0))
    x[1, 2] = bad
    refused(ValueError, f"x must be finite, got {bad} at (1, 2)", checks.finite, y=torch.zeros(1), x=x)
    refused(ValueError, f"x must be finite, got {bad}", checks.finite, x=torch.tensor(bad))


@pytest.mark.parametrize(
    "sizes, message",
    [
        (("B", "T"), "x must have shape (B, T), got (2, 3, 4)"),
        (("B", 4, "K"), "x must have shape (B, 4, K), got (2, 3, 4)"),
        ((2, 3, 4, 5), "x must have shape (2, 3, 4, 5), got (2, 3, 4)"),
        (("N",), "x must have shape (N,), got (2, 3, 4)"),
        ((), "x must have shape (), got (2, 3, 4)"),
    ],
)
def test_shapes(sizes, message):
    for x in (torch.zeros(2, 3, 4), np.zeros((2, 3, 4)), torch.zeros(2, 3, 4, device="meta")):
        refused(ValueError, message, checks.shape, "x", x, *sizes)
        checks.shape("x", x, "B", 3, "K")
        checks.shape("x", x, *x.shape)


def test_a_list_has_no_shape():
    refused(TypeError, "x must be a tensor or an array, got list", checks.shape, "x", [1], "N")
    refused(TypeError, "y must be a tensor or an array, got list", checks.same_shape, x=torch.zeros(1), y=[1.0])


def test_same_shapes():
    one, many = torch.zeros(1), torch.zeros(2)  # broadcasting would make something of them
    checks.same_shape(a=one, b=np.zeros(1), c=one)
    refused(ValueError, "c must have the shape of a, (1,), got (2,)", checks.same_shape, a=one, b=one, c=many)


def test_ids():
    checks.ids_below(4, x=torch.tensor([[0, 3]]), y=torch.tensor(3), nothing=torch.zeros(0, dtype=torch.long))
    checks.ids_below(4, x=torch.empty(3, dtype=torch.long, device="meta"))
    refused(
        ValueError, "y must be ids from 0 to 3, got 4", checks.ids_below, 4, x=torch.tensor([0]), y=torch.tensor([1, 4])
    )
    refused(ValueError, "x must be ids from 0 to 3, got -1", checks.ids_below, 4, x=torch.tensor([[9, -1]]))


def test_dimensions():
    z = torch.zeros(3, 4)
    assert [checks.dimension("dim", dim, z=z) for dim in (0, 1, -1, -2, np.int64(1))] == [0, 1, -1, -2, 1]
    for bad in (2, -3):
        message = f"dim must be a dimension of z, which has shape (3, 4), got {bad}"
        refused(ValueError, message, checks.dimension, "dim", bad, z=z)
    refused(
        ValueError,
        "dim must be a dimension of z, which has shape (), got 0",
        checks.dimension,
        "dim",
        0,
        z=torch.tensor(1),
    )
    refused(TypeError, "dim must be a whole number, got 1.0", checks.dimension, "dim", 1.0, z=z)


def test_what_came_is_not_printed_at_length():
    with pytest.raises(TypeError, match=r"^n must be a whole number, got Tensor of shape \(1000,\)$"):
        checks.whole("n", torch.zeros(1000))
    with pytest.raises(TypeError) as found:
        checks.number("x", "9" * 1000)
    assert len(str(found.value)) < 120


# --- the ground floor ---------------------------------------------------------------------------------------
def test_importing_the_checks_takes_no_torch():
    script = """
import sys
from lib import checks
assert checks.whole("n", 3) == 3 and checks.number("x", 0.5) == 0.5
checks.one_of("how", "sum", ("mean", "sum")), checks.strings("s", ["a"]), checks.same_length(a="b", c="d")
assert "torch" not in sys.modules and "numpy" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
