"""Chromium without a window, for tests of what a person sees; axe-core, which judges a page from inside it."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine (Debian: apt-get install chromium)")
AXE = Path(__file__).parent / "grading" / "reports" / "axe" / "axe.min.js"
SCHEMES = {"light": 1, "dark": 0}  # Chromium's numbers
TOLD = """
function tell(what) {
  const told = document.createElement("pre");
  told.id = "told";
  told.textContent = JSON.stringify(what);
  window.parent.document.body.append(told);
}
"""
"""JavaScript's `tell(what)` leaves `what` in the document, for `told_by`."""


def opened(tmp_path, page, *, scheme="light"):
    """What the browser makes of a page: its document, and what it logged on the console."""
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    flags = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", "--window-size=1100,900",
        "--virtual-time-budget=10000", "--dump-dom",
    ]  # fmt: skip
    done = subprocess.run([BROWSER, *flags, path.as_uri()], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    said = done.stderr.decode(errors="replace").splitlines()
    console = [line for line in said if "CONSOLE" in line and "source: chrome" not in line]  # of its own pages
    return done.stdout.decode(), console


def told_by(dom):
    """What a script of the page has told, from the document."""
    found = re.findall(r'<pre id="told">(.*?)</pre>', dom, re.DOTALL)
    assert found, "the script did not come to an end"
    return json.loads(html.unescape(found[-1]))
