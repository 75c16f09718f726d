"""Student editions: nothing leaks, everything runs, nobody's work is lost."""

import json
import os
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lib import NOTEBOOKS, ROOT
from lib.course import student
from lib.errors import CourseError, UsageError
from lib.grading import validate as validating
from lib.lectures import work_folder
from lib.lectures.edition import STUB, is_check, student_edition
from lib.lectures.notebooks import all_notebooks, load, text_of
from lib.lectures.work_folder import MANIFEST, cells_hash, write_editions
from tests.lectures.differing import (
    code_cells,
    differing,
    failures,
    import_what_it_imports,
    names_changed,
    names_read,
    with_what_they_need,
)

SET_UP = """
from lib.exercises import Exercise, case, check
from lib.exercises.engine import registry
demos = {
    "demo.double": Exercise("demo.double", ("C01",), 1, 1, lambda x: 2 * x, lambda g: [case("one", 1)]),
    "demo.year": Exercise("demo.year", ("C01",), 1, 1, 2018),
}
registry.modules = lambda: {"demo": "demo"}
registry.exercises_of = lambda module: demos
"""

DOUBLE = '''def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    secret_of_doubling = x + x
    return secret_of_doubling
    ### END SOLUTION'''

YEAR = "### BEGIN SOLUTION\npublished_in = 2018\n### END SOLUTION"


def code(id, source, solution=None, grade=None):
    metadata = {}
    if solution or grade:
        metadata = {"nbgrader": {"grade": bool(grade), "solution": bool(solution), "grade_id": id}, "keep": 1}
    return new_code_cell(source, id=id, metadata=metadata)


def example(**replaced):
    """A notebook with two exercises, solved and executed."""
    sources = {"double": DOUBLE, "year": YEAR} | replaced
    cells = [
        new_markdown_cell("# Twice", id="title"),
        code("set-up", SET_UP),
        code("double", sources["double"], solution=True),
        code("double-check", 'check("demo.double", double)', grade=True),
        code("year", sources["year"], solution=True),
        code("year-check", 'check("demo.year", published_in)', grade=True),
        code("end", "reached = 'the end'\nreached"),
    ]
    leak = new_output("execute_result", {"text/plain": "secret_of_doubling"}, execution_count=3)
    cells[-1].outputs, cells[-1].execution_count = [leak], 3
    return new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


@pytest.fixture
def source(tmp_path):
    """The example as a file among the sources; `source.write_text(text_of(...))` makes a newer one."""
    path = tmp_path / "sources" / "77_example.ipynb"
    path.parent.mkdir()
    path.write_text(text_of(example()))
    return path


def solution_lines(notebook):
    """Every line of every solution that is long enough to tell something, without its spaces."""
    for cell in notebook.cells:
        inside = False
        for line in map(str.strip, cell.source.split("\n")):
            inside = (inside or line.endswith("BEGIN SOLUTION")) and not line.endswith("END SOLUTION")
            if inside and len(line) > 15 and not line.startswith("### BEGIN"):
                yield line


