"""Is one result that of a known mistake? More than being within a tolerance of it is needed.

Works on plain data (see `values`). A mistake separates from the right result in some numbers; only these tell something.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lib.exercises.engine.compare import Tolerance, difference
from lib.exercises.engine.values import Array

_NEARER = 10  # times nearer to the mistake than the mistake is to the right result


def is_alike(got: Any, mistaken: Any, expected: Any, tolerance: Tolerance) -> bool:
    """Whether `got` is the result of a mistake: within the tolerance, and much nearer to it than to `expected`.

    >>> is_alike(3.00001, 3.0, 2.0, Tolerance()), is_alike(2.00003, 2.0001, 2.0, Tolerance())
    (True, False)
    """
    if difference(got, mistaken, tolerance) is not None:
        return False
    mine, theirs, right = (_numbers(each) for each in (got, mistaken, expected))
    if not mine.shape == theirs.shape == right.shape:
        return mine.shape == theirs.shape
    return bool((_gap(mine, theirs) <= _gap(theirs, right) / _NEARER)[_separates(theirs, right)].all())


def is_telling(mistaken: Any, expected: Any) -> bool:
    """Whether hardly anything but the same mistake gives this result: it is off in a number with decimals, in text, or in
    three numbers that differ.

    >>> is_telling(0.25, 0.5), is_telling(1, 0), is_telling([1, 2, 3], [3, 1, 2])
    (True, False, True)
    """
    theirs, right = _numbers(mistaken), _numbers(expected)
    off = theirs[_separates(theirs, right)] if theirs.shape == right.shape else theirs
    off = off[np.isfinite(off)]
    return bool((off != np.round(off)).any()) or len(np.unique(off)) > 2 or (not len(theirs) and mistaken is not None)


def composed(first: Any, second: Any, expected: Any, *, product: bool) -> np.ndarray | None:
    """The numbers that two mistakes made together give, where each changes the right result by a factor (`product`: a
    sign, a sum for a mean, bits for nats) or by a term; None if they do not have as many numbers, or have none, or also text.

    >>> composed(-3.0, 6.0, 3.0, product=True), composed(5.0, 2.0, 3.0, product=False)
    (array([-6.]), array([4.]))
    """
    a, b, right = (_numbers(each) for each in (first, second, expected))
    if not a.shape == b.shape == right.shape or not a.size or not _is_numeric(expected):
        return None
    with np.errstate(all="ignore"):
        if product:
            return np.where((right == 0) & ((a == 0) | (b == 0)), 0.0, a * b / right)
        return a + b - right


def is_composed(got: Any, made: np.ndarray, tolerance: Tolerance) -> bool:
    """Whether `got` has the numbers `made`, up to the tolerance."""
    mine = _numbers(got)
    if not _is_numeric(got) or mine.shape != made.shape or not np.isfinite(made).all():
        return False
    return bool((_gap(mine, made) <= tolerance.atol + tolerance.rtol * np.abs(made)).all())


def in_form(got: Any, wanted: Any) -> Any:
    """`got` in the form of `wanted`, where a slip in the form alone separates the two: a list, a number or a NumPy array
    for a tensor or the reverse, a dimension of one too many or too few, whole numbers for decimal ones.

    >>> in_form([0.5, 1.5], Array("tensor", "float32", np.zeros(2, np.float32))).values.tolist()
    [0.5, 1.5]
    """
    if type(wanted) is Array:
        values = got.values if type(got) is Array else _as_array(got)
        if values is None or [n for n in values.shape if n != 1] != [n for n in wanted.values.shape if n != 1]:
            return got
        kind = wanted.values.dtype if values.dtype.kind in "if" and wanted.values.dtype.kind in "if" else values.dtype
        return Array(wanted.kind, wanted.dtype, values.reshape(wanted.values.shape).astype(kind))
    if type(got) is Array and type(wanted) in (int, float) and got.values.size == 1:
        return type(wanted)(got.values.item()) if got.values.dtype.kind in "if" else got
    if type(got) is Array and type(wanted) in (list, tuple):
        return got.values.tolist()
    return got


def _as_array(got: Any) -> np.ndarray | None:
    if type(got) not in (int, float, list, tuple):
        return None
    try:
        values = np.array(got)
    except (ValueError, OverflowError):  # rows of different lengths
        return None
    return values if values.dtype.kind in "if" else None


def _numbers(plain: Any) -> np.ndarray:
    """All numbers of plain data in a row, as float64."""
    found = [np.asarray(each, np.float64).reshape(-1) for each in _parts(plain)]
    return np.concatenate(found) if found else np.zeros(0)


def _parts(plain: Any) -> Iterator[Any]:
    if type(plain) is Array:
        yield plain.values.real
    elif type(plain) in (bool, float) or (type(plain) is int and abs(plain) < 10**300):
        yield plain
    elif type(plain) in (list, tuple, dict):
        for entry in plain.values() if type(plain) is dict else plain:
            yield from _parts(entry)


def _is_numeric(plain: Any) -> bool:
    if type(plain) in (list, tuple, dict):
        return all(map(_is_numeric, plain.values() if type(plain) is dict else plain))
    return type(plain) in (Array, int, float)


def _gap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a − b|, 0 where both are the same infinity or NaN, infinity where only one is."""
    with np.errstate(all="ignore"):
        gap = np.abs(a - b)
    return np.where((a == b) | ((a != a) & (b != b)), 0.0, np.where(np.isfinite(gap), gap, np.inf))


def _separates(mistaken: np.ndarray, right: np.ndarray) -> np.ndarray:
    """In which numbers the mistake shows: those that differ by more than a thousandth of the largest difference, and by
    more than rounding: where a mistake gives NaN in places, rounding may be all the difference elsewhere."""
    gap = _gap(mistaken, right)
    finite = gap[np.isfinite(gap)]
    rounding = 1e-6 * np.abs(np.where(np.isfinite(right), right, 0.0))
    return gap > np.maximum(1e-3 * finite.max(initial=0.0), rounding)
