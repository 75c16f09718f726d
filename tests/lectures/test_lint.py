"""Each rule of the linter: a notebook that breaks this rule and no other."""

import pytest
from nbformat import from_dict
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from lib.course.cli import main
from lib.exercises import Exercise, Misconception, case
from lib.exercises.engine import registry
from lib.lectures import lint
from lib.lectures.lint import exercises as rules
from lib.lectures.lint import plumbing, teaching
from tests.lectures import sample
from tests.lectures.sample import cell


def output(kind, **fields):
    return new_output(kind, **fields)


def stored(data, **metadata):
    return [output("display_data", data=data, metadata=metadata)]


def append(made, source, **metadata):
    """Add a code cell, executed last."""
    count = max(each.execution_count for each in made.cells if each.cell_type == "code") + 1
    made.cells.append(new_code_cell(source, id="added", execution_count=count, metadata=metadata))


def replace_source(name, source):
    return lambda made: cell(made, name).update(source=source)


def nbgrader_with(name, **changes):
    def change(made):
        cell(made, name).metadata["nbgrader"] |= changes

    return change


def drop_nbgrader_key(name, key):
    return lambda made: cell(made, name).metadata["nbgrader"].pop(key)


def duplicate_answer(made):
    """The same exercise a second time, check and all."""
    start = [each.id for each in made.cells].index("cell-4")
    for offset in (0, 1):
        copy = from_dict(made.cells[start + offset])
        copy.id = f"again-{offset}"
        made.cells.append(copy)
        copy.execution_count = 18 + offset


def move_check_away(made):
    """A cell between the solution and its check."""
    check = cell(made, "cell-5")
    made.cells.remove(check)
    made.cells.append(check)
    for count, code in enumerate((each for each in made.cells if each.cell_type == "code"), start=1):
        code.execution_count = count


def rename_exercise(id):
    """Answer and check are of another exercise, in all that names it."""

    def change(made):
        for name, end in (("cell-4", ""), ("cell-5", "-check")):
            found = cell(made, name)
            found.metadata["course"] = {"exercise": id}
            found.metadata["nbgrader"]["grade_id"] = id.replace(".", "-") + end
            found.source = found.source.replace("sample.double", id)

    return change


def exercise(id, known, **changes):
    """An exercise that knows so many misconceptions."""
    mistakes = tuple(Misconception(f"{n}", lambda x, n=n: x + n, f"Hint {n}.") for n in range(known))
    settings = {"misconceptions": mistakes, "hints": ("Add.",), "title": "Twice"} | changes
    return Exercise(id, ("C01",), 2, 5, lambda x: 2 * x, lambda g: [case("one", 1)], **settings)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """What lib knows of the exercises of the sample."""
    found = {"double": exercise("sample.double", 5), "few": exercise("sample.few", 4)}
    found |= {
        "untitled": exercise("sample.untitled", 5, title=""),
        "unhinted": exercise("sample.unhinted", 5, hints=()),
    }
    monkeypatch.setattr(registry, "modules", lambda: {"sample": "tests.lectures.sample"})
    monkeypatch.setattr(registry, "exercises_of", lambda module: {each.id: each for each in found.values()})