def run_all(notebook, folder):
    """Execute as Jupyter's Run All does and return the ids of the cells that fail."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    client.execute(env=environment)
    failing = [c for c in notebook.cells if any(o.output_type == "error" for o in c.get("outputs", []))]
    return {cell.id: cell.outputs for cell in failing}


def test_stubs_stand_where_solutions_stood():
    cells = {cell.id: cell for cell in student_edition(example(), "example").cells}
    assert cells["double"].source == f'def double(x):\n    """Twice x."""\n    {STUB}'
    assert cells["year"].source == "published_in = ...  # write your answer here"
    assert cells["double-check"].metadata.tags == ["raises-exception"]
    assert "tags" not in cells["end"].metadata and cells["end"].outputs == []
    assert cells["double"].metadata["keep"] == 1 and cells["double"].metadata["nbgrader"]["solution"]
    again = student_edition(example(), "example")
    assert text_of(again) == text_of(student_edition(example(), "example")), "the same bytes every time"


def test_stored_widgets_are_outputs_too():
    notebook = example()
    notebook.metadata["widgets"] = {"state": "published_in = 2018"}
    assert list(student_edition(notebook, "example").metadata) == ["kernelspec"]


def test_the_solved_notebook_is_left_as_it_is():
    notebook = example()
    before = text_of(notebook)
    student_edition(notebook, "example")
    assert text_of(notebook) == before


def test_whole_definitions_and_several_names():
    body = "import math\ndef f(x: int, *, y=1):\n    'Doc.'\n    return 1\nclass C:\n    x = 3\na, b = 1, 2"
    block = f"### BEGIN SOLUTION\n{body}\n### END SOLUTION\nprint(a)"
    edition = student_edition(example(year=block), "example")
    assert edition.cells[4].source.split("\n") == [
        "def f(x: int, *, y=1):", '    """Doc."""', "    " + STUB, "class C:", "    ...",
        "a = ...  # write your answer here", "b = ...  # write your answer here", "print(a)",
    ]  # fmt: skip


def test_a_statement_without_a_name_may_fail_itself():
    edition = student_edition(example(year="### BEGIN SOLUTION\nprint(2018)\n### END SOLUTION"), "example")
    assert edition.cells[4].source == STUB and edition.cells[4].metadata.tags == ["raises-exception"]


def test_tags_of_a_cell_stay_and_its_numbers_go():
    notebook = example()
    for cell in notebook.cells[2:5]:
        cell.metadata["tags"], cell.execution_count = ["raises-exception", "hide-input", "seeds"], 7
    double, check_cell, year = student_edition(notebook, "example").cells[2:5]
    assert check_cell.metadata.tags == ["hide-input", "seeds", "raises-exception"]
    assert double.metadata.tags == year.metadata.tags == ["raises-exception", "hide-input", "seeds"]
    assert [cell.execution_count for cell in (double, check_cell, year)] == [None] * 3


def test_two_blocks_in_one_cell():
    two = DOUBLE + "\n\n" + DOUBLE.replace("double", "twice")
    stub = f'def double(x):\n    """Twice x."""\n    {STUB}'
    edition = student_edition(example(double=two), "example")
    assert edition.cells[2].source == stub + "\n\n" + stub.replace("double", "twice")


@pytest.mark.parametrize(
    "broken, words",
    [
        (DOUBLE.replace("    ### END SOLUTION", ""), "has no '### END SOLUTION'"),
        (DOUBLE.replace("    ### BEGIN SOLUTION\n", ""), "no solution has begun"),
        (DOUBLE.replace("    return", "    ### BEGIN SOLUTION\n    return"), "inside another solution"),
        (DOUBLE.replace("### BEGIN", "# ### BEGIN"), "is not exactly"),
        (DOUBLE.replace("### END", "### end"), "is not exactly"),
        ("def double(x):\n    return 2 * x", "marked as a solution"),
        ("### BEGIN SOLUTION\nx = = 1\n### END SOLUTION", "not valid Python"),
    ],
)
def test_broken_blocks_are_named_with_their_cell(broken, words, source):
    source.write_text(text_of(example(double=broken)))
    with pytest.raises(CourseError, match=r"77_example.ipynb, cell 3 \(double\)") as caught:
        write_editions([source], source.parent.parent / "work")
    assert words in str(caught.value) and not (source.parent.parent / "work").exists()


def test_solution_in_a_text_cell_is_refused():
    notebook = example()
    notebook.cells[0].source = "### BEGIN SOLUTION\nIt is 7.\n### END SOLUTION"
    with pytest.raises(CourseError, match="line 1 is not exactly '<!-- BEGIN SOLUTION -->'"):
        student_edition(notebook, "example")
    notebook.cells[0].source = "<!-- BEGIN SOLUTION -->\nIt is 7.\n<!-- END SOLUTION -->"
    with pytest.raises(CourseError, match="in a markdown cell that is not a written answer"):
        student_edition(notebook, "example")


def test_pictures_of_the_model_answer_go_and_those_of_the_question_stay():
    notebook = example()
    cell = notebook.cells[0]
    cell.source = (
        "See ![](attachment:asked.png)\n<!-- BEGIN SOLUTION -->\n![](attachment:answer.png)\n<!-- END SOLUTION -->"
    )
    cell.metadata["nbgrader"] = {"grade": True, "solution": True, "grade_id": "w", "points": 1, "schema_version": 3}
    cell.attachments = {name: {"image/png": "aGk="} for name in ("asked.png", "answer.png")}
    edition = student_edition(notebook, "example")
    assert list(edition.cells[0].attachments) == ["asked.png"] and len(cell.attachments) == 2


def test_a_written_answer_may_be_code():
    plot = "### BEGIN SOLUTION\nplt.plot(secret)\n### END SOLUTION"
    notebook = example(year=plot)
    notebook.cells[4].metadata["nbgrader"]["grade"] = True
    edition = student_edition(notebook, "example")
    assert edition.cells[4].source == STUB and edition.cells[4].metadata.tags == ["raises-exception"]


def named(notebook):
    """The example with its exercises named in the metadata, as in a lecture."""
    for cell in notebook.cells:
        if "nbgrader" in cell.metadata:
            cell.metadata["course"] = {"exercise": f"demo.{cell.id.removesuffix('-check')}"}
            cell.metadata["nbgrader"]["points"] = 2
    return notebook


def test_the_last_cell_says_what_the_grader_will_find():
    edition = student_edition(named(example()), "77_example.ipynb")
    heading, last = edition.cells[-2:]
    assert heading.source.startswith("## Before you hand in") and heading.cell_type == "markdown"
    assert last.source.endswith('validate("77_example.ipynb")') and not last.metadata
    asked = [{"exercise": f"demo.{name}", "points": 2} for name in ("double", "year")]
    assert edition.metadata["course"] == {"notebook": "77_example.ipynb", "asked": asked}
    nbformat.validate(edition)


def test_ids_of_the_last_cells_are_their_own():
    notebook = named(example())
    notebook.cells[0].id, notebook.cells[1].id = "before-you-hand-in", "before-you-hand-in-again-run"
    ids = [cell.id for cell in student_edition(notebook, "example").cells]
    assert len(set(ids)) == len(ids) and ids[-2:] == [
        "before-you-hand-in-again-again", "before-you-hand-in-again-again-run",
    ]  # fmt: skip


def test_a_notebook_without_exercises_has_no_such_cell():
    notebook = new_notebook(cells=[new_markdown_cell("# Reading", id="title")])
    assert student_edition(notebook, "reading") == notebook


def test_run_all_reaches_the_end_and_only_checks_fail(tmp_path):
    edition = student_edition(example(), "example")
    failing = run_all(edition, tmp_path)
    assert set(failing) == {"double-check", "year-check"}
    for outputs in failing.values():
        assert outputs[0].ename == "WrongAnswer" and "not written yet" in outputs[0].evalue
        assert "engine.py" not in "".join(outputs[0].traceback)
    assert "the end" in edition.cells[-1].outputs[0].data["text/plain"]


def test_no_solution_leaks(source, tmp_path):
    written = write_editions([source], tmp_path / "work")[0].path.read_text()
    lines = list(solution_lines(example()))
    assert lines == ["secret_of_doubling = x + x", "return secret_of_doubling", "published_in = 2018"]
    assert not [line for line in lines if line in written]
    assert "secret_of_doubling" not in written and "SOLUTION" not in written


LECTURES = all_notebooks(NOTEBOOKS)


def test_an_edition_says_what_an_answer_may_use():
    heading = student_edition(load(NOTEBOOKS / "04_mlm_masking.ipynb"), "04_mlm_masking.ipynb").cells[-2].source
    assert (
        "all of PyTorch (`torch.softmax` and the losses too) and `lib`, unless the exercise says otherwise" in heading
    )
    listed = [line for line in heading.split("\n") if line.startswith("* ")]
    assert listed == [
        "* `mlm.mask_tokens`: `lib.text.masking.mask_tokens`, `lib.training.recipes.mlm_sampler`",
        "* `mlm.loss`: `lib.kernels.loss.cross_entropy`, `lib.kernels.loss.plain_losses`, "
        "`lib.kernels.loss.plain_row_losses`, `lib.objectives.masked.mlm_loss`, `lib.training.recipes.masked_loss`",
    ]
    assert "raise an error" in heading and "._" not in heading


def test_an_edition_without_exercises_of_the_course_has_the_rule_alone():
    heading = student_edition(named(example()), "77_example.ipynb").cells[-2].source
    assert "all of PyTorch" in heading and "raise an error" not in heading and "{" not in heading


@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_no_solution_leaks_from_any_lecture(path):
    solved = load(path)
    edition = student_edition(solved, path.name)
    sources = [cell.source for cell in edition.cells]
    everything = "\n".join([*sources, json.dumps(edition, ensure_ascii=False)])
    assert not [line for line in solution_lines(solved) if line in everything]


@pytest.fixture(scope="module", params=LECTURES, ids=lambda path: path.stem)
def both(request):
    """A lecture and its student edition."""
    lecture = load(request.param)
    return lecture, student_edition(lecture, request.param.name)


def cells_that_may_fail(edition):
    """The checks of an edition, and the ids of all of its cells that are allowed to fail."""
    checks = {cell.id for cell in edition.cells if is_check(cell)}
    return checks, {cell.id for cell in edition.cells if "raises-exception" in cell.metadata.get("tags", [])}


AT_WORK = {"built-run", "bigram-run", "verdict-test"}
"""Cells that put the reader's answers to work, and say so where these are missing or wrong."""


