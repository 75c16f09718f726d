"""Small notebooks for tests: one that breaks no rule, and pieces to break one with."""

import json
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lib.lectures.stored_outputs import KERNELSPEC
from lib.plots.figure import as_stored


def nbgrader(grade_id: str, *, grade: bool) -> dict:
    """nbgrader's metadata of a solution cell or, with `grade`, of a check cell."""
    meta = {"grade": grade, "solution": not grade, "locked": grade, "task": False, "schema_version": 3}
    return meta | {"grade_id": grade_id} | ({"points": 2} if grade else {})


def notebook(*sources: str | tuple[str, str]) -> NotebookNode:
    """A notebook of code cells `cell-0`, `cell-1`, …; a pair is a source and its tag."""
    cells = [new_markdown_cell("# A title", id="title")]
    for number, source in enumerate(sources):
        source, tag = source if isinstance(source, tuple) else (source, None)
        metadata = {"tags": [tag]} if tag else {}
        cells.append(new_code_cell(source, id=f"cell-{number}", metadata=metadata))
    return new_notebook(cells=cells, metadata={"kernelspec": KERNELSPEC, "language_info": {"name": "python"}})


def picture(alt: str) -> NotebookNode:
    """The output of a cell that shows a picture."""
    return new_output("display_data", data=as_stored(b"hi", alt), metadata={"image/png": {"alt": alt}})


def clean() -> NotebookNode:
    """20 cells with headings, a picture, a deliberate error and an exercise, that break no rule."""
    answer = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
    course = {"course": {"exercise": "sample.double"}}
    made = notebook(
        ("steps = 3", "parameters"), "print(steps)", "figure", ("1 / 0", "raises-exception"), answer,
        'check("sample.double", double)', *["x = 1"] * 11,
    )  # fmt: skip
    made.cells[1:1] = [
        new_markdown_cell("## A section\n\n```\n# no heading\n```\n![alt text](picture.png)", id="section"),
        new_markdown_cell("### A part of it\nSee https://example.org/home/page", id="part"),
    ]
    cell(made, "cell-1").outputs = [new_output("stream", name="stdout", text="3\n")]
    cell(made, "cell-2").outputs = [picture("a line that rises")]
    cell(made, "cell-3").outputs = [new_output("error", ename="ZeroDivisionError", evalue="", traceback=[])]
    cell(made, "cell-4").metadata = NotebookNode(nbgrader=nbgrader("sample-double", grade=False), **course)
    cell(made, "cell-5").metadata = NotebookNode(nbgrader=nbgrader("sample-double-check", grade=True), **course)
    for count, code in enumerate((each for each in made.cells if each.cell_type == "code"), start=1):
        code.execution_count = count
    return made


def cell(made: NotebookNode, name: str) -> NotebookNode:
    """The cell with this id."""
    return next(each for each in made.cells if each.id == name)


def save(path: Path, made: NotebookNode) -> Path:
    """Write a notebook as plain JSON, without nbformat's repairs."""
    path.write_text(json.dumps(made), encoding="utf-8")
    return path
