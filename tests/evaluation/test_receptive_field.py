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


def test_outputs_of_another_width_also_where_no_gradients_are_kept():
    def f(x):
        return torch.stack((x[0, 0] + x[1, 2], x[2, 1], x[0, 2] * x[2, 0]))[:, None]

    with torch.no_grad():
        assert receptive_field(f, torch.ones(3, 3)).int().tolist() == [[1, 1, 0], [0, 0, 1], [1, 0, 1]]
    assert receptive_field(lambda x: x.repeat(1, 4), torch.ones(2, 1)).int().tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("f", [lambda x: x[..., None], lambda x: x[:, 0], lambda x: torch.cat((x, x))])
def test_what_a_function_must_return(f):
    with pytest.raises(ValueError, match="one row for each of the 3 rows of x"):
        receptive_field(f, torch.ones(3, 2))


@pytest.mark.parametrize("shape", [(0, 2), (2, 0)])
def test_no_position_has_no_field(shape, unchecked):
    with pytest.raises(ValueError, match="x must not be empty"):
        receptive_field(lambda x: x, torch.ones(shape))
