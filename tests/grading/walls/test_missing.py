"""What a machine lacks, and what to type."""

import pytest

from lib.course import cli
from lib.grading import walls
from lib.grading.walls import bubblewrap, kernel
from lib.grading.walls.missing import missing

ALL = walls.Kernel(7, True, True)
linux = pytest.mark.skipif(not kernel.ON_LINUX, reason="what to type is for Linux")


@pytest.fixture
def wrapped(monkeypatch):
    monkeypatch.delenv("COURSE_WALLS", raising=False)
    monkeypatch.setattr(bubblewrap, "works", lambda: True)


def files(**settings):
    """A kernel's settings, by the end of the file's name."""
    return lambda name: next((text for end, text in settings.items() if name.endswith(end)), None)


@linux
def test_a_machine_with_every_wall_lacks_nothing(wrapped):
    assert missing(ALL, files()) == []


@linux
@pytest.mark.parametrize(
    "has, settings, wall, needed, command",
    [
        (walls.Kernel(0, True, True), {"lsm": "lockdown,yama\n"}, "Landlock", True, "lsm=landlock,lockdown,yama"),
        (walls.Kernel(0, True, True), {"lsm": "landlock,yama"}, "Landlock", True, "virtual machine"),
        (walls.Kernel(7, False, True), {}, "seccomp", True, "virtual machine"),
        (walls.Kernel(7, True, False), {"userns_clone": "0\n"}, "namespaces", False, "kernel.unprivileged_userns_clone=1"),
        (walls.Kernel(7, True, False), {"_userns": "1"}, "namespaces", False, "apparmor_restrict_unprivileged_userns=0"),
        (walls.Kernel(7, True, False), {"namespaces": "0"}, "namespaces", False, "user.max_user_namespaces=15000"),
        (walls.Kernel(7, True, False), {"namespaces": "9"}, "namespaces", False, "seccomp=unconfined"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_what_to_type(wrapped, has, settings, wall, needed, command):
    (found,) = missing(has, files(**settings))
    assert (found.wall, found.needed) == (wall, needed) and command in found.command and found.why


@linux
def test_bubblewrap_is_to_be_installed_allowed_or_switched_on(wrapped, monkeypatch):
    monkeypatch.setenv("COURSE_WALLS", "plain")
    assert missing(ALL, files())[0].command == "unset COURSE_WALLS"
    monkeypatch.setattr(bubblewrap, "works", lambda: False)
    monkeypatch.setattr("lib.grading.walls.missing.shutil.which", lambda name: None)
    assert missing(ALL, files())[0].command == "sudo apt install bubblewrap"
    monkeypatch.setattr("lib.grading.walls.missing.shutil.which", lambda name: f"/usr/bin/{name}")
    assert "apparmor" in missing(ALL, files(_userns="1"))[0].command


@pytest.mark.parametrize("has, code, says", [(ALL, 0, "is in place"), (walls.Kernel(0, False, True), 1, "not attacks")])
def test_the_command_says_what_holds(wrapped, monkeypatch, capsys, has, code, says):
    monkeypatch.setattr(walls, "probe", lambda: has)
    monkeypatch.setattr(kernel, "ON_LINUX", True)
    assert cli.main(["walls"]) == code
    out = capsys.readouterr().out
    assert says in out and all(f"  {wall} " in out for wall in walls.describe())


def test_elsewhere_nothing_stops_an_attack(monkeypatch):
    monkeypatch.setattr(kernel, "ON_LINUX", False)
    (found,) = missing(walls.Kernel(0, False, False))
    assert found.needed and "Linux" in found.command
