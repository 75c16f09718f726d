"""What the scaling laws and fits accept: positive numbers in any form; they compute in double precision."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lib import checks

Numbers = ArrayLike | float | int | Sequence
"""A number, nested sequences of numbers, or an array of them (numpy, pandas, torch on the CPU)."""

Values = NDArray[np.float64] | np.float64
"""An array, or a numpy number where every argument was a number."""


def positives(name: str, value: Numbers, *, infinite: bool = False) -> NDArray[np.float64]:
    """`value` in double precision: `checks.positive` for whole arrays.

    Raises TypeError where it does not hold numbers and ValueError where one of them is zero, negative, NaN or
    (unless `infinite`) infinite.

    >>> positives("N", [10**25, 1])  # Python's integers do not overflow on the way
    array([1.e+25, 1.e+00])
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a number or an array of numbers, got {value!r:.80}") from error
    wrong = ~(array > 0) if infinite else ~((array > 0) & np.isfinite(array))
    if wrong.any():
        kind = "numbers" if infinite else "finite numbers"
        raise ValueError(f"{name} must hold {kind} above 0, got {array[wrong].flat[0]:g}")
    return array


def columns(**named: Numbers) -> list[NDArray[np.float64]]:
    """Columns of one table of measurements: positive, finite, one-dimensional and equally long.

    Raises ValueError naming the column that is not.

    >>> [column.tolist() for column in columns(N=[1, 2], loss=[3, 4])]
    [[1.0, 2.0], [3.0, 4.0]]
    """
    arrays = {name: positives(name, value) for name, value in named.items()}
    for name, array in arrays.items():
        checks.shape(name, array, "R")
    checks.same_length(**arrays)
    return list(arrays.values())


def enough(what: str, points: int, parameters: int) -> None:
    """Raises ValueError where `what` has more parameters than there are points.

    >>> enough("a power law", 1, 2)
    Traceback (most recent call last):
    ValueError: a power law has 2 parameters and needs at least as many points, got 1
    """
    if points < parameters:
        raise ValueError(f"{what} has {parameters} parameters and needs at least as many points, got {points}")


def distinct(name: str, array: NDArray[np.float64], least: int, unknown: str) -> None:
    """Raises ValueError where fewer than `least` different values leave `unknown` undetermined.

    >>> import numpy as np
    >>> distinct("N", np.array([5.0, 5.0]), 2, "its exponent")
    Traceback (most recent call last):
    ValueError: N must take at least 2 different values, or its exponent is not identifiable; got 1
    """
    found = len(np.unique(array))
    if found < least:
        raise ValueError(
            f"{name} must take at least {least} different values, or {unknown} is not identifiable; got {found}"
        )
