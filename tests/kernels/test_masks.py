import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.kernels import causal_mask, padding_mask, prefix_mask, sliding_window_mask


@given(st.integers(0, 8), st.integers(0, 5))
def test_causal_by_two_loops(T, past):
    expected = [[j <= i + past for j in range(T + past)] for i in range(T)]
    assert causal_mask(T, T + past).tolist() == expected
    assert causal_mask(T).sum() == T * (T + 1) // 2  # slide C20: 21 at 6


@given(st.integers(1, 8).flatmap(lambda T: st.tuples(st.just(T), st.integers(0, T))))
def test_prefix_by_two_loops(case):
    T, prefix = case
    assert prefix_mask(prefix, T).tolist() == [[j < prefix or j <= i for j in range(T)] for i in range(T)]


@given(st.integers(1, 8), st.integers(1, 10))
def test_window_by_two_loops(T, window):
    expected = [[i - window < j <= i for j in range(T)] for i in range(T)]
    assert sliding_window_mask(T, window).tolist() == expected


def test_padding_hides_keys_on_either_side():
    mask = torch.tensor([[1, 1, 0], [0, 1, 1]])
    expected = torch.tensor([[True, True, False], [False, True, True]])
    for given_mask in (mask, mask.bool(), mask.float()):
        found = padding_mask(given_mask)
        assert found.shape == (2, 1, 1, 3) and torch.equal(found[:, 0, 0], expected)


def test_bad_input(unchecked):
    for call, message in [
        (lambda: causal_mask(3, 2), "S must be at least 3, got 2"),
        (lambda: causal_mask(-1), "T must be at least 0, got -1"),
        (lambda: prefix_mask(4, 3), r"prefix_length must lie in \[0, 3\], got 4"),
        (lambda: prefix_mask(-1, 3), "prefix_length"),
        (lambda: sliding_window_mask(3, 0), "window must be at least 1"),
        (lambda: sliding_window_mask(-1, 2), "T"),
        (lambda: padding_mask(torch.tensor([1, 0])), r"attention_mask must have shape \(B, T\)"),
        (lambda: padding_mask(torch.tensor([[0.0, -1e9]])), "only 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_masks_of_no_tokens_holes_and_the_whole_length(unchecked):
    assert padding_mask(torch.tensor([[0, 1, 0, 1, 0]]))[0, 0, 0].tolist() == [False, True, False, True, False]
    assert padding_mask(torch.zeros(2, 0, dtype=torch.long)).shape == (2, 1, 1, 0)
    assert causal_mask(0).shape == (0, 0) and causal_mask(0, 2).shape == (0, 2) and prefix_mask(0, 0).shape == (0, 0)
    assert torch.equal(prefix_mask(4, 4), torch.ones(4, 4, dtype=torch.bool))
    assert torch.equal(prefix_mask(1, 4), causal_mask(4)) and torch.equal(prefix_mask(0, 4), causal_mask(4))
    assert torch.equal(sliding_window_mask(4, 4), causal_mask(4)) and torch.equal(
        sliding_window_mask(4, 1), torch.eye(4).bool()
    )
    meta = torch.device("meta")
    assert all(mask.device == meta for mask in (
        causal_mask(2, 3, device=meta), prefix_mask(1, 2, device=meta), sliding_window_mask(2, 1, device=meta)
    ))  # fmt: skip
    for bad in (-1, 2):
        with pytest.raises(ValueError, match="attention_mask must hold only 1"):
            padding_mask(torch.tensor([[1, 0, bad]]))
    with pytest.raises(ValueError, match="S must be at least 3, got 0"):
        causal_mask(3, 0)
