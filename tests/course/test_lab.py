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
import websocket

from lib import ROOT
from tests.browser import BROWSER, needs_browser
from tests.notebooks.test_pages import small

TOKEN = "a-token-for-a-test"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
    "--remote-allow-origins=*",
]  # fmt: skip
LABELS = "Array.from(document.querySelectorAll('%s')).map(node => node.textContent)"


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
    small((folder / notebook).parent)
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
        until(lambda: answers(address, server, folder / "log"))
        yield address, folder
    finally:
        server.terminate()
        server.wait(30)


def answers(address, server, log):
    assert server.poll() is None, log.read_text()
    try:
        return get(address, "/api/status")
    except OSError:
        return None


def get(address, path):
    request = urllib.request.Request(address + path, headers={"Authorization": f"token {TOKEN}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def test_extensions_of_the_test_bench_and_news_are_off(lab):
    page = get(lab[0], "/lab")
    config = json.loads(re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL).group(1))
    on = {"@jupyter/nbgrader", "@jupyter-notebook/lab-extension", "@jupyterlab/apputils-extension:announcements"}
    assert not on - set(config["disabledExtensions"])
    news = json.loads(get(lab[0], "/lab/api/settings/@jupyterlab/apputils-extension:notification"))
    defaults = {name: value["default"] for name, value in news["schema"]["properties"].items() if "default" in value}
    assert defaults["fetchNews"] == "false" and defaults["checkForUpdates"] is False


@pytest.mark.parametrize("path", ["/formgrader", "/assignments", "/courses"])
def test_nbgrader_has_no_pages_on_the_server(lab, path):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(lab[0], path)


def test_the_folder_of_the_editions_is_what_one_sees(lab):
    listed = json.loads(get(lab[0], "/api/contents"))["content"]
    assert [entry["name"] for entry in listed] == ["00_start_here.ipynb", "figures", "page.ipynb"]


def test_what_lab_exports_hides_what_is_to_be_hidden(lab):
    page = get(lab[0], "/nbconvert/html/page.ipynb")
    assert "shown_source" in page and "hidden_source" not in page
    assert "figures/square.svg" not in page and "data:image/svg+xml;base64," in page


class Page:
    """A page in a browser of its own, asked through Chromium's debugging port."""

    def __init__(self, url, profile):
        self.browser = subprocess.Popen(
            [BROWSER, *FLAGS, f"--user-data-dir={profile}", url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        port = until(lambda: (profile / "DevToolsActivePort").exists() and (profile / "DevToolsActivePort").read_text())
        listed = f"http://127.0.0.1:{port.splitlines()[0]}/json"
        pages = json.loads(urllib.request.urlopen(listed, timeout=60).read())
        address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        self.socket = websocket.create_connection(address, timeout=60)

    def value(self, expression):
        """What a JavaScript expression is in the page."""
        asked = {"id": 1, "method": "Runtime.evaluate", "params": {"expression": expression, "returnByValue": True}}
        self.socket.send(json.dumps(asked))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == 1:
                return answer["result"]["result"].get("value")

    def close(self):
        self.socket.close()
        self.browser.terminate()
        self.browser.wait(30)


def until(ask, seconds=120):
    """The first true answer of `ask`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s")


@needs_browser
def test_the_first_lecture_is_open_and_nothing_pops_up(lab):
    address, folder = lab
    page = Page(f"{address}/lab/tree/00_start_here.ipynb?token={TOKEN}", folder / "profile")
    try:
        until(lambda: page.value("!!document.querySelector('.jp-Notebook h1')"))
        until(lambda: "Python 3 (ipykernel)" in page.value("document.body.innerText"))
        time.sleep(3)  # a pop-up would come after the page
        tabs = page.value(LABELS % "#jp-main-dock-panel .lm-TabBar-tabLabel")
        menus = page.value(LABELS % ".lm-MenuBar-itemLabel")
        text = page.value("document.body.innerText")
        assert tabs == ["00_start_here.ipynb"]
        assert {"File", "Kernel", "Help"} <= set(menus) and not {"Nbgrader", "Assignments"} & set(menus), menus
        assert page.value(LABELS % ".jp-Dialog, .Toastify__toast") == []
        assert not re.search("Create Assignment|Formgrader|Jupyter news", text)
        assert not (folder / "home" / ".jupyter").exists() and (folder / "config").is_dir()
    finally:
        page.close()


@needs_browser
def test_pictures_have_their_alternative_texts_and_hidden_sources_are_hidden(lab):
    address, folder = lab
    page = Page(f"{address}/lab/tree/page.ipynb?token={TOKEN}&reset", folder / "profile of the page")
    try:
        until(lambda: page.value("document.querySelectorAll('.jp-Notebook img').length") == 2)
        until(lambda: page.value("[...document.images].every(image => image.complete)"))
        seen = page.value("[...document.querySelectorAll('.jp-Notebook img')].map(i => [i.alt, i.naturalWidth > 0])")
        assert seen == [["a square", True], ['a "line" that falls, where x < 3 & y > 2', True]]
        until(lambda: "shown_source" in page.value("document.querySelector('.jp-Notebook').innerText"))
        assert "hidden_source" not in page.value("document.querySelector('.jp-Notebook').innerText")
    finally:
        page.close()
