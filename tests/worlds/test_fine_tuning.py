"""Reviews are drawn fairly, batches cover an epoch, logits stay in order; the stored runs are whole."""

import json
from statistics import mean

import pytest
import torch

from lib.course.cli import main
from lib.models import SequenceClassifier, load_minilm
from lib.training.sweeps import read_rows
from lib.worlds import fine_tuning_runs as runs
from lib.worlds.fine_tuning import (
    Reviews,
    classifier,
    drawn,
    features_of,
    in_epochs,
    logits_of,
    majority,
    measure,
    minilm_features,
    reviews,
    word_counts,
)
from lib.worlds.fine_tuning_runs import EPOCHS, RATES, SEEDS, Point


def test_a_seed_draws_half_of_each_kind_and_nothing_twice():
    data, again, other = drawn(80, 1), drawn(80, 1), drawn(80, 2)
    assert int(data.labels.sum()) == 40 and torch.equal(data.input_ids, again.input_ids)
    assert len({tuple(row.tolist()) for row in data.input_ids}) == 80
    assert data.input_ids.shape != other.input_ids.shape or not torch.equal(data.input_ids, other.input_ids)
    assert drawn(2000, 0).labels.float().mean() == 0.5


def test_reviews_begin_and_end_with_special_tokens():
    data = reviews("test", 50)
    last = data.attention_mask.sum(dim=1) - 1
    assert (data.input_ids[:, 0] == 101).all() and (data.input_ids[torch.arange(50), last] == 102).all()
    assert data.input_ids.shape[1] <= 40 and (data.input_ids[data.attention_mask == 0] == 0).all()


def test_an_epoch_reads_every_review_once():
    data = Reviews(torch.arange(1, 11)[:, None], torch.ones(10, 1, dtype=torch.long), torch.arange(10))
    draw, generator = in_epochs(data, 4), torch.Generator().manual_seed(0)
    for _ in range(2):
        assert sorted(label for _ in range(3) for label in draw(generator).labels.tolist()) == list(range(10))


def test_logits_stand_in_the_order_of_the_reviews():
    data, minilm = reviews("test", 60), load_minilm()
    model = SequenceClassifier(minilm, 2, generator=torch.Generator().manual_seed(0)).eval()
    one = model(
        data.input_ids[:7, : int(data.attention_mask[:7].sum(dim=1).max())], data.take(slice(0, 7)).attention_mask
    )
    assert torch.allclose(logits_of(model, data)[:7], one, atol=1e-5)
    hidden = minilm(data.take(slice(3, 4)).input_ids)[0]
    mean, cls = features_of(minilm, data)[3]
    assert torch.allclose(mean, hidden.mean(dim=0), atol=1e-5) and torch.allclose(cls, hidden[0], atol=1e-5)


def test_a_review_is_read_once_and_its_vectors_do_not_depend_on_its_neighbours(monkeypatch):
    data = reviews("test", 30)
    whole = minilm_features(data)
    assert torch.allclose(whole, features_of(load_minilm(), data), atol=1e-5)
    monkeypatch.setattr("lib.worlds.fine_tuning.features_of", None)  # nothing is left to read
    assert torch.equal(minilm_features(data.take(torch.tensor([7, 2]))), whole[[7, 2]])


def test_word_counts_ignore_padding_and_words_outside_the_vocabulary():
    data = Reviews(
        torch.tensor([[5, 6, 5, 9], [7, 0, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0]]), torch.zeros(2).long()
    )
    counts = word_counts(data, torch.tensor([0, 5, 6]))
    assert torch.allclose(counts, torch.tensor([[0, 0.5**0.5, 0.5**0.5], [0, 0, 0]]))


