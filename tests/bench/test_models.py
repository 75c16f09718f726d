"""The comparison itself, on a tiny shape: both sides do the same work."""

import pytest
import torch

from lib.bench import models as bench_models
from lib.generation import generate


@pytest.fixture
def tiny(monkeypatch):
    """Tiny sizes, and whatever is compared is kept: [(name, ours, theirs), ...]."""
    shape = dict(n_layer=1, n_embd=16, n_head=2, vocab_size=60, bos_token_id=0, eos_token_id=0)
    monkeypatch.setattr(bench_models, "SHAPE", shape)
    monkeypatch.setattr(bench_models, "REPEATS", 1)
    compared = []
    row = bench_models._row

    def kept(name, ours, theirs, *rest):
        compared.append((name, ours, theirs))
        return row(name, ours, theirs, *rest)

    monkeypatch.setattr(bench_models, "_row", kept)
    return compared


def test_both_targets_are_measured_with_their_direction(tiny):
    generation, training = bench_models.rows(1)
    assert (generation.target, training.target) == (1.2, 1.0)
    for row in (generation, training):
        assert row.is_time and row.threads == 1 and row.unit == "ms"
        assert row.ratio == pytest.approx(row.theirs / row.ours)


def test_both_sides_write_the_same_tokens_and_learn_alike(tiny, monkeypatch):
    models = []

    def seen(model, *arguments):
        models.append(model)
        return generate(model, *arguments)

    monkeypatch.setattr(bench_models, "generate", seen)
    bench_models.rows(1)
    (_, write, they_write), (_, step, their_step) = tiny
    ours = models[0].eval()
    written = write()
    assert written.shape == (1, 96)
    before = ours.tokens.weight.clone()
    for _ in range(3):
        step(), their_step()
    assert not torch.equal(ours.tokens.weight, before)
    assert torch.equal(write(), they_write())
