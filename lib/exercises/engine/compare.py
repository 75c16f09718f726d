"""Is this the expected value, and if not, what is its first difference?

Accepted: another width of a dtype (float64 for float32, int32 for int64), a list for a tuple, a whole number
where a decimal number is expected, a tensor without dimensions where a number is expected. Not accepted:
whole numbers for decimal numbers or the reverse in tensors, booleans for numbers, a number or a list where a
tensor is expected (it has no gradient), a shape that only matches by broadcasting, NaN.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.exercises.engine.values import Array, describe, shorten

_FAMILIES = {
    "b": "booleans", "i": "whole numbers", "u": "whole numbers", "f": "decimal numbers", "c": "complex numbers",
}  # fmt: skip
_NUMBERS = (bool, int, float)


@dataclass(frozen=True)
class Tolerance:
    """|got − expected| ≤ atol + rtol·|expected|; the defaults allow for float32's rounding."""

    rtol: float | int = 1e-4
    atol: float | int = 1e-6

    def __post_init__(self) -> None:
        if not (0 <= self.rtol < 1 and 0 <= self.atol < float("inf")):
            raise ValueError(f"rtol must lie in [0, 1) and atol in [0, ∞), got {self.rtol} and {self.atol}")


EXACT = Tolerance(0.0, 0.0)


@dataclass(frozen=True)
class Difference:
    """The first difference: `what` may be shown to anyone, `detail` also reveals the expected value."""

    kind: str  # "type", "dtype", "shape", "nan" or "value"
    where: str  # "result[0]['loss']"
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.detail})" if self.detail else "")


def difference(got: Any, expected: Any, tolerance: Tolerance, where: str = "result") -> Difference | None:
    """The first difference between two pieces of plain data (see `values.to_plain`), or None if they agree.

    >>> print(difference([1, 2.5], [1, 2.0], Tolerance()))
    result[1]: the value is off (expected 2, got 2.5)
    """
    if type(expected) in _NUMBERS:
        return _number_difference(_as_number(got), expected, tolerance, where)
    if type(expected) is Array:
        return _array_difference(got, expected, tolerance, where)
    if type(expected) in (list, tuple):
        return _sequence_difference(got, expected, tolerance, where)
    if type(got) is not type(expected):
        return _wrong_type(got, expected, where)
    if type(expected) is dict:
        return _dict_difference(got, expected, tolerance, where)
    if got == expected:  # None or str, both of exactly that type
        return None
    near = type(got) is str and got.strip().casefold() == expected.strip().casefold()
    what = "only spaces or capitals differ" if near else "the value is off"
    return Difference("value", where, what, f"expected {describe(expected, 120)}, got {describe(got, 120)}")


def _as_number(got: Any) -> Any:
    number = got.values.item() if type(got) is Array and got.values.ndim == 0 else got
    return number if type(number) in _NUMBERS else got  # a complex number remains an array


def _number_difference(got: Any, expected: Any, tolerance: Tolerance, where: str) -> Difference | None:
    fits = type(got) is type(expected) or (type(expected) is float and type(got) is int)
    if not fits:
        return _wrong_type(got, expected, where)
    if got == expected or (got != got and expected != expected):
        return None
    detail = f"expected {describe(expected)}, got {describe(got)}"
    if type(expected) is not float:
        return Difference("value", where, "the value is off", detail)
    if got != got:
        return Difference("nan", where, "the value is NaN", detail)
    if abs(expected) != float("inf") and _near(got, expected, tolerance):
        return None
    return Difference("value", where, "the value is off", detail)


def _near(got: float | int, expected: float | int, tolerance: Tolerance) -> bool:
    try:
        return abs(got - expected) <= tolerance.atol + tolerance.rtol * abs(expected)
    except OverflowError:  # a whole number too large for a float
        return False


