"""Every test of this folder draws the same fresh weights, alone or with others."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
