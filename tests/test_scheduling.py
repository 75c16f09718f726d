"""pytest itself, run on small files: in which order, and what becomes of the others when a worker dies."""

import re
from types import SimpleNamespace

import pytest

from lib import ROOT
from tests import scheduling
from tests.small_run import small_run

CRASHING = "import os\ndef test_before(): pass\ndef test_crash(): os._exit(3)\ndef test_after(): pass\n"
HANGING = "import threading\ndef test_hang(): threading.Event().wait(60)\ndef test_after(): pass\n"
FINE = "def test_one(): pass\ndef test_two(): pass\n"
TWO = ("-v", "-n2", "--no-loadscope-reorder", "-p", "xdist")
CONFTEST = "from tests.scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler\n"

# The controller hears late that a worker has died: until then it writes into a pipe that nobody reads.
LATE = (
    CONFTEST
    + """
import time
from xdist.workermanage import Marker, WorkerController

heard = WorkerController.process_from_remote

def process_from_remote(self, message):
    if message is Marker.END:
        time.sleep(1)
    heard(self, message)

def pytest_runtest_logreport(report):
    if hasattr(report, "node") and "test_before" in report.nodeid:
        time.sleep(0.2)  # by now the worker is at its next test, and dead

WorkerController.process_from_remote = process_from_remote
"""
)


@pytest.mark.parametrize("first", ["test_a.py", "test_z.py"])
def test_a_crash_costs_one_test_and_all_others_run(tmp_path, first):
    files = {first: CRASHING} | {f"test_{letter}.py": FINE for letter in "mnopqr"}
    printed = small_run(tmp_path, files, *TWO, conftest=CONFTEST)
    assert re.search(r"= 1 failed, 14 passed in", printed), printed
    assert "crashed while running" in printed and "::test_crash" in printed


def test_a_pipe_that_breaks_under_the_controller_does_not_end_the_run(tmp_path):
    files = {"test_a.py": CRASHING} | {f"test_{letter}.py": FINE for letter in "mnopqr"}
    printed = small_run(tmp_path, files, *TWO, conftest=LATE)
    assert re.search(r"= 1 failed, 14 passed in", printed) and "INTERNALERROR" not in printed, printed
    assert "crashed while running" in printed and "::test_crash" in printed


class Node:
    """A worker as the scheduler sees it; what is sent to it is kept, until its pipe breaks."""

    shutting_down = False

    def __init__(self):
        self.received, self.broken, self.gateway = [], False, SimpleNamespace(id="gw")

    def send_runtest_some(self, indices):
        if self.broken:
            raise BrokenPipeError
        self.received += indices

    def shutdown(self):
        self.shutting_down = True


def test_what_a_broken_pipe_did_not_take_goes_to_another_worker():
    tests = [f"test_{file}.py::test_{number}" for file in "abcdef" for number in (1, 2)]
    options = SimpleNamespace(loadscopereorder=False)
    schedule = scheduling.FileScheduling(SimpleNamespace(getvalue=lambda name: ["2*popen"], option=options))
    dying, living = Node(), Node()
    for node in (dying, living):
        schedule.add_node(node)
        schedule.add_node_collection(node, tests)
    schedule.schedule()
    assert (dying.received, living.received) == ([0, 1, 4, 5], [2, 3, 6, 7])
    dying.broken = True
    for done in (0, 1, 4):  # it is sent more from the second on, in vain
        schedule.mark_test_complete(dying, done)
    for done in (2, 3):
        schedule.mark_test_complete(living, done)
    assert dying.received == [0, 1, 4, 5] and living.received == [2, 3, 6, 7, 8, 9], "the next in turn"
    assert schedule.remove_node(dying) == tests[5], "the test at which it died, and none that it never got"
    for done in (6, 7):
        schedule.mark_test_complete(living, done)
    assert living.received == [2, 3, 6, 7, 8, 9, 10, 11] and not schedule.workqueue


def test_a_test_that_hangs_shows_where_and_fails(tmp_path):
    files = {"test_a.py": HANGING, "test_b.py": FINE}
    limits = ["-o", "faulthandler_timeout=5", "-o", "faulthandler_exit_on_timeout=true"]
    printed = small_run(tmp_path, files, *TWO, *limits, conftest=CONFTEST)
    assert re.search(r"= 1 failed, 3 passed in", printed) and "::test_hang" in printed, printed


def test_long_files_come_first_and_each_stays_whole(monkeypatch):
    class Item:
        def __init__(self, nodeid):
            self.nodeid = nodeid

    monkeypatch.setattr(scheduling, "LONG", ("slow.py", "slower.py"))
    given = ["a.py::1", "b.py::1", "b.py::2", "slower.py::1", "c.py::1", "c.py::x::2", "slow.py::1"]
    items = [Item(nodeid) for nodeid in given]
    scheduling.pytest_collection_modifyitems(items)
    expected = ["slow.py::1", "slower.py::1", "b.py::1", "b.py::2", "c.py::1", "c.py::x::2", "a.py::1"]
    assert [item.nodeid for item in items] == expected


def test_the_long_files_are_there():
    assert scheduling.LONG and all((ROOT / name).is_file() for name in scheduling.LONG)
