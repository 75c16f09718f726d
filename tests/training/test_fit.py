"""The loop is held against a run written out by hand, and against itself interrupted at every step."""

import copy
import importlib
import math
from fractions import Fraction

import pytest
import torch
from torch import nn

from lib.training import (
    FitSettings,
    NonFiniteGradientError,
    NonFiniteLossError,
    fit,
    load_checkpoint,
    lr_multiplier,
    save_checkpoint,
)

MODULE = importlib.import_module("lib.training.fit")  # `lib.training.fit` itself is the function


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


@pytest.mark.parametrize(
    ("max_grad_norm", "betas", "schedule", "floor"),
    [(0.5, (0.9, 0.95), "cosine", 0.0), (None, (0.7, 0.8), "linear", 0.3)],
)
def test_equals_the_loop_written_by_hand(max_grad_norm, betas, schedule, floor):
    settings = FitSettings(steps=7, learning_rate=0.05, warmup_steps=2, max_grad_norm=max_grad_norm, weight_decay=0.1,
                           seed=3, betas=betas, schedule=schedule, floor=floor)  # fmt: skip
    ours, theirs = model_with_dropout(), model_with_dropout()
    history = fit(ours, square_error, draw, settings, show_progress=False)

    generator = torch.Generator().manual_seed(3)
    torch.manual_seed(3)
    decay = [p for p in theirs.parameters() if p.dim() == 2]
    plain = [p for p in theirs.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}], betas=betas
    )
    for step in range(7):
        loss = square_error(theirs, draw(generator))
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(theirs.parameters(), max_grad_norm or math.inf)
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * lr_multiplier(step, 7, 2, schedule, floor)
        optimizer.step()
        assert history.learning_rate[step] == optimizer.param_groups[0]["lr"]
        assert history.loss[step] == loss.item()
        assert history.grad_norm[step] == pytest.approx(norm.item())
    assert same(ours, theirs)
    assert max_grad_norm is None or max(history.grad_norm) > max_grad_norm  # recorded before it is clipped


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


