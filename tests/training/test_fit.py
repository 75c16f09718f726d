"""The loop is held against a run written out by hand, and against itself interrupted at every step."""

import copy
import math

import pytest
import torch
from torch import nn

from lib.training import FitSettings, NonFiniteLossError, fit, load_checkpoint, lr_multiplier


def model_with_dropout(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 1))


def draw(generator):
    x = torch.randn(4, 3, generator=generator)
    return x, x.sum(dim=1, keepdim=True)


def square_error(model, batch):
    x, y = batch
    return (model(x) - y).pow(2).mean()


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values()))


def test_equals_the_loop_written_by_hand():
    settings = FitSettings(steps=7, learning_rate=0.05, warmup_steps=2, max_grad_norm=0.5, weight_decay=0.1, seed=3)
    ours, theirs = model_with_dropout(), model_with_dropout()
    history = fit(ours, square_error, draw, settings, show_progress=False)

    generator = torch.Generator().manual_seed(3)
    torch.manual_seed(3)
    decay = [p for p in theirs.parameters() if p.dim() == 2]
    plain = [p for p in theirs.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}], betas=(0.9, 0.95)
    )
    for step in range(7):
        loss = square_error(theirs, draw(generator))
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * lr_multiplier(step, 7, 2, "cosine")
        optimizer.step()
        assert history.loss[step] == loss.item()
        assert history.grad_norm[step] == pytest.approx(norm.item())
    assert same(ours, theirs)


@pytest.mark.parametrize("stop_at", range(1, 6))
def test_an_interrupted_run_continues_bit_for_bit(tmp_path, stop_at):
    settings = FitSettings(steps=6, learning_rate=0.05, checkpoint_every=2, eval_every=3)
    score = lambda m: square_error(m, draw(torch.Generator().manual_seed(9)))  # noqa: E731
    whole = model_with_dropout()
    undisturbed = fit(whole, square_error, draw, settings, evaluate=score, show_progress=False)

    calls = 0

    def interrupted_loss(model, batch):
        nonlocal calls
        calls += 1
        if calls > stop_at:
            raise KeyboardInterrupt
        return square_error(model, batch)

    first = model_with_dropout()
    with pytest.raises(KeyboardInterrupt):
        fit(first, interrupted_loss, draw, settings, evaluate=score, checkpoint=tmp_path / "r.pt", show_progress=False)
    torch.manual_seed(12345)  # a new process has another global state and other initial weights
    second = model_with_dropout(seed=99)
    resumed = fit(
        second, square_error, draw, settings, evaluate=score, checkpoint=tmp_path / "r.pt", show_progress=False
    )
    if stop_at >= 2:  # there was a checkpoint: the new weights do not matter
        assert same(second, whole) and resumed == undisturbed
    else:
        assert not same(second, whole)
    assert [p.name for p in tmp_path.iterdir()] == ["r.pt"]


def test_a_finished_run_is_not_trained_again(tmp_path):
    settings = FitSettings(steps=3)
    model = model_with_dropout()
    history = fit(model, square_error, draw, settings, checkpoint=tmp_path / "r.pt", show_progress=False)
    before = copy.deepcopy(model)
    again = fit(model, square_error, draw, settings, checkpoint=tmp_path / "r.pt", show_progress=False)
    assert same(model, before) and again == history


def test_evaluation_is_in_eval_mode_and_changes_nothing():
    modes = []

    def nosy(model):
        modes.append((model.training, torch.is_grad_enabled()))
        torch.rand(100)
        return 1.0

    settings = FitSettings(steps=5, eval_every=2)
    with_it, without = model_with_dropout(), model_with_dropout()
    history = fit(with_it, square_error, draw, settings, evaluate=nosy, show_progress=False)
    fit(without, square_error, draw, settings, show_progress=False)
    assert same(with_it, without)
    assert modes == [(False, False)] * 3 and history.evaluations == [(2, 1.0), (4, 1.0), (5, 1.0)]


def test_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(model_with_dropout_reseeded(), square_error, draw, FitSettings(steps=2), show_progress=False)
    assert torch.equal(torch.rand(3), expected)


def model_with_dropout_reseeded():
    state = torch.get_rng_state()
    model = model_with_dropout()
    torch.set_rng_state(state)
    return model


def test_frozen_parameters_stay():
    model = model_with_dropout()
    model[0].weight.requires_grad_(False)
    before = model[0].weight.clone()
    fit(model, square_error, draw, FitSettings(steps=3), show_progress=False)
    assert torch.equal(model[0].weight, before)


def test_nan_stops_with_the_step_and_the_batch_and_spares_the_model(tmp_path):
    seen = []

    def turns_nan(model, batch):
        seen.append(copy.deepcopy(model))
        loss = square_error(model, batch)
        return loss * math.nan if len(seen) == 4 else loss

    model = model_with_dropout()
    with pytest.raises(
        NonFiniteLossError, match=r"nan at step 3.*last good state is in r\.pt.*float32 tensor of shape \(4, 3\)"
    ) as e:
        fit(
            model,
            turns_nan,
            draw,
            FitSettings(steps=9, checkpoint_every=2),
            checkpoint=tmp_path / "r.pt",
            show_progress=False,
        )
    assert e.value.step == 3 and e.value.batch[0].shape == (4, 3)
    assert same(model, seen[-1])
    assert load_checkpoint(tmp_path / "r.pt", {**load_settings(tmp_path / "r.pt")})["done"] == 2


def load_settings(path):
    return torch.load(path, weights_only=True)["settings"]


def test_checkpoints_of_other_runs_and_damaged_ones_are_refused(tmp_path):
    file = tmp_path / "r.pt"
    fit(model_with_dropout(), square_error, draw, FitSettings(steps=2), checkpoint=file, show_progress=False)
    with pytest.raises(ValueError, match="steps was 2, is 3"):
        fit(model_with_dropout(), square_error, draw, FitSettings(steps=3), checkpoint=file, show_progress=False)
    with pytest.raises(ValueError, match="another model"):
        fit(nn.Linear(3, 1), square_error, draw, FitSettings(steps=2), checkpoint=file, show_progress=False)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"r\.pt cannot be read"):
        fit(model_with_dropout(), square_error, draw, FitSettings(steps=2), checkpoint=file, show_progress=False)
    torch.save([1, 2], file)
    with pytest.raises(ValueError, match="not a checkpoint"):
        load_checkpoint(file, {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": 5, "learning_rate": 0.0},
        {"steps": 5, "learning_rate": math.nan},
        {"steps": 5, "max_grad_norm": -1.0},
        {"steps": 5, "eval_every": 0},
        {"steps": 5, "weight_decay": -0.1},
        {"steps": 5, "schedule": "staircase"},
        {"steps": 5, "warmup_steps": 6},
    ],
)
def test_bad_settings(wrong):
    with pytest.raises(ValueError, match=list(wrong)[-1]):
        FitSettings(**wrong)


def test_a_model_without_trainable_parameters_is_refused():
    model = model_with_dropout().requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter that requires a gradient"):
        fit(model, square_error, draw, FitSettings(steps=1), show_progress=False)
