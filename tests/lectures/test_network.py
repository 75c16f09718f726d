"""The network is blocked, by both mechanisms, and loopback is not."""

import os
import subprocess
import sys

import pytest

from lib import ROOT
from lib.course import offline as command
from lib.course.cli import main
from lib.errors import UsageError
from lib.lectures import network

# 192.0.2.0/24 and .invalid are reserved for documentation: nobody is there, and nothing is asked of anybody.
PROBE = """
import socket, subprocess, sys
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), timeout=5)
socket.getaddrinfo("localhost", 80)
print("loopback works")
datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
attempts = {
    "connect": lambda: socket.create_connection(("192.0.2.1", 80), timeout=2),
    "connect6": lambda: socket.create_connection(("2001:db8::1", 80), timeout=2),
    "connect_ex": lambda: socket.socket().connect_ex(("192.0.2.1", 80)) and 1 / 0,
    "sendto": lambda: datagram.sendto(b"hello", ("192.0.2.1", 53)),
    "name": lambda: socket.getaddrinfo("example.invalid", 80),
    "gethostbyname": lambda: socket.gethostbyname("example.invalid"),
}
for name, attempt in attempts.items():
    try:
        attempt()
        print(name, "REACHED")
    except (OSError, ZeroDivisionError) as error:
        print(name, "refused", type(error).__name__)
"""

ATTEMPTS = ["connect", "connect6", "connect_ex", "sendto", "name", "gethostbyname"]


def offline(mechanism, *command):
    environment = os.environ | {"COURSE_SANDBOX": mechanism}
    line = [sys.executable, "-m", "lib.course", "offline", "--", *command]
    return subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("mechanism", ["namespace", "guard"])
def test_nothing_but_loopback_is_reached(mechanism):
    lines = offline(mechanism, sys.executable, "-c", PROBE).stdout.splitlines()
    assert lines[0] == "loopback works"
    assert [line.split()[:2] for line in lines[1:]] == [[name, "refused"] for name in ATTEMPTS]
    if mechanism == "guard":  # refused by us, not by a network that happens to be down
        assert {line.split()[2] for line in lines[1:]} == {"NetworkBlocked"}


def test_the_guard_names_itself_and_what_it_refused():
    code = "import socket; socket.create_connection(('192.0.2.1', 80))"
    done = offline("guard", sys.executable, "-c", code)
    assert "NetworkBlocked: the network is blocked: refused to reach '192.0.2.1'" in done.stderr


def test_the_guard_holds_in_a_child_of_a_child():
    inner = "import socket; socket.create_connection(('192.0.2.1', 80))"
    outer = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {inner!r}]))"
    assert "NetworkBlocked" in offline("guard", sys.executable, "-c", outer).stderr


def test_the_guard_cannot_be_disarmed_by_the_code_it_guards():
    code = "import os, sys; sys.modules.pop('sitecustomize'); os.environ.clear()\n"
    code += "import _socket; _socket.socket().connect(('192.0.2.1', 80))"
    assert "NetworkBlocked" in offline("guard", sys.executable, "-c", code).stderr


def test_without_the_guard_the_same_python_is_free():
    code = "import sys; print(hasattr(sys.modules.get('sitecustomize'), 'NetworkBlocked'))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_a_refused_namespace_falls_back_to_the_guard(monkeypatch):
    monkeypatch.setattr(network, "_possible_in_a_child", lambda: False)
    monkeypatch.setenv("PYTHONPATH", "mine")
    monkeypatch.setenv("COURSE_NETWORK", "")
    assert network.block_network() == "guard"
    assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(network.GUARD), "mine"]
    assert os.environ["COURSE_NETWORK"] == "guarded"


def test_a_child_that_fails_halfway_is_not_a_second_caller(monkeypatch):
    def fail():
        raise OSError("no loopback")

    monkeypatch.setattr(network, "_enter_empty_network", fail)
    assert network._possible_in_a_child() is False


def test_the_exit_code_of_the_command_is_passed_on():
    assert offline("namespace", sys.executable, "-c", "raise SystemExit(7)").returncode == 7


def test_a_command_that_is_not_there_is_named(monkeypatch, capsys):
    monkeypatch.setattr(command, "block_network", lambda: "namespace")
    assert main(["offline", "--", "no-such-command"]) == 2
    assert "cannot run 'no-such-command'" in capsys.readouterr().err


def test_an_unknown_mechanism_is_refused(monkeypatch):
    monkeypatch.setenv("COURSE_SANDBOX", "prayer")
    with pytest.raises(UsageError, match="COURSE_SANDBOX must be"):
        network.block_network()
