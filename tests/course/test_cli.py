"""The command line itself: help, exit codes, errors of one line."""

import argparse
import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from lib import ROOT, __version__
from lib.course import cli
from lib.errors import CourseError, UsageError

HEAVY = ("torch", "transformers", "papermill", "nbformat", "pandas", "matplotlib", "distributed", "gensim")


def course(*arguments):
    command = [sys.executable, "-m", "lib.course", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture
def command(monkeypatch):
    """A parser with one command, `do`, that calls what the test gives it."""

    def make(action):
        parser = argparse.ArgumentParser()
        parser.set_defaults(func=lambda arguments: action())
        monkeypatch.setattr(cli, "build_parser", lambda only: parser)

    return make


def test_every_command_is_there():
    found = cli.build_parser()._subparsers._group_actions[0].choices
    assert list(found) == list(cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_and_a_function(name):
    parser = cli.build_parser(only=name)._subparsers._group_actions[0].choices[name]
    assert parser.description and callable(parser.get_default("func"))


def test_one_command_imports_no_other():
    parser = cli.build_parser(only="walls")._subparsers._group_actions[0]
    assert list(parser.choices) == ["walls"]
    code = "import sys, lib.course.cli as cli; cli.build_parser('walls'); print('lib.course.run' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout == "False\n", done.stderr


def test_a_reader_that_has_gone_is_no_defect(command, monkeypatch):
    """`course lint | head`: exit code 1, and nothing more on stderr, not even of Python's own."""

    def fail():
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    command(fail)
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert cli.main([]) == 1 and stderr.closed


def test_help_shows_examples_and_imports_nothing_heavy():
    code = (
        "import sys, contextlib, lib.course.cli as cli\n"
        "with contextlib.suppress(SystemExit): cli.main(['--help'])\n"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300).stdout
    assert "examples:" in shown and "course run 04 -p steps 20" in shown
    assert shown.splitlines()[-1] == "heavy: []"


def test_version_and_module_form():
    assert course("--version").stdout == f"course {__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("no-such-command",), ("run", "--jobs", "many"), ("run", "-p", "steps")])
def test_a_wrong_command_is_exit_code_2(arguments):
    done = course(*arguments)
    assert done.returncode == 2 and "usage: course" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("error, code", [(CourseError("no corpus"), 1), (UsageError("no corpus"), 2)])
def test_an_error_for_the_user_is_one_line(command, capsys, error, code):
    def fail():
        raise error

    command(fail)
    assert cli.main([]) == code
    assert capsys.readouterr().err == "course: no corpus\n"


@pytest.mark.parametrize(
    "error, told",
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), "/a/b: No space left on device; free some space"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; free some space"),
        (OSError(errno.EROFS, "Read-only file system", "/a/b"), "/a/b: Read-only file system; --out writes elsewhere"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "/a/b: Permission denied; --out writes elsewhere"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/a/b"), "/a/b: Disk quota exceeded; free some space"),
        (OSError(errno.EPERM, "Operation not permitted", "/a"), "/a: Operation not permitted; --out writes elsewhere"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/a/b"), "/a/b: No such file or directory\n"),
        (OSError("cannot write into /a/b"), "cannot write into /a/b\n"),
    ],
)
def test_what_the_system_refuses_is_one_line(command, capsys, error, told):
    def fail():
        raise error

    command(fail)
    assert cli.main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"course: {told}") and said.count("\n") == 1


@pytest.mark.skipif(not shutil.which("bwrap"), reason="no bubblewrap here (Debian: apt-get install bubblewrap)")
@pytest.mark.parametrize(
    "disk, arguments, where",
    [
        ("read-only", ["student", "04"], f"{ROOT}/work"),
        ("read-only", ["run", "00"], f"{ROOT}/build"),
        ("read-only", ["release", "04", "--out", "assignment"], "assignment"),
        ("full", ["student", "04", "--out", "{full}"], "{full}/"),
        ("full", ["release", "04", "--out", "{full}/a"], "{full}/a"),
    ],
)
def test_a_read_only_checkout_and_a_full_disk_are_told(tmp_path, disk, arguments, where):
    size, folder = (10**9, ["--ro-bind", ROOT, ROOT]) if disk == "read-only" else (4096, [])
    walls = ["bwrap", "--bind", "/", "/", "--dev", "/dev", *folder, "--size", size, "--tmpfs", tmp_path]
    arguments = [argument.format(full=tmp_path) for argument in arguments]
    done = subprocess.run(
        [*map(str, walls), "--", sys.executable, "-m", "lib.course", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    reason = "Read-only file system" if disk == "read-only" else "No space left on device"
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"course: {where.format(full=tmp_path)}") and reason in last, last


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_is_130(command, capsys, number):
    def wait():
        threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
        threading.Event().wait(100)

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a job that a script put into the background
    command(wait)
    try:
        assert cli.main([]) == 130
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert "interrupted" in capsys.readouterr().err


def test_a_defect_of_ours_keeps_its_traceback(command):
    command(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main([])
