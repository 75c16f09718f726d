"""Zip archives of strangers: read as folders, within limits; what is odd in them is named and never followed."""

import io
import json
import os
import stat
import struct
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.grading.intake import archives
from lib.grading.intake.archives import members, read_member
from lib.grading.intake.notebook_json import Unreadable
from lib.grading.intake.submission import load_submission, read_folder

MASKING = "04_mlm_masking.ipynb"
ASKED = {MASKING: ["mlm.loss"], "06_autoregressive_objective.ipynb": ["chain.terms"]}
CELL = {"cell_type": "code", "metadata": {}, "source": "x = 1", "outputs": []}
NOTEBOOK = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [CELL]}).encode()


def zipped(path, files, method=zipfile.ZIP_DEFLATED):
    """An archive of `files`, by name (a str or a ZipInfo) their bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def found(folder):
    return {(one.student, one.notebook): one for one in read_folder(folder, ASKED).found}


def left(folder):
    return {each.file: each.reason for each in read_folder(folder, ASKED).not_taken}


def test_an_archive_is_read_as_a_folder_wherever_it_lies(tmp_path):
    zipped(tmp_path / "ada" / "homework.zip", {f"week 4/{MASKING}": NOTEBOOK, "x.ipynb": NOTEBOOK, "week 4/": b""})
    zipped(tmp_path / "bob_04_mlm_masking.ZIP", {"main.ipynb": NOTEBOOK})
    zipped(tmp_path / "cem.zip", {"03_mlm_masking.ipynb": NOTEBOOK})
    got = found(tmp_path)
    assert {one.file for one in got.values()} == {
        f"ada/homework.zip/week 4/{MASKING}", "ada/homework.zip/x.ipynb",
        "bob_04_mlm_masking.ZIP/main.ipynb", "cem.zip/03_mlm_masking.ipynb",
    }  # fmt: skip
    for student in ("ada", "bob", "cem"):
        one = got[student, MASKING]
        assert load_submission(one).cells[0]["source"] == "x = 1" and one.size == len(NOTEBOOK)
    assert got["ada", ""].problem.startswith("unknown notebook")


def test_what_is_odd_in_an_archive_is_named_and_the_rest_is_read(tmp_path):
    inner = io.BytesIO()
    zipped_in = zipfile.ZipFile(inner, "w")
    zipped_in.writestr(MASKING, NOTEBOOK)
    zipped_in.close()
    leads_out, is_link = "its name leads out of the archive", "it is a link, but links are not followed"
    bomb = f"it unfolds to more than {archives.RATIO_LIMIT} times its size, as no notebook does"
    odd = {
        "../06_autoregressive_objective.ipynb": leads_out, "/etc/06_autoregressive_objective.ipynb": leads_out,
        "a/../../x.py": leads_out, "C:\\06_autoregressive_objective.ipynb": leads_out, "..\\x.txt": leads_out,
        "inner.zip": "it is an archive inside an archive: hand in the notebooks, or one archive of them",
        "essay.pdf": "it is a PDF document, not a notebook: hand in the .ipynb file",
        ".git/config": None, ".git/more": None,
    }  # fmt: skip
    files = dict.fromkeys(odd, NOTEBOOK) | {"inner.zip": inner.getvalue(), MASKING: NOTEBOOK}
    files |= {"__MACOSX/._x.ipynb": b"x", ".DS_Store": b"x", f"sub/._{MASKING}": b"x", "sub/": b""}
    files |= {
        link("06_autoregressive_objective.ipynb"): b"/etc/passwd",
        "bomb_06_autoregressive_objective.ipynb": bytes(5 * 10**6),
    }
    zipped(tmp_path / "ada" / "h.zip", files)
    got, told = found(tmp_path), left(tmp_path)
    assert load_submission(got["ada", MASKING]).cells and got["ada", MASKING].file == f"ada/h.zip/{MASKING}"
    second = got["ada", "06_autoregressive_objective.ipynb"]
    assert second.problem in (leads_out, is_link, bomb) and not load_submission(second).cells
    named = {**told, second.file: second.problem}
    assert named.pop("ada/h.zip/.git") == "its name begins with a dot, as files of programs do"
    for name, reason in odd.items():
        if reason:
            assert named.pop(f"ada/h.zip/{name}".replace("\\", "/")).endswith(reason)
    assert named.pop("ada/h.zip/06_autoregressive_objective.ipynb").endswith(is_link)
    assert named.pop("ada/h.zip/bomb_06_autoregressive_objective.ipynb").endswith(bomb) and not named


def test_nothing_is_written_anywhere(tmp_path):
    folder = tmp_path / "a" / "b" / "in"
    zipped(
        folder / "ada" / "h.zip",
        {f"../../../{MASKING}": NOTEBOOK, f"{tmp_path}/abs.ipynb": NOTEBOOK, MASKING: NOTEBOOK},
    )
    before = sorted(tmp_path.rglob("*"))
    load_submission(found(folder)["ada", MASKING])
    assert sorted(tmp_path.rglob("*")) == before


def test_bombs_cost_neither_memory_nor_time(tmp_path):
    zipped(tmp_path / "ada" / "ratio.zip", {MASKING: bytes(300 * 10**6)})
    zipped(tmp_path / "bob" / "count.zip", dict.fromkeys(map(str, range(archives.MEMBER_LIMIT + 1)), b""))
    zipped(tmp_path / "cem" / "names.zip", {f"{n:060000}": b"" for n in range(20)})
    many = {f"{n}_{MASKING}": os.urandom(1000) + bytes(150_000) for n in range(5)}
    zipped(tmp_path / "dan" / "total.zip", many)
    large = zipped(tmp_path / "eve" / "large.zip", {MASKING: NOTEBOOK})
    os.truncate(large, archives.ARCHIVE_LIMIT + 1)
    tracemalloc.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(archives, "TOTAL_LIMIT", 500_000)
            got = {student: load_submission(one).problem for (student, _), one in found(tmp_path).items()}
            told = left(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "more than 200 times its size" in got["ada"] and peak < 30 * 10**6
    assert told["bob/count.zip"] == "it has 1001 files, more than 1000: hand in the notebooks alone"
    assert told["cem/names.zip"].startswith("its list of files is longer than 1 MB")
    assert told["dan/total.zip"].startswith("its notebooks have 755,000 bytes, more than 500,000")
    assert told["eve/large.zip"].startswith("the archive is larger than 200 MB")
    assert {got[name] for name in ("bob", "cem", "dan", "eve")} == {"there is no notebook (.ipynb) in this folder"}


def test_what_meets_a_limit_exactly_is_read(tmp_path, monkeypatch):
    path = zipped(
        tmp_path / "x.zip", {MASKING: NOTEBOOK, "b.IPYNB": NOTEBOOK, "c.txt": b"x" * 5000}, zipfile.ZIP_STORED
    )
    directory = sum(46 + len(name) for name in (MASKING, "b.IPYNB", "c.txt"))
    exact = {"MEMBER_LIMIT": 3, "TOTAL_LIMIT": 2 * len(NOTEBOOK), "ARCHIVE_LIMIT": path.stat().st_size,
             "DIRECTORY_LIMIT": directory}  # fmt: skip
    for name, limit in exact.items():
        monkeypatch.setattr(archives, name, limit)
    assert [each.problem for each in members(path)] == ["", "", ""]
    for name, limit in exact.items():
        with monkeypatch.context() as patch, pytest.raises(Unreadable):
            patch.setattr(archives, name, limit - 1)
            members(path)


@pytest.mark.parametrize(
    "size, packed, problem", [(1000, 1, ""), (1001, 10, ""), (2000, 10, ""), (2001, 10, "unfolds")]
)
def test_a_ratio_counts_from_a_size_on(monkeypatch, size, packed, problem):
    monkeypatch.setattr(archives, "SMALL", 1000)
    info = zipfile.ZipInfo(MASKING)
    info.file_size, info.compress_size = size, packed
    assert problem in archives._problem(info) and bool(archives._problem(info)) == bool(problem)


@pytest.mark.parametrize(
    "name, leads",
    [("a/..b/x.ipynb", False), ("a..b.ipynb", False), ("..", True), ("a/..", True), ("a\\..\\x", True),
     ("\\x", True), ("C:x", True), ("ab:x", False), ("x", False)],
)  # fmt: skip
def test_names_that_lead_out(name, leads):
    info = zipfile.ZipInfo("x")
    info.filename = name  # as an archive made elsewhere may have it
    assert bool(archives._problem(info)) is leads


def test_a_member_that_lies_about_its_size_gives_no_more_than_it_said(tmp_path):
    path = zipped(tmp_path / "x.zip", {MASKING: bytes(10**6)})
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<L", 10**6), struct.pack("<L", 100)))
    (one,) = members(path)
    assert one.size == 100
    with pytest.raises(Unreadable, match="it is damaged in its archive"):
        read_member(path, 0, 10**7)


def test_at_most_what_is_asked_for_is_read(tmp_path):
    path = zipped(tmp_path / "x.zip", {MASKING: b"abc" * 1000})
    assert read_member(path, 0, 5) == b"abcab" and read_member(path, 0, 10**6) == b"abc" * 1000
    with pytest.raises(Unreadable, match="changed while it was read"):
        read_member(path, 1, 5)


def test_two_members_of_one_name_are_two(tmp_path):
    path = tmp_path / "ada" / "h.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning):
        archive.writestr(MASKING, b"{")
        archive.writestr(MASKING, NOTEBOOK)
    one = found(tmp_path)["ada", MASKING]
    assert load_submission(one).cells and len(one.notes) == 1


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression_is_refused(tmp_path, method):
    path = zipped(tmp_path / "x.zip", {MASKING: NOTEBOOK}, method)
    assert members(path)[0].problem == "it is compressed in an unusual way: make an ordinary zip archive"


def test_an_encrypted_member_is_called_so(tmp_path):
    path = zipped(tmp_path / "x.zip", {MASKING: NOTEBOOK})
    content = bytearray(path.read_bytes())
    content[content.rfind(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert members(path)[0].problem == "it is encrypted: make the archive without a password"


@pytest.mark.parametrize("comment", [b"", b"c" * 65535])
def test_a_second_end_for_huge_files_is_refused(tmp_path, comment):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MASKING, NOTEBOOK)
        archive.comment = comment
    content = path.read_bytes()
    at = content.rfind(b"PK\x05\x06")
    path.write_bytes(content[:at] + b"PK\x06\x07" + bytes(16) + content[at:])
    with pytest.raises(Unreadable, match="zip64"):
        members(path)


def test_links_and_pipes_called_zip_are_not_opened(tmp_path):
    secret = zipped(tmp_path / "secret.zip", {MASKING: NOTEBOOK})
    folder = tmp_path / "in"
    (folder / "ada").mkdir(parents=True)
    (folder / "ada" / "h.zip").symlink_to(secret)
    os.mkfifo(folder / "ada" / "pipe.zip")
    (folder / "bob.zip").symlink_to(secret)
    told = left(folder)
    assert "it is a link" in told["ada/h.zip"] and told["ada/pipe.zip"] == "it is not an ordinary file"
    assert "it is a link" in found(folder)["bob", ""].problem


def test_an_archive_that_changed_since_it_was_found_is_refused(tmp_path):
    path = zipped(tmp_path / "ada" / "h.zip", {MASKING: NOTEBOOK})
    one = found(tmp_path)["ada", MASKING]
    path.write_bytes(b"")
    assert "damaged, or no zip archive" in load_submission(one).problem
    path.unlink()
    assert load_submission(one).problem == "it cannot be opened: No such file or directory"


@given(st.data())
def test_no_bytes_whatsoever_make_reading_fail(tmp_path_factory, data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MASKING, NOTEBOOK)
        archive.writestr("é/b.txt", b"x" * 100)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    folder = tmp_path_factory.mktemp("in")
    (folder / "ada.zip").write_bytes(content)
    got = read_folder(folder, ASKED)
    assert got.found and all(isinstance(load_submission(one).problem, str) for one in got.found)
    assert all(each.file.isprintable() and each.reason for each in got.not_taken)
