"""Argument checks for every room, in one dialect: which argument, what it must be, what came instead.

    checks.share("gamma", gamma)                       # gamma must lie in [0, 1], got 1.5
    checks.same_shape(rewards=rewards, values=values)  # values must have the shape of rewards, (2, 3), got (2, 1)

A value of the wrong type raises TypeError, any other bad value ValueError. A number may be Python's, NumPy's, or a
tensor of one element; a truth value is no number. The checks of numbers return a Python int or float, with which a
calculation does not overflow. PyTorch is not imported before a tensor is checked.
"""

import math
import operator
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, SupportsFloat, SupportsIndex

from lib.names import closest, nearest

Whole = SupportsIndex  # for signatures, what `whole` reads: an int, NumPy's integers, an integer tensor of one element
Number = SupportsFloat  # and what `number` reads: these, a float, NumPy's floats, a tensor of one element

LISTED = 8  # an error names so many options; of more it names only those that resemble what came


def whole(name: str, value: Any, at_least: int | None = 1, at_most: int | None = None) -> int:
    """`value` as an int, which must lie from `at_least` to `at_most` (None: no bound on that side).

    Raises TypeError for anything but a whole number (also for 2.0), ValueError outside the bounds.

    >>> whole("steps", 3)
    3
    >>> whole("bits", 9, 2, 8)
    Traceback (most recent call last):
    ValueError: bits must lie in [2, 8], got 9
    """
    try:
        if _is_truth_value(value):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {_shown(value)}") from None
    low, high = -math.inf if at_least is None else at_least, math.inf if at_most is None else at_most
    if not low <= found <= high:
        expected = f"be at least {low}" if at_most is None else f"lie in [{low}, {high}]"
        raise ValueError(f"{name} must {expected}, got {found}")
    return found


def number(name: str, value: Any, interval: str = "(-inf, inf)") -> int | float:
    """`value` as an int or a float, which must lie in `interval`: "[0, 1)" has 0 in it and not 1, "(0, inf)" is finite.

    Raises TypeError for anything but a number, ValueError for NaN or a number outside.

    >>> number("dropout", 0.1, "[0, 1)")
    0.1
    >>> number("beta", float("inf"), "(0, inf)")
    Traceback (most recent call last):
    ValueError: beta must be a finite number above 0, got inf
    """
    found = _as_number(name, value)
    low, high = _ends(interval)
    above = low <= found if interval[0] == "[" else low < found
    below = found <= high if interval[-1] == "]" else found < high
    if not (above and below):  # comparisons with NaN are false
        raise ValueError(f"{name} must {_in_words(interval)}, got {found}")
    return found


def positive(name: str, value: Any, *, infinite: bool = False) -> int | float:
    """`value` as an int or a float, which must be above 0, and finite unless `infinite`. Raises as `number` does.

    >>> positive("theta", 10_000.0)
    10000.0
    """
    return number(name, value, "(0, inf]" if infinite else "(0, inf)")


def share(name: str, value: Any, interval: str = "[0, 1]") -> int | float:
    """`value` as an int or a float, which must lie in [0, 1], or in the given part of it. Raises as `number` does.

    >>> share("level", 0.95, "(0, 1)")
    0.95
    """
    return number(name, value, interval)


def one_of(name: str, value: Any, options: Iterable[str]) -> Any:
    """`value`, which must be one of `options`. Raises ValueError, with the one that was probably meant.

    >>> one_of("reduction", "maen", ["mean", "sum", "none"])
    Traceback (most recent call last):
    ValueError: reduction must be 'mean', 'sum' or 'none', got 'maen'; did you mean mean?
    """
    known = list(options)
    if value in known:
        return value
    if len(known) > LISTED:
        raise ValueError(f"{name} must be a known name, got {value!r}; {nearest(value, known, most=3)}")
    meant = "".join(f"; did you mean {near}?" for near in closest(value, known, cutoff=0.6))
    raise ValueError(f"{name} must be {_either(map(repr, known))}, got {value!r}{meant}")


def instance(name: str, value: Any, *kinds: type) -> Any:
    """`value`, which must be an instance of one of `kinds`. Raises TypeError.

    >>> instance("model", 3, str)
    Traceback (most recent call last):
    TypeError: model must be a str, got int
    """
    if not isinstance(value, kinds):
        raise TypeError(f"{name} must be {_either(map(_with_article, kinds))}, got {type(value).__name__}")
    return value


def strings(name: str, values: Any) -> list[str]:
    """`values` as a list, which must be strings, and not a single one. Raises TypeError.

    >>> strings("targets", "q")
    Traceback (most recent call last):
    TypeError: targets must be a sequence of strings, got one string: 'q'
    """
    if isinstance(values, str):
        raise TypeError(f"{name} must be a sequence of strings, got one string: {values!r:.80}")
    if not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a sequence of strings, got {_shown(values)}")
    found = list(values)
    for value in found:
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a sequence of strings, got {_shown(value)} in it")
    return found


def not_empty(**things: Any) -> None:
    """Raise ValueError for a tensor without numbers or a sequence without items, over which no mean can be taken.

    >>> not_empty(ranks=[])
    Traceback (most recent call last):
    ValueError: ranks must not be empty, got []
    """
    for name, thing in things.items():
        if not (thing.numel() if _is_tensor(thing) else len(thing)):
            came = f"shape {tuple(thing.shape)}" if _is_tensor(thing) else _shown(thing)
            raise ValueError(f"{name} must not be empty, got {came}")


def same_length(**sequences: Any) -> None:
    """Raise ValueError for sequences that are not equally long.

    >>> same_length(prompts=["a", "b"], answers=["c"])
    Traceback (most recent call last):
    ValueError: answers must have the length of prompts, 2, got 1
    """
    (first, wanted), *others = ((name, len(sequence)) for name, sequence in sequences.items())
    for name, length in others:
        if length != wanted:
            raise ValueError(f"{name} must have the length of {first}, {wanted}, got {length}")


