"""What models refuse before they compute, and how positions are counted."""

import pytest
import torch

from lib.models.inputs import check_ids, check_length, positions_of, read_mask, token_positions
from tests.models import small


@pytest.mark.parametrize(
    "ids, message",
    [
        (torch.zeros(0, 4, dtype=torch.long), r"input_ids must not be empty, got shape \(0, 4\)"),
        (torch.zeros(2, 0, dtype=torch.long), r"input_ids must not be empty, got shape \(2, 0\)"),
        (torch.tensor([1, 2]), r"input_ids must have shape \(B, T\), got \(2,\)"),
        (torch.tensor([[1, 40]]), "input_ids must be ids from 0 to 39, got 40"),
        (torch.tensor([[-1, 39]]), "input_ids must be ids from 0 to 39, got -1"),
    ],
)
def test_ids_that_no_table_holds(ids, message, unchecked):
    with pytest.raises(ValueError, match=message):
        check_ids(ids, 40)


@pytest.mark.parametrize("ids", [torch.tensor([[1.0]]), [[1, 2]], torch.tensor([[True]])])
def test_ids_are_whole_numbers_in_a_tensor(ids, unchecked):
    with pytest.raises(TypeError, match="input_ids must be a tensor of int64 or int32"):
        check_ids(ids, 40)


def test_the_edges_of_the_vocabulary_are_in_it():
    check_ids(torch.tensor([[0, 39]]), 40)


def test_the_context_may_be_filled_but_not_exceeded():
    check_length(8, 8)
    check_length(3, 8, past=5)
    check_length(10**6, None)
    with pytest.raises(ValueError, match="has 4 tokens after the 5 in the cache, more than the context of 8"):
        check_length(4, 8, past=5)


def test_a_mask_of_ones_is_no_mask():
    assert read_mask(torch.ones(2, 3, dtype=torch.bool), 2, 3) is None
    assert read_mask(small.LEFT, 2, 8).tolist() == small.LEFT.bool().tolist()


@pytest.mark.parametrize(
    "mask, message",
    [
        (torch.ones(2, 3, dtype=torch.long), r"expected shape \(2, 4\), got \(2, 3\)"),
        (torch.ones(1, 4, dtype=torch.long), r"expected shape \(2, 4\), got \(1, 4\)"),
        (torch.tensor([[1, 1, 1, 1], [0, 0, 0, 0]]), "masks every token of row 1"),
    ],
)
def test_masks_that_do_not_fit(mask, message, unchecked):
    with pytest.raises(ValueError, match=f"attention_mask .*{message}"):
        read_mask(mask, 2, 4)


def test_an_additive_mask_is_not_taken_for_a_boolean_one(unchecked):
    with pytest.raises(TypeError, match="attention_mask must hold booleans or integers"):
        read_mask(torch.zeros(2, 4), 2, 4)


def test_positions_count_real_tokens_by_a_loop():
    mask = torch.tensor([[0, 0, 1, 1, 0, 1], [1, 1, 1, 0, 0, 0]]).bool()
    expected = []
    for row in mask.tolist():
        count = [sum(row[: i + 1]) for i in range(6)]
        expected.append([max(c - 1, 0) for c in count])
    for past in (0, 4):
        got = token_positions(6 - past, past, mask, torch.device("cpu"))
        assert got.tolist() == [row[past:] for row in expected]


def test_positions_without_padding_go_on_after_the_cache():
    assert token_positions(2, 3, None, torch.device("cpu")).tolist() == [[3, 4]]


def test_positions_that_are_given_are_taken_as_they_are():
    ids = small.some_ids()
    given = torch.arange(8).flip(0).expand(2, 8)
    for limit in (8, None):
        assert torch.equal(positions_of(ids, given, limit=limit, past=0, real=small.LEFT.bool()), given)
    assert positions_of(ids, given * 1000, limit=None, past=0, real=None).max() == 7000


@pytest.mark.parametrize(
    "given, message",
    [
        (torch.arange(8).expand(2, 8) + 1, "position_ids must be ids from 0 to 7, got 8"),
        (torch.arange(8).expand(2, 8) - 1, "position_ids must be ids from 0 to 7, got -1"),
        (torch.arange(7).expand(2, 7), r"position_ids must have shape \(2, 8\), got \(2, 7\)"),
        (torch.arange(8).expand(1, 8), r"position_ids must have shape \(2, 8\), got \(1, 8\)"),
    ],
)
def test_positions_that_do_not_fit(given, message, unchecked):
    with pytest.raises(ValueError, match=message):
        positions_of(small.some_ids(), given, limit=8, past=0, real=None)


def test_of_more_to_come_a_row_may_be_padding_so_far():
    mask = torch.tensor([[1, 1], [0, 0]])
    assert read_mask(mask, 2, 2, partial=True).tolist() == [[True, True], [False, False]]
    assert read_mask(None, 2, 2) is None
    with pytest.raises(ValueError, match="decoder_attention_mask masks every token of row 1"):
        read_mask(mask, 2, 2, name="decoder_attention_mask")
    check_ids(torch.tensor([[0, 1]], dtype=torch.int32), 2)
    with pytest.raises(ValueError, match="decoder_input_ids has 3 tokens, more than the context of 2"):
        check_length(3, 2, name="decoder_input_ids")