def test_only_its_check_reads_an_answer(both):
    """So every other cell does in an edition what it does in the lecture, which is a test of its own."""
    lecture, edition = both
    new = {cell.id for cell in differing(lecture, edition)}
    solutions = [cell for cell in code_cells(lecture) if cell.metadata.get("nbgrader", {}).get("solution")]
    asked = set().union(*map(names_changed, solutions))
    assert asked and new
    readers = {cell.id: names_read(cell) & asked for cell in code_cells(lecture) if cell.id not in new}
    assert not {id: names for id, names in readers.items() if names and id not in AT_WORK}


def test_what_an_edition_has_of_its_own_runs_and_only_checks_fail(both, tmp_path):
    lecture, edition = both
    import_what_it_imports(lecture)
    chosen = with_what_they_need(differing(lecture, edition), edition)
    checks, may_fail = cells_that_may_fail(edition)
    failing = failures(chosen, tmp_path)
    assert checks and checks <= set(failing) <= may_fail, failing
    assert all(failing[id].startswith("WrongAnswer") and "not written yet" in failing[id] for id in checks)


@pytest.mark.nightly
def test_run_all_reaches_the_end_of_every_lecture(both, tmp_path):
    _, edition = both
    checks, may_fail = cells_that_may_fail(edition)
    assert checks and checks <= set(run_all(edition, tmp_path)) <= may_fail


