"""What crosses the pipe comes back as it was, and nothing else is believed."""

import json
import math
import os
import struct
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.exercises import all_exercises
from lib.exercises.engine.compare import EXACT, difference
from lib.exercises.engine.exercise import Case, Made
from lib.exercises.engine.running import Outcome, copy_inputs, run_answer
from lib.exercises.engine.values import Array, to_plain
from lib.grading.worker import protocol
from lib.grading.worker.protocol import BadMessage, decode, encode

LIMIT = 10**7

scalars = st.none() | st.booleans() | st.integers(-(2**100), 2**100) | st.floats() | st.text()
keys = st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
plain = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner),
    max_leaves=20,
)


def message(tree, raw=b""):
    text = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    return head(len(text), len(raw)) + text + raw


def head(tree, raw, magic=b"crs\x02"):
    """The first bytes of a message, written by hand: magic and version, whether it asks, two lengths."""
    return struct.pack(">4s?QQ", magic, False, tree, raw)


@given(plain)
@settings(max_examples=200)
def test_plain_data_come_back_as_they_were(value):
    assert repr(decode(encode(value, LIMIT))) == repr(value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
def test_arrays_come_back_with_their_dtype_and_shape(dtype):
    for shape in [(), (0, 3), (2, 3)]:
        sent = to_plain({"a": [torch.ones(shape).to(dtype)]})
        got = decode(encode(sent, LIMIT))["a"][0]
        assert type(got) is Array and got.dtype == sent["a"][0].dtype and got.values.shape == shape
        assert difference(got, sent["a"][0], EXACT) is None


def test_the_inputs_of_every_exercise_come_back():
    for exercise in all_exercises().values():
        for case in exercise.build_cases(11):
            sent = encode(protocol.case_to_plain(case), 10**8)
            got = protocol.case_from_plain(decode(sent, inputs=True))
            assert got.what == "", "an answer shall not see which case it is given"
            wanted = run_answer(exercise.as_function(exercise.reference), case)
            found = run_answer(exercise.as_function(exercise.reference), got)
            assert difference(found.value, wanted.value, EXACT) is None, exercise.id


def test_inputs_keep_gradients_and_random_states():
    tensor, generator = torch.ones(2, requires_grad=True), torch.Generator().manual_seed(5)
    case = Case("secret words", (tensor, generator, torch.float16), {"x": np.arange(3)})
    sent = encode(protocol.case_to_plain(case), LIMIT)
    assert b"secret" not in sent
    args = protocol.case_from_plain(decode(sent, inputs=True)).args
    assert args[0].requires_grad and args[2] is torch.float16
    assert torch.rand(3, generator=args[1]).equal(torch.rand(3, generator=copy_inputs(generator)))


@pytest.mark.parametrize("asking", [True, False])
def test_who_asks_for_a_case_is_seen_in_the_first_bytes(asking):
    sent = encode([1], LIMIT, asks=asking)
    assert protocol.asks(sent) is asking and protocol.asks(memoryview(sent)) is asking and decode(sent) == [1]


def test_the_limits_themselves_are_allowed(monkeypatch):
    array = to_plain(torch.zeros(25))
    size = len(encode(array, LIMIT)) - protocol._HEAD.size
    assert encode(array, size) and decode(encode(array, size)).values.shape == (25,)
    with pytest.raises(BadMessage, match=f"a message of {size} bytes, more than the {size - 1} allowed"):
        encode(array, size - 1)
    deep = json.loads("[" * protocol.MAX_DEPTH + "]" * protocol.MAX_DEPTH)
    assert decode(message(deep)) == deep
    with pytest.raises(BadMessage, match="too large or nested too deeply"):
        decode(message([deep]))
    monkeypatch.setattr(protocol, "MAX_KEYS", 3)
    many = {"dict": [[k, 0] for k in range(3)]}
    assert len(decode(message(many))) == 3
    for more in ({"dict": [[k, 0] for k in range(4)]}, [many, {"dict": [[9, 0]]}]):
        with pytest.raises(BadMessage, match="too many keys"):
            decode(message(more))
        assert decode(message(more), inputs=True), "the grader's own messages may have more"
    monkeypatch.setattr(protocol, "MAX_TREE_ITEMS", 5)
    assert decode(message([0] * 5)) == [0] * 5
    with pytest.raises(BadMessage, match="too large"):
        decode(message([[0] * 3, [0] * 2]))
    assert decode(message([0] * 6), inputs=True) == [0] * 6


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**4096 - 1])
def test_whole_numbers_of_any_size_come_back(number):
    assert decode(encode(number, LIMIT)) == number


