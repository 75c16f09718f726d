import math
import re

import pytest
import torch

from lib.models import Decoder, count_parameters
from lib.training import scaling
from lib.training.scaling import ScalingPoint, one_pass, scaling_data, scaling_grid, train_point

TINY = ScalingPoint(num_layers=1, d_model=16, tokens=4096, seed=0)


@pytest.fixture(scope="module")
def row():
    return train_point(TINY)


def test_the_grid_is_what_a_scaling_law_needs():
    grid = scaling_grid("cpu")
    sizes = {12 * p.num_layers * p.d_model**2 for p in grid}
    assert len(grid) == len(set(grid)) >= 40
    assert max(sizes) / min(sizes) >= 100, "two decades of non-embedding parameters"
    assert len({p.tokens for p in grid}) >= 5 and len({p.seed for p in grid}) == 3
    assert {p.device for p in grid} == {"cpu"} and {p.device for p in scaling_grid("gpu")} == {"cuda"}
    work = [p.num_layers * p.d_model**2 * p.tokens for p in grid]
    assert work == sorted(work, reverse=True), "the longest first, so that no worker waits at the end"
    assert max(p.tokens for p in grid) <= scaling_data()[0].numel()


def test_a_row_says_what_was_trained(row):
    parameters = count_parameters(Decoder(TINY.config()))
    assert row["all_parameters"] == parameters and row["parameters"] == parameters - 512 * 16
    assert row["steps"] == 8 and row["learning_rate"] == 0.04
    assert row["loss"] < row["loss_elsewhere"] + 0.5 and 4 < row["loss"] < math.log(512) + 0.6
    places = [int(pair.split(":")[0]) for pair in row["curve"].split()]
    assert places == sorted(set(places)) and places[-1] == TINY.tokens


def test_the_same_point_gives_the_same_row_and_another_seed_does_not(row):
    def timeless(other):
        return {k: v for k, v in other.items() if k != "seconds"}

    assert timeless(train_point(TINY)) == timeless(row)
    assert train_point(ScalingPoint(1, 16, 4096, seed=1))["loss"] != row["loss"]


def test_what_a_run_is_trained_and_measured_on(monkeypatch):
    """Windows of the training text, none twice; then all of the held-out ones, and those of another text."""
    seen, fit = [], scaling.fit

    def watched(model, loss_fn, sample, settings, **more):
        def remembered(generator):
            seen.append(sample(generator))
            return seen[-1]

        watched.model = model
        return fit(model, loss_fn, remembered, settings, **more)

    monkeypatch.setattr(scaling, "fit", watched)
    row = train_point(TINY)
    train, held_out, elsewhere = scaling_data()
    windows = [tuple(window) for window in torch.cat(seen).tolist()]
    assert len(windows) * 64 == TINY.tokens and len(set(windows)) == len(windows)
    assert set(windows) <= {tuple(window) for window in train.tolist()}

    def nats_per_token(texts):
        with torch.no_grad():
            log_probs = watched.model(texts)[:, :-1].log_softmax(-1)
        return -log_probs.gather(2, texts[:, 1:, None]).mean().item()

    assert row["loss"] == pytest.approx(nats_per_token(held_out), abs=6e-5)
    assert row["loss_elsewhere"] == pytest.approx(nats_per_token(elsewhere), abs=6e-5)
    assert abs(row["loss"] - row["loss_elsewhere"]) > 0.01


def test_a_run_is_one_pass_with_a_short_warm_up_to_zero():
    settings = ScalingPoint(2, 32, 512 * 2000, seed=3).settings()
    assert (settings.steps, settings.warmup_steps, settings.schedule, settings.floor) == (2000, 100, "cosine", 0)
    assert settings.seed == 3 and settings.learning_rate == 0.02
    assert ScalingPoint(2, 32, 512 * 50, seed=3).settings().warmup_steps == 5


def test_more_text_gives_a_lower_loss(row):
    assert train_point(ScalingPoint(1, 16, 32_768, seed=0))["loss"] < row["loss"] - 0.3


def test_the_curve_is_the_mean_of_the_loss_between_its_places():
    history = scaling.History(loss=[8.0, 6.0, 4.0, 2.0])
    assert scaling._curve(history, points=2) == "1024:7.000 2048:3.000"


@pytest.mark.parametrize("seed", [0, 1])
def test_one_pass_hands_out_each_window_once(seed):
    windows = torch.arange(24).view(12, 2)
    generator = torch.Generator().manual_seed(seed)
    sample = one_pass(windows, 4)
    batches = torch.cat([sample(generator) for _ in range(3)])
    assert torch.equal(batches.sort(0).values, windows) and not torch.equal(batches, windows)


