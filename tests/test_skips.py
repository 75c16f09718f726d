import pytest

from tests.small_run import small_run

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_drawing(number): pytest.skip("no bubblewrap")

@pytest.mark.skipif(True, reason="no Chromium")
def test_browser(): pass

@pytest.mark.skip
def test_silent(): pass

def test_fine(): pass

def test_broken(): assert not "this is shown before"
"""


@pytest.mark.parametrize("workers", [[], ["-n2", "-p", "xdist"]], ids=["alone", "two workers"])
def test_each_reason_is_named_with_what_it_cost_just_before_the_last_line(tmp_path, workers):
    conftest = "from tests.skips import pytest_terminal_summary\n"
    printed = small_run(tmp_path, {"test_some.py": TESTS}, "-q", "-rfE", *workers, conftest=conftest)
    *before, heading, drawing, browser, silent, last = printed.splitlines()
    assert heading.strip("= ") == "skipped, by reason" and "FAILED test_some.py::test_broken" in before[-1]
    assert drawing.split() == ["3", "no", "bubblewrap"]
    assert {browser.strip(), silent.strip()} == {"1  no Chromium", "1  unconditional skip"}
    assert last.startswith("1 failed, 1 passed, 5 skipped in")
