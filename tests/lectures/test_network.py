"""The network is blocked, by both mechanisms, and loopback is not."""

import importlib.util
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


@pytest.fixture(scope="module")
def guard():
    """The module of the guard, not switched on."""
    spec = importlib.util.spec_from_file_location("guard_to_look_at", network.GUARD / "sitecustomize.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "host, local",
    [("127.0.0.1", True), ("127.9.8.7", True), ("::1", True), ("0.0.0.0", True), ("::", True), ("localhost", True),
     (b"localhost", True), (b"127.0.0.1", True), (None, True), ("", True), ("192.0.2.1", False), ("10.0.0.1", False),
     ("localhost.example", False), ("example.invalid", False), (b"example.invalid", False), ("128.0.0.1", False)],
)  # fmt: skip
def test_each_way_to_another_machine_is_refused_by_the_guard(guard, host, local):
    events = [(name, (None, (host, 80))) for name in ("socket.connect", "socket.sendto", "socket.sendmsg")]
    events += [(name, (host, 80)) for name in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")]
    for event, arguments in events:
        try:
            guard._refuse_network(event, arguments)
            assert local, event
        except guard.NetworkBlocked as error:
            assert not local and repr(host.decode() if isinstance(host, bytes) else host).strip("'") in str(error)


def test_sockets_of_this_machine_and_other_events_are_none_of_the_guards_business(guard):
    guard._refuse_network("socket.connect", (None, "/run/socket"))
    guard._refuse_network("socket.bind", (None, ("192.0.2.1", 80)))
    guard._refuse_network("open", ("192.0.2.1", "r", 0))
