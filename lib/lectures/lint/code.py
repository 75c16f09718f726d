"""Lint rules for sources: length of cells, no network, no machine paths, alt text in Markdown."""

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

Findings = Iterator[tuple[str, str]]

MAX_LINES = 40

ABSOLUTE_PATH = re.compile(r"(?<![\w.~:/])/(?:home|root|tmp|Users|usr|var|opt|mnt|srv|etc|work|media)/\w|\b[A-Z]:\\\w")
"""A path that is valid on one machine only; not the path part of a web address."""

_NETWORK_MODULES = {
    "requests",
    "httpx",
    "aiohttp",
    "socket",
    "ftplib",
    "urllib.request",
    "http.client",
    "wget",
}
_NETWORK_CALLS = {"load_dataset", "hf_hub_download", "snapshot_download", "urlopen", "urlretrieve"}
_NETWORK_COMMANDS = re.compile(r"[!%]\s*(?:pip|conda|curl|wget|git|apt|apt-get|mamba|uv)\b")


def code_length(notebook: "NotebookNode") -> Findings:
    """A code cell has at most 40 lines."""
    for cell in code_cells(notebook):
        lines = len(cell.source.splitlines())
        if lines > MAX_LINES:
            yield cell.id, f"{lines} lines of code, at most {MAX_LINES}"


def absolute_path(notebook: "NotebookNode") -> Findings:
    """No source, code or Markdown, contains an absolute path of a machine."""
    for cell in notebook.cells:
        match = ABSOLUTE_PATH.search(cell.source)
        if match:
            yield cell.id, f"absolute path at {_excerpt(cell.source, match.start())!r}"


def network(notebook: "NotebookNode") -> Findings:
    """No cell uses the network."""
    for cell in code_cells(notebook):
        for line in cell.source.splitlines():
            if _NETWORK_COMMANDS.match(line.strip()):
                yield cell.id, f"{line.strip()!r} needs the network"
        for node in ast.walk(tree_of(cell.source)):
            for name in _network_names(node):
                yield cell.id, f"{name} needs the network"


def syntax(notebook: "NotebookNode") -> Findings:
    """Every code cell is valid Python (apart from magics)."""
    for cell in code_cells(notebook):
        try:
            ast.parse(_without_magics(cell.source))
        except SyntaxError as error:
            if "raises-exception" not in cell.metadata.get("tags", []):
                yield cell.id, f"not Python: {error.msg} in line {error.lineno}"


def picture_in_text(notebook: "NotebookNode") -> Findings:
    """Every picture in Markdown has an alternative text."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for found in re.findall(r"!\[\s*\]\([^)]*\)|<img(?![^>]*\balt=\"[^\"]+\")[^>]*>", cell.source):
                yield cell.id, f"{found[:60]} has no alternative text"


def code_cells(notebook: "NotebookNode") -> list["NotebookNode"]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tree_of(source: str) -> ast.AST:
    try:
        return ast.parse(_without_magics(source))
    except SyntaxError:  # reported by the rule `syntax`
        return ast.Module(body=[], type_ignores=[])


def _without_magics(source: str) -> str:
    if source.startswith("%%"):
        return ""
    return re.sub(r"(?m)^(\s*)[!%].*$", r"\1pass", source)


def _network_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in _NETWORK_MODULES)
    elif isinstance(node, ast.ImportFrom):
        paths = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (path for path in paths if path in _NETWORK_MODULES)
    elif isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in _NETWORK_CALLS:
            yield f"{name}()"
        if name == "from_pretrained" and node.args and isinstance(node.args[0], ast.Constant):
            yield f"from_pretrained({node.args[0].value!r})"


def _excerpt(text: str, at: int) -> str:
    return text[at : at + 40].split("\n")[0]


RULES = {
    "code-length": code_length,
    "absolute-path": absolute_path,
    "network": network,
    "syntax": syntax,
    "picture-in-text": picture_in_text,
}