def _array_difference(got: Any, expected: Array, tolerance: Tolerance, where: str) -> Difference | None:
    if type(got) is not Array or got.kind != expected.kind:
        return _wrong_type(got, expected, where)
    a, b = got.values, expected.values
    if a.shape != b.shape:
        return Difference("shape", where, f"the shape is {a.shape}, expected {b.shape}")
    have, want = _FAMILIES[a.dtype.kind], _FAMILIES[b.dtype.kind]
    if have != want:
        what = f"the dtype is {got.dtype} ({have}), expected {want} ({expected.dtype})"
        return Difference("dtype", where, what)
    return _values_difference(a, b, tolerance, where)


def _values_difference(a: np.ndarray, b: np.ndarray, tolerance: Tolerance, where: str) -> Difference | None:
    off = ~_close(a, b, tolerance)
    if not off.any():
        return None
    first = tuple(int(i) for i in np.argwhere(off)[0])
    place = f" at {list(first)}" if first else ""
    detail = f"first{place}: expected {_digits(b[first])}, got {_digits(a[first])}"
    if not first:
        kind, what = ("nan", "the value is NaN") if a != a else ("value", "the value is off")
        return Difference(kind, where, what, detail)
    unexpected_nan = (a != a) & off
    if unexpected_nan.any():
        return Difference("nan", where, f"{unexpected_nan.sum()} of {a.size} values are NaN", detail)
    return Difference("value", where, f"{off.sum()} of {a.size} values are off", detail)


def _close(a: np.ndarray, b: np.ndarray, tolerance: Tolerance) -> np.ndarray | np.bool_:
    same = (a == b) | ((a != a) & (b != b))
    if b.dtype.kind not in "fc":
        return same
    wide = np.complex128 if b.dtype.kind == "c" else np.float64
    a, b = a.astype(wide), b.astype(wide)
    with np.errstate(all="ignore"):
        near = np.abs(a - b) <= tolerance.atol + tolerance.rtol * np.abs(b)
    return same | (near & np.isfinite(b))


def _digits(value: np.generic) -> str:
    return f"{value:.6g}" if value.dtype.kind == "f" else str(value)


def _sequence_difference(got: Any, expected: Any, tolerance: Tolerance, where: str) -> Difference | None:
    if type(got) not in (list, tuple):
        return _wrong_type(got, expected, where)
    if len(got) != len(expected):
        return Difference("shape", where, f"it has {len(got)} entries, expected {len(expected)}")
    for i, (g, e) in enumerate(zip(got, expected)):
        if found := difference(g, e, tolerance, f"{where}[{i}]"):
            return found
    return None


def _dict_difference(got: dict, expected: dict, tolerance: Tolerance, where: str) -> Difference | None:
    missing = [key for key in expected if key not in got]
    extra = [key for key in got if key not in expected]
    if missing or extra:
        what = f"{len(missing)} keys are missing and {len(extra)} are too many"
        names = f"missing {shorten(repr(missing), 100)}, too many {shorten(repr(extra), 100)}"
        return Difference("value", where, what, names)
    for key in expected:
        if found := difference(got[key], expected[key], tolerance, f"{where}[{key!r}]"):
            return found
    return None


def _wrong_type(got: Any, expected: Any, where: str) -> Difference:
    what = f"this is {_kind(got)}, expected {_kind(expected)}"
    advice = ""
    if got is None:
        advice = "is the `return` missing?"
    elif type(expected) is Array and expected.kind == "tensor" and type(got) in _NUMBERS:
        advice = "return the tensor itself, without .item()"
    elif type(expected) is Array and expected.kind == "tensor":
        advice = "torch.tensor(…) makes one"
    elif type(got) is Array and type(expected) in (list, tuple):
        advice = ".tolist() makes one"
    return Difference("type", where, what + (f"; {advice}" if advice else ""))


def _kind(plain: Any) -> str:
    if type(plain) is Array:
        return f"a {'tensor' if plain.kind == 'tensor' else 'NumPy array'} of shape {plain.values.shape}"
    names = {bool: "True or False", int: "a whole number", float: "a decimal number", str: "a string"}
    names |= {list: "a list", tuple: "a tuple", dict: "a dict", type(None): "None"}
    return names[type(plain)]