def test_an_error_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    file = tmp_path / "r.pt"
    save_checkpoint(file, {"settings": {}, "done": 3})

    def half(state, path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(file, {"settings": {}, "done": 4})
    assert load_checkpoint(file, {})["done"] == 3 and [path.name for path in tmp_path.iterdir()] == ["r.pt"]


def test_a_finished_run_is_not_trained_again(tmp_path):
    settings = FitSettings(steps=3)
    model = model_with_dropout()
    history = fit(model, square_error, draw, settings, checkpoint=tmp_path / "r.pt", show_progress=False)
    before = copy.deepcopy(model)
    again = fit(model, square_error, draw, settings, checkpoint=tmp_path / "r.pt", show_progress=False)
    assert same(model, before) and again == history


def test_another_rhythm_of_checkpoints_is_the_same_run(tmp_path):
    file, whole = tmp_path / "r.pt", model_with_dropout()
    undisturbed = fit(whole, square_error, draw, FitSettings(steps=6), show_progress=False)

    def stopped(model, batch):
        if torch.load(file)["done"] == 2 if file.exists() else False:
            raise KeyboardInterrupt
        return square_error(model, batch)

    with pytest.raises(KeyboardInterrupt):
        fit(model_with_dropout(), stopped, draw, FitSettings(steps=6, checkpoint_every=2), checkpoint=file,
            show_progress=False)  # fmt: skip
    resumed = model_with_dropout(seed=9)
    history = fit(resumed, square_error, draw, FitSettings(steps=6, checkpoint_every=5), checkpoint=file,
                  show_progress=False)  # fmt: skip
    assert same(resumed, whole) and history == undisturbed


def test_randomness_on_another_device_is_part_of_the_run(tmp_path, monkeypatch):
    """As on a GPU, whose dropout draws from a generator of its own; here it is another of the CPU's."""
    gpu = torch.Generator().manual_seed(77)
    monkeypatch.setattr(MODULE, "dropout_generators", lambda trained: [torch.default_generator, gpu])
    file, calls = tmp_path / "r.pt", []

    def loss(model, batch):
        calls.append(len(calls))
        if len(calls) == 4:
            raise KeyboardInterrupt
        kept = torch.rand(4, 3, generator=gpu) > 0.5
        return square_error(model, (batch[0] * kept, batch[1]))

    def nosy(model):
        return torch.rand(1, generator=gpu).item()

    settings = FitSettings(steps=5, checkpoint_every=2, eval_every=1)
    with pytest.raises(KeyboardInterrupt):
        fit(model_with_dropout(), loss, draw, settings, evaluate=nosy, checkpoint=file, show_progress=False)
    gpu.manual_seed(5)  # a new process
    second = model_with_dropout(seed=9)
    resumed = fit(second, loss, draw, settings, evaluate=nosy, checkpoint=file, show_progress=False)
    expected = torch.rand(2, generator=torch.Generator().manual_seed(5))
    assert torch.equal(torch.rand(2, generator=gpu), expected)  # the caller's are left alone there, too
    whole = model_with_dropout()
    assert resumed == fit(whole, loss, draw, settings, evaluate=nosy, show_progress=False)
    assert same(second, whole)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: its generator is faked in the test above")
def test_on_a_gpu_an_interrupted_run_continues_bit_for_bit(tmp_path):
    settings, done = FitSettings(steps=6, checkpoint_every=2), []

    def loss(model, batch):
        done.append(1)
        if len(done) == 4:
            raise KeyboardInterrupt
        return square_error(model, [part.cuda() for part in batch])

    with pytest.raises(KeyboardInterrupt):
        fit(model_with_dropout().cuda(), loss, draw, settings, checkpoint=tmp_path / "r.pt", show_progress=False)
    torch.cuda.manual_seed(5)
    state = torch.cuda.get_rng_state()
    second, whole = model_with_dropout(seed=9).cuda(), model_with_dropout().cuda()
    resumed = fit(second, loss, draw, settings, checkpoint=tmp_path / "r.pt", show_progress=False)
    assert resumed == fit(whole, loss, draw, settings, show_progress=False) and same(second, whole)
    assert torch.equal(torch.cuda.get_rng_state(), state)


def test_a_run_of_another_device_is_not_gone_on_with(tmp_path, monkeypatch):
    file, settings = tmp_path / "r.pt", FitSettings(steps=1)
    fit(model_with_dropout(), square_error, draw, settings, checkpoint=file, show_progress=False)
    state = torch.load(file)
    state["settings"]["devices"] = ["cpu", "cuda:0"]
    torch.save(state, file)
    with pytest.raises(ValueError, match=r"devices was \['cpu', 'cuda:0'\], is \['cpu'\]"):
        fit(model_with_dropout(), square_error, draw, settings, checkpoint=file, show_progress=False)


@pytest.mark.parametrize("evaluate", [None, lambda model: 1.0])
@pytest.mark.parametrize("fails", [False, True])
def test_each_module_is_in_the_mode_it_was_in(evaluate, fails):
    seen, model = [], model_with_dropout().train()
    model[1].eval()

    def loss(model, batch):
        seen.append([m.training for m in model.modules()])
        return square_error(model, batch) * (math.nan if fails else 1)

    for whole in (model, model_with_dropout().eval()):
        before = [m.training for m in whole.modules()]
        try:
            fit(whole, loss, draw, FitSettings(steps=2, eval_every=1), evaluate=evaluate, show_progress=False)
        except NonFiniteLossError:
            assert fails
        assert [m.training for m in whole.modules()] == before
    assert all(all(modes) for modes in seen)  # updates are in train mode, the second after an evaluation, too


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


def turns_nan(model, batch, at, seen):
    """The loss is NaN in update number `at`."""
    seen.append(copy.deepcopy(model))
    return square_error(model, batch) * (math.nan if len(seen) == at + 1 else 1)


def turns_steep(model, batch, at, seen):
    """The loss stays as it is, to the bit, but its gradient is NaN in update number `at`: √x has none at 0."""
    seen.append(copy.deepcopy(model))
    zero = (model[0].weight * 0).abs().sqrt().sum() if len(seen) == at + 1 else 0
    return square_error(model, batch) + zero


@pytest.mark.parametrize(
    ("loss_fn", "error", "said"),
    [
        (turns_nan, NonFiniteLossError, "the loss is nan"),
        (turns_steep, NonFiniteGradientError, "gradient's norm is nan"),
    ],
)
def test_nan_stops_with_the_step_and_the_batch_and_spares_model_and_checkpoint(tmp_path, loss_fn, error, said):
    seen, model, file = [], model_with_dropout(), tmp_path / "r.pt"
    loss = lambda m, b: loss_fn(m, b, 3, seen)  # noqa: E731
    with pytest.raises(
        error, match=rf"{said}.* at step 3.*last good state is in r\.pt.*float32 tensor of shape \(4, 3\)"
    ) as e:
        fit(model, loss, draw, FitSettings(steps=9, checkpoint_every=2), checkpoint=file, show_progress=False)
    assert type(e.value) is error and e.value.step == 3 and e.value.batch[0].shape == (4, 3)
    assert same(model, seen[-1]) and all(p.grad is None for p in model.parameters())
    state = torch.load(file, weights_only=True)
    assert state["done"] == 2
    assert all(torch.equal(kept, own) for kept, own in zip(state["model"].values(), seen[2].state_dict().values()))


@pytest.mark.parametrize("max_grad_norm", [1.0, None])
def test_a_gradient_that_was_never_finite(tmp_path, max_grad_norm):
    """The loss of the report: 0, with a gradient of 0 · ∞."""
    model, file = nn.Linear(3, 1), tmp_path / "r.pt"
    before = copy.deepcopy(model)
    with pytest.raises(NonFiniteGradientError, match=r"norm is nan \(the loss is 0.0\) at step 0"):
        fit(model, lambda m, b: (m.weight * 0).sqrt().sum(), draw, FitSettings(steps=1, max_grad_norm=max_grad_norm),
            checkpoint=file, show_progress=False)  # fmt: skip
    assert same(model, before) and not file.exists()


def test_a_norm_too_large_for_its_type_is_no_gradient_of_zero():
    """Each entry is finite; clipping would divide it by an infinite norm, and nothing would be learned."""
    model = nn.Linear(3, 1)
    with pytest.raises(NonFiniteGradientError, match="norm is inf"):
        fit(model, lambda m, b: 1e30 * m.weight.sum(), draw, FitSettings(steps=1), show_progress=False)


def test_weights_in_float16_are_refused():
    """Adam's 1e-8 is 0 there: a token that no batch holds would get the update 0/0."""
    half = nn.Embedding(5, 2).half()
    arguments = (lambda m, b: m(b).float().square().mean(), lambda g: torch.tensor([0]), FitSettings(steps=1))
    with pytest.raises(ValueError, match="model has float16 parameters"):
        fit(half, *arguments, show_progress=False)
    fit(half.bfloat16(), *arguments, show_progress=False)
    assert half.weight.isfinite().all()
    frozen = nn.Sequential(nn.Embedding(5, 2).half().requires_grad_(False), nn.Linear(2, 1))
    fit(frozen, lambda m, b: m[1](m[0](b).float()).square().mean(), *arguments[1:], show_progress=False)


def test_checkpoints_of_other_runs_and_damaged_ones_are_refused(tmp_path):
    file = tmp_path / "r.pt"
    fit(model_with_dropout(), square_error, draw, FitSettings(steps=2), checkpoint=file, show_progress=False)
    with pytest.raises(ValueError, match="steps was 2, is 3"):
        fit(model_with_dropout(), square_error, draw, FitSettings(steps=3), checkpoint=file, show_progress=False)
    half_frozen = model_with_dropout(seed=7)
    half_frozen[0].bias.requires_grad_(False)
    for other in (nn.Linear(3, 1), half_frozen, nn.Sequential(*model_with_dropout(seed=7)[:3], nn.Linear(8, 2))):
        before = copy.deepcopy(other)
        with pytest.raises(ValueError, match="another model"):
            fit(other, square_error, draw, FitSettings(steps=2), checkpoint=file, show_progress=False)
        assert same(other, before)  # nothing of it was loaded
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"r\.pt cannot be read"):
        fit(model_with_dropout(), square_error, draw, FitSettings(steps=2), checkpoint=file, show_progress=False)
    torch.save({"settings": {}, "done": Fraction(1, 2)}, file)
    with pytest.raises(ValueError, match=r"r\.pt cannot be read"):  # an object of any class might run code
        load_checkpoint(file, {})
    torch.save([1, 2], file)
    with pytest.raises(ValueError, match="not a checkpoint"):
        load_checkpoint(file, {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": 5, "learning_rate": 0.0},
        {"steps": 5, "learning_rate": math.nan},
        {"steps": 5, "learning_rate": math.inf},
        {"steps": 5, "max_grad_norm": -1.0},
        {"steps": 5, "max_grad_norm": 0.0},
        {"steps": 5, "max_grad_norm": math.nan},
        {"steps": 5, "weight_decay": math.inf},
        {"steps": 5, "floor": -0.1},
        {"steps": 5, "floor": 1.1},
        {"steps": 5, "eval_every": 0},
        {"steps": 5, "checkpoint_every": 0},
        {"steps": 5, "gradient_accumulation_steps": 0},
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


def test_settings_at_the_edge_of_their_range(unchecked):
    edges = {"weight_decay": 0.0, "max_grad_norm": math.inf, "floor": 1.0, "warmup_steps": 1, "eval_every": 1}
    settings = FitSettings(steps=1, checkpoint_every=1, **edges)
    fit(nn.Linear(3, 1), square_error, draw, settings, show_progress=False)
    for name in ("steps", "eval_every", "checkpoint_every", "gradient_accumulation_steps", "warmup_steps"):
        with pytest.raises(TypeError, match=f"{name} must be a whole number, got 2.0"):
            FitSettings(**{"steps": 5, name: 2.0})


def test_matrices_and_larger_are_decayed_vectors_and_numbers_are_not():
    model = nn.Module()
    for dims in range(4):
        model.register_parameter(f"p{dims}", nn.Parameter(torch.ones([2] * dims)))
    loss = lambda m, batch: 0 * sum(p.sum() for p in m.parameters())  # noqa: E731
    settings = FitSettings(steps=1, learning_rate=0.5, schedule="constant", weight_decay=0.2)
    fit(model, loss, draw, settings, show_progress=False)
    assert [p.flatten()[0].item() for p in model.parameters()] == pytest.approx([1, 1, 0.9, 0.9])


@pytest.mark.parametrize(("every", "expected"), [(None, [4]), (1, [1, 2, 3, 4]), (2, [2, 4]), (3, [3, 4]), (9, [4])])
def test_when_a_model_is_evaluated(every, expected):
    seen = []

    def evaluate(model):
        seen.append(model)
        return torch.tensor(2.5)

    model, settings = nn.Linear(3, 1), FitSettings(steps=4, eval_every=every)
    history = fit(model, square_error, draw, settings, evaluate=evaluate, show_progress=False)
    assert history.evaluations == [(step, 2.5) for step in expected] and all(m is model for m in seen)
    assert all(type(value) is float for _, value in history.evaluations)


@pytest.mark.parametrize(("every", "expected"), [(1, [1, 2, 3, 4]), (2, [2, 4]), (3, [3, 4]), (9, [4])])
def test_when_a_checkpoint_is_written(tmp_path, monkeypatch, every, expected):
    written, save = [], MODULE.save_checkpoint
    monkeypatch.setattr(
        MODULE, "save_checkpoint", lambda file, state: (written.append(state["done"]), save(file, state))
    )
    settings = FitSettings(steps=4, checkpoint_every=every)
    fit(nn.Linear(3, 1), square_error, draw, settings, checkpoint=str(tmp_path / "r.pt"), show_progress=False)
    assert written == expected and (tmp_path / "r.pt").exists()


@pytest.mark.parametrize("show", [True, False])
def test_the_progress_of_a_resumed_run(tmp_path, monkeypatch, show):
    bars = []

    class Bar:
        def __init__(self, **options):
            self.options, self.done, self.shown = options, 0, []
            bars.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def update(self, number=1):
            self.done += number

        def set_postfix(self, shown, refresh):
            self.shown.append((self.done, shown["loss"]))

    def once_stopped(model, batch):
        if bars[-1].done == 3 and len(bars) == 1:
            raise KeyboardInterrupt
        return square_error(model, batch)

    monkeypatch.setattr(MODULE, "progress", Bar)
    arguments = (once_stopped, draw, FitSettings(steps=5, checkpoint_every=2))
    options = {"checkpoint": tmp_path / "r.pt", "description": "a line", "show_progress": show}
    with pytest.raises(KeyboardInterrupt):
        fit(model_with_dropout(), *arguments, **options)
    history = fit(model_with_dropout(), *arguments, **options)
    assert [bar.options for bar in bars] == [{"description": "a line", "total": 5, "disable": not show}] * 2
    assert bars[1].done == 5 and bars[1].shown == [(k, f"{history.loss[k]:.3f}") for k in (2, 3, 4)]


@pytest.mark.parametrize("where", ["loss", "evaluate", "sample"])
def test_an_error_of_the_callers_own_leaves_modes_and_random_numbers_alone(where):
    model, state = model_with_dropout().eval(), torch.get_rng_state()

    def fails(*given):
        torch.rand(3)
        raise KeyboardInterrupt

    functions = {"loss": square_error, "sample": draw, "evaluate": None} | {where: fails}
    with pytest.raises(KeyboardInterrupt):
        fit(model, functions["loss"], functions["sample"], FitSettings(steps=1), evaluate=functions["evaluate"],
            show_progress=False)  # fmt: skip
    assert not any(m.training for m in model.modules()) and torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_an_evaluation_is_in_the_checkpoint_of_its_update(tmp_path, every):
    """Evaluated and saved after the same update, then stopped: the evaluation is not lost, nor made twice."""
    settings, calls = FitSettings(steps=6, checkpoint_every=every, eval_every=every), []

    def stopped(model, batch):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return square_error(model, batch)

    options = {"evaluate": lambda model: model[3].bias.item(), "show_progress": False}
    whole = fit(model_with_dropout(), square_error, draw, settings, **options)
    with pytest.raises(KeyboardInterrupt):
        fit(model_with_dropout(), stopped, draw, settings, checkpoint=tmp_path / "r.pt", **options)
    resumed = fit(model_with_dropout(seed=9), stopped, draw, settings, checkpoint=tmp_path / "r.pt", **options)
    assert resumed.evaluations == whole.evaluations and len(resumed.evaluations) == 6 // every
    again = fit(model_with_dropout(seed=9), stopped, draw, settings, checkpoint=tmp_path / "r.pt", **options)
    assert again == resumed, "a run that has ended is not evaluated once more"


def test_a_history_that_is_returned_is_not_the_one_in_the_checkpoint(tmp_path):
    """What a caller does with it changes nothing of the run."""
    arguments = (square_error, draw, FitSettings(steps=2))
    first = fit(model_with_dropout(), *arguments, checkpoint=tmp_path / "r.pt", show_progress=False)
    kept = list(first.loss)
    first.loss.clear()
    assert fit(model_with_dropout(), *arguments, checkpoint=tmp_path / "r.pt", show_progress=False).loss == kept


def test_a_run_begins_at_its_own_seed_whatever_the_model_was_made_with():
    """Dropout is seeded by the settings, also the seed 0, and batches do not come from dropout's generator."""
    states, batches = [], []

    def loss(model, batch):
        states.append(torch.get_rng_state())
        return square_error(model, batch)

    for seed in (0, 7):
        torch.manual_seed(99 + seed)
        fit(model_with_dropout(), loss, lambda g: batches.append(draw(g)) or batches[-1], FitSettings(1, seed=seed),
            show_progress=False)  # fmt: skip
        assert torch.equal(states[-1], torch.Generator().manual_seed(seed).get_state())
        assert torch.equal(batches[-1][0], draw(torch.Generator().manual_seed(seed))[0])
