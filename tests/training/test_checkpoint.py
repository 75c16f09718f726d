"""Which files a run goes on from, and which it refuses: damaged ones, other runs' and other models'."""

import copy

import pytest
import torch
from torch import nn

from lib.training.checkpoint import load_checkpoint, load_whole, save_checkpoint


@pytest.mark.parametrize("content", [b"", b"plain text", b"hello", b"PK\x03\x04 no archive", b"\x80\x02."])
def test_files_that_are_no_checkpoint(tmp_path, content):
    file = tmp_path / "r.pt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"(?s)checkpoint r\.pt cannot be read .*; delete it to begin the run anew"):
        load_checkpoint(file, {})


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"checkpoint r\.pt cannot be read"):
        load_checkpoint(tmp_path / "r.pt", {})


@pytest.mark.parametrize("state", [{"done": 3}, [1, 2], ["settings"], torch.zeros(2)])
def test_what_is_not_of_a_run(tmp_path, state):
    torch.save(state, tmp_path / "r.pt")
    with pytest.raises(ValueError, match=r"r\.pt is not a checkpoint of a training run"):
        load_checkpoint(tmp_path / "r.pt", {})


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({"steps": 5}, {"steps": 6}, r"\(steps was 5, is 6\)"),
        ({"steps": 5}, {"steps": 5, "rate": 0.1}, r"\(rate was None, is 0.1\)"),
        ({"steps": 5, "rate": 0.1}, {"steps": 5}, r"\(rate was 0.1, is None\)"),
        ({"b": 1, "a": "x", "c": 3}, {"b": 2, "a": "y", "c": 3}, r"\(a was 'x', is 'y'; b was 1, is 2\)"),
    ],
)
def test_every_setting_that_differs_is_named(tmp_path, before, now, said):
    save_checkpoint(tmp_path / "r.pt", {"settings": before, "done": 1})
    with pytest.raises(ValueError, match=rf"checkpoint r\.pt is of a run with other settings {said}; delete it"):
        load_checkpoint(tmp_path / "r.pt", now)
    assert load_checkpoint(tmp_path / "r.pt", before)["done"] == 1


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: without(state, "0.bias"), r"0\.bias has shape \(3,\) in the model, no place in the state"),
        (lambda state: without(state, "1.num_batches_tracked"),
         r"1\.num_batches_tracked has shape \(\) in the model, no place in the state"),
        (lambda state: state | {"2.weight": torch.zeros(1, 3)},
         r"2\.weight has no place in the model, \(1, 3\) in the state"),
        (lambda state: state | {"1.weight": torch.zeros(1)},
         r"1\.weight has shape \(3,\) in the model, \(1,\) in the state"),
    ],
)  # fmt: skip
def test_of_another_models_state_nothing_is_loaded(change, said):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = copy.deepcopy(model.state_dict())
    other = {name: tensor + 1 for name, tensor in before.items()}
    with pytest.raises(ValueError, match=f"^{said}$"):
        load_whole(model, change(other))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    load_whole(model, other)
    assert all(torch.equal(tensor, other[name]) for name, tensor in model.state_dict().items())