def test_a_message_of_just_the_limit_is_received():
    whole = encode("x" * 50, LIMIT)
    size = len(whole) - protocol._HEAD.size
    for limit, fits in ((size, True), (size - 1, False)):
        source, sink = os.pipe()
        os.write(sink, whole)
        os.close(sink)
        if fits:
            assert protocol.receive(source, limit) == whole
        else:
            with pytest.raises(BadMessage, match="more than the"):
                protocol.receive(source, limit)
        os.close(source)


def test_what_is_no_plain_data_is_not_sent():
    for value in (object(), {1, 2}, lambda: 0, Made(os.getcwd), torch.nn.Linear(1, 1)):
        with pytest.raises(BadMessage, match="cannot be sent"):
            encode([value], LIMIT)
    with pytest.raises(BadMessage, match="more than the 1,000"):
        encode("x" * 1001, 1000)


RECIPE = {"made": ["judge_with_bias", {"tuple": [1, 1]}]}  # which only the grader sends

HOSTILE = {
    "nothing": b"",
    "another magic": head(4, 0, b"abcd") + b"null",
    "another version": head(4, 0, b"crs\x01") + b"null",
    "lengths that do not add up": message([1])[:-1],
    "a promise of 10 GB of JSON": head(10**10, 0),
    "no JSON": message(b"{"),
    "not UTF-8": message(b'"\xff"'),
    "two tags": message({"int": "1", "float": "nan"}),
    "an unknown tag": message({"pickle": "gASV"}),
    "a recipe": message(RECIPE),
    "a tensor, which only the grader sends": message({"tensor": ["float32", "<f4", [0], 0, False]}),
    "a list for a tag": message({"int": [1]}),
    "an unhashable key": message({"dict": [[[1], 2]]}),
    "a whole number without end": message({"int": "f" * 2000}),
    "an array beyond the message": message({"array": ["tensor", "float32", "<f4", [2], 0]}, b"1234"),
    "an array before the message": message({"array": ["tensor", "float32", "<f4", [1], -4]}, b"1234"),
    "a negative shape": message({"array": ["tensor", "float32", "<f4", [-1], 0]}, b"1234"),
    "an overflowing shape": message({"array": ["array", "float64", "<f8", [2**40, 2**40], 0]}),
    "an array of objects": message({"array": ["array", "object", "|O", [1], 0]}, b"12345678"),
    "a dtype that is a function": message({"array": ["tensor", "load", "<f4", [1], 0]}, b"1234"),
    "a dtype that NumPy would execute": message({"array": ["array", "0777f4", "<f4", [1], 0]}, b"1234"),
    "a dtype that NumPy dies of": message({"array": ["array", "M8[s/0]", "<f4", [1], 0]}, b"1234"),
    "a dtype that is a module": message({"array": ["tensor", "onnx", "<f4", [1], 0]}, b"1234"),
    "a dtype that is a list": message({"array": ["tensor", "float32", ["<f4"], [1], 0]}, b"1234"),
    "the same bytes twice": message([{"array": ["tensor", "float32", "<f4", [1], 0]}] * 2, b"1234"),
    "bytes left out": message({"array": ["tensor", "float32", "<f4", [1], 4]}, b"12345678"),
    "keys that collide": message({"dict": [[k * (2**61 - 1), 0] for k in range(20_000)]}),
    "a million empty lists": message([[]] * 1_000_000),
    "nested without end": message(b"[" * 100_000 + b"]" * 100_000),
    "nested too deeply": message(json.loads("[" * 80 + "]" * 80)),
}


