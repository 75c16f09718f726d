"""The comparison with peft, on a tiny shape: both sides adapt the same matrices and do the same work."""

import pytest
import torch

from lib.bench import adapters as bench_adapters
from lib.bench import rows as bench_rows


@pytest.fixture
def tiny(monkeypatch):
    shape = dict(vocab_size=60, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
                 num_key_value_heads=1, max_position_embeddings=64, tie_word_embeddings=True)  # fmt: skip
    monkeypatch.setattr(bench_adapters, "SHAPE", shape)
    monkeypatch.setattr(bench_adapters, "REPEATS", 1)
    trained = []
    step = bench_adapters.training_step

    def kept(model, loss_of):
        trained.append(model)
        return step(model, loss_of)

    monkeypatch.setattr(bench_adapters, "training_step", kept)
    return trained


def test_both_sides_train_as_many_numbers(tiny):
    for make in (bench_adapters.our_step, bench_adapters.peft_step):
        make()()
    ours, theirs = (sum(p.numel() for p in model.parameters() if p.requires_grad) for model in tiny)
    assert ours == theirs == 8 * (16 + 16) + 8 * (16 + 8)


def test_a_step_changes_the_factors_and_nothing_else(tiny):
    step = bench_adapters.our_step()
    before = {name: p.clone() for name, p in tiny[0].named_parameters()}
    step()
    changed = {name for name, p in tiny[0].named_parameters() if not torch.equal(p, before[name])}
    assert changed and changed == {name for name in before if name.endswith((".A", ".B"))}


def test_the_rows_and_their_targets(tiny, monkeypatch):
    monkeypatch.setattr(bench_rows, "in_a_process", lambda module, side, threads: {"ours": 90.0, "peft": 100.0}[side])
    time, memory, int8 = bench_adapters.rows(1)
    assert time.is_time and time.target == 1.0 and time.ratio == pytest.approx(time.theirs / time.ours)
    assert memory.ratio == 0.9 and memory.met and not memory.is_time
    assert 0.25 < int8.ratio < 0.6, "a tiny shape has many scales"
