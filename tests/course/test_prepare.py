"""The caches are made in order, and each is told."""

import re

import lib.models.packaged
import lib.text
from lib.course import prepare
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


def test_own_copies_are_installed_first(monkeypatch, capsys, tmp_path):
    made = []
    monkeypatch.setattr(prepare, "install_packaged", lambda folder: made.append(folder))
    monkeypatch.setattr(lib.text, "load_corpus", lambda name: None)
    monkeypatch.setattr(lib.models.packaged, "load_smollm2", lambda: made.append("smollm2"))
    assert main(["prepare", "--from", str(tmp_path)]) == 0
    assert made == [tmp_path, "smollm2"]


def test_a_folder_that_is_not_there_is_told(capsys, tmp_path):
    assert main(["prepare", "--from", str(tmp_path / "nowhere")]) == 2
    assert "nowhere is no folder" in capsys.readouterr().err
