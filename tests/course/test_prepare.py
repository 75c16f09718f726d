"""The caches are made in order, and each is told."""

import re

import lib.models.packaged
import lib.text
from lib.course.cli import main


def test_every_cache_is_made_once_and_told(monkeypatch, capsys):
    made = []
    monkeypatch.setattr(lib.text, "load_corpus", made.append)
    monkeypatch.setattr(lib.models.packaged, "load_smollm2", lambda: made.append("smollm2"))
    assert main(["prepare"]) == 0
    assert made == ["wikipedia", "python_docs", "smollm2"]
    told = capsys.readouterr().out.splitlines()
    assert [re.sub(r", \d+ s$", "", line) for line in told] == [
        "prepare: 1 of 3, Wikipedia articles", "prepare: 2 of 3, Python documentation",
        "prepare: 3 of 3, weights of SmolLM2",
    ]  # fmt: skip