def test_the_messages_by_hand_are_those_of_this_version():
    """Else all that is hostile below would be refused for its first bytes alone."""
    assert decode(message([1, {"tuple": ["a"]}])) == [1, ("a",)]
    got = decode(message([{"array": ["tensor", "float32", "<f4", [1], 0]}], struct.pack("<f", 0.5)))
    assert got[0].values.tolist() == [0.5]
    assert decode(message({"tensor": ["float32", "<f4", [0], 0, False]}), inputs=True).shape == (0,)
    assert decode(message(RECIPE), inputs=True).args == (1, 1)
    assert decode(message({"int": "f" * 1100})) == int("f" * 1100, 16)


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_bytes_are_a_bad_message_and_nothing_else(what):
    with pytest.raises(BadMessage):
        decode(HOSTILE[what])


@given(st.data())
@settings(max_examples=300)
def test_a_message_with_changed_bytes_is_bad_or_plain(data):
    good = bytearray(encode(to_plain({"a": torch.eye(2), "b": (1, [2.5, "x"])}), LIMIT))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        to_plain(_without_arrays(decode(bytes(good))))
    except BadMessage:
        pass


def _without_arrays(value):
    if type(value) is Array:
        return value.values
    if type(value) in (list, tuple):
        return [_without_arrays(entry) for entry in value]
    return [_without_arrays(v) for v in value.values()] if type(value) is dict else value


@pytest.mark.parametrize(
    "change",
    [
        {"status": "right"},
        {"message": 3},
        {"mutated": ["x"]},
        {"mutated": (1,)},
        {"printed": None},
        {"extra": 1},
        {"gradient": None},
        {"gradient": [1]},
        {"gradient": (1.5,)},
    ],
    ids=str,
)
def test_a_forged_outcome_is_refused(change):
    good = protocol.outcome_to_plain(Outcome("returned", 1.5, mutated=("x",)))
    assert protocol.outcome_from_plain(decode(encode(good, LIMIT))).mutated == ("x",)
    with pytest.raises(BadMessage):
        protocol.outcome_from_plain(good | change)
    with pytest.raises(BadMessage):
        protocol.outcome_from_plain([good])


def test_messages_follow_each_other_on_a_pipe():
    source, sink = os.pipe()
    sent = ["a" * 200_000, 2, math.inf]
    writer = threading.Thread(target=lambda: [protocol.send(sink, encode(v, LIMIT)) for v in sent] and os.close(sink))
    writer.start()
    assert [decode(protocol.receive(source, LIMIT)) for _ in sent] == sent
    assert protocol.receive(source, LIMIT) is None
    writer.join()
    os.close(source)


@pytest.mark.parametrize("ending", [encode("x" * 50, LIMIT)[:-1], encode(1, LIMIT)[:7], encode("y" * 500, LIMIT)])
def test_a_pipe_that_ends_too_early_or_promises_too_much_is_bad(ending):
    source, sink = os.pipe()
    os.write(sink, ending)
    os.close(sink)
    with pytest.raises(BadMessage):
        protocol.receive(source, 100)
    os.close(source)


@pytest.mark.parametrize("ending", [encode("x" * 50, LIMIT)[:-1], encode(1, LIMIT)[:7], encode("y" * 500, LIMIT)])
def test_and_so_it_is_in_memory_that_is_there(ending):
    whole, room = encode("x" * 20, LIMIT), memoryview(bytearray(200))
    source, sink = os.pipe()
    os.write(sink, whole + ending)
    os.close(sink)
    assert protocol.receive_into(source, room) == len(whole) and bytes(room[: len(whole)]) == whole
    with pytest.raises(BadMessage):
        protocol.receive_into(source, room[len(whole) :])
    os.close(source)
    with pytest.raises(BadMessage, match="more than the 3"):
        protocol.receive_into(-1, room[:3])