def test_held_out_text_is_not_trained_on():
    train, held_out, elsewhere = scaling_data()
    assert train.shape[1] == held_out.shape[1] == 64 and len(held_out) == 512 and len(elsewhere) == 256
    known = {tuple(window) for window in train.tolist()}
    assert not any(tuple(window) in known for window in held_out.tolist())


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ScalingPoint(0, 16, 512, 0), "num_layers must be at least 1, got 0"),
        (lambda: ScalingPoint(1, -16, 512, 0), "d_model must be at least 1"),
        (lambda: ScalingPoint(1, 16, 500, 0), "tokens must be whole batches of 512, got 500"),
        (lambda: train_point(ScalingPoint(1, 16, 512 * 10**6, 0)), "tokens must be at most"),
        (lambda: ScalingPoint(1, 16, 0, 0), "tokens must be at least 1, got 0"),
        (lambda: scaling_grid("tpu"), "profile must be 'cpu' or 'gpu', got 'tpu'"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_profile_says_so():
    with pytest.raises(ValueError, match="device 'cuda' is not available"):
        train_point(ScalingPoint(1, 16, 512, 0, device="cuda"))


@pytest.mark.parametrize(("width", "heads"), [(8, 1), (16, 1), (48, 3), (224, 14)])
def test_a_decoder_in_llamas_manner(width, heads):
    config = ScalingPoint(3, width, 512, 0).config()
    assert (config.architecture, config.position, config.norm, config.bias) == ("decoder", "rotary", "rmsnorm", False)
    assert (config.d_model, config.num_layers, config.num_heads, config.d_ff) == (width, 3, heads, 4 * width)
    assert (config.vocab_size, config.max_positions, config.init_std) == (512, 64, pytest.approx(width**-0.5))


def test_the_grid_of_a_gpu_has_three_sizes_more():
    cpu, gpu = scaling_grid(), scaling_grid("gpu")
    sizes = [{(p.num_layers, p.d_model) for p in grid} for grid in (cpu, gpu)]
    assert sizes[1] - sizes[0] == {(8, 384), (10, 592), (12, 768)} and sizes[0] < sizes[1]
    assert (len(cpu), len(gpu), gpu[0].d_model) == (135, 180, 768)
    assert 12 * 12 * 768**2 == pytest.approx(85e6, rel=0.01)
    assert len({(p.num_layers, p.tokens, p.seed) for p in cpu}) < len(set(cpu))


def test_all_of_the_text_may_be_trained_on_and_no_more(monkeypatch):
    windows = torch.arange(16 * 64).view(16, 64) % 512
    monkeypatch.setattr(scaling, "scaling_data", lambda: (windows, windows[:2], windows[:2]))
    assert train_point(ScalingPoint(1, 16, 1024, 0))["steps"] == 2
    with pytest.raises(ValueError, match="tokens must be at most 1,024, what the text has; got 1,536"):
        train_point(ScalingPoint(1, 16, 1536, 0))


def test_one_pass_ends_with_what_is_left_and_draws_its_order_once():
    windows, generator = torch.arange(10)[:, None], torch.Generator().manual_seed(0)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    sample = one_pass(windows, 4)
    batches = [sample(generator).flatten() for _ in range(3)]
    assert [len(batch) for batch in batches] == [4, 4, 2] and torch.equal(torch.cat(batches), order)


def test_the_curve_has_sixteen_places_or_one_for_each_update():
    assert scaling._curve(scaling.History(loss=[3.0])) == "512:3.000"
    long = scaling._curve(scaling.History(loss=[1.0] * 2**16)).split()
    assert [int(pair.split(":")[0]) // 512 for pair in long] == [2**k for k in range(1, 17)]


def test_a_seed_draws_the_weights_and_the_order_of_the_windows(monkeypatch):
    """Each of the two would already give every seed another loss."""
    seen, fit = [], scaling.fit

    def watched(model, loss_fn, sample, settings, **more):
        seen.append((model.tokens.weight.detach().clone(), sample(torch.Generator().manual_seed(settings.seed)),
                     settings.seed))  # fmt: skip
        return fit(model, loss_fn, sample, settings, **more)

    monkeypatch.setattr(scaling, "fit", watched)
    windows = torch.arange(16 * 64).view(16, 64) % 512
    monkeypatch.setattr(scaling, "scaling_data", lambda: (windows, windows[:2], windows[:2]))
    for seed in (3, 3, 4):
        try:
            train_point(ScalingPoint(1, 16, 512, seed))
        except IndexError:  # the sample that was looked at is missing at the end
            pass
    (weights, batch, seed), again, other = seen
    assert torch.equal(weights, again[0]) and not torch.equal(weights, other[0])
    assert torch.equal(batch, again[1]) and not torch.equal(batch, other[1])
    assert [each[2] for each in seen] == [3, 3, 4]
