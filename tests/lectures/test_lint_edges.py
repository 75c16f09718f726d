"""Each rule of the linter at its edge: the last thing that it lets pass, and the first that it finds."""

import pytest
from nbformat import NotebookNode, from_dict
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from lib.lectures.lint import code, exercises, outputs, plumbing, structure, teaching
from tests.lectures import sample

IMAGE = {"image/svg+xml": "<svg/>"}


def of(*cells, **metadata):
    """A notebook of code cells (strings) and others, with ids 0, 1, …"""
    made = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    for number, cell in enumerate(made):
        cell["id"] = cell["id"] if "-" in cell["id"] else f"c{number}"
    return from_dict({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def text(source, **metadata):
    return new_markdown_cell(source, metadata=metadata)


def printed(*outputs, source="x", **metadata):
    return new_code_cell(source, outputs=list(outputs), metadata=metadata)


def stdout(text):
    return new_output("stream", name="stdout", text=text)


def shown(data, **metadata):
    return new_output("display_data", data=data, metadata=metadata)


def found(rule, notebook):
    """The numbers of the cells with a finding, each as often as it is found."""
    return [int(cell[1:]) if cell != "-" else "-" for cell, _ in rule(notebook)]


@pytest.mark.parametrize("rule, cells, expected", [
    (code.code_length, ["\n".join(["x"] * 40), "\n".join(["x"] * 41), text("\n".join(["x"] * 99)), "x\n" * 40], [1]),
    (code.absolute_path, [f"'/{top}/x'" for top in ("home", "root", "tmp", "Users", "usr", "var", "opt", "mnt")], [*range(8)]),
    (code.absolute_path, [f"'/{top}/x'" for top in ("srv", "etc", "work", "media")], [*range(4)]),
    (code.absolute_path, ["a/home/b", "x.com/home/b", "'/home'", "'/homes/x'", "~/opt/x", "D:\\x", text("in /opt/x")], [5, 6]),
    (code.network, ["import torch, requests", "from http import client", "from requests import get", "import urllib.parse"],
     [0, 1, 2]),
    (code.network, ["import socket as s, wget", "from urllib.request import urlopen\nurlopen(x)", "import http"], [0, 0, 1, 1]),
    (code.network, ["  !pip install x", "!wget x\n%conda y", "! git x", "!pipx x", "x = 1 # !pip", "!ls", "%uv pip"],
        [0, 1, 1, 2, 6]),
    (code.network, ["m.from_pretrained(path)", "m.from_pretrained()", "m.from_pretrained('x', y)", "urlretrieve(u)"], [2, 3]),
    (code.network, [text("import requests\n!pip install x")], []),
    (code.syntax, ["%%bash\nls (", "%x\n!y\nif z:\n    !w", "return (", new_code_cell("x y",
        metadata={"tags": ["raises-exception"]}),
                   new_code_cell("x y", metadata={"tags": ["parameters"]})], [2, 4]),
    (code.picture_in_text, [text('![a](b)<img alt="c" src="d">'), text('![ ](b)'), text('<img src="a" alt="">'),
                            text('<img alt="a" src="b"> <img src="c">![](d)'), "'![](x)'"], [1, 2, 3, 3]),
    (outputs.stderr, [printed(stdout("a"), new_output("stream", name="stderr", text="w")), printed(stdout("warning"))], [0]),
    (outputs.error_output, [
        printed(stdout("1"), new_output("error", ename="E", evalue="", traceback=[])),
        printed(stdout("1"), new_output("error", ename="E", evalue="", traceback=[]), tags=["raises-exception"]),
        printed(stdout("1"), tags=["raises-exception"]), printed(stdout("1")), text("x", tags=["raises-exception"]),
    ], [0, 2]),
    (outputs.alt_text, [
        printed(shown(IMAGE)), printed(shown(IMAGE, **{"image/svg+xml": {"alt": "a"}})),
        printed(shown(IMAGE | {"text/html": '<img alt="a"/>'}, **{"image/svg+xml": {"alt": "a"}})),
        printed(shown({"text/html": '<img alt="a"><img alt=" ">'})), printed(stdout("x"), shown(IMAGE)),
        printed(shown({"text/html": "<p>no picture</p>"})),
    ], [0, 1, 3, 4]),
    (outputs.machine_text, [
        printed(stdout("at 0x1234567")), printed(stdout("at 0x12345678")), printed(stdout("fine"), stdout("/opt/x")),
        printed(new_output("error", ename="E", evalue="", traceback=["a", "File /usr/lib/x"])),
        printed(shown({"image/png": "/opt/x", "text/html": '<img src="data:image/png;base64,/opt/x">'})),
        printed(shown({"image/svg+xml": "<a>/home/x</a>"})), printed(shown({"application/json": {"a": ["/opt/x"]}})),
        printed(stdout("/opt/x 0x123456789")), text("/opt/x"),
    ], [1, 2, 3, 5, 6, 7, 7]),
    (outputs.widget, [printed(stdout("a"), shown({"application/vnd.jupyter.widget-view+json": {}})), printed(shown({}))], [0]),
    (structure.title, [text("# A"), text("# B"), text("# C\n# D")], [1, 2, 2]),
    (structure.title, [text("#A")], [0]),
    (structure.title, ["# A"], [0]),
    (structure.title, [], ["-"]),
    (structure.heading_order, [text("## A"), text("### B\n#### C\n# D"), text("### E"), "##### F"], [2]),
    (structure.heading_order, [text("### A\n~~~\n###### B\n~~~\n#### C\n  ```\n# D\n  ```\n###### E")], [0]),
    (structure.parameters, [text("x", tags=["parameters"])], [0]),
    (structure.parameters, [], ["-"]),
    (structure.cell_count, ["x"] * 20, []),
])  # fmt: skip
def test_what_is_found_and_what_passes(rule, cells, expected):
    assert found(rule, of(*cells)) == expected


def test_only_the_first_cell_out_of_order_is_told_and_empty_ones_do_not_count():
    made = of(*[new_code_cell(source, execution_count=count) for source, count in
                (("x", 1), (" ", None), ("y", 2), ("z", 4), ("w", 9))])  # fmt: skip
    assert list(outputs.fresh_run(made)) == [("c3", "execution count 4, expected 3 (run: course refresh)")]


@pytest.mark.parametrize("id, problem", [
    ("3f2a9c1b", True), ("3f2a9c1b-12ab", True), ("3f2a9c1b-12ab-34cd-56ef-0123456789ab", True), ("3f2a9c1b-0123456789ab", True),
    ("3f2a9c1", False), ("3f2a9c1b-the-loss", False), ("loss-3f2a9c1b", False), ("deadbeef", True),
])  # fmt: skip
def test_ids_by_jupyter(id, problem):
    made = of("x")
    made.cells[0]["id"] = id
    assert bool(list(structure.cell_id(made))) is problem


def test_metadata_of_any_cell_and_of_the_notebook():
    fine = {"kernelspec": {"name": "python3"}, "language_info": {"name": "python"}}
    cells = lambda: [
        new_code_cell("x", metadata={"jupyter": {"source_hidden": True}}),
        text("x", slideshow={}),
        text("x"),
    ]  # noqa: E731
    assert found(structure.metadata, of(*cells(), **fine, course={"edition": 2}, widgets={})) == []
    made = of(*cells(), **fine, course={"edition": 1}, b=1, a=2)
    made.cells[1].metadata["trusted"] = True
    made.cells[2].metadata["jupyter"] = {"source_hidden": False}
    assert found(structure.metadata, made) == ["-", "-", "-", 1, 2]
    assert found(structure.metadata, of()) == ["-"]


@pytest.mark.parametrize("changes, problems", [
    ({"points": 0}, 0), ({"points": 0.5}, 0), ({"points": True}, 1), ({"points": "2"}, 1), ({"points": -0.5}, 1),
        ({"points": None}, 1),
    ({"points": None, "grade": False}, 0), ({"grade": 1}, 1), ({"locked": None, "solution": "no"}, 2), ({"grade_id": "a b"}, 1),
    ({"grade_id": "a-b_C9\n"}, 1), ({"grade_id": ""}, 1), ({"grade_id": "a-b_C9"}, 0), ({"schema_version": "3"}, 1),
    ({"checksum": "x", "cell_type": "code"}, 0), ({"colour": 1, "size": 2}, 1),
])  # fmt: skip
def test_what_nbgrader_reads(changes, problems):
    assert len(list(exercises._schema_problems(sample.nbgrader("a", grade=True) | changes))) == problems


def test_a_grade_id_that_comes_thrice_is_told_at_each():
    marked = [new_code_cell("x", metadata={"nbgrader": sample.nbgrader(id, grade=True)}) for id in "abaa"]
    assert list(exercises.nbgrader(of(*marked))) == [(f"c{n}", "grade_id 'a' is used 3 times") for n in (0, 2, 3)]


@pytest.mark.parametrize("source, is_solution, kind, problems", [
    ("### BEGIN SOLUTION\nx\n  ### END SOLUTION", True, new_code_cell, 0), ("### END SOLUTION\n### BEGIN SOLUTION",
        True, new_code_cell, 1),
    ("### BEGIN SOLUTION\n### END SOLUTION\n" * 2, True, new_code_cell, 1), ("### END SOLUTION", False, new_code_cell, 1),
    ("<!-- BEGIN SOLUTION -->\n<!-- END SOLUTION -->", True, new_markdown_cell, 0), ("x", False, new_code_cell, 0),
    ("<!-- BEGIN SOLUTION -->", False, new_markdown_cell, 1), ("### BEGIN SOLUTION\n### END SOLUTION", True,
        new_markdown_cell, 1),
    ("### BEGIN SOLUTION", True, new_code_cell, 1),
])  # fmt: skip
def test_pairs_of_marks(source, is_solution, kind, problems):
    cell = kind(source, metadata={"nbgrader": {"solution": is_solution}})
    assert len(list(exercises.solution(of(cell)))) == problems


def test_what_is_left_to_fill_in_of_every_line_and_title():
    made = of("FILL IN: a\nx\n  FILL IN: b", text("x", course={"title": "FILL IN: a title"}), text("x\n\nFILL IN"))
    assert [message for _, message in exercises.placeholder(made)][:3] == [
        "FILL IN: a",
        "FILL IN: b",
        "FILL IN: a title",
    ]


SECOND = {"course": {"edition": 2}}
HIDDEN = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
PREDICT = 'predict("a.b", ...)'


def rubric(lines, points, mark="* "):
    answer = "\n".join(f"{mark}line" for _ in range(lines))
    cell = text(f"Q\n<!-- BEGIN SOLUTION -->\nA\n\n**Rubric**\n\n{answer}\n<!-- END SOLUTION -->\n* no line of it")
    cell.metadata = NotebookNode(nbgrader=NotebookNode(grade=True, solution=True, points=points), course={"title": "T"})
    return cell


@pytest.mark.parametrize("rule, cells, expected", [
    (plumbing.plumbing, ["import os, pandas", "import seaborn as s", "from plotly.io import x", "ax.figure(1)", "f.subplots(2)"],
     [0, 1, 2, 3, 4]),
    (plumbing.plumbing, [new_code_cell("import pandas", metadata=HIDDEN), "import pandas_like", "plot = figure", "replot(x)",
                         new_code_cell("import pandas", metadata={"tags": ["hide-input"]}),
                         new_code_cell("import pandas", metadata={"jupyter": {"source_hidden": True}}),
                             "    %matplotlib x"], [6]),
    (plumbing.hidden_cell, [text("x", **HIDDEN), text("x", tags=["hide-input"]), text("x", jupyter={"source_hidden": False}),
                            new_code_cell("x", metadata={"jupyter": {"source_hidden": True}})], [1, 3]),
    (teaching.prediction, [PREDICT, 'compare("a.b", x)'], []),
    (teaching.prediction, [f'{PREDICT}\ncompare("a.b", x)'], [0]),
    (teaching.prediction, ['predict("a.b", ..., unit="%")', 'compare("a.b", x)'], [0]),
    (teaching.prediction, ['predict("a.b", ..., ...)', 'compare("a.b", x)'], [0]),
    (teaching.prediction, [PREDICT, 'compare("a.b", x)', 'compare("a.c", x)\ncompare(name, x)'], [2, 2]),
    (teaching.prediction, ['predict("a.b.c", ...)', 'compare("a.b.c", x)'], [0]),
    (teaching.prediction, ['predict("A.b", ...)', 'compare("A.b", x)'], [0]),
    (teaching.prediction, ["predict(name, ...)", "compare(name, x)"], [0]),
    (teaching.prediction, [PREDICT, PREDICT, 'compare("a.b", x)'], ["-"]),
    (teaching.open_question, [rubric(3, 3), rubric(5, 5), rubric(4, 4, "1. "), rubric(3, 3, "- ")], []),
    (teaching.open_question, [rubric(2, 2), rubric(6, 6), rubric(4, 3), rubric(3, 3, "*")], [0, 1, 2, 3]),
    (teaching.from_the_slides, [text("## A"), text("## From the slides\n\n### B")], []),
    (teaching.from_the_slides, [text("## From the slides"), text("# A\n## B")], [1, 1]),
    (teaching.from_the_slides, [text("### From the slides")], ["-"]),
    (teaching.slide_code, [text("C08", **HIDDEN), text("see [a](https://a.org/C08) C8 XC08 C99"),
        text("C08 W11\n## From the slides\nC09"),
                           text("C10")], [2]),
    (teaching.section_slides, [text("# x", course={"slides": ["C08"]}), text("# x", course={"slides": {"C08": 1}}),
        text("x", course={}), text("x", course={"slides": ["C08"]})], [1, 3]),
    (teaching.further_reading, [text("## Further reading\n\n* [A](http://a.org)\n* B\n\n## C\n\n* D")], [0]),
    (teaching.further_reading, [text("#### FURTHER READING\n[A 2020](https://a.org)"), text("Hu 2021 said so")], []),
    (teaching.further_reading, [text("## Further reading\n[A](https://a.org)", **HIDDEN)], ["-"]),
])  # fmt: skip
def test_what_is_found_in_the_second_edition_and_what_passes(rule, cells, expected):
    assert found(rule, of(*cells, **SECOND)) == expected


def test_files_that_are_linked(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a_b.svg").write_text("x")
    (tmp_path / "figures" / "folder.svg").mkdir()
    links = ["figures/a_b.svg", "./figures/a_b.svg?x#y", "https://a.org/figures/no.svg", "figures/no.svg",
        "figures/folder.svg",
             "/figures/a_b.svg", "figures/a%20b.svg"]  # fmt: skip
    made = of(
        text("".join(f"![a]({link})" for link in links) + "![b](figures/no.svg)"), "'![a](figures/no.svg)'", **SECOND
    )
    messages = [message for _, message in teaching.linked_file(made, tmp_path)]
    assert messages[:2] == ["there is no file figures/no.svg", "there is no file figures/folder.svg"]
    assert messages[2].startswith("/figures/a_b.svg: figures and explorables are named from")
    assert messages[3:] == [
        "figures/a%20b.svg: call it figures/NAME.svg or explorables/NAME.html, NAME of letters, digits, - and _"
    ]


@pytest.mark.parametrize(
    "module", ["requests", "httpx", "aiohttp", "socket", "ftplib", "urllib.request", "http.client", "wget"]
)
def test_every_module_of_the_network(module):
    assert found(code.network, of(f"import {module}", f"from {module} import x")) == [0, 1]


@pytest.mark.parametrize("name", ["load_dataset", "hf_hub_download", "snapshot_download", "urlopen", "urlretrieve"])
def test_every_call_and_command_of_the_network(name):
    assert found(code.network, of(f"{name}(x)", f"a.b.{name}()", f"{name} = 3")) == [0, 1]
    for command in ("pip", "conda", "curl", "wget", "git", "apt", "apt-get", "mamba", "uv"):
        assert found(code.network, of(f"!{command} x", f"%{command} x", f"!my{command} y")) == [0, 1]


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif"])
def test_pictures_of_points_are_no_text(kind):
    data = {f"image/{kind}": "/opt/x", "text/html": f'<img src="data:image/{kind};base64,/opt/x">'}
    assert bool(found(outputs.machine_text, of(printed(shown(data))))) is (kind == "gif")


def test_a_month_before_a_year_is_no_work():
    for month in [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ]:
        made = of(text(f"## Further reading\n[A](https://a.org), new in {month} 2020"), **SECOND)
        assert found(teaching.further_reading, made) == []
    for work in ("Hu 2021", "Hu et al. (2021)", "Li & Liang, 1999", "Li and Liang 2021"):
        made = of(text(f"## Further reading\n[A](https://a.org), {work}"), **SECOND)
        assert [message for _, message in teaching.further_reading(made)] == [f"no link: {work.removesuffix(')')!r}"]
