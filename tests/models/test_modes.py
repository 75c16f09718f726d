"""Eval mode inside, and every module as it was outside."""

import pytest
import torch
from torch import nn

from lib.models import assert_no_update, eval_mode


def modes(*models):
    return [module.training for model in models for module in model.modules()]


@pytest.mark.parametrize("error", [False, True])
def test_every_module_keeps_its_own_mode(error):
    one = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Dropout().eval())).train()
    one[1][1].eval()
    other = nn.Dropout().eval()
    before = modes(one, other)
    assert set(before) == {True, False}
    try:
        with eval_mode(one, other):
            assert not any(modes(one, other))
            if error:
                raise KeyError
    except KeyError:
        pass
    assert modes(one, other) == before


def test_a_model_named_twice_or_none():
    model = nn.Dropout().train()
    with eval_mode(model, model):
        assert not model.training
    assert model.training
    with eval_mode():
        pass


def test_a_change_is_noticed_and_reading_is_none():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    with assert_no_update(model):
        model.eval()(torch.ones(3, 2))
    with pytest.raises(AssertionError, match="0.bias was changed"), assert_no_update(model), torch.no_grad():
        model[0].bias[1] += 1e-3
    with pytest.raises(AssertionError, match="1.running_mean was changed"), assert_no_update(model):
        model.train()(torch.rand(3, 2))
    with pytest.raises(ZeroDivisionError), assert_no_update(model):
        raise ZeroDivisionError
