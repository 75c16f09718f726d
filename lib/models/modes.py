"""Eval mode for as long as something is measured, and a watch that nothing is learned meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def eval_mode(*models: nn.Module) -> Iterator[None]:
    """All `models` in eval mode inside; every module gets its own mode back, also after an error.

    >>> model = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    >>> with eval_mode(model):
    ...     model[0].training
    False
    >>> model[0].training, model[1].training
    (True, False)
    """
    before = [(module, module.training) for model in models for module in model.modules()]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


@contextmanager
def assert_no_update(model: nn.Module) -> Iterator[None]:
    """Raises AssertionError at the end if a parameter or buffer of `model` has changed, naming the first (slides C29, N39).

    >>> model = nn.Linear(1, 1)
    >>> with assert_no_update(model):
    ...     _ = model.weight.data.add_(1)
    Traceback (most recent call last):
    AssertionError: weight was changed
    """
    before = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    yield
    after = model.state_dict()
    for name in dict.fromkeys((*before, *after)):
        same = name in before and name in after and torch.equal(before[name], after[name])
        if not same:
            raise AssertionError(f"{name} was changed")