def test_what_each_way_trains():
    parts = {name: classifier(name) for name in ("full", "last two layers", "scratch")}
    trained = {name: sum(p.requires_grad for p in model.parameters()) for name, model in parts.items()}
    assert trained["full"] == trained["scratch"] > trained["last two layers"] == 2 * 12 + 2 + 2  # blocks, pooler, head
    known = load_minilm().tokens.weight
    assert torch.equal(parts["full"].backbone.tokens.weight, known)
    assert not torch.equal(parts["scratch"].backbone.tokens.weight, known)


def test_bad_input_is_named(unchecked):
    with pytest.raises(ValueError, match="examples"):
        drawn(81, 0)
    with pytest.raises(ValueError, match="method"):
        classifier("probe")
    with pytest.raises(ValueError, match="number"):
        reviews("test", 5000)
    with pytest.raises(ValueError, match="examples"):
        runs.run(Point("full", 17, 1e-4), 0, "test")
    with pytest.raises(ValueError, match="labels"):
        majority([])


def test_a_certain_guess_is_measured():
    found = measure(torch.tensor([[0.0, 100.0], [0.0, 100.0]]), torch.tensor([1, 0]))
    assert found.accuracy == 0.5 and found.confidence == pytest.approx(1) and found.nll == pytest.approx(50)


def test_course_train_makes_what_is_missing_and_goes_on(tmp_path, monkeypatch):
    done = []

    def run(point, seed, split):
        done.append((point, seed, split))
        row = {
            **point._asdict(),
            "seed": seed,
            "split": split,
            "accuracy": 0.5,
            "nll": abs(point.rate - 1e-3),
            "confidence": 0.6,
        }
        return row, [0.25, 0.75]

    monkeypatch.setattr(runs, "run", run)
    assert main(["train", "fine-tuning", "--out", str(tmp_path)]) == 0
    rows = read_rows(tmp_path / "experiments" / "fine_tuning.csv", runs.KEY)
    choosing = sum(len(RATES[point.method]) for point in runs.POINTS if not point.rate)
    assert len(rows) == len(done) == len(runs.POINTS) * len(SEEDS) + choosing
    assert {(p.method, p.examples) for p, _, split in done if split == "validation"} == {
        (p.method, p.examples) for p in runs.POINTS if not p.rate
    }
    words = [point for point, seed, split in done if point.method == "words" and split == "test"]
    assert {point.rate for point in words} == {1e-3}
    kept = json.loads((tmp_path / "experiments" / runs.PROBABILITIES).read_text())
    assert kept["full, seed 0"] == [0.25, 0.75]
    before = len(done)
    main(["train", "fine-tuning", "--out", str(tmp_path)])
    assert len(done) == before


def test_the_stored_runs_are_whole_and_agree_with_their_probabilities():
    found, labels = runs.results(), reviews("test", runs.TEST).labels.bool()
    assert all(len(result.accuracy) == len(SEEDS) for result in found.values())
    kept = runs.stored_probabilities()
    rows = read_rows(runs.FILE, runs.KEY)
    stored = 0
    for point, result in found.items():
        rate = point.rate or runs.chosen_rate(rows, point.method, point.examples)
        for seed, accuracy in zip(SEEDS, result.accuracy):
            if fresh := kept.get(runs.name_of(point._replace(rate=rate), seed)):
                share = ((torch.tensor(fresh) > 0.5) == labels).double().mean().item()
                assert accuracy == pytest.approx(share, abs=0.005)  # ties of rounding
                stored += 1
    assert stored == len(kept) == len(SEEDS) * sum(p.examples == 2000 or p[:2] == ("full", 80) for p in runs.POINTS)


def test_what_the_lecture_says_of_the_runs():
    found = runs.results()
    at = {
        (point.method, point.examples): mean(result.accuracy)
        for point, result in found.items()
        if not point.rate  # with the rate that was chosen
    }
    assert at["full", 2000] > at["probe", 2000] > at["words", 2000] > at["scratch", 2000]
    assert all(at["probe", n] > at["full", n] > at["probe on [CLS]", n] for n in EPOCHS if n < 2000)