BREAKS = {
    "title: not first": ("title", lambda made: made.cells.insert(0, new_markdown_cell("Hello", id="hello"))),
    "title: code first": ("title", lambda made: made.cells.append(made.cells.pop(0))),
    "title: a second": ("title", lambda made: made.cells.append(new_markdown_cell("# Again", id="again"))),
    "heading skipped": ("heading-order", replace_source("section", "text")),
    "id twice": ("cell-id", lambda made: cell(made, "cell-9").update(id="cell-8")),
    "id by Jupyter": ("cell-id", lambda made: cell(made, "cell-9").update(id="3f2a9c1b")),
    "long id by Jupyter": (
        "cell-id", lambda made: cell(made, "cell-9").update(id="3f2a9c1b-12ab-34cd-56ef-0123456789ab"),
    ),
    "no parameters": ("parameters", lambda made: cell(made, "cell-0").metadata.update(tags=[])),
    "parameters twice": (
        "parameters", lambda made: cell(made, "cell-6").metadata.update(tags=["parameters"]),
    ),
    "papermill's metadata": ("metadata", lambda made: made.metadata.update(papermill={"duration": 3})),
    "kernel of one machine": ("metadata", lambda made: made.metadata["kernelspec"].update(name="my-env")),
    "version of Python": ("metadata", lambda made: made.metadata["language_info"].update(version="3.11.7")),
    "times of execution": ("metadata", lambda made: cell(made, "cell-1").metadata.update(execution={"a": 1})),
    "long cell": ("code-length", replace_source("cell-6", "\n".join(["x = 1"] * 41))),
    "path in code": ("absolute-path", replace_source("cell-6", "open('/home/me/data.csv')")),
    "path in text": ("absolute-path", replace_source("part", "see C:\\data\\x.csv")),
    "import requests": ("network", replace_source("cell-6", "import requests")),
    "urllib.request": ("network", replace_source("cell-6", "from urllib import request")),
    "pip install": ("network", replace_source("cell-6", "%pip install torch")),
    "from_pretrained of a hub": (
        "network", replace_source("cell-6", "AutoModel.from_pretrained('bert-base')"),
    ),
    "load_dataset": ("network", replace_source("cell-6", "datasets.load_dataset(name)")),
    "not Python": ("syntax", replace_source("cell-6", "def f(:")),
    "picture in text": ("picture-in-text", replace_source("part", "### P\n![](picture.png)")),
    "html picture in text": ("picture-in-text", replace_source("part", '### P\n<img src="a.png">')),
    "never executed": ("fresh-run", lambda made: cell(made, "cell-6").update(execution_count=None)),
    "executed out of order": ("fresh-run", lambda made: cell(made, "cell-6").update(execution_count=40)),
    "error stored": ("error-output", lambda made: cell(made, "cell-3").metadata.update(tags=[])),
    "deliberate error that is none": ("error-output", lambda made: cell(made, "cell-3").update(outputs=[])),
    "stderr": (
        "stderr",
        lambda made: cell(made, "cell-6").update(outputs=[output("stream", name="stderr", text="warning")]),
    ),
    "picture without alt": (
        "alt-text", lambda made: cell(made, "cell-2").update(outputs=stored({"image/png": "aGk="})),
    ),
    "picture with blank alt": (
        "alt-text",
        lambda made: cell(made, "cell-2").update(
            outputs=stored({"image/png": "aGk="}, **{"image/png": {"alt": " "}})
        ),
    ),
    "alt in the metadata alone": (
        "alt-text",
        lambda made: cell(made, "cell-2").outputs[0].data.pop("text/html"),
    ),
    "another alt on the page": (
        "alt-text",
        lambda made: cell(made, "cell-2").outputs[0].metadata["image/png"].update(alt="a line that falls"),
    ),
    "picture in HTML without alt": (
        "alt-text", lambda made: cell(made, "cell-2").update(outputs=stored({"text/html": '<p><IMG src="x.png"></p>'})),
    ),
    "widget state": ("widget", lambda made: made.metadata.update(widgets={})),
    "widget output": (
        "widget",
        lambda made: cell(made, "cell-2").update(
            outputs=stored({"application/vnd.jupyter.widget-view+json": {"model_id": "1"}})
        ),
    ),
    "address in an output": (
        "machine-text",
        lambda made: cell(made, "cell-6").update(
            outputs=[output("stream", name="stdout", text="<object at 0x7f12a3b4c5d0>")]
        ),
    ),
    "path in a stored error": (
        "machine-text",
        lambda made: cell(made, "cell-6").update(
            metadata={"tags": ["raises-exception"]},
            outputs=[output("error", ename="E", evalue="x", traceback=["File /home/x/y.py, line 1", "E: x"])],
        ),
    ),
    "path in an output": (
        "machine-text",
        lambda made: cell(made, "cell-6").update(outputs=stored({"text/plain": "PosixPath('/home/x')"})),
    ),
    "nbgrader: old schema": ("nbgrader", nbgrader_with("cell-4", schema_version=2)),
    "nbgrader: flag": ("nbgrader", drop_nbgrader_key("cell-4", "task")),
    "nbgrader: no points": ("nbgrader", drop_nbgrader_key("cell-5", "points")),
    "nbgrader: negative points": ("nbgrader", nbgrader_with("cell-5", points=-1)),
    "nbgrader: unknown key": ("nbgrader", nbgrader_with("cell-5", colour="red")),
    "nbgrader: one id twice": ("nbgrader", duplicate_answer),
    "solution without end": (
        "solution", replace_source("cell-4", "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x"),
    ),
    "solution without marks": ("solution", replace_source("cell-4", "def double(x):\n    return 2 * x")),
    "solution elsewhere": (
        "solution", lambda made: append(made, "### BEGIN SOLUTION\nx = 1\n### END SOLUTION"),
    ),
    "exercise without name": ("exercise", lambda made: cell(made, "cell-4").metadata.pop("course")),
    "exercise: other grade_id": ("exercise", nbgrader_with("cell-4", grade_id="something-else")),
    "exercise: check of another": (
        "exercise", lambda made: cell(made, "cell-5").metadata.update(course={"exercise": "sample.triple"}),
    ),
    "exercise: check's grade_id": ("exercise", nbgrader_with("cell-5", grade_id="something-else")),
    "exercise: check calls another": ("exercise", replace_source("cell-5", 'check("sample.triple", double)')),
    "exercise: no check follows": ("exercise", move_check_away),
    "exercise: check alone": (
        "exercise",
        lambda made: append(made, "check('a.b', f)", nbgrader=sample.nbgrader("a-b-check", grade=True)),
    ),
    "four misconceptions": ("misconceptions", rename_exercise("sample.few")),
    "no title": ("misconceptions", rename_exercise("sample.untitled")),
    "no hint": ("misconceptions", rename_exercise("sample.unhinted")),
    "no exercise of lib": ("misconceptions", rename_exercise("sample.none")),
    "left to fill in": ("placeholder", replace_source("part", "### P\nFILL IN: what to notice")),
}  # fmt: skip


