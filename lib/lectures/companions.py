"""Drawings and explorables: files that lie beside a lecture and go wherever a copy of it goes.

figures/soft_look_up.svg          shown by a Markdown cell
explorables/next_token.html       opened by a link
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from lib.errors import CourseError
from lib.files import atomic_path

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDERS = ("figures", "explorables")
"""The folders of drawings and of explorables, beside the lectures and beside each copy of one."""

_USED = re.compile(r"(?<![\w/.-])(?:\./)?(figures/[\w-]+\.svg|explorables/[\w-]+\.html)(?![\w-])")


def used_in(notebook: "NotebookNode") -> list[str]:
    """The drawings and explorables that the cells of a notebook name, each once, in order of their names.

    >>> from nbformat.v4 import new_markdown_cell, new_notebook
    >>> used_in(new_notebook(cells=[new_markdown_cell("![a head](figures/head.svg)")]))
    ['figures/head.svg']
    """
    return sorted({name for cell in notebook.cells for name in _USED.findall(cell.source)})


def beside(lecture: Path, notebook: "NotebookNode") -> dict[str, bytes | None]:
    """What the file `lecture` has beside it of the files that `notebook`, a form of it, names; None for a missing one."""
    found: dict[str, bytes | None] = {}
    for name in used_in(notebook):
        try:
            found[name] = (lecture.parent / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            found[name] = None
    return found


def missing(lecture: str, names: list[str]) -> str:
    """What to say of files that lie not where they belong.

    >>> missing("04_mlm_masking.ipynb", ["figures/strip.svg"])
    '04_mlm_masking.ipynb shows figures/strip.svg, which is missing: restore it from version control'
    """
    which = f"which {'is' if len(names) == 1 else 'are'} missing"
    them = "it" if len(names) == 1 else "them"
    return f"{lecture} shows {', '.join(names)}, {which}: restore {them} from version control"


def check_place(path: Path) -> None:
    """Raise CourseError unless a file can be written at `path`, in the folder of its kind."""
    if path.parent.exists() and not path.parent.is_dir():
        raise CourseError(f"{path.parent} is a file, but what the lectures show needs a folder of this name")
    if path.is_dir():
        raise CourseError(f"{path} is a folder, but the lectures need a file of this name")


def carry(lecture: Path, notebook: "NotebookNode", folder: Path) -> list[str]:
    """Write the files that `notebook` names into `folder`, beside a copy of it; return those that are missing.

    Raises CourseError where something else is in the place of one.
    """
    files = beside(lecture, notebook)
    for name, content in files.items():
        path = folder / name
        check_place(path)
        if content is not None and not (path.exists() and path.read_bytes() == content):
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)
    return [name for name, content in files.items() if content is None]
