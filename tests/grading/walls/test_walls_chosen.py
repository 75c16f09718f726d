"""Which walls there are to be: decided before anything is enclosed."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lib import DATA, ROOT
from lib.errors import UsageError
from lib.grading import walls
from lib.grading.walls import audit_hook, bubblewrap, kernel, landlock, rlimits, seccomp

STATUS = rlimits.status
on_linux = pytest.mark.skipif(not kernel.ON_LINUX, reason="only Linux has this")


def test_without_bubblewrap_the_command_is_run_as_it_is(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_WALLS", raising=False)
    monkeypatch.setattr(bubblewrap, "works", lambda: False)
    assert walls.command(["python", "-V"], tmp_path, []) == ["python", "-V"]


def test_bubblewrap_can_be_done_without(monkeypatch, tmp_path):
    monkeypatch.setattr(bubblewrap, "works", lambda: True)
    monkeypatch.setenv("COURSE_WALLS", "plain")
    assert walls.command(["python", "-V"], tmp_path, []) == ["python", "-V"]
    monkeypatch.setenv("COURSE_WALLS", "paper")
    with pytest.raises(UsageError, match="COURSE_WALLS must be 'bubblewrap' or 'plain', got 'paper'"):
        walls.command(["python", "-V"], tmp_path, [])


@pytest.mark.parametrize("does", [None, "exit 1"])
def test_bubblewrap_that_is_missing_or_refused_does_not_work(monkeypatch, tmp_path, does):
    if does:
        (tmp_path / "bwrap").write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    bubblewrap.works.cache_clear()
    assert bubblewrap.works() is False
    bubblewrap.works.cache_clear()


def test_bubblewrap_shows_what_is_readable_under_both_its_names(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    line = bubblewrap.wrap(["python"], tmp_path, [tmp_path / "link", tmp_path / "none"], {"A": "b"})
    bound = {line[at + 1] for at, word in enumerate(line) if word == "--ro-bind"}
    assert {str(tmp_path / "real"), str(tmp_path / "link")} <= bound and str(tmp_path / "none") not in bound
    assert line[-4:] == ["--chdir", str(tmp_path), "--", "python"] and line[line.index("A") - 1] == "--setenv"


def test_an_answer_may_read_python_and_the_data_but_not_the_course():
    readable = walls.default_readable()
    assert DATA in readable and Path(sys.prefix) in readable and Path(sys.base_prefix).resolve() in readable
    for hidden in ("lib/exercises", "notebooks", "tests", ".git", "README.md"):
        assert not any((ROOT / hidden).is_relative_to(path) for path in readable)
    assert all(path.exists() for path in readable)


def test_a_course_within_a_readable_folder_is_left_out_of_it(monkeypatch, tmp_path):
    for name in ("bin", "src/course/lib", "src/other"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(walls, "ROOT", tmp_path / "src" / "course")
    assert walls._beside_the_course(tmp_path) == [tmp_path / "bin", tmp_path / "src" / "other"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("cpu_seconds", 0), ("memory_bytes", -1), ("processes", 1), ("processes", -1)],
)
def test_a_limit_that_is_none_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} must be"):
        walls.Limits(**{field: value})


@pytest.fixture
def not_really(monkeypatch):
    """Every wall replaced by a note that it was built; tests break one of them."""
    built = []
    monkeypatch.setattr(walls.rlimits, "status", lambda name: "1")
    monkeypatch.setattr(walls, "_leave_everybody", lambda folder, limits, has: built.append("limits"))
    for module, name in ((landlock, "restrict"), (seccomp, "restrict"), (audit_hook, "install")):
        called = module.__name__.rpartition(".")[2]
        monkeypatch.setattr(module, name, lambda *arguments, called=called: built.append(called))
    return built


@on_linux
def test_a_process_with_two_threads_is_not_enclosed(monkeypatch, tmp_path, not_really):
    monkeypatch.setattr(rlimits, "status", STATUS)
    waiting = threading.Event()
    thread = threading.Thread(target=waiting.wait)
    thread.start()
    try:
        with pytest.raises(walls.WallError, match="second"):
            walls.enclose(tmp_path, walls.Limits(), [])
    finally:
        waiting.set()
        thread.join()


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        (walls.Kernel(7, True, True), ["limits", "landlock", "seccomp"]),
        (walls.Kernel(0, True, True), ["limits", "seccomp", "audit_hook"]),
        (walls.Kernel(3, False, False), ["limits", "landlock", "audit_hook"]),
        (walls.Kernel(0, False, False), ["limits", "audit_hook"]),
    ],
)
def test_the_hook_stands_in_for_what_the_kernel_lacks(monkeypatch, tmp_path, not_really, has, expected):
    monkeypatch.setattr(walls, "probe", lambda: has)
    walls.enclose(tmp_path, walls.Limits(), [])
    assert not_really == expected


def test_a_wall_that_was_promised_and_cannot_be_built_ends_it(monkeypatch, tmp_path, not_really):
    def refuse(*arguments):
        raise PermissionError("not today")

    monkeypatch.setattr(walls, "probe", lambda: walls.Kernel(7, True, True))
    for module in (landlock, seccomp):
        with monkeypatch.context() as patch:
            patch.setattr(module, "restrict", refuse)
            with pytest.raises(walls.WallError, match="a wall cannot be set up: not today"):
                walls.enclose(tmp_path, walls.Limits(), [])


def test_a_folder_that_is_not_there_is_named(tmp_path, not_really):
    with pytest.raises(walls.WallError, match="folder does not exist"):
        walls.enclose(tmp_path / "none", walls.Limits(), [])


def test_the_description_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(walls, "probe", lambda: walls.Kernel(0, False, False))
    monkeypatch.setenv("COURSE_WALLS", "plain")
    poor = walls.describe()
    for wall in ("files", "network", "processes", "signals"):
        assert "audit hook (against accidents" in poor[wall]
    assert "not the number of files" in poor["disk"]
    monkeypatch.setattr(walls, "probe", lambda: walls.Kernel(7, True, True))
    monkeypatch.setenv("COURSE_WALLED", "bubblewrap")  # what the server finds, whatever the switch says
    rich = walls.describe()
    assert rich["files"] == "bubblewrap + Landlock" and rich["signals"] == "bubblewrap + Landlock + seccomp"
    assert "audit" not in "".join(rich.values())


def test_a_refused_namespace_is_noticed_in_a_child(monkeypatch):
    def refuse(folder, size):
        raise PermissionError("no")

    monkeypatch.setattr(kernel, "enter_private_namespaces", refuse)
    assert kernel.namespaces_possible() is False


def test_a_failed_call_of_the_c_library_says_which(tmp_path):
    with pytest.raises(FileNotFoundError, match="chdir: No such file"):
        kernel.libc("chdir", os.fsencode(tmp_path / "none"))


def python(code):
    line = [sys.executable, "-c", code]
    return subprocess.run(line, check=True, cwd=ROOT, capture_output=True, text=True, timeout=300).stdout.split()


def test_limits_are_lowered_and_never_raised():
    code = "import resource as r; from lib.grading.walls import rlimits\n"
    code += "r.setrlimit(r.RLIMIT_NOFILE, (40, 50)); r.setrlimit(r.RLIMIT_CPU, (9, 9))\n"
    code += "rlimits.lower(cpu_seconds=9, memory_bytes=2**30, open_files=64, file_bytes=2**20, processes=0)\n"
    code += "print(*r.getrlimit(r.RLIMIT_NOFILE), *r.getrlimit(r.RLIMIT_CPU), *r.getrlimit(r.RLIMIT_CORE))\n"
    code += "print(*r.getrlimit(r.RLIMIT_NPROC), *r.getrlimit(r.RLIMIT_FSIZE))"
    assert python(code) == ["50", "50", "9", "9", "0", "0", "0", "0", str(2**20), str(2**20)]


@on_linux
def test_an_answer_does_not_outlive_its_server():
    code = "import os, time; from lib.grading.walls import kernel\n"
    code += "source, sink = os.pipe()\n"
    code += "if os.fork() == 0: kernel.die_with_parent(); os.write(sink, b'x'); time.sleep(900)\n"
    code += "else: os.read(source, 1); print('ended')"
    assert python(code) == ["ended"]  # else the child would hold the pipe, and this would wait for it


def test_a_line_that_the_system_does_not_have_is_named():
    if kernel.ON_LINUX:
        with pytest.raises(KeyError, match="no line 'VmNothing'"):
            rlimits.status("VmNothing")
    else:
        assert rlimits.status("VmNothing") == ""