def test_a_clean_notebook_has_no_findings():
    assert lint.lint(sample.clean(), "sample") == []


@pytest.mark.parametrize("breakage", BREAKS)
def test_a_broken_rule_is_found_and_no_other(breakage):
    rule, break_it = BREAKS[breakage]
    made = sample.clean()
    break_it(made)
    assert {finding.rule for finding in lint.lint(made, "sample")} == {rule}


def test_what_is_missing_is_told_in_words():
    for id, words in {
        "sample.few": "sample.few knows 4 misconceptions, at least 5 are asked",
        "sample.untitled": "sample.untitled has no title",
        "sample.unhinted": "sample.unhinted has no hints",
        "sample.dubble": "there is no exercise 'sample.dubble'; did you mean sample.double",
    }.items():
        made = sample.clean()
        rename_exercise(id)(made)
        assert str(lint.lint(made, "x")[0]).startswith(f"x:cell-4: misconceptions: {words}")


def test_a_module_that_cannot_be_imported_is_one_finding(monkeypatch):
    monkeypatch.setattr(registry, "exercises_of", lambda module: 1 / 0)
    (finding,) = lint.lint(sample.clean(), "x")
    assert finding.message == "sample.double: ZeroDivisionError: division by zero"


def test_what_is_left_to_fill_in_in_the_module_is_named_with_its_line(tmp_path, monkeypatch):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "words.py").write_text("x = 1\n    title='FILL IN: a title',\n")
    monkeypatch.setattr(rules, "ROOT", tmp_path)
    monkeypatch.setattr(registry, "modules", lambda: {"sample": "lib.words"})
    (finding,) = lint.lint(sample.clean(), "x")
    assert str(finding) == "x:cell-4: placeholder: lib/words.py:2: title='FILL IN: a title',"


def test_every_rule_has_a_notebook_that_breaks_it():
    second = {*plumbing.RULES, *teaching.RULES}  # in test_lint_second_edition.py
    assert {rule for rule, _ in BREAKS.values()} | lint.WARNINGS | second == set(lint.RULES)


@pytest.mark.parametrize("size, found", [(19, True), (20, False), (45, False), (46, True)])
def test_the_number_of_cells_is_advice(size, found):
    made = sample.clean()
    del made.cells[size:]
    made.cells += [new_markdown_cell("text", id=f"text-{number}") for number in range(size - len(made.cells))]
    findings = lint.lint(made, "sample")
    assert [finding.rule for finding in findings] == ["cell-count"] * found
    assert all(finding.warning for finding in findings)


def test_the_command_prints_one_line_a_finding_and_fails(tmp_path, capsys):
    made = sample.clean()
    cell(made, "cell-6").source = "import requests"
    path = sample.save(tmp_path / "broken.ipynb", made)
    assert main(["lint", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "broken:cell-6: network: requests needs the network",
        "1 notebooks, 1 errors, 0 warnings",
    ]


def test_a_warning_does_not_fail(tmp_path, capsys):
    made = sample.clean()
    del made.cells[19:]
    assert main(["lint", str(sample.save(tmp_path / "short.ipynb", made))]) == 0
    assert "cell-count: warning: 19 cells" in capsys.readouterr().out


def test_a_file_that_is_no_notebook_is_a_finding_and_the_others_are_read(tmp_path, capsys):
    (tmp_path / "corrupt.ipynb").write_text('{"cells": [')
    good = sample.save(tmp_path / "good.ipynb", sample.clean())
    assert main(["lint", str(tmp_path / "corrupt.ipynb"), str(good)]) == 1
    out = capsys.readouterr().out
    assert "corrupt:-: readable: corrupt.ipynb is not a notebook: not JSON" in out
    assert "2 notebooks, 1 errors, 0 warnings" in out
