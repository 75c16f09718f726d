"""The Lab that `make lab` opens: no nbgrader, no news, the first lecture in a tab, nothing of ours in ~/.jupyter."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from lib import ROOT

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TOKEN = "a-token-for-a-test"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--virtual-time-budget=60000", "--dump-dom",
]  # fmt: skip


def lab_settings():
    """The environment and the notebook of `make lab`, from the Makefile itself."""
    told = subprocess.run(
        ["make", "--dry-run", "lab"], cwd=ROOT, capture_output=True, text=True, check=True,
        env={name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")},
    ).stdout.splitlines()[-1]  # fmt: skip
    words = shlex.split(told)
    return dict(word.split("=", 1) for word in words if word.startswith("JUPYTER_")), words[-1]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a running server in a copy of what `make lab` needs, and its home folder."""
    folder = tmp_path_factory.mktemp("lab")
    settings, notebook = lab_settings()
    settings["JUPYTER_CONFIG_DIR"] = str(folder / "config")
    (folder / notebook).parent.mkdir()
    shutil.copy(ROOT / "notebooks" / "00_start_here.ipynb", folder / notebook)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
        f"--IdentityProvider.token={TOKEN}", notebook,
    ]  # fmt: skip
    home = {"HOME": str(folder / "home"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(command, cwd=folder, env=os.environ | settings | home, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(address, server, folder / "log")
        yield address, folder
    finally:
        server.terminate()
        server.wait(30)


def wait_for(address, server, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return get(address, "/api/status")
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def get(address, path):
    request = urllib.request.Request(address + path, headers={"Authorization": f"token {TOKEN}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def test_extensions_of_the_test_bench_and_news_are_off(lab):
    page = get(lab[0], "/lab")
    config = json.loads(re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL).group(1))
    off = set(config["disabledExtensions"])
    assert {"@jupyter/nbgrader", "@jupyter-notebook/lab-extension", "@jupyterlab/apputils-extension:announcements"} <= off
    news = json.loads(get(lab[0], "/lab/api/settings/@jupyterlab/apputils-extension:notification"))
    defaults = {name: value["default"] for name, value in news["schema"]["properties"].items() if "default" in value}
    assert defaults["fetchNews"] == "false" and defaults["checkForUpdates"] is False


@pytest.mark.parametrize("path", ["/formgrader", "/assignments", "/courses"])
def test_nbgrader_has_no_pages_on_the_server(lab, path):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(lab[0], path)


def test_the_folder_of_the_editions_is_what_one_sees(lab):
    listed = json.loads(get(lab[0], "/api/contents"))["content"]
    assert [entry["name"] for entry in listed] == ["00_start_here.ipynb"]


@pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine (Debian: apt-get install chromium)")
def test_the_first_lecture_is_open_and_nothing_pops_up(lab):
    address, folder = lab
    url = f"{address}/lab/tree/00_start_here.ipynb?token={TOKEN}"
    profile = f"--user-data-dir={folder / 'profile'}"
    page = subprocess.run([BROWSER, *FLAGS, profile, url], capture_output=True, text=True, timeout=300).stdout
    tabs = re.findall(r'lm-TabBar-tabLabel[^>]*>([^<]*)<', page)
    assert "00_start_here.ipynb" in tabs and "Launcher" not in tabs, tabs
    shown = {name for names in re.findall(r'<[a-z-]+ [^>]*class="([^"]*)"', page) for name in names.split()}
    assert "jp-Notebook" in shown and not shown & {"jp-Dialog", "Toastify__toast", "Toastify__toast-body"}
    text = re.sub(r"<script.*?</script>|<style.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)
    assert "Python 3 (ipykernel)" in text
    assert not re.search("nbgrader|Formgrader|Assignment List|official Jupyter news", text, re.IGNORECASE)
    assert not (folder / "home" / ".jupyter").exists() and (folder / "config").is_dir()
