"""Every test runs with the shapes in the signatures of `lib` checked at run time."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: two processes side by side must not fight for cores
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from jaxtyping import install_import_hook

install_import_hook("lib", "beartype.beartype")

import jaxtyping
import pytest
import torch
from hypothesis import HealthCheck, settings

from tests.scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler  # noqa: F401 (hooks)
from tests.skips import pytest_terminal_summary  # noqa: F401 (a hook)

torch.set_num_threads(1)

# The machine may be busy: how long an example takes says nothing about the code.
settings.register_profile("course", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("course")


@pytest.fixture
def unchecked():
    """Switch the shape check off: a bad-input test is about the error that a user sees, who has no such check."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def generator():
    """A fresh generator with a fixed seed."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """What a test has drawn and not shown is closed: the next may ask which figures are open."""
    yield
    if plots := sys.modules.get("matplotlib.pyplot"):
        plots.close("all")