def actions(paths, out):
    return [written.action for written in write_editions(paths, out)]


def newer(source):
    """The course goes on: the same notebook with another title."""
    notebook = example()
    notebook.cells[0].source = "# Twice, again"
    source.write_text(text_of(notebook))


def test_untouched_is_replaced_by_a_newer_edition(source, tmp_path):
    out = tmp_path / "deep" / "work"
    assert actions([source], out) == ["created"]
    assert actions([source], out) == ["unchanged"]
    newer(source)
    assert actions([source], out) == ["updated"]
    assert "again" in (out / source.name).read_text()
    assert sorted(p.name for p in out.iterdir() if p.suffix == ".ipynb") == [source.name]


def test_touched_is_never_lost(source, tmp_path):
    out = tmp_path / "work"
    write_editions([source], out)
    mine = out / source.name
    mine.write_text(mine.read_text().replace(STUB.replace('"', '\\"'), "return 2 * x"))
    work = mine.read_bytes()
    assert b"return 2 * x" in work
    assert actions([source], out) == ["kept"]
    newer(source)
    (written,) = write_editions([source], out)
    assert written.action == "beside" and "your notebook is not changed" in str(written)
    assert mine.read_bytes() == work and "again" in written.path.read_text()
    written.path.write_text("worked in too")
    assert actions([source], out) == ["beside"] and written.path.read_text() == "worked in too"
    assert mine.read_bytes() == work


