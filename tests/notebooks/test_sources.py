"""The code of `lib` that lectures print: what is stored must be what stands in `lib` now, so nbval compares it."""

import pytest

from lib.lectures.notebooks import all_notebooks, load, tags

LECTURES = {path.stem: load(path) for path in all_notebooks()}
COMPARED = "nbval-check-output"


def printing(lecture):
    """The visible code cells that read a source of `lib` and print."""
    for cell in LECTURES[lecture].cells:
        reads = "getsource" in cell.source or "find_spec" in cell.source
        if cell.cell_type == "code" and reads and "print(" in cell.source and "hide-input" not in tags(cell):
            yield cell


@pytest.mark.parametrize("lecture", LECTURES)
def test_printed_sources_are_those_of_lib(lecture):
    for cell in printing(lecture):
        assert COMPARED in tags(cell), f"{lecture}, cell {cell.id}: tag it {COMPARED}"
        assert any("def " in output.get("text", "") for output in cell.outputs), "a function is printed"


def test_some_are_printed():
    assert sum(len(list(printing(lecture))) for lecture in LECTURES) > 1
