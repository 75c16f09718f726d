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


@pytest.mark.parametrize("version, scoped", [(5, False), (6, True)])
def test_landlock_keeps_signals_in_from_its_sixth_version_on(monkeypatch, version, scoped):
    monkeypatch.setattr(walls, "probe", lambda: walls.Kernel(version, True, False))
    monkeypatch.setenv("COURSE_WALLED", "plain")
    told = walls.describe()
    assert ("Landlock" in told["signals"]) is scoped and told["files"] == "Landlock"
    assert told["network"] == told["processes"] == "seccomp"
    monkeypatch.setattr(walls, "probe", lambda: walls.Kernel(version, False, True))
    told = walls.describe()
    assert "RLIMIT_NPROC" in told["processes"] and "an empty network namespace" in told["network"]
    assert told["disk"] == "a file system of its own"


@pytest.mark.parametrize("setting", ["", "bubblewrap"])
def test_bubblewrap_is_wanted_unless_it_is_switched_off(monkeypatch, tmp_path, setting):
    monkeypatch.setattr(bubblewrap, "works", lambda: True)
    monkeypatch.setenv("COURSE_WALLS", setting)
    line = walls.command(["python", "-V"], tmp_path, [])
    assert line[-2:] == ["python", "-V"] and len(line) > 2
    assert line[line.index("COURSE_WALLED") + 1] == "bubblewrap"
    monkeypatch.delenv("COURSE_WALLED", raising=False)
    assert walls.describe()["files"].startswith("bubblewrap + ")


def test_the_smallest_limits_are_limits():
    one = dict.fromkeys(
        ("cpu_seconds", "elapsed_seconds", "memory_bytes", "open_files", "file_bytes", "output_bytes"), 1
    )
    assert walls.Limits(**one, processes=0).file_bytes == 1
    for name in one:
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            walls.Limits(**one | {name: 0})


@pytest.mark.parametrize("hard, limits", [(10, (9, 10)), (9, (9, 9)), (5, (5, 5)), (11, (9, 10))])
def test_computing_time_has_one_more_second_where_there_is_one(monkeypatch, hard, limits):
    lowered = []
    monkeypatch.setattr(rlimits.resource, "getrlimit", lambda which: (hard, hard))
    monkeypatch.setattr(rlimits.resource, "setrlimit", lambda which, pair: lowered.append(pair))
    rlimits._lower(0, 9, beyond=1)
    assert lowered == [limits]


@pytest.fixture
def hook(tmp_path):
    for name in ("mine", "data", "other"):
        (tmp_path / name).mkdir()
    return audit_hook._hook(tmp_path / "mine", [tmp_path / "data"]), tmp_path


def refused(hook, event, *arguments):
    try:
        hook(event, arguments)
    except audit_hook.AccessRefused:
        return True
    return False


WRITES = (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_APPEND)


@pytest.mark.parametrize("flags, writes", [(os.O_RDONLY, False), *((flag, True) for flag in WRITES), (None, False)])
def test_each_way_to_write_is_a_way_to_write(hook, flags, writes):
    hook, folder = hook
    answers = [refused(hook, "open", str(folder / name / "x"), "", flags) for name in ("mine", "data", "other")]
    assert answers == [False, writes, True]
    assert not refused(hook, "open", "/dev/null", "", flags)
    assert refused(hook, "open", "/dev/urandom", "", flags) is writes
    assert not refused(hook, "open", 3, "", flags), "a file that is open already"
    assert refused(hook, "open", os.fsencode(folder / "other"), "", flags)


@pytest.mark.parametrize("event", ["os.listdir", "os.scandir", "os.chdir", "os.getxattr", "os.listxattr"])
def test_reading_is_for_what_is_readable(hook, event):
    hook, folder = hook
    assert [refused(hook, event, folder / name) for name in ("mine", "data", "other")] == [False, False, True]
    assert not refused(hook, event, None), "the current folder"


@pytest.mark.parametrize(
    "event, places",
    [(name, (0,)) for name in ("os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown", "os.utime",
                               "os.chflags", "os.setxattr", "os.removexattr", "sqlite3.connect")]
    + [("os.rename", (0, 1)), ("os.link", (0, 1)), ("os.symlink", (1,))],
)  # fmt: skip
def test_changing_is_for_ones_own_folder_alone(hook, event, places):
    hook, folder = hook
    for place in (0, 1):
        for name in ("mine", "data", "other"):
            paths = [str(folder / "mine" / "a"), str(folder / "mine" / "b")]
            paths[place] = str(folder / name / "c")
            assert refused(hook, event, *paths) == (place in places and name != "mine"), (place, name)


NO_FILES = (
    "socket.connect socket.bind socket.getaddrinfo subprocess.Popen pty.spawn os.fork os.forkpty os.exec os.posix_spawn "
    "os.spawn os.system os.startfile os.startfile/2 os.killpg ctypes.dlopen ctypes.dlsym ctypes.call_function "
    "resource.setrlimit resource.prlimit syslog.syslog syslog.openlog webbrowser.open fcntl.fcntl fcntl.ioctl fcntl.flock "
    "fcntl.lockf"
)


@pytest.mark.parametrize("event", NO_FILES.split())
def test_what_is_no_file_is_refused(hook, event):
    assert refused(hook[0], event)


def test_an_answer_may_signal_itself_and_import(hook):
    hook, _ = hook
    assert not refused(hook, "os.kill", os.getpid(), 9) and refused(hook, "os.kill", os.getppid(), 9)
    assert not refused(hook, "import", "math") and not refused(hook, "exec", None)


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
