"""Packing loses and reorders nothing; windows lie within the stream and reach all of it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.text import pack_tokens, sample_windows

documents = st.lists(st.lists(st.integers(1, 50), max_size=12), min_size=1, max_size=8)


@given(documents, st.integers(1, 20))
def test_packing_keeps_all_tokens_in_order(documents, length):
    stream = [token for document in documents for token in (*document, 0)]
    if len(stream) < length:
        with pytest.raises(ValueError, match="at least one row"):
            pack_tokens(documents, length, eos_id=0)
        return
    packed = pack_tokens(documents, length, eos_id=0)
    assert packed.shape == (len(stream) // length, length)
    assert packed.flatten().tolist() == stream[: packed.numel()]
    assert len(stream) - packed.numel() < length


def test_documents_may_be_tensors_and_come_from_a_generator():
    documents = (torch.arange(n, n + 3) for n in (1, 5))
    assert pack_tokens(documents, 4, eos_id=9).tolist() == [[1, 2, 3, 9], [5, 6, 7, 9]]


@given(st.integers(1, 40), st.integers(1, 8), st.data())
def test_windows_are_pieces_of_the_stream(size, batch_size, data):
    length = data.draw(st.integers(1, size))
    windows = sample_windows(torch.arange(size) * 3, batch_size, length)
    assert windows.shape == (batch_size, length)
    assert windows.min() >= 0 and windows.max() <= 3 * (size - 1)
    assert (windows.diff(dim=1) == 3).all()


def test_every_place_is_as_likely_and_the_generator_fixes_it():
    starts = sample_windows(torch.arange(12), 9000, 4, generator=torch.Generator().manual_seed(0))[:, 0]
    assert starts.bincount(minlength=9).shape == (9,)  # 0 to 8: the first and the last place are both reached
    assert (starts.bincount() - 1000).abs().max() < 4.5 * (1000 * 8 / 9) ** 0.5
    again = sample_windows(torch.arange(12), 9000, 4, generator=torch.Generator().manual_seed(0))[:, 0]
    assert torch.equal(starts, again)


@pytest.mark.parametrize(
    ("documents", "length", "eos_id", "said"),
    [
        ([[1, 2]], 0, 0, "length .*0"),
        ([], 4, 0, "documents .*got 0 tokens"),
        ([[1]], 4, 0, "documents .*got 2 tokens"),
        ([[1, -2, 3]], 2, 0, "documents .*-2"),
        ([[1, 2, 3]], 2, -1, "eos_id .*-1"),
    ],
)
def test_bad_documents_are_named(unchecked, documents, length, eos_id, said):
    with pytest.raises(ValueError, match=said):
        pack_tokens(documents, length, eos_id=eos_id)


@pytest.mark.parametrize(
    ("documents", "eos_id", "said"),
    [
        ([[1, 2.5]], 0, "documents must be an integer tensor, got torch.float32"),
        ([torch.tensor([1.0, 2.0])], 0, "documents must be an integer tensor"),
        ([[1, 2]], 0.5, "eos_id must be a whole number, got 0.5"),
    ],
)
def test_ids_are_not_rounded(unchecked, documents, eos_id, said):
    with pytest.raises(TypeError, match=said):
        pack_tokens(documents, 2, eos_id=eos_id)


@pytest.mark.parametrize(
    ("stream", "batch_size", "length", "said"),
    [
        (torch.arange(3), 2, 4, "stream .*4 tokens, got 3"),
        (torch.arange(3), 2, 0, "length .*0"),
        (torch.arange(3), 0, 2, "batch_size .*0"),
        (torch.zeros(2, 3), 1, 2, r"stream .*\(2, 3\)"),
    ],
)
def test_bad_streams_are_named(unchecked, stream, batch_size, length, said):
    with pytest.raises(ValueError, match=said):
        sample_windows(stream, batch_size, length)
