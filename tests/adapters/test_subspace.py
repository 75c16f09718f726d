import copy

import pytest
import torch
from torch import nn

from lib.adapters import RandomSubspace, count_trainable, unfreeze


def model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def space(dim, seed=0):
    return RandomSubspace(model(), dim, generator=torch.Generator().manual_seed(seed))


def matrix(made):
    """P, column by column: how all parameters move when one number of z is 1."""
    columns = []
    for one in torch.eye(len(made.z)):
        made.z.data = one
        columns.append(torch.cat([made.change(name).flatten() for name in made.follows]))
    return torch.stack(columns, dim=1).detach()


def test_it_starts_as_the_model_and_trains_z_alone():
    made, x = space(5), torch.randn(6, 3)
    assert torch.equal(made(x), model()(x)) and count_trainable(made) == 5
    made(x).sum().backward()
    assert made.z.grad.abs().max() > 0 and all(p.grad is None for p in made.model.parameters())


def test_it_is_theta_0_plus_P_z():
    made, x = space(5), torch.randn(6, 3)
    P = matrix(made)
    made.z.data = torch.randn(5)
    moved = model()
    vector = nn.utils.parameters_to_vector(moved.parameters()) + P @ made.z
    nn.utils.vector_to_parameters(vector.detach(), moved.parameters())
    torch.testing.assert_close(made(x), moved(x))


def test_every_parameter_follows_one_number_so_that_columns_are_orthogonal():
    P = matrix(space(5))
    assert P.shape == (26, 5) and (P.abs().sum(dim=1) == 1).all()
    product = P.T @ P
    assert torch.equal(product, product.diag().diag())


def test_the_gradient_is_P_transposed_times_that_of_the_parameters():
    made, x = space(4), torch.randn(6, 3)
    P = matrix(made)
    made.z.data.zero_()
    made(x).pow(2).sum().backward()
    plain = model()
    plain(x).pow(2).sum().backward()
    torch.testing.assert_close(made.z.grad, P.T @ torch.cat([p.grad.flatten() for p in plain.parameters()]))


def test_the_generator_decides():
    assert torch.equal(matrix(space(4, 1)), matrix(space(4, 1)))
    assert not torch.equal(matrix(space(4, 1)), matrix(space(4, 2)))


def test_it_copies_and_thaws():
    made = space(3)
    assert count_trainable(copy.deepcopy(made)) == 3
    unfreeze(made.model)
    assert count_trainable(made.model) == 26


def test_bad_input():
    with pytest.raises(ValueError, match="dim must lie in"):
        RandomSubspace(model(), 0)
    with pytest.raises(ValueError, match="dim must lie in"):
        RandomSubspace(model(), 27)
    with pytest.raises(TypeError, match="model"):
        RandomSubspace("model", 3)
    with pytest.raises(AttributeError):
        space(3).change("nothing")