def opened_in_lab(path):
    """What JupyterLab does to a notebook that is only opened and saved: metadata, form and order of keys."""
    notebook = json.loads(path.read_text())
    notebook["metadata"] |= {
        "language_info": {"name": "python", "version": "3.11.5", "codemirror_mode": {"name": "ipython", "version": 3}},
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    }
    notebook["nbformat_minor"] = 5
    for cell in notebook["cells"]:
        cell["metadata"] |= {
            "editable": True,
            "slideshow": {"slide_type": ""},
            "tags": cell["metadata"].get("tags", []),
        }
        cell["source"] = "".join(cell["source"]).splitlines(keepends=True)
    path.write_text(json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False))


def change_cell(path, number, **changes):
    notebook = json.loads(path.read_text())
    notebook["cells"][number] |= changes
    path.write_text(json.dumps(notebook, indent=1))


def test_opening_is_not_touching(source, tmp_path):
    out = tmp_path / "work"
    write_editions([source], out)
    mine = out / source.name
    before = mine.read_bytes()
    opened_in_lab(mine)
    saved = mine.read_bytes()
    assert saved != before
    assert actions([source], out) == ["unchanged"] and mine.read_bytes() == saved, "an open file is left alone"
    newer(source)
    assert actions([source], out) == ["updated"]
    assert "again" in mine.read_text() and not list(out.glob("*.new-*"))


@pytest.mark.parametrize(
    "number, changes",
    [
        (2, {"source": "def double(x):\n    return 2 * x"}),
        (0, {"source": "# Twice\n\na note of mine"}),
        (6, {"outputs": [{"output_type": "stream", "name": "stdout", "text": "ran"}]}),
        (0, {"attachments": {"a.png": {"image/png": "aGk="}}}),
        (0, {"cell_type": "raw"}),
    ],
)
def test_whatever_a_person_does_to_a_cell_is_touching(source, tmp_path, number, changes):
    out = tmp_path / "work"
    write_editions([source], out)
    opened_in_lab(out / source.name)
    change_cell(out / source.name, number, **changes)
    work = (out / source.name).read_bytes()
    assert actions([source], out) == ["kept"]
    newer(source)
    assert actions([source], out) == ["beside"] and (out / source.name).read_bytes() == work


@pytest.mark.parametrize("change", [list.reverse, list.pop, lambda cells: cells.append(dict(cells[0], source="mine"))])
def test_order_and_number_of_cells_count(source, tmp_path, change):
    out = tmp_path / "work"
    write_editions([source], out)
    notebook = json.loads((out / source.name).read_text())
    change(notebook["cells"])
    (out / source.name).write_text(json.dumps(notebook))
    assert actions([source], out) == ["kept"]


def test_an_empty_cell_and_other_ids_are_no_work(source, tmp_path):
    out = tmp_path / "work"
    write_editions([source], out)
    notebook = json.loads((out / source.name).read_text())
    notebook["cells"].append({"cell_type": "code", "id": "new", "metadata": {}, "source": [], "outputs": []})
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = f"other-{number}"
    (out / source.name).write_text(json.dumps(notebook))
    newer(source)
    assert actions([source], out) == ["updated"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"cells": 7}', b'{"cells": [7]}', b"\xff", b"[" * 100_000])
def test_what_is_no_notebook_is_the_students(source, tmp_path, content):
    assert cells_hash(content) == ""
    out = tmp_path / "work"
    write_editions([source], out)
    (out / source.name).write_bytes(content)
    newer(source)
    assert actions([source], out) == ["beside"] and (out / source.name).read_bytes() == content


