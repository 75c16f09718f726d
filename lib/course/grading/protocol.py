"""What crosses between the grader and the process in which a student's answer runs: plain data, never pickle.

A message is a tree of JSON beside the raw bytes of its arrays. Whatever comes from the other side is taken for
hostile: every length is checked before it is believed, every type is named, and what does not fit raises
BadMessage. Nothing that is read here can run code.
"""

import json
import math
import os
import select
import struct
import time
from typing import Any

import numpy as np
import torch

from lib.exercises import made
from lib.exercises.exercise import Case, Made
from lib.exercises.running import Outcome
from lib.exercises.values import Array, to_plain

VERSION = 1
MAX_TREE = 8 * 2**20  # bytes of JSON in one message
MAX_DEPTH = 60  # of the tree; plain data are at most 20 deep, and each level takes two here

_HEAD = struct.Struct(">4sQQ")  # magic and version, bytes of JSON, bytes of arrays
_MAGIC = b"crs" + bytes([VERSION])
_DTYPES = {kind().dtype.str for kind in np.sctypeDict.values() if np.dtype(kind).kind in "biufc"}


class BadMessage(Exception):
    """What came is not a message of this protocol and version, or is larger than allowed."""


def encode(value: Any, limit: int) -> bytes:
    """`value` (plain data, see `lib.exercises.values`) as one message of at most `limit` bytes.

    Inputs of cases may stand in it too: tensors, generators, dtypes and `Made` recipes. Raises BadMessage for
    anything else, or for more than `limit` bytes.

    >>> decode(encode({"loss": (1, float("inf"))}, 1000))
    {'loss': (1, inf)}
    """
    buffers: list[bytes] = []
    tree = json.dumps(_to_tree(value, buffers), allow_nan=False).encode()
    size = sum(map(len, buffers))
    if len(tree) > MAX_TREE or len(tree) + size > limit:
        raise BadMessage(f"a message of {len(tree) + size:,} bytes, more than the {limit:,} that are allowed")
    return b"".join([_HEAD.pack(_MAGIC, len(tree), size), tree, *buffers])


def decode(message: bytes) -> Any:
    """The value of one message; BadMessage for bytes that are none."""
    tree_size, size = _sizes(message[: _HEAD.size])
    if len(message) != _HEAD.size + tree_size + size:
        raise BadMessage("a message whose lengths do not add up")
    tree = message[_HEAD.size : _HEAD.size + tree_size]
    try:
        return _from_tree(json.loads(tree), memoryview(message)[_HEAD.size + tree_size :], 0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError) as error:
        raise BadMessage(f"a message that cannot be read ({type(error).__name__})") from None


def _sizes(head: bytes) -> tuple[int, int]:
    if len(head) < _HEAD.size:
        raise BadMessage("a message that ends in its first bytes")
    magic, tree_size, size = _HEAD.unpack(head)
    if magic != _MAGIC:
        raise BadMessage("a message of another protocol or version")
    if tree_size > MAX_TREE:
        raise BadMessage("a message with too much JSON")
    return tree_size, size


