"""A lecture as a page: made by nbconvert with the course's settings, read by a program and judged by axe-core."""

import json
import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lib import ROOT
from lib.lectures.notebooks import all_notebooks, load, text_of
from lib.plots.figure import as_stored
from tests.browser import AXE, TOLD, needs_browser, opened, told_by
from tests.nightly import by_day

SETTINGS = ROOT / "lib" / "course" / "jupyter"
RULES = [
    "image-alt", "svg-img-alt", "role-img-alt", "heading-order", "empty-heading", "link-name", "button-name",
    "frame-title", "label", "list", "listitem", "td-headers-attr", "th-has-data-cells", "scope-attr-valid",
    "table-duplicate-name", "color-contrast",
]  # fmt: skip
# What the cells say and show; the rest is nbconvert's: the frame, the colours of code, the mark behind a heading, and
# pandas' own form of a table.
OURS = {"include": [[".jp-RenderedHTMLCommon"]], "exclude": [[".highlight"], [".anchor-link"], [".dataframe"]]}
RUN = f"""
axe.run({json.dumps(OURS)}, {{runOnly: {{type: "rule", values: {json.dumps(RULES)}}}}}).then(found => tell({{
  violations: found.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 200)).slice(0, 3)]),
  passes: found.passes.map(p => p.id),
}}), problem => tell(String(problem)));
"""


def second_edition():
    """The lectures of the second edition; the first of all where there is none yet."""
    told = {path: json.loads(path.read_text(encoding="utf-8"))["metadata"] for path in all_notebooks()}
    return [path for path, metadata in told.items() if metadata.get("course", {}).get("edition") == 2] or list(told)[:1]


def page_of(path, theme="light"):
    """The page that nbconvert makes of a notebook with the settings of the course."""
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    settings = json.loads((SETTINGS / "jupyter_nbconvert_config.json").read_text())
    return HTMLExporter(config=Config(settings), theme=theme).from_filename(str(path))[0]


class Reader(HTMLParser):
    """The pictures of a page as their attributes, in order."""

    def __init__(self, page):
        super().__init__()
        self.pictures = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.pictures.append(dict(attrs))


def small(folder):
    """A notebook with a drawing, a figure, a table, and a cell whose source is hidden; its file."""
    (folder / "figures").mkdir()
    (folder / "figures" / "square.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>')
    alt = 'a "line" that falls, where x < 3 & y > 2'
    output = new_output("display_data", data=as_stored(PNG, alt), metadata={"image/png": {"alt": alt}})
    hidden = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
    source = "# Lab shows the first line of what it hides\nhidden_source = 1"
    cells = [
        new_markdown_cell(
            "# A title\n\n![a square](figures/square.svg)\n\n| a | b |\n|---|---|\n| 1 | 2 |", id="title"
        ),
        new_code_cell("shown_source = 1", id="shown"),
        new_code_cell(source, id="hidden", metadata=hidden, outputs=[output], execution_count=1),
    ]
    path = folder / "page.ipynb"
    path.write_text(text_of(new_notebook(cells=cells)))
    return path


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ffff3f0005fe02fe0def46b8"
    "0000000049454e44ae426082"
)


def test_hidden_sources_are_hidden_and_pictures_have_their_alternative_texts(tmp_path):
    page = page_of(small(tmp_path))
    assert "shown_source" in page and "hidden_source" not in page
    drawing, figure = Reader(page).pictures
    assert drawing["alt"] == "a square" and drawing["src"].startswith("data:image/svg+xml;base64,")
    assert figure["alt"] == 'a "line" that falls, where x < 3 & y > 2' and figure["src"].startswith("data:image/png")


def test_the_command_in_contributing_uses_these_settings(tmp_path):
    path = small(tmp_path)
    (line,) = re.findall(r"^.*jupyter nbconvert .*$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    environment, _, command = line.partition(" jupyter ")
    asked = shlex.split(command.partition("#")[0])
    name, _, folder = environment.strip().partition("=")
    words = [word if "notebooks/" not in word else str(path) for word in asked]
    words[words.index("--output-dir") + 1] = str(tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", *words],
        env=os.environ | {name: folder},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "hidden_source" not in (page := (tmp_path / "out" / "page.html").read_text()) and "shown_source" in page


def test_lab_exports_with_the_same_settings():
    command, server = (
        json.loads((SETTINGS / f"jupyter_{name}_config.json").read_text()) for name in ("nbconvert", "server")
    )
    assert {key: server[key] for key in command} == command


@pytest.mark.parametrize("path", by_day(2, all_notebooks()), ids=lambda path: path.stem)
def test_every_picture_of_a_lecture_has_an_alternative_text_on_the_page(path):
    notebook = load(path)
    told = [
        output.metadata["image/png"]["alt"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    alts = [picture["alt"] for picture in Reader(page_of(path)).pictures]
    assert [alt for alt in alts if alt in told] == told and not any(map(is_none, alts))


def is_none(alt):
    """Whether it describes nothing; nbconvert has words for pictures without one."""
    return not alt.strip() or alt.startswith("No description has been provided")


def test_a_picture_without_a_description_is_found(tmp_path):
    notebook = load(small(tmp_path))
    notebook.cells[2].outputs[0].data["text/html"] = '<img src="data:image/png;base64,AAAA">'
    (tmp_path / "page.ipynb").write_text(text_of(notebook))
    assert [is_none(picture["alt"]) for picture in Reader(page_of(tmp_path / "page.ipynb")).pictures] == [False, True]


def with_axe(page):
    return page.replace(
        "</body>", f"<script>{AXE.read_text(encoding='utf-8')}</script><script>{TOLD}{RUN}</script></body>"
    )


@needs_browser
@pytest.mark.parametrize("theme", by_day(1, ["light", "dark"]))
@pytest.mark.parametrize("path", by_day(1, second_edition()), ids=lambda path: path.stem)
def test_axe_finds_nothing_in_a_lecture(tmp_path, path, theme):
    told = told_by(opened(tmp_path, with_axe(page_of(path, theme)))[0])
    assert told["violations"] == [] and {"image-alt", "heading-order", "color-contrast"} <= set(told["passes"])


@needs_browser
def test_axe_would_have_found_something(tmp_path):
    notebook = load(small(tmp_path))
    notebook.cells[0].source += '\n\n#### Too deep\n\n<a href="#x"></a>\n\n<p style="color: #ccc">pale</p>'
    notebook.cells[2].outputs[0].data["text/html"] = '<svg role="img" width="9" height="9"></svg>'
    path = tmp_path / "spoilt.ipynb"
    path.write_text(text_of(notebook))
    told = told_by(opened(tmp_path, with_axe(page_of(path)))[0])
    assert {"svg-img-alt", "heading-order", "link-name", "color-contrast"} == {rule for rule, _ in told["violations"]}
