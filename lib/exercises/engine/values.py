"""Convert what an answer returns into plain data: numbers, strings, arrays, and lists and dicts of these.

Everything that is compared goes through `to_plain` first. It checks for *exact* types: a subclass could redefine
`==` to equal everything, a plain number cannot. Only plain data has to leave the process in which an answer
runs.
"""

import re
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass, fields, is_dataclass
from types import NoneType
from typing import Any

import numpy as np
import torch
from torch import Tensor

MAX_VALUES = 20_000_000  # numbers in one array: a tensor expanded to 10^12 elements would fill the memory
MAX_ITEMS = 200_000  # entries of all lists and dicts together
MAX_DEPTH = 20  # a list that contains itself is endless
MAX_TEXT = 1_000_000  # characters of one string

_SCALARS = (NoneType, bool, int, float, str)
_UNROLLED = ("generator", "map", "filter", "zip", "range", "set", "dict_values", "dict_keys", "dict_items")
_DICTS = (dict, Counter, OrderedDict, defaultdict)
_NUMPY_SCALARS = (np.bool_, np.str_, *np.sctypeDict.values())
_WITHOUT_NUMPY = (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
_FOLDER = re.compile(  # with folders that `tempfile` makes in it; at most eight levels deep, which keeps it fast
    r"(?:/(?!course-grading-)[\w.+-]++){0,8}+/course-grading-[a-z0-9_]{8}(?:/tmp[a-z0-9_]{8})*"
)

# Kept here so that a notebook that replaces them (torch.allclose = lambda *a: True) does not affect us.
_detach, _cpu, _numpy, _float = Tensor.detach, Tensor.cpu, Tensor.numpy, Tensor.float
_array, _array2string = np.array, np.array2string


class NotPlain(Exception):
    """A value that no exercise asks for; the message describes it in words that follow "returned"."""


@dataclass(frozen=True, eq=False)
class Array:
    """A tensor or a NumPy array as plain data; `dtype` may be a name that NumPy lacks ("bfloat16")."""

    kind: str  # "tensor" or "array"
    dtype: str
    values: np.ndarray


def to_plain(value: Any) -> Any:
    """A copy of `value` that consists of None, bool, int, float, str, `Array`, list, tuple and dict only.

    Named tuples and dataclasses become tuples of their fields; gradients and devices are dropped.
    Raises NotPlain for anything else: functions, generators, subclasses of tensors or numbers, endless
    nesting.

    >>> to_plain((1, {"loss": torch.tensor(0.5)}))[1]["loss"].dtype
    'float32'
    """
    return _Reader().read(value, depth=0)


class _Reader:
    """Counts entries as it reads, so that a huge or endless answer is rejected before it is copied."""

    def __init__(self) -> None:
        self.items = 0

    def read(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if _is_one_of(kind, (list, tuple, *_DICTS)):
            self.items += len(value)
        if depth > MAX_DEPTH or self.items > MAX_ITEMS:
            raise NotPlain("something too large or too deeply nested to be read")
        if _is_one_of(kind, _SCALARS):
            return _scalar(value)
        if kind is Tensor:
            return _read_tensor(value)
        if kind is np.ndarray:
            return _read_array(value)
        if _is_one_of(kind, _NUMPY_SCALARS):
            return _scalar(value.item())
        if _is_one_of(kind, _DICTS):
            return {self.key(k, depth + 1): self.read(v, depth + 1) for k, v in dict.items(value)}
        return self.sequence(value, kind, depth)

    def sequence(self, value: Any, kind: type, depth: int) -> Any:
        if kind is list:
            return [self.read(v, depth + 1) for v in list.__iter__(value)]
        if kind is tuple or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
            return tuple(self.read(v, depth + 1) for v in tuple.__iter__(value))
        if is_dataclass(kind):
            named = (object.__getattribute__(value, f.name) for f in fields(kind))
            return tuple(self.read(v, depth + 1) for v in named)
        raise NotPlain(_what_it_is(value, kind))

    def key(self, value: Any, depth: int) -> Any:
        plain = self.read(value, depth)
        try:
            hash(plain)
        except TypeError:
            plain = Ellipsis
        if plain is Ellipsis or type(plain) is Array:
            raise NotPlain(f"a dict with a {type(value).__name__} as key, expected strings or numbers")
        return plain


def _is_one_of(kind: type, kinds: tuple[type, ...]) -> bool:
    """Whether `kind` is one of `kinds` by identity: `in` would call a metaclass's `==`, which may always be true."""
    for each in kinds:
        if kind is each:
            return True
    return False


def _scalar(value: Any) -> Any:
    if type(value) is str and len(value) > MAX_TEXT:
        raise NotPlain(f"a string of {len(value)} characters, far longer than any answer")
    if type(value) is int and value.bit_length() > 4096:
        raise NotPlain(f"a whole number of {value.bit_length()} bits, far larger than any answer")
    if type(value) not in _SCALARS:
        raise NotPlain(f"a number of type {type(value).__name__}")
    return value


def _read_tensor(value: Tensor) -> Array:
    if value.is_meta or value.is_sparse or value.is_quantized or value.layout is not torch.strided:
        raise NotPlain("a sparse, quantised or meta tensor: return an ordinary one")
    _refuse_huge(value.numel())
    dtype = str(value.dtype).removeprefix("torch.")
    detached = _cpu(_detach(value))
    if value.dtype in _WITHOUT_NUMPY:
        detached = _float(detached)
    return Array("tensor", dtype, _array(_numpy(detached, force=True)))


def _read_array(value: np.ndarray) -> Array:
    if value.dtype.kind not in "biufc":
        raise NotPlain(f"a NumPy array of dtype {value.dtype}, expected numbers")
    _refuse_huge(value.size)
    return Array("array", value.dtype.name, _array(value))


def _refuse_huge(count: int) -> None:
    if count > MAX_VALUES:
        raise NotPlain(f"an array of {count:,} values, far more than any answer")


def _what_it_is(value: Any, kind: type) -> str:
    name = kind.__name__[:60]
    if isinstance(value, type):
        return f"a class ({value.__name__[:60]}), not an instance of it"
    if issubclass(kind, Tensor):
        return f"a {name}, a subclass of Tensor: return an ordinary tensor, for instance with .detach()"
    if name in _UNROLLED:
        return f"a {name}: wrap it in list(…)"
    if name in ("function", "method", "builtin_function_or_method"):
        return "a function: call it, with its arguments"
    return f"an object of type {name}"


def from_plain(plain: Any) -> Any:
    """The inverse of `to_plain`, except for field names: arrays become tensors or NumPy arrays of their old dtype.

    >>> from_plain(to_plain([torch.arange(2)]))
    [tensor([0, 1])]
    """
    if type(plain) is Array:
        if plain.kind == "array":
            return plain.values.copy()
        return torch.from_numpy(plain.values.copy()).to(getattr(torch, plain.dtype))
    if type(plain) in (list, tuple):
        return type(plain)(from_plain(entry) for entry in plain)
    if type(plain) is dict:
        return {key: from_plain(entry) for key, entry in plain.items()}
    return plain


def describe(plain: Any, limit: int = 240) -> str:
    """One readable line about plain data: type, shape and the first values, at most `limit` characters.

    >>> describe(to_plain(torch.eye(2)))
    'tensor float32 (2, 2) [[1. 0.] [0. 1.]]'
    """
    return shorten(_describe(plain), limit)


def _describe(plain: Any) -> str:
    if type(plain) is Array:
        return f"{plain.kind} {plain.dtype} {plain.values.shape} {_numbers(plain.values)}"
    if type(plain) in (list, tuple):
        inner = ", ".join(_describe(entry) for entry in plain[:8])
        inner += f", … {len(plain) - 8} more" if len(plain) > 8 else ""
        return f"[{inner}]" if type(plain) is list else f"({inner})"
    if type(plain) is dict:
        shown = [f"{key!r}: {_describe(entry)}" for key, entry in list(plain.items())[:8]]
        shown += [f"… {len(plain) - 8} more"] if len(plain) > 8 else []
        return "{" + ", ".join(shown) + "}"
    return f"{plain:.6g}" if type(plain) is float else shorten(repr(plain), 160)


def _numbers(values: np.ndarray) -> str:
    if values.ndim > 3:  # both ends of each dimension would be shown: 4 ** ndim numbers
        values = values.reshape(-1)
    text = _array2string(values, threshold=24, edgeitems=2, precision=4, suppress_small=False)
    return " ".join(text.split())


def steady(text: str) -> str:
    """`text` without what differs from run to run: memory addresses and the grader's temporary folder.

    >>> steady("<f at 0x7f3b65372700> in /one/course-grading-ab12cd34/tmpab12cd34/words.txt")
    '<f at 0x…> in /scratch/words.txt'
    """
    return _FOLDER.sub("/scratch", _ADDRESS.sub("0x…", text))


def shorten(text: str, limit: int) -> str:
    """`steady(text)`, shortened to at most `limit` characters by cutting out its middle."""
    text = steady(text)  # before cutting, as half an address looks like a number
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return text[:head] + "…" + text[-(limit - 1 - head) :]
