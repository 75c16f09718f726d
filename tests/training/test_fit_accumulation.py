"""Gradient accumulation against the one large batch that it stands for, what a loss measures beside, and the speed."""

import importlib

import pytest
import torch
from torch import nn

from lib.models import Decoder
from lib.training import FitSettings, History, NonFiniteGradientError, NonFiniteLossError, fit, predicted_tokens
from lib.training.preferences import demonstration_loss, join_answers, take
from lib.training.recipes import next_token_loss
from tests.models import small

LENGTHS = [1, 7, 2, 3, 9, 1]  # of the answers: three batches of two, with 8, 5 and 10 predicted tokens


def decoder():
    return Decoder(small.decoder(vocab_size=40, max_positions=16), generator=torch.Generator().manual_seed(1)).double()


def demonstrations():
    return join_answers([[5, 6]] * 6, [list(range(7 + n, 7 + 2 * n)) for n in LENGTHS], pad_id=0)


def batches_in_turn(batches):
    left = list(batches)
    return lambda generator: left.pop(0)


def trained(batches, **more):
    model = decoder()
    settings = FitSettings(steps=1, learning_rate=0.01, gradient_accumulation_steps=len(batches))
    history = fit(model, demonstration_loss, batches_in_turn(batches), settings, show_progress=False, **more)
    return history, torch.cat([p.detach().flatten() for p in model.parameters()])


def test_accumulated_batches_are_one_large_one_however_long_their_answers():
    everything = demonstrations()
    parts = [take(everything, torch.tensor(rows)) for rows in ([0, 1], [2, 3], [4, 5])]
    one, large = trained([everything], count_tokens=predicted_tokens)
    three, small_ones = trained(parts, count_tokens=predicted_tokens)
    assert three.tokens == one.tokens == [23]
    assert three.loss == pytest.approx(one.loss, rel=1e-12)
    assert three.grad_norm == pytest.approx(one.grad_norm, rel=1e-12)
    torch.testing.assert_close(small_ones, large, rtol=1e-9, atol=1e-12)
    mean, _ = trained(parts, count_tokens=lambda batch: 1)  # the plain mean, a well-known mistake, is another gradient
    assert abs(mean.grad_norm[0] / one.grad_norm[0] - 1) > 1e-3


def test_as_many_batches_are_drawn_as_are_accumulated():
    drawn = []

    def sample(generator):
        drawn.append(torch.rand(1, generator=generator).item())
        return torch.full((2, 3), drawn[-1])

    settings = FitSettings(steps=3, gradient_accumulation_steps=2)
    model = nn.Linear(3, 1)
    history = fit(model, lambda m, x: m(x).mean(), sample, settings, count_tokens=len, show_progress=False)
    assert len(set(drawn)) == 6 and history.tokens == [4, 4, 4]
    assert len(history.loss) == len(history.seconds) == 3


def test_accumulation_needs_to_know_what_the_losses_are_means_over():
    settings = FitSettings(steps=1, gradient_accumulation_steps=2)
    with pytest.raises(ValueError, match="count_tokens is missing"):
        fit(nn.Linear(3, 1), lambda m, x: m(x).mean(), lambda g: torch.ones(2, 3), settings, show_progress=False)
    with pytest.raises(ValueError, match=r"count_tokens\(batch\) must be at least 1, got 0"):
        fit(nn.Linear(3, 1), lambda m, x: m(x).mean(), lambda g: torch.ones(2, 3), settings, show_progress=False,
            count_tokens=lambda batch: 0)  # fmt: skip


def test_the_speed_is_that_of_the_updates(monkeypatch):
    """On a clock that goes on by a second each time it is looked at: one second an update, evaluations apart."""
    ticks = iter(range(1000))
    monkeypatch.setattr(importlib.import_module("lib.training.fit").time, "perf_counter", lambda: float(next(ticks)))
    windows = torch.arange(24).view(2, 12)
    settings = FitSettings(steps=3, eval_every=1)
    history = fit(decoder(), next_token_loss, lambda g: windows, settings, count_tokens=predicted_tokens,
                  evaluate=lambda m: float(next(ticks)), show_progress=False)  # fmt: skip
    assert history.seconds == [1.0] * 3 and history.tokens == [22] * 3 and history.tokens_per_second == 22
    assert history.latest()["tokens/s"] == "22"
    without = fit(decoder(), next_token_loss, lambda g: windows, settings, show_progress=False)
    assert without.tokens_per_second is None and without.tokens == [] and "tokens/s" not in without.latest()


def test_what_a_loss_measures_is_kept_for_each_update_and_weighted_as_the_loss():
    def loss(model, x):
        return model(x).mean(), {"largest": x.max().item()}

    batches = [torch.full((1, 3), 4.0), torch.full((3, 3), 8.0), torch.full((2, 3), 1.0), torch.full((2, 3), 2.0)]
    settings = FitSettings(steps=2, gradient_accumulation_steps=2)
    history = fit(nn.Linear(3, 1), loss, batches_in_turn(batches), settings, count_tokens=len, show_progress=False)
    assert history.metrics == {"largest": [7.0, 1.5]}


