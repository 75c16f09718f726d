"""The comparison itself, on a tiny shape: both sides do the same work, and are refused if they do not."""

from dataclasses import replace

import pytest
import torch

from lib.bench import alignment as bench_alignment
from lib.bench import rows as bench_rows
from lib.bench.alignment import check_same, log_prob_job, random_pairs
from lib.bench.alignment_peers import their_ppo, their_preference_loss
from lib.bench.suites import SUITES
from lib.errors import CourseError
from lib.generation import Rollout
from lib.training.preferences import PreferencePairs


@pytest.fixture
def tiny(monkeypatch):
    shape = dict(vocab_size=60, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
                 num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True)  # fmt: skip
    sizes = dict(SHAPE=shape, PAIRS=3, SHORTEST=2, LONGEST=7, REPEATS=1)
    for name, size in sizes.items():
        monkeypatch.setattr(bench_alignment, name, size)
    settings = replace(bench_alignment.SETTINGS, prompts=4, max_new_tokens=6)
    monkeypatch.setattr(bench_alignment, "SETTINGS", settings)


def test_the_rows_and_their_targets(tiny, monkeypatch):
    peaks = {"chunked": 20.0, "plain": 100.0}
    monkeypatch.setattr(bench_rows, "in_a_process", lambda module, variant, threads: peaks[variant.split()[0]])
    assert SUITES["alignment"] == bench_alignment.__name__
    *times, forward, both_ways = bench_alignment.rows(1)
    assert [row.name.split(",")[1].split()[0] for row in times] == ["PPO", "DPO"]
    for row in times:
        assert row.is_time and (row.target, row.unit, row.threads) == (1.0, "ms", 1)
        assert row.ratio == pytest.approx(row.theirs / row.ours)
    for row in (forward, both_ways):
        assert not row.is_time and row.ratio == 0.2 and row.met
    assert (forward.target, both_ways.target) == (0.2, 0.33)


@pytest.mark.parametrize(
    "change", [dict(epochs=3), dict(lam=0.5), dict(epsilon=0.02), dict(value_weight=0.05), dict(beta=0.5), dict(seed=1)],
    ids=str,
)  # fmt: skip
def test_a_peer_that_does_another_ppo_is_refused(tiny, monkeypatch, change):
    def other(*arguments):
        return their_ppo(*arguments[:-1], replace(arguments[-1], **change))

    monkeypatch.setattr(bench_alignment, "their_ppo", other)
    with pytest.raises(CourseError, match="apart"):
        bench_alignment.ppo_row(1)


@pytest.mark.parametrize("other", [
    lambda policy, reference, pairs, beta: their_preference_loss(policy, reference, pairs, beta=3 * beta),
    lambda policy, reference, pairs, beta: their_preference_loss(policy, policy, pairs, beta=beta),
    lambda policy, reference, pairs, beta: their_preference_loss(
        policy, reference, PreferencePairs(pairs.rejected, pairs.chosen), beta=beta),
], ids=["beta", "reference", "sides"])  # fmt: skip
def test_a_peer_that_does_another_dpo_is_refused(tiny, monkeypatch, other):
    monkeypatch.setattr(bench_alignment, "their_preference_loss", other)
    with pytest.raises(CourseError, match="DPO before an update: the loss"):
        bench_alignment.dpo_row(1)


def test_the_decoder_has_ten_million_parameters():
    (policy, theirs), _ = bench_alignment._models()
    ours, other = (sum(p.numel() for p in model.parameters()) for model in (policy, theirs))
    assert ours == other and 10e6 < ours < 11e6


def test_answers_have_all_lengths_and_both_sides_one_width(tiny):
    pairs = random_pairs()
    lengths = [side.response_mask.sum(dim=1).tolist() for side in (pairs.chosen, pairs.rejected)]
    assert lengths == [[2, 4, 7], [7, 4, 2]]
    assert pairs.chosen.input_ids.shape == pairs.rejected.input_ids.shape == (3, bench_alignment.PROMPT + 7)


def test_both_variants_of_log_probabilities_agree():
    sizes = dict(B=2, T=5, V=40, D=8)
    for work in ("forward", "forward+backward"):
        chunked, plain = (log_prob_job(f"{side} {work}", **sizes)() for side in ("chunked", "plain"))
        assert chunked.requires_grad == plain.requires_grad == (work != "forward")
        torch.testing.assert_close(chunked, plain)


def test_the_peak_of_a_variant_comes_from_a_process_of_its_own(monkeypatch, capsys):
    monkeypatch.setattr(bench_alignment, "LOG_PROBS", dict(B=2, T=64, V=20_000, D=8))
    bench_alignment._worker("plain forward", torch.get_num_threads())
    assert float(capsys.readouterr().out) >= 0


def test_numbers_that_differ_are_named():
    check_same("a step", {"loss": 1.0}, {"loss": 1.00005})
    for other in (1.0002, float("nan")):
        with pytest.raises(CourseError, match="a step: the loss of ours is 1.0, of theirs"):
            check_same("a step", {"loss": 1.0}, {"loss": other})


def test_every_number_is_compared_and_the_tolerance_itself_is_allowed(monkeypatch):
    monkeypatch.setattr(bench_alignment, "TOLERANCE", 0.5)
    check_same("a step", {"a": 1.0, "b": 2.0}, {"b": 2.5, "a": 0.5})
    with pytest.raises(CourseError, match="a step: the b of ours is 2.0, of theirs 2.625, more than 0.5 apart"):
        check_same("a step", {"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.625})


def test_the_score_is_the_mean_id_of_the_answer_alone(tiny):
    ids = torch.tensor([[50, 10, 20, 7], [50, 30, 40, 50]])
    counts = torch.tensor([[False, True, True, False], [False, True, True, True]])
    score = bench_alignment.mean_id(Rollout(ids, torch.ones_like(counts), counts))
    torch.testing.assert_close(score, torch.tensor([15 / 60, 40 / 60]))


def test_a_job_of_log_probabilities_is_log_softmax_at_the_next_token():
    sizes = dict(B=2, T=4, V=6, D=3)
    found = log_prob_job("plain forward", **sizes)()
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(6, (2, 4), generator=generator)
    hidden, weight = torch.randn(2, 4, 3, generator=generator), torch.randn(6, 3, generator=generator) * 3**-0.5
    for b in range(2):
        assert found[b, 0] == 0
        for t in range(1, 4):
            by_hand = torch.log_softmax(weight @ hidden[b, t - 1], dim=0)[ids[b, t]]
            torch.testing.assert_close(found[b, t], by_hand)
