"""Lint rules for stored outputs: from one fresh run, accessible to everybody, independent of the machine."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from lib.lectures.lint.code import ABSOLUTE_PATH
from lib.lectures.notebooks import tags

if TYPE_CHECKING:
    from nbformat import NotebookNode

Findings = Iterator[tuple[str, str]]

_ADDRESS = re.compile(r"\b0x[0-9a-f]{8,}\b")
_DATA = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/=]*")
_WIDGET = "application/vnd.jupyter.widget-view+json"


def fresh_run(notebook: "NotebookNode") -> Findings:
    """Every code cell was executed, in order, in one run from the start (counts 1, 2, 3, …)."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    for expected, cell in enumerate(code, start=1):
        if cell.execution_count != expected:
            yield (
                cell.id,
                f"execution count {cell.execution_count}, expected {expected} (run: course refresh)",
            )
            return


def error_output(notebook: "NotebookNode") -> Findings:
    """Stored errors occur exactly in the cells tagged `raises-exception`."""
    for cell, outputs in _outputs(notebook):
        errors = [output for output in outputs if output.output_type == "error"]
        deliberate = "raises-exception" in tags(cell)
        if errors and not deliberate:
            yield cell.id, f"a stored {errors[0].ename}, but no tag 'raises-exception'"
        if deliberate and not errors:
            yield cell.id, "tagged 'raises-exception', but it raised nothing"


def stderr(notebook: "NotebookNode") -> Findings:
    """No output to stderr is stored (warnings, progress bars)."""
    for cell, outputs in _outputs(notebook):
        for output in outputs:
            if output.output_type == "stream" and output.name == "stderr":
                yield cell.id, f"stderr stored: {output.text.strip()[:60]!r}"


def alt_text(notebook: "NotebookNode") -> Findings:
    """Every stored picture has an alternative text that reaches the page (plots.show(figure, alt=…))."""
    for cell, outputs in _outputs(notebook):
        for output in outputs:
            data = output.get("data", {})
            pictures = _Pictures(data.get("text/html", "")).alts
            if any(not alt.strip() for alt in pictures):
                yield cell.id, "a picture (text/html) without alternative text"
            for kind in data:
                alt = output.metadata.get(kind, {}).get("alt", "").strip()
                if kind.startswith("image/") and not alt:
                    yield cell.id, f"a picture ({kind}) without alternative text"
                elif kind.startswith("image/") and alt not in pictures:
                    yield cell.id, f"a picture ({kind}) whose alternative text does not reach the page"


class _Pictures(HTMLParser):
    """The alternative texts of the pictures in HTML, "" for those without."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.alts: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.alts.append(dict(attrs).get("alt") or "")


def widget(notebook: "NotebookNode") -> Findings:
    """No widget state: it is large, changes with each run and is invisible outside Jupyter."""
    if "widgets" in notebook.metadata:
        yield "-", "widget state in the notebook metadata"
    for cell, outputs in _outputs(notebook):
        if any(_WIDGET in output.get("data", {}) for output in outputs):
            yield cell.id, "a widget among the outputs"


def machine_text(notebook: "NotebookNode") -> Findings:
    """No output contains an absolute path or a memory address."""
    for cell, outputs in _outputs(notebook):
        for output in outputs:
            text = _text(output)
            for pattern in (ABSOLUTE_PATH, _ADDRESS):
                match = pattern.search(text)
                if match:
                    yield (
                        cell.id,
                        f"the output depends on the machine: {text[match.start() : match.start() + 40]!r}",
                    )


def _outputs(notebook: "NotebookNode") -> Iterator[tuple["NotebookNode", list]]:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield cell, cell.outputs


def _text(output: dict) -> str:
    """The text in an output, without PNG and JPEG pictures but with SVG, which is text."""
    data = {kind: value for kind, value in output.get("data", {}).items() if kind not in ("image/png", "image/jpeg")}
    parts = [output.get("text", ""), *output.get("traceback", ())]
    parts += [value if isinstance(value, str) else json.dumps(value) for value in data.values()]
    return _DATA.sub("", "\n".join(parts))


RULES = {
    "fresh-run": fresh_run,
    "error-output": error_output,
    "stderr": stderr,
    "alt-text": alt_text,
    "widget": widget,
    "machine-text": machine_text,
}
