"""`course new lecture`: a notebook in the order that every lecture has, and that runs."""

import re
from pathlib import Path

from lib import NOTEBOOKS
from lib.errors import CourseError, UsageError
from lib.lectures.new import templates
from lib.lectures.new.files import write_all
from lib.lectures.notebooks import all_notebooks, text_of
from lib.lectures.renamed import RENAMED
from lib.lectures.stored_outputs import KERNELSPEC


def new_lecture(name: str, notebooks: Path = NOTEBOOKS) -> Path:
    """Write the lecture `name`, like 05_bert_fine_tuning, and return its notebook.

    Raises CourseError, and changes nothing, for a name that cannot be one, was one of another lecture, or has a number
    that is taken.
    """
    if not re.fullmatch(r"[0-9]{2}_[a-z0-9]+(_[a-z0-9]+)*", name):
        raise UsageError(f"a lecture is called by two digits and words, like 05_bert_fine_tuning, got {name!r}")
    if name in RENAMED:
        raise CourseError(f"{name} was the name of {RENAMED[name]}, and people have files under it: choose another")
    taken = [path.stem for path in all_notebooks(notebooks) if path.name[:2] == name[:2]]
    if taken:
        raise CourseError(f"lecture {name[:2]} is {taken[0]}: choose another number")
    path = notebooks / f"{name}.ipynb"
    write_all({path: _notebook_text()})
    return path


def _notebook_text() -> str:
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    make = {"code": new_code_cell, "markdown": new_markdown_cell}
    cells = [make[kind](source, id=id) for id, kind, source in templates.LECTURE]
    cells[1].metadata["tags"] = ["parameters"]
    return text_of(new_notebook(cells=cells, metadata={"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}))
