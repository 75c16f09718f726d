"""A cache is whole or absent: made once, noticed when damaged, never half-written."""

import multiprocessing
import os
import time

import pytest

from lib.text.kept import cached_text


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "kept.txt"


def never():
    raise AssertionError("made again though it was whole")


def test_it_is_cached_text_and_read_back_exactly(path):
    text = "first line\nsecond, with ünïcode 日本 and a last line without end"
    assert cached_text(path, "r/1", lambda: text) == text
    assert cached_text(path, "r/1", never) == text


def test_another_recipe_is_made_again_silently(path, recwarn):
    cached_text(path, "r/1", lambda: "old")
    assert cached_text(path, "r/2", lambda: "new") == "new"
    assert not recwarn


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-5],
        lambda whole: whole[:10],
        lambda whole: b"",
        lambda whole: whole.replace(b"text", b"tex\xff"),
        lambda whole: b"[1]\n" + whole,
        lambda whole: os.urandom(200),
    ],
    ids=["truncated", "header only", "empty", "changed", "wrong header", "noise"],
)
def test_a_damaged_file_is_said_and_made_again(path, damage):
    cached_text(path, "r/1", lambda: "some text")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match="kept.txt is damaged; it is made again"):
        assert cached_text(path, "r/1", lambda: "some text") == "some text"
    assert cached_text(path, "r/1", never) == "some text"


def test_a_damaged_file_that_cannot_be_made_again_is_a_clear_error(path):
    cached_text(path, "r/1", lambda: "some text")
    path.write_bytes(b"half")

    def missing():
        raise ModuleNotFoundError("the package 'gguf' is not installed: run `pip install gguf`")

    with pytest.warns(UserWarning, match="damaged"), pytest.raises(ModuleNotFoundError, match="pip install"):
        cached_text(path, "r/1", missing)


def test_an_interrupt_while_making_or_writing_leaves_nothing(path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_text(path, "r/1", interrupted)
    monkeypatch.setattr(os, "fsync", interrupted)  # all is written, but not yet renamed
    with pytest.raises(KeyboardInterrupt):
        cached_text(path, "r/1", lambda: "text")
    assert [file.name for file in path.parent.iterdir()] == ["kept.txt.lock"]


def _slow_maker(path, makings):
    def make():
        with makings.get_lock():
            makings.value += 1
        time.sleep(0.2)
        return "text"

    assert cached_text(path, "r/1", make) == "text"


def test_processes_side_by_side_make_it_once(path):
    context = multiprocessing.get_context("fork")
    makings = context.Value("i", 0)
    processes = [context.Process(target=_slow_maker, args=(path, makings)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0] and makings.value == 1


def test_a_folder_that_cannot_be_written_says_what_to_set(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="set COURSE_CACHE"):
        cached_text(tmp_path / "file" / "kept.txt", "r/1", lambda: "text")
