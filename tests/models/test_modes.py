"""Eval mode inside, and every module as it was outside."""

import pytest
from torch import nn

from lib.models import eval_mode


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
