import importlib
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from lib import ROOT
from lib.course import train
from lib.course.cli import main
from lib.training.processes import Place
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
    whole, resumed = (tmp_path / name / "masking_rate.csv" for name in ("whole", "resumed"))
    train.masking_rate(whole.parent)
    assert len(runs.done) == 9 and len(set(runs.done)) == 9
    runs.done.clear()
    runs.function.stop_after = 4
    with pytest.raises(KeyboardInterrupt):
        train.masking_rate(resumed.parent)
    assert len(resumed.read_text().splitlines()) == 1 + 4
    runs.function.stop_after = -1
    train.masking_rate(resumed.parent)
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


@pytest.mark.parametrize(
    "name, maker",
    [("gpt-wiki-small", "train_bpe"), ("bert-wiki-small", "train_wordpiece"), ("bart-wiki-small", "train_bpe")],
)
def test_a_model_is_trained_on_one_part_and_kept_with_its_losses(fits, monkeypatch, tmp_path, capsys, name, maker):
    text = lambda words: SimpleNamespace(text=words)  # noqa: E731
    corpus = SimpleNamespace(splits={"train": [text("t")], "validation": [text("v")], "test": [text("x")]})
    saved, made = [], []
    monkeypatch.setattr("lib.text.load_corpus", lambda name: corpus)
    for each in ("train_bpe", "train_wordpiece"):
        monkeypatch.setattr(f"lib.text.{each}", lambda texts, size, each=each: made.append((each, texts)) or each)
    monkeypatch.setattr("lib.text.passages.with_sentinels", lambda tokenizer, count: tokenizer)
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


# --- several processes --------------------------------------------------------------------------------------
def in_group(monkeypatch, rank, processes):
    monkeypatch.setattr("lib.training.processes.place", lambda: Place(rank, processes))
    monkeypatch.setattr("lib.training.processes.torchrun_group", lambda: nullcontext(Place(rank, processes)))


