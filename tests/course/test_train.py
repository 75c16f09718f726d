import pytest

from lib.course import train
from lib.course.cli import main


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
