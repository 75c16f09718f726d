"""The caches are made in order, and each is told."""

import re

import lib.models.packaged
from lib.course.cli import main


def test_every_cache_is_made_once_and_told(monkeypatch, capsys):
    made = []
    monkeypatch.setattr(lib.models.packaged, "load_smollm2", lambda: made.append("smollm2"))
    assert main(["prepare"]) == 0
    assert made == ["smollm2"]
    told = capsys.readouterr().out.splitlines()
    assert [re.sub(r", \d+ s$", "", line) for line in told] == ["prepare: 1 of 1, weights of SmolLM2"]