def test_what_is_measured_survives_an_interruption(tmp_path):
    def loss(model, x):
        if stop and len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(x)
        return model(x).square().mean(), {"largest": x.max().item()}

    sample, settings = lambda g: torch.randn(2, 3, generator=g), FitSettings(steps=5, checkpoint_every=2)
    options = {"count_tokens": len, "show_progress": False}
    seen, stop = [], False
    torch.manual_seed(0)
    expected = fit(nn.Linear(3, 1), loss, sample, settings, **options)
    seen, stop = [], True
    torch.manual_seed(0)
    with pytest.raises(KeyboardInterrupt):
        fit(nn.Linear(3, 1), loss, sample, settings, checkpoint=tmp_path / "r.pt", **options)
    stop = False
    history = fit(nn.Linear(3, 1), loss, sample, settings, checkpoint=tmp_path / "r.pt", **options)
    assert history == expected and len(history.seconds) == len(history.metrics["largest"]) == 5


def _once(name, model):
    """A metric that only a model's first loss has."""
    first, model.seen = not hasattr(model, "seen"), True
    return {name: 1.0} if first else {}


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda m, x: m(x).squeeze(1), r"the result of loss_fn must have shape \(\), got \(4,\)"),
        (lambda m, x: (m(x).mean(), {str(x[0, 0].item()): 1.0}), "loss_fn must measure the same each time"),
        (lambda m, x: (m(x).mean(), {"a": 1.0} | _once("b", m)), r"the same each time, \['a', 'b'\], got \['a'\]"),
        (lambda m, x: (m(x).mean(), _once("a", m)), r"the same each time, \['a'\], got \[\]"),
        (lambda m, x: (m(x).mean(), _once("a", m)) if not hasattr(m, "seen") else m(x).mean(), r"\['a'\], got \[\]"),
        (lambda m, x: m(x).mean() if _once("a", m) else (m(x).mean(), {"a": 1.0}), r"each time, \[\], got \['a'\]"),
        (lambda m, x: (m(x).squeeze(1), {}), r"the result of loss_fn must have shape \(\), got \(4,\)"),
    ],
)
def test_bad_losses(loss, said):
    sample = lambda g: torch.randn(4, 3, generator=g)
    with pytest.raises(ValueError, match=said):
        fit(nn.Linear(3, 1), loss, sample, FitSettings(steps=2), show_progress=False)


def test_tokens_that_a_loss_predicts():
    from lib.text import mask_tokens

    ids = torch.arange(5, 29).view(2, 12)
    assert predicted_tokens(ids) == 22
    masked = mask_tokens(ids, mask_id=1, vocab_size=40, rate=0.5, generator=torch.Generator().manual_seed(0))
    assert predicted_tokens(masked) == sum(label != -100 for row in masked.labels.tolist() for label in row)
    assert predicted_tokens(demonstrations()) == sum(LENGTHS)
    assert predicted_tokens(ids.int()[:1, :2]) == 1 and type(predicted_tokens(masked)) is int
    for other in ("text", torch.zeros(2, 3), torch.zeros(3).long(), torch.zeros(1, 2, 3).long(), [[1, 2]]):
        with pytest.raises(TypeError, match="batch must be windows of ids"):
            predicted_tokens(other)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("steep", [False, True])
def test_the_error_has_the_batch_that_did_it_or_all_whose_gradients_were_added(number, steep):
    """A loss is one batch's; of a gradient nobody knows whose it was."""
    batches = [torch.full((2, 3), float(k)) for k in range(number)]
    bad = number - 1

    def loss(model, x):
        if x[0, 0] == bad:
            return (model.weight * 0).abs().sqrt().sum() if steep else model(x).mean() * float("inf")
        return model(x).mean()

    settings = FitSettings(steps=1, gradient_accumulation_steps=number)
    with pytest.raises(NonFiniteGradientError if steep else NonFiniteLossError) as found:
        fit(nn.Linear(3, 1), loss, batches_in_turn(batches), settings, count_tokens=len, show_progress=False)
    expected = batches if steep and number > 1 else batches[bad]
    assert found.value.batch is expected or all(a is b for a, b in zip(found.value.batch, expected, strict=True))
    assert isinstance(found.value.batch, list) == (steep and number > 1)


def test_what_a_progress_bar_says():
    history = History(loss=[2.0, 0.12345], tokens=[3000, 1000], seconds=[1.0, 3.0])
    assert history.latest() == {"loss": "0.123", "tokens/s": "1,000"} and history.tokens_per_second == 1000
    assert history == History(loss=[2.0, 0.12345], tokens=[3000, 1000], seconds=[9.0, 9.0])  # the clock does not count
