"""pytest itself, run on small files: in which order, and what becomes of the others when a worker dies."""

import os
import re
import subprocess
import sys

import pytest

from lib import ROOT
from tests import scheduling

CRASHING = "import os\ndef test_before(): pass\ndef test_crash(): os._exit(3)\ndef test_after(): pass\n"
HANGING = "import threading\ndef test_hang(): threading.Event().wait(60)\ndef test_after(): pass\n"
FINE = "def test_one(): pass\ndef test_two(): pass\n"
CONFTEST = "from tests.scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler\n"


def run(folder, files, *options):
    """Run pytest with two workers on these files; what it prints."""
    for name, content in files.items():
        (folder / name).write_text(content)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    kept |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-v", "-n2", "--no-loadscope-reorder", "-p", "xdist"]
    done = subprocess.run(
        [*command, *options, str(folder)], env=kept, cwd=folder,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("first", ["test_a.py", "test_z.py"])
def test_a_crash_costs_one_test_and_all_others_run(tmp_path, first):
    files = {first: CRASHING} | {f"test_{letter}.py": FINE for letter in "mnopqr"}
    printed = run(tmp_path, files)
    assert re.search(r"= 1 failed, 14 passed in", printed), printed
    assert "crashed while running" in printed and "::test_crash" in printed


def test_a_test_that_hangs_shows_where_and_fails(tmp_path):
    limits = ["-o", "faulthandler_timeout=2", "-o", "faulthandler_exit_on_timeout=true"]
    printed = run(tmp_path, {"test_a.py": HANGING, "test_b.py": FINE}, *limits)
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
