import pytest
import torch

from lib.evaluation import receptive_field


def test_finds_what_changing_one_input_changes(generator):
    mix = torch.rand(5, 5, generator=generator) < 0.4

    def f(x):
        return torch.tanh(mix.to(x.dtype) @ x)

    x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    found = receptive_field(f, x)
    for j in range(5):
        changed = x.clone()
        changed[j] += 0.1
        assert torch.equal(found[:, j], (f(changed) != f(x)).any(dim=1))


def test_derivatives_that_cancel_still_count():
    swap = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])  # its entries sum to zero
    assert receptive_field(lambda x: x.flip(0) @ swap, torch.ones(2, 2)).tolist() == [[False, True], [True, False]]


def test_bad_input(unchecked):
    with pytest.raises(ValueError, match=r"x must have shape \(T, D\)"):
        receptive_field(lambda x: x, torch.ones(3))
    with pytest.raises(ValueError, match="one row for each of the 3 rows"):
        receptive_field(lambda x: x[:2], torch.ones(3, 2))
    with pytest.raises(ValueError, match="one row for each of the 3 rows"):
        receptive_field(lambda x: x.sum(), torch.ones(3, 2))