def test_a_manifest_of_the_former_version_is_understood(source, tmp_path):
    out = tmp_path / "work"
    write_editions([source], out)
    manifest = json.loads((out / MANIFEST).read_text())
    del manifest["cells"]
    (out / MANIFEST).write_text(json.dumps(manifest))
    opened_in_lab(out / source.name)
    assert actions([source], out) == ["unchanged"], "its cells are those of the current edition"
    newer(source)
    assert actions([source], out) == ["updated"]


def test_a_change_of_metadata_alone_reaches_an_untouched_notebook(source, tmp_path):
    out = tmp_path / "work"
    write_editions([source], out)
    opened_in_lab(out / source.name)
    notebook = example()
    notebook.cells[3].metadata["course"] = {"exercise": "demo.double"}
    notebook.cells[3].metadata["nbgrader"]["points"] = 7
    source.write_text(text_of(notebook))
    assert actions([source], out) == ["updated"] and '"points": 7' in (out / source.name).read_text()


def test_the_edition_laid_beside_validates_itself(source, tmp_path, monkeypatch, capsys):
    source.write_text(text_of(named(example())))
    out = tmp_path / "work"
    write_editions([source], out)
    change_cell(out / source.name, 2, source="def double(x):\n    return x")
    notebook = named(example())
    notebook.cells[0].source = "# Twice, again"
    source.write_text(text_of(notebook))
    (written,) = write_editions([source], out)
    last = load(written.path).cells[-1].source
    assert last.endswith(f'validate("{written.path.name}")') and source.name not in last
    assert load(written.path).metadata.course["notebook"] == source.name
    # moved into place, it is the edition itself, and its last cell finds it
    written.path.rename(out / source.name)
    assert actions([source], out) == ["unchanged"]
    read = []
    monkeypatch.setattr(validating, "examine", lambda path, grader: read.append(path) or "seen")
    monkeypatch.chdir(out)
    exec(last, {})
    assert read == [Path(source.name)] and capsys.readouterr().out == "seen\n"


@pytest.mark.parametrize("there", [True, False])
def test_what_is_saved_while_an_edition_is_being_written_is_kept(source, tmp_path, monkeypatch, there):
    """The file is looked at again when the new one is complete, just before it takes its place."""
    out = tmp_path / "work"
    mine = out / source.name
    if there:
        write_editions([source], out)
        newer(source)
    complete = work_folder.atomic_path

    @contextmanager
    def saved_meanwhile(path):
        with complete(path) as beside:
            mine.write_text("saved from Jupyter")
            yield beside

    monkeypatch.setattr(work_folder, "atomic_path", saved_meanwhile)
    with pytest.raises(CourseError, match="it was kept. Run this again"):
        write_editions([source], out)
    assert mine.read_text() == "saved from Jupyter"


def test_moving_the_newer_edition_into_place_is_understood(source, tmp_path):
    out = tmp_path / "work"
    write_editions([source], out)
    (out / source.name).write_text("mine")
    newer(source)
    (written,) = write_editions([source], out)
    written.path.rename(out / source.name)
    assert actions([source], out) == ["unchanged"]


def test_a_file_that_was_there_before_is_the_students(source, tmp_path):
    out = tmp_path / "work"
    out.mkdir()
    (out / source.name).write_text("something of mine")
    assert actions([source], out) == ["beside"]
    assert (out / source.name).read_text() == "something of mine"


def test_deleted_is_made_again(source, tmp_path):
    out = tmp_path / "work"
    write_editions([source], out)
    (out / source.name).unlink()
    assert actions([source], out) == ["created"]


def test_saved_in_the_very_moment_is_kept(source, tmp_path, monkeypatch):
    out = tmp_path / "work"
    write_editions([source], out)
    newer(source)
    mine = out / source.name
    replace = work_folder._replace

    def saved_just_before(path, text, now):
        mine.write_text("saved from Jupyter")
        replace(path, text, now)

    monkeypatch.setattr(work_folder, "_replace", saved_just_before)
    with pytest.raises(CourseError, match="it was kept. Run this again"):
        write_editions([source], out)
    assert mine.read_text() == "saved from Jupyter" and not list(out.glob(".77*"))