def floating(**tensors: Any) -> None:
    """Raise TypeError for anything but a tensor of floating-point numbers."""
    for name, x in tensors.items():
        if not _is_tensor(x) or not x.is_floating_point():
            raise TypeError(f"{name} must be a floating-point tensor, got {_type_of(x)}")


def integers(**tensors: Any) -> None:
    """Raise TypeError for anything but a tensor of integers; truth values are none."""
    for name, x in tensors.items():
        if not _is_tensor(x) or x.is_floating_point() or x.is_complex() or _is_truth_value(x):
            raise TypeError(f"{name} must be an integer tensor, got {_type_of(x)}")


def finite(**tensors: Any) -> None:
    """Raise ValueError for a tensor that holds NaN or infinity, with the first of them."""
    for name, x in tensors.items():
        if not (kept := x.isfinite()).all():
            where = tuple((~kept).nonzero()[0].tolist())
            raise ValueError(f"{name} must be finite, got {x[where].item()}" + (f" at {where}" if where else ""))


def shape(name: str, tensor: Any, *sizes: int | str) -> None:
    """Raise ValueError unless a tensor or an array has these sizes; a letter stands for any.

    >>> import torch
    >>> shape("k", torch.zeros(2, 4, 8), 2, "T", 16)
    Traceback (most recent call last):
    ValueError: k must have shape (2, T, 16), got (2, 4, 8)
    """
    found = _shape_of(name, tensor)
    if len(found) != len(sizes) or any(isinstance(size, int) and size != got for size, got in zip(sizes, found)):
        expected = ", ".join(map(str, sizes)) + ("," if len(sizes) == 1 else "")
        raise ValueError(f"{name} must have shape ({expected}), got {found}")


def same_shape(**tensors: Any) -> None:
    """Raise ValueError for tensors that differ in shape, before broadcasting makes something of them.

    >>> import torch
    >>> same_shape(chosen=torch.zeros(2), rejected=torch.zeros(1))
    Traceback (most recent call last):
    ValueError: rejected must have the shape of chosen, (2,), got (1,)
    """
    (first, wanted), *others = ((name, _shape_of(name, tensor)) for name, tensor in tensors.items())
    for name, found in others:
        if found != wanted:
            raise ValueError(f"{name} must have the shape of {first}, {wanted}, got {found}")


def ids_below(size: int, **ids: Any) -> None:
    """Raise ValueError for an id that is no row of a table of `size`; on the meta device there is nothing to look at.

    >>> import torch
    >>> ids_below(4, input_ids=torch.tensor([[0, 4]]))
    Traceback (most recent call last):
    ValueError: input_ids must be ids from 0 to 3, got 4
    """
    for name, x in ids.items():
        if x.is_meta or not x.numel():
            continue
        low, high = (int(extreme) for extreme in x.aminmax())
        if low < 0 or high >= size:
            raise ValueError(f"{name} must be ids from 0 to {size - 1}, got {low if low < 0 else high}")


def dimension(name: str, value: Any, **tensor: Any) -> int:
    """`value` as an int, which must number a dimension of the tensor, from the front or (negative) from the back.

    >>> import torch
    >>> dimension("dim", 2, z=torch.zeros(3, 4))
    Traceback (most recent call last):
    ValueError: dim must be a dimension of z, which has shape (3, 4), got 2
    """
    ((other, x),) = tensor.items()
    found = whole(name, value, at_least=None)
    if not -x.dim() <= found < x.dim():
        raise ValueError(f"{name} must be a dimension of {other}, which has shape {tuple(x.shape)}, got {found}")
    return found


def _as_number(name: str, value: Any) -> int | float:
    for read in (operator.index, float):  # an integer stays exact, however large
        try:
            if hasattr(value, "__float__") and not _is_truth_value(value):  # float() would read strings too
                return read(value)
        except (TypeError, ValueError, RuntimeError):  # a fraction; several elements, a complex number
            continue
    raise TypeError(f"{name} must be a number, got {_shown(value)}")


@lru_cache
def _ends(interval: str) -> tuple[float, float]:
    low, high = interval[1:-1].split(",")
    return float(low), float(high)


def _in_words(interval: str) -> str:
    low, high = interval[1:-1].split(", ")
    kind = "number" if interval.endswith("inf]") else "finite number"
    if high != "inf":
        return f"lie in {interval}"
    if low == "-inf":
        return f"be a {kind}"
    return f"be a {kind} {'of at least' if interval[0] == '[' else 'above'} {low}"


def _is_truth_value(value: Any) -> bool:
    """Whether it is a bool, or NumPy's or PyTorch's."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")


def _is_tensor(value: Any) -> bool:
    from torch import Tensor

    return isinstance(value, Tensor)


def _type_of(value: Any) -> str:
    return str(value.dtype) if _is_tensor(value) else type(value).__name__


def _shape_of(name: str, value: Any) -> tuple[int, ...]:
    try:
        return tuple(value.shape)
    except (AttributeError, TypeError):
        raise TypeError(f"{name} must be a tensor or an array, got {type(value).__name__}") from None


def _shown(value: Any) -> str:
    """A value as it is written, or what it is where that would be long."""
    if getattr(value, "shape", ()) != ():
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    return f"{value!r:.80}"


def _either(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _with_article(kind: type) -> str:
    name = f"nn.{kind.__name__}" if kind.__module__.startswith("torch.nn.modules") else kind.__name__
    return f"{'an' if name[0] in 'AEIOUaeion' else 'a'} {name}"
