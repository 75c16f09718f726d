"""The protocol between the grader and the process in which a student's answer runs: plain data, never pickle.

A message is a JSON tree with the raw bytes of its arrays. Messages are not trusted: every length is checked before
it is used, every type is named, and anything else raises BadMessage. Nothing that is read here can run code.
"""

import json
import math
import os
import struct
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from lib.exercises.engine import made
from lib.exercises.engine.exercise import Case, Made
from lib.exercises.engine.running import Outcome
from lib.exercises.engine.values import MAX_ITEMS, Array, to_plain

VERSION = 2
MAX_TREE = 8 * 2**20  # bytes of JSON in one message
MAX_REQUEST = 2**30  # bytes of a request, which the grader makes
MAX_DEPTH = 60  # of the tree; plain data are at most 20 deep, and each level takes two levels here
MAX_TREE_ITEMS = 4 * MAX_ITEMS  # entries of its lists and dicts; plain data have MAX_ITEMS, some become lists here
MAX_KEYS = 10_000  # of all dicts in one message of an answer, as colliding keys take quadratic time

_HEAD = struct.Struct(">4s?QQ")  # magic and version, whether it asks for a case, bytes of JSON, bytes of arrays
_MAGIC = b"crs" + bytes([VERSION])
_NUMPY = [np.dtype(kind) for kind in np.sctypeDict.values() if np.dtype(kind).kind in "biufc"]
_DTYPES = {dtype.str: dtype for dtype in _NUMPY}  # NumPy and PyTorch never get an unknown name
_DTYPE_NAMES = {dtype.name for dtype in _NUMPY}
_TORCH = {name: dtype for name, dtype in vars(torch).items() if type(dtype) is torch.dtype}


class BadMessage(Exception):
    """The data is not a message of this protocol and version, or is larger than allowed."""


def encode(value: Any, limit: int, *, asks: bool = False) -> bytes:
    """`value` (plain data, see `lib.exercises.engine.values`) as one message of at most `limit` bytes.

    It may also contain inputs of cases: tensors, generators, dtypes and `Made` recipes. Raises BadMessage for
    anything else, or for more than `limit` bytes. With `asks` the next case is given to whoever sends the message.

    >>> decode(encode({"loss": (1, float("inf"))}, 1000))
    {'loss': (1, inf)}
    """
    buffers: list[bytes] = []
    tree = json.dumps(_to_tree(value, buffers), allow_nan=False).encode()
    size = sum(map(len, buffers))
    if len(tree) > MAX_TREE or len(tree) + size > limit:
        raise BadMessage(f"a message of {len(tree) + size:,} bytes, more than the {limit:,} allowed")
    return b"".join([_HEAD.pack(_MAGIC, asks, len(tree), size), tree, *buffers])


def asks(message: bytes | memoryview) -> bool:
    """Whether the sender of a whole message asks for the next case."""
    return _HEAD.unpack(message[: _HEAD.size])[1]


def decode(message: bytes, *, inputs: bool = False) -> Any:
    """The value of one message; it may contain inputs of cases only if `inputs`. Raises BadMessage."""
    tree_size, size = _sizes(message[: _HEAD.size])
    if len(message) != _HEAD.size + tree_size + size:
        raise BadMessage("a message whose lengths do not add up")
    tree, raw = message[_HEAD.size :][:tree_size], memoryview(message)[_HEAD.size + tree_size :]
    try:
        return _Tree(raw, _PLAIN | _INPUTS if inputs else _PLAIN).read(json.loads(tree))
    except BadMessage:
        raise
    except Exception as error:  # noqa: BLE001 – the reader must find the next message after any error
        raise BadMessage(f"a message that cannot be read ({type(error).__name__})") from None


def _sizes(head: bytes) -> tuple[int, int]:
    if len(head) < _HEAD.size:
        raise BadMessage("a message that ends in its first bytes")
    magic, _, tree_size, size = _HEAD.unpack(head)
    if magic != _MAGIC:
        raise BadMessage("a message of another protocol or version")
    if tree_size > MAX_TREE:
        raise BadMessage("a message with too much JSON")
    return tree_size, size


# --- values as trees ------------------------------------------------------------------------------------------
def _to_tree(value: Any, buffers: list[bytes]) -> Any:
    """JSON for `value`: types that JSON has unchanged, everything else as {tag: …}."""
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
    """Append an array's bytes to `buffers`; return its dtype, its shape and where the bytes begin."""
    begin = sum(map(len, buffers))
    buffers.append(np.ascontiguousarray(values).tobytes())
    return [values.dtype.str, list(values.shape), begin]