@pytest.mark.parametrize(
    "name, processes, message",
    [
        (
            "gpt-wiki-small",
            3,
            "3 processes cannot divide the batch of 16 texts of gpt-wiki-small evenly; start 2 or 4 or",
        ),
        ("gpt-wiki-small", 32, "32 processes cannot divide the batch of 16 texts"),
        ("masking-rate", 2, "masking-rate runs in one process; start it without torchrun"),
    ],
)
def test_a_number_of_processes_that_does_not_fit(monkeypatch, tmp_path, capsys, name, processes, message):
    in_group(monkeypatch, 0, processes)
    assert main(["train", name, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_half_of_torchruns_variables_is_an_error_in_words(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    assert main(["train", "gpt-wiki-small", "--out", str(tmp_path)]) == 1
    assert "RANK" in (said := capsys.readouterr().err) and "start them with torchrun" in said


@pytest.mark.nightly  # a minute; by day test_parallel has two real processes
def test_under_torchrun_the_losses_are_those_of_one_process(tmp_path):
    """A real run of two updates, in two processes of torchrun and in one."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COURSE_CACHE": str(tmp_path / "cache")}
    starts = {"one": ["-m"], "two": ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m"]}
    losses = {}
    for name, start in starts.items():
        command = [sys.executable, *start, "lib.course", "train", "gpt-wiki-small", "--steps", "2"]
        done = subprocess.run(
            [*command, "--out", str(tmp_path / name)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("validation loss") == 1  # the first process speaks for all
        info = json.loads((tmp_path / name / "models" / "gpt-wiki-small.json").read_text())
        losses[name] = [loss for _, loss in info["info"]["validation_loss"]]
    assert losses["two"] == pytest.approx(losses["one"], abs=2e-4)  # they are rounded to four digits


def test_a_finished_seed_of_rlvr_is_not_run_again(tmp_path, monkeypatch):
    seen = []
    verifiable = importlib.import_module("lib.worlds.verifiable")

    def rows(policy, tokenizer, settings):
        seen.append((settings.seed, settings.steps))
        yield from ({"seed": settings.seed, "step": step, "reward": 0.5} for step in range(settings.steps + 1))

    monkeypatch.setattr("lib.models.load_smollm2", lambda: None)
    monkeypatch.setattr("lib.text.smollm2_tokenizer", lambda: None)
    monkeypatch.setattr(verifiable, "with_adapter", lambda model, settings: None)
    monkeypatch.setattr(verifiable, "report", lambda *given: {"greedy": 0.25})
    monkeypatch.setattr(verifiable, "train_rlvr", rows)
    monkeypatch.setattr(train, "RLVR_SEEDS", (0, 1))
    assert main(["train", "rlvr", "--steps", "2", "--out", str(tmp_path)]) == 0
    folder = tmp_path / "experiments"
    stored = json.loads((folder / "rlvr.json").read_text())
    assert stored["before"] == {"greedy": 0.25} and set(stored["after"]) == {"0", "1"}
    assert len((folder / "rlvr.csv").read_text().splitlines()) == 1 + 2 * 3
    monkeypatch.setattr(train, "RLVR_SEEDS", (0, 1, 2))
    train.rlvr(folder, 2)
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_reports_are_of_the_policy_before_and_after_each_run(tmp_path, monkeypatch):
    """Before: untrained, once; after: of each seed when its run has ended. A seed that is stopped has none."""
    verifiable = importlib.import_module("lib.worlds.verifiable")
    policies = []

    def with_adapter(model, settings):
        policies.append(SimpleNamespace(seed=settings.seed, updates=0))
        return policies[-1]

    def rows(policy, tokenizer, settings):
        for step in range(3):
            if policy.seed == rows.stop_at and step == 2:
                raise KeyboardInterrupt
            policy.updates += 1
            yield {"seed": settings.seed, "step": step, "reward": policy.updates}

    monkeypatch.setattr("lib.models.load_smollm2", lambda: None)
    monkeypatch.setattr("lib.text.smollm2_tokenizer", lambda: None)
    monkeypatch.setattr(verifiable, "with_adapter", with_adapter)
    monkeypatch.setattr(verifiable, "report", lambda policy, *given: [policy.seed, policy.updates])
    monkeypatch.setattr(verifiable, "train_rlvr", rows)
    monkeypatch.setattr(train, "RLVR_SEEDS", (0, 1, 2))
    rows.stop_at = 1
    with pytest.raises(KeyboardInterrupt):
        train.rlvr(tmp_path)
    stored = json.loads((tmp_path / "rlvr.json").read_text())
    assert (stored["before"], stored["after"]) == ([0, 0], {"0": [0, 3]}) and stored["settings"]["seed"] is None
    rows.stop_at = None
    train.rlvr(tmp_path)
    stored = json.loads((tmp_path / "rlvr.json").read_text())
    assert (stored["before"], stored["after"]) == ([0, 0], {str(seed): [seed, 3] for seed in train.RLVR_SEEDS})
    table = (tmp_path / "rlvr.csv").read_text().splitlines()
    assert len(table) == 1 + 3 * 3 and len({line.rpartition(",")[0] for line in table}) == 10
    assert [policy.seed for policy in policies] == [0, 1, 1, 2]


def test_a_model_that_cannot_be_kept_leaves_its_checkpoint(fits, monkeypatch, tmp_path):
    """A full disk at the end of hours: the next call goes on from the last state, and has nothing to train."""
    text = SimpleNamespace(splits={part: [SimpleNamespace(text="t")] for part in ("train", "validation")})
    monkeypatch.setattr("lib.text.load_corpus", lambda name: text)
    monkeypatch.setattr("lib.text.train_bpe", lambda texts, size: None)
    monkeypatch.setattr(train, "CACHE", tmp_path / "cache")

    def full(*given, folder):
        raise OSError("no space left")

    monkeypatch.setattr("lib.models.save_small", full)
    with pytest.raises(OSError, match="no space left"):
        train.train_model("gpt-wiki-small", tmp_path, 5)
    assert (tmp_path / "cache" / "runs" / "gpt-wiki-small-5.pt").exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_of_a_group_the_first_process_alone_keeps_the_model(fits, monkeypatch, tmp_path, rank, capsys):
    text = SimpleNamespace(splits={part: [SimpleNamespace(text="t")] for part in ("train", "validation")})
    saved = []
    monkeypatch.setattr("lib.text.load_corpus", lambda name: text)
    monkeypatch.setattr("lib.text.train_bpe", lambda texts, size: None)
    monkeypatch.setattr("lib.models.save_small", lambda *given, folder: saved.append(folder))
    monkeypatch.setattr(train, "CACHE", tmp_path / "cache")
    in_group(monkeypatch, rank, 2)
    train.train_model("gpt-wiki-small", tmp_path, 5)
    ((_, options),) = fits["fitted"]
    assert options["checkpoint"].name == "gpt-wiki-small-5-2.pt", "a run of one process is another one"
    assert len(saved) == (rank == 0) and options["checkpoint"].exists() is (rank > 0)
    assert ("validation loss" in capsys.readouterr().out) is (rank == 0)


def test_every_design_is_run_once_with_each_seed(tmp_path, monkeypatch):
    from lib.training import masking_design

    done = []

    def run(name, seed, tokenizer, texts, recipe):
        if len(done) == run.stop_after:
            raise KeyboardInterrupt
        done.append((name, seed))
        return {"design": name, "seed": seed, "steps": recipe.settings.steps}

    corpus = SimpleNamespace(splits={part: [] for part in ("train", "validation")})
    monkeypatch.setattr(masking_design, "design_run", run)
    monkeypatch.setattr("lib.text.load_corpus", lambda name: corpus)
    monkeypatch.setattr("lib.text.train_wordpiece", lambda texts, size: None)
    run.stop_after = 5
    assert main(["train", "masking-design", "--steps", "7", "--out", str(tmp_path)]) == 130
    run.stop_after = -1
    assert main(["train", "masking-design", "--steps", "7", "--out", str(tmp_path)]) == 0
    rows = (tmp_path / "experiments" / "masking_design.csv").read_text().splitlines()
    wanted = [(name, seed) for seed in train.MASKING_SEEDS for name in masking_design.DESIGNS]
    assert done == wanted and rows[1:] == [f"{name},{seed},7" for name, seed in wanted]
