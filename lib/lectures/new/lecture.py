"""`course new lecture`: a notebook in the order that every lecture has, and that runs, with a first drawing."""

import re
from pathlib import Path

from lib import NOTEBOOKS
from lib.errors import CourseError, UsageError
from lib.lectures.lint.second_edition import EDITION
from lib.lectures.new.files import write_all
from lib.lectures.new.lecture_parts import DRAWING, parts
from lib.lectures.notebooks import all_notebooks, text_of
from lib.lectures.renamed import RENAMED
from lib.lectures.stored_outputs import KERNELSPEC


def new_lecture(name: str, notebooks: Path = NOTEBOOKS) -> Path:
    """Write the lecture `name`, like 05_bert_fine_tuning, with a drawing in figures/, and return its notebook.

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
    drawing = f"{name[:2]}_mechanism.svg"
    write_all({notebooks / "figures" / drawing: DRAWING, path: _notebook_text(name, drawing)})
    return path


def _notebook_text(name: str, drawing: str) -> str:
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    make = {"code": new_code_cell, "markdown": new_markdown_cell}
    room = re.sub(r"^\d+_?", "", name[3:]) or "lecture"  # an id begins with a letter
    listed = parts(room, name[:2], drawing)
    cells = [make[kind](source, id=id, metadata=metadata) for id, kind, source, metadata in listed]
    metadata = {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}, "course": {"edition": EDITION}}
    return text_of(new_notebook(cells=cells, metadata=metadata))
