"""The code of `lib` that lectures print: what is stored must be what stands in `lib` now."""

import ast
import io
from contextlib import redirect_stdout

import pytest

from lib.lectures.notebooks import all_notebooks, load


def printed(lecture):
    """(cell id, what it prints of a source now, what is stored) for each such statement of a lecture."""
    names = {}
    for cell in load(lecture).cells:
        if cell.cell_type != "code":
            continue
        statements = ast.parse(cell.source).body
        shown = [each for each in statements if isinstance(each, ast.Expr) and "getsource" in ast.unparse(each)]
        for each in [line for line in statements if isinstance(line, ast.Import | ast.ImportFrom)] + shown:
            with redirect_stdout(io.StringIO()) as now:
                exec(ast.unparse(each), names)
            if each in shown:
                yield cell.id, now.getvalue(), "".join(output.get("text", "") for output in cell.outputs)


@pytest.mark.parametrize("lecture", all_notebooks(), ids=lambda path: path.stem)
def test_printed_sources_are_those_of_lib(lecture):
    for id, now, stored in printed(lecture):
        assert now.strip() and now in stored, f"{id} shows what `lib` once was; run: course refresh"


def test_some_are_printed():
    assert sum(len(list(printed(lecture))) for lecture in all_notebooks()) > 1