def test_interrupted_before_the_manifest_was_written(source, tmp_path, monkeypatch):
    out = tmp_path / "work"
    with monkeypatch.context() as patch:
        patch.setattr(work_folder, "_write_manifest", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_editions([source], out)
    assert nbformat.read(out / source.name, as_version=4).cells
    assert actions([source], out) == ["unchanged"] and (out / MANIFEST).exists()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"editions": {"a": 1}}', '{"editions": []}', "\udcff"])
def test_corrupt_manifest_loses_nothing(text, source, tmp_path):
    out = tmp_path / "work"
    write_editions([source], out)
    (out / source.name).write_text("mine")
    (out / MANIFEST).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CourseError, match="Nothing was written. Delete it"):
        write_editions([source], out)
    assert (out / source.name).read_text() == "mine"


def test_bad_targets_and_sources(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match="is a file"):
        write_editions([source], tmp_path / "file")
    with pytest.raises(UsageError, match="contains the notebooks with solutions"):
        write_editions([source], source.parent)
    with pytest.raises(UsageError, match="contains the notebooks with solutions"):
        write_editions([source], NOTEBOOKS)
    (tmp_path / "work" / source.name).mkdir(parents=True)
    with pytest.raises(CourseError, match="is a folder"):
        write_editions([source], tmp_path / "work")
    source.write_text("{not json")
    with pytest.raises(CourseError, match="77_example.ipynb is not a notebook: not JSON"):
        write_editions([source], tmp_path / "elsewhere")


def test_command(source, tmp_path, capsys):
    import argparse

    parser = argparse.ArgumentParser()
    student.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["student", str(source), "--out", str(tmp_path / "work")])
    assert arguments.func(arguments) == 0
    assert capsys.readouterr().out == f"created   {tmp_path / 'work' / source.name}\n"
    assert parser.parse_args(["student"]).out == ROOT / "work"


@pytest.mark.parametrize("place", ["the lectures", "the sources", "a link to the sources", "the sources, by a detour"])
def test_the_folder_of_the_solutions_is_never_written(source, tmp_path, place):
    (tmp_path / "link").symlink_to(source.parent)
    out = {"the lectures": NOTEBOOKS, "the sources": source.parent, "a link to the sources": tmp_path / "link",
           "the sources, by a detour": source.parent / ".." / source.parent.name}[place]  # fmt: skip
    before = sorted(out.iterdir()), source.read_bytes()
    with pytest.raises(UsageError, match="contains the notebooks with solutions; choose another folder with --out"):
        write_editions([source], out)
    assert (sorted(out.iterdir()), source.read_bytes()) == before


def test_what_can_be_withheld_is_found_and_what_cannot_is_named(monkeypatch):
    from lib.lectures.allowed import find

    assert find("lib.objectives.masked.mlm_loss").__name__ == "mlm_loss"
    assert find("lib.models.attention.SelfAttention.forward").__qualname__ == "SelfAttention.forward"
    for name in (
        "lib.objectives.masked.none",
        "lib.no_room.function",
        "lib.models.attention.SelfAttention.none",
        "nothing",
    ):
        with pytest.raises(LookupError, match=f"lib has no '{name}' to withhold"):
            find(name)


def test_a_module_that_is_there_and_lacks_a_package_is_not_called_missing(monkeypatch):
    import importlib

    from lib.lectures import allowed

    def lacking(name):
        if name == "lib.objectives.masked":
            raise ModuleNotFoundError("No module named 'scipy'", name="scipy")
        return importlib.import_module(name)

    monkeypatch.setattr(allowed, "importlib", type("", (), {"import_module": staticmethod(lacking)}))
    with pytest.raises(ModuleNotFoundError, match="scipy"):
        allowed.find("lib.objectives.masked.mlm_loss")