# --- values as trees ------------------------------------------------------------------------------------------
def _to_tree(value: Any, buffers: list[bytes]) -> Any:
    """JSON for `value`: what JSON has as it is, everything else as {tag: …}."""
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return value if abs(value) < 2**63 else {"int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if kind in (list, tuple):
        inner = [_to_tree(entry, buffers) for entry in value]
        return inner if kind is list else {"tuple": inner}
    if kind is dict:
        return {"dict": [[_to_tree(k, buffers), _to_tree(v, buffers)] for k, v in value.items()]}
    if kind is Array:
        return {"array": [value.kind, value.dtype, *_put(value.values, buffers)]}
    if kind is torch.Tensor:
        plain = to_plain(value)
        return {"tensor": [plain.dtype, *_put(plain.values, buffers), value.requires_grad]}
    if kind is np.ndarray:
        return {"ndarray": _put(value, buffers)}
    if kind is torch.Generator:
        return {"generator": _put(value.get_state().numpy(), buffers)}
    if kind is torch.dtype:
        return {"dtype": str(value).removeprefix("torch.")}
    if kind is Made and getattr(made, value.make.__name__, None) is value.make:
        return {"made": [value.make.__name__, _to_tree(value.args, buffers)]}
    raise BadMessage(f"a {kind.__name__} cannot be sent")


def _put(values: np.ndarray, buffers: list[bytes]) -> list:
    """Append an array's bytes to `buffers`: its dtype, its shape and where they begin."""
    begin = sum(map(len, buffers))
    buffers.append(np.ascontiguousarray(values).tobytes())
    return [values.dtype.str, list(values.shape), begin]


def _get(dtype: str, shape: list[int], begin: int, raw: memoryview) -> np.ndarray:
    if dtype not in _DTYPES or type(begin) is not int or begin < 0 or len(shape) > 32:
        raise BadMessage("an array of no known dtype, or out of place")
    if any(type(length) is not int or length < 0 for length in shape):
        raise BadMessage("an array whose shape is none")
    count = math.prod(shape)
    end = begin + count * np.dtype(dtype).itemsize
    if end > len(raw):
        raise BadMessage("an array that is longer than its message")
    return np.frombuffer(raw[begin:end], dtype).reshape(shape).copy()


def _from_tree(tree: Any, raw: memoryview, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise BadMessage("a message that is nested too deeply")
    if type(tree) is list:
        return [_from_tree(entry, raw, depth + 1) for entry in tree]
    if type(tree) is not dict:
        return tree
    ((tag, content),) = tree.items()
    return _READERS[tag](content, raw, depth + 1)


def _read_array(content: list, raw: memoryview, depth: int) -> Array:
    kind, dtype, *where = content
    if kind not in ("tensor", "array") or type(dtype) is not str or len(dtype) > 30:
        raise BadMessage("an array of no known kind")
    return Array(kind, dtype, _get(*where, raw))


def _read_tensor(content: list, raw: memoryview, depth: int) -> torch.Tensor:
    dtype, *where, requires_grad = content
    tensor = torch.from_numpy(_get(*where, raw)).to(_dtype(dtype))
    return tensor.requires_grad_(bool(requires_grad))


def _read_generator(content: list, raw: memoryview, depth: int) -> torch.Generator:
    return torch.Generator().set_state(torch.from_numpy(_get(*content, raw)))


def _read_made(content: list, raw: memoryview, depth: int) -> Made:
    name, args = content
    make = getattr(made, name)
    if getattr(make, "__module__", None) != made.__name__:
        raise BadMessage("a recipe that is none of the course's")
    return Made(make, _from_tree(args, raw, depth))


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name)
    if type(dtype) is not torch.dtype:
        raise BadMessage("a dtype that is none")
    return dtype


_READERS = {
    "int": lambda text, raw, depth: int(text, 16),
    "float": lambda text, raw, depth: {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[text],
    "tuple": lambda inner, raw, depth: tuple(_from_tree(entry, raw, depth) for entry in inner),
    "dict": lambda pairs, raw, depth: {_from_tree(k, raw, depth): _from_tree(v, raw, depth) for k, v in pairs},
    "array": _read_array,
    "tensor": _read_tensor,
    "ndarray": lambda content, raw, depth: _get(*content, raw),
    "generator": _read_generator,
    "dtype": lambda name, raw, depth: _dtype(name),
    "made": _read_made,
}


# --- cases and outcomes ---------------------------------------------------------------------------------------
def case_to_plain(case: Case) -> list:
    """The inputs of a case, without the words that describe it: an answer shall not see which one it is."""
    return [case.args, case.kwargs]


def case_from_plain(plain: list) -> Case:
    """The inverse of `case_to_plain`."""
    args, kwargs = plain
    return Case("", args, kwargs)


def outcome_to_plain(outcome: Outcome) -> dict:
    """What an answer did, as plain data."""
    return vars(outcome) | {}


_STATUSES = ("returned", "raised", "not written", "time up", "not plain")


def outcome_from_plain(plain: Any) -> Outcome:
    """The inverse, for what comes from a process that nobody trusts; BadMessage for anything else."""
    if type(plain) is not dict or set(plain) != {"status", "value", "message", "line", "mutated", "printed"}:
        raise BadMessage("an outcome with other fields")
    texts = [plain["message"], plain["line"], plain["printed"]]
    if plain["status"] not in _STATUSES or any(type(text) is not str for text in texts):
        raise BadMessage("an outcome with a field of another type")
    if type(plain["mutated"]) is not tuple or any(type(name) is not str for name in plain["mutated"]):
        raise BadMessage("an outcome with a field of another type")
    return Outcome(**plain)


# --- messages on pipes ----------------------------------------------------------------------------------------
def send(pipe: int, message: bytes) -> None:
    """Write a whole message to a pipe."""
    view = memoryview(message)
    while view:
        view = view[os.write(pipe, view) :]


def receive(pipe: int, limit: int, deadline: float | None = None) -> bytes | None:
    """Read a whole message of at most `limit` bytes, or None where the pipe ends before one begins.

    Raises BadMessage for bytes that are none, a length beyond `limit`, or an end in the middle; TimeoutError
    when the clock (`time.monotonic`) passes `deadline`.
    """
    head = _read(pipe, _HEAD.size, deadline)
    if not head:
        return None
    tree_size, size = _sizes(head)
    if tree_size + size > limit:
        raise BadMessage(f"a message of {tree_size + size:,} bytes, more than the {limit:,} that are allowed")
    rest = _read(pipe, tree_size + size, deadline)
    if len(rest) < tree_size + size:
        raise BadMessage("a message that ends before its end")
    return head + rest


def _read(pipe: int, size: int, deadline: float | None) -> bytes:
    """`size` bytes, fewer where the pipe ends; memory grows with what comes, not with what was promised."""
    got = bytearray()
    while len(got) < size:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise TimeoutError
        chunk = os.read(pipe, min(size - len(got), 2**20))
        if not chunk:
            break
        got += chunk
    return bytes(got)
