"""Stored outputs: from a fresh run, in a form that is the same on every machine."""

import copy
import re
from pathlib import Path
from typing import TYPE_CHECKING

from lib.files import atomic_write
from lib.lectures import notebooks

if TYPE_CHECKING:
    from nbformat import NotebookNode

_IN_HTML = re.compile(r'src="data:image/[^"]*"')

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def with_outputs(notebook: "NotebookNode", executed: dict) -> "NotebookNode":
    """`notebook` with the outputs of its executed copy, but nothing else from it."""
    import nbformat

    fresh = copy.deepcopy(notebook)
    for cell, done in zip(fresh.cells, executed["cells"], strict=True):
        if cell.cell_type == "code":
            cell.outputs = [nbformat.from_dict(_portable(output)) for output in joined_streams(done["outputs"])]
            cell.execution_count = done["execution_count"]
            cell.metadata.pop("execution", None)  # execution times
    told = {"course": notebook.metadata["course"]} if "course" in notebook.metadata else {}  # such as its edition
    fresh.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": {"name": "python"}} | told)
    return fresh


def joined_streams(outputs: list[dict]) -> list[dict]:
    """Outputs with adjacent pieces of one stream joined, since a kernel splits them depending on time."""
    joined: list[dict] = []
    for output in outputs:
        if output["output_type"] == "stream" and joined and joined[-1].get("name") == output["name"]:
            joined[-1] = joined[-1] | {"text": joined[-1]["text"] + output["text"]}
        else:
            joined.append(dict(output))
    return joined


def _portable(output: dict) -> dict:
    """An output; a deliberate error without its file frames, which contain paths of this machine."""
    if output["output_type"] != "error":
        return output
    frames = [frame for frame in output["traceback"] if not re.match(r"(\x1b\[[0-9;]*m)*File\b", frame)]
    return output | {"traceback": frames}


def store(path: Path, notebook: "NotebookNode") -> None:
    """Write the notebook to `path`, unless the file already has this content."""
    text = notebooks.text_of(notebook)
    if text != path.read_text(encoding="utf-8"):
        with atomic_write(path) as file:
            file.write(text)


def report_changes(name: str, stored: "NotebookNode", executed: dict) -> bool:
    """Print the cells whose stored outputs, apart from pictures, have changed; return whether there are none."""
    fresh = with_outputs(stored, executed)
    changed = [
        before.id
        for before, after in zip(stored.cells, fresh.cells, strict=True)
        if before.cell_type == "code" and _without_pictures(before.outputs) != _without_pictures(after.outputs)
    ]
    for cell in changed:
        print(f"{name}:{cell}: the stored output differs from the output of a new run")
    return not changed


def _without_pictures(outputs: list[dict]) -> list[dict]:
    kept = copy.deepcopy(joined_streams(outputs))
    for output in kept:
        data = output.get("data", {})
        data |= {kind: "a picture" for kind in ("image/png", "image/jpeg", "image/svg+xml") if kind in data}
        if "text/html" in data:
            data["text/html"] = _IN_HTML.sub('src="a picture"', data["text/html"])
    return kept
