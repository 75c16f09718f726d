import importlib
from types import SimpleNamespace

import pytest
import torch

from lib.course import train
from lib.course.cli import main
from lib.training.recipes import MASKING_RATE


@pytest.fixture
def runs(monkeypatch):
    """Every masking-rate run becomes a row at once; the list tells which were run."""
    done = []

    def quick(recipe, rate, seed, tokenizer, texts):
        if len(done) == quick.stop_after:
            raise KeyboardInterrupt
        done.append((rate, seed))
        return {"rate": rate, "seed": seed, "steps": recipe.settings.steps, "loss_at_15": round(rate * 10 + seed, 4)}

    quick.stop_after = -1
    monkeypatch.setattr(train, "_masking_run", quick)
    monkeypatch.setattr("lib.text.load_corpus", lambda name: type("C", (), {"splits": {"train": [], "validation": []}}))
    monkeypatch.setattr("lib.text.train_wordpiece", lambda texts, size: None)
    return type("Runs", (), {"done": done, "function": staticmethod(quick)})


def test_an_interrupted_experiment_goes_on_without_a_row_lost_or_doubled(tmp_path, runs):
    whole, resumed = tmp_path / "whole.csv", tmp_path / "resumed.csv"
    train.masking_rate(whole)
    assert len(runs.done) == 9 and len(set(runs.done)) == 9
    runs.done.clear()
    runs.function.stop_after = 4
    with pytest.raises(KeyboardInterrupt):
        train.masking_rate(resumed)
    assert len(resumed.read_text().splitlines()) == 1 + 4
    runs.function.stop_after = -1
    train.masking_rate(resumed)
    assert len(runs.done) == 9 and resumed.read_bytes() == whole.read_bytes()


def test_a_row_that_is_not_whole_is_refused(tmp_path, runs, capsys):
    file = tmp_path / "experiments" / "masking_rate.csv"
    file.parent.mkdir()
    file.write_text("rate,seed,steps,loss_at_15\n0.15,0,600,1.5\n0.4,0\n")
    assert main(["train", "masking-rate", "--out", str(tmp_path)]) == 1
    assert "masking_rate.csv has an incomplete row" in capsys.readouterr().err
    assert file.read_text().endswith("0.4,0\n")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["train", "gpt-wiki-smal"], "did you mean gpt-wiki-small?"),
        (["train", "gpt-wiki-small", "--steps", "0"], "--steps must be at least 1"),
    ],
)
def test_bad_input(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def fits(monkeypatch):
    """Models that are "fitted" at once: the tasks that were built, and the settings and functions given to `fit`."""
    seen = {"built": [], "fitted": []}

    def build(recipe, tokenizer, train, validation):
        loss = 3.0 if recipe.rate == 0.15 else 7.0
        model = torch.nn.Dropout()
        seen["built"].append((recipe.rate, recipe.settings.seed, train, validation))
        evaluate = lambda model: loss + model.training + 10 * torch.is_grad_enabled()  # noqa: E731
        return SimpleNamespace(model=model, loss_fn="loss", sample_batch="batch", evaluate=evaluate)

    def fit(model, loss_fn, sample_batch, settings, *, evaluate, **options):
        seen["fitted"].append((settings, options))
        if checkpoint := options.get("checkpoint"):
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.touch()
        model.train()
        return SimpleNamespace(evaluations=[(1, 9.0), (2, 5.55555)])

    monkeypatch.setattr("lib.training.recipes.build", build)
    monkeypatch.setattr(importlib.import_module("lib.training.fit"), "fit", fit)  # the room has a function of that name
    return seen


def test_a_run_is_measured_at_its_own_rate_and_at_15_percent(fits):
    texts = {"train": ["t"], "validation": ["v"]}
    row = train._masking_run(MASKING_RATE, 0.4, 2, None, texts)
    assert list(row) == ["rate", "seed", "steps", "loss_at_own_rate", "loss_at_15", "seconds"]
    assert (row["rate"], row["seed"], row["steps"]) == (0.4, 2, 2500)
    assert row["loss_at_own_rate"] == 5.5556  # the last evaluation
    assert row["loss_at_15"] == 3.0  # without dropout and without a graph
    assert fits["built"] == [(0.4, 2, ["t"], ["v"]), (0.15, 2, ["t"], ["v"])]
    ((settings, _),) = fits["fitted"]
    assert settings.seed == 2


@pytest.mark.parametrize("name, maker", [("gpt-wiki-small", "train_bpe"), ("bert-wiki-small", "train_wordpiece")])
def test_a_model_is_trained_on_one_part_and_kept_with_its_losses(fits, monkeypatch, tmp_path, capsys, name, maker):
    text = lambda words: SimpleNamespace(text=words)  # noqa: E731
    corpus = SimpleNamespace(splits={"train": [text("t")], "validation": [text("v")], "test": [text("x")]})
    saved, made = [], []
    monkeypatch.setattr("lib.text.load_corpus", lambda name: corpus)
    for each in ("train_bpe", "train_wordpiece"):
        monkeypatch.setattr(f"lib.text.{each}", lambda texts, size, each=each: made.append((each, texts)) or each)
    monkeypatch.setattr("lib.models.save_small", lambda *given, folder: saved.append((*given, folder)))
    monkeypatch.setattr(train, "CACHE", tmp_path / "cache")
    assert main(["train", name, "--steps", "50", "--out", str(tmp_path)]) == 0
    assert made == [(maker, ["t"])]
    assert fits["built"][0][2:] == (["t"], ["v"])
    ((settings, options),) = fits["fitted"]
    assert (settings.steps, settings.warmup_steps) == (50, 5)
    assert options["checkpoint"] == tmp_path / "cache" / "runs" / f"{name}-50.pt" and not options["checkpoint"].exists()
    ((_, tokenizer, stored, info, folder),) = saved
    assert (tokenizer, stored, folder) == (maker, name, tmp_path / "models")
    assert info["validation_loss"] == [[1, 9.0], [2, 5.5556]] and info["recipe"]["settings"]["steps"] == 50
    assert "validation loss 5.556 nats after 50 steps" in capsys.readouterr().out


@pytest.mark.parametrize("steps, warmup", [(2500, 100), (1000, 100), (990, 99), (5, 0)])
def test_a_trial_run_warms_up_for_a_tenth_at_most(steps, warmup):
    short = train._shortened(MASKING_RATE.settings, steps)
    assert (short.steps, short.warmup_steps) == (steps, warmup)


def test_a_trial_of_the_experiment_is_as_short_as_asked(tmp_path, runs):
    assert main(["train", "masking-rate", "--steps", "7", "--out", str(tmp_path)]) == 0
    rows = (tmp_path / "experiments" / "masking_rate.csv").read_text().splitlines()
    assert len(rows) == 10 and all(row.split(",")[2] == "7" for row in rows[1:])
