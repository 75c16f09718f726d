"""Checkpoints of a training run: written whole, and read only if they belong to the same run."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lib.files import atomic_path


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, and lists and dicts of these) so that `path` is never half there.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "run.pt"
    >>> save_checkpoint(file, {"settings": {"steps": 5}, "done": 3})
    >>> load_checkpoint(file, {"steps": 5})["done"]
    3
    """
    with atomic_path(path) as beside:
        torch.save(state, beside)


def load_checkpoint(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Read a checkpoint that `save_checkpoint` wrote for a run with these `settings`.

    Only plain data is unpickled. Raises ValueError when the file is damaged, is not a checkpoint, or belongs to a run
    with other settings (the message names those that differ): continuing it would be neither run.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # reading a damaged pickle ends in any of them: a KeyError, an IndexError, ...
        found = f"{type(error).__name__}: {error}"
        raise ValueError(f"checkpoint {path.name} cannot be read ({found}); delete it to begin the run anew") from error
    if not isinstance(state, dict) or "settings" not in state:
        raise ValueError(f"{path.name} is not a checkpoint of a training run")
    before = state["settings"]
    differ = [
        f"{name} was {before.get(name)!r}, is {settings.get(name)!r}"
        for name in sorted(before.keys() | settings.keys())
        if before.get(name) != settings.get(name)
    ]
    if differ:
        raise ValueError(
            f"checkpoint {path.name} is of a run with other settings ({'; '.join(differ)}); "
            "delete it or give this run another file"
        )
    return state


def load_whole(model: nn.Module, state: dict[str, Tensor]) -> None:
    """`load_state_dict`, but of another model's state nothing is loaded, where PyTorch loads whatever fits.

    Raises ValueError.

    >>> load_whole(nn.Linear(2, 1), nn.Linear(3, 1).state_dict())
    Traceback (most recent call last):
    ValueError: weight has shape (1, 2) in the model, (1, 3) in the state
    """
    own = model.state_dict()
    for name in sorted(own.keys() | state.keys()):
        shapes = [tuple(tensors[name].shape) if name in tensors else None for tensors in (own, state)]
        if shapes[0] != shapes[1]:
            inside, outside = (f"shape {shape}" if shape is not None else "no place" for shape in shapes)
            raise ValueError(f"{name} has {inside} in the model, {outside.removeprefix('shape ')} in the state")
    model.load_state_dict(state)