class _Tree:
    """Reads the JSON of one message; `readers` has the allowed tags."""

    def __init__(self, raw: memoryview, readers: dict[str, Any]) -> None:
        self.raw, self.readers, self.theirs = raw, readers, readers is _PLAIN
        self.depth = self.items = self.keys = self.end = 0

    def read(self, tree: Any) -> Any:
        if type(tree) not in (list, dict):
            return tree
        self.depth += 1
        self.items += len(tree)
        if self.depth > MAX_DEPTH or (self.theirs and self.items > MAX_TREE_ITEMS):
            raise BadMessage("a message that is too large or nested too deeply")
        if type(tree) is list:
            value = self.entries(tree)
        else:
            ((tag, content),) = tree.items()
            value = self.readers[tag](self, content)
        self.depth -= 1
        return value

    def entries(self, content: list) -> list:
        return [self.read(entry) for entry in content]

    def pairs(self, content: list) -> dict:
        self.keys += len(content)
        if self.theirs and self.keys > MAX_KEYS:
            raise BadMessage("a message with too many keys")
        return {self.read(key): self.read(value) for key, value in content}

    def numbers(self, dtype: str, shape: list[int], begin: int) -> np.ndarray:
        if type(dtype) is not str or dtype not in _DTYPES or begin != self.end or len(shape) > 32:
            raise BadMessage("an array of unknown dtype, or out of place")
        if any(type(length) is not int or length < 0 for length in shape):
            raise BadMessage("an array with an invalid shape")
        self.end += math.prod(shape) * _DTYPES[dtype].itemsize  # arrays follow each other without overlap
        if self.end > len(self.raw):
            raise BadMessage("an array that is longer than its message")
        return np.frombuffer(self.raw[begin : self.end], _DTYPES[dtype]).reshape(shape).copy()

    def array(self, content: list) -> Array:
        kind, dtype, *where = content
        if dtype not in {"tensor": _TORCH, "array": _DTYPE_NAMES}[kind]:
            raise BadMessage("an array of unknown dtype")
        return Array(kind, dtype, self.numbers(*where))

    def tensor(self, content: list) -> torch.Tensor:
        dtype, *where, requires_grad = content
        return torch.from_numpy(self.numbers(*where)).to(_TORCH[dtype]).requires_grad_(requires_grad)

    def generator(self, content: list) -> torch.Generator:
        return torch.Generator().set_state(torch.from_numpy(self.numbers(*content)))

    def made(self, content: list) -> Made:
        name, args = content
        return Made(getattr(made, name), self.read(args))


def _whole_number(text: str) -> int:
    if len(text) > 1100:  # plain data have at most 4096 bits
        raise BadMessage("a whole number that is far too large")
    return int(text, 16)


_PLAIN = {
    "int": lambda tree, text: _whole_number(text),
    "float": lambda tree, text: {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[text],
    "tuple": lambda tree, content: tuple(tree.entries(content)),
    "dict": _Tree.pairs,
    "array": _Tree.array,
}
_INPUTS = {
    "tensor": _Tree.tensor,
    "ndarray": lambda tree, content: tree.numbers(*content),
    "generator": _Tree.generator,
    "dtype": lambda tree, name: _TORCH[name],
    "made": _Tree.made,
}


# --- cases and outcomes ---------------------------------------------------------------------------------------
def case_to_plain(case: Case) -> list:
    """The inputs of a case without its description, so that an answer cannot identify it."""
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
    """The inverse, for data of an untrusted process. Raises BadMessage for anything else."""
    if type(plain) is not dict or set(plain) != {field.name for field in fields(Outcome)}:
        raise BadMessage("an outcome with other fields")
    texts = [plain["message"], plain["line"], plain["printed"]]
    if plain["status"] not in _STATUSES or any(type(text) is not str for text in texts):
        raise BadMessage("an outcome with a field of another type")
    if type(plain["mutated"]) is not tuple or any(type(name) is not str for name in plain["mutated"]):
        raise BadMessage("an outcome with a field of another type")
    gradient = plain["gradient"]
    if type(gradient) is not str and (type(gradient) is not tuple or any(type(part) is not Array for part in gradient)):
        raise BadMessage("an outcome with a field of another type")
    return Outcome(**plain)


# --- messages on pipes ----------------------------------------------------------------------------------------
def send(pipe: int, message: bytes) -> None:
    """Write a whole message to a pipe."""
    view = memoryview(message)
    while view:
        view = view[os.write(pipe, view) :]


def receive(pipe: int, limit: int, wait: Callable[[int], None] = lambda pipe: None) -> bytes | None:
    """Read a whole message of at most `limit` bytes; None if the pipe ends before a message begins.

    `wait(pipe)` is called before each read and may raise. Raises BadMessage for an invalid message, a length beyond
    `limit`, or an end in the middle.
    """
    head = bytearray(_HEAD.size)
    if not (got := _fill(pipe, memoryview(head), wait)):
        return None
    size = sum(_sizes(bytes(head[:got])))
    _check_size(size, limit)
    rest = bytearray()
    while len(rest) < size:  # memory grows with the bytes that arrive, not with the announced size
        part = bytearray(min(size - len(rest), 2**20))
        _must_fill(pipe, memoryview(part), wait)
        rest += part
    return bytes(head + rest)


def receive_into(pipe: int, room: memoryview, wait: Callable[[int], None] = lambda pipe: None) -> int:
    """The same, into existing memory; return the number of bytes, or 0 if the pipe ends before a message begins."""
    _check_size(_HEAD.size, len(room))
    if not (got := _fill(pipe, room[: _HEAD.size], wait)):
        return 0
    needed = _HEAD.size + sum(_sizes(bytes(room[:got])))
    _check_size(needed, len(room))
    _must_fill(pipe, room[_HEAD.size : needed], wait)
    return needed


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise BadMessage(f"a message of {size:,} bytes, more than the {limit:,} allowed")


def _must_fill(pipe: int, room: memoryview, wait: Callable[[int], None]) -> None:
    if _fill(pipe, room, wait) < len(room):
        raise BadMessage("a message that ends before its end")


def _fill(pipe: int, room: memoryview, wait: Callable[[int], None]) -> int:
    """Read until `room` is full or the pipe ends; return the number of bytes."""
    at = 0
    while at < len(room):
        wait(pipe)
        got = os.readv(pipe, [room[at : at + 2**20]])
        if not got:
            break
        at += got
    return at
